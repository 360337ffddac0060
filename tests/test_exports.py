"""Exported models: the same output as genzoo's, for any number of samples; refusals in one line."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import genzoo
from genzoo import families
from genzoo.cli import run
from genzoo.errors import BadInput, OperationFailed
from genzoo.exports import programs
from genzoo.exports.calls import call_of

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/export.md").read_text()


def tiny(family, **changes):
    """A small model of a family, with random weights."""
    parts = families.get(family)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = parts.model(parts.tiny.model_copy(update=changes))
        for parameter in model.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
    return model.eval()


# ------------------------------------------------------------------------------------------ torch


def test_a_program_of_torch_draws_what_genzoo_draws(tmp_path):
    """By itself, for numbers of samples that it was not made with, in [0, 1]."""
    model = tiny("cgan")
    stages: list[tuple[str, int, int]] = []
    result = genzoo.export(
        model, to="torch", out=tmp_path / "cgan.pt2", progress=lambda *one: stages.append(one)
    )
    assert [(what.partition(": ")[2], *counts) for what, *counts in stages] == [
        ("traces the model", 0, 2),
        ("compares with genzoo", 1, 2),
    ]
    assert result.inputs == {"code": ("n", model.latent_dim), "label": ("n",)}
    assert result.outputs == {"image": ("n", *model.shape)}
    assert result.difference <= 1e-6
    more = {"genzoo.json": ""}
    program = torch.export.load(tmp_path / "cgan.pt2", extra_files=more).module()
    assert json.loads(more["genzoo.json"])["model"] == "Generator"
    for n in (1, 5):
        labels = torch.arange(n) % model.num_classes
        images = program(model.codes(n, seed=3), labels)
        assert torch.allclose(images, model.sample(n, seed=3, labels=labels).tensor, atol=1e-6)
        assert images.min() >= 0
        assert images.max() <= 1


# ------------------------------------------------------------------------------------- what is said


@pytest.mark.parametrize("family", ["gmm", "cyclegan"])
def test_a_model_without_code_and_step_is_refused(family, tmp_path):
    with pytest.raises(BadInput, match=r"neither a latent code nor a step to export: models that"):
        genzoo.export(tiny(family), to="torch", out=tmp_path / "x.pt2")
    assert not (tmp_path / "x.pt2").exists()


def test_settings_that_act_on_codes_alone_are_refused(tmp_path):
    refused = ("cgan", {"truncation": 1.0}), ("cgan", {"temperature": 0.5}), ("ddpm", {"steps": 3})
    for family, setting in refused:
        with pytest.raises(BadInput, match="would have no effect"):
            genzoo.export(tiny(family), to="torch", out=tmp_path / "x.pt2", sampling=setting)
    with pytest.raises(BadInput, match="no setting of sampling called 'hat'"):
        genzoo.export(tiny("cgan"), to="torch", out=tmp_path / "x.pt2", sampling={"hat": 1})


def test_a_file_that_is_there_stays(tmp_path):
    (tmp_path / "x.pt2").write_text("mine")
    with pytest.raises(BadInput, match="exists"):
        genzoo.export(tiny("cgan"), to="torch", out=tmp_path / "x.pt2")
    assert (tmp_path / "x.pt2").read_text() == "mine"


@pytest.mark.parametrize("license", ["mit", "unknown", "other"])
def test_the_terms_of_the_data_are_repeated_under_any_license(license, tmp_path):
    folder = genzoo.save(tiny("vae"), tmp_path / "m", terms="research alone", license=license)
    result = genzoo.export(folder, to="torch", out=tmp_path / "x.pt2")
    assert result.note == "The terms of the model's data hold for it, too: research alone."


def test_random_numbers_beside_the_code_are_said():
    assert "beside its code" in call_of(tiny("stylegan"), {}).note
    assert call_of(tiny("stylegan"), {"noise": 0.0}).note == ""
    assert call_of(tiny("vae"), {}).note == ""  # its noise is 0 unless it is asked for


def test_a_program_that_computes_something_else_is_not_written():
    call = call_of(tiny("cgan"), {})
    right = [x.numpy() for x in call.own(call.example(1))]
    wrong = {
        "differs from genzoo's by 0.5": lambda x: call.own(x)[0].numpy() + np.float32(0.5),
        "differs from genzoo's by inf": lambda x: call.own(x)[0].numpy() * np.nan,
        "returns": lambda x: right[0],
    }
    for message, function in wrong.items():
        with pytest.raises(OperationFailed, match=f"nothing was written: .*{message}"):
            programs.compared(call, lambda inputs, f=function: [f(inputs)])
    assert programs.compared(call, lambda inputs: [x.numpy() for x in call.own(inputs)]) <= 1e-6


def test_a_family_that_fixes_the_number_of_samples_is_told_what_to_write(monkeypatch):
    kind = type(model := tiny("cgan"))
    plain = kind.decode
    monkeypatch.setattr(
        kind, "decode", lambda self, code, labels=None: plain(self, code, labels)[: len(code)]
    )
    with pytest.raises(
        OperationFailed, match=r"torch.export cannot trace a Generator .*x\.shape\[0\]"
    ):
        programs.traced(call_of(model, {}))


# ------------------------------------------------------------------------------------------- ONNX

SAMPLERS = ["acgan", "dcgan", "flow-matching", "infogan", "progan", "realnvp", "sagan", "stylegan"]
SAMPLERS += ["ddpm", "pixelcnn", "vae", "wavegan"]


@pytest.mark.slow
@pytest.mark.parametrize("family", SAMPLERS)
def test_onnx_computes_what_genzoo_computes(family, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    model = tiny(family)
    result = genzoo.export(model, out=tmp_path / "x.onnx")
    assert result.difference <= 1e-5
    session = onnxruntime.InferenceSession(tmp_path / "x.onnx")
    assert [x.name for x in session.get_inputs()] == [*result.inputs]
    said = json.loads(session.get_modelmeta().custom_metadata_map["genzoo"])
    assert said["note"].startswith("Synthetic")
    if isinstance(model, genzoo.Latent) and not result.note:
        given = {"code": model.codes(4, seed=2).numpy()}
        if model.num_classes:
            given["label"] = np.arange(4) % model.num_classes
        (drawn,) = session.run(None, given)
        assert np.abs(drawn - model.sample(4, seed=2).tensor.numpy()).max() <= 1e-5


def blocks():
    """(kind, text) of the page's slow blocks."""
    return re.findall(r"<!-- slow: [^>]+-->\n```(bash|python)\n(.*?)^```", PAGE, re.M | re.S)


@pytest.mark.slow
def test_the_page_s_loops_draw_what_genzoo_draws(tmp_path, monkeypatch, capsys):
    """Its blocks run as they stand; with genzoo's noise they give genzoo's samples."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    monkeypatch.chdir(tmp_path)
    draw = []
    for kind, text in blocks():
        if kind == "bash":
            for line in text.strip().splitlines():
                assert run(line.split()[1:]) == 0, line
            continue
        exec(compile(text, "block", "exec"), names := {})
        draw += [names["draw"]] if "draw" in names else []
    assert "largest difference from genzoo's own output: " in capsys.readouterr().out
    pixels, steps = draw
    model = genzoo.load("pixelcnn-mnist-labels", device="cpu")
    drawn = pixels("pixelcnn-mnist-labels.onnx", np.arange(2), genzoo.Noise(0, range(2)).gumbel)
    same = drawn == model.sample(2, labels=[0, 1]).tensor.numpy()
    assert same.mean() > 0.99  # a tie may fall the other way
    own = genzoo.load("./my-ddpm", device="cpu").sample(3, eta=0.5).tensor.numpy()
    drawn = steps("my-ddpm.onnx", 3, genzoo.Noise(0, range(3)).normal, timesteps=100, eta=0.5)
    assert np.abs(drawn - own).max() < 1e-4


def test_the_page_s_loops_have_at_most_thirty_lines():
    loops = [text for kind, text in blocks() if "def draw(" in text]
    assert len(loops) == 2
    assert all(len([line for line in text.splitlines() if line]) <= 30 for text in loops)
