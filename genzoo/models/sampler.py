"""Sampler: a model that draws samples. Latent: a sampler that decodes latent codes."""

import inspect
import math
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from numbers import Integral, Real
from typing import Any, ClassVar, final

import numpy as np
import torch
from torch import Tensor

from genzoo.devices import memory
from genzoo.errors import BadInput, unknown
from genzoo.models.checks import (
    batch_slices,
    check_count,
    checked_seed,
    fresh_seed,
    shape_text,
)
from genzoo.models.model import Model, check_output, infer
from genzoo.models.randomness import Noise
from genzoo.models.samples import Samples

Labels = int | str | Sequence[int | str] | np.ndarray | Tensor | None
# How every ``progress=`` in genzoo is called: (what is counted: "samples", number done, total).
Progress = Callable[[str, int, int], None]


class Sampler(Model):
    """Draws samples; class-conditional where ``num_classes`` is above 0."""

    num_classes: int = 0
    # Whether pixels are drawn one by one, row by row from the top, and never change later.
    in_raster_order: bool = False
    # The method that a family writes, for messages.
    _method = "generate"

    @abstractmethod
    def generate(self, noise: Noise, labels: Tensor | None = None) -> Tensor:
        """One sample for each stream of ``noise``, ``(n, *shape)`` in the model's range.

        Differentiable if possible.
        """

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
        """Draw samples ``start`` to ``start + n`` of ``seed``, ``(n, *shape)`` in the public range.

        Sample i depends only on the weights, the seed, i and its label. ``seed=None`` takes a fresh
        seed, which the result's ``seeds`` hold. ``labels``: one for all, or one each, as numbers or
        class names; left out, a conditional model uses its classes in turn. ``truncation`` redraws
        the numbers of a code beyond it (Brock et al. 2019, section 3.1). Raises BadInput.
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
        """As ``sample``, but yields a batch at a time: any number in constant memory."""
        for name, value, least in (("n", n, 1), ("start", start, 0), ("batch_size", batch_size, 1)):
            check_count(name, value, least)
        if truncation is not None and not isinstance(self, Latent):
            raise BadInput(f"{type(self).__name__} has no latent code: leave truncation out")
        if truncation is not None and not (isinstance(truncation, Real) and truncation >= 0.02):
            raise BadInput(f"truncation must be a number of at least 0.02, got {truncation!r}")
        if start + n >= 2**63:
            raise BadInput(f"start + n must be below 2**63, got start {start} and n {n}")
        seed = fresh_seed() if seed is None else checked_seed(seed)
        one_each = not (labels is None or isinstance(labels, Integral | str))
        checked = self.labels_for(labels, n if one_each else 1)
        # One label for all, or none, is expanded a batch at a time: n may be any number.
        batch_labels: Any = checked if one_each else labels
        return self._batches(n, batch_labels, seed, start, batch_size, truncation, progress)

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
        call = {"method": "sample", "truncation": truncation and float(truncation)}
        for rows in batch_slices(n, batch_size):
            noise = Noise(seed, range(start + rows.start, start + rows.stop), device=self.device)
            if isinstance(labels, Tensor):
                own_labels: Tensor | None = labels[rows]
            else:
                own_labels = self.labels_for(labels, len(noise), noise.indices[0])
            x = infer(self, partial(_generate, noise, own_labels, truncation))
            check_output(self, self._method, x, (len(noise), *self.shape))
            yield self.to_samples(x, own_labels, [(seed, i) for i in noise.indices], call)
            if progress:
                progress("samples", rows.stop, n)

    @final
    def labels_for(self, labels: Labels, n: int, start: int = 0) -> Tensor | None:
        """The ``labels`` that ``sample`` takes as ``(n,)`` int64 on the model's device, or None.

        Raises BadInput.
        """
        if not self.num_classes:
            if labels is not None:
                raise BadInput("this model is unconditional: leave labels out")
            return None
        if labels is None:
            return torch.arange(start, start + n, device=self.device) % self.num_classes
        items: Any = labels.tolist() if isinstance(labels, np.ndarray | Tensor) else labels
        if isinstance(items, Integral | str):
            return torch.full((n,), self._label(items), device=self.device)
        if not isinstance(items, Sequence):
            raise BadInput(f"labels are whole numbers or class names, got {items!r}")
        values = [self._label(v) for v in items]
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
            raise unknown("class", value, self.class_names, "Or give its number.")
        if not isinstance(value, Integral | str) or isinstance(value, bool):
            raise BadInput(f"labels are whole numbers or class names, got {value!r}")
        if not 0 <= int(value) < self.num_classes:
            raise BadInput(
                f"label {int(value)} is out of range: this model has 0 to {self.num_classes - 1}"
            )
        return int(value)


class Latent(Sampler):
    """A sampler that decodes a latent code: ``latent_dim`` independent standard normal numbers."""

    latent_dim: int
    _takes_noise: ClassVar[bool] = False
    _method = "decode"

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls._takes_noise = "noise" in inspect.signature(cls.decode).parameters

    @abstractmethod
    def decode(self, code: Tensor, labels: Tensor | None = None) -> Tensor:
        """``(n, latent_dim)`` to ``(n, *shape)`` in the model's range, differentiably.

        A family that needs randomness beside the code adds a parameter
        ``noise: Noise | None = None``; None stands for no such randomness.
        """

    @final
    def decode_with_noise(self, code: Tensor, labels: Tensor | None, noise: Noise) -> Tensor:
        """``decode``, with ``noise`` if the family takes it."""
        decode: Callable[..., Tensor] = self.decode
        return decode(code, labels, noise=noise) if self._takes_noise else decode(code, labels)

    @final
    def generate(self, noise: Noise, labels: Tensor | None = None) -> Tensor:
        return self.decode_with_noise(noise.normal(self.latent_dim), labels, noise)

    @final
    def codes(
        self, n: int, *, seed: int = 0, start: int = 0, truncation: float | None = None
    ) -> Tensor:
        """The codes of samples ``start`` to ``start + n`` of ``seed``: ``(n, latent_dim)``."""
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
        """The samples of codes ``(n, latent_dim)``: ``codes(n, seed=s)`` give those of ``sample``.

        ``seeds``: the (seed, index) of each sample, for the noise that a model takes beside its
        code; left out, the first ones of seed 0. ``labels`` as in ``sample``. ``call``: the method
        and its arguments, for the samples' record. Raises BadInput.
        """
        codes = self._checked_codes(codes)
        seeds = [(0, i) for i in range(len(codes))] if seeds is None else [*seeds]
        if len(seeds) != len(codes):
            raise BadInput(f"expected {len(codes)} seeds, one for each code, got {len(seeds)}")
        _check_memory(len(codes), self.shape)
        checked_labels, outputs = self.labels_for(labels, len(codes)), []
        for rows in _batches_of_one_seed(seeds, batch_size):
            seed, indices = checked_seed(seeds[rows.start][0]), [i for _, i in seeds[rows]]
            noise = Noise(seed, indices, device=self.device)
            own_labels = None if checked_labels is None else checked_labels[rows]
            outputs.append(infer(self, partial(_decode, codes[rows], own_labels, noise)))
            check_output(self, "decode", outputs[-1], (len(noise), *self.shape))
            if progress:
                progress("samples", rows.stop, len(codes))
        call = {"method": "draw"} if call is None else call
        return self.to_samples(torch.cat(outputs), checked_labels, seeds, call)

    def _checked_codes(self, codes: Any) -> Tensor:
        try:
            x = torch.as_tensor(codes).to(self.device, torch.float32)
        except (TypeError, ValueError, RuntimeError):
            raise BadInput(f"expected codes (n, {self.latent_dim}), got {codes!r:.60}") from None
        if x.ndim != 2 or not len(x) or x.shape[1] != self.latent_dim:
            got = shape_text(x.shape)
            raise BadInput(f"expected codes of shape (n, {self.latent_dim}), got {got}")
        if not torch.isfinite(x).all():
            raise BadInput("expected codes of finite numbers")
        return x


def _generate(
    noise: Noise, labels: Tensor | None, truncation: float | None, model: Sampler
) -> Tensor:
    if truncation is None or not isinstance(model, Latent):
        return model.generate(noise, labels)
    codes = noise.normal(model.latent_dim, limit=truncation)
    return model.decode_with_noise(codes, labels, noise)


def _decode(codes: Tensor, labels: Tensor | None, noise: Noise, model: Latent) -> Tensor:
    noise.normal(model.latent_dim)  # ``sample`` reads its codes from the streams first
    return model.decode_with_noise(codes, labels, noise)


def _batches_of_one_seed(seeds: Sequence[tuple[int, int]], size: int) -> Iterator[slice]:
    """The rows of each batch: consecutive ones with one seed, at most ``size``."""
    first = 0
    for _, run in groupby(seeds, key=lambda pair: pair[0]):
        n = len([*run])
        yield from (slice(first + r.start, first + r.stop) for r in batch_slices(n, size))
        first += n


def _check_memory(n: int, shape: Sequence[int]) -> None:
    """Check that ``n`` samples fit: as batches, as one tensor, and as a copy of it."""
    needed, limit = 3 * 4 * n * math.prod(shape), memory()
    if limit and needed > limit:
        size = f"{n:,} samples need {needed / 1e9:,.1f} GB, this machine has {limit / 1e9:,.1f} GB"
        raise BadInput(f"{size}: use stream, a batch at a time, or genzoo sample -o FOLDER")


def _join(parts: list[Samples]) -> Samples:
    return parts[0] if len(parts) == 1 else type(parts[0]).join(parts)
