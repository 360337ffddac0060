"""Images or sounds in folders and zips: listed, read, and sorted into splits and classes."""

from __future__ import annotations

import functools
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from io import BufferedIOBase
from pathlib import Path
from typing import IO

from genzoo.data.dataset import (
    FileSelection,
    FileTree,
    ImageFiles,
    SoundFiles,
    Source,
    cache_key,
)
from genzoo.errors import BadInput
from genzoo.files import expanded

SUFFIXES = ".png .jpg .jpeg .webp .bmp .gif .tif .tiff .ppm .pgm .pbm .pnm"
SOUNDS = ".wav"
LARGEST_FILE = 1 << 28


def pictures_below(path: str | Path, domain: str = "") -> Source:
    """The images of a folder or .zip; of its `domain` A or B, if it holds trainA and trainB."""

    def read(root: Path | None, split: str) -> ImageFiles:
        tree = tree_of(path)
        choose = functools.partial(_select, tree.origin, split, domain)
        return ImageFiles(tree, f"folder {split} {domain}", choose)

    name = f"{path}/train{domain}" if domain else str(path)
    splits = ("train", "test") if domain else ("train", "test", "all")
    return Source(name, "images", "images of a folder", "", 256, (), read, splits)


def files_below(path: str | Path) -> Source:
    """The images of a folder or .zip; its sounds, if it holds .wav files and no images."""
    if not _holds_sounds(path):
        return pictures_below(path)

    def read(root: Path | None, split: str) -> SoundFiles:
        tree = tree_of(path, SOUNDS)
        choose = functools.partial(_select, tree.origin, split, "")
        return SoundFiles(tree, f"folder {split}", choose)

    splits = ("train", "test", "all")
    return Source(str(path), "signals", "sounds of a folder", "", 0, (), read, splits)


def _holds_sounds(path: str | Path) -> bool:
    """No, also if it cannot be read: reading its images says why."""
    place, suffixes = expanded(path), f"{SUFFIXES} {SOUNDS}"
    names: Iterable[str]
    try:
        if place.is_file():
            with zipfile.ZipFile(place) as archive:
                names = [name for name in archive.namelist() if _is_wanted(name, suffixes)]
        else:
            names = (name for name, _ in _walk(place, suffixes))
        found = False
        for name in names:  # the first image ends it
            if not name.lower().endswith(SOUNDS):
                return False
            found = True
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return False
    return found


def tree_of(path: str | Path, suffixes: str = SUFFIXES) -> FileTree:
    """The files of a folder or .zip with these suffixes. Raises BadInput."""
    place = expanded(path)
    if place.is_dir():
        return folder(place, suffixes)
    if place.is_file() and place.suffix.lower() == ".zip":
        return zips([place], suffixes)
    if place.exists():
        raise BadInput(f"{path} is neither a folder nor a .zip of images")
    raise BadInput(f"no such folder or .zip: {path}")


def folder(path: Path, suffixes: str = SUFFIXES) -> FileTree:
    """The files with these suffixes below `path`; follows links."""
    try:
        files = dict(_walk(path, suffixes))
    except OSError as error:
        raise BadInput(f"cannot list {error.filename or path}: {error.strerror}") from None
    # Two unpacked archives may agree in names, sizes and times, but not in their path.
    key = cache_key([str(path.resolve()), files])
    reading = nullcontext(lambda name: content(path / name))
    return FileTree(str(path), key, lambda: _sorted(path, files, suffixes), lambda: reading)


def zips(paths: list[Path], suffixes: str = SUFFIXES) -> FileTree:
    """The files with these suffixes in all of `paths`."""

    @contextmanager
    def archives_by_name() -> Iterator[dict[str, zipfile.ZipFile]]:
        with ExitStack() as stack:
            try:
                archives = [stack.enter_context(zipfile.ZipFile(path)) for path in paths]
            except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
                raise BadInput(f"cannot read the zip {paths[0]}: {error}") from None
            every = [(name, archive) for archive in archives for name in archive.namelist()]
            yield {name: archive for name, archive in every if _is_wanted(name, suffixes)}

    def names() -> list[str]:
        with archives_by_name() as archives:
            return _sorted(paths[0], archives, suffixes)

    @contextmanager
    def opened() -> Iterator[Callable[[str], bytes]]:
        with archives_by_name() as archives:

            def read(name: str) -> bytes:
                with archives[name].open(name) as file:
                    return limited(file, name)

            yield read

    # Not the list of check sums: reading 50,000 takes half a second.
    return FileTree(str(paths[0]), cache_key(stamps(*paths)), names, opened)


def content(path: Path) -> bytes:
    """The bytes of a file. OSError if it is not a regular file, or too large."""
    if not path.is_file():  # a pipe would wait for ever
        raise OSError(f"{path} is no regular file")
    with path.open("rb") as file:
        return limited(file, str(path))


def limited(file: IO[bytes] | BufferedIOBase, name: str) -> bytes:
    """The content of `file`, whose declared length may be wrong. OSError if it is too large."""
    data = file.read(LARGEST_FILE + 1)
    if len(data) > LARGEST_FILE:
        raise OSError(f"{name} is larger than {LARGEST_FILE} bytes")
    return data


def stamps(*paths: Path) -> list[list[object]]:
    """A value that changes when one of the files changes."""
    return [[str(path.resolve()), *_stamp(path)] for path in paths]


def _stamp(file: os.DirEntry[str] | Path) -> list[int]:
    try:
        stat = file.stat()
    except OSError:  # a dangling link: reading it will fail and name it
        return [-1, -1]
    return [stat.st_size, stat.st_mtime_ns]


def _walk(
    path: Path, suffixes: str, prefix: str = "", above: tuple[Path, ...] = ()
) -> Iterator[tuple[str, list[int]]]:
    real = path.resolve()
    if real in above:  # a link back to a folder that holds it
        return
    for entry in sorted(os.scandir(path), key=lambda entry: entry.name):
        name = prefix + entry.name
        if entry.is_dir() and not entry.name.startswith("."):
            yield from _walk(Path(entry.path), suffixes, f"{name}/", (*above, real))
        elif not entry.is_dir() and _is_wanted(name, suffixes):
            yield name, _stamp(entry)


def _is_wanted(name: str, suffixes: str) -> bool:
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))
    return not hidden and name.lower().endswith(tuple(suffixes.split()))


def _sorted(path: Path, names: Iterable[str], suffixes: str) -> list[str]:
    if not (names := sorted(names)):
        raise BadInput(f"no images in {path}: looked for {suffixes}, and {SOUNDS} for sounds")
    return names


def _select(origin: str, split: str, domain: str, names: list[str]) -> FileSelection:
    """The files of a split, with their classes. The split "all" is every file, whatever folder it
    is in, without classes.
    """
    if split == "all":
        return FileSelection(tuple(names))
    return _with_labels(origin, *split_files(origin, split, domain, names))


def has_domains(names: list[str]) -> bool:
    """Whether the top folders are the domains A and B, or trainA and trainB."""
    tops = {name.split("/")[0] for name in _without_shared_folders(names) if "/" in name}
    return {"A", "B"} <= tops or {"trainA", "trainB"} <= tops


def split_files(
    origin: str, split: str, domain: str, names: list[str]
) -> tuple[dict[str, str], dict[str, str], str | None]:
    """The files of a split (name within it -> whole name), those of both splits, and the split if
    the content of each file decides: by the folders `train` and `test` only if both are there.
    Of the `domain` A or B: below the folder of this name, or `trainA` and `testA`. Raises BadInput.
    """
    within = _without_shared_folders(names)
    if domain and has_domains(names) and f"{domain}/" in (n[:2] for n in within):
        own = [whole for name, whole in within.items() if name.startswith(f"{domain}/")]
        within, domain = _without_shared_folders(own), ""
    train, test = (
        {name.removeprefix(top): whole for name, whole in within.items() if name.startswith(top)}
        for top in (f"train{domain}/", f"test{domain}/")
    )
    if domain and not train:
        raise BadInput(f"no trainA and trainB, or A and B, in {origin}; for two folders type A,B")
    if train and test:
        return test if split == "test" else train, {**train, **test}, None
    chosen = train if domain else within
    return chosen, chosen, split


def _without_shared_folders(names: list[str]) -> dict[str, str]:
    """Names without the folders that they all share -> full names."""
    first, last = (name.split("/")[:-1] for name in (min(names), max(names)))
    same = [one == two for one, two in zip(first, last, strict=False)]
    depth = [*same, False].index(False)
    return {name.split("/", depth)[-1]: name for name in names}


def _with_labels(
    origin: str, chosen: dict[str, str], every: Iterable[str], split: str | None
) -> FileSelection:
    """The files `chosen` (name within the split -> whole name). The classes are the subfolders in
    `every`; with none or one, there are no labels.
    """
    wholes = tuple(chosen.values())
    classes = tuple(sorted({name.split("/")[0] for name in every if "/" in name}))
    if len(classes) < 2:
        return FileSelection(wholes, split=split)
    if loose := [name for name in every if "/" not in name]:
        what = f"{len(loose)} files ({loose[0]}, ...) beside the class folders"
        raise BadInput(f"{origin} contains {what} {', '.join(classes)}: move them into a class")
    number = {name: index for index, name in enumerate(classes)}
    return FileSelection(
        wholes, tuple(number[name.split("/")[0]] for name in chosen), classes, split
    )
