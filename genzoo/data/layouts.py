"""What the folders of a data set mean: splits, classes, or two domains; and labels beside them."""

from __future__ import annotations

import functools
import re
import shlex
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import NamedTuple

from genzoo.data import label_files
from genzoo.data.dataset import SHOWN, FileSelection, FileTree, Meta
from genzoo.data.label_files import Labels
from genzoo.errors import BadInput
from genzoo.files import is_folder
from genzoo.text import nfc

TRAIN, VAL, TEST = "train", "val", "test"
WORDS = {
    TRAIN: "train|training",
    VAL: "val|valid|validation|dev|development",
    TEST: "test|testing|eval|evaluation",
}
# "train", "Training_set", "val2017"; with the same before or after all of them, "seg_train",
# "train_1"; of two domains, "trainA".
_WORD = "|".join(f"(?P<{role}>{words})" for role, words in WORDS.items())
_SPLIT = re.compile(
    rf"(?P<before>.*[ ._-])?(?:{_WORD})(?:[ ._-]?(?:set|data|images|split))?(?:\d{{4}})?"
    r"(?P<after>[ ._-]?(?:\d{1,3}|[ab]))?",
    re.IGNORECASE,
)
_DOMAIN = re.compile(rf"(?:{_WORD})[ ._-]?(?P<domain>[ab])", re.IGNORECASE)
# Folders beside splits that hold no class.
_ASIDE = re.compile(
    "extra|unlabell?ed|unsupervised|annotations?|labels?|masks?|ground[ ._-]?truth", re.IGNORECASE
)
_SHARD = re.compile(r"\d{5}")  # a folder of StyleGAN's data sets, which is no class
_ENDING = re.compile(r"\.[a-z][a-z0-9_+-]*")
BY_CONTENT = "10 % by content"
HEIF = (".heic", ".heif", ".hif")
HINTS = dict.fromkeys(HEIF, 'pip install "genzoo[heif]" reads them')
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


def select(tree: FileTree, split: str, domain: str, names: list[str]) -> FileSelection:
    """The files of a split (and `domain`), with their classes. The split "all" is every file,
    whatever folder it is in, without classes. Raises BadInput.
    """
    others = {reason: tuple(files) for reason, files in tree.left_out().items()}
    if split == "all":
        return FileSelection(tuple(names), split_from="none", left_out=others)
    whole = sorted([*names, *tree.unreadable()])
    if not domain:
        _refuse_domains(tree.origin, whole)
    layout = _unwrapped(split_files(tree.origin, split, domain, whole))
    _refuse_loss(tree.origin, layout, {*names}, split)
    selection = _with_labels(tree, layout, names, whole)
    left_out = {**others, **layout.left_out, **selection.left_out}
    return selection._replace(split=layout.split, split_from=layout.found, left_out=left_out)


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
    tops = _tops(without_shared_folders(names))
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
    known = {*meta.get("labels_from", "").split(" and ")}.union(*left_out.values())
    for tree in trees:
        for kind, names in by_ending(set(tree.others()) - known).items():
            left_out[kind] = [*left_out.get(kind, ()), *names]
    return left_out


def by_ending(names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Names of files by their ending, without those that systems write."""
    kinds: defaultdict[str, list[str]] = defaultdict(list)
    for name in sorted(names):
        if PurePosixPath(name).name.lower() not in SYSTEM:
            ending = ending_of(name)
            hint = HINTS.get(ending, "")
            kinds[f"{ending} files" + (f" ({hint})" if hint else "")].append(name)
    return {kind: tuple(names) for kind, names in kinds.items()}


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
    tops = _tops(within)
    roles = {top: role for top in tops if (role := _role(top))}
    roles = dict(sorted(roles.items(), key=lambda pair: [*WORDS].index(pair[1])))
    if not roles:
        return _prefixed(within, tops) or _inside_classes(within, tops)
    others = [top for top in tops if top not in roles and not _ASIDE.fullmatch(top)]
    if others or TRAIN not in roles.values() or not len(roles) == len({*roles.values()}) > 1:
        raise _ambiguous(origin, within, roles, others)
    return _grouped(within, roles)


def _role(top: str) -> str:
    match = _SPLIT.fullmatch(top)
    return _role_of(match) if match and not match["before"] and not match["after"] else ""


def _role_of(match: re.Match[str]) -> str:
    return next(role for role in WORDS if match[role])


def _prefixed(within: Files, tops: Counter[str]) -> _Folders | None:
    """Split folders with the same before or after all: seg_train and seg_test, trainA and testA."""
    matches = {top: match for top in tops if (match := _SPLIT.fullmatch(top))}
    roles = {top: _role_of(match) for top, match in matches.items()}
    whole = len(roles) == len(tops) == len({*roles.values()}) > 1 and TRAIN in roles.values()
    same = len({(match["before"], match["after"]) for match in matches.values()}) == 1
    loose = any("/" not in name for name in within)
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
    tops = _tops(within)
    if {"A", "B"} <= {*tops}:
        own = [whole for name, whole in within.items() if name.startswith(f"{domain}/")]
        inner = without_shared_folders(own)
        return inner, _folders(f"{origin}/{domain}", inner)
    folders = _grouped(within, _domain_splits(tops)[domain])._replace(rest=())
    return folders.files[TRAIN], folders if len(folders.files) > 1 else None


def _tops(within: Iterable[str]) -> Counter[str]:
    """How many files are in each top folder."""
    return Counter(name.split("/")[0] for name in within if "/" in name)


def _unwrapped(layout: Layout) -> Layout:
    """Without a folder that wraps the classes in each split: train/images/cat, test/images/cat."""
    names = layout.within.values()
    if layout.split or len(tops := _tops(names)) != 1 or sum(tops.values()) < len(names):
        return layout
    chosen, *parts = (
        {name.partition("/")[2]: whole for name, whole in files.items()}
        for files in (layout.chosen, *layout.parts)
    )
    deeper = _unwrapped(layout._replace(chosen=chosen, parts=tuple(parts)))
    return deeper if len(_tops(deeper.within.values())) > 1 else layout


# ------------------------------------------------------------------------------------------ errors


def _ambiguous(origin: str, within: Files, roles: dict[str, str], others: list[str]) -> BadInput:
    """Folders that can be read as splits or as classes: both commands."""
    place, first, top = _place(origin, within), "", next(iter(roles))
    if origin.lower().endswith(".zip"):
        packed, unpacked = shlex.quote(_typed(origin)), shlex.quote(_typed(origin[:-4]))
        place = place.replace(_typed(origin), _typed(origin[:-4]), 1)
        first = f"unpack it (unzip {packed} -d {unpacked}) and "
    loose = sum("/" not in name for name in within)
    beside = others or [*[f"{loose} files"] * bool(loose)]
    paths = [shlex.quote(f"{place}/{split}") for split in roles]
    if others and len({*roles.values()}) > 1:
        away = " ".join(shlex.quote(f"{place}/{other}") for other in others[:SHOWN])
        away += " ..." if len(others) > SHOWN else ""
        aside = shlex.quote(f"{place}-others")
        as_splits = f"move the others away: mkdir {aside} && mv {away} {aside}"
    else:
        as_splits = f"give one of them: --data {' or --data '.join(paths)}"
    as_classes = f"rename it: mv {paths[0]} {shlex.quote(f'{place}/{top}-class')}"
    what = f"{origin} holds {_listed(roles)}" + (f" beside {_listed(beside)}" if beside else "")
    ways = f"if they are splits, {first}{as_splits}; if {top} is a class, {first}{as_classes}"
    return BadInput(f"{what}: splits or classes? {ways[0].upper()}{ways[1:]}")


def _place(origin: str, within: Files) -> str:
    """The folder of the top folders, as it is typed."""
    name, whole = next(iter(within.items()))
    return _typed(f"{origin}/{whole.removesuffix(name)}".rstrip("/"))


def _refuse_domains(origin: str, names: list[str]) -> None:
    within = without_shared_folders(names)
    if not (domains := _domain_splits(_tops(within))):
        return
    place = _place(origin, within)
    one, two = (next(top for top, role in d.items() if role == TRAIN) for d in domains.values())
    of_one = f"--data {shlex.quote(f'{place}/{one}')}"
    raise BadInput(
        f"{origin} holds two domains, {one} and {two}: for one of them type {of_one}; both are for "
        f"a family that translates (genzoo families)"
    )


def _refuse_loss(origin: str, layout: Layout, taken: Collection[str], split: str) -> None:
    """Raise BadInput if no file of a class, or of the split, can be read."""
    within = layout.within
    if not (lost := [whole for whole in within if whole not in taken]):
        return
    tops = _tops(within.values())
    left = _tops(name for whole, name in within.items() if whole in taken)
    if len(tops) > 1 and (gone := [top for top in tops if top not in left]):
        raise vanished(origin, gone, lost)
    if not any(whole in taken for whole in layout.chosen.values()):
        what = f"no file of the {split} split of {origin} can be read"
        raise BadInput(f"{what} ({_endings(lost)}): {_hints(lost)}")


def vanished(origin: str, classes: Collection[str], lost: Collection[str]) -> BadInput:
    """The error of classes of which no file can be read."""
    what = f"no file of the class {_listed(classes)} in {origin} can be read"
    return BadInput(f"{what} ({_endings(lost)}): {_hints(lost)}; or remove this class")


def _endings(names: Iterable[str]) -> str:
    kinds = Counter(map(ending_of, names))
    return ", ".join(f"{count:,} {ending}" for ending, count in kinds.items())


def _hints(names: Iterable[str]) -> str:
    endings = {*map(ending_of, names)}
    return "; ".join(sorted({HINTS.get(ending, "convert them") for ending in endings}))


def _typed(origin: str) -> str:
    """A folder as it is typed: with ./ before it."""
    return origin if is_folder(origin) else f"./{origin}"


def _listed(names: Collection[str]) -> str:
    first = [*names][:SHOWN]
    return ", ".join(first) + (", ..." if len(names) > SHOWN else "")


# ----------------------------------------------------------------------------------------- classes


def _with_labels(
    tree: FileTree, layout: Layout, names: list[str], whole: list[str]
) -> FileSelection:
    """The files of the split, with the labels of a file beside them, or else with their folders as
    classes: none or one is no class. BadInput if both are there and disagree. `names`: the files
    that can be read, of the `whole`.
    """
    taken, origin = {*names}, tree.origin
    chosen = {name: file for name, file in layout.chosen.items() if file in taken}
    within = {file: name for file, name in layout.within.items() if file in taken}
    folders = _classes(within.values())
    labels, unused = _labels_beside(tree, within, whole, folders)
    if labels is None:
        selection = _by_folders(origin, chosen, within, folders)
        return selection._replace(left_out=unused)
    if len(folders) > 1 and not _agree(labels, within):
        raise BadInput(
            f"{origin} has labels in {labels.source}, and others by its folders "
            f"{_listed(folders)}: rename {labels.source}, or move the images into one folder"
        )
    classes = label_files.classes(labels.of.values())
    if len(classes) > label_files.MOST_CLASSES:
        most = f"at most {label_files.MOST_CLASSES:,} are possible"
        raise BadInput(f"{origin}: {labels.source} has {len(classes):,} classes; {most}")
    kept = {label for file, label in labels.of.items() if file in taken}
    if gone := [label for label in classes if label not in kept]:
        raise vanished(origin, gone, [file for file in labels.of if labels.of[file] in gone])
    if not any(file in labels.of for file in chosen.values()):
        files = f"none of the {len(chosen):,} files of this split of {origin}"
        raise BadInput(f"{files} has a label in {labels.source}: add rows for them")
    return _labelled(chosen, labels, classes)


def _labelled(chosen: Files, labels: Labels, classes: tuple[str, ...]) -> FileSelection:
    number = {label: index for index, label in enumerate(classes)}
    files = tuple(file for file in chosen.values() if file in labels.of)
    without = tuple(file for file in chosen.values() if file not in labels.of)
    left_out = {f"files without a label in {labels.source}": without} if without else {}
    left_out |= {f"rows of {labels.source} without a file": labels.lost} if labels.lost else {}
    indices = tuple(number[labels.of[file]] for file in files)
    return FileSelection(files, indices, classes, None, "", left_out, labels.source)


def _by_folders(
    origin: str, chosen: Files, within: Mapping[str, str], classes: tuple[str, ...]
) -> FileSelection:
    wholes = tuple(chosen.values())
    if len(classes) < 2:
        return FileSelection(wholes)
    if loose := [whole for whole, name in within.items() if "/" not in name]:
        what = f"{len(loose)} files ({loose[0]}, ...) beside the class folders"
        raise BadInput(f"{origin} contains {what} {', '.join(classes)}: move them into a class")
    number = {name: index for index, name in enumerate(classes)}
    return FileSelection(wholes, tuple(number[nfc(name.split("/")[0])] for name in chosen), classes)


def _classes(every: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({nfc(name.split("/")[0]) for name in every if "/" in name}))


def _agree(labels: Labels, within: Mapping[str, str]) -> bool:
    """Whether the folders say what the labels say, or are only parts of a large set."""
    tops = _classes(within.values())
    if all(map(_SHARD.fullmatch, tops)):
        return True
    both = {(nfc(name.split("/")[0]), labels.of.get(file)) for file, name in within.items()}
    return len(both) == len(tops) == len({label for _, label in both if label is not None})


def _labels_beside(
    tree: FileTree, within: Mapping[str, str], whole: list[str], folders: tuple[str, ...]
) -> tuple[Labels | None, dict[str, tuple[str, ...]]]:
    """The labels in files beside the images, or beside their split folders; and the files without
    labels, which is an error only if no `folders` are classes.
    """
    bases = {file.removesuffix(name) for file, name in within.items()}
    names = [
        name
        for name in filter(label_files.is_label_file, tree.others())
        if any(base.startswith(name.removesuffix(PurePosixPath(name).name)) for base in bases)
    ]
    found, unused = [], dict[str, tuple[str, ...]]()
    if not names:
        return None, unused
    are_classes = len(folders) > 1 and not all(map(_SHARD.fullmatch, folders))
    with tree.opened() as read:
        for name in names:
            try:
                labels = label_files.labels(tree.origin, name, read(name), whole)
            except BadInput as error:
                if not are_classes:
                    raise
                why = str(error).removeprefix(f"{tree.origin}: ")
                unused[f"files of labels ({why})"] = (name,)
                continue
            except OSError as error:
                raise BadInput(f"cannot read {tree.origin}: {name}: {error}") from None
            found += [] if labels is None else [labels]
    return (_merged(tree.origin, found) if found else None), unused


def _merged(origin: str, found: list[Labels]) -> Labels:
    """The labels of all files of one name in several folders, such as train and test."""
    every: dict[str, str] = {}
    for labels in found:
        for file, label in labels.of.items():
            if every.setdefault(file, label) != label:
                sources = " and ".join(each.source for each in found)
                raise BadInput(f"{origin}: {sources} give {file} two labels: rename one of them")
    lost = tuple(row for labels in found for row in labels.lost)
    return Labels(every, lost, " and ".join(labels.source for labels in found))
