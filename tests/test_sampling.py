"""Settings of sampling: a record of the model's class, given to a call by name."""

import json
import threading
from pathlib import Path
from typing import Annotated

import pytest
import torch
from PIL import Image, PngImagePlugin
from pydantic import Field
from torch import nn

import genzoo
from genzoo import families
from genzoo.cli import run
from genzoo.editing import arithmetic, directions, walks
from genzoo.errors import BadInput
from genzoo.options import LatentSampling, Sampling
from genzoo.schemas import Share
from genzoo.zoo import folder as folders


class Gains(Sampling):
    gain: Annotated[float, Field(ge=0, le=10)] = 1.0
    truncation: Share = 1.0
    """of its own meaning"""


class LatentGains(LatentSampling):
    gain: Annotated[float, Field(ge=0, le=10)] = 1.0


class Plain(genzoo.Attentive, genzoo.Completer):
    shape, value_range, kind, sampling = (2,), None, "points", Gains

    def __init__(self, config=None):
        super().__init__(config)
        self.one = nn.Parameter(torch.ones(()))

    def generate(self, noise, labels, sampling):
        return sampling.gain * self.one * noise.normal(2)

    def attend(self, noise, labels, sampling):
        return self.generate(noise, labels, sampling), torch.ones(len(noise), 1, 1, 1, 1)

    def complete(self, x, mask, noise, labels, sampling):
        return torch.where(mask > 0, x, sampling.gain * torch.ones_like(x))


class Decoded(genzoo.Latent):
    shape, value_range, kind, latent_dim, sampling = (2,), None, "points", 2, LatentGains

    def __init__(self, config=None):
        super().__init__(config)
        self.one = nn.Parameter(torch.ones(()))

    def decode(self, code, labels=None, sampling=None):
        return code * self.one * (1.0 if sampling is None else sampling.gain)


class Turned(genzoo.Translator):
    shape, domains, sampling = (3, 4, 4), ("dark", "light"), Gains

    def __init__(self, config=None):
        super().__init__(config)
        self.one = nn.Parameter(torch.ones(()))
        self.register_buffer("examples", torch.full((2, 3, 4, 4), 128, dtype=torch.uint8))

    def convert(self, x, to, noise, sampling=None):
        return (self.one * 0.1 * sampling.gain).expand_as(x)


@pytest.mark.parametrize("kind", [Plain, Decoded])
def test_a_setting_reaches_every_way_to_sample(kind):
    model = kind()
    base = model.sample(5, seed=2).tensor
    assert torch.equal(model.sample(5, seed=2, gain=3.0).tensor, 3 * base)
    assert torch.equal(model.sample(5, seed=2, gain=1).tensor, base), "the default, as an int"
    parts = [part.tensor for part in model.stream(5, seed=2, batch_size=2, gain=3.0)]
    assert torch.equal(torch.cat(parts), 3 * base)


def test_a_setting_reaches_attention_completion_codes_and_translation():
    plain, decoded, turned = Plain(), Decoded(), Turned()
    assert torch.equal(plain.attention(2, gain=3.0)[0].tensor, 3 * plain.sample(2).tensor)
    filled = genzoo.inpaint(plain, torch.zeros(1, 2), torch.tensor([1, 0]), sampling={"gain": 3.0})
    assert filled.samples.tensor.tolist() == [[0.0, 3.0]]
    assert filled.samples.call["sampling"] == {"gain": 3.0, "truncation": 1.0}
    with pytest.raises(BadInput, match="without settings of sampling"):
        genzoo.inpaint(
            decoded, torch.zeros(1, 2), torch.tensor([1, 0]), sampling={"gain": 3.0}, steps=1
        )
    assert torch.equal(
        decoded.decode_codes(torch.ones(1, 2), gain=3.0).tensor, torch.full((1, 2), 3.0)
    )
    x = turned.translate(torch.zeros(1, 3, 4, 4), gain=5.0)
    assert x.tensor.mean().item() == pytest.approx(0.75)
    assert turned.sample(1, gain=5.0).tensor.mean().item() == pytest.approx(0.75)
    assert turned.sample(1).tensor.mean().item() == pytest.approx(0.55)


def test_a_setting_reaches_what_editing_draws():
    model, how = Decoded(), {"gain": 3.0, "truncation": 0.5}
    expected = model.sample(2, seed=4, **how).tensor
    assert torch.equal(walks.samples_at(model, "4:0,1", sampling=how).tensor, expected)
    walk = walks.interpolate(model, "4:0,1", steps=3, sampling=how)
    assert torch.equal(walk.tensor[[0, 3]], expected)
    assert walk.call["sampling"] == how | {"temperature": None}
    wide = Decoded()
    wide.shape, wide.latent_dim = (3,), 3
    grid = walks.traverse(wide, sample="4:3", grid=(2, 1), sampling=how).tensor
    third = wide.sample(1, seed=4, start=3, **how).tensor[0, 2]
    assert third != wide.sample(1, seed=4, start=3, gain=3.0).tensor[0, 2], "truncated"
    low = 3 * torch.special.ndtri(torch.tensor(0.25))
    torch.testing.assert_close(grid, torch.tensor([[low, 0.0, third], [-low, 0.0, third]]))
    sums = arithmetic.arithmetic(model, "4:0 + 4:1", sampling=how)
    assert torch.equal(sums.terms[0][1].tensor[:1], expected[:1])
    direction = directions.direction_from_seeds(model, "0:1", "0:2")
    steered = directions.steer(model, direction, "4:0,1", alphas=[0.0], sampling=how)
    assert torch.equal(steered.tensor, expected)


@pytest.mark.parametrize(
    ("kind", "settings", "said"),
    [
        (Plain, {"gian": 2.0}, "Plain has no setting of sampling called 'gian'.*gain, truncation"),
        (Plain, {"gain": 11}, r"Plain's sampling: gain must be at most 10, got 11"),
        (Plain, {"gain": "big"}, "gain must be a number, got 'big'"),
        (Plain, {"gain": float("nan")}, "gain must be a finite"),
        (Plain, {"gain": torch.ones(2)}, "Plain's sampling: "),
        (Decoded, {"truncation": 0}, "truncation must be at least 0.02, got 0"),
        (Decoded, {"steps": 20}, "settings are truncation, temperature, gain"),
    ],
)
def test_a_wrong_setting_is_refused_in_a_line(kind, settings, said):
    model = kind()
    for call in (model.sample, model.stream):
        with pytest.raises(BadInput, match=said) as caught:
            call(1, **settings)
        assert "\n" not in str(caught.value)


def test_a_model_without_settings_says_so(conditional):
    with pytest.raises(BadInput, match="called 'steps': it has no settings"):
        conditional.sample(1, steps=3)


@pytest.mark.parametrize("name", ["n", "labels", "seed", "start", "batch_size", "codes", "images"])
def test_a_setting_is_not_called_like_an_argument(name):
    record = type("Record", (Sampling,), {"__annotations__": {name: int}, name: 1})
    with pytest.raises(TypeError, match=f"{name} is an argument"):
        type("Model", (Plain,), {"sampling": record})


def test_a_setting_without_a_default_is_refused():
    record = type("Record", (Sampling,), {"__annotations__": {"power": int}})
    with pytest.raises(
        TypeError, match=r"Model\.sampling: power has no default: each setting needs"
    ):
        type("Model", (Plain,), {"sampling": record})


def test_a_family_gives_truncation_its_own_meaning():
    class Own(genzoo.Latent):
        shape, value_range, kind, latent_dim, sampling = (2,), None, "points", 2, Gains

        def decode(self, code, labels=None, sampling=None):
            return sampling.truncation * code

    model = Own(None)
    assert torch.equal(model.codes(50, truncation=0.5), model.codes(50))
    half = model.sample(50, truncation=0.5).tensor
    assert torch.equal(half, model.sample(50).tensor / 2)
    assert half.abs().max() > 0.5


def test_threads_with_other_settings_share_the_copy():
    model, results = Plain(), {}
    start = threading.Barrier(4)

    def draw(gain):
        start.wait()
        results[gain] = [model.sample(3, gain=gain).tensor for _ in range(20)]

    threads = [threading.Thread(target=draw, args=(gain,)) for gain in (1.0, 2.0, 4.0, 8.0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    base = model.sample(3).tensor
    assert all(torch.equal(x, gain * base) for gain, drawn in results.items() for x in drawn)


# ----------------------------------------------------------------------------- records of pictures


@pytest.fixture
def saved(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    family = families.get("vae")
    torch.manual_seed(0)
    model = family.model(family.tiny)
    folders.save(model, "mine", family="vae")
    return genzoo.load("./mine", device="cpu")


def test_a_picture_s_record_holds_all_settings_and_draws_it_again(saved):
    saved.sample(3, seed=5, observation_noise=1.0).save("x.png")
    settings = {"truncation": None, "temperature": None, "observation_noise": 1.0}
    assert genzoo.inspect("x.png").record.call.sampling == settings
    assert genzoo.reproduce("x.png", "./mine", device="cpu").state == "equal"
    plain = saved.sample(3, seed=5)
    assert not torch.equal(plain.tensor, saved.sample(3, seed=5, observation_noise=1.0).tensor)


def test_a_record_from_before_the_settings_is_drawn_again(saved):
    drawn = saved.sample(2, seed=5, truncation=0.3)
    record = {**drawn.record(), "call": {"method": "sample", "truncation": 0.3}}
    about = PngImagePlugin.PngInfo()
    about.add_text("genzoo", json.dumps(record))
    drawn.grid().save("old.png", pnginfo=about)
    assert genzoo.reproduce("old.png", "./mine", device="cpu").state == "equal"
    assert not torch.equal(drawn.tensor, saved.sample(2, seed=5).tensor)


def test_the_command_line_sets_and_tells_them(saved, capsys):
    words = ["--seed", "5", "--set", "observation_noise=1", "--set", "truncation=0.3"]
    assert run(["sample", "./mine", "-n", "2", "-o", "x.png", *words]) == 0
    expected = saved.sample(2, seed=5, observation_noise=1.0, truncation=0.3)
    expected.save("y.png")
    assert Path("x.png").read_bytes() == Path("y.png").read_bytes()
    capsys.readouterr()
    assert run(["inspect", "x.png"]) == 0
    out = capsys.readouterr().out
    assert "drawn by   sample, truncation 0.3, observation_noise 1.0" in out
    assert run(["info", "vae"]) == 0
    out = capsys.readouterr().out
    assert "sampling (--set NAME=VALUE of genzoo sample)" in out
    assert "observation_noise  0.0   0 to 1" in out
    assert run(["info", "vae", "--json"]) == 0
    fields = json.loads(capsys.readouterr().out)["sampling"]
    assert [field["name"] for field in fields] == ["truncation", "temperature", "observation_noise"]
    assert run(["sample", "./mine", "-o", "z.png", "--set", "warmth=1"]) == 2
    assert "settings are truncation, temperature, observation_noise" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["interpolate", "./mine", "--sample", "3,4", "--steps", "2", "-o", "x.npy"],
        ["traverse", "./mine", "--grid", "1x2", "-o", "x.npy"],
        ["arithmetic", "./mine", "3", "+", "4", "-o", "x.png"],
    ],
)
def test_every_command_that_draws_takes_them(words, saved, capsys):
    assert run([*words, "--set", "observation_noise=1"]) == 0
    first = Path(words[-1]).read_bytes()
    assert run([*words, "--force"]) == 0
    assert Path(words[-1]).read_bytes() != first
    assert run([*words, "--force", "--set", "observation_noise=2"]) == 2
    assert "observation_noise must be at most 1, got 2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("family", "words"),
    [
        ("vae", ["steer", "./mine", "toward.safetensors", "--sample", "3"]),
        ("sagan", ["attend", "./mine", "--at", "1,1"]),
        ("pixelcnn", ["inpaint", "./mine", "photo.png"]),
        ("cyclegan", ["translate", "./mine", "photo.png"]),
    ],
)
def test_a_command_hands_them_all_over(family, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    parts = families.get(family)
    folders.save(parts.model(parts.tiny), "mine", family=family)
    model = genzoo.load("./mine", device="cpu")
    Image.new("RGB", (8, 8)).save("photo.png")
    if family == "vae":
        directions.direction_from_seeds(model, "0:1,2", "0:3,4").save("toward.safetensors")
    assert run([*words, "--set", "nothing=1", "--device", "cpu"]) == 2
    error = capsys.readouterr().err
    assert "'nothing'" in error, "the model names the setting that it does not have"
    assert run([*words, "--device", "cpu"]) == 0
