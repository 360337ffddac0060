"""VQ-VAE: an autoencoder whose code is a small map of integers, and a prior that draws such maps.

Van den Oord et al. 2017 (arXiv:1711.00937): the loss of equation 3, and in a second phase a
PixelCNN on the codes (section 3.3), here with the masks of arXiv:1601.06759, section 3.4.
"""

from itertools import product
from typing import Annotated

import torch
import torch.nn.functional as F
from einops import rearrange
from pydantic import Field
from torch import Tensor, nn

import genzoo
from genzoo import Noise
from genzoo.options import Options, Sampling
from genzoo.schemas import Count, Rate, Schema, Shape, Weight
from genzoo.training import Phase, make_player


class Config(Schema):
    """Sizes of the autoencoder, the codebook and the prior."""

    shape: Shape = (1, 28, 28)
    codebook_size: Annotated[int, Field(ge=2, le=4096)] = 64
    """K of the paper: values that a code takes"""
    code_dim: Annotated[int, Field(ge=1, le=512)] = 16
    """D of the paper: length of each vector of the codebook"""
    width: Annotated[int, Field(ge=1, le=512)] = 32
    """feature maps of all networks"""
    prior_layers: Annotated[int, Field(ge=1, le=32)] = 4


class TrainOptions(Options):
    """Section 4.1, at the size of a CPU."""

    batch_size: Count = 64
    lr: Rate = 1e-3
    commitment_weight: Weight = 0.25
    """beta of equation 3"""


class CodeSampling(Sampling):
    """How codes are drawn."""

    temperature: Annotated[float, Field(ge=0, le=10)] = 1.0
    """logits are divided by it: below 1 likely codes come more often, at 0 only the likeliest"""


class Residual(nn.Module):
    """ReLU, 3x3 convolution, ReLU, 1x1 convolution (section 4.1)."""

    def __init__(self, maps: int):
        super().__init__()
        first, last = nn.Conv2d(maps, maps, 3, 1, 1), nn.Conv2d(maps, maps, 1)
        self.layers = nn.Sequential(nn.ReLU(), first, nn.ReLU(), last)

    def forward(self, x: Tensor) -> Tensor:  # (n, maps, H, W) -> the same
        return x + self.layers(x)


class MaskedConv(nn.Conv2d):
    """A convolution that sees the places above and to the left; of a place itself, if ``own``."""

    mask: Tensor

    def __init__(self, maps: int, side: int, own: bool):
        super().__init__(maps, maps, side, padding=side // 2)
        mask = torch.arange(side**2) < side**2 // 2 + own
        self.register_buffer("mask", mask.view(side, side))

    def forward(self, x: Tensor) -> Tensor:  # (n, maps, h, w) -> the same
        return F.conv2d(x, self.weight * self.mask, self.bias, padding=self.padding)


class Prior(nn.Module):
    """p of each code, given those before it in raster order."""

    def __init__(self, k: int, width: int, layers: int):
        super().__init__()
        self.embedding, self.first = nn.Embedding(k, width), MaskedConv(width, 5, own=False)
        self.layers = nn.ModuleList(MaskedConv(width, 3, own=True) for _ in range(layers))
        self.last = nn.Conv2d(width, k, 1)

    def forward(self, codes: Tensor) -> Tensor:  # (n, h, w) integers -> logits (n, K, h, w)
        h = self.first(rearrange(self.embedding(codes), "n h w c -> n c h w"))
        for layer in self.layers:
            h = h + layer(h.relu())
        return self.last(h.relu())


class VQVAE(genzoo.Sampler):
    """``generate`` draws codes from the prior and decodes them."""

    sampling = CodeSampling

    def __init__(self, config: Config):
        super().__init__(config)
        self.shape, (k, d, w) = config.shape, (config.codebook_size, config.code_dim, config.width)
        if len(self.shape) != 3 or any(side % 4 for side in self.shape[1:]):
            raise genzoo.BadInput(f"VQ-VAE needs images whose sides halve twice, got {self.shape}")
        self.encoder = nn.Sequential(
            *(nn.Conv2d(self.shape[0], w, 4, 2, 1), nn.ReLU(), nn.Conv2d(w, w, 4, 2, 1)),
            *(Residual(w), Residual(w), nn.ReLU(), nn.Conv2d(w, d, 1)),
        )
        self.codebook = nn.Embedding(k, d)
        nn.init.uniform_(self.codebook.weight, -1 / k, 1 / k)  # as the authors' code does
        self.decoder = nn.Sequential(
            *(nn.Conv2d(d, w, 3, 1, 1), Residual(w), Residual(w), nn.ReLU()),
            *(nn.ConvTranspose2d(w, w, 4, 2, 1), nn.ReLU()),
            *(nn.ConvTranspose2d(w, self.shape[0], 4, 2, 1), nn.Tanh()),
        )
        self.prior = Prior(k, w, config.prior_layers)

    def nearest(self, z: Tensor) -> Tensor:  # (n, D, h, w) -> (n, h, w) integers, equation 1
        z, e = rearrange(z, "n d h w -> n h w d"), self.codebook.weight
        return (e.square().sum(1) - 2 * z @ e.T).argmin(3)

    def vectors(self, codes: Tensor) -> Tensor:  # (n, h, w) integers -> (n, D, h, w)
        return rearrange(self.codebook(codes), "n h w d -> n d h w")

    @torch.no_grad()
    def draw(self, noise: Noise, temperature: float = 1.0) -> Tensor:  # (n, h, w) integers
        """One code after the other, in raster order."""
        height, width = (side // 4 for side in self.shape[1:])
        codes = torch.zeros(len(noise), height, width, dtype=torch.int64, device=self.device)
        # The argmax of logits plus Gumbel noise is a sample from their softmax.
        epsilon = temperature * noise.gumbel(self.config.codebook_size, height, width)
        for i, j in product(range(height), range(width)):
            codes[:, i, j] = (self.prior(codes) + epsilon)[:, :, i, j].argmax(1)
        return codes

    def generate(self, noise: Noise, labels: Tensor | None, sampling: CodeSampling) -> Tensor:
        return self.decoder(self.vectors(self.draw(noise, sampling.temperature)))


class TwoPhases(genzoo.Trainer):
    """First the autoencoder, then the prior on its codes."""

    phases = (Phase("autoencoder", 0.5), Phase("prior", 0.5))

    def __init__(self, model: VQVAE, options: TrainOptions):
        autoencoder = nn.ModuleList([model.encoder, model.codebook, model.decoder])
        networks = {"autoencoder": autoencoder, "prior": model.prior}
        super().__init__(model, {k: make_player(v, options) for k, v in networks.items()})
        self.vqvae, self.options = model, options

    def step(self, batch: genzoo.Batch) -> genzoo.Logs:
        loss = self.autoencoder_loss if batch.phase == "autoencoder" else self.prior_loss
        return self.update(batch.phase, loss, batch)

    def autoencoder_loss(self, batch: genzoo.Batch) -> tuple[Tensor, genzoo.Logs]:
        """Equation 3; what the decoder gets has the value of e, and its gradient goes to z."""
        z = self.vqvae.encoder(batch.x)
        codes = self.vqvae.nearest(z)
        e = self.vqvae.vectors(codes)
        error = F.mse_loss(self.vqvae.decoder(z + (e - z).detach()), batch.x)
        commitment = self.options.commitment_weight * F.mse_loss(z, e.detach())
        usage = F.one_hot(codes.flatten(), self.vqvae.config.codebook_size).float().mean(0)
        logs = {"error": error, "perplexity": torch.special.entr(usage).sum().exp()}
        return error + F.mse_loss(e, z.detach()) + commitment, logs

    def prior_loss(self, batch: genzoo.Batch) -> tuple[Tensor, genzoo.Logs]:
        """Minus the log-likelihood of the codes, in nats per code."""
        with torch.no_grad():
            codes = self.vqvae.nearest(self.vqvae.encoder(batch.x))
        return F.cross_entropy(self.vqvae.prior(codes), codes), {}


@genzoo.hookimpl
def genzoo_family() -> genzoo.Family:
    return genzoo.Family(
        config=Config,
        options=TrainOptions,
        model=VQVAE,
        trainer=TwoPhases,
        tiny=Config(shape=(1, 8, 8), codebook_size=5, code_dim=3, width=4, prior_layers=1),
        paper="arXiv:1711.00937",
        api=2,
    )
