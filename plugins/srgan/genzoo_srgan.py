"""SRGAN: from small images to large ones, with details that a discriminator believes.

Ledig et al. 2017 (arXiv:1609.04802): the networks of figure 4, the loss of section 2.2, with the
content loss of equation 4 (SRGAN-MSE of section 3.4), and the training of section 3.2: first the
content loss alone, which is SRResNet, then the game. A tanh at the end keeps images in the range.
"""

from itertools import pairwise
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from einops import reduce
from pydantic import Field
from torch import Tensor, nn

import genzoo
from genzoo.models.networks import activations
from genzoo.options import AdversarialOptions, TranslatorOptions
from genzoo.schemas import Count, Decay, Name, Rate, Schema, Shape, Share, Weight
from genzoo.training import Phase


class Config(Schema):
    """Sizes of both networks."""

    shape: Shape = (3, 96, 96)
    """of a large image"""
    domains: tuple[Name, Name] = ("low4", "high")
    scale: Literal[2, 4, 8] = 4
    """how many times larger: of the data low2, low4 or low8"""
    width: Annotated[int, Field(ge=1, le=512)] = 64
    """feature maps of the generator, and of the discriminator's first layer"""
    residual_blocks: Annotated[int, Field(ge=1, le=64)] = 16
    examples: Annotated[int, Field(ge=1, le=64)] = 16
    """images stored with the weights, which sample enlarges"""


class TrainOptions(AdversarialOptions, TranslatorOptions):
    """Section 3.2: Adam at 0.0001 with momentum 0.9, mini-batches of 16."""

    batch_size: Count = 16
    lr: Rate = 1e-4
    beta1: Decay = 0.9
    content_weight: Weight = 1000.0
    """of the content loss beside the adversarial one, whose weight is 0.001 in equation 3"""
    pretraining: Share = 0.5
    """share of the run with the content loss alone; 1 is SRResNet"""


class Residual(nn.Module):
    """Two 3x3 convolutions with batch norm and one parametric ReLU, added to their input."""

    def __init__(self, maps: int):
        super().__init__()
        first, second = (nn.Conv2d(maps, maps, 3, 1, 1, bias=False) for _ in range(2))
        norms = nn.BatchNorm2d(maps), nn.BatchNorm2d(maps)
        self.layers = nn.Sequential(first, norms[0], nn.PReLU(), second, norms[1])

    def forward(self, x: Tensor) -> Tensor:  # (n, maps, H, W) -> the same
        return x + self.layers(x)


class SRGAN(genzoo.Translator):
    """Enlarges images: what it gets has the size of its result, and each pixel many times."""

    one_way = True

    def __init__(self, config: Config):
        super().__init__(config)
        self.shape, self.domains, self.multiple = config.shape, config.domains, config.scale
        if len(self.shape) != 3:
            raise genzoo.BadInput(f"srgan enlarges images, got {self.shape}")
        given, w = config.domains[0], config.width
        if given in ("low2", "low4", "low8") and given != f"low{config.scale}":
            raise genzoo.BadInput(f"the data are @{given}, and scale is {config.scale}")
        self.smallest = config.scale
        self.enter = nn.Sequential(nn.Conv2d(self.shape[0], w, 9, 1, 4), nn.PReLU())
        blocks = [Residual(w) for _ in range(config.residual_blocks)]
        last = nn.Conv2d(w, w, 3, 1, 1, bias=False)
        self.blocks = nn.Sequential(*blocks, last, nn.BatchNorm2d(w))
        grow: list[nn.Module] = []
        for _ in range(config.scale.bit_length() - 1):
            grow += [nn.Conv2d(w, 4 * w, 3, 1, 1), nn.PixelShuffle(2), nn.PReLU()]
        self.leave = nn.Sequential(*grow, nn.Conv2d(w, self.shape[0], 9, 1, 4), nn.Tanh())
        noise = torch.randint(256, (config.examples, *self.shape), dtype=torch.uint8)
        self.register_buffer("examples", noise)

    # (n, C, H, W) -> (n, C, H, W), sides that are multiples of ``scale``
    def convert(self, x: Tensor, to: str, noise: genzoo.Noise) -> Tensor:
        s = self.config.scale
        h = self.enter(reduce(x, "n c (h a) (w b) -> n c h w", "mean", a=s, b=s))
        return self.leave(h + self.blocks(h))


class Discriminator(genzoo.Discriminator):
    """Figure 4: pairs of 3x3 convolutions, of which the second halves the sides; two dense layers.

    The sides halve up to four times, down to 4 pixels or less.
    """

    def __init__(self, config: Config):
        super().__init__()
        (channels, *sides), w = config.shape, config.width
        levels = next((i for i in range(1, 4) if min(sides) >> i <= 4), 4)
        steps = [(w << i, stride) for i in range(levels) for stride in (1, 2)]
        self.blocks, maps = nn.ModuleList(), [channels, *(n for n, _ in steps)]
        for i, (a, b) in enumerate(pairwise(maps)):
            norm = nn.BatchNorm2d(b) if i else nn.Identity()
            conv = nn.Conv2d(a, b, 3, steps[i][1], 1, bias=not i)
            self.blocks.append(nn.Sequential(conv, norm, nn.LeakyReLU(0.2)))
        places = [-(-side // 2**levels) for side in sides]
        dense = nn.Linear(maps[-1] * places[0] * places[1], 16 * w)
        self.head = nn.Sequential(nn.Flatten(), dense, nn.LeakyReLU(0.2), nn.Linear(16 * w, 1))

    def features(self, x: Tensor) -> list[Tensor]:  # (n, C, H, W) -> the output of each block
        return activations(self.blocks, x)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:  # (n, C, H, W) -> (n,)
        return self.head(self.features(x)[-1]).flatten()


class TwoPhases(genzoo.Trainer):
    """First the content loss alone, then the game from there (section 3.2)."""

    def __init__(self, model: SRGAN, options: TrainOptions):
        terms = {"generator": [self._content_term]}
        game = genzoo.Adversarial(model, Discriminator(model.config), options, terms=terms)
        super().__init__(model, game.players, inner=game)
        self.srgan, self.game, self.weight = model, game, options.content_weight
        share, self.batches_per_step = options.pretraining, game.batches_per_step
        phases = [Phase("content", share), Phase("game", 1 - share)]
        self.phases = [phase for phase in phases if phase.share > 0]

    def begin(self, phase: str) -> None:
        self.renew("generator")

    def step(self, batch: genzoo.Batch) -> genzoo.Logs:
        if batch.phase == "game":
            return self.game.step(batch)
        *_, part = batch.split(self.batches_per_step)  # as large as the generator's in the game
        return self.update("generator", self._content_loss, part)

    def _content_loss(self, batch: genzoo.Batch) -> tuple[Tensor, genzoo.Logs]:
        """Equation 4: the squared error of each pixel."""
        x = self.srgan.convert_any_size(batch.x, self.srgan.domains[1], batch.noise("none"))
        assert batch.second_domain is not None
        error = F.mse_loss(x, batch.second_domain)
        return error, {"MSE": error}

    def _content_term(self, game: genzoo.training.Game) -> tuple[Tensor, genzoo.Logs]:
        error = F.mse_loss(game.fakes, game.real)
        return self.weight * error, {"MSE": error}


@genzoo.hookimpl
def genzoo_family() -> genzoo.Family:
    return genzoo.Family(
        config=Config,
        options=TrainOptions,
        model=SRGAN,
        trainer=TwoPhases,
        data="paired",
        tiny=Config(
            shape=(1, 8, 8),
            domains=("low2", "high"),
            scale=2,
            width=4,
            residual_blocks=1,
            examples=5,
        ),
        paper="arXiv:1609.04802",
        api=2,
    )
