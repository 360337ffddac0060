"""The abilities: what a model can do.

A family writes the one small abstract method of each ability, in its paper's units. The public
method beside it is the core's: evaluation mode, no gradient, seeds, batches, range, device, errors.
Public methods speak [0, 1]; a family's own methods speak its ``range``.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from numbers import Integral, Real
from types import MappingProxyType
from typing import Any, Literal, TypeVar, final

import numpy as np
import torch
from torch import Tensor, nn

from genzoo.devices import memory
from genzoo.draws import Draws, stream
from genzoo.errors import BadInput, Failed, unknown
from genzoo.folding import folded
from genzoo.samples import Arrays, Images, Origin, Samples

Labels = int | str | Sequence[int | str] | np.ndarray | Tensor | None
Progress = Callable[[int, int], None]  # (done, of how many)
M = TypeVar("M", bound="Model")
T = TypeVar("T")


class Model(nn.Module, ABC):
    """A network that ``type(model)(model.config)`` rebuilds; ``shape`` is one sample's.

    ``range`` is what the family's own tensors span, or None where they are unbounded.
    """

    shape: tuple[int, ...]
    range: tuple[float, float] | None = (-1.0, 1.0)
    class_names: tuple[str, ...] = ()
    origin: Origin | None = None
    provenance: Mapping[str, str] = MappingProxyType({})
    """data, licence and terms of the folder that it was loaded from, which save passes on"""

    def __init__(self, config: Any):
        super().__init__()
        self.config = config

    @final
    @property
    def device(self) -> torch.device:
        return next((t.device for t in [*self.parameters(), *self.buffers()]), torch.device("cpu"))

    @final
    @property
    def is_images(self) -> bool:
        """Whether samples are pictures: (C, H, W) with one channel or three."""
        return len(self.shape) == 3 and self.shape[0] in (1, 3)

    @final
    def outward(self, x: Tensor) -> Tensor:
        """From the family's range to [0, 1]."""
        if self.range is None:
            return x.float()
        low, high = self.range
        return ((x.float() - low) / (high - low)).clamp(0, 1)

    @final
    def inward(self, images: "Samples | Tensor | np.ndarray") -> Tensor:
        """From ``(n, *shape)`` in [0, 1], or bytes, to the family's range, on its device."""
        try:
            x = torch.as_tensor(images.tensor if isinstance(images, Samples) else images)
        except (TypeError, ValueError, RuntimeError):
            raise BadInput(f"expected samples, or an array, got {images!r:.60}") from None
        x = x.to(self.device)
        x = x.float() / 255 if x.dtype == torch.uint8 else x.float()
        if x.ndim != len(self.shape) + 1:
            raise BadInput(
                f"expected samples of shape (n, {_comma(self.shape)}), got {_comma(x.shape)}"
            )
        if self.range is None:
            return x
        if x.numel() and not (x.min() >= 0 and x.max() <= 1):
            low, high = x.min().item(), x.max().item()
            raise BadInput(f"expected samples in [0, 1], got [{low:.3g}, {high:.3g}]")
        low, high = self.range
        return x * (high - low) + low

    @final
    def fitting(self, images: "Samples | Tensor | np.ndarray") -> Tensor:
        """``inward``, for samples that must have exactly the model's shape."""
        x = self.inward(images)
        if tuple(x.shape[1:]) != tuple(self.shape):
            raise BadInput(
                f"expected samples of shape (n, {_comma(self.shape)}), got {_comma(x.shape)}"
            )
        return x


class Sampler(Model):
    """Draws samples from nothing; conditional where ``num_classes`` is above 0."""

    num_classes: int = 0
    # Whether pixels are drawn one by one, row by row from the top, and stay as they are.
    in_raster_order: bool = False

    @abstractmethod
    def generate(self, draws: Draws, labels: Tensor | None = None) -> Tensor:
        """One sample a stream, ``(n, *shape)`` in the model's range; differentiable if possible."""

    @final
    def sample(
        self,
        n: int,
        *,
        labels: Labels = None,
        seed: int | None = 0,
        start: int = 0,
        batch_size: int = 64,
        truncation: float | None = None,
        progress: Progress | None = None,
    ) -> Samples:
        """Draw samples ``start`` to ``start + n`` of ``seed``, ``(n, *shape)`` in [0, 1].

        Sample i depends on the weights, the seed, i and its label alone. ``seed=None`` takes a
        fresh seed, found in the result's ``seeds``. ``labels``: one for all, or one each, as
        numbers or class names; left out, a conditional model goes round its classes.
        ``truncation`` redraws codes beyond it (Brock et al. 2019, section 3.1). Raises BadInput.
        """
        parts = self.stream(
            n,
            labels=labels,
            seed=seed,
            start=start,
            batch_size=batch_size,
            truncation=truncation,
            progress=progress,
        )
        _check_memory(n, self.shape)
        return _join(list(parts))

    @final
    def stream(
        self,
        n: int,
        *,
        labels: Labels = None,
        seed: int | None = 0,
        start: int = 0,
        batch_size: int = 64,
        truncation: float | None = None,
        progress: Progress | None = None,
    ) -> Iterator[Samples]:
        """As ``sample``, a batch at a time: any number in constant memory."""
        for name, value, least in (("n", n, 1), ("start", start, 0), ("batch_size", batch_size, 1)):
            check_count(name, value, least)
        if truncation is not None and not isinstance(self, Latent):
            raise BadInput(f"{type(self).__name__} has no latent code: leave truncation out")
        if truncation is not None and not (isinstance(truncation, Real) and truncation >= 0.02):
            raise BadInput(f"truncation must be a number of at least 0.02, got {truncation!r}")
        if start + n >= 2**63:
            raise BadInput(f"samples are counted up to 2**63 - 1, got start {start} and n {n}")
        seed = fresh_seed() if seed is None else checked_seed(seed)
        each = not (labels is None or isinstance(labels, Integral | str))
        checked = self.labels_for(labels, n if each else 1)
        # One label for all, or none, is spread out a batch at a time: n may be any number.
        wanted: Any = checked if each else labels
        return self._batches(n, wanted, seed, start, batch_size, truncation, progress)

    def _batches(
        self,
        n: int,
        labels: Tensor | int | str | None,
        seed: int,
        start: int,
        batch_size: int,
        truncation: float | None,
        progress: Progress | None,
    ) -> Iterator[Samples]:
        for rows in _portions(n, batch_size):
            draws = Draws(seed, range(start + rows.start, start + rows.stop), device=self.device)
            if isinstance(labels, Tensor):
                part: Tensor | None = labels[rows]
            else:
                part = self.labels_for(labels, len(draws), draws.indices[0])
            x = _infer(self, partial(_drawn, draws, part, truncation))
            _check_made(self, "drew", x, (len(draws), *self.shape))
            kind = Images if self.is_images else Arrays
            seeds = [(seed, i) for i in draws.indices]
            call = {"method": "sample", "truncation": truncation and float(truncation)}
            yield kind(self.outward(x), part, seeds, self.origin, self.class_names, call)
            if progress:
                progress(rows.stop, n)

    @final
    def labels_for(self, labels: Labels, n: int, start: int = 0) -> Tensor | None:
        """Labels as given to ``sample``, checked: ``(n,)`` int64 on the model's device, or None."""
        if not self.num_classes:
            if labels is not None:
                raise BadInput("this model is unconditional: leave labels out")
            return None
        if labels is None:
            return torch.arange(start, start + n, device=self.device) % self.num_classes
        given: Any = labels.tolist() if isinstance(labels, np.ndarray | Tensor) else labels
        if isinstance(given, Integral | str):
            return torch.full((n,), self._label(given), device=self.device)
        if not isinstance(given, Sequence):
            raise BadInput(f"labels are whole numbers or class names, got {given!r}")
        values = [self._label(v) for v in given]
        if len(values) != n:
            raise BadInput(f"expected {n} labels, one for each sample, got {len(values)}")
        return torch.tensor(values, device=self.device)

    def _label(self, value: Any) -> int:
        if value in self.class_names:
            return self.class_names.index(value)
        lower = [name.casefold() for name in self.class_names]
        if isinstance(value, str) and lower.count(value.casefold()) == 1:
            return lower.index(value.casefold())
        if isinstance(value, str) and not value.isdecimal():
            raise unknown("class", value, self.class_names, "or give its number.")
        if not isinstance(value, Integral | str) or isinstance(value, bool):
            raise BadInput(f"labels are whole numbers or class names, got {value!r}")
        if not 0 <= int(value) < self.num_classes:
            raise BadInput(
                f"label {int(value)} is out of range: there are 0 to {self.num_classes - 1}"
            )
        return int(value)


class Latent(Sampler):
    """A sampler that decodes ``code`` independent standard normal numbers."""

    code: int

    @abstractmethod
    def decode(
        self, code: Tensor, labels: Tensor | None = None, draws: Draws | None = None
    ) -> Tensor:
        """``(n, code)`` to ``(n, *shape)`` in the model's range, differentiably."""

    @final
    def generate(self, draws: Draws, labels: Tensor | None = None) -> Tensor:
        return self.decode(draws.normal(self.code), labels, draws)

    @final
    def codes(
        self, n: int, *, seed: int = 0, start: int = 0, truncation: float | None = None
    ) -> Tensor:
        """The codes of samples ``start`` to ``start + n`` of ``seed``: ``(n, code)``."""
        for name, value, least in (("n", n, 1), ("start", start, 0)):
            check_count(name, value, least)
        draws = Draws(checked_seed(seed), range(start, start + n), device=self.device)
        return draws.normal(self.code, limit=truncation)

    @final
    def draw(
        self,
        codes: Tensor,
        *,
        labels: Labels = None,
        seeds: Sequence[tuple[int, int]] | None = None,
        call: Mapping[str, Any] | None = None,
        batch_size: int = 64,
        progress: Progress | None = None,
    ) -> Samples:
        """The samples of ``(n, code)`` codes: those of ``codes(n, seed=s)`` are ``sample``'s.

        ``seeds``: of each sample its (seed, index), the stream of what a model draws beside its
        code; left out, the first ones of seed 0. ``labels`` as in ``sample``; ``call``: what the
        samples say of how they were made. Raises BadInput.
        """
        codes = self._fitting_codes(codes)
        seeds = [(0, i) for i in range(len(codes))] if seeds is None else [*seeds]
        if len(seeds) != len(codes):
            raise BadInput(f"expected {len(codes)} seeds, one for each code, got {len(seeds)}")
        _check_memory(len(codes), self.shape)
        wanted, done, made = self.labels_for(labels, len(codes)), 0, []
        for rows in _alike(seeds, batch_size):
            seed, places = checked_seed(seeds[rows.start][0]), [i for _, i in seeds[rows]]
            draws = Draws(seed, places, device=self.device)
            part = None if wanted is None else wanted[rows]
            made.append(_infer(self, partial(_decoded, codes[rows], part, draws)))
            _check_made(self, "drew", made[-1], (len(draws), *self.shape))
            done += len(draws)
            if progress:
                progress(done, len(codes))
        kind = Images if self.is_images else Arrays
        x = self.outward(torch.cat(made))
        told = {"method": "draw"} if call is None else call
        return kind(x, wanted, seeds, self.origin, self.class_names, told)

    def _fitting_codes(self, codes: Any) -> Tensor:
        x = torch.as_tensor(codes).to(self.device, torch.float32)
        if x.ndim != 2 or not len(x) or x.shape[1] != self.code:
            raise BadInput(f"expected codes of shape (n, {self.code}), got ({_comma(x.shape)})")
        if not torch.isfinite(x).all():
            raise BadInput("expected codes of finite numbers")
        return x


class Attentive(Sampler):
    """A sampler in whose maps every place can look at every other."""

    @abstractmethod
    def attend(self, draws: Draws, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """What ``generate`` draws, and where each place of an ``(h, w)`` map looks.

        ``(n, *shape)`` and ``(n, h, w, h, w)``; the last two axes sum to 1.
        """

    @final
    def attention(
        self, n: int = 1, *, labels: Labels = None, seed: int = 0, start: int = 0
    ) -> tuple[Samples, Tensor]:
        """The samples that ``sample`` draws, and ``(n, h, w, h, w)``: where each place looks."""
        draws = Draws(checked_seed(seed), range(start, start + n), device=self.device)
        wanted = self.labels_for(labels, n, start)
        x, maps = _infer(self, lambda copy: copy.attend(draws, wanted))
        _check_made(self, "drew", x, (n, *self.shape))
        seeds = [(draws.seed, i) for i in draws.indices]
        kind, call = Images if self.is_images else Arrays, {"method": "sample", "truncation": None}
        return kind(self.outward(x), wanted, seeds, self.origin, self.class_names, call), maps


class Encoder(Model):
    """Maps samples to codes."""

    @abstractmethod
    def embed(self, x: Tensor) -> Tensor:
        """``(n, *shape)`` in the model's range to ``(n, code)``."""

    @final
    def encode(self, images: "Samples | Tensor | np.ndarray", *, batch_size: int = 64) -> Tensor:
        """The codes of ``(n, *shape)`` samples in [0, 1]: ``(n, code)``."""
        x = self.fitting(images)
        return torch.cat([self._codes(x[rows]) for rows in _portions(len(x), batch_size)])

    def _codes(self, x: Tensor) -> Tensor:
        codes = _infer(self, lambda copy: copy.embed(x))
        _check_made(self, "embedded", codes, (len(x), None))
        return codes


class Density(Model):
    """Scores samples. ``kind`` says whether exactly; ``levels``, over how many values of a pixel.

    ``levels = None`` marks a density (or a pseudo-likelihood) on the continuum: never bits/dim.
    """

    kind: Literal["exact", "bound"]
    levels: int | None = None

    @abstractmethod
    def log_weight(self, x: Tensor, labels: Tensor | None, draws: Draws) -> Tensor:
        """``(n,)`` nats: log p(x), or log p(x, z) - log q(z | x) with z from ``draws``."""

    @final
    def log_prob(
        self,
        images: "Samples | Tensor | np.ndarray",
        labels: Labels = None,
        *,
        seed: int = 0,
        samples: int = 1,
        bound: Literal["elbo", "importance"] = "importance",
        batch_size: int = 64,
    ) -> Tensor:
        """Log-likelihood or a lower bound on it, ``(n,)`` nats, of samples in [0, 1].

        Of ``samples`` log-weights, ``elbo`` is the mean (Kingma & Welling 2014, eq. 2) and
        ``importance`` the log-mean-exp (Burda et al. 2016, eq. 8). An exact density needs just one.
        The z of image i come from ``seed`` and i: another order of images draws other z.
        """
        check_count("samples", samples, 1)
        if bound not in ("elbo", "importance"):
            raise BadInput(f"bound must be elbo or importance, got {bound!r}")
        x = self.fitting(images)
        self._on_levels(x)
        wanted = self.labels_for(labels, len(x)) if isinstance(self, Sampler) else None
        times = 1 if self.kind == "exact" else samples
        weights = torch.cat(
            [
                self._log_weights(x, wanted, checked_seed(seed), rows, times)
                for rows in _portions(len(x), batch_size)
            ],
            dim=1,
        )
        if bound == "elbo":
            return weights.mean(0)
        return weights.logsumexp(0) - np.log(times)

    def _log_weights(
        self, x: Tensor, labels: Tensor | None, seed: int, rows: slice, times: int
    ) -> Tensor:  # (times, len(rows))
        draws = Draws(seed, _places(rows), "log_prob", self.device)
        x, labels = x[rows], None if labels is None else labels[rows]
        found = []
        for _ in range(times):
            found.append(_infer(self, lambda copy: copy.log_weight(x, labels, draws)))
            _check_made(self, "scored", found[-1], (len(x),))
        return torch.stack(found)

    def _on_levels(self, x: Tensor) -> None:
        steps = self.outward(x) * ((self.levels or 2) - 1)
        if self.levels and (steps - steps.round()).abs().max() > 1e-3:
            raise BadInput(
                f"this model scores {self.levels} levels a pixel: round the images to them"
            )


class Translator(Sampler):
    """Turns samples of one domain into samples of another; draws by turning its own examples.

    ``examples`` is a buffer ``(k, *shape)`` of bytes, pictures of the first domain.
    """

    domains: tuple[str, str]
    examples: Tensor

    @final
    def generate(self, draws: Draws, labels: Tensor | None = None) -> Tensor:
        """The examples as the second domain has them, in an order that the seed chooses."""
        order = stream(draws.seed, "examples").permutation(len(self.examples))
        picked = torch.from_numpy(order[np.array(draws.indices) % len(order)])
        return self.convert(self.inward(self.examples[picked]), self.domains[1], draws)

    @abstractmethod
    def convert(self, x: Tensor, to: str, draws: Draws) -> Tensor:
        """``(n, C, H, W)`` in the model's range into the domain ``to``."""

    @final
    def translate(
        self,
        images: "Samples | Tensor | np.ndarray",
        to: str,
        *,
        seed: int = 0,
        batch_size: int = 8,
    ) -> Samples:
        """Pictures ``(n, C, H, W)`` in [0, 1], of any size, as the domain ``to`` has them."""
        if to not in self.domains:
            raise unknown("domain", to, self.domains, "")
        x = self.inward(images)
        if x.shape[1] != self.shape[0]:
            raise BadInput(f"expected pictures of {self.shape[0]} channels, got {x.shape[1]}")
        seeds = [(checked_seed(seed), i) for i in range(len(x))]
        made = [self._converted(x, to, seed, rows) for rows in _portions(len(x), batch_size)]
        call = {"method": "translate", "to": to}
        return Images(torch.cat(made), None, seeds, self.origin, call=call)

    def _converted(self, x: Tensor, to: str, seed: int, rows: slice) -> Tensor:
        draws = Draws(seed, _places(rows), "translate", self.device)
        made = _infer(self, lambda copy: copy.convert(x[rows], to, draws))
        _check_made(self, "converted", made, (len(x[rows]), None, None, None))
        return self.outward(made)


class Completer(Sampler):
    """A sampler that fills in what is missing."""

    @abstractmethod
    def complete(
        self, x: Tensor, mask: Tensor, draws: Draws, labels: Tensor | None = None
    ) -> Tensor:
        """``(n, *shape)`` with what ``mask`` (1 = known) leaves open drawn given the rest."""


class Discriminator(nn.Module, ABC):
    """The other player of an adversarial game (the papers' ``critic`` for Wasserstein's)."""

    @abstractmethod
    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Logits, ``(n,)`` or a map of them: the higher, the more like data."""

    @abstractmethod
    def features(self, x: Tensor) -> list[Tensor]:
        """The feature maps of each hidden layer, from the input up."""


def _portions(n: int, size: int) -> Iterator[slice]:
    """The rows of each batch, at least one."""
    check_count("batch_size", size, 1)
    for start in range(0, max(n, 1), size):
        yield slice(start, min(start + size, n))


def _places(rows: slice) -> range:
    return range(rows.start, rows.stop)


def check_count(name: str, value: Any, least: int) -> None:
    """Whether ``value`` is a whole number of at least ``least``. Raises BadInput."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise BadInput(f"{name} must be a whole number of at least {least}, got {value!r}")


def checked_seed(seed: Any) -> int:
    if not isinstance(seed, Integral) or isinstance(seed, bool) or not 0 <= int(seed) < 2**63:
        raise BadInput(f"a seed is a whole number from 0 to 2**63 - 1, got {seed!r}")
    return int(seed)


def fresh_seed() -> int:
    """A seed that nobody chose; it is short, to be typed again."""
    return int(np.random.default_rng().integers(2**32))


def _drawn(draws: Draws, labels: Tensor | None, truncation: float | None, model: Sampler) -> Tensor:
    if truncation is None or not isinstance(model, Latent):
        return model.generate(draws, labels)
    return model.decode(draws.normal(model.code, limit=truncation), labels, draws)


def _decoded(codes: Tensor, labels: Tensor | None, draws: Draws, model: Latent) -> Tensor:
    draws.normal(model.code)  # as the streams stand after the codes that ``sample`` draws
    return model.decode(codes, labels, draws)


def _alike(seeds: Sequence[tuple[int, int]], size: int) -> Iterator[slice]:
    """The rows of each batch: one seed, and at most ``size``."""
    first = 0
    for _, run in groupby(seeds, key=lambda pair: pair[0]):
        n = len([*run])
        yield from (slice(first + r.start, first + r.stop) for r in _portions(n, size))
        first += n


def _infer(model: M, call: Callable[[M], T]) -> T:
    """Run ``call`` on the model's private copy: no gradient, in float32 whatever surrounds it."""
    with torch.no_grad(), torch.autocast(model.device.type, enabled=False):
        return call(folded(model))


def _check_made(model: Model, did: str, x: Any, shape: tuple[int | None, ...]) -> None:
    """Whether a family's own method returned what its ability says; None: of any length."""
    got = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
    fits = isinstance(x, Tensor) and len(got) == len(shape)
    if not fits or any(want not in (None, n) for want, n in zip(shape, got, strict=True)):
        wanted = ", ".join("any" if side is None else str(side) for side in shape)
        raise Failed(f"{type(model).__name__} {did} {got}, expected a tensor ({wanted})")


def _check_memory(n: int, shape: Sequence[int]) -> None:
    """Whether ``n`` samples fit: as batches, as one tensor, and as what becomes of it."""
    needed, there = 3 * 4 * n * math.prod(shape), memory()
    if there and needed > there:
        took = f"{n:,} samples take {needed / 3e9:,.1f} GB of {there / 1e9:,.1f} GB"
        raise BadInput(f"{took}: use stream, a batch at a time, or genzoo sample -o FOLDER")


def _join(parts: list[Samples]) -> Samples:
    return parts[0] if len(parts) == 1 else type(parts[0]).join(parts)


def _comma(shape: Sequence[int]) -> str:
    return ", ".join(map(str, shape))
