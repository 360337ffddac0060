"""Decode the image files of a set, and arrays of pixels, to one size and number of channels."""

from __future__ import annotations

import hashlib
import logging
import os
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, final

from genzoo.data.dataset import BROKEN, FileSelection, ImageFiles, Meta, Rows, Source, leave_out
from genzoo.data.decoders import strict
from genzoo.data.forms import Form, Frame, needs_size, to_pixels
from genzoo.data.pictures import Picture, Unreadable, decoded, head, span_of
from genzoo.errors import BadInput, GenzooError, OperationFailed

if TYPE_CHECKING:
    import numpy as np

    from genzoo.data.dataset import Blocks
    from genzoo.data.pictures import Span

    # None: it belongs to another split.
    Converted = tuple["Seen", np.ndarray] | Unreadable | None


# Increase it when images that are resized to a size that is asked for would become other pixels. A
# set's own size (celeba's) is not so small that its JPEGs are decoded smaller.
VERSION = 1
MEMORY = 1 << 26  # bytes of files that are kept from the survey to the decoding
BLOCK = 1 << 20  # bytes of images that are written at once
FEW_PIXELS = 1 << 15  # of a file: for these, threads would wait for each other
MOST_THREADS = 8  # of files with more pixels
Result = TypeVar("Result")
DARK = 25  # where the largest of all values is no larger, the files may mean another range
# What zipfile says of a member, in our words.
IN_ZIPS = {"CRC": "damaged in the zip", "encrypted": "encrypted: unpack it with its password"}
log = logging.getLogger("genzoo")


def blocks(source: Source, raw: Rows | ImageFiles, form: Form, meta: Meta) -> Blocks:
    """The split's rows; notes in `meta` its classes, the files left out, and what was done."""
    if isinstance(raw, Rows):
        return _convert_rows(source, raw, form)
    if not form.size and raw.size:
        form = form._replace(size=(raw.size, raw.size))
    return _decode_files(raw, form, meta)


def _decode_files(raw: ImageFiles, form: Form, meta: Meta) -> Blocks:
    import numpy as np

    names, origin = raw.tree.names(), raw.tree.origin
    selection = raw.choose(names)
    selection.note(meta)
    labels = None if selection.labels is None else np.array(selection.labels, dtype=np.int64)
    key = raw.tree.key, form, raw.crop
    known = _passes.pop(key, None)
    with raw.tree.opened() as read, strict():
        if known is None:
            read = _kept(read)
            frame = survey(origin, names, read, form, partial(check_square, origin, form))
            known = _Pass(frame._replace(crop=raw.crop))
        facts, rows, taken = Facts(known.frame), list[np.ndarray](), list[int]()
        rest = {*selection.names}
        for index, name, found in _decoded(read, known, selection, origin):
            if isinstance(found, Unreadable):
                log.debug("%s: %s: %s", origin, name, found)
                skip(meta, name, BROKEN, found)
            elif found is not None:
                rest.remove(name)
                facts.count(*found)
                rows.append(found[1])
                taken.append(index)
            if rows and len(rows) * rows[0].nbytes >= BLOCK:
                yield np.stack(rows), None if labels is None else labels[taken]
                rows, taken = [], []
        if rows:
            yield np.stack(rows), None if labels is None else labels[taken]
    _passes.clear()  # of other data sets: this one's other split comes next, if any
    _passes[key] = _Pass(known.frame, selection, frozenset(rest))
    meta |= facts.summary()


@final
class _Pass(NamedTuple):
    """What a pass over all files found: their frame, and which of the `selection` were not taken,
    because they belong to the other split, or are broken.
    """

    frame: Frame
    selection: FileSelection = FileSelection(())
    rest: frozenset[str] = frozenset()


_passes: dict[object, _Pass] = {}  # the last one


def _decoded(
    read: Callable[[str], bytes], known: _Pass, selection: FileSelection, origin: str
) -> Iterator[tuple[int, str, Converted]]:
    """The place in the selection, the name and the pixels of each file that may belong to it."""
    frame, split = known.frame, selection.split

    def convert(name: str) -> Converted:
        try:
            data = read_file(read, name)
            if split and split_of(data) != split:
                return None
            image = decoded(data, frame.reduction)
            return Seen.of(image, frame), to_pixels(image, frame, f"{origin}: {name}")
        except Unreadable as error:
            return error

    places = {name: place for place, name in enumerate(selection.names)}
    other = known.selection
    if split and other.split and other.split != split and other.names == selection.names:
        places = {name: place for name, place in places.items() if name in known.rest}
    # The files' own size: a photo that becomes small takes long to decode.
    is_small = frame.own is not None and frame.own[0] * frame.own[1] <= FEW_PIXELS
    found = map(convert, places) if is_small else in_threads(convert, [*places])
    for (name, place), one in zip(places.items(), found, strict=True):
        yield place, name, one


def _kept(read: Callable[[str], bytes]) -> Callable[[str], bytes]:
    """`read`, which gives the files that are read first a second time without reading them: the
    survey reads all, and then each is decoded.
    """
    kept: dict[str, bytes] = {}
    room = MEMORY

    def again(name: str) -> bytes:
        nonlocal room
        if (data := kept.pop(name, None)) is None:
            data = read(name)
            if room >= len(data):
                room -= len(data)
                kept[name] = data
        return data

    return again


def in_threads(convert: Callable[[str], Result], names: Sequence[str]) -> Iterator[Result]:
    """What `convert` makes of each name, in order, by a thread for each core: decoders let other
    threads run. A few results wait in memory.
    """
    threads = min(MOST_THREADS, _cores())
    pool = ThreadPoolExecutor(threads)
    waiting: deque[Future[Result]] = deque()
    try:
        for name in names:
            waiting.append(pool.submit(convert, name))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _cores() -> int:
    """Those that this process may use."""
    can_tell = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if can_tell else os.cpu_count() or 1


def skip(meta: Meta, name: str, what: str, error: Unreadable) -> None:
    """Note in `meta` a file or pair that is left out, and why."""
    meta["skipped"].append(name)
    leave_out(meta, f"{what} ({error})", [name])


def read_file(read: Callable[[str], bytes], name: str) -> bytes:
    """The content of a file. Raises Unreadable."""
    try:
        return read(name)
    except GenzooError:
        raise
    except Exception as error:  # hostile zips raise nearly anything
        why = error.strerror if isinstance(error, OSError) else None
        why = why or next((known for word, known in IN_ZIPS.items() if word in str(error)), None)
        raise Unreadable(why or "cannot be read") from error


def survey(
    origin: str,
    names: list[str],
    read: Callable[[str], bytes],
    form: Form,
    check: Callable[[Picture, str], object] | None = None,
) -> Frame:
    """The frame of a whole set, so that all splits agree: in colour if one image is, with the
    smallest and the largest of all values that have more than 8 bits. It reads the headers of all
    files, and decodes those with more than 8 bits. `check` raises BadInput if the first image that
    can be read does not fit. Raises BadInput, too, if none can be read.
    """
    own, why, channels = None, "", set[int]()
    spans: dict[bool, Span] = {}
    for name in names:
        try:
            data = read_file(read, name)
            known = head(data)
            # A file that turns out to be broken decides nothing.
            if own and known.channels in channels and (form.levels or not known.deep):
                continue
            image = decoded(data, Frame(1, form).reduction)
        except Unreadable as error:
            why = why or f"{name}: {error}"
            continue
        if own is None and check:
            check(image, name)
        own = own or image.size
        channels.add(image.channels)
        _widen(spans, image)
    if own is None:
        raise BadInput(f"none of the {len(names)} images of {origin} can be read ({why})")
    integers, floats = (span_of(*spans[key]) if key in spans else None for key in (False, True))
    return Frame(form.channels or max(channels), form, None, own, integers, floats)


def check_square(origin: str, form: Form, image: Picture, name: str) -> None:
    """Raise BadInput if an image is not square and no size is given."""
    if not form.size and image.size[0] != image.size[1]:
        what = "{}: {}x{}".format(name, *image.size)
        raise BadInput(f"the images of {origin} are not square ({what}): {needs_size(image)}")


def _widen(spans: dict[bool, Span], image: Picture) -> None:
    """Widen the span of integers or floats (True) by the image's values."""
    if (extremes := image.extremes()) and image.deep is not None and not image.span:
        kind = image.deep.dtype.kind == "f"
        low, high = spans.get(kind, extremes)
        spans[kind] = min(low, extremes[0]), max(high, extremes[1])


class Seen(NamedTuple):
    """What an image was like, for the summary: `own` are the smallest and the largest of its
    values, `cut` how many of `values` lie outside of the levels, where levels are asked for.
    """

    size: tuple[int, int]
    channels: int
    several: bool
    transparent: bool
    span: Span | None
    own: tuple[float, ...] = ()
    cut: int = 0
    values: int = 0

    @classmethod
    def of(cls, image: Picture, frame: Frame) -> Seen:
        span = frame.span(image) or image.span
        seen = cls(image.size, image.channels, image.several, image.transparent, span)
        if not (levels := frame.form.levels):
            return seen
        values = image.numbers(frame.channels)
        own = values.min().item(), values.max().item()
        cut = int(((values < levels[0]) | (values > levels[1])).sum())
        return seen._replace(own=own, cut=cut, values=values.size)


@final
class Facts:
    """What a split's images are like, and what is done to them, for its summary."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self._sizes: list[tuple[int, int]] = []  # the smallest and the largest
        self._counts: Counter[str] = Counter()
        self._spans: dict[Span, None] = {}
        self._bins: dict[bool, Any] = {}  # how often each byte comes, in images that are scaled
        self._uncounted: dict[bool, list[np.ndarray]] = {}
        self._own: list[float] = []  # with levels: the smallest and the largest value in the files
        self._cut = self._all = 0  # values outside the levels, and all

    def add(self, image: Picture, name: str) -> np.ndarray:
        """The image's pixels, uint8 (C, H, W). Raises BadInput, Unreadable."""
        pixels = to_pixels(image, self.frame, name)
        self.count(Seen.of(image, self.frame), pixels)
        return pixels

    def count(self, image: Seen, pixels: np.ndarray) -> None:
        """Add an image that became `pixels`."""
        frame, counts, (width, height) = self.frame, self._counts, image.size
        every = sorted({*self._sizes, image.size}, key=lambda size: (size[0] * size[1], size))
        self._sizes = [every[0], every[-1]]
        goal = frame.form.size or image.size
        counts["grey made colour"] += image.channels < frame.channels
        counts["colour made grey"] += image.channels > frame.channels
        counts["with several images in one: the first is used"] += image.several
        counts["transparent: put on white"] += image.transparent
        small = "smaller than {}x{}: enlarged".format(*goal)
        counts[small] += _enlarged(image.size, goal, frame.form.fit)
        counts["fitted"] += width * goal[1] != height * goal[0]
        if span := image.span:
            self._spans[span] = None
        waiting = self._uncounted.setdefault(bool(span), [])
        waiting.append(pixels.ravel())
        if len(waiting) * pixels.nbytes >= BLOCK:
            self._count_values()
        if image.values:
            self._own = [min(*self._own, *image.own), max(*self._own, *image.own)]
            self._cut += image.cut
            self._all += image.values

    def _count_values(self) -> None:
        """Count the bytes of several images at once: Pillow takes a third of NumPy's time."""
        import numpy as np
        from PIL import Image

        for is_scaled, images in self._uncounted.items():
            values = np.concatenate(images)
            bins = np.array(Image.frombuffer("L", (len(values), 1), values).histogram())
            self._bins[is_scaled] = self._bins.get(is_scaled, 0) + bins
        self._uncounted.clear()

    def summary(self) -> Meta:
        """Its part of a `Summary`."""
        self._count_values()
        values, fitted = self._values(), ""
        size, count = self.frame.form.size, self._counts.pop("fitted", 0)
        if size and {*self._sizes} != {size}:
            how = "padded with black" if self.frame.form.fit == "pad" else "cropped at the centre"
            fitted = f"resized, {count:,} of them {how}" if count else "resized"
        notes = [f"{count:,} {what}" for what, count in self._counts.items() if count]
        return {"values": values, "sizes": self._sizes, "fitted": fitted, "notes": notes}

    def _values(self) -> str:
        """The values of the files; what becomes of them; and what to type if that loses most."""
        parts = []
        if not self._bins:  # no image is in this split
            return ""
        if self._spans:
            scaled = " and ".join(map(_range, self._spans))
            parts += [f"{scaled}, scaled to 0 to 255{self._outside()}"]
        if (plain := self._bins.get(False)) is not None:
            used = plain.nonzero()[0]
            parts += [_range((used[0], used[-1]))]
        if len(parts) == 2:
            hint = "two scales; levels=LOW:HIGH makes them one"
            parts[1] = f"in files of 8 bits {parts[1]}, as they are: {hint}"
        top = _usual_top(sum(self._bins.values()))
        if top <= DARK and len(self._spans) < 2 and len(parts) == 1 and not self.frame.form.levels:
            low, high = next(iter(self._spans), (0, 255))
            bright = low + max(1, top) * (high - low) / 255
            most = "" if self._spans or top < used[-1] else " of 255"
            hint = f"levels={_number(low)}:{_number(bright)} makes it visible"
            parts[0] += f"{most}: nearly black; {hint}"
        return "; ".join(parts)

    def _outside(self) -> str:
        """What the chosen levels leave of the files' own values, if it is little."""
        levels = self.frame.form.levels
        if not levels or not self._own:
            return ""
        dark = 255 * (self._own[1] - levels[0]) <= DARK * (levels[1] - levels[0])
        if not (self._cut or dark):
            return ""
        share = f"{100 * self._cut / self._all:.2g} % of them lie outside"
        return f" (the files have {_range(self._own)}: {share if self._cut else 'nearly black'})"


def _usual_top(bins: np.ndarray) -> int:
    """The byte that no more than one in a thousand exceeds: a few hot pixels do not count."""
    above = bins[::-1].cumsum()[::-1]  # how many are this byte or more
    last = int(bins.nonzero()[0][-1])
    return last if last <= DARK else int((above * 1000 > above[0]).nonzero()[0][-1])


def _range(span: Sequence[float]) -> str:
    return f"{_number(span[0])} to {_number(span[1])}"


def _enlarged(own: tuple[int, int], goal: tuple[int, int], fit: str) -> bool:
    ratios = [own[i] / goal[i] for i in (0, 1)]
    return (max(ratios) if fit == "pad" else min(ratios)) < 1


def _number(value: float) -> str:
    return f"{value:g}" if value != int(value) else str(int(value))


def split_of(data: bytes) -> str:
    """The split of a file, by its content: new files move no other, copies get one split."""
    start = hashlib.sha256(data).digest()[:8]
    return "test" if int.from_bytes(start, "big") < 2**64 // 10 else "train"


def _convert_rows(source: Source, raw: Rows, form: Form) -> Blocks:
    import numpy as np

    try:
        for block, labels in raw.blocks():
            check_block(source, block, labels)
            if source.kind == "images":
                block = _resize(source, block, form)
            yield np.ascontiguousarray(block), labels
    except OSError as error:  # otherwise the cache would report a full disk
        raise BadInput(f"cannot read {source.name}: {error}") from error


def _resize(source: Source, block: np.ndarray, form: Form) -> np.ndarray:
    import numpy as np
    from PIL import Image

    own, height, width = block.shape[1:]
    form = form._replace(size=None) if form.size == (width, height) else form
    if not form.size and not form.levels and form.channels in (None, own):
        return block
    if source.levels == 2 and form.size:
        raise BadInput(
            f"{source.name} is black and white: it cannot be resized from {width}x{height} pixels"
        )
    whole = np.ascontiguousarray(block[:, 0] if own == 1 else np.moveaxis(block, 1, -1))
    frame, mode = Frame(form.channels or own, form), "L" if own == 1 else "RGB"
    images = (Picture(Image.fromarray(image), None, mode) for image in whole)
    return np.stack([to_pixels(image, frame) for image in images])


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
        expected = "float32 (n, d), finite"
        good = block.dtype == "float32" and block.ndim == 2
        good = good and bool(np.isfinite(block).all())
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
