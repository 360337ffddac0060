"""Sampler: a model that draws samples. Latent: a sampler that decodes latent codes."""

import inspect
import math
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from itertools import groupby
from numbers import Integral
from typing import Any, ClassVar, final

import numpy as np
import torch
from torch import Tensor

from genzoo.devices import memory
from genzoo.errors import BadInput, OperationFailed, argument, either, unknown
from genzoo.models.arguments import checked_arguments, nearest
from genzoo.models.checks import (
    batch_slices,
    check_count,
    check_finite,
    check_pairs,
    check_span,
    checked_seed,
    explained,
    fresh_seed,
    problem_of,
    problem_of_labels,
    shape_text,
    tensor_of,
)
from genzoo.models.laws import CodeLaw, Law, Normal
from genzoo.models.model import Model, check_output, infer, inferrer
from genzoo.models.randomness import Noise
from genzoo.models.samples import Samples
from genzoo.models.shared_samples import own
from genzoo.options import LatentSampling, Sampling, ours
from genzoo.schemas import checked
from genzoo.text import nfc

Labels = int | str | Sequence[int | str] | np.ndarray | Tensor | None
# How every ``progress=`` in genzoo is called: (what is counted: "samples", number done, total).
Progress = Callable[[str, int, int], None]
# The arguments of methods that also take settings: no setting may have such a name.
_DRAWING = ["n", "labels", "seed", "start", "batch_size", "progress"]
_ARGUMENTS = {*_DRAWING, "codes", "seeds", "call", "images", "to"}


class Sampler(Model):
    """Draws samples; class-conditional where ``num_classes`` is above 0."""

    num_classes: int = 0
    # Whether pixels are drawn one by one, row by row from the top, and never change later.
    in_raster_order: bool = False
    # The settings of sampling, which users give by name: ``model.sample(16, steps=20)``.
    sampling: ClassVar[type[Sampling]] = Sampling
    # The method that a family writes, for messages.
    _method = "generate"

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if taken := _ARGUMENTS & cls.sampling.model_fields.keys():
            raise TypeError(f"{cls.__name__}.sampling: {min(taken)} is an argument of sample")
        if bare := [name for name, f in cls.sampling.model_fields.items() if f.is_required()]:
            setting = f"{cls.__name__}.sampling: {bare[0]}"
            raise TypeError(f"{setting} has no default: each setting needs a default")

    @abstractmethod
    def generate(self, noise: Noise, labels: Tensor | None, sampling: Any) -> Tensor:
        """One sample for each stream of ``noise``, ``(n, *shape)`` in the model's range.

        ``sampling``: a record of the class ``self.sampling``. Differentiable if possible.
        """

    @final
    @checked_arguments
    def sample(
        self,
        n: int,
        *,
        labels: Labels = None,
        seed: int | None = 0,
        start: int = 0,
        batch_size: int = 64,
        progress: Progress | None = None,
        **settings: Any,
    ) -> Samples:
        """Draw samples ``start`` to ``start + n`` of ``seed``, ``(n, *shape)`` in the public range.

        Sample i depends only on the weights, the seed, i, its label and the settings. ``seed=None``
        takes a fresh seed, which the result's ``seeds`` hold. ``labels``: one for all, or one each,
        as class names or numbers (2 is the class called "2", if there is one; in a tensor or an
        array the third class); left out, a conditional model uses its classes in turn.
        ``settings``: fields of the model's ``sampling``, such as ``truncation=0.7``; ``genzoo info
        FAMILY`` lists them. Raises BadInput.
        """
        parts = self._stream(n, labels, seed, start, batch_size, progress, settings)
        check_memory(n, self.shape)
        return _join(list(parts))

    @final
    @checked_arguments
    def stream(
        self,
        n: int,
        *,
        labels: Labels = None,
        seed: int | None = 0,
        start: int = 0,
        batch_size: int = 64,
        progress: Progress | None = None,
        **settings: Any,
    ) -> Iterator[Samples]:
        """As ``sample``, but yields a batch at a time: any number in constant memory.

        All are of the weights at the first batch.
        """
        return self._stream(n, labels, seed, start, batch_size, progress, settings)

    def _stream(
        self,
        n: int,
        labels: Labels,
        seed: int | None,
        start: int,
        batch_size: int,
        progress: Progress | None,
        settings: Mapping[str, Any],
    ) -> Iterator[Samples]:
        check_span(n, start)
        check_count("batch_size", batch_size, 1)
        sampling = self.checked_sampling(settings)
        seed = fresh_seed() if seed is None else checked_seed(seed)
        one_each = not (labels is None or isinstance(labels, Integral | str))
        checked = self.labels_for(labels, n if one_each else 1)
        # One label for all, or none, is expanded a batch at a time: n may be any number.
        batch_labels: Any = checked if one_each else labels
        return self._batches(n, batch_labels, seed, start, batch_size, sampling, progress)

    def _batches(
        self,
        n: int,
        labels: Tensor | int | str | None,
        seed: int,
        start: int,
        batch_size: int,
        sampling: Sampling,
        progress: Progress | None,
    ) -> Iterator[Samples]:
        call = {"method": "sample", "sampling": sampling.model_dump(mode="json")}
        infer, device = inferrer(self), self.device
        for rows in own(batch_slices(n, batch_size)):
            noise = Noise(seed, range(start + rows.start, start + rows.stop), device=device)
            if isinstance(labels, Tensor):
                own_labels: Tensor | None = labels[rows]
            else:
                own_labels = self.labels_for(labels, len(noise), noise.indices[0])
            x = infer(partial(_generate, noise, own_labels, sampling), len(noise))
            check_output(self, self._method, x, (len(noise), *self.shape))
            yield self.to_samples(x, own_labels, [(seed, i) for i in noise.indices], call)
            if progress:
                progress("samples", rows.stop, n)

    @final
    def checked_sampling(self, settings: Mapping[str, Any]) -> Any:
        """A record of ``self.sampling`` with these fields, the others at their defaults.

        Raises BadInput.
        """
        fields, kind = self.sampling.model_fields, type(self).__name__
        if strange := [name for name in settings if name not in fields]:
            known = f"its settings are {', '.join(fields)}" if fields else "it has no settings"
            if near := ours(strange[0], fields):
                known = f"did you mean {near}?"
            elif near := nearest(strange[0], _DRAWING):
                known = f"did you mean {argument(near)}?"
            raise BadInput(f"{kind} has no setting of sampling called {strange[0]!r}: {known}")
        where = f"{kind}'s sampling"
        sampling = checked(self.sampling, dict(settings), where) if settings else self.sampling()
        if isinstance(self, Latent) and (settings or self.temperature != 1):
            how = self.code_law.check_sampling(sampling)
            if how is sampling and how.temperature is None and self.temperature != 1:
                sampling = how.model_copy(update={"temperature": self.temperature})
        return self.effective_sampling(sampling)

    def effective_sampling(self, sampling: Any) -> Any:
        """``sampling`` as it acts, which is what is recorded: a family may bound a field by the
        model's config. Raises BadInput.
        """
        return sampling

    @final
    def labels_for(self, labels: Labels, n: int, start: int = 0) -> Tensor | None:
        """The ``labels`` that ``sample`` takes as ``(n,)`` int64 on the model's device, or None.

        Raises BadInput.
        """
        if not self.num_classes:
            if labels is not None:
                raise BadInput(f"this model is unconditional: leave {argument('labels')} out")
            return None
        if labels is None:
            return torch.arange(start, start + n, device=self.device) % self.num_classes
        # Those of samples and data sets are numbers of classes, whatever these are called.
        numbers = isinstance(labels, Tensor) or getattr(labels, "dtype", np.dtype("O")).kind in "iu"
        whole = _whole_numbers(labels)
        if whole is not None and whole.shape == (n,):
            return self._class_numbers(whole)
        items: Any = labels.tolist() if isinstance(labels, np.ndarray | Tensor) else labels
        named = partial(self._label, _places(tuple(self.class_names)))
        read = self._class_number if numbers else named
        if isinstance(items, Integral | str):
            return torch.full((n,), read(items), device=self.device)
        if not isinstance(items, Sequence):
            raise BadInput(f"labels are whole numbers or class names, got {items!r}")
        values = [read(v) for v in items]
        if len(values) != n:
            raise BadInput(f"expected {n} labels, one for each sample, got {len(values)}")
        return torch.tensor(values, device=self.device)

    def _class_numbers(self, array: np.ndarray) -> Tensor:  # (n,) -> (n,) int64
        outside = (array < 0) | (array >= self.num_classes)
        if outside.any():
            self._class_number(int(array[outside][0]))
        return torch.from_numpy(array.astype(np.int64)).to(self.device)

    def _label(self, places: Sequence[Mapping[str, int]], value: Any) -> int:
        """The number of a class, of which ``value`` is the name or, if none has that name, the
        number: where all names are numbers, it would be taken for a name that is not there.
        """
        if isinstance(value, Integral | str) and not isinstance(value, bool):
            for spelled, place in zip(_SPELLINGS, places, strict=True):
                if (number := place.get(spelled(str(value)))) is not None:
                    return number
        if isinstance(value, Integral | str) and not isinstance(value, bool) and self._numbered:
            what = f"no class is called {value!s:.60}: the classes are"
            hint = "in a tensor of int64, labels are places in this list"
            raise BadInput(f"{what} {', '.join(self.class_names):.200}; {hint}")
        if isinstance(value, str) and not (value.isascii() and value.isdecimal()):
            raise unknown("class", value, self.class_names, "Or give its number.")
        return self._class_number(value)

    @property
    def _numbered(self) -> bool:
        """Whether the classes are called by whole numbers, but not by their own."""
        names = self.class_names
        numbers = all(name.isascii() and name.lstrip("-").isdecimal() for name in names)
        return numbers and names != tuple(map(str, range(len(names))))

    def _class_number(self, value: Any) -> int:
        if not isinstance(value, Integral | str) or isinstance(value, bool):
            raise BadInput(f"labels are whole numbers or class names, got {value!r}")
        if not 0 <= int(value) < self.num_classes:
            raise BadInput(
                f"label {int(value)} is out of range: this model has 0 to {self.num_classes - 1}"
            )
        return int(value)


class Latent(Sampler):
    """A sampler that decodes a latent code of ``latent_dim`` numbers, by default normal ones."""

    latent_dim: int
    temperature: float = 1.0  # of codes, unless the settings of sampling give another one
    sampling = LatentSampling
    _decode_extras: ClassVar[tuple[str, ...]] = ()
    _method = "decode"

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        known = inspect.signature(cls.decode).parameters
        cls._decode_extras = tuple(name for name in ("noise", "sampling") if name in known)
        if "decode" in vars(cls):
            cls.decode = explained(cls.decode, Latent._problem_of)  # type: ignore[method-assign]

    def law(self) -> tuple[Law, ...]:
        """The law of the code: parts side by side, whose widths sum to ``latent_dim``.

        ``return Normal(62), Categorical(10), Uniform(2)``
        """
        return (Normal(self.latent_dim),)

    @final
    @property
    def code_law(self) -> CodeLaw:
        """``law``, checked, as one. Raises OperationFailed."""
        parts = self.law()
        if not (isinstance(parts, tuple) and all(isinstance(part, Law) for part in parts)):
            raise OperationFailed(f"{type(self).__name__}.law must return a tuple of laws")
        if (law := CodeLaw(parts)).dim != self.latent_dim:
            which = f"{type(self).__name__}.law has {law.dim} numbers"
            raise OperationFailed(f"{which}, latent_dim is {self.latent_dim}")
        return law

    @abstractmethod
    def decode(self, code: Tensor, labels: Tensor | None = None) -> Tensor:
        """``(n, latent_dim)`` to ``(n, *shape)`` in the model's range, differentiably.

        A family adds parameters for what else it needs: ``noise: Noise | None = None`` for
        randomness beside the code, None standing for none; ``sampling: MySampling | None = None``
        for its settings, None standing for the defaults.
        """

    @final
    def decode_with(
        self, code: Tensor, labels: Tensor | None, noise: Noise | None, sampling: Sampling
    ) -> Tensor:
        """``decode``, with ``noise`` and ``sampling`` if the family takes them."""
        decode: Callable[..., Tensor] = self.decode
        given = {"noise": noise, "sampling": sampling}
        return decode(code, labels, **{name: given[name] for name in self._decode_extras})

    @final
    def draw_code(self, noise: Noise, sampling: Sampling) -> Tensor:
        """The codes of the next samples: ``(n, latent_dim)``, read from ``noise``."""
        return self.code_law.draw(noise, sampling)

    @final
    def generate(self, noise: Noise, labels: Tensor | None, sampling: Sampling) -> Tensor:
        return self.decode_with(self.draw_code(noise, sampling), labels, noise, sampling)

    @final
    @checked_arguments
    def codes(self, n: int, *, seed: int = 0, start: int = 0, **settings: Any) -> Tensor:
        """The codes of samples ``start`` to ``start + n`` of ``seed``: ``(n, latent_dim)``."""
        check_span(n, start)
        noise = Noise(checked_seed(seed), range(start, start + n), device=self.device)
        return self.draw_code(noise, self.checked_sampling(settings))

    @final
    @checked_arguments
    def decode_codes(
        self,
        codes: Tensor,
        *,
        labels: Labels = None,
        seeds: Sequence[tuple[int, int]] | None = None,
        call: Mapping[str, Any] | None = None,
        batch_size: int = 64,
        progress: Progress | None = None,
        **settings: Any,
    ) -> Samples:
        """The samples of codes ``(n, latent_dim)``: ``codes(n, seed=s)`` give those of ``sample``.

        ``seeds``: the (seed, index) of each sample, for the noise that a model takes beside its
        code; left out, the first ones of seed 0. ``labels`` and ``settings`` as in ``sample``.
        ``call``: the method and its arguments, for the samples' record. Raises BadInput.
        """
        codes, sampling = self._checked_codes(codes), self.checked_sampling(settings)
        seeds = [(0, i) for i in range(len(codes))] if seeds is None else check_pairs(seeds)
        if len(seeds) != len(codes):
            raise BadInput(f"expected {len(codes)} seeds, one for each code, got {len(seeds)}")
        check_memory(len(codes), self.shape)
        checked_labels, outputs = self.labels_for(labels, len(codes)), []
        for rows in _batches_of_one_seed(seeds, batch_size):
            seed, indices = checked_seed(seeds[rows.start][0]), [i for _, i in seeds[rows]]
            noise = Noise(seed, indices, device=self.device)
            own_labels = None if checked_labels is None else checked_labels[rows]
            decoded = partial(_decode, codes[rows], own_labels, noise, sampling)
            outputs.append(infer(self, decoded, len(noise)))
            check_output(self, "decode", outputs[-1], (len(noise), *self.shape))
            if progress:
                progress("samples", rows.stop, len(codes))
        call = {"method": "draw"} if call is None else call
        call = {**call, "sampling": sampling.model_dump(mode="json")}
        return self.to_samples(torch.cat(outputs), checked_labels, seeds, call)

    def _problem_of(self, code: Any, labels: Any = None, **others: Any) -> str:
        """Why ``decode`` cannot take these, for a message; or ""."""
        problem = problem_of("codes", code, (self.latent_dim,), self.device)
        return problem or problem_of_labels(labels, len(code), self.num_classes)

    def _checked_codes(self, codes: Any) -> Tensor:
        x = tensor_of(codes, f"codes (n, {self.latent_dim})", self.device).float()
        if x.ndim != 2 or not len(x) or x.shape[1] != self.latent_dim:
            got = shape_text(x.shape)
            raise BadInput(f"expected codes of shape (n, {self.latent_dim}), got {got}")
        check_finite("codes", x)
        self.code_law.check(x)
        return x


def _whole_numbers(labels: Labels) -> np.ndarray | None:
    """An array or a tensor of integers as an array; None for anything else."""
    if isinstance(labels, Tensor) and not labels.is_floating_point():
        labels = labels.cpu().numpy()
    if isinstance(labels, np.ndarray) and labels.dtype.kind in "iu":
        return labels
    return None


def _folded(name: str) -> str:
    return nfc(name).casefold()


_SPELLINGS: tuple[Callable[[str], str], ...] = (str, nfc, _folded)


@lru_cache(maxsize=8)
def _places(names: tuple[str, ...]) -> list[dict[str, int]]:
    """The number of each name, in each of the spellings: the first of equal ones, none of those
    that only their spelling told apart.
    """
    places = []
    for spelled in _SPELLINGS:
        written = [spelled(name) for name in names]
        count = Counter(written)
        alone = (i for i, name in enumerate(written) if count[name] == 1 or spelled is str)
        places.append({written[i]: i for i in sorted(alone, reverse=True)})
    return places


def _generate(noise: Noise, labels: Tensor | None, sampling: Sampling, model: Sampler) -> Tensor:
    return model.generate(noise, labels, sampling)


def _decode(
    codes: Tensor, labels: Tensor | None, noise: Noise, sampling: Sampling, model: Latent
) -> Tensor:
    model.draw_code(noise, sampling)  # ``sample`` reads its codes from the streams first
    return model.decode_with(codes, labels, noise, sampling)


def _batches_of_one_seed(seeds: Sequence[tuple[int, int]], size: int) -> Iterator[slice]:
    """The rows of each batch: consecutive ones with one seed, at most ``size``."""
    first = 0
    for _, run in groupby(seeds, key=lambda pair: pair[0]):
        n = len([*run])
        yield from (slice(first + r.start, first + r.stop) for r in batch_slices(n, size))
        first += n


def check_memory(n: int, shape: Sequence[int], way: str = "") -> None:
    """Check that ``n`` samples fit: as batches, as one tensor, and as a copy of it.

    Raises BadInput; ``way``: what the user can do instead.
    """
    needed, limit = 3 * 4 * n * math.prod(shape), memory()
    if limit and needed > limit:
        size = f"{n:,} samples need {needed / 1e9:,.1f} GB, this machine has {limit / 1e9:,.1f} GB"
        usual = either("write them to a folder, --out FOLDER", "use stream, a batch at a time")
        raise BadInput(f"{size}: {way or usual}")


def _join(parts: list[Samples]) -> Samples:
    return parts[0] if len(parts) == 1 else type(parts[0]).join(parts)
