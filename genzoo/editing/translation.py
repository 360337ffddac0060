"""translate: a photo in another domain."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from genzoo.data.images import read_images
from genzoo.devices import usual_torch
from genzoo.editing.projection import ImagesLike
from genzoo.errors import refuse_unread
from genzoo.models.abilities import Translator
from genzoo.models.arguments import checked_arguments
from genzoo.models.model import Model
from genzoo.models.samples import Samples
from genzoo.zoo import names


@checked_arguments
@usual_torch()
def translate(
    model: str | Path | Model,
    picture: ImagesLike,
    to: str | None = None,
    *,
    seed: int | None = None,
    sampling: Mapping[str, Any] | None = None,
    device: str | torch.device = "auto",
) -> Samples:
    """A photo, of any size, in the domain ``to`` (the model's second one).

    ``picture``: an image file, where a sample that was enlarged has its own size again; or a Pillow
    image, an array like ``(n, C, H, W)`` in [0, 1], samples, or a list of these. ``seed`` (0): for
    models that translate with random numbers; given for another, it raises. ``sampling``: settings
    as of ``sample``. Raises BadInput, UnknownName, and as ``load``.
    """
    model = as_translator(model, device)
    name = model.origin.model if model.origin else "this model"
    x = read_images(picture, model.shape, any_size=True).values
    draw = partial(model.translate, x, to, **(sampling or {}))
    samples = draw(seed=seed or 0)
    if seed is not None and torch.equal(samples.tensor, draw(seed=seed + 1).tensor):
        refuse_unread(f"{name} translates without random numbers", seed=seed)
    return samples


def as_translator(model: str | Path | Model, device: str | torch.device = "auto") -> Translator:
    """``model``, by its name or in memory, if it translates. Raises BadInput, which lists the
    models that do, and as ``load``.
    """
    model = names.as_model(model, device)
    if not isinstance(model, Translator):
        raise names.lacking(model, Translator, "does not translate")
    return model
