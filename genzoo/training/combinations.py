"""Combinations of options that are known to fail, with the reason: a run warns of them.

They are not refused, because a lecture shows failures on purpose.
"""

from collections.abc import Callable
from typing import NamedTuple, final

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import parametrize

from genzoo.options import AdversarialOptions, Options


@final
class Combination(NamedTuple):
    """``names``: the options that together fail; ``fails(options, discriminator)``: whether they
    do in this run.
    """

    names: tuple[str, ...]
    reason: str
    fails: Callable[[AdversarialOptions, nn.Module], bool]


def _wasserstein(o: AdversarialOptions) -> bool:
    return o.loss == "wasserstein"


def _has_batch_norm(network: nn.Module) -> bool:
    return any(isinstance(layer, _BatchNorm) for layer in network.modules())


def _is_normalised(network: nn.Module) -> bool:
    """Whether a parametrisation, such as the spectral norm, decides the scale of the weights."""
    return any(parametrize.is_parametrized(layer) for layer in network.modules())


COMBINATIONS = (
    Combination(
        ("loss", "label_smoothing"),
        "the Wasserstein loss has no targets: smoothing weights data less than fakes, and the"
        " critic's bias falls without end",
        lambda o, d: _wasserstein(o) and o.label_smoothing > 0 and not o.soft_labels,
    ),
    Combination(
        ("loss", "soft_labels"),
        "the Wasserstein loss has no targets: soft ones weight data and fakes differently, and the"
        " critic's bias runs away",
        lambda o, d: _wasserstein(o) and o.soft_labels,
    ),
    Combination(
        ("loss", "label_noise"),
        "the Wasserstein loss has no targets: swapped ones give data and fakes random weights, and"
        " the critic's bias runs away",
        lambda o, d: _wasserstein(o) and o.label_noise > 0,
    ),
    Combination(
        ("loss", "penalty", "weight_clip"),
        "nothing bounds the critic's slope, so its loss falls without end (Arjovsky et al. 2017,"
        " section 3): set penalty=gradient, or weight_clip=0.01",
        lambda o, d: (
            _wasserstein(o) and o.penalty == "none" and not o.weight_clip and not _is_normalised(d)
        ),
    ),
    Combination(
        ("penalty",),
        "the discriminator has batch norm, which mixes the samples, and the penalty is about the"
        " slope at each one (Gulrajani et al. 2017, section 4)",
        lambda o, d: o.penalty != "none" and _has_batch_norm(d),
    ),
    Combination(
        ("weight_clip", "beta1"),
        "a clipped critic is unstable with momentum (Arjovsky et al. 2017, section 4.3): set"
        " optimizer=rmsprop, or beta1=0",
        lambda o, d: o.weight_clip > 0 and o.optimizer == "adam" and o.beta1 > 0,
    ),
    Combination(
        ("weight_clip",),
        "the discriminator's weights are divided by their norm, so clipping them changes nothing",
        lambda o, d: o.weight_clip > 0 and _is_normalised(d),
    ),
)


def warnings_of(options: Options, discriminator: nn.Module | None) -> list[str]:
    """A line for each of `COMBINATIONS` that a run with these options is."""
    if discriminator is None or not isinstance(options, AdversarialOptions):
        return []
    met = [c for c in COMBINATIONS if c.fails(options, discriminator)]
    return [f"{_values(options, c.names)} known to fail: {c.reason}" for c in met]


def _values(options: AdversarialOptions, names: tuple[str, ...]) -> str:
    """``loss=wasserstein and soft_labels=true are``."""
    values = [f"{name}={str(getattr(options, name)).lower()}" for name in names]
    return " and ".join(values) + (" are" if len(values) > 1 else " is")
