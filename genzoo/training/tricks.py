"""Tricks of adversarial training: free functions that any trainer composes."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange, reduce
from torch import Tensor, nn

from genzoo.errors import BadInput
from genzoo.models import whole_batch
from genzoo.models.randomness import Noise


def instance_noise(x: Tensor, deviation: float, noise: Noise) -> Tensor:
    """``x`` with Gaussian noise on it (Sonderby et al. 2017, section 3)."""
    return x + deviation * noise.normal(*x.shape[1:]) if deviation > 0 else x


def linear_fade(start: float, progress: float, until: float) -> float:
    """A value that falls linearly from ``start`` to 0 as ``progress`` goes from 0 to ``until``."""
    return start * max(0.0, 1 - progress / until) if until > 0 else 0.0


# The ranges of soft targets, which keep the discriminator from certainty: (low, high).
SOFT_LABELS = {"real": (0.7, 1.2), "fake": (0.0, 0.3)}

# Within so many real images an adaptive probability can go from 0 to 1. Karras et al. 2020 take
# 500,000 for runs of 25 million, and 100,000 for short ones.
ADAPTATION_IMAGES = 100_000


class ImageBuffer:
    """A buffer of earlier fakes, so that a discriminator does not forget them.

    Shrivastava et al. 2017, section 2.3: with probability 1/2 an earlier fake replaces a new one.
    """

    def __init__(self, size: int):
        self.size, self.images = size, torch.empty(0)

    def state_dict(self) -> dict[str, Any]:
        return {"kept": self.images.clone()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.images = state["kept"].clone()

    @torch.no_grad()
    def swap(self, fakes: Tensor, noise: Noise) -> Tensor:
        """``(n, *shape)``: the fakes, some of them exchanged for earlier ones."""
        if not self.size:
            return fakes
        # All processes keep the same buffer, of the fakes of all.
        output = whole_batch.gather(fakes.detach()).clone()
        chances = whole_batch.gather(noise.uniform(2))
        for i, (chance, position) in enumerate(chances.tolist()):
            if len(self.images) < self.size:
                empty = not len(self.images)
                images = output[:0] if empty else self.images.to(output.device, output.dtype)
                self.images = torch.cat([images, output[i : i + 1]])
            elif chance < 0.5:
                j = int(position * self.size)
                output[i], self.images[j] = self.images[j].clone(), output[i].clone()
        return whole_batch.own_rows(lambda _: output, len(fakes))


@torch.no_grad()
def clip_weights(network: nn.Module, limit: float) -> None:
    """Clamp every weight that learns to [-limit, limit] (Arjovsky et al. 2017, algorithm 1, line
    7).
    """
    for parameter in network.parameters():
        if parameter.requires_grad:
            parameter.clamp_(-limit, limit)


def label_flips(n: int, share: float, noise: Noise) -> Tensor:
    """``(n,)`` booleans, true for the ``share`` of targets to flip."""
    return noise.uniform() < share


def top_k(logits: Tensor, share: float, progress: float) -> Tensor:
    """The logits of the best fakes: all at first, ``share`` of them from half of the run on.

    Codes between two modes give the worst fakes, whose gradients pull in both directions (Sinha et
    al. 2020, algorithm 1).
    """
    if share >= 1:
        return logits
    current_share = 1 - (1 - share) * min(1.0, 2 * progress)
    logits = whole_batch.gather(logits)
    scores = rearrange(logits, "n ... -> n (...)").mean(1)
    return logits[scores.topk(max(1, round(current_share * len(logits)))).indices]


def augment(x: Tensor, policy: str, noise: Noise, probability: float = 1.0) -> Tensor:
    """DiffAugment (Zhao et al. 2020, section 3.3): differentiable, the same for real and fake.

    Each augmentation of the policy acts on an image with ``probability``. Raises BadInput if ``x``
    are no images, but the policy does something.
    """
    if policy != "none" and x.ndim != 4:
        raise BadInput(f"augment={policy} needs images, got samples of shape {tuple(x.shape[1:])}")
    for name in policy.split(","):
        changed = AUGMENTATIONS[name](x, noise)
        if probability < 1:
            chosen = rearrange(noise.uniform() < probability, "n -> n 1 1 1")
            changed = torch.where(chosen, changed, x)
        x = changed
    return x


class AugmentationProbability:
    """The probability of an augmentation, which follows how far the discriminator overfits.

    Karras et al. 2020 (Training GANs with limited data), section 3: it rises while the mean sign of
    the logits of real images, their r_t, is above ``target``, and falls while it is below. Without
    a target it stays at ``limit``.
    """

    def __init__(self, limit: float, target: float):
        self.limit, self.target = limit, target
        self.value = 0.0 if target else limit

    def state_dict(self) -> dict[str, Any]:
        return {"value": self.value}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.value = state["value"]

    def follow(self, mean_sign: float, images: int) -> None:
        """Change it after an update on so many real images."""
        change = math.copysign(images / ADAPTATION_IMAGES, mean_sign - self.target)
        self.value = min(self.limit, max(0.0, self.value + change))


def _translate(x: Tensor, noise: Noise) -> Tensor:
    """Shift each image by up to an eighth of its size; zeros (grey in (-1, 1)) fill the border."""
    height, width = x.shape[2:]
    high, wide = height // 8, width // 8
    share = noise.uniform(2)  # (n, 2)
    down = (share[:, 0] * (2 * high + 1)).long()
    right = (share[:, 1] * (2 * wide + 1)).long()
    rows = down[:, None] + torch.arange(height, device=x.device)
    columns = right[:, None] + torch.arange(width, device=x.device)
    padded = rearrange(F.pad(x, (wide, wide, high, high)), "n c h w -> n h w c")
    image = torch.arange(len(x), device=x.device)[:, None, None]
    shifted = padded[image, rows[:, :, None], columns[:, None, :]]
    return rearrange(shifted, "n h w c -> n c h w")


def _color(x: Tensor, noise: Noise) -> Tensor:
    """Brightness, saturation and contrast, each by a random amount."""
    brightness, saturation, contrast = rearrange(noise.uniform(3), "n three -> three n 1 1 1")
    x = x + brightness - 0.5
    grey = reduce(x, "n c h w -> n 1 h w", "mean")
    x = grey + (x - grey) * (2 * saturation)
    mean = reduce(x, "n c h w -> n 1 1 1", "mean")
    return mean + (x - mean) * (contrast + 0.5)


def _geometric(x: Tensor, noise: Noise) -> Tensor:
    """Rotate each image by any angle, scale it and stretch it, each by 2^s, s from N(0, 0.2^2);
    mirror images fill the border (Karras et al. 2020, appendix B).
    """
    angle = 2 * math.pi * noise.uniform()
    scale, stretch = rearrange(2 ** (0.2 * noise.normal(2)), "n two -> two n")
    cosine, sine, aspect = angle.cos(), angle.sin(), x.shape[2] / x.shape[3]
    across, down = scale * stretch, scale / stretch
    rows = [across * cosine, -down * sine * aspect], [across * sine / aspect, down * cosine]
    matrix = torch.stack([torch.stack(row, 1) for row in rows], 1)  # (n, 2, 2)
    grid = F.affine_grid(F.pad(matrix, (0, 1)), list(x.shape), align_corners=False)
    moved = F.grid_sample(x.float(), grid, padding_mode="reflection", align_corners=False)
    return moved.to(x.dtype)


def _cutout(x: Tensor, noise: Noise) -> Tensor:
    """Fill a window of half the image's sides with zeros; its centre lies anywhere in the image."""
    share = noise.uniform(2)  # (n, 2)
    rows, columns = (_window(share[:, i], x.shape[2 + i]) for i in range(2))  # (n, H), (n, W)
    return x.masked_fill((rows[:, :, None] & columns[:, None, :])[:, None], 0)


def _window(share: Tensor, side: int) -> Tensor:
    """``(n,)`` shares to ``(n, side)``: which places lie in a window of half the side."""
    size = int(side / 2 + 0.5)
    centre = (share * (side + 1 - size % 2)).long()  # an even window's centre is between two pixels
    place = torch.arange(side, device=share.device) - (centre - size // 2)[:, None]
    return (place >= 0) & (place < size)


AUGMENTATIONS = {
    "none": lambda x, noise: x,
    "translation": _translate,
    "color": _color,
    "geometric": _geometric,
    "cutout": _cutout,
}
