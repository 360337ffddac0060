"""What the folders of a data set mean: splits, or two domains."""

from __future__ import annotations

import functools
import re
import shlex
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import NamedTuple

from genzoo.data.dataset import SHOWN, FileTree, Meta
from genzoo.errors import BadInput, argument, command, install_command
from genzoo.files import is_folder

TRAIN, VAL, TEST = "train", "val", "test"
WORDS = {
    TRAIN: "train|training|trn",
    VAL: "val|valid|validation|dev|development",
    TEST: "test|testing|tst|eval|evaluation|h[oe]ld[ ._-]?out",
}
# "train", "Training_set", "val2017"; with the same before or after all of them, "seg_train",
# "train_1", "train_HR"; of two domains, "trainA".
_WORD = "|".join(f"(?P<{role}>{words})" for role, words in WORDS.items())
_SPLIT = re.compile(
    rf"(?P<before>.*[ ._-])?(?:{_WORD})(?:[ ._-]?(?:set|data|images|split))?(?:\d{{4}})?"
    r"(?P<after>[ ._-]?(?:\d{1,3}|[ab])|[ ._-].*)?",
    re.IGNORECASE,
)
_DOMAIN = re.compile(rf"(?:{_WORD})[ ._-]?(?P<domain>[ab])", re.IGNORECASE)
# Folders beside splits that hold no class.
_ASIDE = re.compile(
    "extra|unlabell?ed|unsupervised|annotations?|labels?|masks?|ground[ ._-]?truth", re.IGNORECASE
)
_ENDING = re.compile(r"\.[a-z][a-z0-9_+-]*")
BY_CONTENT = "10 % by content"
HEIF = (".heic", ".heif", ".hif")
SYSTEM = {"thumbs.db", "ehthumbs.db", "desktop.ini"}
Files = dict[str, str]  # name within a split -> whole name


class Layout(NamedTuple):
    """The files of a split, and those of each split; `split`: if the content of each file decides.
    `found`: how the split was found. `left_out`: kind of files -> names.
    """

    chosen: Files
    parts: tuple[Files, ...]
    split: str | None
    found: str = BY_CONTENT
    left_out: Mapping[str, tuple[str, ...]] = MappingProxyType({})

    @property
    def within(self) -> dict[str, str]:
        """The name within its split of each file, by its whole name."""
        return {whole: name for files in self.parts for name, whole in files.items()}


class _Folders(NamedTuple):
    """The split folders: their names and files by role, and the files that are in none."""

    names: dict[str, str]
    files: dict[str, Files]
    rest: tuple[str, ...] = ()


def split_files(origin: str, split: str, domain: str, names: list[str]) -> Layout:
    """The files of a split: by folders such as `train` and `test`, or by the content of each file.
    Of the `domain` A or B: below the folder of this name, or `trainA` and `testA`. Raises BadInput.
    """
    within = without_shared_folders(names)
    if not domain:
        folders = _folders(origin, within)
    elif not has_domains(names):
        raise BadInput(f"no trainA and trainB, or A and B, in {origin}; for two folders type A,B")
    else:
        within, folders = _of_domain(origin, within, domain)
    if folders is None:
        return Layout(within, (within,), split)
    test = TEST if TEST in folders.files else VAL
    parts = (folders.files[TRAIN], folders.files[test])
    left_out = {"files beside the split folders": folders.rest} if folders.rest else {}
    if test == TEST and (unused := folders.files.get(VAL)):
        reason = f"files of {folders.names[VAL]} (the test split is {folders.names[TEST]})"
        left_out[reason] = tuple(unused.values())
    found = f"folders {folders.names[TRAIN]} and {folders.names[test]}"
    return Layout(parts[split == "test"], parts, None, found, left_out)


def has_domains(names: list[str]) -> bool:
    """Whether the top folders are the domains A and B, or trainA and trainB."""
    tops = tops_of(without_shared_folders(names))
    return {"A", "B"} <= {*tops} or bool(_domain_splits(tops))


def without_shared_folders(names: Iterable[str]) -> Files:
    """Names without the folders that they all share -> full names."""
    names = [*names]
    first, last = (name.split("/")[:-1] for name in (min(names), max(names)))
    same = [one == two for one, two in zip(first, last, strict=False)]
    depth = [*same, False].index(False)
    return {name.split("/", depth)[-1]: name for name in names}


def unread(trees: Iterable[FileTree], meta: Meta) -> dict[str, list[str]]:
    """The files that are left out, those of another kind by ending. Those are listed as they are
    now: they may change without a change of the data, and so of `meta`.
    """
    left_out: dict[str, list[str]] = dict(meta.get("left_out", {}))
    known, labels = set[str]().union(*left_out.values()), f" and {meta.get('labels_from', '')} and "
    for tree in trees:
        others = {n for n in tree.others() if n not in known and f" and {n} and " not in labels}
        for kind, names in by_ending(others).items():
            left_out[kind] = [*left_out.get(kind, ()), *names]
    return left_out


def by_ending(names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Names of files by their ending, without those that systems write."""
    kinds: defaultdict[str, list[str]] = defaultdict(list)
    for name in sorted(names):
        if PurePosixPath(name).name.lower() not in SYSTEM:
            ending = ending_of(name)
            hint = hint_of(ending)
            kinds[f"{ending} files" + (f" ({hint})" if hint else "")].append(name)
    return {kind: tuple(names) for kind, names in kinds.items()}


def hint_of(ending: str) -> str:
    """How files of this ``ending`` can be read; "" if they cannot."""
    return f"{install_command('heif')} reads them" if ending in HEIF else ""


def ending_of(name: str) -> str:
    """`.png` of `a.PNG`; "" of a name without an ending, such as `a.0001`."""
    stem, dot, ending = name.rpartition("/")[2].rpartition(".")
    return _known_ending(f".{ending}") if stem and dot else ""


@functools.lru_cache
def _known_ending(ending: str) -> str:
    return ending.lower() if _ENDING.fullmatch(ending.lower()) else ""


# ------------------------------------------------------------------------------------------ splits


def _folders(origin: str, within: Files) -> _Folders | None:
    """The split folders, if there are any. BadInput if they may be classes."""
    tops = tops_of(within)
    roles = {top: role for top in tops if (role := _role(top))}
    roles = dict(sorted(roles.items(), key=lambda pair: [*WORDS].index(pair[1])))
    if not roles:
        return _prefixed(origin, within, tops) or _inside_classes(within, tops)
    others = [top for top in tops if top not in roles and not _ASIDE.fullmatch(top)]
    if others or TRAIN not in roles.values() or not len(roles) == len({*roles.values()}) > 1:
        raise _ambiguous(origin, within, roles, others)
    return _grouped(within, roles)


def _role(top: str) -> str:
    match = _SPLIT.fullmatch(top)
    return _role_of(match) if match and not match["before"] and not match["after"] else ""


def _role_of(match: re.Match[str]) -> str:
    return next(role for role in WORDS if match[role])


def _prefixed(origin: str, within: Files, tops: Counter[str]) -> _Folders | None:
    """Split folders with the same before or after all: seg_train and seg_test, trainA and testA.
    BadInput if several sets have such folders: train_HR, test_HR, train_LR and test_LR.
    """
    matches = {top: match for top in tops if (match := _SPLIT.fullmatch(top))}
    roles = {top: _role_of(match) for top, match in matches.items()}
    whole = len(roles) == len(tops) == len({*roles.values()}) > 1 and TRAIN in roles.values()
    same = len({(match["before"], match["after"]) for match in matches.values()}) == 1
    loose = any("/" not in name for name in within)
    sets: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for top, match in matches.items():
        sets[match["before"], match["after"]].add(roles[top])
    if len(roles) == len(tops) and len(sets) > 1 and all({TRAIN} < own for own in sets.values()):
        raise _ambiguous(origin, within, roles, [])
    return _grouped(within, roles) if whole and same and not loose else None


def _inside_classes(within: Files, tops: Counter[str]) -> _Folders | None:
    """Split folders inside each class folder: cat/train, cat/test, dog/train."""
    parts = {name: name.split("/", 2) for name in within}
    if len(tops) < 2 or any(len(part) < 3 for part in parts.values()):
        return None
    moved = {f"{part[1]}/{part[0]}/{part[2]}": within[name] for name, part in parts.items()}
    roles = {part[1]: _role(part[1]) for part in parts.values()}
    whole = all(roles.values()) and len(roles) == len({*roles.values()}) > 1
    return _grouped(moved, roles) if whole and TRAIN in roles.values() else None


def _grouped(within: Files, roles: Mapping[str, str]) -> _Folders:
    files: dict[str, Files] = {role: {} for role in roles.values()}
    rest = []
    for name, whole in within.items():
        top, sign, inner = name.partition("/")
        if sign and top in roles:
            files[roles[top]][inner] = whole
        else:
            rest.append(whole)
    return _Folders({role: top for top, role in roles.items()}, files, tuple(rest))


def _domain_splits(tops: Iterable[str]) -> dict[str, dict[str, str]]:
    """By domain, A and B: the folders of its splits, trainA and testA -> their role; or nothing."""
    found: dict[str, dict[str, str]] = {"A": {}, "B": {}}
    for top in tops:
        if match := _DOMAIN.fullmatch(top):
            found[match["domain"].upper()][top] = _role_of(match)
    return found if all(TRAIN in roles.values() for roles in found.values()) else {}


def _of_domain(origin: str, within: Files, domain: str) -> tuple[Files, _Folders | None]:
    """The files of a domain (without split folders, those that are for training)."""
    tops = tops_of(within)
    if {"A", "B"} <= {*tops}:
        own = [whole for name, whole in within.items() if name.startswith(f"{domain}/")]
        inner = without_shared_folders(own)
        return inner, _folders(f"{origin}/{domain}", inner)
    folders = _grouped(within, _domain_splits(tops)[domain])._replace(rest=())
    return folders.files[TRAIN], folders if len(folders.files) > 1 else None


def tops_of(within: Iterable[str]) -> Counter[str]:
    """How many files are in each top folder."""
    return Counter(name.split("/")[0] for name in within if "/" in name)


# ------------------------------------------------------------------------------------------ errors


def _ambiguous(origin: str, within: Files, roles: dict[str, str], others: list[str]) -> BadInput:
    """Folders that can be read as splits or as classes: both commands."""
    place, first, top = _place(origin, within), "", next(iter(roles))
    if origin.lower().endswith(".zip"):
        packed, unpacked = shlex.quote(_typed(origin)), shlex.quote(_typed(origin[:-4]))
        place = place.replace(_typed(origin), _typed(origin[:-4]), 1)
        first = f"unpack it (unzip {packed} -d {unpacked}) and "
    loose = sum("/" not in name for name in within)
    beside = others or [*[f"{loose} file{'s' * (loose != 1)}"] * bool(loose)]
    folders = [f"{place}/{split}" for split in roles]
    paths = [*map(shlex.quote, folders)]
    if others and len({*roles.values()}) > 1:
        away = " ".join(shlex.quote(f"{place}/{other}") for other in others[:SHOWN])
        away += " ..." if len(others) > SHOWN else ""
        aside = shlex.quote(f"{place}-others")
        as_splits = f"move the others away: mkdir {aside} && mv {away} {aside}"
    else:
        as_splits = f"give one of them: {' or '.join(argument('data', p) for p in folders)}"
        if [*roles.values()] == [TRAIN] and len(others) == 1:
            other, test = shlex.quote(f"{place}/{others[0]}"), shlex.quote(f"{place}/{TEST}")
            as_splits = f"rename {others[0]}: mv {other} {test}, or {as_splits}"
    as_classes = f"rename it: mv {paths[0]} {shlex.quote(f'{place}/{top}-class')}"
    what = f"{origin} holds {listed(roles)}" + (f" beside {listed(beside)}" if beside else "")
    ways = f"if they are splits, {first}{as_splits}; if {top} is a class, {first}{as_classes}"
    return BadInput(f"{what}: splits or classes? {ways[0].upper()}{ways[1:]}")


def _place(origin: str, within: Files) -> str:
    """The folder of the top folders, as it is typed."""
    name, whole = next(iter(within.items()))
    return _typed(f"{origin}/{whole.removesuffix(name)}".rstrip("/"))


def refuse_domains(origin: str, names: list[str]) -> None:
    within = without_shared_folders(names)
    if not (domains := _domain_splits(tops_of(within))):
        return
    place = _place(origin, within)
    one, two = (next(top for top, role in d.items() if role == TRAIN) for d in domains.values())
    of_one = argument("data", f"{place}/{one}")
    raise BadInput(
        f"{origin} holds two domains, {one} and {two}: for one of them give {of_one}; both are for "
        f"a family that translates ({command('families')})"
    )


def _typed(origin: str) -> str:
    """A folder as it is typed: with ./ before it."""
    return origin if is_folder(origin) else f"./{origin}"


def listed(names: Collection[str]) -> str:
    first = [*names][:SHOWN]
    return ", ".join(first) + (", ..." if len(names) > SHOWN else "")
