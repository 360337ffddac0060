"""BiGAN: a GAN whose discriminator sees samples with their codes, so that an encoder plays too.

Donahue, Krähenbühl & Darrell 2017 (arXiv:1605.09782): the objective of equation 3, learnt with the
labels exchanged, as its section on learning says, and perceptrons as in its MNIST experiment.
Dumoulin et al. 2017 (arXiv:1606.00704) found the same game, ALI; the discriminator is built as
theirs, from a part for x, a part for z and one for both. E and G stand in one model here.
"""

import math

import torch
from torch import Tensor, nn

import genzoo
from genzoo.models.laws import Law, Uniform
from genzoo.models.networks import kind_of, squash, unit_range
from genzoo.options import DiscriminatorRate, Options
from genzoo.schemas import Count, Decay, Rate, Schema, Shape
from genzoo.training import LOSSES, make_players


class Config(Schema):
    """Sizes of the three networks. Samples may have any shape: points, sound, images."""

    shape: Shape = (1, 28, 28)
    latent_dim: Count = 50
    units: Count = 1024
    """in each of two hidden layers of each network"""


class TrainOptions(Options):
    """Adam as in DCGAN, mini-batches of 128."""

    batch_size: Count = 128
    lr: Rate = 2e-4
    beta1: Decay = 0.5
    discriminator_lr: DiscriminatorRate = 0.0
    """learning rate of the discriminator; 0: the model's"""


def _layers(inputs: int, units: int, outputs: int) -> nn.Sequential:
    layers = list[nn.Module]()
    for a in (inputs, units):
        layers += [nn.Linear(a, units, bias=False), nn.BatchNorm1d(units), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Linear(units, outputs))


class BiGAN(genzoo.Latent, genzoo.Encoder):
    """The generator G (``decode``) and the encoder E (``embed``)."""

    def __init__(self, config: Config):
        super().__init__(config)
        self.latent_dim, self.shape = config.latent_dim, config.shape
        self.kind, self.value_range = kind_of(self.shape), unit_range(self.shape)
        size = math.prod(self.shape)
        self.encoder = _layers(size, config.units, self.latent_dim)
        self.generator = _layers(self.latent_dim, config.units, size)

    def law(self) -> tuple[Law, ...]:
        return (Uniform(self.latent_dim),)

    # (n, latent_dim) -> (n, *shape)
    def decode(self, code: Tensor, labels: Tensor | None = None) -> Tensor:
        return squash(self.generator(code).unflatten(1, self.shape), self.value_range)

    def embed(self, x: Tensor) -> Tensor:  # (n, *shape) -> (n, latent_dim) in (-1, 1)
        return self.encoder(x.flatten(1)).tanh()


class Discriminator(nn.Module):
    """A sample and a code to a logit: whether the code was found or drawn.

    Without batch norm, which would take away what all pairs of one kind share.
    """

    def __init__(self, config: Config):
        super().__init__()
        size, units = math.prod(config.shape), config.units
        self.of_x = nn.Sequential(nn.Linear(size, units), nn.LeakyReLU(0.2))
        self.of_z = nn.Sequential(nn.Linear(config.latent_dim, units), nn.LeakyReLU(0.2))
        self.of_both = nn.Sequential(
            *(nn.Linear(2 * units, units), nn.LeakyReLU(0.2)),
            *(nn.Linear(units, units), nn.LeakyReLU(0.2), nn.Linear(units, 1)),
        )

    # (n, *shape), (n, latent_dim) -> (n,)
    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        return self.of_both(torch.cat([self.of_x(x.flatten(1)), self.of_z(code)], 1)).flatten()


class BiGANTrainer(genzoo.Trainer):
    """D tells (x, E(x)) from (G(z), z); then E and G learn to exchange them (section 3.4)."""

    def __init__(self, model: BiGAN, discriminator: Discriminator, options: TrainOptions):
        players = make_players(model, discriminator, options, options.discriminator_lr)
        super().__init__(model, players)
        self.bigan, self.discriminator = model, discriminator
        self.loss = LOSSES["non-saturating"]

    def step(self, batch: genzoo.Batch) -> genzoo.Logs:
        return {
            **self.update("discriminator", self._discriminator_loss, batch),
            **self.update("generator", self._generator_loss, batch),
        }

    def logits(self, batch: genzoo.Batch) -> tuple[Tensor, Tensor]:
        """D(x, E(x)) and D(G(z), z), ``(n,)`` each."""
        model = self.bigan
        z = model.draw_code(batch.noise("code"), model.sampling())
        pairs = (batch.x, model.embed(batch.x)), (model.decode(z), z)
        of_data, of_fakes = (self.discriminator(*pair).float() for pair in pairs)
        return of_data, of_fakes

    def _discriminator_loss(self, batch: genzoo.Batch) -> tuple[Tensor, genzoo.Logs]:
        """Equation 3: its gradient goes to the discriminator's weights alone."""
        of_data, of_fakes = self.logits(batch)
        loss = self.loss.discriminator(of_data, torch.ones_like(of_data))
        loss = loss + self.loss.discriminator(of_fakes, torch.zeros_like(of_fakes))
        correct = (of_data > 0).float().mean() + (of_fakes < 0).float().mean()
        shares = {"D(x, E(x))": of_data, "D(G(z), z)": of_fakes}
        logs = {name: logits.sigmoid().mean() for name, logits in shares.items()}
        return loss, {"accuracy": correct / 2, **logs}

    def _generator_loss(self, batch: genzoo.Batch) -> tuple[Tensor, genzoo.Logs]:
        """Section 3.4: the labels exchanged, for gradients where D is certain."""
        of_data, of_fakes = self.logits(batch)
        return self.loss.generator(of_fakes) + self.loss.generator(-of_data), {}


def trainer(model: BiGAN, options: TrainOptions) -> genzoo.Trainer:
    return BiGANTrainer(model, Discriminator(model.config), options)


@genzoo.hookimpl
def genzoo_family() -> genzoo.Family:
    return genzoo.Family(
        config=Config,
        options=TrainOptions,
        model=BiGAN,
        trainer=trainer,
        tiny=Config(shape=(1, 8, 8), latent_dim=4, units=8),
        paper="arXiv:1605.09782",
        api=2,
    )
