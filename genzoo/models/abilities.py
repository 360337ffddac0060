"""What models can do beside sampling: encode, score, translate, inpaint, attend, go in steps."""

import inspect
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Literal, final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from genzoo.errors import BadInput, argument, unknown
from genzoo.models.arguments import checked_arguments
from genzoo.models.checks import (
    batch_slices,
    check_count,
    check_finite,
    check_span,
    checked_seed,
    explained,
    problem_of,
    problem_of_labels,
    shape_text,
)
from genzoo.models.model import Model, SamplesLike, check_output, infer
from genzoo.models.randomness import Noise, stream
from genzoo.models.ranges import rescale
from genzoo.models.sampler import Labels, Sampler, check_memory
from genzoo.models.samples import Samples
from genzoo.options import Sampling

_FEWER = "take fewer at a time, with start for the next ones"


class Attentive(Sampler):
    """A sampler with self-attention: each position of a feature map attends to all others."""

    @abstractmethod
    def attend(self, noise: Noise, labels: Tensor | None, sampling: Any) -> tuple[Tensor, Tensor]:
        """What ``generate`` returns, and the attention of each position of an ``(h, w)`` map.

        ``(n, *shape)`` and ``(n, h, w, h, w)``; the last two axes sum to 1.
        """

    def attention_weight(self) -> float | None:
        """The weight with which the layer adds what it gathers, such as SAGAN's gamma; None if
        there is no such number.
        """
        return None

    @final
    @checked_arguments
    def attention(
        self,
        n: int = 1,
        *,
        labels: Labels = None,
        seed: int = 0,
        start: int = 0,
        batch_size: int = 64,
        **settings: Any,
    ) -> tuple[Samples, Tensor]:
        """What ``sample`` returns, and attention maps ``(n, h, w, h, w)``: [i, y, x] is what
        position (y, x) of sample i attends to. Raises BadInput.
        """
        check_span(n, start)
        sampling, seed = self.checked_sampling(settings), checked_seed(seed)
        check_memory(n, self.shape, _FEWER)
        own = self.labels_for(labels, n, start)
        x, maps = list[Tensor](), list[Tensor]()
        for rows in batch_slices(n, batch_size):
            noise = Noise(seed, range(start + rows.start, start + rows.stop), device=self.device)
            drawn, seen = self._attend(noise, None if own is None else own[rows], sampling)
            check_memory(n, seen.shape[1:], _FEWER)
            x.append(drawn)
            maps.append(seen)
        call = {"method": "sample", "sampling": sampling.model_dump(mode="json")}
        seeds = [(seed, i) for i in range(start, start + n)]
        return self.to_samples(torch.cat(x), own, seeds, call), torch.cat(maps)

    def _attend(
        self, noise: Noise, labels: Tensor | None, sampling: Sampling
    ) -> tuple[Tensor, Tensor]:
        x, maps = infer(self, lambda copy: copy.attend(noise, labels, sampling), len(noise))
        check_output(self, "attend", x, (len(noise), *self.shape))
        check_output(self, "attend", maps, (len(noise), *[None] * 4))
        return x, maps


class Encoder(Model):
    """Maps samples to codes."""

    @abstractmethod
    def embed(self, x: Tensor) -> Tensor:
        """``(n, *shape)`` in the model's range to ``(n, latent_dim)``."""

    @final
    @checked_arguments
    def encode(self, images: SamplesLike, *, batch_size: int = 64) -> Tensor:
        """The codes of ``(n, *shape)`` samples, public: ``(n, latent_dim)``. Raises BadInput."""
        x = self.checked_input(images)
        return torch.cat([self._encode(x[rows]) for rows in batch_slices(len(x), batch_size)])

    def _encode(self, x: Tensor) -> Tensor:
        codes = infer(self, lambda copy: copy.embed(x), len(x))
        check_output(self, "embed", codes, (len(x), None))
        return codes


class Density(Model):
    """Gives samples a log-likelihood: exact, a lower bound or an estimate (``likelihood_kind``).

    An estimate, as by a sampled normalising constant, may be too high or too low: it never ranks
    with exact values or bounds.

    ``levels`` is the number of values that a pixel can take. None stands for a density (or a
    pseudo-likelihood) of continuous values: it has no bits/dim.
    """

    likelihood_kind: Literal["exact", "bound", "estimate"]
    levels: int | None = None

    @abstractmethod
    def log_weight(self, x: Tensor, labels: Tensor | None, noise: Noise) -> Tensor:
        """``(n,)`` nats: log p(x), or log p(x, z) - log q(z | x) with z from ``noise``."""

    @final
    @checked_arguments
    def log_prob(
        self,
        images: SamplesLike,
        labels: Labels = None,
        *,
        seed: int = 0,
        samples: int = 1,
        bound: Literal["elbo", "importance"] = "importance",
        batch_size: int = 64,
    ) -> Tensor:
        """Log-likelihood, or a bound or estimate of it, ``(n,)`` nats, of public samples.

        Of ``samples`` log-weights, ``elbo`` is the mean (Kingma & Welling 2014, eq. 2) and
        ``importance`` the log-mean-exp (Burda et al. 2016, eq. 8). Other kinds need only one.
        The z of image i depend on ``seed`` and i: another order of images draws other z.
        ``labels``: of a conditional model; left out, those of the samples. Raises BadInput.
        """
        check_count("samples", samples, 1)
        if bound not in ("elbo", "importance"):
            raise BadInput(f"bound must be elbo or importance, got {bound!r}")
        x = self.checked_input(images)
        self._check_levels(x)
        own = self._labels_of(images, labels, len(x))
        times = samples if self.likelihood_kind == "bound" else 1
        weights = torch.cat(
            [
                self._log_weights(x, own, checked_seed(seed), rows, times)
                for rows in batch_slices(len(x), batch_size)
            ],
            dim=1,
        )
        if bound == "elbo":
            return weights.mean(0)
        return weights.logsumexp(0) - np.log(times)

    def _labels_of(self, images: Any, labels: Labels, n: int) -> Tensor | None:
        """The labels of ``n`` images as a tensor, or None. Raises BadInput."""
        if not isinstance(self, Sampler):
            if labels is not None:
                raise BadInput(f"this model is unconditional: leave {argument('labels')} out")
            return None
        if labels is None and self.num_classes:
            labels = images.labels if isinstance(images, Samples) else None
            if labels is None:
                each = f"pass {argument('labels')} for each image"
                raise BadInput(f"this model is class-conditional: {each}")
        return self.labels_for(labels, n)

    def _log_weights(
        self, x: Tensor, labels: Tensor | None, seed: int, rows: slice, times: int
    ) -> Tensor:  # (times, len(rows))
        noise = Noise(seed, range(rows.start, rows.stop), "log_prob", self.device)
        x, labels = x[rows], None if labels is None else labels[rows]
        weights = []
        for _ in range(times):
            weights.append(infer(self, lambda copy: copy.log_weight(x, labels, noise), len(x)))
            check_output(self, "log_weight", weights[-1], (len(x),))
        return torch.stack(weights)

    def _check_levels(self, x: Tensor) -> None:
        unit = rescale(self.to_public(x), self.public_range, (0.0, 1.0))
        steps = unit * ((self.levels or 2) - 1)
        if self.levels and (steps - steps.round()).abs().max() > 1e-3:
            raise BadInput(
                f"this model knows {self.levels} values of a pixel: round each pixel to one of "
                "them, at random (as evaluate does) or to the nearest"
            )


class Translator(Sampler):
    """Translates images from one domain to another; samples by translating its own examples.

    ``domains`` are the names of the first and the second domain. ``examples`` is a buffer
    ``(k, *shape)`` of bytes: images of the first domain, stored with the weights. A run fills it
    from its data. ``sample`` has no other input: sample i is one of them in the second domain.

    ``one_way``: the model translates only from the first domain to the second. ``multiple``,
    ``smallest``: the sides that ``convert`` takes are multiples of the one and at least the other.
    The core enlarges other images by repeating their last row and column, and crops the results.
    """

    domains: tuple[str, str]
    examples: Tensor
    one_way: bool = False
    multiple: int = 1
    smallest: int = 1

    _takes_sampling: ClassVar[bool] = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls._takes_sampling = "sampling" in inspect.signature(cls.convert).parameters

    @final
    @property
    def targets(self) -> tuple[str, ...]:
        """The domains that it can translate to."""
        return self.domains[1:] if self.one_way else self.domains

    @final
    def generate(self, noise: Noise, labels: Tensor | None, sampling: Sampling) -> Tensor:
        """The examples in the second domain, in an order that depends on the seed."""
        order = stream(noise.seed, "examples").permutation(len(self.examples))
        rows = torch.from_numpy(order[np.array(noise.indices) % len(order)])
        x = self.from_public(self.examples[rows])
        return self.convert_any_size(x, self.domains[1], noise, sampling)

    @abstractmethod
    def convert(self, x: Tensor, to: str, noise: Noise) -> Tensor:
        """``(n, C, H, W)`` in the model's range into the domain ``to``, one of ``targets``.

        A family that has settings adds a parameter ``sampling: MySampling | None = None``; None
        stands for the defaults.
        """

    @final
    def convert_any_size(
        self, x: Tensor, to: str, noise: Noise, sampling: Sampling | None = None
    ) -> Tensor:
        """``convert`` for sides of any length, with gradients: also for the family's trainer."""
        height, width = x.shape[2:]
        down, right = (self._missing(side) for side in (height, width))
        if down or right:
            x = F.pad(x, (0, right, 0, down), mode="replicate")
        convert: Callable[..., Tensor] = self.convert
        output = convert(x, to, noise, **({"sampling": sampling} if self._takes_sampling else {}))
        check_output(self, "convert", output, tuple(x.shape))
        return output[:, :, :height, :width]

    def _missing(self, side: int) -> int:
        """The pixels that a side lacks to the next length that ``convert`` takes."""
        return -(-max(side, self.smallest) // self.multiple) * self.multiple - side

    @final
    @checked_arguments
    def translate(
        self,
        images: SamplesLike,
        to: str | None = None,
        *,
        seed: int = 0,
        batch_size: int = 8,
        **settings: Any,
    ) -> Samples:
        """Images ``(n, C, H, W)`` in [0, 1], of any size, in the domain ``to`` (the second one).

        ``settings`` as in ``sample``. Raises BadInput, UnknownName.
        """
        sampling, to = self.checked_sampling(settings), self._checked_target(to)
        x = self.from_public(images)
        check_finite("samples", x)
        if x.shape[1] != self.shape[0]:
            raise BadInput(f"expected images with {self.shape[0]} channels, got {x.shape[1]}")
        if not min(x.shape[2:]):
            raise BadInput(f"expected images of at least one pixel, got {shape_text(x.shape)}")
        seeds = [(checked_seed(seed), i) for i in range(len(x))]
        batches = batch_slices(len(x), batch_size)
        outputs = [self._convert(x, to, seed, rows, sampling) for rows in batches]
        call = {"method": "translate", "to": to, "sampling": sampling.model_dump(mode="json")}
        return self.to_samples(torch.cat(outputs), None, seeds, call)

    def _checked_target(self, to: str | None) -> str:
        if to is None:
            return self.domains[1]
        if not isinstance(to, str):
            raise BadInput(f"to must be one of {', '.join(self.targets)}, got {to!r:.60}")
        if to not in self.domains:
            raise unknown("domain", to, self.targets, "")
        if to not in self.targets:
            one, two = self.domains
            raise BadInput(f"this model translates one way, from {one} to {two}: not to {to}")
        return to

    def _convert(self, x: Tensor, to: str, seed: int, rows: slice, sampling: Sampling) -> Tensor:
        noise = Noise(seed, range(rows.start, rows.stop), "translate", self.device)
        own, n = x[rows], len(noise)
        return infer(self, lambda copy: copy.convert_any_size(own, to, noise, sampling), n)


class Completer(Sampler):
    """A sampler that fills in the unknown pixels of an image, given the known ones."""

    # Whether ``complete`` draws from the exact distribution given all known values. A model in
    # raster order need not say so: it does wherever no known value follows an unknown one.
    completes_exactly: bool = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "complete" in vars(cls):
            complete = explained(cls.complete, Completer._problem_of_images)
            cls.complete = complete  # type: ignore[method-assign]

    def _problem_of_images(
        self, x: Any, mask: Any, noise: Any, labels: Any = None, *others: Any, **more: Any
    ) -> str:
        """Why ``complete`` cannot take these, for a message; or ""."""
        parts = {"images": x, "a mask": mask}
        problems = [problem_of(what, t, self.shape, self.device) for what, t in parts.items()]
        found = next((problem for problem in problems if problem), "")
        return found or problem_of_labels(labels, len(x), self.num_classes)

    @abstractmethod
    def complete(
        self, x: Tensor, mask: Tensor, noise: Noise, labels: Tensor | None, sampling: Any
    ) -> Tensor:
        """``x``, ``(n, *shape)``, with unknown values (``mask`` 0) sampled given the known ones."""


class Stepwise(Sampler):
    """A sampler that calls one function again and again, which `genzoo.export` can hand on.

    ``step_outputs`` are the names of what ``step`` returns.
    """

    step_outputs: ClassVar[tuple[str, ...]]

    @abstractmethod
    def step(self, *inputs: Any, **more: Any) -> Tensor | tuple[Tensor, ...]:
        """The function; a family names each input. What has axes has n as the first; what has none
        is a number for all samples. Its units are the family's own, and its docstring says them.
        """

    @abstractmethod
    def step_inputs(self, noise: Noise) -> tuple[Tensor, ...]:
        """An example of what ``step`` takes, with a sample for each stream of ``noise``."""
