"""Decode image files and arrays of pixels to one size and number of channels."""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from genzoo.data.dataset import ImageFiles, Meta, Rows, Source
from genzoo.errors import BadInput, GenzooError, OperationFailed
from genzoo.files import expanded

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

    from genzoo.data.dataset import Blocks


# Not all formats of Pillow: EPS, for example, would start Ghostscript.
DECODERS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
NEEDS_SIZE = "give size= to crop and resize them"
log = logging.getLogger("genzoo")


class Frame(NamedTuple):
    """The form that every image is converted to: `channels`, and the side `size`, from the centre
    square of at most `crop` pixels; without a size, images must already be `own` (width, height).
    """

    channels: int
    size: int | None
    crop: int | None = None
    own: tuple[int, int] | None = None


def blocks(
    source: Source, raw: Rows | ImageFiles, size: int | None, channels: int | None, meta: Meta
) -> Blocks:
    """The split's rows; sets `classes` in `meta`, and appends broken files to its `skipped`."""
    if isinstance(raw, Rows):
        return _convert_rows(source, raw, size, channels)
    return _decode_files(raw, size or raw.size, channels, meta)


def _decode_files(raw: ImageFiles, size: int | None, channels: int | None, meta: Meta) -> Blocks:
    import numpy as np

    names, origin = raw.tree.names(), raw.tree.origin
    selection = raw.choose(names)
    selection.note(meta)
    labels = None if selection.labels is None else np.array(selection.labels, dtype=np.int64)
    with raw.tree.opened() as read:
        frame = _frame(raw, names, read, size, channels)
        for index, name in enumerate(selection.names):
            try:
                data = read(name)
                if selection.split and split_of(data) != selection.split:
                    continue
                with open_image(data) as image:
                    pixels = to_pixels(image, frame, f"{origin}: {name}")
            except GenzooError:
                raise
            except Exception as error:  # a decoder given hostile bytes raises nearly anything
                log.debug("%s: %s: %s", origin, name, error)
                meta["skipped"].append(name)
                continue
            yield pixels[None], None if labels is None else labels[index : index + 1]


def picture(path: str | Path, channels: int, *, still: bool = False) -> np.ndarray:
    """One image file, upright and in its own size: uint8 (channels, H, W). Raises BadInput; with
    ``still``, for an animation, too.
    """
    try:
        content = expanded(path).read_bytes()
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror or error}") from None
    try:
        with open_image(content) as image:
            frames, pixels = getattr(image, "n_frames", 1), to_pixels(image, Frame(channels, None))
    except Exception as error:  # a decoder given hostile bytes raises nearly anything
        raise _read_error(path, error) from None
    if still and frames > 1:
        raise BadInput(f"{path} is an animation of {frames} images: give one of them")
    return pixels


def _read_error(path: str | Path, error: Exception) -> BadInput:
    from PIL import Image

    log.debug("%s: %s", path, error)
    if isinstance(error, Image.DecompressionBombWarning | Image.DecompressionBombError):
        limit = f"{(Image.MAX_IMAGE_PIXELS or 0) / 1e6:.0f} million pixels"
        return BadInput(f"{path} is too large (limit {limit})")
    return BadInput(f"{path} is not a readable image ({', '.join(DECODERS)}, in 8 or 16 bits)")


def photo(path: str | Path, shape: Sequence[int]) -> tuple[np.ndarray, str]:
    """One image file as uint8 of `shape` (C, H, H), its centre square, and how it was changed: ""
    if it had that size and as many channels. Raises BadInput; for an animation, too.
    """
    try:
        content = expanded(path).read_bytes()
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror or error}") from None
    if len(shape) != 3:
        raise BadInput(f"{path}: an image has a shape (C, H, W), got {tuple(shape)}")
    channels, height, width = shape
    if height != width:
        raise BadInput(
            f"{path}: cannot become {height}x{width} pixels: photos are cropped to squares"
        )
    try:
        with open_image(content) as image:
            frames, own, mode = getattr(image, "n_frames", 1), image.size, image.mode
            same = own == (width, height)
            pixels = to_pixels(image, Frame(channels, None if same else width))
            transparent = image.has_transparency_data
    except Exception as error:  # a decoder given hostile bytes raises nearly anything
        raise _read_error(path, error) from None
    if frames > 1:
        raise BadInput(f"{path} is an animation of {frames} images: give one of them")
    changes = [] if same else [f"{own[0]}x{own[1]} to {width}x{height}"]
    changes += [] if own[0] == own[1] else ["its centre square"]
    changes += ["white in place of transparent parts"] if transparent else []
    goal = "L" if channels == 1 else "RGB"
    plain = mode == goal or (mode == "1" and channels == 1)
    changes += (
        [] if plain or (transparent and mode == "RGBA" and channels == 3) else [f"{mode} to {goal}"]
    )
    return pixels, ", ".join(changes)


def photos(paths: Sequence[str | Path], shape: Sequence[int]) -> tuple[np.ndarray, list[Path]]:
    """Image files, and those in folders, as uint8 (n, C, H, H), and their paths. Changes to an
    image are logged. Raises BadInput as `photo`, and if no file is given.
    """
    import numpy as np

    files: list[Path] = []
    for path in map(expanded, paths):
        inside = sorted(p for p in path.iterdir() if _is_picture(p)) if path.is_dir() else [path]
        if not inside:
            raise BadInput(f"no images in {path} ({', '.join(DECODERS)})")
        files += inside
    if not files:
        raise BadInput("no images given")
    images = []
    for path in files:
        pixels, changes = photo(path, shape)
        if changes:
            log.warning("%s: %s", path, changes)
        images.append(pixels)
    return np.stack(images), files


def _is_picture(path: Path) -> bool:
    known = {f".{name.lower()}" for name in DECODERS} | {".jpg", ".tif", ".pgm", ".pbm", ".pnm"}
    return path.is_file() and path.suffix.lower() in known


def split_of(data: bytes) -> str:
    """The split of a file, by its content: new files move no other, copies get one split."""
    start = hashlib.sha256(data).digest()[:8]
    return "test" if int.from_bytes(start, "big") < 2**64 // 10 else "train"


def _frame(
    raw: ImageFiles,
    names: list[str],
    read: Callable[[str], bytes],
    size: int | None,
    channels: int | None,
) -> Frame:
    """From the first image of the whole tree that decodes, so that all splits agree."""
    from PIL import UnidentifiedImageError

    first, origin = "", raw.tree.origin
    for name in names:
        try:
            with open_image(read(name)) as image:
                own, mode = image.size, image.mode
        except Exception as error:  # as in _decode_files, which counts it
            # Pillow's text shows the object that it was given.
            why = "no image" if isinstance(error, UnidentifiedImageError) else error
            first = first or f"{name}: {why}"
            continue
        if size is None and own[0] != own[1]:
            what = f"the images of {origin} are not square ({name}: {own[0]}x{own[1]})"
            raise BadInput(f"{what}: {NEEDS_SIZE}")
        return Frame(channels or natural_channels(mode), size, raw.crop, own)
    raise BadInput(f"none of the {len(names)} images of {origin} can be read ({first})")


def natural_channels(mode: str) -> int:
    """The channels of an image in a mode of Pillow's."""
    return 1 if mode in ("1", "L", "LA", "La") or mode.startswith("I") else 3


@contextmanager
def open_image(data: bytes) -> Iterator[Image]:
    """The image, upright and decoded. Raises Pillow's error if it is broken."""
    import warnings

    from PIL import Image, ImageOps

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd metadata
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(io.BytesIO(data), formats=DECODERS) as image:
            ImageOps.exif_transpose(image, in_place=True)
            image.load()
            yield image


def to_pixels(image: Image, frame: Frame, name: str = "") -> np.ndarray:
    """The image as uint8 (C, H, W). BadInput if it is not resized and unlike the first."""
    import numpy as np
    from PIL import Image

    if frame.size is None and frame.own not in (None, image.size):
        own, other = ("{}x{}".format(*size) for size in (frame.own or (), image.size))
        raise BadInput(f"images differ in size, {own} and {other} ({name}): {NEEDS_SIZE}")
    image = _convert_mode(image, frame.channels)
    if frame.size:
        side = min(*image.size, frame.crop or max(image.size))
        left, top = (image.width - side) // 2, (image.height - side) // 2
        # Not resize(box=...): that mixes in pixels from outside the box.
        image = image.crop((left, top, left + side, top + side))
        image = image.resize((frame.size, frame.size), Image.Resampling.LANCZOS)
    pixels = np.asarray(image)
    # A copy: Pillow's array is read-only, of which torch warns.
    return np.array(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1), order="C")


def _convert_mode(image: Image, channels: int) -> Image:
    import numpy as np
    from PIL import Image

    if image.mode == "F":
        raise ValueError("floating-point pixels have no known range")
    if image.mode.startswith("I"):  # 16 bits, which Pillow would clip at 255
        deep = np.asarray(image).astype(np.int64).clip(0, 65535)
        image = Image.fromarray(((deep + 128) // 257).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("L" if channels == 1 else "RGB")


def _convert_rows(source: Source, raw: Rows, size: int | None, channels: int | None) -> Blocks:
    import numpy as np

    try:
        for block, labels in raw.blocks():
            check_block(source, block, labels)
            if source.kind == "images":
                block = _resize(source, block, size, channels)
            yield np.ascontiguousarray(block), labels
    except OSError as error:  # otherwise the cache would report a full disk
        raise BadInput(f"cannot read {source.name}: {error}") from error


def _resize(
    source: Source, block: np.ndarray, size: int | None, channels: int | None
) -> np.ndarray:
    import numpy as np
    from PIL import Image

    own, side = block.shape[1], block.shape[2]
    size = None if (size, size) == block.shape[2:] else size
    if size is None and channels in (None, own):
        return block
    if source.levels == 2 and size:
        raise BadInput(f"{source.name} is black and white: it cannot be resized from {side} pixels")
    whole = np.ascontiguousarray(block[:, 0] if own == 1 else np.moveaxis(block, 1, -1))
    frame = Frame(channels or own, size)
    return np.stack([to_pixels(Image.fromarray(image), frame) for image in whole])


def check_block(source: Source, block: np.ndarray, labels: np.ndarray | None) -> None:
    """Raise OperationFailed if a block is not what the source declares."""
    import numpy as np

    if source.kind == "images":
        expected = "uint8 (n, C, H, W)"
        good = block.dtype == "uint8" and block.ndim == 4 and block.shape[1] in (1, 3)
        good = good and (source.levels != 2 or bool(((block == 0) | (block == 255)).all()))
    elif source.kind == "signals":
        expected = "float32 (n, channels, length) in [-1, 1]"
        good = block.dtype == "float32" and block.ndim == 3
        good = good and bool((np.abs(block) <= 1).all())
    else:
        expected = "float32 (n, d)"
        good = block.dtype == "float32" and block.ndim == 2
    if labels is not None:
        good = good and labels.dtype == "int64" and labels.shape == block.shape[:1]
        top = len(source.classes)
        good = good and not (len(labels) and not 0 <= labels.min() <= labels.max() < top)
    if not good:
        got = f"{block.dtype} {block.shape}"
        got += "" if labels is None else f", {labels.dtype} labels"
        raise OperationFailed(
            f"the data set {source.name} returned {got} or values out of range, not {expected}"
        )
