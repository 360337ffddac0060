"""A family, two metrics and a data set in one plugin, as strangers write them.

A VAE with a discriminator, the brightness of samples, the error of reconstructions, and pictures of
stripes. `tests/test_typing.py` has type checkers read this file, and runs its contracts.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

import genzoo
from genzoo.data import Rows, Source
from genzoo.metrics import Estimates, ModelMetric, ModelSubject, SampleMetric
from genzoo.models.networks import kind_of
from genzoo.options import DiscriminatorRate, Options
from genzoo.schemas import Count, Decay, Rate, Schema, Shape, Share, Weight
from genzoo.training import ImageBuffer, gradient_penalty, make_player

# ------------------------------------------------------------------------------------------ family


class Config(Schema):
    """Sizes of both networks."""

    shape: Shape = (1, 8, 8)
    latent_dim: Count = 4
    width: Annotated[int, Field(ge=1, le=4096)] = 16
    """units of the hidden layer"""
    activation: Literal["relu", "tanh"] = "relu"


class TrainOptions(Options):
    """A short run."""

    batch_size: Count = 16
    lr: Rate = 1e-3
    ema_decay: Decay = 0.9
    discriminator_lr: DiscriminatorRate = 0.0
    """learning rate of the discriminator; 0: the model's"""
    penalty_weight: Weight = 10.0
    beta: Weight = 1.0
    """weight of the divergence from the prior"""
    rise: Share = 0.1
    """share of the run in which beta rises"""


class Autoencoder(genzoo.Latent, genzoo.Encoder, genzoo.Density):
    """q(z | x) and p(x | z), both normal."""

    likelihood_kind = "bound"

    def __init__(self, config: Config):
        super().__init__(config)
        self.shape, self.latent_dim = config.shape, config.latent_dim
        self.kind = kind_of(self.shape)
        self.value_range = (0.0, 1.0) if len(self.shape) == 3 else None
        size = int(np.prod(self.shape))
        gate = nn.ReLU() if config.activation == "relu" else nn.Tanh()
        first, last = nn.Linear(size, config.width), nn.Linear(config.width, 2 * self.latent_dim)
        self.encoder = nn.Sequential(nn.Flatten(), first, gate, last)
        first, last = nn.Linear(self.latent_dim, config.width), nn.Linear(config.width, size)
        self.decoder = nn.Sequential(first, gate, last, nn.Unflatten(1, self.shape))
        self.mean: Tensor
        self.register_buffer("mean", torch.zeros(self.latent_dim))

    def decode(self, code: Tensor, labels: Tensor | None = None) -> Tensor:
        # (n, latent_dim) -> (n, *shape)
        x: Tensor = self.decoder(self.mean + code)
        return x if self.value_range is None else x.sigmoid()

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:  # (n, *shape) -> two of (n, latent)
        mean, log_variance = self.encoder(x).float().chunk(2, dim=1)
        return mean, log_variance.clamp(-12, 8)

    def embed(self, x: Tensor) -> Tensor:  # (n, *shape) -> (n, latent_dim)
        return self.posterior(x)[0] - self.mean

    def log_weight(self, x: Tensor, labels: Tensor | None, noise: genzoo.Noise) -> Tensor:
        mean, log_variance = self.posterior(x)
        epsilon = noise.normal(self.latent_dim)
        z = mean + (log_variance / 2).exp() * epsilon
        decoded = self.decode(z - self.mean)
        likelihood = -(x - decoded).square().flatten(1).sum(1) / 2
        return likelihood - (z - self.mean).square().sum(1) / 2 + epsilon.square().sum(1) / 2


class Discriminator(genzoo.Discriminator):
    """One hidden layer."""

    def __init__(self, config: Config):
        super().__init__()
        size = int(np.prod(config.shape))
        self.hidden = nn.Sequential(nn.Flatten(), nn.Linear(size, config.width), nn.ReLU())
        self.head = nn.Linear(config.width, 1)

    def features(self, x: Tensor) -> list[Tensor]:  # (n, *shape) -> one of (n, width)
        return [self.hidden(x)]

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:  # (n, *shape) -> (n,)
        logits: Tensor = self.head(self.features(x)[-1])
        return logits.flatten()


class VAEGAN(genzoo.Trainer):
    """The bound, and a game against a discriminator that has a memory."""

    batches_per_step = 2

    def __init__(self, model: Autoencoder, options: TrainOptions):
        self.vae, self.options = model, options
        self.discriminator, self.memory = Discriminator(model.config), ImageBuffer(32)
        rate = options.discriminator_lr or options.lr
        players = {
            "model": make_player(model, options),
            "discriminator": make_player(self.discriminator, options, rate),
        }
        super().__init__(model, players, {"memory": self.memory})

    def step(self, batch: genzoo.Batch) -> genzoo.Logs:
        one, other = batch.split(2)
        logs = self.update("discriminator", self._discriminate, one)
        return logs | self.update("model", self._autoencode, other)

    def _discriminate(self, batch: genzoo.Batch) -> tuple[Tensor, genzoo.Logs]:
        with torch.no_grad():
            fake = self.vae.generate(batch.noise("fake"), None, self.vae.sampling())
            fake = self.memory.swap(fake, batch.noise("memory"))
        loss: Tensor = self.discriminator(fake).mean() - self.discriminator(batch.x).mean()
        noise = batch.noise("penalty")
        penalty = gradient_penalty(self.discriminator, batch.x, fake, batch.labels, noise)
        return loss + self.options.penalty_weight * penalty, {"distance": -loss.detach()}

    def _autoencode(self, batch: genzoo.Batch) -> tuple[Tensor, genzoo.Logs]:
        mean, log_variance = self.vae.posterior(batch.x)
        z = mean + (log_variance / 2).exp() * batch.noise("code").normal(self.vae.latent_dim)
        decoded = self.vae.decode(z - self.vae.mean)
        error = (decoded - batch.x).square().flatten(1).sum(1).mean()
        divergence = (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean() / 2
        rise = min(1.0, batch.progress / max(self.options.rise, 1e-9))
        fooled = -self.discriminator(decoded).mean()
        return error + self.options.beta * rise * divergence + fooled, {"error": error}


@torch.no_grad()
def finish(model: Autoencoder, options: TrainOptions, batches: Iterable[Tensor]) -> None:
    model.mean.copy_(torch.cat([model.posterior(x)[0] for x in batches]).mean(0))


@genzoo.hookimpl
def genzoo_family() -> genzoo.Family:
    return genzoo.Family(
        config=Config,
        options=TrainOptions,
        model=Autoencoder,
        discriminator=Discriminator,
        trainer=VAEGAN,
        finish=finish,
        revision=2,
        upgrade=genzoo.rename_fields(code="latent_dim"),
        tiny=Config(width=4),
        paper="arXiv:1512.09300",
        api=2,
    )


# ----------------------------------------------------------------------------------------- metrics


class Brightness(SampleMetric):
    """How far the mean pixel of samples is from that of real images."""

    id, goal, about = "sample-brightness", "lower", "distance of the mean pixel to real images"
    api = 2

    @property
    def name(self) -> str:
        return f"{self.id}-{self.real.data}"

    @property
    def min_samples(self) -> int:
        return 20

    @property
    def extract(self) -> Callable[[Tensor], np.ndarray]:
        return mean_pixel

    def conditions(self) -> dict[str, Any]:
        return {"data": self.real.data}

    def estimate(self, features: np.ndarray) -> Estimates:
        groups = features[: len(features) // 10 * 10].reshape(10, -1)
        return Estimates(np.abs(groups.mean(1) - self.mean("train")), {"groups": 10})

    def floor(self, n: int) -> float | None:
        return abs(self.mean("train") - self.mean("test"))

    def mean(self, split: str) -> float:
        return float(self.real.open(split).array.mean()) / 255


def mean_pixel(x: Tensor) -> np.ndarray:  # (n, C, H, W) in [0, 1] -> (n,)
    pixels: np.ndarray = x.flatten(1).mean(1).numpy()
    return pixels


class Reconstruction(ModelMetric):
    """The squared error of decoded codes of test images."""

    id, goal, about = "sample-reconstruction", "lower", "squared error of decoded codes"
    api = 2

    @property
    def name(self) -> str:
        return f"{self.id}-{self.real.data}"

    def conditions(self) -> dict[str, Any]:
        return {"data": self.real.data}

    def unsupported_reason(self, subject: ModelSubject) -> str:
        able = isinstance(subject.model, genzoo.Encoder) and isinstance(
            subject.model, genzoo.Latent
        )
        return "" if able else "it does not encode and decode"

    def estimate(self, subject: ModelSubject, n: int | None, seed: int) -> Estimates:
        model, test = subject.model, self.real.open("test")
        assert isinstance(model, genzoo.Encoder)
        assert isinstance(model, genzoo.Latent)
        x = test.batch(range(min(n or 100, len(test))))
        decoded = model.decode_codes(model.encode(x)).tensor
        return Estimates((decoded.cpu() - x).square().flatten(1).mean(1).double().numpy())

    def floor(self) -> float | None:
        return 0.0


@genzoo.hookimpl
def genzoo_metric(name: str) -> type[SampleMetric] | type[ModelMetric]:
    return Brightness if name == Brightness.id else Reconstruction


# ---------------------------------------------------------------------------------------- data set


def read(root: Path | None, split: str) -> Rows:
    """uint8 (n, 1, 8, 8) and int64 (n,): stripes across, or down."""
    random, n = np.random.RandomState(split == "test"), {"train": 400, "test": 200}[split]
    labels = random.randint(2, size=n)
    lines = random.randint(256, size=(n, 8, 1)).repeat(8, 2)
    pictures = np.where(labels[:, None, None], lines, lines.transpose(0, 2, 1))
    return Rows.of(pictures[:, None].astype(np.uint8), labels.astype(np.int64))


@genzoo.hookimpl
def genzoo_dataset() -> Source:
    return Source(
        name="sample-stripes",
        kind="images",
        summary="stripes across or down",
        terms="made by its own code: free of rights",
        levels=256,
        classes=("across", "down"),
        read=read,
        api=2,
    )
