"""Inpainting: fill in the unknown part of images.

A `Completer` samples the unknown pixels given the known ones, exactly. For a `Latent`, a search
finds the code whose sample fits the known pixels, and its filling is blended with these (Yeh et al.
2017, arXiv:1607.07539).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Unpack, final

import torch
from einops import rearrange
from torch import Tensor

from genzoo.data.images import read_images
from genzoo.devices import usual_torch
from genzoo.editing import blending, masks
from genzoo.editing.projection import (
    ImagesLike,
    Projection,
    SearchOptions,
    in_colour,
    open_model,
    search_codes,
)
from genzoo.errors import BadInput, argument
from genzoo.models.abilities import Completer
from genzoo.models.arguments import checked_arguments
from genzoo.models.checks import batch_slices, checked_seed
from genzoo.models.model import Model, finite_input, infer
from genzoo.models.picture_files import Pictured
from genzoo.models.randomness import Noise
from genzoo.models.ranges import rescale
from genzoo.models.sampler import Labels, Latent, Progress, Sampler
from genzoo.models.samples import Samples
from genzoo.options import Sampling
from genzoo.zoo import names


@final
@dataclass(frozen=True, eq=False)
class Completion(Pictured):
    """Completed images: ``samples`` ``(n, *shape)`` in [0, 1].

    Values where ``known`` (bool) is true are the input's, bit for bit. ``projection``: the search
    for codes that the result comes from; None if a `Completer` drew it. ``blended``: whether its
    border was smoothed.
    """

    samples: Samples
    known: Tensor
    model: Sampler
    projection: Projection | None
    blended: bool = False

    @property
    def exact(self) -> bool:
        """Whether the result is a draw from the model's distribution given all known values.

        A model in raster order looks at the known values before each unknown one, and no further.
        """
        if self.projection is not None or not isinstance(self.model, Completer):
            return False
        if self.model.completes_exactly or not self.model.in_raster_order:
            return self.model.completes_exactly
        in_order = rearrange(self.known, "n c h w -> n (h w c)")
        return not (in_order[:, 1:] & ~in_order[:, :-1]).any()

    def __repr__(self) -> str:
        unknown = 1 - self.known.float().mean().item()
        return f"<Completion of {self.samples!r}, {unknown:.0%} filled in by {self.method}>"

    @property
    def method(self) -> str:
        """How the unknown values were found, in words."""
        if self.exact:
            return "exact conditional sampling"
        if self.projection is None:
            in_order = "sampling in raster order (later known pixels have no influence)"
            return in_order if self.model.in_raster_order else "conditional sampling"
        loss = self.projection.discriminator_loss
        how = f"with discriminator ({loss})" if loss else "without discriminator"
        return f"projection, {how}"

    def save(self, path: str | Path) -> Path:
        """Write the completed images, as `Samples.save`. Raises BadInput, OperationFailed."""
        return self.samples.save(path)

    def frames(self, count: int = 8) -> list[Tensor]:
        """Stages of the completion, at most ``count`` of ``(n, *shape)``, the last one finished.

        For a projection, more of the first steps, as these change most; for a model that draws
        pixel by pixel, its rows appear on grey.
        """
        return [stage for _, stage in self.stages(count)]

    def stages(self, count: int = 8) -> list[tuple[str, Tensor]]:
        """The ``frames``, each with how far it has come, as text."""
        done = "result", self.samples.tensor
        fractions = [k / max(1, count - 1) for k in range(count - 1)]
        if self.projection is not None:
            last = len(self.projection.path) - 1
            steps = {round(last * fraction**2) for fraction in fractions} - {last}
            return [*((f"step {step}", self._at(step)) for step in sorted(steps)), done]
        if not self.model.in_raster_order:
            return [done]
        missing = (~self.known).flatten(0, 1).any(0)  # (H, W), of any image
        order = missing.flatten().cumsum(0).view(missing.shape) / missing.sum()
        visible = ((f"{fraction:.0%}", self.known | (order <= fraction)) for fraction in fractions)
        return [*((name, self._on_grey(mask)) for name, mask in visible), done]

    @property
    def given(self) -> Tensor:
        """The known values, on grey: ``(n, *shape)``."""
        return self._on_grey(self.known)

    def _on_grey(self, visible: Tensor) -> Tensor:
        public = self.model.public_range or (0.0, 1.0)
        middle = torch.full_like(self.samples.tensor, sum(public) / 2)
        return self.samples.tensor.where(visible, middle)

    def _at(self, step: int) -> Tensor:
        assert self.projection is not None
        assert isinstance(self.model, Latent)
        codes, labels = self.projection.path[step], self.projection.labels
        x = infer(self.model, lambda copy: copy.decode(codes, labels), len(codes))
        return _join(self.samples.tensor, self.model.to_public(x), self.known, self.blended)


@checked_arguments
@usual_torch()
def inpaint(
    model: str | Path | Model,
    images: ImagesLike,
    mask: Any = "centre",
    *,
    labels: Labels = None,
    seed: int = 0,
    blend: bool | None = None,
    batch_size: int = 256,
    device: "str | torch.device" = "auto",
    sampling: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    **search: Unpack[SearchOptions],
) -> Completion:
    """``images`` with the unknown values of ``mask`` filled in: ``(n, *shape)`` in [0, 1], or
    files, folders of them, Pillow images, samples, or a list of these.

    A `Completer` samples them (image i's from ``seed`` and i), with settings of ``sampling``, such
    as ``{"temperature": 0.5}``; a `Latent` gives the sample that is most like the known values: see
    `project` for the other arguments. ``blend``: whether such a filling keeps only its gradients,
    so that no seam shows (Yeh et al. 2017, equation 7); by default images in colour are blended,
    and others are not: a shift of their black would show. Known values stay as they are, bit for
    bit. ``mask``: ``centre``, ``box:x,y,w,h``, ``random:SHARE``, a file (white is unknown), or an
    array that broadcasts to ``(n, *shape)``, 1 = known. Raises BadInput, and as ``load``.
    """
    masks.check(mask)
    model, options = open_model(model, device, search)
    if not isinstance(model, Completer | Latent):
        raise names.lacking(model, (Completer, Latent), "does not inpaint")
    given = read_images(images, model.shape, kind=model.kind, form=model.data_form).values
    x = finite_input(model, given)
    known = masks.known(mask, len(x), model.shape, seed).to(x.device)
    name = mask if isinstance(mask, str) else "given"
    call: dict[str, Any] = {"method": "inpaint", "mask": name}
    rest = (labels, checked_seed(seed), batch_size, progress)
    projection, blend = None, _checked_blend(model, blend)
    if isinstance(model, Completer):
        _check_no_search(search)
        how = model.checked_sampling(sampling or {})
        call |= {"sampling": how.model_dump(mode="json")}
        filled = _complete(model, x, known, how, *rest)
    else:
        _check_no_setting(search, options, sampling)
        projection = search_codes(model, options, x, known, *rest)
        filled = projection.samples.tensor
        call |= {key: options[key] for key in ("steps", "restarts", "window")}
        call |= {"discriminator_loss": projection.discriminator_loss, "blend": blend}
    # The input itself: converting to the model's range and back would round it.
    whole = _join(given.to(x.device).float(), filled, known, blend)
    samples = model.public_samples(whole, None, [(seed, i) for i in range(len(x))], call)
    return Completion(samples, known, model, projection, blend)


def _check_no_setting(
    given: SearchOptions, options: SearchOptions, sampling: Mapping[str, Any] | None
) -> None:
    """Refuse a discriminator's weight where there is none, and settings of sampling. BadInput."""
    if given.get("weight") and options["adversary"] is None:
        name = argument("weight")
        raise BadInput(f"{name} would have no effect: the model has no discriminator at hand")
    if sampling:
        raise BadInput("a model that searches for codes inpaints without settings of sampling")


def _checked_blend(model: Model, blend: bool | None) -> bool:
    """Whether to blend; by default images in colour that a search has filled in. BadInput."""
    name = argument("blend")
    if blend and isinstance(model, Completer):
        raise BadInput(f"{name} would have no effect: this model's fillings fit exactly")
    if blend and not model.is_images:
        raise BadInput(f"{name} would have no effect: {model.kind} have no neighbouring pixels")
    return in_colour(model) and not isinstance(model, Completer) if blend is None else blend


def _join(photos: Tensor, fillings: Tensor, known: Tensor, blend: bool) -> Tensor:
    """The ``photos``, ``(n, *shape)`` in the public range, with unknown values filled in."""
    if not blend:
        return photos.where(known, fillings)
    return blending.blend(photos, fillings, known).clamp(0, 1)


def _check_no_search(given: SearchOptions) -> None:
    """Refuse options of a search where none takes place; a weight of 0 is obeyed. BadInput."""
    if unread := [key for key, value in given.items() if value or key != "weight"]:
        names = " and ".join(map(argument, unread))
        raise BadInput(
            f"{names} would have no effect: this model samples exactly, without a search"
        )


def _complete(
    model: Completer,
    x: Tensor,
    known: Tensor,
    sampling: Sampling,
    labels: Labels,
    seed: int,
    batch_size: int,
    progress: Progress | None,
) -> Tensor:
    """``(n, *shape)``, public; the model gets ``x`` rounded to the levels that it has."""
    if model.num_classes and labels is None:
        classes = ", ".join(model.class_names) or f"0 to {model.num_classes - 1}"
        raise BadInput(f"this model has classes: give one with {argument('labels')} ({classes})")
    targets, levels = model.labels_for(labels, len(x)), getattr(model, "levels", None)
    if levels:
        public, steps = model.public_range, levels - 1
        x = (rescale(model.to_public(x), public, (0.0, 1.0)) * steps).round() / steps
        x = rescale(x, (0.0, 1.0), model.value_range)
    parts = []
    for rows in batch_slices(len(x), batch_size):
        noise = Noise(seed, range(rows.start, rows.stop), "complete", x.device)
        own = None if targets is None else targets[rows]
        fill_in = partial(_fill_in, x[rows], known[rows].float(), noise, own, sampling)
        part = infer(model, fill_in, len(noise))
        parts.append(model.to_public(part))
        if progress:
            progress("images", rows.stop, len(x))
    return torch.cat(parts)


def _fill_in(
    x: Tensor,
    known: Tensor,
    noise: Noise,
    labels: Tensor | None,
    sampling: Sampling,
    model: Completer,
) -> Tensor:
    return model.complete(x, known, noise, labels, sampling)
