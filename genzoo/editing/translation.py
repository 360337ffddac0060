"""translate: a photo in another domain."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from genzoo.data.photo_files import picture as read_picture
from genzoo.devices import usual_torch
from genzoo.errors import refuse_unread
from genzoo.models.abilities import Translator
from genzoo.models.arguments import checked_arguments
from genzoo.models.model import Model
from genzoo.models.samples import Samples
from genzoo.zoo import names

if TYPE_CHECKING:
    import numpy as np


@checked_arguments
@usual_torch()
def translate(
    model: str | Path | Model,
    picture: "str | Path | Samples | torch.Tensor | np.ndarray",
    to: str | None = None,
    *,
    seed: int | None = None,
    sampling: Mapping[str, Any] | None = None,
    device: str | torch.device = "auto",
) -> Samples:
    """A photo, of any size, in the domain ``to`` (the model's second one).

    ``picture``: an image file, where a sample that was enlarged has its own size again; or images
    ``(n, C, H, W)`` in [0, 1]. ``seed`` (0): for models that translate with random numbers; given
    for another, it raises. ``sampling``: settings as of ``sample``. Raises BadInput, UnknownName,
    and as ``load``.
    """
    model = as_translator(model, device)
    name = model.origin.model if model.origin else "this model"
    x: Any = picture
    if isinstance(picture, str | Path):
        channels, height, width = model.shape
        x = read_picture(picture, channels, size=(width, height))[None]
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
