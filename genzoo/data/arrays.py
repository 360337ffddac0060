"""Data from Python: arrays, tensors and torch Datasets as a data set, with nothing guessed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from genzoo.data.catalogue import names
from genzoo.data.dataset import Rows, Source
from genzoo.data.decoding import split_of
from genzoo.data.layouts import BY_CONTENT
from genzoo.data.pictures import Picture
from genzoo.errors import BadInput, article
from genzoo.families.registry import reason_of
from genzoo.schemas import Kind

if TYPE_CHECKING:
    import numpy as np

    Labelled = tuple[np.ndarray, np.ndarray | None]


Layout = Literal["NHW", "NHWC", "NCHW"]
EXPECTED = "(n, H, W), (n, H, W, C) or (n, C, H, W) with 1 or 3 channels C"
SPLITS = ("train", "test", "valid")
NEAR = 1e-6  # how far beyond its range a float may be: the rounding of a resize
MOST_CLASSES = 10_000


def source_of(data: Any) -> str | Path | Source:
    """``data`` as `genzoo.data.open` takes it: a name, a path and a `Source` as they are; of all
    else as `in_memory`. Raises BadInput.
    """
    return data if isinstance(data, str | Path | Source) else in_memory(data)


def in_memory(
    x: Any,
    labels: Any = None,
    *,
    classes: Sequence[str] = (),
    name: str = "array",
    kind: Kind | None = None,
    layout: Layout | None = None,
    rate: int = 0,
) -> Source:
    """A data set of what Python holds, to train on or to evaluate with.

    ``x``: a NumPy array or a tensor; ``(x, labels)``; a torch Dataset with a length, or a list, of
    images (PIL, arrays or tensors), or of (image, label); or ``{"train": x, "test": x}``. Without
    splits of your own, one sample in ten is held out for tests, chosen by content as in a folder.
    Images: (n, H, W), (n, H, W, C) or (n, C, H, W); where both may be meant, ``layout`` says
    "NHWC" or "NCHW". uint8; or floats in [0, 1] or, if one is below 0, in [-1, 1], rounded to 256
    levels: the data set's summary says which range was taken.
    (n, d) floats are points. With ``kind="signals"``, (n, length) or (n, channels, length) floats
    in [-1, 1], ``rate`` samples a second. ``labels``: whole numbers from 0, (n,); ``classes``:
    their names. ``name``: what a card calls the data. Raises BadInput.
    """
    _check_name(name)
    given = x if isinstance(x, Mapping) else {"": x}
    if isinstance(x, Mapping) and ("train" not in x or {*x} - {*SPLITS} or labels is not None):
        got = ", ".join(map(str, x))
        raise BadInput(
            f"{name}: expected splits train and test, with labels as (x, labels): got {got}"
        )
    parts = {split: _labelled(part, labels, name) for split, part in given.items()}
    named = classes or next((c for part in given.values() if (c := _classes_of(part))), ())
    kind = kind or ("points" if next(iter(parts.values()))[0].ndim == 2 else "images")
    if kind not in get_args(Kind):
        raise BadInput(f"{name}: kind must be {', '.join(get_args(Kind))}, got {kind!r:.40}")
    arrays = {split: array for split, (array, _) in parts.items()}
    if kind == "images" and layout is None:
        _refuse_one_image(given, parts, name)
    arrays, values = _converted(arrays, name, kind, layout)
    if len(shapes := dict.fromkeys(array.shape[1:] for array in arrays.values())) > 1:
        raise BadInput(f"{name}: the splits differ in shape: {' and '.join(map(str, shapes))}")
    class_names, numbers = _numbered({split: own for split, (_, own) in parts.items()}, named, name)
    splits = tuple(split for split in SPLITS if split in given) or ("train", "test")
    if kind == "signals" and rate < 1:
        raise BadInput(f"{name}: signals need their rate, in samples a second: rate=16000")
    about = "data from Python"
    levels = 256 if kind == "images" else 0
    read = partial(_read, name, arrays, numbers, values)
    return Source(name, kind, about, "", levels, class_names, read, splits, rate=rate)


def _check_name(name: str) -> None:
    if not isinstance(name, str) or not re.fullmatch(r"\w[\w .-]{0,99}", name) or name in names():
        expected = "expected letters, digits and - _ . and no name of a data set"
        raise BadInput(f"name={name!r:.80} cannot be the name of data from Python: {expected}")


def _read(
    name: str,
    arrays: dict[str, np.ndarray],
    labels: dict[str, np.ndarray | None],
    values: str,
    root: Path | None,
    split: str,
) -> Rows:
    notes = {"values": values, "split_from": "given"}
    if split in arrays:
        array, own = arrays[split], labels[split]
    else:
        import numpy as np

        array, own = arrays[""], labels[""]
        chosen = np.array([split_of(row.tobytes()) == split for row in array], dtype=bool)
        if not chosen.any():
            what = f"none of the {len(array):,} samples of {name} falls into its {split} split"
            ways = 'give more, or both splits, {"train": x, "test": y}'
            raise BadInput(f"{what} (10 % by content are test): {ways}")
        array, own = array[chosen], None if own is None else own[chosen]
        notes["split_from"] = BY_CONTENT
    return Rows.of(array, own, notes)


# ------------------------------------------------------------------------------ from what is given


def _labelled(part: Any, labels: Any, name: str) -> Labelled:
    """The array of a split and its labels, as they were given."""
    if isinstance(part, tuple):
        if len(part) != 2 or labels is not None:
            raise BadInput(f"{name}: expected (x, labels), got a tuple of {len(part)}")
        part, labels = part
    if _is_array(part):
        array = _array(part, name)
    elif isinstance(part, list) or (hasattr(part, "__getitem__") and hasattr(part, "__len__")):
        array, found = _collected(part, name)
        labels = labels if found is None else found
    else:
        expected = "an array, a tensor, (x, labels), or a torch Dataset with a length"
        raise BadInput(f"{name}: expected {expected}, got {article(part)}")
    if array.dtype.kind not in "biuf":
        raise BadInput(f"{name}: expected numbers, got {array.dtype} {array.shape}")
    if not array.size:
        raise BadInput(f"{name} holds no samples: its shape is {array.shape}")
    if not array.ndim:
        raise BadInput(f"{name}: expected samples (n, ...), got one number")
    return array, None if labels is None else _checked_labels(labels, len(array), name)


def _is_array(x: Any) -> bool:
    return hasattr(x, "ndim") and hasattr(x, "dtype") and not hasattr(x, "columns")


def _array(x: Any, where: str) -> np.ndarray:
    import numpy as np

    if np.ma.is_masked(x):
        hint = "x.filled(0) puts a value there"
        raise BadInput(f"{where} is a masked array: {hint}, or remove the mask: x.data")
    try:
        if hasattr(x, "detach"):
            x = x.detach().cpu().to_dense()
            x = x.float() if "bfloat16" in str(x.dtype) else x
        return np.asarray(x)
    except Exception as error:  # of the meta device
        raise BadInput(f"{where} cannot be made an array: {reason_of(error)}") from error


def _collected(items: Any, name: str) -> tuple[np.ndarray, list[Any] | None]:
    """The images and labels of a torch Dataset, in its order."""
    import numpy as np

    images: list[Any] = []
    labels: list[Any] = []
    for index in range(_length(items, name)):
        item = _item(items, index, name)
        parts = item if isinstance(item, tuple | list) else (item,)
        if len(parts) not in (1, 2):
            got = f"has {len(parts)} parts: expected an image or (image, label)"
            raise BadInput(f"{name}: item {index} {got}")
        images.append(parts[0])
        labels += parts[1:]
    if len(labels) not in (0, len(images)):
        raise BadInput(f"{name}: {len(labels):,} of {len(images):,} items have a label")
    arrays = [*_same_form(images, name)]
    return np.stack(arrays) if arrays else np.empty((0, 1, 1)), labels or None


def _length(items: Any, name: str) -> int:
    try:
        return len(items)
    except Exception as error:
        raise BadInput(f"{name} has no length: {reason_of(error)}") from error


def _item(items: Any, index: int, name: str) -> Any:
    """An item of a Dataset, which may raise anything; BadInput that says which."""
    try:
        return items[index]
    except Exception as error:
        what = f"item {index} of {_length(items, name):,} cannot be read"
        raise BadInput(f"{name}: {what}: {reason_of(error)}") from error


def _same_form(images: list[Any], name: str) -> Iterator[np.ndarray]:
    """Images as arrays, which must agree in shape and type; PIL's all grey or all in colours."""
    pictures = [hasattr(image, "getbands") for image in images]
    grey = all(image.mode in ("1", "L", "LA") for image in images if hasattr(image, "getbands"))
    first: np.ndarray | None = None
    for index, (image, is_picture) in enumerate(zip(images, pictures, strict=True)):
        if not is_picture and not _is_array(image):
            got = article(image)
            raise BadInput(f"{name}: item {index} is {got}: expected an image or (image, label)")
        where = f"{name}: item {index}"
        array = _pixels(image, grey, where) if is_picture else _array(image, where)
        first = array if first is None else first
        if (array.shape, array.dtype) != (first.shape, first.dtype):
            forms = f"{first.dtype} {first.shape}, item {index} {array.dtype} {array.shape}"
            hint = "bring all to one size, with a transform like Resize((64, 64))"
            raise BadInput(f"{name}: items differ: item 0 is {forms}: {hint}")
        yield array


def _pixels(image: Any, grey: bool, where: str) -> np.ndarray:
    """A picture of PIL as uint8 (H, W) or (H, W, 3), with white behind transparent parts."""
    import numpy as np

    if image.mode[:1] in "IF":
        raise BadInput(f"{where} has the mode {image.mode}: convert it to L or RGB, or to floats")
    return np.asarray(Picture(image, None, image.mode).to_image(1 if grey else 3, None))


def _classes_of(part: Any) -> tuple[str, ...]:
    """The names of the classes of a torchvision Dataset."""
    known = getattr(part, "classes", None)
    is_list = isinstance(known, list | tuple) and all(isinstance(name, str) for name in known)
    return tuple(known) if is_list and known else ()


# ------------------------------------------------------------------------------- values and shapes


def _converted(
    arrays: dict[str, np.ndarray], name: str, kind: Kind, layout: Layout | None
) -> tuple[dict[str, np.ndarray], str]:
    """The arrays as the cache stores them, and what was done to their values."""
    import numpy as np

    kinds = {array.dtype.kind for array in arrays.values()}
    low = min(float(array.min()) for array in arrays.values() if array.size)
    high = max(float(array.max()) for array in arrays.values() if array.size)
    types = " and ".join(sorted({array.dtype.name for array in arrays.values()}))
    if not np.isfinite([low, high]).all():
        raise BadInput(f"{name} holds values that are not finite")
    span = f"{low:g} to {high:g}"
    if kind != "images":
        limits = (-1, 1) if kind == "signals" else (low, high)
        if kinds != {"f"} or low < limits[0] or high > limits[1]:
            within = " in [-1, 1]" if kind == "signals" else ""
            raise BadInput(f"{name}: {kind} are floats{within}, got {types}, {span}")
        return {split: _float32(array, name, kind) for split, array in arrays.items()}, span
    arrays = {split: _images(array, name, layout) for split, array in arrays.items()}
    if kinds == {"b"}:
        return {s: a.astype(np.uint8) * 255 for s, a in arrays.items()}, "False and True: 0 and 255"
    if all(array.dtype == np.uint8 for array in arrays.values()):
        return arrays, span
    if kinds != {"f"} or low < -1 - NEAR or high > 1 + NEAR:
        small = kinds <= {"i", "u"} and low >= 0 and high <= 255
        hint = "x.astype('uint8') keeps them" if small else "scale them, x / x.max() for example"
        expected = "expected uint8, or floats in [0, 1] or [-1, 1]"
        raise BadInput(f"{name}: {types} with values {span}: {expected}: {hint}")
    bottom = -1.0 if low < -NEAR else 0.0
    _refuse_two_ranges(arrays, name)
    scaled = {split: _rounded(array, bottom) for split, array in arrays.items()}
    return scaled, f"{span}, taken as [{bottom:g}, 1], in 256 levels"


def _refuse_two_ranges(arrays: dict[str, np.ndarray], name: str) -> None:
    """Splits that alone would be read differently would look different: one of them washed out."""
    lows = {split: float(array.min()) for split, array in arrays.items()}
    if len({low < -NEAR for low in lows.values()}) > 1:
        spans = [f"{split} {lows[split]:g} to {arrays[split].max():g}" for split in lows]
        ways = "bring all to [0, 1] or to uint8: (x + 1) / 2 does that to [-1, 1]"
        raise BadInput(f"{name}: splits differ in range, {' and '.join(spans)}: {ways}")


def _rounded(array: np.ndarray, bottom: float) -> np.ndarray:
    """Floats from ``bottom`` to 1 as bytes."""
    import numpy as np

    bytes_ = np.empty(array.shape, np.uint8)
    for start in range(0, len(array), 500):  # a part at a time needs less memory
        part = array[start : start + 500].astype(np.float64)
        bytes_[start : start + 500] = np.rint((part - bottom) / (1 - bottom) * 255).clip(0, 255)
    return bytes_


def _float32(array: np.ndarray, name: str, kind: Kind) -> np.ndarray:
    import numpy as np

    if kind == "signals" and array.ndim == 2:
        array = array[:, None]
    if array.ndim != (3 if kind == "signals" else 2):
        expected = "(n, length) or (n, channels, length)" if kind == "signals" else "(n, d)"
        raise BadInput(f"{name}: {kind} have the shape {expected}, got {array.shape}")
    if kind == "signals" and array.shape[1] > array.shape[2] in (1, 2):
        last = f"{array.shape} looks like (n, length, channels)"
        raise BadInput(f"{name}: {last}: x.swapaxes(1, 2) has the channels before the length")
    return np.ascontiguousarray(array, dtype=np.float32)


def _refuse_one_image(given: Mapping[str, Any], parts: dict[str, Labelled], name: str) -> None:
    """An array (3, H, W) may be one image (C, H, W), if neither labels nor a split tell."""
    for split, (array, labels) in parts.items():
        if labels is not None or not _is_array(given[split]) or array.ndim != 3 or len(array) != 3:
            return
    shape = next(iter(parts.values()))[0].shape
    one, three = "x[None] makes a set of it", 'genzoo.data.in_memory(x, layout="NHW")'
    raise BadInput(
        f"{name}: {shape} can be one image (C, H, W) or three (n, H, W): {one}, {three} says three"
    )


def _images(array: np.ndarray, name: str, layout: Layout | None) -> np.ndarray:
    """Images as (n, C, H, W). Raises BadInput where the shape can be read in two ways."""
    import numpy as np

    shape = array.shape
    choice = 'genzoo.data.in_memory(x, layout="NCHW") or "NHWC" says which'
    if layout not in (None, "NHW", "NHWC", "NCHW") or (layout and len(layout) != array.ndim):
        raise BadInput(f"{name}: layout {layout!r} does not fit the shape {shape}")
    if array.ndim == 3 and shape[-1] in (1, 3) and layout is None:
        raise BadInput(f"{name}: {shape} looks like one image (H, W, C): x[None] makes a set of it")
    if array.ndim == 3:
        return np.ascontiguousarray(array[:, None])
    if array.ndim != 4:
        raise BadInput(f"{name}: expected images {EXPECTED}, got {shape}")
    first, last = shape[1] in (1, 3), shape[3] in (1, 3)
    if layout is None and first and last:
        raise BadInput(f"{name}: {shape} can be (n, C, H, W) or (n, H, W, C): {choice}")
    if not (first if layout == "NCHW" else last if layout == "NHWC" else first or last):
        raise BadInput(f"{name}: expected images {EXPECTED}, got {shape}")
    channels_last = layout == "NHWC" or (layout is None and last)
    return np.ascontiguousarray(np.moveaxis(array, 3, 1) if channels_last else array)


# ------------------------------------------------------------------------------------------ labels


def _checked_labels(labels: Any, count: int, name: str) -> np.ndarray:
    import numpy as np

    try:
        array = (
            _array(labels, f"{name}: labels")
            if _is_array(labels)
            else np.array([*map(_number, labels)])
        )
    except (TypeError, ValueError):
        array = np.array(["?"])
    if array.dtype.kind not in "iu" or array.shape != (count,):
        got = f"{array.dtype} {array.shape}" if array.dtype.kind in "iuf" else article(labels)
        raise BadInput(f"{name}: labels are whole numbers, ({count},), got {got}")
    if array.min() < 0 or array.max() >= MOST_CLASSES:
        low, high = array.min(), array.max()
        raise BadInput(f"{name}: labels are 0 to {MOST_CLASSES - 1:,}, got {low:,} to {high:,}")
    return array.astype(np.int64)


def _number(label: Any) -> int:
    """A label of a Dataset: an int, or a number in an array or tensor."""
    if isinstance(label, bool | float | str):
        raise TypeError
    return int(label.item() if hasattr(label, "item") else label)


def _numbered(
    labels: dict[str, np.ndarray | None], classes: Sequence[str], name: str
) -> tuple[tuple[str, ...], dict[str, np.ndarray | None]]:
    """The names of the classes and the labels; none of both with less than two classes."""
    own = [part for part in labels.values() if part is not None]
    if len(own) not in (0, len(labels)):
        raise BadInput(f"{name}: only some of the splits have labels")
    count = 1 + max((int(part.max()) for part in own), default=-1)
    if own and classes and len(classes) < count:
        raise BadInput(f"{name}: {len(classes)} class names, but labels up to {count - 1}")
    known = tuple(map(str, classes or range(count))) if own else ()
    if len({*known}) < len(known):
        raise BadInput(f"{name}: two classes have the same name")
    return (known, labels) if len(known) > 1 else ((), dict.fromkeys(labels))
