"""Metrics of inpainting: how close a model's filling of a hole is to the original image.

A plausible filling need not be the original: in decibels a blurred mean of several sharp answers
beats each of them (Blau & Michaeli 2018). So look at the images, too.
"""

import weakref
from abc import abstractmethod
from typing import Any, NamedTuple, final

from torch import Tensor

from genzoo.editing import inpainting
from genzoo.editing.projection import SearchOptions
from genzoo.errors import BadInput, article
from genzoo.metrics.metric import ModelMetric
from genzoo.metrics.real_data import random_rows
from genzoo.metrics.score import Estimates
from genzoo.metrics.statistics import similarity
from genzoo.metrics.subjects import ModelSubject
from genzoo.models.abilities import Completer
from genzoo.models.sampler import Latent, Sampler

IMAGES, MASK = 64, "centre"
# Part of the protocol, so that scores compare from version to version: not the defaults of
# inpainting, which may improve. Without the discriminator, whose file may be missing.
SEARCH = SearchOptions(steps=100, restarts=4, weight=0, window=0)


class _Result(NamedTuple):
    """Held-out images, the same images filled in by a model, and the mask of the hole."""

    originals: Tensor
    filled: Tensor
    hole: Tensor
    sampled: bool


# Both metrics share one result: by model, then by (data, n, seed).
_results: weakref.WeakKeyDictionary[ModelSubject, dict[tuple[str, int, int], _Result]] = (
    weakref.WeakKeyDictionary()
)


class InpaintingMetric(ModelMetric):
    """A similarity of filled-in images to the originals; each image is a part."""

    goal, reads = "higher", ()

    @abstractmethod
    def similarity(self, result: _Result) -> Tensor:
        """``(n,)``: the similarity inside the hole."""

    @property
    @final
    def name(self) -> str:
        return f"{self.id}-{self.real.data}"

    @final
    def conditions(self) -> dict[str, Any]:
        codes = f"{SEARCH['restarts']} restarts, {SEARCH['steps']} steps, no discriminator"
        return {"data": self.real.data, "mask": MASK, "code search": codes}

    @final
    def unsupported_reason(self, subject: ModelSubject) -> str:
        model = subject.model
        if not isinstance(model, Completer | Latent) or not model.is_images:
            return f"{article(model)} cannot fill in images"
        test = self.real.open("test")
        if tuple(model.shape) != test.shape:
            own, other = ("x".join(map(str, s)) for s in (model.shape, test.shape))
            return f"it takes {own} images, but {self.real.data} is {other}"
        return ""

    @final
    def estimate(self, subject: ModelSubject, n: int | None, seed: int) -> Estimates:
        count, test = n or IMAGES, self.real.open("test")
        result = self._result(subject, count, seed)
        protocol = {
            "images": f"{count:,} of the test split",
            "data_sha256": test.sha256,
            "seed": seed,
        }
        by = "conditional sampling" if result.sampled else "projection"
        return Estimates(self.similarity(result).numpy(), protocol, {"by": by})

    @final
    def floor(self) -> None:
        return None

    def _result(self, subject: ModelSubject, count: int, seed: int) -> _Result:
        test, results = self.real.open("test"), _results.setdefault(subject, {})
        key = (test.sha256, count, seed)
        if key not in results:
            results[key] = self._fill_in(subject, random_rows(test, count, seed), seed)
        return results[key]

    def _fill_in(self, subject: ModelSubject, rows: Any, seed: int) -> _Result:
        test, model = self.real.open("test"), subject.model
        assert isinstance(model, Sampler)
        originals = test.batch(rows)
        # Only a Completer needs the class; a projection searches for it.
        needs_labels = model.num_classes and isinstance(model, Completer)
        labels = test.labels_of(rows) if needs_labels else None
        if needs_labels and labels is None:
            raise BadInput(
                f"{subject.name} is class-conditional, but {self.real.data} has no classes"
            )
        search = SearchOptions() if isinstance(model, Completer) else SEARCH
        completion = inpainting.inpaint(
            model,
            originals,
            MASK,
            labels=labels,
            seed=seed,
            blend=False,
            progress=lambda _, done, n: self.real.report(f"{subject.name}: inpainting", done, n),
            **search,
        )
        filled = completion.samples.tensor.cpu().mul(255).round().div(255)
        return _Result(originals, filled, ~completion.known.cpu(), completion.projection is None)


@final
class InpaintingPSNR(InpaintingMetric):
    """The peak signal-to-noise ratio inside the hole, in 256 levels."""

    id, unit = "inpainting_psnr", " dB"
    about = "peak signal-to-noise ratio of the filled-in centre of held-out images"

    def similarity(self, result: _Result) -> Tensor:
        return similarity.psnr(result.filled, result.originals, result.hole)


@final
class InpaintingSSIM(InpaintingMetric):
    """The structural similarity of the windows centred inside the hole."""

    id = "inpainting_ssim"
    about = "structural similarity (SSIM) of the filled-in centre of held-out images"

    def similarity(self, result: _Result) -> Tensor:
        return similarity.ssim(result.filled, result.originals, result.hole)


KINDS = (InpaintingPSNR, InpaintingSSIM)
