"""Sampler: a model that draws samples; Latent: one that decodes codes."""

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from numbers import Integral, Real
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from genzoo.devices import memory
from genzoo.errors import BadInput, unknown
from genzoo.models.checks import check_count, checked_seed, fresh_seed
from genzoo.models.model import Model, _check_made, _comma, _infer, _portions
from genzoo.models.randomness import Noise
from genzoo.models.samples import Arrays, Images, Samples

Labels = int | str | Sequence[int | str] | np.ndarray | Tensor | None
# What every ``progress=`` in genzoo is called with: what is counted ("samples"), how many are done,
# of how many.
Progress = Callable[[str, int, int], None]


class Sampler(Model):
    """Draws samples from nothing; conditional where ``num_classes`` is above 0."""

    num_classes: int = 0
    # Whether pixels are drawn one by one, row by row from the top, and stay as they are.
    in_raster_order: bool = False

    @abstractmethod
    def generate(self, noise: Noise, labels: Tensor | None = None) -> Tensor:
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
            noise = Noise(seed, range(start + rows.start, start + rows.stop), device=self.device)
            if isinstance(labels, Tensor):
                part: Tensor | None = labels[rows]
            else:
                part = self.labels_for(labels, len(noise), noise.indices[0])
            x = _infer(self, partial(_drawn, noise, part, truncation))
            _check_made(self, "drew", x, (len(noise), *self.shape))
            kind = Images if self.is_images else Arrays
            seeds = [(seed, i) for i in noise.indices]
            call = {"method": "sample", "truncation": truncation and float(truncation)}
            yield kind(self.to_unit(x), part, seeds, self.origin, self.class_names, call)
            if progress:
                progress("samples", rows.stop, n)

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

    latent_dim: int

    @abstractmethod
    def decode(
        self, code: Tensor, labels: Tensor | None = None, noise: Noise | None = None
    ) -> Tensor:
        """``(n, code)`` to ``(n, *shape)`` in the model's range, differentiably."""

    @final
    def generate(self, noise: Noise, labels: Tensor | None = None) -> Tensor:
        return self.decode(noise.normal(self.latent_dim), labels, noise)

    @final
    def codes(
        self, n: int, *, seed: int = 0, start: int = 0, truncation: float | None = None
    ) -> Tensor:
        """The codes of samples ``start`` to ``start + n`` of ``seed``: ``(n, code)``."""
        for name, value, least in (("n", n, 1), ("start", start, 0)):
            check_count(name, value, least)
        noise = Noise(checked_seed(seed), range(start, start + n), device=self.device)
        return noise.normal(self.latent_dim, limit=truncation)

    @final
    def decode_codes(
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
            noise = Noise(seed, places, device=self.device)
            part = None if wanted is None else wanted[rows]
            made.append(_infer(self, partial(_decoded, codes[rows], part, noise)))
            _check_made(self, "drew", made[-1], (len(noise), *self.shape))
            done += len(noise)
            if progress:
                progress("samples", done, len(codes))
        kind = Images if self.is_images else Arrays
        x = self.to_unit(torch.cat(made))
        told = {"method": "draw"} if call is None else call
        return kind(x, wanted, seeds, self.origin, self.class_names, told)

    def _fitting_codes(self, codes: Any) -> Tensor:
        x = torch.as_tensor(codes).to(self.device, torch.float32)
        if x.ndim != 2 or not len(x) or x.shape[1] != self.latent_dim:
            raise BadInput(
                f"expected codes of shape (n, {self.latent_dim}), got ({_comma(x.shape)})"
            )
        if not torch.isfinite(x).all():
            raise BadInput("expected codes of finite numbers")
        return x


def _drawn(noise: Noise, labels: Tensor | None, truncation: float | None, model: Sampler) -> Tensor:
    if truncation is None or not isinstance(model, Latent):
        return model.generate(noise, labels)
    return model.decode(noise.normal(model.latent_dim, limit=truncation), labels, noise)


def _decoded(codes: Tensor, labels: Tensor | None, noise: Noise, model: Latent) -> Tensor:
    noise.normal(model.latent_dim)  # as the streams stand after the codes that ``sample`` draws
    return model.decode(codes, labels, noise)


def _alike(seeds: Sequence[tuple[int, int]], size: int) -> Iterator[slice]:
    """The rows of each batch: one seed, and at most ``size``."""
    first = 0
    for _, run in groupby(seeds, key=lambda pair: pair[0]):
        n = len([*run])
        yield from (slice(first + r.start, first + r.stop) for r in _portions(n, size))
        first += n


def _check_memory(n: int, shape: Sequence[int]) -> None:
    """Whether ``n`` samples fit: as batches, as one tensor, and as what becomes of it."""
    needed, there = 3 * 4 * n * math.prod(shape), memory()
    if there and needed > there:
        took = f"{n:,} samples take {needed / 3e9:,.1f} GB of {there / 1e9:,.1f} GB"
        raise BadInput(f"{took}: use stream, a batch at a time, or genzoo sample -o FOLDER")


def _join(parts: list[Samples]) -> Samples:
    return parts[0] if len(parts) == 1 else type(parts[0]).join(parts)
