"""Layouts of images in arrays: channels first or last, or none; one image or several."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange
from PIL import Image
from torch import Tensor

from genzoo.errors import BadInput
from genzoo.models.checks import shape_text


def image_batch(x: Tensor, shape: Sequence[int]) -> Tensor:
    """``x`` as ``(n, C, h, w)``, for a model of images of ``shape`` ``(C, H, W)``.

    It may be ``(n, C, h, w)``, ``(n, h, w, C)``, one image ``(C, h, w)``, ``(h, w, C)`` or in grey
    ``(h, w)``, and several in grey ``(n, H, W)``, for a model of grey images. Anything else stays
    as it is. Where channels may be first or last, they are first. Raises BadInput for an array that
    may be three grey images or one in colour.
    """
    channels, sides = shape[0], tuple(shape[1:])
    if x.ndim == 2:
        return x.expand(1, channels, *x.shape)
    if x.ndim == 3 and channels == 1 and tuple(x.shape[1:]) == sides and len(x) != 1:
        if len(x) == 3:
            three = f"three grey images {shape_text([3, *shape])}"
            raise BadInput(
                f"an array {shape_text(x.shape)} may be {three}, or one in colour: say which"
            )
        return x[:, None]
    if x.ndim not in (3, 4):
        return x
    one = tuple(x.shape[-3:])
    is_last = one[-1] == channels and one[0] != channels  # first, where both may be
    if one != tuple(shape) and (is_last or one == (*sides, channels)):
        x = rearrange(x, "... h w c -> ... c h w")
    return x[None] if x.ndim == 3 and x.shape[0] == channels else x


def array_of(given: Any, channels: int) -> Any:
    """The pixels of a Pillow image; a list of images as one array; anything else as it is.

    Raises BadInput for an image of another kind than black and white, grey or colour.
    """
    if isinstance(given, Image.Image):
        if given.mode not in ("1", "L", "RGB"):
            what = "an image of mode L or RGB: convert it, or give its file"
            raise BadInput(f"expected {what}, got one of mode {given.mode}")
        return np.array(given.convert("L" if channels == 1 else "RGB"))
    if isinstance(given, str | Path):
        hint = "genzoo.project, inpaint and extract_features take files"
        raise BadInput(f"expected samples or an array, got {str(given)[:60]!r}: {hint}")
    is_list = isinstance(given, list | tuple) and len(given)
    if is_list and all(isinstance(one, Image.Image | np.ndarray | Tensor) for one in given):
        arrays = [array_of(one, channels) for one in given]
        try:
            return torch.stack([torch.as_tensor(one) for one in arrays])
        except (RuntimeError, TypeError):
            shapes = ", ".join(shape_text(np.shape(one)) for one in arrays[:4])
            raise BadInput(f"expected images of one size and type, got {shapes}") from None
    return given
