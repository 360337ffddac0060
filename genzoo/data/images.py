"""Images as a user gives them: files, folders, Pillow images, arrays, samples, or lists."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from genzoo.data import photo_files
from genzoo.data.folders import content
from genzoo.errors import BadInput
from genzoo.models.checks import shape_text, tensor_of
from genzoo.models.layouts import image_batch
from genzoo.models.samples import Samples
from genzoo.schemas import Kind

log = logging.getLogger("genzoo")

SMALLEST = 5  # pixels of a side: bytes of fewer are no photo
EXPECTED = "files, Pillow images, arrays, samples, or a list of these"


class GivenImages(NamedTuple):
    """``values``: ``(n, *shape)``, bytes as 255ths, anything else as it was given.

    ``names``: of each, for messages. ``identities``: of each the SHA-256 of its file, or else of
    its values. ``files``: of those that were read.
    """

    values: Tensor
    names: tuple[str, ...]
    identities: tuple[Mapping[str, str], ...]
    files: tuple[Path, ...]


def read_images(
    given: Any,
    shape: Sequence[int],
    *,
    kind: Kind = "images",
    any_size: bool = False,
    form: Mapping[str, Any] = photo_files.PLAIN,
) -> GivenImages:
    """``given`` for a model of ``shape``: a file, a folder, a Pillow image, an array or a tensor,
    samples, or a list of these.

    Photos (files, Pillow images, arrays of bytes like ``(h, w, 3)``) are brought to the shape
    ``(C, H, W)``, with ``any_size`` to its channels alone, in the ``form`` of the model's data, as
    `photo_files.photos` takes it; what changed is logged. Other arrays
    have this shape, with channels first or last, one or several. Samples of another ``kind`` than
    images are arrays alone. Raises BadInput.
    """
    parts = []
    for is_path, group in groupby(_parts(given), key=lambda one: isinstance(one, str | Path)):
        items = [*group]
        if is_path:
            _check_kind(kind, items[0])
            parts.append(_of_files(items, shape, any_size, form))
        else:
            parts += [_of_array(one, shape, kind, any_size, form) for one in items]
    if len({part.values.shape[1:] for part in parts}) > 1:
        sizes = ", ".join(shape_text(part.values.shape[1:]) for part in parts[:4])
        raise BadInput(f"expected images of one size, got {sizes}")
    place = parts[0].values.device
    values = torch.cat([part.values.to(place) for part in parts]) if parts[1:] else parts[0].values
    return GivenImages(
        values,
        tuple(name for part in parts for name in part.names),
        tuple(one for part in parts for one in part.identities),
        tuple(file for part in parts for file in part.files),
    )


def _parts(given: Any) -> list[Any]:
    """The items of a list of images; else what was given, alone."""
    if not isinstance(given, list | tuple):
        return [given]
    if not given:
        raise BadInput(f"no images given: expected {EXPECTED}")
    kinds = str | Path | Image.Image | np.ndarray | Tensor | Samples
    if any(isinstance(one, kinds) for one in given):
        return [*given]
    return [given]  # of numbers


def _check_kind(kind: Kind, given: Any) -> None:
    if given == "":
        raise BadInput(f"no images given: expected {EXPECTED}, got ''")
    if kind != "images":
        what = "a picture" if isinstance(given, Image.Image) else str(given)[:60]
        raise BadInput(f"{what} is no sample of a model of {kind}: give its samples as an array")


def _of_files(
    paths: list[str | Path], shape: Sequence[int], any_size: bool, form: Mapping[str, Any]
) -> GivenImages:
    if any_size:
        channels, height, width = shape
        size = (width, height)
        pixels = [photo_files.picture(path, channels, size=size) for path in paths]
        _check_one_size(pixels)
        array, files = np.stack(pixels), [*map(Path, paths)]
    else:
        array, files = photo_files.photos(paths, shape, form)
    hashes = [{"file_sha256": hashlib.sha256(content(path)).hexdigest()} for path in files]
    return GivenImages(_unit(array), (*map(str, files),), (*hashes,), (*files,))


def _check_one_size(pixels: list[np.ndarray]) -> None:
    if len({one.shape for one in pixels}) > 1:
        sizes = ", ".join(f"{one.shape[2]}x{one.shape[1]}" for one in pixels[:4])
        raise BadInput(f"expected images of one size, got {sizes}: give them one by one")


def _of_array(
    given: Any, shape: Sequence[int], kind: Kind, any_size: bool, form: Mapping[str, Any]
) -> GivenImages:
    if isinstance(given, Image.Image):
        _check_kind(kind, given)
        values = _unit(_of_pillow(given, shape, any_size, form)[None])
    else:
        values = _of_numbers(given, shape, kind, any_size, form)
    hashes = [{"values_sha256": _hash(one)} for one in values]
    return GivenImages(values, ("the given photo",) * len(values), (*hashes,), ())


def _of_pillow(
    image: Image.Image, shape: Sequence[int], any_size: bool, form: Mapping[str, Any]
) -> np.ndarray:
    name = f"the {image.mode} image of {image.width}x{image.height}"
    goal = (shape[0], image.height, image.width) if any_size else shape
    pixels, changes = photo_files.from_pillow(image, goal, name, form)
    if changes:
        log.warning("%s: %s", name, changes)
    return pixels


def _of_numbers(
    given: Any, shape: Sequence[int], kind: Kind, any_size: bool, form: Mapping[str, Any]
) -> Tensor:
    """An array, a tensor or samples as ``(n, *shape)``."""
    given = given.tensor if isinstance(given, Samples) else given
    place = given.device if isinstance(given, Tensor) else torch.device("cpu")
    x = tensor_of(given, f"images ({EXPECTED})", place)
    if kind != "images":
        x = x[None] if x.ndim == len(shape) else x
    elif x.dtype == torch.uint8 and _is_photo(x, shape, any_size):
        bytes_ = x.cpu().numpy()
        photo = Image.fromarray(bytes_[..., 0] if bytes_.shape[2:] == (1,) else bytes_)
        return _unit(_of_pillow(photo, shape, any_size, form)[None])
    else:
        own, x = tuple(x.shape), image_batch(x, shape)
        if x.ndim != 4 or (tuple(x.shape[1:]) != tuple(shape) and not any_size):
            raise BadInput(f"expected samples of shape {shape_text(shape, 'n')}, got {own}")
    return _unit(x)


def _is_photo(x: Tensor, shape: Sequence[int], any_size: bool) -> bool:
    """Whether bytes are one photo, ``(h, w)`` or ``(h, w, 1, 3 or 4)``, in another size than the
    model's, or with other channels.
    """
    fits = [tuple(shape), (*shape[1:], shape[0])]
    if x.ndim == 3 and (tuple(x.shape) in fits or tuple(x.shape[1:]) == tuple(shape[1:])):
        return False
    if x.ndim == 3 and any_size and shape[0] in (x.shape[0], x.shape[-1]):
        return False
    is_one = x.ndim == 2 or (x.ndim == 3 and x.shape[2] in (1, 3, 4))
    return is_one and min(x.shape[:2]) >= SMALLEST


def _unit(pixels: Any) -> Tensor:
    x = torch.as_tensor(pixels)
    return x.float() / 255 if x.dtype == torch.uint8 else x


def _hash(values: Tensor) -> str:
    return hashlib.sha256(values.float().cpu().contiguous().numpy().tobytes()).hexdigest()
