"""A plugin of API 2, as it was when that API was settled. Never edit it: tests/test_api2.py.

A family that the core trains (a generator, a discriminator, a law of codes, settings of sampling), one
with its own trainer (two phases, two players, its randomness, an encoder and a density), two metrics
and a data set.
"""

from typing import Annotated, Literal

import genzoo
import numpy as np
import torch
from genzoo.data import Rows, Source
from genzoo.metrics import Estimates, ModelMetric, SampleMetric
from genzoo.models.laws import Categorical, Normal, Uniform
from genzoo.models.networks import activations, kind_of
from genzoo.options import AdversarialOptions, DiscriminatorSteps, LatentSampling, Options
from genzoo.schemas import Channels, Count, Decay, Rate, Schema, Shape, Share, Weight
from genzoo.training import Phase, gradient_penalty, make_player
from pydantic import Field
from torch import nn

# ---------------------------------------------------------------- a family that the core trains


class GameConfig(Schema):
    """Sizes of both networks."""

    channels: Channels = 1
    size: Annotated[int, Field(ge=4, le=64)] = 8
    classes: Annotated[int, Field(ge=0, le=1000)] = 0
    width: Count = 8
    """units of the hidden layers"""


class GameOptions(AdversarialOptions):
    """A short game."""

    batch_size: Count = 16
    discriminator_steps: DiscriminatorSteps = 2
    ema_decay: Decay = 0.9


class GameSampling(LatentSampling):
    """Truncation, and the contrast of images."""

    contrast: Share = 1.0
    """1: as learned, 0: grey"""


class Generator(genzoo.Latent):
    """A code of three laws, and noise beside it, to an image of a class."""

    sampling = GameSampling

    def __init__(self, config: GameConfig):
        super().__init__(config)
        self.shape = (config.channels, config.size, config.size)
        self.num_classes, self.latent_dim = config.classes, 3 + 4 + 2
        self.label = nn.Embedding(max(1, config.classes), config.width)
        self.first = nn.Linear(self.latent_dim + 2, config.width)
        pixels = config.channels * config.size**2
        self.last = nn.Sequential(nn.Linear(config.width, pixels), nn.Tanh())

    def law(self):
        return Normal(3), Categorical(4), Uniform(2)

    def decode(self, code, labels=None, noise=None, sampling=None):
        beside = code.new_zeros(len(code), 2) if noise is None else noise.normal(2) / 10
        h = self.first(torch.cat([code, beside], 1))
        if self.num_classes and labels is not None:
            h = h + self.label(labels)
        x = self.last(h.relu()).unflatten(1, self.shape)
        return x if sampling is None else sampling.contrast * x


class Discriminator(genzoo.Discriminator):
    """Two layers."""

    def __init__(self, config: GameConfig):
        super().__init__()
        pixels = config.channels * config.size**2
        self.blocks = nn.ModuleList(
            [nn.Sequential(nn.Flatten(), nn.Linear(pixels, config.width), nn.LeakyReLU(0.2))]
        )
        self.head = nn.Linear(config.width, 1)

    def features(self, x):
        return activations(self.blocks, x)

    def forward(self, x, labels=None):
        return self.head(self.features(x)[-1]).flatten()


# ------------------------------------------------------------- a family with a trainer of its own


class SoloConfig(Schema):
    """Images, signals or points."""

    shape: Shape = (1, 8, 8)
    latent_dim: Count = 4
    activation: Literal["relu", "tanh"] = "relu"


class SoloOptions(Options):
    """The bound first, then a game against a critic."""

    batch_size: Count = 16
    lr: Rate = 2e-3
    penalty_weight: Weight = 10.0


class Autoencoder(genzoo.Latent, genzoo.Encoder, genzoo.Density):
    """q(z | x) and p(x | z), both normal."""

    likelihood_kind = "bound"

    def __init__(self, config: SoloConfig):
        super().__init__(config)
        self.shape, self.latent_dim = config.shape, config.latent_dim
        self.kind = kind_of(self.shape)
        self.value_range = (0.0, 1.0) if self.kind == "images" else None
        numbers = int(np.prod(self.shape))
        gate = nn.ReLU() if config.activation == "relu" else nn.Tanh()
        self.encoder = nn.Sequential(
            nn.Flatten(), nn.Linear(numbers, 16), gate, nn.Linear(16, 2 * self.latent_dim)
        )
        self.decoder = nn.Sequential(nn.Linear(self.latent_dim, 16), gate, nn.Linear(16, numbers))
        self.register_buffer("seen", torch.zeros(()))

    def decode(self, code, labels=None):
        x = self.decoder(code).unflatten(1, self.shape)
        return x.sigmoid() if self.kind == "images" else x

    def posterior(self, x):
        mean, log_scale = self.encoder(x).chunk(2, 1)
        return mean, log_scale.clamp(-5, 5)

    def embed(self, x):
        return self.posterior(x)[0]

    def log_weight(self, x, labels, noise):
        mean, log_scale = self.posterior(x)
        epsilon = noise.normal(self.latent_dim)
        z = mean + log_scale.exp() * epsilon
        likelihood = -(x - self.decode(z)).square().flatten(1).sum(1) / 2
        return likelihood + ((epsilon.square() - z.square()) / 2 + log_scale).sum(1)


class Critic(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(int(np.prod(shape)), 8), nn.Tanh(), nn.Linear(8, 1)
        )

    def forward(self, x, labels=None):
        return self.layers(x).flatten()


class TwoPhases(genzoo.Trainer):
    """The bound; then the decoder against a critic."""

    phases = (Phase("bound", 0.5), Phase("game", 0.5))
    batches_per_step = 2

    def __init__(self, model: Autoencoder, options: SoloOptions):
        self.autoencoder, self.options, self.critic = model, options, Critic(model.shape)
        players = {
            "model": make_player(model, options),
            "critic": make_player(self.critic, options, 2 * options.lr),
        }
        super().__init__(model, players)

    def begin(self, phase: str) -> None:
        if phase == "game":
            self.renew("model")

    def step(self, batch):
        one, other = batch.split(2)
        if batch.phase == "bound":
            return self.update("model", self.bound, one)
        return self.update("critic", self.criticise, one) | self.update("model", self.fool, other)

    def bound(self, batch):
        nats = self.autoencoder.log_weight(batch.x, batch.labels, batch.noise("bound")).mean()
        return -nats, {"nats": nats, "progress": batch.x.new_tensor(batch.progress)}

    def generated(self, batch):
        return self.autoencoder.generate(batch.noise("fake"), None, self.autoencoder.sampling())

    def criticise(self, batch):
        with torch.no_grad():
            fake = self.generated(batch)
        distance = self.critic(batch.x).mean() - self.critic(fake).mean()
        noise = batch.noise("penalty")
        penalty = gradient_penalty(self.critic, batch.x, fake, batch.labels, noise)
        return self.options.penalty_weight * penalty - distance, {"distance": distance}

    def fool(self, batch):
        return -self.critic(self.generated(batch)).mean(), {}


@torch.no_grad()
def finish(model, options, batches):
    model.seen.fill_(sum(len(x) for x in batches))


def upgrade(revision, config, options, tensors):
    """Revision 1 called latent_dim code."""
    names = {"code": "latent_dim"}
    return genzoo.Upgraded({names.get(key, key): v for key, v in config.items()}, options)


@genzoo.hookimpl
def genzoo_family(name):
    if name == "api2-game":
        return genzoo.Family(
            config=GameConfig,
            options=GameOptions,
            model=Generator,
            discriminator=Discriminator,
            tiny=GameConfig(size=4),
            paper="none",
            api=2,
        )
    return genzoo.Family(
        config=SoloConfig,
        options=SoloOptions,
        model=Autoencoder,
        trainer=TwoPhases,
        finish=finish,
        data="images",
        revision=2,
        upgrade=upgrade,
        tiny=SoloConfig(shape=(1, 4, 4)),
        paper="none",
        api=2,
    )


# ------------------------------------------------------------------------------------------ metrics


def brightness(x):
    return x.flatten(1).mean(1).cpu().numpy()


class Brightness(SampleMetric):
    id, goal, unit, about = "api2-brightness", "lower", " levels", "distance of the mean pixel"
    api = 2

    @property
    def name(self):
        return f"{self.id}-{self.real.data}"

    @property
    def min_samples(self):
        return 20

    @property
    def extract(self):
        return brightness

    def conditions(self):
        return {"data": self.real.data, "data_sha256": self.real.open("train").sha256}

    def estimate(self, features):
        real = float(self.real.open("train").array.mean()) / 255
        groups = features[: len(features) // 5 * 5].reshape(5, -1).mean(1)
        return Estimates(255 * np.abs(groups - real), {"groups": 5}, {"real": round(real, 3)})

    def floor(self, n):
        return 0.0


class Reconstruction(ModelMetric):
    id, goal, about = "api2-reconstruction", "lower", "squared error of decoded codes"
    api = 2

    @property
    def name(self):
        return f"{self.id}-{self.real.data}"

    def conditions(self):
        return {"data": self.real.data}

    def unsupported_reason(self, subject):
        return "" if isinstance(subject.model, genzoo.Encoder) else "it does not encode"

    def estimate(self, subject, n, seed):
        x = self.real.open("test").batch(range(n or 50))
        decoded = subject.model.decode_codes(subject.model.encode(x)).tensor.cpu()
        drawn = next(subject.samples(4, seed)).tensor.mean().item()
        errors = (decoded - x).square().flatten(1).mean(1).double().numpy()
        return Estimates(errors, {"images": len(x)}, {"mean of samples": round(drawn, 3)})

    def floor(self):
        return 0.0


@genzoo.hookimpl
def genzoo_metric(name):
    return Brightness if name == Brightness.id else Reconstruction


# ----------------------------------------------------------------------------------------- data set


def read(root, split):
    """uint8 (n, 1, 8, 8) and int64 (n,): stripes across, or down."""
    random, n = np.random.RandomState(split == "test"), {"train": 200, "test": 100}[split]
    labels = random.randint(2, size=n)
    lines = random.randint(256, size=(n, 8, 1)).repeat(8, 2)
    images = np.where(labels[:, None, None], lines, lines.transpose(0, 2, 1))
    return Rows.of(images[:, None].astype(np.uint8), labels.astype(np.int64))


@genzoo.hookimpl
def genzoo_dataset(name):
    return Source(
        name=name,
        kind="images",
        summary="stripes across and down",
        terms="free",
        levels=256,
        classes=("across", "down"),
        read=read,
        api=2,
    )
