"""Images or sounds in folders and zips: listed and read."""

from __future__ import annotations

import contextlib
import errno
import functools
import importlib.util
import os
import re
import zipfile
from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from io import BufferedIOBase
from pathlib import Path
from typing import IO, Any, NamedTuple, final

from genzoo.data.dataset import FileTree, ImageFiles, SoundFiles, Source, cache_key
from genzoo.data.label_files import is_label_file
from genzoo.data.layouts import HEIF, by_ending, ending_of
from genzoo.data.pictures import BRANDS
from genzoo.data.selection import select
from genzoo.errors import BadInput
from genzoo.files import expanded

LARGEST_FILE = 1 << 28
# All files of a zip may unpack to so many bytes, or so many times its size: more is a bomb.
MOST_UNPACKED, MOST_TIMES = 1 << 32, 100
PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
START = 32  # bytes that tell the format of a file
EMPTY = "empty folders"
NO_ENDING = "files without an ending, of another kind"
TWICE = "files whose name comes again in the zip"


class Wanted(NamedTuple):
    """The files of a kind: by their endings, or without an ending by their first bytes.
    `unreadable`: endings of files of this kind that have no decoder.
    """

    what: str
    endings: tuple[str, ...]
    start: re.Pattern[bytes]
    unreadable: tuple[str, ...]


JPEG = (".jpg", ".jpeg", ".jpe", ".jif", ".jfif", ".jfi")
_KINDS = ("png", "webp", "avif", "bmp", "gif", "tif", "tiff", "ppm", "pgm", "pbm", "pnm")
_UNREADABLE = ("jxl", "jp2", "dng", "cr2", "nef", "arw", "raw", "psd", "tga", "svg")
PICTURES = Wanted(
    "images",
    (*JPEG, *(f".{kind}" for kind in _KINDS)),
    re.compile(
        rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|RIFF....WEBP|GIF8[79]a|II[*+]\0|MM\0[*+]|P[1-6]\s"
        rb"|.{4}ftyp(?:avif|avis|hei[cxms]|mif1|msf1)|BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0",
        re.DOTALL,
    ),
    (*HEIF, *(f".{kind}" for kind in _UNREADABLE)),
)
SOUNDS = Wanted(
    "sounds",
    (".wav", ".wave"),
    re.compile(rb"RIFF....WAVE", re.DOTALL),
    (".mp3", ".flac", ".ogg", ".opus", ".m4a", ".aac", ".aif", ".aiff", ".wma"),
)
Read = Callable[[str, int], bytes]  # (name, limit): the content, or its first bytes


@final
@dataclass
class _Listing:
    """The files of a folder or zip, each with a value; by what is done with them: `marks` are files
    of labels, and those without a decoder.
    """

    wanted: Wanted
    taken: dict[str, Any] = field(default_factory=dict)
    bare: dict[str, Any] = field(default_factory=dict)  # without an ending
    marks: dict[str, Any] = field(default_factory=dict)
    rest: dict[str, Any] = field(default_factory=dict)
    twice: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)  # folders

    def add(self, name: str, value: Callable[[], Any]) -> None:
        """Sort a file in, but for hidden ones; `value` is called only if the file may be read."""
        if is_hidden(name):
            return
        if name in self.taken or name in self.bare or name in self.marks:
            self.twice.append(name)
        ending = ending_of(name)
        if ending in self.wanted.endings or (ending in HEIF and self._with_heif):
            self.taken[name] = value()
        elif not ending:
            self.bare[name] = value()
        elif ending in self.wanted.unreadable or is_label_file(name):
            self.marks[name] = value()
        else:
            self.rest[name] = None

    @property
    def read(self) -> ChainMap[str, Any]:
        """All files that may be read."""
        return ChainMap(self.taken, self.bare, self.marks)

    @functools.cached_property
    def _with_heif(self) -> bool:
        return self.wanted is PICTURES and importlib.util.find_spec("pillow_heif") is not None

    def starting_right(self, read: Read) -> list[str]:
        """The files without an ending whose first bytes are those of a wanted one."""
        found = []
        for name in self.bare:
            with contextlib.suppress(Exception):  # it is broken, or no regular file
                start = read(name, START)
                is_heif = self._with_heif and start[4:8] == b"ftyp" and start[8:12] in BRANDS
                if is_heif or self.wanted.start.match(start):
                    found.append(name)
        return found


def pictures_below(path: str | Path, domain: str = "") -> Source:
    """The images of a folder or .zip; of its `domain` A or B, if it holds trainA and trainB."""

    def read(root: Path | None, split: str) -> ImageFiles:
        tree = tree_of(path)
        choose = functools.partial(select, tree, split, domain)
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
        choose = functools.partial(select, tree, split, "")
        return SoundFiles(tree, f"folder {split}", choose)

    splits = ("train", "test", "all")
    return Source(str(path), "signals", "sounds of a folder", "", 0, (), read, splits)


def _holds_sounds(path: str | Path) -> bool:
    """No, also if it cannot be read: reading its images says why."""
    place = expanded(path)
    names: Iterable[str]
    try:
        if place.is_file():
            with zipfile.ZipFile(place) as archive:
                names = [_plain(info) for info in archive.infolist() if not _is_folder(info)]
        else:
            names = (name for name, _ in _walk(place, []))
        found = False
        for name in names:  # the first image ends it
            if not is_hidden(name) and (ending := ending_of(name)) in PICTURES.endings:
                return False
            found = found or (not is_hidden(name) and ending in SOUNDS.endings)
        return found or bool(not _starts(path, PICTURES) and _starts(path, SOUNDS))
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError, BadInput):
        return False


def tree_of(path: str | Path, wanted: Wanted = PICTURES) -> FileTree:
    """The files of a folder or .zip. Raises BadInput."""
    place = expanded(path)
    if place.is_dir():
        return folder(place, wanted)
    if place.is_file() and place.suffix.lower() == ".zip":
        return zips([place], wanted)
    if place.exists():
        raise BadInput(f"{path} is neither a folder nor a .zip of images")
    raise missing(path)


def hint_at_folder(name: str) -> str:
    """What to type for a folder called `name`, none of a data set, or for a file."""
    with contextlib.suppress(OSError, ValueError):  # no name of a file
        if Path(name).is_dir():
            return f"A folder of that name is here: did you mean ./{name}?"
        if Path(name).is_file() and Path(name).suffix != ".zip":
            return f"{name} is a file: a data set is a folder or a .zip, like ./photos."
    return f"For a folder, type ./{name}."


def missing(path: str | Path) -> BadInput:
    """The error of a folder that does not exist."""
    of, sign, kind = str(path).rpartition(":")
    hint = ""
    if sign and expanded(of).exists():
        own = f"{of}/{kind}" if expanded(f"{of}/{kind}").is_dir() else f"{of}/.../{kind}"
        hint = f" (a colon selects a class of a named data set; of a folder, type {own})"
    return BadInput(f"no such folder or .zip: {path}{hint}")


def folder(path: Path, wanted: Wanted = PICTURES) -> FileTree:
    """The files below `path`; follows links."""
    listing = _Listing(wanted)
    try:
        for name, entry in _walk(path, listing.empty):
            listing.add(name, functools.partial(_stamp, entry))
    except OSError as error:
        raise BadInput(f"cannot list {error.filename or path}: {error.strerror}") from None
    # Two unpacked archives may agree in names, sizes and times, but not in their path.
    key = [str(path.resolve()), listing.taken]
    key += [listing.bare, listing.marks] if listing.bare or listing.marks else []
    key += [listing.empty] if listing.empty else []

    def read(name: str, limit: int = LARGEST_FILE) -> bytes:
        return content(path / name, limit)

    return _tree(path, cache_key(key), lambda: listing, lambda: nullcontext(read))


def zips(paths: list[Path], wanted: Wanted = PICTURES) -> FileTree:
    """The files in all of `paths`."""

    @contextmanager
    def archives() -> Iterator[list[zipfile.ZipFile]]:
        with ExitStack() as stack:
            try:
                yield [stack.enter_context(zipfile.ZipFile(path)) for path in paths]
            except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
                half = "cut off, or no zip: download or pack it again"
                why = half if "not a zip" in str(error) else error
                raise BadInput(f"cannot read the zip {paths[0]}: {why}") from None

    @functools.cache
    def listing() -> _Listing:
        found = _Listing(wanted)
        with archives() as every:
            for index, archive in enumerate(every):
                for info in archive.infolist():
                    if not _is_folder(info):
                        found.add(_plain(info), functools.partial(_entry, index, info))
        _check_unpacked(paths, (info for _, info in found.read.values()))
        return found

    @contextmanager
    def opened() -> Iterator[Read]:
        entries = listing().read
        with archives() as every:

            def read(name: str, limit: int = LARGEST_FILE) -> bytes:
                index, info = entries[name]
                if info.compress_type not in PACKINGS:  # 1.5 kB of bzip2 would fill 4 GB at once
                    raise OSError(errno.ENOTSUP, "packed by another method than deflate", name)
                _check_size(info.file_size, name, limit)
                with every[index].open(info) as file:
                    return limited(file, name, limit, info.file_size)

            yield read

    # Not the list of check sums: reading 50,000 takes half a second.
    return _tree(paths[0], cache_key(stamps(*paths)), listing, opened)


def _check_unpacked(paths: list[Path], members: Iterable[zipfile.ZipInfo]) -> None:
    """Raise BadInput for a bomb. Of a member no more is read than the length that it declares."""
    total, packed = sum(info.file_size for info in members), sum(p.stat().st_size for p in paths)
    if total > (most := max(MOST_UNPACKED, MOST_TIMES * packed)):
        sizes = f"{total / 1e9:,.1f} GB, {total / packed:,.0f} times its size"
        hint = f"at most {most / 1e9:,.1f} GB are read: unpack it and give the folder"
        raise BadInput(f"{paths[0]} unpacks to {sizes}: {hint}")


def _tree(
    path: Path,
    key: str,
    listing: Callable[[], _Listing],
    opened: Callable[[], AbstractContextManager[Any]],
) -> FileTree:
    @functools.cache
    def bare() -> list[str]:
        if not listing().bare:
            return []
        with opened() as read:
            return listing().starting_right(read)

    def names() -> list[str]:
        files = listing()
        if found := sorted([*files.taken, *bare()]):
            return found
        endings = " ".join(PICTURES.endings)
        looked = f"looked for {endings}, and {SOUNDS.endings[0]} for sounds"
        there = [f"{len(n):,} {kind}" for kind, n in by_ending([*files.marks, *files.rest]).items()]
        there += [f"{len(files.bare):,} files without an ending"] * bool(files.bare)
        got = f"; it has {', '.join(there)}" if there else ""
        raise BadInput(f"no {files.wanted.what} in {path}: {looked}{got}")

    def left_out() -> dict[str, list[str]]:
        files = listing()
        kinds = {NO_ENDING: sorted(files.bare.keys() - {*bare()}), TWICE: files.twice}
        kinds[EMPTY] = files.empty
        return {kind: names for kind, names in kinds.items() if names}

    def others() -> list[str]:
        return sorted([*listing().marks, *listing().rest])

    def unreadable() -> list[str]:
        files = listing()
        return [name for name in files.marks if ending_of(name) in files.wanted.unreadable]

    return FileTree(str(path), key, names, opened, others, unreadable, left_out)


def content(path: Path, limit: int = LARGEST_FILE) -> bytes:
    """The bytes of a file, as `limited`. OSError if it is not a regular file, or too large."""
    if not path.is_file():  # a pipe would wait for ever
        if not path.is_symlink():
            path.stat()  # says so if there is no such file
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        _check_size(size, str(path), limit)
        return limited(file, str(path), limit, size)


def limited(
    file: IO[bytes] | BufferedIOBase, name: str, limit: int = LARGEST_FILE, size: int = 0
) -> bytes:
    """The content of `file`, whose declared `size` may be wrong: at most its first `limit` bytes.
    OSError if it is too large.
    """
    if limit < LARGEST_FILE:
        return file.read(limit)
    data = file.read(size + 1)  # not the limit: memory would be reserved for all of it
    if len(data) > size:
        data += file.read(LARGEST_FILE + 1 - len(data))
    _check_size(len(data), name, limit)
    return data


def _check_size(size: int, name: str, limit: int) -> None:
    """OSError for a file that is too large; its first bytes may be read."""
    if limit >= LARGEST_FILE < size:
        raise OSError(errno.EFBIG, f"larger than {LARGEST_FILE:,} bytes", name)


def stamps(*paths: Path) -> list[list[object]]:
    """A value that changes when one of the files changes."""
    return [[str(path.resolve()), *_stamp(path)] for path in paths]


def _stamp(file: os.DirEntry[str] | Path) -> list[int]:
    """Also what a program cannot set: tools such as cp -p and tar give a new file an old time."""
    try:
        stat = file.stat()
    except OSError:  # a dangling link: reading it will fail and name it
        return [-1, -1]
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]


def _walk(
    path: Path, empty: list[str], prefix: str = "", above: tuple[Path, ...] = ()
) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """All files, by name; the folders without anything that is not hidden go into `empty`."""
    real = path.resolve()
    if real in above:  # a link back to a folder that holds it
        return
    entries = sorted(os.scandir(path), key=lambda entry: entry.name)
    if prefix and all(is_hidden(entry.name) for entry in entries):
        empty.append(prefix.rstrip("/"))
    for entry in entries:
        name = prefix + entry.name
        if entry.is_dir() and not is_hidden(entry.name):
            yield from _walk(Path(entry.path), empty, f"{name}/", (*above, real))
        elif not entry.is_dir():
            yield name, entry


def is_hidden(name: str) -> bool:
    """Whether a file, or a folder that holds it, is one of the system's."""
    if not name.startswith(".") and "/." not in name and "__MACOSX" not in name:
        return False  # nearly all: of a million files, this takes a second less
    parts = name.split("/")
    return any(part.startswith(".") or part == "__MACOSX" for part in parts)


def _plain(info: zipfile.ZipInfo) -> str:
    """An entry's name with `/` between its parts, without a drive, `.` and `..`."""
    name = info.filename
    if not info.flag_bits & 0x800:  # read as cp437, but many programs write UTF-8 without saying so
        with contextlib.suppress(UnicodeError):
            name = name.encode("cp437").decode()
    parts = re.sub(r"^[A-Za-z]:(?=[/\\])", "", name).replace("\\", "/").split("/")
    return "/".join(part for part in parts if part not in ("", ".", ".."))


def _is_folder(info: zipfile.ZipInfo) -> bool:
    return info.filename.endswith(("/", "\\"))


def _entry(index: int, info: zipfile.ZipInfo) -> tuple[int, zipfile.ZipInfo]:
    return index, info


def _starts(path: str | Path, wanted: Wanted) -> bool:
    """Whether a file without an ending begins as a wanted one."""
    try:
        return bool(tree_of(path, wanted).names())
    except BadInput:
        return False
