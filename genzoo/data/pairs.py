"""Pairs of image files: of one name in two folders, or side by side in one file."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, final

from genzoo.data import cache
from genzoo.data.dataset import DataSet, FileTree, Meta, Summary, cache_key, leave_out
from genzoo.data.decoding import Facts, check_square, read_file, skip, split_of, survey
from genzoo.data.folders import tree_of
from genzoo.data.forms import Form, Frame
from genzoo.data.layouts import Layout, ending_of, has_domains, split_files, unread
from genzoo.data.pictures import Picture, Unreadable, decoded
from genzoo.errors import BadInput
from genzoo.files import expanded
from genzoo.text import nfc

if TYPE_CHECKING:
    from genzoo.data.dataset import Blocks

    Names = tuple[str, str]
    Read = Callable[[str], bytes]


FORMAT = 2  # increase it when the same files give other bytes
STRETCH = 0.02  # how much the forms of a pair may differ: each is cropped by itself
HALVES = ("left", "right")
log = logging.getLogger("genzoo")


def open_files(places: tuple[str | Path, ...], split: str, form: Form) -> tuple[DataSet, DataSet]:
    """The pairs of a split as two data sets, row by row: of two folders (or zips), or of one.

    Raises BadInput, OperationFailed.
    """
    if split not in ("train", "test"):
        raise BadInput(f"pairs have no split {split!r}, only train and test")
    trees = [tree_of(place) for place in places]
    name = ",".join(map(str, places))
    key = cache_key([FORMAT, "pairs", [tree.key for tree in trees], split, *form.key])
    meta: Meta = {"name": name, "split": split, "skipped": [], "alone": [], "parts": []}
    origins = [str(expanded(tree.origin).resolve()) for tree in trees]
    meta["slot"] = cache.slot("", ["pairs", origins, split, *form.key])
    blocks = partial(_blocks, trees, split, form)
    array, _, meta = cache.open_entry(key, meta, blocks)
    skipped = (*meta["skipped"], *meta["alone"])
    meta = {**meta, "shape": [len(array), *array.shape[2:]], "left_out": unread(trees, meta)}
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
            summary=Summary.of(name, "images", {**meta, **meta["sides"][i]}),
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


def _blocks(trees: list[FileTree], split: str, form: Form, meta: Meta) -> Blocks:
    """Pairs, uint8 (1, 2, C, H, W); notes in `meta` the domains and what is left out."""
    import numpy as np

    pairs, hashes = _find(trees, split), [hashlib.sha256(), hashlib.sha256()]
    meta["parts"], meta["alone"] = pairs.parts, pairs.alone
    meta["split_from"] = pairs.found
    for kind, files in pairs.left_out.items():
        leave_out(meta, kind, files)
    with ExitStack() as stack:
        opened = [stack.enter_context(tree.opened()) for tree in trees]
        reads, halves = (opened[0], opened[-1]), pairs.parts == HALVES
        facts = [Facts(frame) for frame in _frames(trees, pairs, reads, form)]
        for names in pairs.names:
            try:
                contents = [read_file(reads[i], names[i]) for i in range(1 if halves else 2)]
                if pairs.split and split_of(contents[0]) != pairs.split:
                    continue
                images = [decoded(data) for data in contents]
                two = _halves(images[0], names[0]) if halves else _alike(images, names)
                pixels = np.stack([facts[i].add(two[i], names[i]) for i in (0, 1)])
            except Unreadable as error:
                log.debug("%s: %s", names, error)
                skip(meta, " and ".join(dict.fromkeys(names)), "broken pairs", error)
                continue
            for digest, own in zip(hashes, pixels, strict=True):
                digest.update(own.data)
            yield pixels[None], None
    meta["sides"] = [own.summary() for own in facts]
    meta["sha256s"] = [digest.hexdigest() for digest in hashes]


def _frames(
    trees: list[FileTree], pairs: _Pairs, reads: tuple[Read, Read], form: Form
) -> list[Frame]:
    """One for each domain, from all pairs of both splits, so that all agree: of one size and number
    of channels.
    """
    frames, halves = [], pairs.parts == HALVES
    for i, tree in enumerate(trees[:1] if halves else (trees[0], trees[-1])):
        check = _halves if halves else partial(check_square, tree.origin, form)
        names = [names[i] for names in pairs.every]
        frames.append(survey(tree.origin, names, reads[i], form, check))
    channels, own = max(frame.channels for frame in frames), frames[0].own
    if halves and own:
        own = own[1], own[1]
    return [frame._replace(channels=channels, own=own) for frame in (frames[0], frames[-1])]


def _halves(image: Picture, name: str) -> list[Picture]:
    """The left and the right half of one file."""
    width, height = image.size
    if width != 2 * height:
        hint = "side by side, a file is twice as wide as high; or use folders A and B"
        raise BadInput(f"{name} is no pair, but {width}x{height}: {hint}")
    return [image.crop((left, 0, left + height, height)) for left in (0, height)]


def _alike(images: list[Picture], names: Names) -> list[Picture]:
    """Both images of a pair. BadInput if their forms differ."""
    forms = [width / height for width, height in (image.size for image in images)]
    if max(forms) > (1 + STRETCH) * min(forms):
        sizes = " and ".join("{}x{}".format(*image.size) for image in images)
        raise BadInput(f"the pair {names[0]}, {names[1]} differs in form: {sizes}")
    return images
