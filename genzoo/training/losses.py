"""The losses of adversarial games: a pair of functions each."""

from collections.abc import Callable
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor


class GanLoss(NamedTuple):
    """What each player makes small. A target is 1 for data, 0 for fakes, between if smoothed."""

    discriminator: Callable[[Tensor, Tensor], Tensor]  # (logits of one kind, their targets)
    generator: Callable[[Tensor], Tensor]  # (logits of fakes)


def _cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    return (target * F.softplus(-logits) + (1 - target) * F.softplus(logits)).mean()


LOSSES = {
    # Goodfellow et al. 2014, equation 1 for both; minimax as it stands, and what section 3 advises.
    "minimax": GanLoss(_cross_entropy, lambda fake: -F.softplus(fake).mean()),
    "non-saturating": GanLoss(_cross_entropy, lambda fake: F.softplus(-fake).mean()),
    # Mao et al. 2017, equation 9.
    "least-squares": GanLoss(
        lambda logits, target: (logits - target).square().mean() / 2,
        lambda fake: (fake - 1).square().mean() / 2,
    ),
    # Lim & Ye 2017; Zhang et al. 2019, equation 4.
    "hinge": GanLoss(
        lambda logits, target: F.relu(1 - (2 * target - 1) * logits).mean(),
        lambda fake: -fake.mean(),
    ),
    # Arjovsky et al. 2017, equation 3; the penalty or the clipping keeps it finite.
    "wasserstein": GanLoss(
        lambda logits, target: ((1 - 2 * target) * logits).mean(), lambda fake: -fake.mean()
    ),
}
