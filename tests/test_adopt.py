"""adopt: public networks, written here from their published shapes, give the same as a model.

Weights are random; the outputs of both networks agree to 1e-6. What does not fit is one line.
"""

import argparse
import functools
import io
import json
import math
import pickle
import re
import struct
import zipfile
from collections import OrderedDict
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

import genzoo
from genzoo import errors, families
from genzoo.cli import run
from genzoo.errors import BadInput, GenzooError
from genzoo.zoo import adoption, adoption_fit
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
    assert said["notes"][0] == "1 bias is not in the file: set to 0"
    assert (here / "mine/samples.png").exists()
    assert "non-commercial" in model.provenance["terms"]
    copy = read_manifest(genzoo.save(model, here / "copy", dtype="float16"))
    assert copy.adopted == read_manifest(here / "mine").adopted
    model.layers[0].weight.data += 1
    assert read_manifest(genzoo.save(model, here / "other")).adopted is None


class Options:
    """An object beside the weights, of a class that the reader must not import."""

    def __init__(self):
        self.lr = 0.1


WRAPPED = {
    "plain": lambda s: s,
    "state_dict": lambda s: {"epoch": 3, "state_dict": s, "optimizer": {"state": {0: s}}},
    "parallel": lambda s: {"model_state_dict": {f"module.{k}": v for k, v in s.items()}},
    "compiled": lambda s: {f"_orig_mod.module.{k}": v for k, v in s.items()},
    "attribute": lambda s: {"state_dict": {f"generator.{k}": v for k, v in s.items()}},
    "average": lambda s: {"G": {k: 0 * v for k, v in s.items()}, "G_ema": s, "step": 7},
    "options": lambda s: {"config": argparse.Namespace(lr=0.1), "netG": s, "args": Options()},
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
    fit = adoption_fit.find([found], as_family="dcgan")
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
        model = adoption.model_of(adoption_fit.find([read_checkpoint(here / name)], "dcgan"))
        tolerance = 2e-2 if name == "half.ckpt" else 1e-6
        assert torch.allclose(model.decode(code), images, atol=tolerance), name


# ------------------------------------------------------------------------------- other projects


class Net(nn.Module):
    """A network of named parts, which ``run(self, *inputs)`` puts together."""

    def __init__(self, run, **parts):
        super().__init__()
        self.run = run
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, *inputs):
        return self.run(self, *inputs)


def gan_zoo_generator(code=5, width=4, depth=1, channels=3):
    """pytorch_GAN_zoo, models/networks/DCGAN_nets.py: GNet."""
    maps = [width << i for i in range(depth, -1, -1)]
    layers = {"batchNorm0": nn.BatchNorm2d(maps[0]), "relu0": nn.ReLU()}
    for i, (a, b) in enumerate(pairwise(maps), start=1):
        layers[f"convTranspose{i}"] = nn.ConvTranspose2d(a, b, 4, 2, 1, bias=False)
        layers |= {f"batchNorm{i}": nn.BatchNorm2d(b), f"relu{i}": nn.ReLU()}
    layers["outlayer"] = nn.ConvTranspose2d(width, channels, 4, 2, 1, bias=False)
    first = nn.ConvTranspose2d(code, maps[0], 4, bias=False)
    return Net(
        lambda net, z: net.main(net.formatLayer(z[..., None, None])).tanh(),
        formatLayer=first,
        main=nn.Sequential(OrderedDict(layers)),
    )


def perceptron(inputs, units, pixels):
    """PyTorch-GAN, implementations/gan/gan.py: the layers of its Generator."""
    sizes = [inputs, *(units << i for i in range(4))]
    layers = []
    for i, (a, b) in enumerate(pairwise(sizes)):
        norm = [nn.BatchNorm1d(b, 0.8)] * (i > 0)
        layers += [nn.Linear(a, b), *norm, nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], pixels), nn.Tanh())


def pytorch_gan(code=5, shape=(3, 8, 8)):
    """PyTorch-GAN's gan, wgan, wgan_gp."""
    layers = perceptron(code, 4, math.prod(shape))
    return Net(lambda net, z: net.model(z).unflatten(1, shape), model=layers)


def pytorch_gan_cgan(code=5, classes=3, shape=(1, 8, 8)):
    """PyTorch-GAN, implementations/cgan/cgan.py: Generator."""
    return Net(
        lambda net, z, y: net.model(torch.cat((net.label_emb(y), z), -1)).unflatten(1, shape),
        label_emb=nn.Embedding(classes, classes),
        model=perceptron(code + classes, 4, math.prod(shape)),
    )


def pytorch_gan_dcgan(code=5, size=32, width=4, channels=1):
    """PyTorch-GAN, implementations/dcgan/dcgan.py: Generator, whose width is 64."""
    small, maps = size // 4, 2 * width
    layers = [nn.BatchNorm2d(maps), nn.Upsample(scale_factor=2), nn.Conv2d(maps, maps, 3, 1, 1)]
    layers += [nn.BatchNorm2d(maps, 0.8), nn.LeakyReLU(0.2), nn.Upsample(scale_factor=2)]
    layers += [nn.Conv2d(maps, width, 3, 1, 1), nn.BatchNorm2d(width, 0.8), nn.LeakyReLU(0.2)]
    layers += [nn.Conv2d(width, channels, 3, 1, 1), nn.Tanh()]
    return Net(
        lambda net, z: net.conv_blocks(net.l1(z).view(-1, maps, small, small)),
        l1=nn.Sequential(nn.Linear(code, maps * small**2)),
        conv_blocks=nn.Sequential(*layers),
    )


def examples_vae(code=5, units=6, shape=(1, 8, 8)):
    """pytorch/examples, vae/main.py; its output is that of the decoder."""
    pixels = math.prod(shape)
    return Net(
        lambda net, z: net.fc4(net.fc3(z).relu()).sigmoid().unflatten(1, shape),
        fc1=nn.Linear(pixels, units),
        fc21=nn.Linear(units, code),
        fc22=nn.Linear(units, code),
        fc3=nn.Linear(code, units),
        fc4=nn.Linear(units, pixels),
    )


def pythae_vae(code=5, units=6, shape=(1, 8, 8)):
    """pythae, models/nn/default_architectures.py: the MLPs of a VAE, whose units are 512."""
    pixels = math.prod(shape)
    encoder = Net(
        lambda net, x: (net.embedding(h := net.layers[0](x.flatten(1))), net.log_var(h)),
        layers=nn.ModuleList([nn.Sequential(nn.Linear(pixels, units), nn.ReLU())]),
        embedding=nn.Linear(units, code),
        log_var=nn.Linear(units, code),
    )
    layers = [nn.Linear(code, units), nn.ReLU()], [nn.Linear(units, pixels), nn.Sigmoid()]
    decoder = Net(
        lambda net, z: net.layers[1](net.layers[0](z)).unflatten(1, shape),
        layers=nn.ModuleList([nn.Sequential(*each) for each in layers]),
    )
    return Net(lambda net, z: net.decoder(z), decoder=decoder, encoder=encoder)


class SN(nn.Module):
    """BigGAN-PyTorch, layers.py: a layer whose weight is divided by its first singular value."""

    def __init__(self, layer):
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias
        self.register_buffer("u0", torch.randn(1, len(layer.weight)))
        self.register_buffer("sv0", torch.ones(1))

    def forward(self, x):
        matrix = self.weight.flatten(1)
        v = nn.functional.normalize(self.u0 @ matrix)
        u = nn.functional.normalize(v @ matrix.T)
        weight = self.weight / (v @ matrix.T @ u.T).squeeze()
        if weight.ndim == 2:
            return nn.functional.linear(x, weight, self.bias)
        return nn.functional.conv2d(x, weight, self.bias, padding=weight.shape[-1] // 2)


def sn_conv(a, b, side=3, bias=True):
    return SN(nn.Conv2d(a, b, side, bias=bias))


class BigGanNorm(nn.Module):
    """BigGAN-PyTorch, layers.py: ccbn; without ``inputs`` bn."""

    def __init__(self, maps, inputs=0):
        super().__init__()
        for name, value in (("gain", 1.3), ("bias", 0.2)):
            plain = nn.Parameter(torch.full((maps,), value))
            setattr(self, name, SN(nn.Linear(inputs, maps, bias=False)) if inputs else plain)
        self.register_buffer("stored_mean", torch.randn(maps) / 9)
        self.register_buffer("stored_var", torch.rand(maps) + 0.5)

    def forward(self, x, y=None):
        gain, bias = (self.gain, self.bias) if y is None else (1 + self.gain(y), self.bias(y))
        x = nn.functional.batch_norm(x, self.stored_mean, self.stored_var)
        return x * gain[..., None, None] + bias[..., None, None]


def gblock(a, b, inputs):
    """BigGAN-PyTorch, layers.py: GBlock."""

    def run(net, x, y):
        h = nn.functional.interpolate(net.bn1(x, y).relu(), scale_factor=2)
        h = net.conv2(net.bn2(net.conv1(h), y).relu())
        return h + net.conv_sc(nn.functional.interpolate(x, scale_factor=2))

    norms = {"bn1": BigGanNorm(a, inputs), "bn2": BigGanNorm(b, inputs)}
    convs = {"conv1": sn_conv(a, b), "conv2": sn_conv(b, b), "conv_sc": sn_conv(a, b, 1)}
    return Net(run, **convs, **norms)


def attention(maps):
    """BigGAN-PyTorch, layers.py: Attention."""

    def run(net, x, y):
        pooled = [nn.functional.max_pool2d(layer(x), 2).flatten(2) for layer in (net.phi, net.g)]
        beta = (net.theta(x).flatten(2).transpose(1, 2) @ pooled[0]).softmax(-1)
        return net.gamma * net.o((pooled[1] @ beta.transpose(1, 2)).unflatten(2, x.shape[2:])) + x

    sides = {"theta": (maps, maps // 8), "phi": (maps, maps // 8), "g": (maps, maps // 2)}
    layers = {k: sn_conv(a, b, 1, False) for k, (a, b) in {**sides, "o": (maps // 2, maps)}.items()}
    return Net(run, **layers, gamma=nn.Parameter(torch.tensor(0.7)))


def biggan(ch=4, classes=3, chunk=2, embedding=5):
    """BigGAN-PyTorch, BigGAN.py: Generator of 128 pixels, shared, hierarchical, attention at 64."""
    maps = [16 * ch, *(ch * n for n in (16, 8, 4, 2, 1))]
    blocks = [[gblock(a, b, embedding + chunk)] for a, b in pairwise(maps)]
    blocks[3].append(attention(maps[4]))

    def run(net, z, y):
        first, *parts = z.split(chunk, 1)
        x = net.linear(first).unflatten(1, (maps[0], 4, 4))
        for several, part in zip(net.blocks, parts, strict=True):
            for block in several:
                x = block(x, torch.cat([net.shared(y), part], 1))
        return net.output_layer(x).tanh()

    return Net(
        run,
        shared=nn.Embedding(classes, embedding),
        linear=SN(nn.Linear(chunk, maps[0] * 16)),
        blocks=nn.ModuleList(map(nn.ModuleList, blocks)),
        output_layer=nn.Sequential(BigGanNorm(ch), nn.ReLU(), sn_conv(ch, 3)),
    )


def test_biggan(here):
    """Its spectral norms store the left singular vector alone, and take a step when they run."""
    torch.manual_seed(0)
    network, code, labels = biggan().eval(), torch.randn(2, 12), torch.tensor([2, 0])
    saved(network.state_dict(), "G_ema.pth")
    fit = adoption_fit.find([read_checkpoint(here / "G_ema.pth")])
    model = adoption.model_of(fit)
    assert (fit.family, model.config.attention_resolution) == ("biggan", 64)
    with torch.no_grad():
        own, theirs = model.decode(code, labels), network(code, labels)
    assert theirs.std() > 0.1
    assert torch.allclose(own, theirs, atol=1e-5)
    assert (own - theirs).abs().mean() < 1e-6
    saved(without(network.state_dict(), "blocks.2.0.conv1.weight"), "G_ema.pth")
    with pytest.raises(BadInput, match="the nearest is biggan"):
        genzoo.adopt("G_ema.pth")


FAMILIES = {
    "pytorch_GAN_zoo": (gan_zoo_generator, "dcgan"),
    "PyTorch-GAN gan": (pytorch_gan, "gan"),
    "PyTorch-GAN wgan": (pytorch_gan, "wgan"),
    "PyTorch-GAN wgan_gp": (pytorch_gan, "wgan-gp"),
    "PyTorch-GAN cgan": (pytorch_gan_cgan, "cgan"),
    "PyTorch-GAN dcgan": (pytorch_gan_dcgan, "dcgan"),
    "pytorch/examples vae": (examples_vae, "vae"),
    "pythae": (pythae_vae, "vae"),
}


@pytest.mark.parametrize("project", FAMILIES)
def test_the_networks_of_a_project(project, here):
    make, family = FAMILIES[project]
    network, code = make(), torch.randn(6, 5)
    labels = [torch.arange(6) % 3] * (family == "cgan")
    settled(network, code, *labels)
    saved({"model_state_dict": network.state_dict()})
    model = adoption.model_of(adoption_fit.find([read_checkpoint(here / "netG.pth")], family))
    assert isinstance(model, genzoo.Latent)
    save_file(network.state_dict(), "netG.safetensors")  # which sorts its tensors by name
    other = adoption_fit.find([read_checkpoint(here / "netG.safetensors")], family)
    assert (
        other.paired.names
        == adoption_fit.find([read_checkpoint(here / "netG.pth")], family).paired.names
    )
    own = model.to_public(model.decode(code, *labels))
    theirs = network(code, *labels)
    public = theirs if family == "vae" else (theirs + 1) / 2
    assert torch.allclose(own, public, atol=1e-6)
    if family == "vae":
        x = torch.rand(3, 1, 8, 8)
        if project == "pythae":
            mean, log_variance = network.encoder(x)
        else:
            h = network.fc1(x.flatten(1)).relu()
            mean, log_variance = network.fc21(h), network.fc22(h)
        assert torch.allclose(torch.stack(model.posterior(x)), torch.stack([mean, log_variance]))


def test_several_families_have_a_network(here):
    saved(settled(pytorch_gan(), torch.randn(6, 5)).state_dict())
    said = "fits 3 families: choose with as_family='gan' or as_family='wgan' or as_family='wgan-gp'"
    with pytest.raises(BadInput, match=re.escape(said)):
        genzoo.adopt("netG.pth")
    saved({"model.0.weight": torch.ones(4, 5), **dict.fromkeys("abcd", torch.ones(7, 7))})
    with pytest.raises(BadInput, match=r"its shape: give settings=\{'shape': 'VALUE'\}"):
        genzoo.adopt("netG.pth", as_family="gan")


# ------------------------------------------------------------------------------------ translators


class ResnetBlock(nn.Module):
    """pytorch-CycleGAN-and-pix2pix, models/networks.py."""

    def __init__(self, maps, norm):
        super().__init__()
        pad, conv = (lambda: nn.ReflectionPad2d(1)), (lambda: nn.Conv2d(maps, maps, 3))
        layers = [pad(), conv(), norm(maps), nn.ReLU(True), pad(), conv(), norm(maps)]
        self.conv_block = nn.Sequential(*layers)

    def forward(self, x):
        return x + self.conv_block(x)


def resnet_generator(blocks, norm, width=3, channels=3):
    """pytorch-CycleGAN-and-pix2pix, models/networks.py: ResnetGenerator."""
    layers = [nn.ReflectionPad2d(3), nn.Conv2d(channels, width, 7), norm(width), nn.ReLU(True)]
    for i in (1, 2):
        a, b = width * i, 2 * width * i
        layers += [nn.Conv2d(a, b, 3, 2, 1), norm(b), nn.ReLU(True)]
    layers += [ResnetBlock(4 * width, norm) for _ in range(blocks)]
    for i in (4, 2):
        a, b = width * i, width * i // 2
        layers += [nn.ConvTranspose2d(a, b, 3, 2, 1, 1), norm(b), nn.ReLU(True)]
    layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, channels, 7), nn.Tanh()]
    return Net(lambda net, x: net.model(x), model=nn.Sequential(*layers))


class Skip(nn.Module):
    """pytorch-CycleGAN-and-pix2pix, models/networks.py: UnetSkipConnectionBlock."""

    def __init__(self, outer, inner, inside=None, channels=None, drop=0.0):
        super().__init__()
        self.outermost = channels is not None
        down = nn.Conv2d(channels or outer, inner, 4, 2, 1, bias=False)
        up = nn.ConvTranspose2d(inner * (2 if inside else 1), outer, 4, 2, 1, bias=self.outermost)
        if self.outermost:
            layers = [down, inside, nn.ReLU(True), up, nn.Tanh()]
        elif inside is None:
            layers = [nn.LeakyReLU(0.2, True), down, nn.ReLU(True), up, nn.BatchNorm2d(outer)]
        else:
            layers = [nn.LeakyReLU(0.2, True), down, nn.BatchNorm2d(inner), inside, nn.ReLU(True)]
            layers += [up, nn.BatchNorm2d(outer), nn.Dropout(drop)]
        self.model = nn.Sequential(*layers)

    def forward(self, x):
        return self.model(x) if self.outermost else torch.cat([x, self.model(x)], 1)


def unet(halvings=6, width=2, channels=3):
    """pytorch-CycleGAN-and-pix2pix, models/networks.py: UnetGenerator."""
    block = Skip(8 * width, 8 * width)
    for _ in range(halvings - 5):
        block = Skip(8 * width, 8 * width, block)
    for i in (4, 2, 1):
        block = Skip(i * width, 2 * i * width, block)
    return Net(lambda net, x: net.model(x), model=Skip(channels, width, block, channels))


def photos(folder, side=32):
    folder.mkdir()
    for i in range(4):
        pixels = np.random.default_rng(i).integers(0, 256, (side, side, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")


@pytest.mark.parametrize(("blocks", "tracks"), [(6, False), (9, True)])
def test_a_cyclegan_generator(blocks, tracks, here):
    """The authors' own loader reads no running statistics, so that each image is normed alone."""
    norm = functools.partial(nn.InstanceNorm2d, track_running_stats=tracks)
    x = torch.rand(2, 3, 16, 16) * 2 - 1
    network = settled(resnet_generator(blocks, norm), x)
    saved(network.state_dict(), "latest_net_G_A.pth")
    fit = adoption_fit.find([read_checkpoint(here / "latest_net_G_A.pth")])
    model = adoption.model_of(fit)
    assert (fit.family, model.config.residual_blocks, model.targets) == ("cyclegan", blocks, ("B",))
    for layer in network.modules():
        if isinstance(layer, nn.InstanceNorm2d):
            layer.track_running_stats = False
            layer.running_mean = layer.running_var = None
    own = model.convert(x, "B", genzoo.Noise(0, range(2)))
    assert torch.allclose(own, network(x), atol=1e-6)
    kinds = "tensors left out, which their own code does not read: running_mean, running_var"
    assert (kinds in str(fit.paired.notes)) == tracks
    with pytest.raises(BadInput, match="without the way back there is no cycle"):
        families.get("cyclegan").make_trainer(model, families.get("cyclegan").options())


def test_a_cyclegan_generator_with_batch_norm(here):
    network = settled(resnet_generator(1, nn.BatchNorm2d), torch.rand(2, 3, 16, 16))
    saved(network.state_dict(), "latest_net_G_A.pth")
    said = "model.2 is a batch norm, or an instance norm with weights: expected none before "
    with pytest.raises(BadInput, match=said):
        genzoo.adopt("latest_net_G_A.pth", as_family="cyclegan")


def test_both_generators_of_a_cyclegan(here):
    x = torch.rand(2, 3, 16, 16) * 2 - 1
    there, back = (settled(resnet_generator(1, nn.InstanceNorm2d), x) for _ in "AB")
    back.model[1].bias.data += 0.3
    saved(there.state_dict(), "latest_net_G_A.pth")
    saved(back.state_dict(), "latest_net_G_B.pth")
    files = ["latest_net_G_A.pth", "latest_net_G_B.pth"]
    with pytest.raises(BadInput, match="a translator keeps images to translate: give some with da"):
        genzoo.adopt(files)
    with pytest.raises(BadInput, match="ring8 holds points; a translator needs images"):
        genzoo.adopt(files, data="ring8")
    with pytest.raises(BadInput, match=r"save it first, torch\.save\(weights, "):
        genzoo.adopt(there.state_dict())
    photos(here / "photos")
    settings = {"shape": [3, 24, 24], "domains": ["horse", "zebra"]}
    model = genzoo.adopt(files, data="./photos", out="mine", settings=settings)
    noise = genzoo.Noise(0, range(2))
    model = model.cpu()
    assert torch.allclose(model.convert(x, "zebra", noise), there(x), atol=1e-6)
    assert torch.allclose(model.convert(x, "horse", noise), back(x), atol=1e-6)
    assert len(model.examples.flatten(1).unique(dim=0)) >= 3  # some are the test split
    own = genzoo.data.open("./photos", size=24, channels=3).array
    first = torch.from_numpy(own[np.arange(len(model.examples)) % len(own)])
    assert not torch.equal(model.examples, first), "the first ones are of a folder's first class"
    assert [file.name for file in read_manifest(model.folder).adopted.files] == files


def test_a_pix2pix_generator(here):
    """Their translation is in training mode, one image at a time: a batch norm of one image."""
    network = settled(unet(), torch.rand(2, 3, 64, 64))
    saved(network.state_dict(), "latest_net_G.pth")
    read = [read_checkpoint(here / "latest_net_G.pth")]
    model = adoption.model_of(adoption_fit.find(read, settings={"dropout": 0.0}))
    assert model.config.halvings == 6
    network.train()
    x = torch.rand(2, 3, 64, 64) * 2 - 1
    own = model.convert(x, "B", genzoo.Noise(0, range(2)))
    assert torch.allclose(own, torch.cat([network(one[None]) for one in x]), atol=1e-6)
    dropped = adoption.model_of(adoption_fit.find(read)).convert(x, "B", genzoo.Noise(0, range(2)))
    assert not torch.allclose(own, dropped, atol=1e-2)


# -------------------------------------------------------------------------------- what goes wrong


class Table(dict):
    """As EasyDict and others."""


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
    "a blocked module": (lambda s: b"\x80\x02cposix\nsystem\n.", "holds posix.system, which"),
    "a dict of another class": (lambda s: as_bytes({"x": Table(a=1)}), "Table, which only code"),
    "a class with arguments": (lambda s: as_bytes({"x": Fraction(1, 2)}), "holds fractions.Fr"),
    "packed more than the file": (lambda s: bomb(), "a compressed zip archive"),
    "a header of 3 GB": (lambda s: header(3 << 30), "not safetensors, or cut off"),
    "a web page": (lambda s: b"<html>" + bytes(99), "is a web page"),
    "a pointer": (lambda s: b"version https://git-lfs", "type git lfs pull"),
    "cut off": (lambda s: as_bytes(s)[:-900], "damaged or cut off zip"),
    "empty": (lambda s: b"", "x.pth is empty"),
    "text": (lambda s: b"weights: none\n", "x.pth is neither a file of torch.save nor safetensors"),
    "arrays": (lambda s: as_npz(x=np.ones(3)), "is arrays of NumPy (.npz), not a file of torch"),
    "a plain pickle": (lambda s: pickle.dumps({"x": 1}, 4), "a pickle that torch.save did not"),
    "a plain pickle of 2": (
        lambda s: pickle.dumps({"x": 1}, 2),
        "a pickle that torch.save did not",
    ),
    "another zip": (lambda s: as_zip("x/a.txt"), "is a zip archive, not a file of torch.save"),
    "a program": (lambda s: as_zip("x/data.pkl", "x/constants.pkl"), "a program of torch.jit: in"),
    "no tensors": (lambda s: as_bytes({"epoch": 3}), "holds no tensors by name"),
    "a whole network": (lambda s: as_bytes(nn.Linear(2, 2)), "state_dict(), 'weights.pth')"),
    "one value many times": (
        lambda s: as_bytes({"main.0.weight": torch.zeros(1).expand(9999)}),
        "more values than the file",
    ),
    "not a number": (
        lambda s: as_bytes({**s, "main.1.bias": s["main.1.bias"] * torch.nan}),
        "x.pth: main.1.bias holds values that are not finite: take an earlier file",
    ),
}


def as_npz(**arrays):
    np.savez(file := io.BytesIO(), **arrays)
    return file.getvalue()


def as_zip(*names):
    with zipfile.ZipFile(file := io.BytesIO(), "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return file.getvalue()


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
    assert {path.name for path in here.iterdir()} - {"home"} == {"x.pth"}


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
    "a discriminator": (lambda s: dcgan_discriminator().state_dict(), "looks like a discriminator"),
    "spectral norm": (
        lambda s: {k.replace("6.weight", "6.weight_orig"): v for k, v in s.items()},
        "main.6 has a spectral norm, and layers.6 has none",
    ),
    "no norm": (
        lambda s: {"main.0.weight": s["main.0.weight"], "main.3.weight": s["main.3.weight"], **s},
        "main.3 is no norm: expected one with weights here, as layers.1",
    ),
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
    assert adoption_fit.find([read_checkpoint(here / saved(state))]).family == "dcgan"
    saved(swapped(state, "main.3.weight"))
    with pytest.raises(BadInput, match=r"no family; the nearest is dcgan: main\.3.* is .*transp"):
        genzoo.adopt("netG.pth")
    saved(state)
    with pytest.raises(
        BadInput, match=r"fits dcgan, but not with width 3: main\.0\.weight is .*expected \(5, 6"
    ):
        genzoo.adopt("netG.pth", settings={"width": 3})
    for settings, said in {
        "widht": r"no family that adopts has a field 'widht': did you mean width\?",
        "norm_epsilon": r"fits dcgan, but not with norm_epsilon -1: norm_epsilon must be",
    }.items():
        with pytest.raises(BadInput, match=said):
            genzoo.adopt("netG.pth", settings={settings: -1})
    with pytest.raises(BadInput, match=r"dcgan has no field 'likelihood'"):
        genzoo.adopt("netG.pth", as_family="dcgan", settings={"likelihood": "x"})
    with pytest.raises(BadInput, match=r"netG\.pth is given twice"):
        genzoo.adopt(["netG.pth", "netG.pth"])
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


def test_what_was_read_of_which_file_and_what_was_passed_over(here, dcgan):
    """An averaged copy of parameters alone cannot be a model: its norms have no statistics."""
    state, judge = dcgan[0].state_dict(), dcgan_discriminator().state_dict()
    shadow = {name: value for name, value in state.items() if "running" not in name}
    saved({"G": state, "ema": {"decay": 0.9, "shadow": shadow}, "netD": judge}, "all.pt")
    model = genzoo.adopt("all.pt")
    first, _, *notes = adoption.summary(model).splitlines()
    assert first.startswith("all.pt (G; discriminator netD): ")
    said = "left out: ema.shadow, an averaged copy: main.1 lacks the running_mean of layers.1"
    assert said in notes
    assert said in (here / "all/README.md").read_text()
    for name, tensors in {"netG": state, "netD": judge, "half": state}.items():
        saved(tensors, f"{name}.pth")
    with pytest.raises(
        BadInput, match=r"^half\.pth is used for nothing: the dcgan is of netG\.pth"
    ):
        genzoo.adopt(["netG.pth", "netD.pth", "half.pth"])
    assert not (here / "netG").exists()
    model = genzoo.adopt(["netG.pth", "netD.pth"])
    said = adoption.summary(model)
    assert said.startswith("netG.pth and netD.pth (discriminator): ")
    assert "\nlicense: unknown; license=NAME says it\n" in said
    assert "| data | |" not in re.sub(" +", " ", (here / "netG/README.md").read_text())
    rows = dict(genzoo.info(here / "netG").rows)
    assert rows["terms"] == "license unknown: license= of genzoo.adopt() says it"
    assert "data" not in rows
