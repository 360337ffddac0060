"""Masks: which values of an image are known. In Python True is known; in a file white is unknown.

A file is what painting programs and other inpainting software make: white where to paint.
"""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genzoo.data.decoding import picture
from genzoo.errors import BadInput, article
from genzoo.models.randomness import Noise

FORMS = "centre, box:x,y,w,h, random:SHARE, or a picture file, white where it is unknown"


def known(mask: Any, n: int, shape: Sequence[int], seed: int = 0) -> Tensor:
    """``(n, *shape)`` bool, True where ``n`` images ``(C, H, W)`` are known.

    ``mask``: ``centre`` (the middle half of each side is unknown), ``box:x,y,w,h`` (in pixels from
    the top left), ``random:SHARE`` (that share of pixels, drawn for each image by ``seed`` and its
    index), a file (white is unknown); or an array of 0 and 1, 1 = known, that broadcasts to
    ``(n, *shape)``. Raises BadInput where it does not fit, or leaves all known, or nothing.
    """
    if isinstance(mask, str | Path):
        found = _described(str(mask), n, shape, seed)
    else:
        found = _given(mask, n, shape)
    for i, one in enumerate(found.flatten(1)):
        which = f" of image {i}" * (n > 1)
        if bool(one.all()):
            raise BadInput(f"the mask leaves all{which} known: there is nothing to fill in")
        if not one.any():
            raise BadInput(
                f"the mask leaves nothing{which} known: genzoo sample draws from nothing"
            )
    return found


def _given(mask: Any, n: int, shape: Sequence[int]) -> Tensor:
    try:
        values = torch.as_tensor(mask).cpu()
        found = values.expand(n, *shape)
    except (TypeError, ValueError, RuntimeError):
        got = tuple(mask.shape) if hasattr(mask, "shape") else f"{article(mask)}"
        raise BadInput(
            f"a mask of {got} does not fit images {(n, *shape)}: an array, or {FORMS}"
        ) from None
    if not ((values == 0) | (values == 1)).all():
        raise BadInput("a mask holds 0 and 1 (or False and True) alone, 1 = known")
    return found.bool()


def _described(text: str, n: int, shape: Sequence[int], seed: int) -> Tensor:
    if len(shape) != 3:
        raise BadInput(
            f"samples of shape {tuple(shape)} are no pictures: give the mask as an array"
        )
    height, width = shape[1:]
    kind, _, rest = text.partition(":")
    if text == "centre":
        box = (width // 4, height // 4, width - 2 * (width // 4), height - 2 * (height // 4))
        return _boxed(box, n, shape)
    if kind == "box":
        if not re.fullmatch(r"\d{1,6}(,\d{1,6}){3}", rest):
            raise BadInput(f"a box is box:x,y,w,h in pixels, like box:7,7,14,14, got {text!r}")
        return _boxed([int(v) for v in rest.split(",")], n, shape)
    if kind == "random":
        uniform = Noise(seed, range(n), "mask").uniform(1, height, width)
        return (uniform >= _share(rest, text)).expand(n, *shape)
    return _read(text, n, shape)


def _boxed(box: Sequence[int], n: int, shape: Sequence[int]) -> Tensor:
    x, y, w, h = box
    height, width = shape[1:]
    if not (w and h) or x + w > width or y + h > height:
        raise BadInput(f"the box {x},{y},{w},{h} does not lie in a picture of {width}x{height}")
    found = torch.ones(n, *shape, dtype=torch.bool)
    found[:, :, y : y + h, x : x + w] = False
    return found


def _share(text: str, whole: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not 0 < share < 1:
        raise BadInput(f"the share that is unknown is above 0 and below 1, got {whole!r}")
    return share


def _read(text: str, n: int, shape: Sequence[int]) -> Tensor:
    if not Path(text).is_file():
        raise BadInput(f"{text[:80]!r} is no mask and no file: a mask is {FORMS}")
    pixels = picture(text, 1, still=True)
    if pixels.shape[1:] != tuple(shape[1:]):
        got, want = ("x".join(map(str, s[::-1])) for s in (pixels.shape[1:], shape[1:]))
        raise BadInput(f"the mask {text} is {got}, expected {want}, the model's own size")
    return torch.from_numpy(np.ascontiguousarray(pixels < 128)).expand(n, *shape)
