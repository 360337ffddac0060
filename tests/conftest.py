"""What the core's tests share: wheels, plugins for one test, and a toy of each ability."""

import importlib
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import genzoo
from genzoo import families
from genzoo.families import registry
from genzoo.schemas import Count, Schema
from genzoo.zoo import installed

# One process for all: a build takes less time than its start.
BUILD = """
import os, sys
from hatchling import build

for project in sys.argv[2:]:
    os.chdir(project)
    build.build_wheel(sys.argv[1])
"""


def built(projects, folder):
    """The wheels of these projects, built with what is installed here."""
    command = [sys.executable, "-c", BUILD, folder, *projects]
    subprocess.run([*map(str, command)], check=True, capture_output=True)
    return sorted(folder.glob("*.whl"))


@pytest.fixture(scope="session")
def build():
    """Builds wheels: ``build(projects, folder)``."""
    return built


@pytest.fixture(scope="session")
def wheels(tmp_path_factory):
    """The wheels of genzoo, its plugins and its models, built with what is installed here."""
    root = Path(__file__).parents[1]
    projects = [root, *sorted(p.parent for p in root.glob("*/*/pyproject.toml"))]
    return built(projects, tmp_path_factory.mktemp("wheels"))


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Installs plugins for one test, as pip leaves them: module, METADATA and entry_points.txt."""
    site = tmp_path / "site-packages"
    site.mkdir()
    monkeypatch.syspath_prepend(site)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    for name in ("GENZOO_DISABLE_PLUGINS", "GENZOO_STRICT_PLUGINS"):
        monkeypatch.delenv(name, raising=False)
    registry._load.cache_clear()
    before = {*sys.modules}

    def add(kind, name, source, package=None, summary="made for a test", keywords=""):
        package = package or f"genzoo-{name}"
        module = package.replace("-", "_")
        (site / f"{module}.py").write_text(source)
        info = site / f"{module}-1.0.dist-info"
        info.mkdir()
        told = f"Name: {package}\nVersion: 1.0\nSummary: {summary}\nKeywords: {keywords}\n"
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\n{told}")
        (info / "entry_points.txt").write_text(f"[{families.GROUPS[kind]}]\n{name} = {module}\n")
        importlib.invalidate_caches()
        return module

    yield add
    registry._load.cache_clear()
    for name in {*sys.modules} - before:
        if str(site) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture
def only_models(monkeypatch):
    """``only_models(folder)``: its models are genzoo's own, and no others are installed."""
    features = installed.features()
    monkeypatch.setattr(installed, "features", lambda: features)

    def only(folder):
        every = [installed.Collection(package, folder / "none") for package in installed.OWN]
        every[0] = installed.Collection(every[0].package, folder)
        monkeypatch.setattr(installed, "collections", lambda: every)

    return only


class ToyConfig(Schema):
    width: Count = 6


class ToyLatent(genzoo.Latent, genzoo.Encoder):
    """Five numbers to an image of (3, 8, 8), through a batch norm that has seen something."""

    shape, latent_dim = (3, 8, 8), 5

    def __init__(self, config):
        super().__init__(config)
        self.layers = nn.Sequential(
            nn.ConvTranspose2d(self.latent_dim, config.width, 4, bias=False),
            nn.BatchNorm2d(config.width),
            nn.ReLU(),
            nn.ConvTranspose2d(config.width, 3, 4, 2, 1),
            nn.Tanh(),
        )
        self.reader = nn.Linear(3 * 8 * 8, self.latent_dim)

    def decode(self, code, labels=None, noise=None):  # (n, code) -> (n, 3, 8, 8)
        return self.layers(code[:, :, None, None])

    def embed(self, x):  # (n, 3, 8, 8) -> (n, code)
        return self.reader(x.flatten(1))


class ToyConditional(genzoo.Sampler):
    """Points in the plane: the class's centre, and a tenth of a normal draw."""

    kind, shape, value_range = "points", (2,), None
    num_classes, class_names = 3, ("ant", "bee", "cat")

    def __init__(self, config):
        super().__init__(config)
        self.centres = nn.Parameter(torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]]))

    def generate(self, noise, labels, sampling):  # -> (n, 2)
        return self.centres[labels] + noise.normal(2) / 10


class ToyTranslator(genzoo.Translator):
    """Light pictures are dark ones turned over."""

    shape, domains = (3, 8, 8), ("dark", "light")

    def __init__(self, config):
        super().__init__(config)
        self.turn = nn.Parameter(torch.tensor(-1.0))
        self.register_buffer("examples", torch.randint(256, (5, *self.shape), dtype=torch.uint8))

    def convert(self, x, to, noise):  # (n, 3, H, W) -> (n, 3, H, W)
        return self.turn * x + 0.01 * noise.normal(1, 1, 1) if to == "light" else x


class ToyDensity(genzoo.Density):
    """x = w z + noise with z ~ N(0, 1), scored by a proposal for z that is a little off."""

    kind, shape, value_range, likelihood_kind = "points", (2,), None, "bound"
    noise = 0.5

    def __init__(self, config):
        super().__init__(config)
        self.w = nn.Parameter(torch.tensor([1.0, -2.0]))

    def posterior(self, x):  # (n, 2) -> (n,), ()
        precision = 1 + self.w.square().sum() / self.noise**2
        return x @ self.w / self.noise**2 / precision, precision.rsqrt()

    def proposal(self, x):  # (n, 2) -> (n,), ()
        mean, deviation = self.posterior(x)
        return mean + 0.5 * deviation, 1.3 * deviation

    def log_weight(self, x, labels, noise):  # (n, 2) -> (n,)
        mean, deviation = self.proposal(x)
        epsilon = noise.normal()
        z = mean + deviation * epsilon
        likelihood = -((x - z[:, None] * self.w) / self.noise).square().sum(1) / 2
        likelihood = likelihood - math.log(2 * math.pi * self.noise**2)
        return likelihood - z.square() / 2 + epsilon.square() / 2 + deviation.log()


def seeded(kind):
    """A toy of ``kind``, its weights the same in every test."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return kind(ToyConfig())


@pytest.fixture
def latent():
    model = seeded(ToyLatent)
    norm = model.layers[1]
    norm.running_mean += torch.linspace(-1, 1, len(norm.running_mean))
    norm.running_var *= torch.linspace(0.5, 2, len(norm.running_var))
    return model


@pytest.fixture
def conditional():
    return seeded(ToyConditional)


@pytest.fixture
def translator():
    return seeded(ToyTranslator)


@pytest.fixture
def density():
    return seeded(ToyDensity)
