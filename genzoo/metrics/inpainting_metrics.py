"""Inpainting: how near to the truth a model fills in the middle of held-out images.

A sample that fits need not be the truth: of several sharp answers one is right, and a blurred mean
of them beats each in decibels (Blau & Michaeli 2018). So look at the pictures, too.
"""

import weakref
from abc import abstractmethod
from typing import Any, NamedTuple, final

from torch import Tensor

from genzoo.editing import inpainting, projection
from genzoo.errors import BadInput, article
from genzoo.metrics.metric import ModelMetric
from genzoo.metrics.real_data import some_of
from genzoo.metrics.score import Estimates
from genzoo.metrics.statistics import similarity
from genzoo.metrics.subjects import ModelSubject
from genzoo.models.abilities import Completer
from genzoo.models.sampler import Latent, Sampler

IMAGES, MASK = 64, "centre"


class _Filled(NamedTuple):
    """Held-out images, what a model made of them, and where it had to."""

    truth: Tensor
    made: Tensor
    unknown: Tensor
    exact: bool


# Both metrics look at the same pictures: by model, and then by what was asked.
_filled: weakref.WeakKeyDictionary[ModelSubject, dict[tuple[str, int, int], _Filled]] = (
    weakref.WeakKeyDictionary()
)


class Inpainted(ModelMetric):
    """A number about what is filled in, each image a part."""

    goal = "higher"

    @abstractmethod
    def likeness(self, filled: _Filled) -> Tensor:
        """``(n,)``: of what was made to the truth, where it was unknown."""

    @property
    @final
    def name(self) -> str:
        return f"{self.id}-{self.real.data}"

    @final
    def conditions(self) -> dict[str, Any]:
        how = projection.SEARCH
        # Without the discriminator: a score must not depend on which files came along.
        codes = f"{how['restarts']} restarts, {how['steps']} steps, no discriminator"
        return {"data": self.real.data, "mask": MASK, "codes by": codes}

    @final
    def lacks(self, subject: ModelSubject) -> str:
        model = subject.model
        if not isinstance(model, Completer | Latent) or not model.is_images:
            return f"{article(model)} does not fill in pictures"
        test = self.real.open("test")
        if tuple(model.shape) != test.shape:
            own, other = ("x".join(map(str, s)) for s in (model.shape, test.shape))
            return f"it fills in {own}, and {self.real.data} is {other}"
        return ""

    @final
    def found(self, subject: ModelSubject, n: int | None, seed: int) -> Estimates:
        count, test = n or IMAGES, self.real.open("test")
        filled = self._filled(subject, count, seed)
        told = {"images": f"{count:,} of the test split", "data_sha256": test.sha256, "seed": seed}
        by = "drawing it given the rest" if filled.exact else "projection"
        return Estimates(self.likeness(filled).numpy(), told, {"by": by})

    @final
    def floor(self) -> None:
        return None

    def _filled(self, subject: ModelSubject, count: int, seed: int) -> _Filled:
        test, kept = self.real.open("test"), _filled.setdefault(subject, {})
        key = (test.sha256, count, seed)
        if key not in kept:
            kept[key] = self._fill(subject, some_of(test, count, seed), seed)
        return kept[key]

    def _fill(self, subject: ModelSubject, rows: Any, seed: int) -> _Filled:
        test, model = self.real.open("test"), subject.model
        assert isinstance(model, Sampler)
        truth = test.batch(rows)
        # Only a Completer must be told; a projection is to find the class itself.
        told = model.num_classes and isinstance(model, Completer)
        labels = test.labels_of(rows) if told else None
        if told and labels is None:
            raise BadInput(f"{subject.name} is told the class, and {self.real.data} has none")
        found = inpainting.inpaint(
            model,
            truth,
            MASK,
            labels=labels,
            seed=seed,
            weight=0,
            progress=lambda _, done, n: self.real.tell(f"{subject.name}: inpainting", done, n),
        )
        made = found.samples.tensor.cpu().mul(255).round().div(255)
        return _Filled(truth, made, ~found.known.cpu(), found.exact)


@final
class InpaintingPSNR(Inpainted):
    """The peak signal-to-noise ratio inside the mask, of images in 256 levels."""

    id, unit = "inpainting_psnr", " dB"
    about = "peak signal-to-noise ratio of the middle of held-out images, filled in"

    def likeness(self, filled: _Filled) -> Tensor:
        return similarity.psnr(filled.made, filled.truth, filled.unknown)


@final
class InpaintingSSIM(Inpainted):
    """The structural similarity of the windows centred inside the mask."""

    id = "inpainting_ssim"
    about = "structural similarity (SSIM) of the middle of held-out images, filled in"

    def likeness(self, filled: _Filled) -> Tensor:
        return similarity.ssim(filled.made, filled.truth, filled.unknown)


KINDS = (InpaintingPSNR, InpaintingSSIM)
