"""CycleGAN: two generators that undo each other, trained on unpaired images.

Zhu et al. 2017 (arXiv:1703.10593): equations 1 to 3 with least squares and a buffer of earlier
fakes (section 4), the identity loss of section 5.2, the networks of the appendix (7.2): residual
blocks between strided convolutions, and discriminators of patches.
"""

from functools import partial
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

import genzoo
from genzoo.models.networks import activations, initialise_convolution, patch_discriminator
from genzoo.options import Options, TranslatorOptions
from genzoo.schemas import Count, Decay, Name, Rate, Schema, Shape, Share, Weight
from genzoo.training import ImageBuffer, gather, make_player


class Config(Schema):
    """Sizes of the two generators and the two discriminators."""

    shape: Shape = (3, 64, 64)
    """of an image in training: sides from 3 * 2**discriminator_layers up"""
    domains: tuple[Name, Name] = ("A", "B")
    width: Annotated[int, Field(ge=1, le=512)] = 64
    """feature maps next to the image, in all four networks"""
    residual_blocks: Annotated[int, Field(ge=1, le=32)] = 9
    """of each generator: the paper has 6 at 128 pixels, 9 from 256 on"""
    discriminator_layers: Annotated[int, Field(ge=1, le=5)] = 3
    """strided layers of each discriminator: 3 classify patches of 70x70 pixels, 2 of 34, 1 of 16"""
    examples: Annotated[int, Field(ge=1, le=64)] = 16
    """images stored with the weights, which sample translates"""
    one_way: bool = False
    """without the way back: a generator that was trained elsewhere, and cannot be trained here"""


class TrainOptions(Options, TranslatorOptions):
    """Appendix 7.1: one pair per step, Adam, the rate falling to 0 from half the run on."""

    batch_size: Count = 1
    lr: Rate = 2e-4
    beta1: Decay = 0.5
    lr_decay_start: Share = 0.5
    cycle_weight: Weight = 10.0
    """weight of the cycle loss, lambda"""
    identity_weight: Weight = 0.5
    """weight of the identity loss, in lambdas"""
    buffer_size: Annotated[int, Field(ge=0, le=1000)] = 50
    """number of earlier fakes that each discriminator may get again"""


def _conv(a: int, b: int, side: int, stride: int = 1) -> list[nn.Module]:
    """A convolution over a reflected edge, instance norm, ReLU: c7s1-k and dk of the appendix."""
    reflected = [nn.ReflectionPad2d(side // 2)] if stride == 1 else []
    conv = nn.Conv2d(a, b, side, stride, 0 if reflected else side // 2)
    return [*reflected, conv, nn.InstanceNorm2d(b), nn.ReLU()]


class Residual(nn.Module):
    """Rk: two convolutions, whose output is added to their input."""

    def __init__(self, maps: int):
        super().__init__()
        self.layers = nn.Sequential(*_conv(maps, maps, 3), *_conv(maps, maps, 3)[:-1])

    def forward(self, x: Tensor) -> Tensor:  # (n, maps, H, W) -> the same
        return x + self.layers(x)


def _generator(config: Config) -> nn.Sequential:
    """``(n, C, H, W)`` to the same: c7s1-64, d128, d256, some R256, u128, u64, c7s1-3."""
    channels, k = config.shape[0], config.width
    layers = [*_conv(channels, k, 7), *_conv(k, 2 * k, 3, 2), *_conv(2 * k, 4 * k, 3, 2)]
    layers += [Residual(4 * k) for _ in range(config.residual_blocks)]
    for a in (4 * k, 2 * k):
        layers += [nn.ConvTranspose2d(a, a // 2, 3, 2, 1, 1), nn.InstanceNorm2d(a // 2), nn.ReLU()]
    last = [nn.ReflectionPad2d(3), nn.Conv2d(k, channels, 7), nn.Tanh()]
    return nn.Sequential(*layers, *last).apply(initialise_convolution)


class CycleGAN(genzoo.Translator):
    """``forth`` is the paper's G, from the first domain to the second; ``back`` is its F."""

    multiple, smallest = 4, 8

    def __init__(self, config: Config):
        super().__init__(config)
        self.shape, self.domains = config.shape, config.domains
        layers, least = config.discriminator_layers, max(8, 3 * 2**config.discriminator_layers)
        if len(self.shape) != 3 or min(self.shape[1:]) < least:  # of one pixel no norm is known
            what = f"discriminator_layers={layers} needs images of {least} pixels or more"
            raise genzoo.BadInput(f"{what}, got {'x'.join(map(str, self.shape))}")
        self.one_way, self.forth = config.one_way, _generator(config)
        self.back = nn.Identity() if config.one_way else _generator(config)
        noise = torch.randint(256, (config.examples, *self.shape), dtype=torch.uint8)
        self.register_buffer("examples", noise)

    def convert(self, x: Tensor, to: str, noise: genzoo.Noise) -> Tensor:  # (n, C, H, W) -> same
        return (self.forth if to == self.domains[1] else self.back)(x)


def patches(config: Config) -> nn.Module:  # (n, C, H, W) -> (n, 1, H', W'), a logit per patch
    return patch_discriminator(config.shape[0], config.width, config.discriminator_layers)


class Discriminator(genzoo.Discriminator):
    """One for each domain; ``forward`` and ``features`` are those of the second domain's."""

    def __init__(self, config: Config):
        super().__init__()
        self.critics = nn.ModuleList(patches(config) for _ in config.domains)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:  # -> (n, 1, H', W')
        return self.critics[1](x)

    def features(self, x: Tensor) -> list[Tensor]:  # (n, C, H, W) -> the output of each block
        return activations(self.critics[1].get_submodule("blocks").children(), x)


# By the indices of a batch: its fakes of the first domain and of the second.
Fakes = dict[tuple[int, ...], tuple[Tensor, Tensor]]


class CycleTrainer(genzoo.Trainer):
    """Updates both generators together, then both discriminators on buffered fakes."""

    def __init__(self, model: CycleGAN, discriminator: Discriminator, options: TrainOptions):
        networks = {"generators": model, "discriminator": discriminator}
        players = {name: make_player(network, options) for name, network in networks.items()}
        self.buffers = [ImageBuffer(options.buffer_size) for _ in model.domains]
        super().__init__(model, players, {"pool A": self.buffers[0], "pool B": self.buffers[1]})
        self.pair, self.critics, self.options = model, discriminator.critics, options

    def step(self, batch: genzoo.Batch) -> genzoo.Logs:
        if not self.options.examples_from:  # the first images that it learns from
            x = gather(batch.x)
            free = self.pair.examples[batch.step * len(x) :][: len(x)]
            free.copy_(((x[: len(free)] + 1) * 127.5).round())
        fakes: Fakes = {}
        logs = self.update("generators", partial(self._generator_loss, fakes), batch)
        return logs | self.update("discriminator", partial(self._discriminator_loss, fakes), batch)

    def _generator_loss(self, fakes: Fakes, batch: genzoo.Batch) -> tuple[Tensor, genzoo.Logs]:
        pair, o, noise = self.pair, self.options, batch.noise("none")
        a, b = batch.x, batch.second_domain
        assert b is not None
        back, forth = (partial(pair.convert_any_size, to=to, noise=noise) for to in pair.domains)
        fake_b, fake_a = forth(a), back(b)
        fakes[batch.indices] = fake_a.detach(), fake_b.detach()
        # Equations 1, 2 and 3.
        adversarial = _error(self.critics[0](fake_a), 1) + _error(self.critics[1](fake_b), 1)
        cycle = F.l1_loss(back(fake_b), a) + F.l1_loss(forth(fake_a), b)
        loss = adversarial + o.cycle_weight * cycle
        logs = {"adversarial": adversarial, "cycle": cycle}
        if o.identity_weight:  # section 5.2
            logs["identity"] = F.l1_loss(back(a), a) + F.l1_loss(forth(b), b)
            loss = loss + o.cycle_weight * o.identity_weight * logs["identity"]
        return loss, logs

    def _discriminator_loss(self, fakes: Fakes, batch: genzoo.Batch) -> tuple[Tensor, genzoo.Logs]:
        loss = torch.zeros((), device=batch.x.device)
        for i, real in enumerate((batch.x, batch.second_domain)):
            fake = self.buffers[i].swap(fakes[batch.indices][i], batch.noise(f"pool {i}"))
            # Half: appendix 7.1 slows the discriminators down.
            loss = loss + (_error(self.critics[i](real), 1) + _error(self.critics[i](fake), 0)) / 2
        return loss, {}


def _error(logits: Tensor, target: float) -> Tensor:
    """Least squares, which section 4 puts in place of the logarithms of equation 1."""
    return (logits.float() - target).square().mean()


def trainer(model: CycleGAN, options: TrainOptions) -> genzoo.Trainer:
    if model.one_way:
        raise genzoo.BadInput("one_way: without the way back there is no cycle to train")
    return CycleTrainer(model, Discriminator(model.config), options)


def adopt(shapes: genzoo.Shapes) -> genzoo.Adopted:
    """The authors' ResNet generators: of one way, or those of A and of B."""
    first, *_, last = convolutions = shapes.convolutions(8)
    blocks, one_way = len(convolutions) // (2 * shapes.networks) - 3, shapes.networks == 1
    side = 256 if blocks > 6 else 128  # appendix 7.2; no weight depends on it
    sizes = {"shape": (last[0], side, side), "width": first[0], "residual_blocks": blocks}
    return genzoo.Adopted(
        source="the ResNet generator of pytorch-CycleGAN-and-pix2pix",
        config={**sizes, "one_way": one_way},
        kept=("examples",),
        unused=("running_mean", "running_var", "num_batches_tracked"),
    )


TINY = Config(shape=(3, 16, 16), width=4, residual_blocks=1, discriminator_layers=1, examples=5)


@genzoo.hookimpl
def genzoo_family() -> genzoo.Family:
    return genzoo.Family(
        config=Config,
        options=TrainOptions,
        model=CycleGAN,
        discriminator=Discriminator,
        trainer=trainer,
        data="unpaired",
        revision=2,
        upgrade=genzoo.rename_fields(
            blocks="residual_blocks",
            layers="discriminator_layers",
            cycle="cycle_weight",
            identity="identity_weight",
            pool="buffer_size",
        ),
        adopt=adopt,
        tiny=TINY,
        paper="arXiv:1703.10593",
        api=2,
    )
