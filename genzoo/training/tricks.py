"""Tricks of adversarial training: free functions that any trainer composes."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genzoo.models.randomness import Noise


def instance_noise(x: Tensor, deviation: float, noise: Noise) -> Tensor:
    """``x`` with Gaussian noise on it (Sonderby et al. 2017, section 3)."""
    return x + deviation * noise.normal(*x.shape[1:]) if deviation > 0 else x


def linear_fade(start: float, progress: float, until: float) -> float:
    """A value that falls linearly from ``start`` to 0 as ``progress`` goes from 0 to ``until``."""
    return start * max(0.0, 1 - progress / until) if until > 0 else 0.0


# Targets that keep the discriminator from certainty: (low, high) of what is drawn for each kind.
SOFT_LABELS = {"real": (0.7, 1.2), "fake": (0.0, 0.3)}


class ImageBuffer:
    """Fakes of earlier steps, for a discriminator not to forget them (Shrivastava et al. 2017,
    section 2.3): it sees a fake as it comes, or by half a chance an earlier one in its place.
    """

    def __init__(self, size: int):
        self.size, self.kept = size, torch.empty(0)

    def state_dict(self) -> dict[str, Any]:
        return {"kept": self.kept.clone()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.kept = state["kept"].clone()

    @torch.no_grad()
    def swap(self, fakes: Tensor, noise: Noise) -> Tensor:
        """``(n, *shape)``: the fakes, some of them exchanged for kept ones."""
        if not self.size:
            return fakes
        shown = fakes.detach().clone()
        for i, (chance, place) in enumerate(noise.uniform(2).tolist()):
            if len(self.kept) < self.size:
                kept = self.kept.to(shown.device, shown.dtype) if len(self.kept) else shown[:0]
                self.kept = torch.cat([kept, shown[i : i + 1]])
            elif chance < 0.5:
                at = int(place * self.size)
                shown[i], self.kept[at] = self.kept[at].clone(), shown[i].clone()
        return shown


@torch.no_grad()
def clip_weights(network: nn.Module, limit: float) -> None:
    """Bring every weight into [-limit, limit] (Arjovsky et al. 2017, algorithm 1, line 7)."""
    for parameter in network.parameters():
        parameter.clamp_(-limit, limit)


def label_flips(n: int, share: float, noise: Noise) -> Tensor:
    """``(n,)`` booleans, true for the ``share`` whose target is to be swapped."""
    return noise.uniform() < share


def top_k(logits: Tensor, share: float, progress: float) -> Tensor:
    """The fakes that convince most: all of them at first, ``share`` of them from half the run on.

    Codes between two modes make the worst fakes, and pull in both directions (Sinha et al. 2020,
    algorithm 1).
    """
    if share >= 1:
        return logits
    kept = 1 - (1 - share) * min(1.0, 2 * progress)
    order = logits.flatten(1).mean(1) if logits.ndim > 1 else logits
    return logits[order.topk(max(1, round(kept * len(logits)))).indices]


def augment(x: Tensor, policy: str, noise: Noise) -> Tensor:
    """DiffAugment (Zhao et al. 2020, section 3.3): differentiable, one law for real and fake."""
    for name in policy.split(","):
        x = AUGMENTATIONS[name](x, noise)
    return x


def _translate(x: Tensor, noise: Noise) -> Tensor:
    """Shift each image by up to an eighth of its size, zeros (mid-grey in (-1, 1)) coming in."""
    height, width = x.shape[2:]
    high, wide = height // 8, width // 8
    share = noise.uniform(2)  # (n, 2)
    down = (share[:, 0] * (2 * high + 1)).long()
    right = (share[:, 1] * (2 * wide + 1)).long()
    rows = down[:, None] + torch.arange(height, device=x.device)
    columns = right[:, None] + torch.arange(width, device=x.device)
    padded = F.pad(x, (wide, wide, high, high))
    image = torch.arange(len(x), device=x.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[image, rows[:, :, None], columns[:, None, :]].permute(
        0, 3, 1, 2
    )


def _color(x: Tensor, noise: Noise) -> Tensor:
    """Brightness, saturation and contrast, each by a random amount."""
    share = noise.uniform(3)[:, :, None, None, None]  # (n, 3, 1, 1, 1)
    x = x + share[:, 0] - 0.5
    grey = x.mean(1, keepdim=True)
    x = grey + (x - grey) * (2 * share[:, 1])
    mean = x.mean((1, 2, 3), keepdim=True)
    return mean + (x - mean) * (share[:, 2] + 0.5)


AUGMENTATIONS = {"none": lambda x, noise: x, "translation": _translate, "color": _color}
