"""adopt: public networks, written here from their published shapes, give the same as a model.

Weights are random; the outputs of both networks agree to 1e-6. What does not fit is one line.
"""

import io
import json
import pickle
import struct
import zipfile
from itertools import pairwise

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import genzoo
from genzoo import errors
from genzoo.cli import run
from genzoo.errors import BadInput, GenzooError
from genzoo.zoo import adoption
from genzoo.zoo.checkpoint_files import read_checkpoint
from genzoo.zoo.folder import load_discriminator
from genzoo.zoo.manifest import read_manifest


def settled(network, *inputs):
    """A network whose weights are random, and whose norms have seen data, ready to be used."""
    torch.manual_seed(0)
    for tensor in network.parameters():
        tensor.data.normal_(0, 0.2 if tensor.ndim > 1 else 0.5)
    with torch.no_grad():
        network.train()(*inputs)
    return network.eval()


# ------------------------------------------------------------------------------- public networks


class Main(nn.Module):
    """A network whose layers are its attribute ``main``."""

    def __init__(self, *layers):
        super().__init__()
        self.main = nn.Sequential(*layers)

    def forward(self, *inputs):
        return self.main(*inputs)


def dcgan_generator(code=5, width=4, channels=3, depth=2):
    """pytorch/examples, dcgan/main.py: netG, which has a ``depth`` of 4: 64 pixels."""
    maps = [code, *(width << i for i in reversed(range(depth))), channels]
    layers = []
    for i, (a, b) in enumerate(pairwise(maps)):
        layers += [nn.ConvTranspose2d(a, b, 4, *((2, 1) if i else (1, 0)), bias=False)]
        layers += [nn.BatchNorm2d(b), nn.ReLU(True)]
    return settled(Main(*layers[:-2], nn.Tanh()), torch.randn(8, code, 1, 1))


def dcgan_discriminator(width=4, channels=3, depth=2):
    """pytorch/examples, dcgan/main.py: netD."""
    maps = [channels, *(width << i for i in range(depth))]
    layers = []
    for i, (a, b) in enumerate(pairwise(maps)):
        layers += [nn.Conv2d(a, b, 4, 2, 1, bias=False)]
        layers += [nn.BatchNorm2d(b)] * (i > 0) + [nn.LeakyReLU(0.2)]
    layers += [nn.Conv2d(maps[-1], 1, 4, bias=False), nn.Sigmoid()]
    return settled(Main(*layers), torch.randn(8, channels, 4 << depth, 4 << depth))


@pytest.fixture(scope="module")
def dcgan():
    """A generator, its code, and what it makes of the code."""
    network, code = dcgan_generator(), torch.randn(3, 5)
    return network, code, network(code[..., None, None]).detach()


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def saved(content, name="netG.pth", **options):
    torch.save(content, name, **options)
    return name


# ------------------------------------------------------------------------------------------ DCGAN


def test_a_generator_and_its_discriminator_give_the_same(here, dcgan, capsys):
    (network, code, images), judge = dcgan, dcgan_discriminator()
    saved(network.state_dict())
    saved(judge.state_dict(), "netD.pth")
    line = "adopt netG.pth netD.pth --data celeba --license mit -o mine --json"
    assert run(line.split()) == 0
    said = json.loads(capsys.readouterr().out)
    model = genzoo.load("./mine", device="cpu")
    assert torch.allclose(model.decode(code), images, atol=1e-6)
    x = torch.rand(3, 3, 16, 16) * 2 - 1
    logits = load_discriminator("mine", device="cpu")(x)
    assert torch.allclose(logits.sigmoid(), judge(x).flatten(), atol=1e-6)
    assert (said["family"], said["config"]["latent_dim"]) == ("dcgan", 5)
    card = (here / "mine/README.md").read_text()
    for file in said["files"]:
        assert read_checkpoint(here / file["name"]).sha256 == file["sha256"]
        assert f"{file['name']}, sha256 {file['sha256']}" in card
    assert f"genzoo {genzoo.__version__}" in card
    assert "Trained on celeba by others" in card
    assert said["notes"][0] == "1 bias that the file lacks: 0"
    assert (here / "mine/samples.png").exists()
    assert "non-commercial" in model.provenance["terms"]


WRAPPED = {
    "plain": lambda s: s,
    "state_dict": lambda s: {"epoch": 3, "state_dict": s, "optimizer": {"state": {0: s}}},
    "parallel": lambda s: {"model_state_dict": {f"module.{k}": v for k, v in s.items()}},
    "compiled": lambda s: {f"_orig_mod.module.{k}": v for k, v in s.items()},
    "attribute": lambda s: {"state_dict": {f"generator.{k}": v for k, v in s.items()}},
    "average": lambda s: {"G": {k: 0 * v for k, v in s.items()}, "G_ema": s, "step": 7},
    "averages": lambda s: {
        "step": torch.tensor(3),
        **{f"online_model.{k}": 0 * v for k, v in s.items()},
        **{f"ema_model.{k}": v for k, v in s.items()},
    },
}


@pytest.mark.parametrize("wrapped", WRAPPED)
def test_what_is_wrapped_around_a_network(wrapped, here, dcgan):
    network, code, images = dcgan
    found = read_checkpoint(here / saved(WRAPPED[wrapped](network.state_dict())))
    fit = adoption.find([found], as_family="dcgan")
    model = adoption.model_of(fit)
    assert torch.allclose(model.decode(code), images, atol=1e-6)


def test_older_files_others_half_precision_and_safetensors(here, dcgan):
    network, code, images = dcgan
    state = network.state_dict()
    saved(state, "old.pt", _use_new_zipfile_serialization=False)
    save_file(state, "weights.safetensors")
    saved({k: v for k, v in state.items() if not k.endswith("tracked")}, "torch04.bin")
    saved({k: v.half() if v.is_floating_point() else v for k, v in state.items()}, "half.ckpt")
    for name in ("old.pt", "weights.safetensors", "torch04.bin", "half.ckpt"):
        model = adoption.model_of(adoption.find([read_checkpoint(here / name)], "dcgan"))
        tolerance = 2e-2 if name == "half.ckpt" else 1e-6
        assert torch.allclose(model.decode(code), images, atol=tolerance), name


# -------------------------------------------------------------------------------- what goes wrong


class Evil:
    def __reduce__(self):
        return print, ("never",)


def bomb():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(10**7))
    return file.getvalue()


def header(length):
    return struct.pack("<Q", length) + b"{" + b" " * 99


FILES = {
    "a bomb of pickled code": (
        lambda s: pickle.dumps(Evil(), 2),
        "holds print, which only",
    ),
    "packed more than the file": (lambda s: bomb(), "a compressed zip archive"),
    "a header of 3 GB": (lambda s: header(3 << 30), "not safetensors, or cut off"),
    "a web page": (lambda s: b"<html>" + bytes(99), "is a web page"),
    "a pointer": (lambda s: b"version https://git-lfs", "Git LFS pointer"),
    "cut off": (lambda s: as_bytes(s)[:-900], "damaged or cut off zip"),
    "empty": (lambda s: b"", "not safetensors"),
    "no tensors": (lambda s: as_bytes({"epoch": 3}), "holds no tensors by name"),
    "a whole network": (lambda s: as_bytes(nn.Linear(2, 2)), "state_dict(), 'weights.pth')"),
    "one value many times": (
        lambda s: as_bytes({"main.0.weight": torch.zeros(1).expand(9999)}),
        "more values than the file",
    ),
    "not a number": (
        lambda s: as_bytes({**s, "main.1.bias": s["main.1.bias"] * torch.nan}),
        "main.1.bias holds values that are not finite",
    ),
}


def as_bytes(content):
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


@pytest.mark.parametrize("wrong", FILES)
def test_a_file_that_cannot_be_adopted_is_one_line(wrong, here, dcgan, capsys):
    make, said = FILES[wrong]
    (here / "x.pth").write_bytes(make(dcgan[0].state_dict()))
    assert run(["adopt", "x.pth", "--as", "dcgan"]) in (2, 4)
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert said in err
    assert [path.name for path in here.iterdir()] == ["x.pth"]


def swapped(state, name):
    return {**state, name: state[name].transpose(0, 1)}


MISFITS = {
    "transposed": (lambda s: swapped(s, "main.3.weight"), "(4, 8, 4, 4), expected (8, 4, 4, 4)"),
    "missing": (lambda s: without(s, "main.4.weight"), "main.4 lacks the weight of layers.4"),
    "missing layer": (lambda s: without(s, "main.6.weight"), ""),
    "extra": (lambda s: {**s, "main.3.extra": torch.zeros(3)}, "main.3.extra has no place"),
    "extra layer": (
        lambda s: {**s, "scale.weight": torch.ones(3)},
        "1 layer too many, the f",
    ),
    "another network": (lambda s: {"fc.weight": torch.ones(3, 4)}, "expected 3 convolutions"),
    "a discriminator": (lambda s: dcgan_discriminator().state_dict(), "channels must be"),
    "no numbers": (lambda s: {**s, "main.0.weight": s["main.0.weight"] > 0}, "of type bool, which"),
}


def without(state, name):
    return {key: value for key, value in state.items() if key != name}


@pytest.mark.parametrize("wrong", MISFITS)
def test_a_network_that_does_not_fit_is_one_line(wrong, here, dcgan):
    make, said = MISFITS[wrong]
    saved(make(dcgan[0].state_dict()))
    with pytest.raises(GenzooError) as failure:
        genzoo.adopt("netG.pth", as_family="dcgan", out="mine")
    assert said in str(failure.value)
    assert "\n" not in str(failure.value)
    assert not (here / "mine").exists()


def test_a_file_that_is_too_big(here, dcgan, monkeypatch):
    saved(dcgan[0].state_dict())
    monkeypatch.setenv("GENZOO_MAX_WEIGHT_BYTES", "1000")
    with pytest.raises(BadInput, match=r"netG\.pth has \d+ bytes, the limit is 1000"):
        genzoo.adopt("netG.pth")


def test_all_families_are_tried_and_the_nearest_says_why_not(here, dcgan):
    state = dcgan[0].state_dict()
    assert adoption.find([read_checkpoint(here / saved(state))]).family == "dcgan"
    saved(swapped(state, "main.3.weight"))
    with pytest.raises(BadInput, match=r"no family; the nearest is dcgan: main\.3.* is .*transp"):
        genzoo.adopt("netG.pth")
    saved({"fc.weight": torch.ones(3, 4)})
    with pytest.raises(BadInput, match=r"its first tensor is fc.weight, \(3, 4\); tried .*dcgan"):
        genzoo.adopt("netG.pth")


def test_words_that_help(here, dcgan):
    saved({"G": dcgan[0].state_dict(), "D": dcgan_discriminator(width=8).state_dict()})
    with pytest.raises(BadInput, match=r"no network 'g': did you mean G\?"):
        genzoo.adopt("netG.pth", part="g")
    with pytest.raises(BadInput, match=r"gmm adopts no weights of others\. Families that do: .*dc"):
        genzoo.adopt("netG.pth", as_family="gmm")
    model = genzoo.adopt("netG.pth", out="mine")
    assert "left out: D, its discriminator: " in str(read_manifest(model.folder).adopted.notes)
    with pytest.raises(BadInput, match=r"mine already contains config\.json"):
        genzoo.adopt("netG.pth", out="mine")
    saved(dcgan_discriminator(width=8).state_dict(), "netD.pth")
    with pytest.raises(
        BadInput, match=r"netD\.pth is not the discriminator of this dcgan: main\.0"
    ):
        genzoo.adopt(["netG.pth", "netD.pth"], out="other")
    with errors.on_the_command_line():
        assert errors.argument("as_family", "gan") == "--as gan"
