"""Masks: which values of images are known.

In an array 1 (True) is known, in a file white is unknown. Files follow painting programs and other
inpainting software: white marks where to paint.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genzoo.data.photo_files import picture
from genzoo.editing.notation import MASKS, check_mask, parse_box, parse_share
from genzoo.errors import BadInput, article
from genzoo.models.randomness import Noise


def check(mask: Any) -> None:
    """Check a mask as far as that needs no model, before one is loaded. Raises BadInput."""
    if not isinstance(mask, str | Path):
        _check_values(mask)
    elif (text := str(mask)) != "centre":
        check_mask(text)
        if text.partition(":")[0] not in ("box", "random"):
            picture(text, 1, still=True)


def known(mask: Any, n: int, shape: Sequence[int], seed: int = 0) -> Tensor:
    """``(n, *shape)`` bool, True where ``n`` images ``(C, H, W)`` are known.

    ``mask``: ``centre`` (the middle half of each side is unknown), ``box:x,y,w,h`` (in pixels from
    the top left), ``random:SHARE`` (that share of pixels, drawn for each image from ``seed`` and
    its index), a file (white is unknown); or an array of 0 and 1, 1 = known, that broadcasts to
    ``(n, *shape)``. Raises BadInput if it does not fit, or if all values are known, or none.
    """
    described = isinstance(mask, str | Path)
    values = _from_text(str(mask), n, shape, seed) if described else _from_array(mask, n, shape)
    for i, one in enumerate(values.flatten(1)):
        image = f" of image {i}" * (n > 1)
        if bool(one.all()):
            raise BadInput(f"the mask leaves all{image} known: nothing to fill in")
        if not one.any():
            raise BadInput(f"the mask leaves nothing{image} known: sample from the model instead")
    return values


def _from_array(mask: Any, n: int, shape: Sequence[int]) -> Tensor:
    try:
        array = torch.as_tensor(mask).cpu()
        values = array.expand(n, *shape)
    except (TypeError, ValueError, RuntimeError):
        got = tuple(mask.shape) if hasattr(mask, "shape") else article(mask)
        raise BadInput(
            f"a mask of {got} does not fit images {(n, *shape)}: expected an array, or {MASKS}"
        ) from None
    _check_values(array)
    return values.bool()


def _check_values(mask: Any) -> None:
    try:
        array = torch.as_tensor(mask)
    except (TypeError, ValueError, RuntimeError):
        return  # where its images are known, the error says what would fit
    if not ((array == 0) | (array == 1)).all():
        raise BadInput("a mask must hold only 0 and 1 (or False and True), 1 = known")


def _from_text(text: str, n: int, shape: Sequence[int], seed: int) -> Tensor:
    if len(shape) != 3:
        raise BadInput(f"samples of shape {tuple(shape)} are not images: give the mask as an array")
    height, width = shape[1:]
    kind = text.partition(":")[0]
    if text == "centre":
        box = (width // 4, height // 4, width - 2 * (width // 4), height - 2 * (height // 4))
        return _outside(box, n, shape)
    check_mask(text)
    if kind == "box":
        return _outside(parse_box(text), n, shape)
    if kind == "random":
        uniform = Noise(seed, range(n), "mask").uniform(1, height, width)
        return (uniform >= parse_share(text)).expand(n, *shape)
    return _from_file(text, n, shape)


def _outside(box: Sequence[int], n: int, shape: Sequence[int]) -> Tensor:
    x, y, w, h = box
    height, width = shape[1:]
    if not (w and h) or x + w > width or y + h > height:
        raise BadInput(f"box {x},{y},{w},{h} does not fit into an image of {width}x{height}")
    values = torch.ones(n, *shape, dtype=torch.bool)
    values[:, :, y : y + h, x : x + w] = False
    return values


def _from_file(text: str, n: int, shape: Sequence[int]) -> Tensor:
    pixels = picture(text, 1, still=True)
    if pixels.shape[1:] != tuple(shape[1:]):
        got, want = ("x".join(map(str, s[::-1])) for s in (pixels.shape[1:], shape[1:]))
        raise BadInput(f"the mask {text} is {got}, expected {want}, the size of the model's images")
    return torch.from_numpy(np.ascontiguousarray(pixels < 128)).expand(n, *shape)
