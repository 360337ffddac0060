"""CycleGAN: two generators, each of which undoes what the other does, from unpaired pictures.

Zhu et al. 2017 (arXiv:1703.10593): the losses are its equations 1 to 3 with least squares and a
pool of earlier fakes (section 4), the identity loss that of section 5.2, the networks those of its
appendix (7.2): residual blocks between strided convolutions, and a discriminator of patches.
"""

from functools import partial
from itertools import pairwise
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

import genzoo
from genzoo.options import Options
from genzoo.schemas import Count, Decay, Name, Rate, Schema, Shape, Share, Weight
from genzoo.training import ImageBuffer, make_player

Domains = tuple[Name, Name]


class Config(Schema):
    """Sizes of the two generators and the two discriminators."""

    shape: Shape = (3, 64, 64)
    """of a picture in training: any sides from 8 up"""
    domains: Domains = ("A", "B")
    width: Annotated[int, Field(ge=1, le=512)] = 64
    """feature maps next to the picture, in all four networks"""
    blocks: Annotated[int, Field(ge=1, le=32)] = 9
    """residual blocks of a generator: the paper takes 6 at 128 pixels, 9 from 256 on"""
    layers: Annotated[int, Field(ge=1, le=5)] = 3
    """strided layers of a discriminator: 3 judge patches of 70x70 pixels, 2 of 34, 1 of 16"""
    examples: Annotated[int, Field(ge=1, le=64)] = 16
    """pictures that are kept with the weights, for sample to start from"""


class TrainOptions(Options):
    """Appendix 7.1: one pair a step, Adam, the rate falling to 0 from half the run on."""

    batch_size: Count = 1
    lr: Rate = 2e-4
    beta1: Decay = 0.5
    lr_decay_start: Share = 0.5
    cycle: Weight = 10.0
    """weight of the cycle loss, lambda"""
    identity: Weight = 0.5
    """weight of the identity loss, in lambdas"""
    pool: Annotated[int, Field(ge=0, le=1000)] = 50
    """earlier fakes that the discriminators are shown again"""
    examples_from: Name = ""
    """a model whose samples are kept as examples, in place of pictures of the first domain"""


def _conv(a: int, b: int, side: int, stride: int = 1) -> list[nn.Module]:
    """A convolution over a reflected edge, instance norm, ReLU: c7s1-k and dk of the appendix."""
    pad = side // 2
    layers = [nn.ReflectionPad2d(pad)] if stride == 1 else []
    conv = nn.Conv2d(a, b, side, stride, pad if stride > 1 else 0)
    return [*layers, conv, nn.InstanceNorm2d(b), nn.ReLU()]


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0, 0.02)


class Residual(nn.Module):
    """Rk: two convolutions around which the picture passes."""

    def __init__(self, maps: int):
        super().__init__()
        self.layers = nn.Sequential(*_conv(maps, maps, 3), *_conv(maps, maps, 3)[:-1])

    def forward(self, x: Tensor) -> Tensor:  # (n, maps, H, W) -> the same
        return x + self.layers(x)


def _generator(config: Config) -> nn.Sequential:
    """c7s1-64, d128, d256, blocks of R256, u128, u64, c7s1-3."""
    channels, k = config.shape[0], config.width
    layers = [*_conv(channels, k, 7), *_conv(k, 2 * k, 3, 2), *_conv(2 * k, 4 * k, 3, 2)]
    layers += [Residual(4 * k) for _ in range(config.blocks)]
    for a in (4 * k, 2 * k):
        layers += [nn.ConvTranspose2d(a, a // 2, 3, 2, 1, 1), nn.InstanceNorm2d(a // 2), nn.ReLU()]
    last = [nn.ReflectionPad2d(3), nn.Conv2d(k, channels, 7), nn.Tanh()]
    return nn.Sequential(*layers, *last).apply(_initialise)


class CycleGAN(genzoo.Translator):
    """G from the first domain to the second, F back."""

    def __init__(self, config: Config):
        super().__init__(config)
        self.shape, self.domains = config.shape, config.domains
        if len(self.shape) != 3 or min(self.shape[1:]) < 8:
            sizes = "x".join(map(str, self.shape))
            raise genzoo.BadInput(f"CycleGAN takes pictures from 8 pixels up, got {sizes}")
        self.forth, self.back = _generator(config), _generator(config)
        kept = torch.randint(256, (config.examples, *self.shape), dtype=torch.uint8)
        self.register_buffer("examples", kept)

    def convert(self, x: Tensor, to: str, noise: genzoo.Noise) -> Tensor:
        """(n, C, H, W) of any size: the sides are made up to multiples of 4, and cut again."""
        height, width = x.shape[2:]
        whole = F.pad(x, (0, -width % 4, 0, -height % 4), mode="replicate")
        generator = self.forth if to == self.domains[1] else self.back
        return generator(whole)[:, :, :height, :width]


class PatchDiscriminator(nn.Module):
    """PatchGAN (Isola et al. 2017, section 3.2.2): every patch of the picture is judged alone."""

    def __init__(self, config: Config):
        super().__init__()
        maps = [config.shape[0], *(config.width * 2 ** min(i, 3) for i in range(config.layers + 1))]
        self.blocks = nn.ModuleList()
        for i, (a, b) in enumerate(pairwise(maps)):
            conv = nn.Conv2d(a, b, 4, 2 if i < config.layers else 1, 1)
            norm = nn.InstanceNorm2d(b) if i else nn.Identity()
            self.blocks.append(nn.Sequential(conv, norm, nn.LeakyReLU(0.2)))
        self.head = nn.Conv2d(maps[-1], 1, 4, 1, 1)
        self.apply(_initialise)

    def forward(self, x: Tensor) -> list[Tensor]:  # (n, C, H, W) -> maps, the logits' the last
        found = [x]
        for block in self.blocks:
            found.append(block(found[-1]))
        return [*found[1:], self.head(found[-1])]


class Discriminator(genzoo.Discriminator):
    """A critic for each domain; by itself it judges the second."""

    def __init__(self, config: Config):
        super().__init__()
        self.critics = nn.ModuleList(PatchDiscriminator(config) for _ in config.domains)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:  # -> (n, 1, H', W')
        return self.critics[1](x)[-1]

    def features(self, x: Tensor) -> list[Tensor]:
        return self.critics[1](x)[:-1]


class Cycle(genzoo.Trainer):
    """The generators move first, together; then the discriminators, on pools of fakes."""

    def __init__(self, model: CycleGAN, discriminator: Discriminator, options: TrainOptions):
        players = {
            "generators": make_player(model, options),
            "discriminator": make_player(discriminator, options),
        }
        self.pools = (ImageBuffer(options.pool), ImageBuffer(options.pool))
        super().__init__(model, players, dict(zip(("pool A", "pool B"), self.pools, strict=True)))
        self.pair, self.critics, self.options = model, discriminator.critics, options

    def step(self, batch: genzoo.Batch) -> genzoo.Logs:
        first = batch.step * len(batch)
        if not self.options.examples_from and first < len(self.pair.examples):
            kept = self.pair.examples[first : first + len(batch)]
            kept.copy_(((batch.x[: len(kept)] + 1) * 127.5).round())
        fakes: dict[tuple[int, ...], tuple[Tensor, Tensor]] = {}
        logs = self.update("generators", partial(self._generate, fakes), batch)
        return logs | self.update("discriminator", partial(self._judge, fakes), batch)

    def _generate(self, fakes: dict, batch: genzoo.Batch) -> tuple[Tensor, genzoo.Logs]:
        a, b = batch.x, _other(batch)
        fake_b, fake_a = self.pair.forth(a), self.pair.back(b)
        fakes[batch.indices] = fake_a.detach(), fake_b.detach()
        loss = _least_squares(self.critics[0](fake_a)[-1], 1)
        loss = loss + _least_squares(self.critics[1](fake_b)[-1], 1)
        cycle = F.l1_loss(self.pair.back(fake_b), a) + F.l1_loss(self.pair.forth(fake_a), b)
        total, logs = loss + self.options.cycle * cycle, {"adversarial": loss, "cycle": cycle}
        if self.options.identity:
            same = F.l1_loss(self.pair.back(a), a) + F.l1_loss(self.pair.forth(b), b)
            total = total + self.options.cycle * self.options.identity * same
            logs["identity"] = same
        return total, {name: value.detach() for name, value in logs.items()}

    def _judge(self, fakes: dict, batch: genzoo.Batch) -> tuple[Tensor, genzoo.Logs]:
        total: Any = 0.0
        reals = (batch.x, _other(batch))
        for i, (critic, real) in enumerate(zip(self.critics, reals, strict=True)):
            shown = self.pools[i].swap(fakes[batch.indices][i], batch.noise(f"pool {i}"))
            loss = _least_squares(critic(real)[-1], 1) + _least_squares(critic(shown)[-1], 0)
            total = total + loss / 2  # the paper's way to slow the discriminators down
        return total, {}


def _least_squares(logits: Tensor, target: float) -> Tensor:
    return (logits.float() - target).square().mean()


def _other(batch: genzoo.Batch) -> Tensor:
    assert batch.second_domain is not None
    return batch.second_domain


def trainer(model: CycleGAN, options: TrainOptions) -> genzoo.Trainer:
    if options.examples_from:
        drawn: Any = genzoo.load(options.examples_from, device="cpu")
        examples = drawn.sample(len(model.examples)).tensor
        if examples.shape != model.examples.shape:
            sizes = ("x".join(map(str, x.shape[1:])) for x in (examples, model.examples))
            raise genzoo.BadInput("examples of {}, and the model's pictures {}".format(*sizes))
        model.examples.copy_((examples * 255).round())
    return Cycle(model, Discriminator(model.config), options)


@genzoo.hookimpl
def genzoo_family() -> genzoo.Family:
    return genzoo.Family(
        config=Config,
        options=TrainOptions,
        model=CycleGAN,
        discriminator=Discriminator,
        trainer=trainer,
        data="unpaired",
        tiny=Config(shape=(3, 16, 16), width=4, blocks=1, layers=1, examples=5),
        paper="arXiv:1703.10593",
        api=2,
    )
