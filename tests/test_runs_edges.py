"""Runs, where two rare things meet: broken files and Ctrl-C, resized data, other process counts."""

import json
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import Field

from genzoo import families
from genzoo.errors import BadInput, UnknownName
from genzoo.models.sampler import Sampler
from genzoo.runs import launch
from genzoo.runs import run as run_folder
from genzoo.runs.plan import plan
from genzoo.schemas import Schema
from genzoo.training import parallel

VALUES = {"shape": [1, 16, 16], "width": 8, "latent_dim": 2, "batch_size": 4}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos") / "faces"
    (folder / "train").mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 256, (45, 16, 16), dtype=np.uint8)
    for number, pixels in enumerate(noise):
        Image.fromarray(pixels).save(folder / "train" / f"{number:02}.png")
    return folder


def begin(folder, photos, family="vae", values=VALUES, steps=12, **more):
    asked = {"device": "cpu", "checkpoint_every": 4, "grid_every": 6, "log_every": 1, **more}
    return launch.start(family, photos, folder, steps=steps, values=values, **asked)


def pressed(run, at):
    """Ctrl-C after step ``at``."""
    with pytest.raises(run_folder.Interrupted):
        run.go(lambda p: signal.raise_signal(signal.SIGINT) if p.step == at else None)
    return run.folder


def go_on(folder):
    return launch.resume(folder).go()


@pytest.fixture
def whole(tmp_path, photos):
    return begin(tmp_path / "whole", photos).go()


def assert_same(one, other):
    for name in ("model.safetensors", "run/log.jsonl"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


def test_a_lost_line_end_costs_no_line(whole, photos, tmp_path):
    folder = pressed(begin(tmp_path / "torn", photos), 9)
    log = folder / "run" / "log.jsonl"
    log.write_text(log.read_text().removesuffix("\n"))
    go_on(folder)
    assert_same(whole, folder)


def test_resuming_reads_its_checkpoint_once(photos, tmp_path, monkeypatch):
    folder, reads, load = pressed(begin(tmp_path / "run", photos), 5), [], torch.load
    monkeypatch.setattr(
        torch, "load", lambda *args, **more: reads.append(args) or load(*args, **more)
    )
    launch.resume(folder).go()
    assert [Path(file.name).name for (file,) in reads] == ["00000005.pt"]


def test_broken_checkpoints_do_not_push_out_a_whole_one(whole, photos, tmp_path):
    folder = pressed(begin(tmp_path / "torn", photos), 10)
    for path in (folder / "run" / "checkpoints").iterdir():
        path.write_bytes(b"")
    run = launch.resume(folder)
    assert run.start == 0
    pressed(run, 3)
    assert launch.resume(folder).start == 3
    go_on(folder)
    assert_same(whole, folder)


def test_ctrl_c_while_a_grid_is_drawn_keeps_the_step_it_names(photos, tmp_path, monkeypatch):
    run, draw = begin(tmp_path / "run", photos, grid_every=3), Sampler.sample

    def slow(model, *args, **kwargs):
        if (run.folder / "run" / "log.jsonl").stat().st_size:  # not the grid of step 0
            signal.raise_signal(signal.SIGINT)
        return draw(model, *args, **kwargs)

    monkeypatch.setattr(Sampler, "sample", slow)
    with pytest.raises(run_folder.Interrupted) as ended:
        run.go()
    step = launch.resume(run.folder).start
    assert step in (3, 4)
    assert f"after step {step};" in str(ended.value)


def test_one_changed_bit_of_one_picture_ends_a_run(photos, tmp_path):
    mine = shutil.copytree(photos, tmp_path / "mine")
    folder = pressed(begin(tmp_path / "run", mine), 5)
    picture = mine / "train" / "07.png"
    pixels = np.asarray(Image.open(picture)).copy()
    pixels[3, 3] ^= 1
    Image.fromarray(pixels).save(picture)
    with pytest.raises(BadInput, match=r"mine .*changed"):
        launch.resume(folder)
    shutil.copy2(photos / "train" / "07.png", picture)
    assert launch.resume(folder).start == 5
    for number in range(5, 15):  # some of them are held out for testing
        (mine / "train" / f"{number:02}.png").unlink()
    with pytest.raises(BadInput, match="mine"):
        launch.resume(folder)


def test_a_run_on_resized_data_goes_on(photos, tmp_path):
    """size and channels are the config's: a resumed run finds the same pixels."""
    values = {"size": 8, "channels": 3, "width": 4, "batch_size": 4}
    run = launch.resume(pressed(begin(tmp_path / "run", photos, "dcgan", values, 3), 2))
    assert (run.dataset.shape, run.start) == ((3, 8, 8), 2)


def test_minutes_are_for_one_process(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(parallel, "size", lambda: 2)
    with pytest.raises(BadInput, match="steps="):
        begin(tmp_path / "run", photos, steps=None, minutes=1.0)


def test_another_count_of_processes_is_told(photos, tmp_path, caplog):
    """Two processes' sums are not one's: bit for bit holds on the same count alone."""
    folder = pressed(begin(tmp_path / "run", photos), 5)
    path = folder / "run" / "plan.json"
    plan = json.loads(path.read_text())
    del plan["sha256"]
    path.write_text(json.dumps({**plan, "processes": 2}))
    assert launch.resume(folder).start == 5
    assert "bit for bit" in caplog.text


@pytest.mark.parametrize(("name", "chosen"), [("cuda", [3]), ("cuda:1", []), ("cpu", [])])
def test_each_process_has_a_gpu_of_its_own(monkeypatch, name, chosen):
    asked, joined = [], []
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_RANK", "3")
    monkeypatch.setattr(torch.cuda, "set_device", asked.append)
    join = lambda backend, timeout: joined.append((backend, timeout.seconds))  # noqa: E731
    monkeypatch.setattr(torch.distributed, "init_process_group", join)
    parallel.start(torch.device(name))
    assert asked == chosen
    assert joined == [("gloo" if name == "cpu" else "nccl", 300)]


def test_size_and_channels_are_of_the_pictures_for_every_family(tmp_path):
    """The VAE's config has a shape, and no field of either name."""
    values = {"size": 16, "channels": 3, "width": 8}
    run = launch.start("vae", "digits", tmp_path / "r", steps=1, values=values)
    assert run.plan.config["shape"] == [3, 16, 16]
    run.go()
    assert launch.resume(tmp_path / "r").plan == run.plan


def test_what_the_data_set_says_is_not_overruled():
    setup = plan("vae", "digits", {"width": 8, "beta": 2.0})
    shape = setup.dataset.shape
    assert (setup.config.shape, setup.config.width, setup.options.beta) == (shape, 8, 2.0)
    assert plan("vae", "digits", {"shape": [*shape]}).config.shape == shape
    with pytest.raises(BadInput, match=r"levels is .* 5"):
        plan("vae", "digits", {"levels": 5})
    with pytest.raises(BadInput, match=r"\[1, 9, 9\]"):
        plan("vae", "digits", {"shape": [1, 9, 9], "size": 8})


def test_an_unknown_field_is_refused_before_any_data_are_read(tmp_path):
    with pytest.raises(UnknownName, match="'widht'"):
        plan("vae", tmp_path / "missing", {"widht": 8})
    with pytest.raises(BadInput, match="missing"):
        plan("vae", tmp_path / "missing", {"width": 8, "size": 8})


def test_a_family_of_images_refuses_points_before_anything_is_written(tmp_path):
    with pytest.raises(BadInput, match="ring8"):
        launch.start("dcgan", "ring8", tmp_path / "r", steps=1)
    assert not (tmp_path / "r").exists()


def test_a_folder_with_other_things_is_not_trained_into(tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("mine")
    asked = {"steps": 1, "values": {"width": 8}}
    with pytest.raises(BadInput, match=r"thesis\.txt"):
        launch.start("vae", "digits", mine, **asked)
    launch.start("vae", "digits", mine, force=True, **asked).go()
    assert (mine / "thesis.txt").read_text() == "mine"


def test_without_a_readable_checkpoint_a_run_says_that_it_begins_anew(tmp_path, caplog):
    asked = {"steps": 4, "values": {"width": 8}, "checkpoint_every": 2}
    launch.start("vae", "digits", tmp_path / "r", **asked).go()
    for path in (tmp_path / "r" / "run" / "checkpoints").glob("*.pt"):
        path.write_bytes(path.read_bytes()[:1000])
    assert launch.resume(tmp_path / "r").start == 0
    first, second = caplog.messages
    assert "00000004.pt" in first
    assert "00000002.pt" in second
    assert "step 0" in second


@pytest.mark.parametrize(
    ("family", "old", "new"),
    [
        ("dcgan", "decay", "lr_inverse_decay"),
        ("dcgan", "code", "latent_dim"),
        ("dcgan", "noise", "prior"),
        ("gan", "units", "generator_units"),
        ("vae", "average", "ema_decay"),
    ],
)
def test_an_old_field_s_name_gives_the_new_one(family, old, new):
    with pytest.raises(BadInput, match=f"{old!r}.* {new!r}"):
        plan(family, "digits", {old: 1})


def test_a_field_that_never_was_gives_near_ones():
    with pytest.raises(UnknownName, match="did you mean latent_dim"):
        plan("dcgan", "digits", {"latent_dims": 3})


def test_a_size_that_the_config_refuses_names_the_setting_that_rescales(monkeypatch):
    class Eights(Schema):
        size: Annotated[int, Field(multiple_of=8)] = 32

    family = replace(families.get("gan"), config=Eights, tiny=Eights())
    monkeypatch.setattr(families, "get", lambda name: family)
    with pytest.raises(BadInput, match=r"got 28; sizes that work: 24 or 32 .*'size': 24"):
        plan("gan", "digits")
    assert plan("gan", "digits", {"size": 32}).config == Eights(size=32)
    with pytest.raises(BadInput, match=r"multiple of 8, got 20$"):
        plan("gan", "digits", {"size": 20})
