"""Pairs of image files: of one name in two folders, or side by side in one file."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, final

from genzoo.data import cache
from genzoo.data.dataset import DataSet, FileTree, Meta, Summary, cache_key, leave_out
from genzoo.data.decoding import (
    NEEDS_SIZE,
    Frame,
    natural_channels,
    open_image,
    split_of,
    to_pixels,
)
from genzoo.data.folders import tree_of
from genzoo.data.layouts import Layout, ending_of, has_domains, split_files, unread
from genzoo.errors import BadInput, GenzooError
from genzoo.files import expanded
from genzoo.text import nfc

if TYPE_CHECKING:
    from PIL.Image import Image

    from genzoo.data.dataset import Blocks

    Names = tuple[str, str]
    Two = AbstractContextManager[tuple[Image, Image]]


FORMAT = 1  # increase it when the same files give other bytes
STRETCH = 0.02  # how much the forms of a pair may differ: both are cropped to their centre square
HALVES = ("left", "right")
log = logging.getLogger("genzoo")


def open_files(
    places: tuple[str | Path, ...], split: str, size: int | None, channels: int | None
) -> tuple[DataSet, DataSet]:
    """The pairs of a split as two data sets, row by row: of two folders (or zips), or of one.

    Raises BadInput, OperationFailed.
    """
    if split not in ("train", "test"):
        raise BadInput(f"pairs have no split {split!r}, only train and test")
    trees = [tree_of(place) for place in places]
    name = ",".join(map(str, places))
    key = cache_key([FORMAT, "pairs", [tree.key for tree in trees], split, size, channels])
    meta: Meta = {"name": name, "split": split, "skipped": [], "alone": [], "parts": []}
    origins = [str(expanded(tree.origin).resolve()) for tree in trees]
    meta["slot"] = cache.slot("", ["pairs", origins, split, size, channels])
    blocks = partial(_blocks, trees, split, size, channels)
    array, _, meta = cache.open_entry(key, meta, blocks)
    skipped = (*meta["skipped"], *meta["alone"])
    meta = {**meta, "shape": [len(array), *array.shape[2:]], "left_out": unread(trees, meta)}
    summary = Summary.of(name, "images", meta)
    names = [str(p) for p in places] if len(places) == 2 else [f"{name}/{p}" for p in meta["parts"]]
    one, two = (
        DataSet(
            name=name,
            split=split,
            kind="images",
            array=array[:, i],
            labels=None,
            classes=(),
            levels=256,
            sha256=meta["sha256s"][i],
            skipped=skipped,
            terms="",
            summary=replace(summary, name=name),
        )
        for i, name in enumerate(names)
    )
    return one, two


@final
@dataclass(frozen=True)
class _Pairs:
    """The pairs of a split: ``names`` of both files (the same twice if side by side), of which
    ``split`` takes some by content. ``every``: those of both splits; ``alone``: files without a
    partner; ``parts``: the names of the two domains; ``found``: how the split was found.
    """

    names: list[tuple[str, str]]
    every: list[tuple[str, str]]
    alone: list[str]
    split: str | None
    parts: tuple[str, str]
    found: str
    left_out: dict[str, tuple[str, ...]]


def _find(trees: list[FileTree], split: str) -> _Pairs:
    listings = [tree.names() for tree in trees]
    if len(trees) == 1 and not has_domains(listings[0]):
        layout = split_files(trees[0].origin, split, "", listings[0])
        names = [(name, name) for name in layout.chosen.values()]
        every = [(name, name) for files in layout.parts for name in files.values()]
        return _pairs(trees, [layout], names, every, [], HALVES)
    domains = ("A", "B") if len(trees) == 1 else ("", "")
    one, two = (
        split_files(tree.origin, split, domain, listing)
        for tree, domain, listing in zip(trees * 2, domains, listings * 2, strict=False)
    )
    origin = " and ".join(tree.origin for tree in trees)
    if one.split != two.split:
        raise BadInput(f"{origin}: only one of the two domains has folders train and test")
    names, alone = _match(origin, one.chosen, two.chosen)
    sides = [{n: w for files in layout.parts for n, w in files.items()} for layout in (one, two)]
    every, _ = _match(origin, *sides)
    return _pairs(trees, [one, two], names, every, alone, ("A", "B"))


def _pairs(
    trees: list[FileTree],
    layouts: list[Layout],
    names: list[Names],
    every: list[Names],
    alone: list[str],
    parts: Names,
) -> _Pairs:
    left_out: dict[str, tuple[str, ...]] = {}
    others = [tree.left_out() for tree in trees]
    for kinds in [*(layout.left_out for layout in layouts), *others]:
        left_out |= {kind: (*left_out.get(kind, ()), *kinds[kind]) for kind in kinds}
    left_out |= {"files without a partner": tuple(alone)} if alone else {}
    return _Pairs(names, every, alone, layouts[0].split, parts, layouts[0].found, left_out)


def _match(
    origin: str, a: dict[str, str], b: dict[str, str]
) -> tuple[list[tuple[str, str]], list[str]]:
    """The files of one name, whatever their ending, and those without a partner."""
    one, two = _stems(origin, a), _stems(origin, b)
    if not (both := sorted(one.keys() & two.keys())):
        first = f"{next(iter(a), 'none')}, {next(iter(b), 'none')}"
        raise BadInput(
            f"{origin}: no file of the first domain has the name of one of the second ({first})"
        )
    alone = [side[stem] for side in (one, two) for stem in sorted(side.keys() - set(both))]
    return [(one[stem], two[stem]) for stem in both], alone


def _stems(origin: str, files: dict[str, str]) -> dict[str, str]:
    stems: dict[str, str] = {}
    for name, whole in files.items():
        stem = nfc(name[: len(name) - len(ending_of(name))])
        if stem in stems:
            raise BadInput(f"{origin}: {stems[stem]} and {whole} have the same name: which is it?")
        stems[stem] = whole
    return stems


def _blocks(
    trees: list[FileTree], split: str, size: int | None, channels: int | None, meta: Meta
) -> Blocks:
    """Pairs, uint8 (1, 2, C, H, W); notes in `meta` the domains and what is left out."""
    import numpy as np

    pairs, hashes = _find(trees, split), [hashlib.sha256(), hashlib.sha256()]
    meta["parts"], meta["alone"] = pairs.parts, pairs.alone
    meta["split_from"] = pairs.found
    for kind, files in pairs.left_out.items():
        leave_out(meta, kind, files)
    with ExitStack() as stack:
        reads = [stack.enter_context(tree.opened()) for tree in trees]
        open_two = partial(_open_two, (reads[0], reads[-1]), pairs.parts == HALVES)
        frame = _frame(pairs, open_two, size, channels)
        for names in pairs.names:
            try:
                if pairs.split and split_of(reads[0](names[0])) != pairs.split:
                    continue
                with open_two(names) as two:
                    both = zip(two, names, strict=True)
                    pixels = np.stack([to_pixels(image, frame, name) for image, name in both])
            except GenzooError:
                raise
            except Exception as error:  # a decoder given hostile bytes raises nearly anything
                log.debug("%s: %s", names, error)
                meta["skipped"].append(" and ".join(dict.fromkeys(names)))
                continue
            for digest, own in zip(hashes, pixels, strict=True):
                digest.update(own.data)
            yield pixels[None], None
    leave_out(meta, "broken pairs", meta["skipped"])
    meta["sha256s"] = [digest.hexdigest() for digest in hashes]


def _frame(
    pairs: _Pairs, open_two: Callable[[Names], Two], size: int | None, channels: int | None
) -> Frame:
    """From the first pair of both splits that decodes, so that all agree."""
    for names in pairs.every:
        try:
            with open_two(names) as (one, two):
                own, modes = one.size, (one.mode, two.mode)
        except GenzooError:
            raise
        except Exception as error:  # as in _blocks, which counts it
            log.debug("%s: %s", names, error)
            continue
        if size is None and own[0] != own[1]:
            raise BadInput(f"{names[0]} is not square, but {own[0]}x{own[1]}: {NEEDS_SIZE}")
        return Frame(channels or max(map(natural_channels, modes)), size, None, own)
    raise BadInput(f"none of {len(pairs.every)} pairs can be read ({pairs.every[0][0]}, ...)")


@contextmanager
def _open_two(
    reads: tuple[Callable[[str], bytes], Callable[[str], bytes]], halves: bool, names: Names
) -> Iterator[tuple[Image, Image]]:
    """Both images of a pair, upright and decoded. BadInput if their forms differ."""
    if halves:
        with open_image(reads[0](names[0])) as image:
            width, height = image.size
            if width != 2 * height:
                hint = "side by side, a file is twice as wide as high; or use folders A and B"
                raise BadInput(f"{names[0]} is no pair, but {width}x{height}: {hint}")
            yield image.crop((0, 0, height, height)), image.crop((height, 0, width, height))
        return
    with open_image(reads[0](names[0])) as one, open_image(reads[1](names[1])) as two:
        forms = [image.width / image.height for image in (one, two)]
        if max(forms) > (1 + STRETCH) * min(forms):
            sizes = " and ".join(f"{image.width}x{image.height}" for image in (one, two))
            raise BadInput(f"the pair {names[0]}, {names[1]} differs in form: {sizes}")
        yield one, two
