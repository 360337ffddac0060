"""Inpainting: what a model puts where an image is unknown.

A `Completer` draws what is missing given the rest, exactly; a `Latent` is searched for the code
whose sample fits what is known (Yeh et al. 2016, arXiv:1607.07539).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack, final

import torch
from torch import Tensor

from genzoo.editing import masks
from genzoo.editing.projection import (
    ImagesLike,
    Projection,
    SearchOptions,
    _decoded,
    _in_unit,
    _opened,
    _portions,
    _projected,
    _samples,
    able,
    checked,
)
from genzoo.errors import BadInput, article
from genzoo.models.abilities import Completer
from genzoo.models.checks import checked_seed
from genzoo.models.inference import folded
from genzoo.models.model import Model
from genzoo.models.randomness import Noise
from genzoo.models.sampler import Labels, Latent, Progress, Sampler
from genzoo.models.samples import Samples


@final
@dataclass(frozen=True, eq=False)
class Completion:
    """Images completed: ``samples`` ``(n, *shape)`` in [0, 1], with what was ``known`` (bool) as it
    was, bit for bit. ``exact``: drawn given the rest by a `Completer`; else by ``projection``.
    """

    samples: Samples
    known: Tensor
    model: Sampler
    projection: Projection | None

    @property
    def exact(self) -> bool:
        return self.projection is None

    def frames(self, count: int = 8) -> list[Tensor]:
        """The images while they were completed, at most ``count`` of ``(n, *shape)``, the last one
        finished: of a projection, more of the first steps, as these change most; of a model that
        draws pixel by pixel, as its rows appear on grey.
        """
        done = self.samples.tensor
        shares = [k / max(1, count - 1) for k in range(count - 1)]
        if self.projection is not None:
            last = len(self.projection.path) - 1
            steps = {round(last * share**2) for share in shares} - {last}
            return [*(self._at(step) for step in sorted(steps)), done]
        if not self.model.in_raster_order:
            return [done]
        missing = (~self.known).flatten(0, 1).any(0)  # (H, W), of any image
        places = missing.flatten().cumsum(0).view(missing.shape) / missing.sum()
        grey = torch.full_like(done, 0.5)
        shown = (self.known | (places <= share) for share in shares)
        return [*(done.where(there, grey) for there in shown), done]

    def _at(self, step: int) -> Tensor:
        assert self.projection is not None
        assert isinstance(self.model, Latent)
        made = _decoded(self.model, self.projection.path[step], self.projection.labels)
        return self.samples.tensor.where(self.known, made)


def inpaint(
    model: Model | str | Path,
    images: ImagesLike,
    mask: Any = "centre",
    *,
    labels: Labels = None,
    seed: int = 0,
    batch_size: int = 256,
    device: "str | torch.device" = "auto",
    progress: Progress | None = None,
    **search: Unpack[SearchOptions],
) -> Completion:
    """``images``, ``(n, *shape)`` in [0, 1], with what ``mask`` leaves unknown filled in.

    A `Completer` draws it given the rest (image i's from ``seed`` and i); a `Latent` gives the
    sample that is most like the rest: see `project` for the other arguments. What is known stays,
    bit for bit. ``mask``: ``centre``, ``box:x,y,w,h``, ``random:SHARE``, a file (white is unknown),
    or an array that broadcasts to ``(n, *shape)``, 1 = known. Raises BadInput, and as ``load``.
    """
    model, how = _opened(model, device, search)
    if not isinstance(model, Completer | Latent):
        what = f"{article(model)} does not fill in what is missing"
        raise BadInput(f"{what}; {able(Completer, Latent)}")
    x = checked(model, images)
    known = masks.known(mask, len(x), model.shape, seed).to(x.device)
    told: dict[str, Any] = {"method": "inpaint", "mask": mask if isinstance(mask, str) else "given"}
    rest = (labels, checked_seed(seed), batch_size, progress)
    if isinstance(model, Completer):
        made, projection = _drawn(model, x, known, *rest), None
    else:
        projection = _projected(model, how, x, known, *rest)
        made = projection.samples.tensor
        told |= {"steps": how["steps"], "restarts": how["restarts"], "game": projection.game}
    # What came in stays as it is: the way to the model's range and back would round it.
    whole = _in_unit(images, x.device).where(known, made)
    return Completion(_samples(model, whole, seed, None, told), known, model, projection)


# ---------------------------------------------------------------------------------- by a Completer
def _drawn(
    model: Completer,
    x: Tensor,
    known: Tensor,
    labels: Labels,
    seed: int,
    batch_size: int,
    progress: Progress | None,
) -> Tensor:
    """``(n, *shape)`` in [0, 1]; the model sees what is known on the levels that it has."""
    if model.num_classes and labels is None:
        classes = ", ".join(model.class_names) or f"0 to {model.num_classes - 1}"
        raise BadInput(f"this model is told what it draws: give labels, of {classes}")
    wanted, levels = model.labels_for(labels, len(x)), getattr(model, "levels", None)
    if levels:
        x = model.from_unit((model.to_unit(x) * (levels - 1)).round() / (levels - 1))
    made = []
    for rows in _portions(len(x), batch_size):
        noise = Noise(seed, range(rows.start, rows.stop), "complete", x.device)
        own = None if wanted is None else wanted[rows]
        with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
            part = folded(model).complete(x[rows], known[rows].float(), noise, own)
        made.append(model.to_unit(part))
        if progress:
            progress("images", rows.stop, len(x))
    return torch.cat(made)
