"""Laws: the distributions of a latent code, each a transform of standard normal numbers.

The numbers are read from a sample's random stream in one way whatever the law, so a family that
changes its law changes no other random number.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor

from genzoo.errors import BadInput
from genzoo.models.randomness import Noise
from genzoo.options import LatentSampling, Sampling

__all__ = ["Categorical", "CodeLaw", "Law", "Normal", "Uniform"]
_PLAIN = LatentSampling()


class Law(ABC):
    """The distribution of ``dim`` neighbouring numbers of a code.

    ``can_truncate``: whether values beyond a limit can be drawn again, and values multiplied by a
    temperature. ``can_add``: whether a sum of codes, or a code moved along a direction, is a code.
    """

    can_truncate: ClassVar[bool] = False
    can_add: ClassVar[bool] = True

    def __init__(self, dim: int):
        self.dim = dim

    @abstractmethod
    def of_normal(self, z: Tensor) -> Tensor:
        """Standard normal numbers ``(..., dim)`` to a code of this law."""

    @abstractmethod
    def fault(self, code: Tensor) -> str:
        """What is wrong with the finite code ``(n, dim)``; "" if this law can draw it."""

    @abstractmethod
    def between(self, a: Tensor, b: Tensor, t: Tensor, *, straight: bool = False) -> Tensor:
        """The codes at fractions ``t`` (k,) of the way from ``a`` (dim,) to ``b``: (k, dim)."""

    @abstractmethod
    def vary(self, code: Tensor, position: int, share: Tensor) -> Tensor:
        """``code`` (k, dim) with the number at ``position`` at the quantiles ``share`` (k,)."""

    def nearest(self, code: Tensor) -> Tensor:
        """The nearest codes to ``(..., dim)`` numbers that this law can draw."""
        return code


@final
class Normal(Law):
    """Independent standard normal numbers."""

    can_truncate = True

    def of_normal(self, z: Tensor) -> Tensor:
        return z

    def fault(self, code: Tensor) -> str:
        return ""

    def between(self, a: Tensor, b: Tensor, t: Tensor, *, straight: bool = False) -> Tensor:
        """slerp(a, b, t) = sin((1 - t) w) / sin w a + sin(t w) / sin w b, w the angle between them
        (White 2016, arXiv:1609.04468, section 2.1). If a and b are parallel, they span no plane,
        and the way is straight.
        """
        a, b, t = a.double(), b.double(), t.double()[:, None].to(a.device)
        cosine = a @ b / (a.norm() * b.norm()).clamp_min(1e-12)
        angle = cosine.clamp(-1, 1).acos()
        if straight or angle.sin() < 1e-6:
            return ((1 - t) * a + t * b).float()
        return ((((1 - t) * angle).sin() * a + (t * angle).sin() * b) / angle.sin()).float()

    def vary(self, code: Tensor, position: int, share: Tensor) -> Tensor:
        code = code.clone()
        code[:, position] = torch.special.ndtri(share).to(code)
        return code


@final
class Uniform(Law):
    """Independent numbers, uniform between ``low`` and ``high``."""

    def __init__(self, dim: int, low: float = -1.0, high: float = 1.0):
        super().__init__(dim)
        if not (math.isfinite(high - low) and low < high):
            raise BadInput(f"a uniform law needs low < high, got {low} and {high}")
        self.low, self.high = low, high

    def of_normal(self, z: Tensor) -> Tensor:  # the distribution function of N(0, 1) is uniform
        return (self.high - self.low) * torch.special.ndtr(z) + self.low

    def fault(self, code: Tensor) -> str:
        margin = 1e-4 * (self.high - self.low)
        if code.min() >= self.low - margin and code.max() <= self.high + margin:
            return ""
        got = f"[{code.min().item():.4g}, {code.max().item():.4g}]"
        return f"must lie in [{self.low:g}, {self.high:g}], got {got}"

    def between(self, a: Tensor, b: Tensor, t: Tensor, *, straight: bool = False) -> Tensor:
        a, b, t = a.double(), b.double(), t.double()[:, None].to(a.device)
        return ((1 - t) * a + t * b).float()

    def vary(self, code: Tensor, position: int, share: Tensor) -> Tensor:
        code = code.clone()
        code[:, position] = (self.low + (self.high - self.low) * share).to(code)
        return code

    def nearest(self, code: Tensor) -> Tensor:
        return code.clamp(self.low, self.high)


@final
class Categorical(Law):
    """One of ``dim`` categories, all equally likely, as a one-hot vector."""

    can_add = False

    def of_normal(self, z: Tensor) -> Tensor:  # each of independent numbers may be the largest
        return F.one_hot(z.argmax(-1), self.dim).to(z.dtype)

    def fault(self, code: Tensor) -> str:
        return "" if (code == self.of_normal(code)).all() else "must be one 1, the others 0"

    def between(self, a: Tensor, b: Tensor, t: Tensor, *, straight: bool = False) -> Tensor:
        return torch.where(t[:, None].to(a.device) < 0.5, a, b).float()

    def vary(self, code: Tensor, position: int, share: Tensor) -> Tensor:
        categories = (share * self.dim).long().clamp_max(self.dim - 1)
        return F.one_hot(categories.to(code.device), self.dim).to(code.dtype)

    def nearest(self, code: Tensor) -> Tensor:
        return self.of_normal(code)


@final
class CodeLaw:
    """The law of a whole code: independent ``parts``, side by side."""

    def __init__(self, parts: Sequence[Law]):
        self.parts = tuple(parts)
        self.dim = sum(part.dim for part in self.parts)
        self.can_truncate = any(part.can_truncate for part in self.parts)

    def located(self) -> Iterator[tuple[Law, slice]]:
        """Each part, and where its numbers stand in the code."""
        ends = pairwise(accumulate((part.dim for part in self.parts), initial=0))
        return ((part, slice(*pair)) for part, pair in zip(self.parts, ends, strict=True))

    def draw(self, noise: Noise, sampling: Sampling | None = None) -> Tensor:
        """``(n, dim)``: the next codes of ``noise``, with these settings. Raises BadInput."""
        how = self.check_sampling(sampling)
        codes = []
        for part in self.parts:
            z = noise.normal(part.dim, limit=how.truncation if part.can_truncate else None)
            if part.can_truncate and how.temperature is not None:
                z = how.temperature * z
            codes.append(part.of_normal(z))
        return _joined(codes)

    def check_sampling(self, sampling: Sampling | None) -> LatentSampling:
        """The settings of ``sampling`` that act on codes. Raises BadInput if none of the code's
        numbers can follow them.
        """
        how = sampling if isinstance(sampling, LatentSampling) else _PLAIN
        given = {"truncation": how.truncation, "temperature": how.temperature}
        named = [name for name, value in given.items() if value is not None]
        if named and not self.can_truncate:
            kinds = " and ".join(type(part).__name__.lower() for part in self.parts)
            raise BadInput(f"{named[0]} needs normal values, this model's code is {kinds}")
        return how

    def of_normal(self, z: Tensor) -> Tensor:
        """Standard normal numbers ``(..., dim)`` to codes."""
        return _joined([part.of_normal(z[..., at]) for part, at in self.located()])

    def nearest(self, code: Tensor) -> Tensor:
        """The nearest codes to ``(..., dim)`` numbers that this law can draw."""
        return _joined([part.nearest(code[..., at]) for part, at in self.located()])

    def between(self, a: Tensor, b: Tensor, t: Tensor, *, straight: bool = False) -> Tensor:
        """The codes at fractions ``t`` (k,) of the way from ``a`` (dim,) to ``b``: (k, dim)."""
        return _joined(
            [part.between(a[at], b[at], t, straight=straight) for part, at in self.located()]
        )

    def vary(self, code: Tensor, position: int, share: Tensor) -> Tensor:
        """``code`` (k, dim) with the number at ``position`` at the quantiles ``share`` (k,).

        A category's numbers change together: quantiles from 0 to 1 are the categories, one by one.
        """
        code = code.clone()
        for part, at in self.located():
            if at.start <= position < at.stop:
                code[:, at] = part.vary(code[:, at], position - at.start, share)
        return code

    def describe(self, code: Tensor, position: int) -> list[str]:
        """The number at ``position`` of each code ``(k, dim)`` as text; of a category, which it is.

        Categories of a code have no names, and are not the classes of data.
        """
        for part, at in self.located():
            if at.start <= position < at.stop and not part.can_add:
                return [f"category {k}" for k in code[:, at].argmax(1).tolist()]
        return [f"{round(value, 2) + 0.0:.2f}" for value in code[:, position].tolist()]

    def check(self, code: Tensor) -> None:
        """Check the finite codes ``(n, dim)``. Raises BadInput."""
        for part, at in self.located():
            if fault := part.fault(code[:, at]):
                raise BadInput(f"{_numbers(at)} {fault}")

    def check_sums(self, what: str) -> None:
        """Check that sums of codes are codes. Raises BadInput, with ``what`` was wanted."""
        for part, at in self.located():
            if not part.can_add:
                raise BadInput(f"{what}: {_numbers(at)} are a category, which can't be added")


def _numbers(at: slice) -> str:
    return f"numbers {at.start} to {at.stop - 1} of the code"


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, -1)
