"""The losses of GANs: each a pair of functions, for the discriminator and the generator."""

from collections.abc import Callable
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor


class GanLoss(NamedTuple):
    """The loss of each player. A target is 1 for data, 0 for fakes, and between if smoothed."""

    discriminator: Callable[[Tensor, Tensor], Tensor]  # (logits of data or of fakes, targets)
    generator: Callable[[Tensor], Tensor]  # (logits of fakes)
    is_paired: bool = False  # each logit minus that of a partner of the other kind, fake or data


def _cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    return (target * F.softplus(-logits) + (1 - target) * F.softplus(logits)).mean()


LOSSES = {
    # Goodfellow et al. 2014: minimax is equation 1; non-saturating is the advice of section 3.
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
    # Jolicoeur-Martineau 2019, section 3.2, by pairs: RpGAN. Half, as the discriminator's loss is
    # the sum over data and fakes, whose logits are the same up to the sign.
    "relativistic": GanLoss(
        lambda logits, target: _cross_entropy(logits, target) / 2,
        lambda fake: F.softplus(-fake).mean(),
        is_paired=True,
    ),
}
