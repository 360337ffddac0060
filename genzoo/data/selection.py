"""The files of a split of a folder, with their labels: by subfolders, or by a file beside them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import PurePosixPath

from genzoo.data import label_files
from genzoo.data.dataset import FileSelection, FileTree
from genzoo.data.label_files import Labels
from genzoo.data.layouts import (
    Files,
    Layout,
    ending_of,
    hint_of,
    listed,
    refuse_domains,
    split_files,
    tops_of,
)
from genzoo.errors import BadInput
from genzoo.text import nfc

_SHARD = re.compile(r"\d{5}")  # a folder of StyleGAN's data sets, which is no class


def select(tree: FileTree, split: str, domain: str, names: list[str]) -> FileSelection:
    """The files of a split (and `domain`), with their classes. The split "all" is every file,
    whatever folder it is in, without classes. Raises BadInput.
    """
    others = {reason: tuple(files) for reason, files in tree.left_out().items()}
    if split == "all":
        return FileSelection(tuple(names), split_from="none", left_out=others)
    whole = sorted([*names, *tree.unreadable()])
    if not domain:
        refuse_domains(tree.origin, whole)
    layout = _unwrapped(split_files(tree.origin, split, domain, whole))
    _refuse_loss(tree.origin, layout, {*names}, split)
    selection = _with_labels(tree, layout, names, whole)
    # Files without a decoder are counted by their ending, wherever they are.
    taken = {*names}
    beside = {
        kind: tuple(f for f in files if f in taken) for kind, files in layout.left_out.items()
    }
    left_out = {**others, **{k: files for k, files in beside.items() if files}}
    left_out |= selection.left_out
    if layout.split is None and selection.labels is not None:
        empty = {*range(len(selection.classes))} - {*selection.labels}
        gone = tuple(selection.classes[index] for index in sorted(empty))
        left_out |= {"classes without a file in this split": gone} if gone else {}
    return selection._replace(split=layout.split, split_from=layout.found, left_out=left_out)


def _unwrapped(layout: Layout) -> Layout:
    """Without a folder that wraps the classes in each split: train/images/cat, test/images/cat."""
    names = layout.within.values()
    if layout.split or len(tops := tops_of(names)) != 1 or sum(tops.values()) < len(names):
        return layout
    chosen, *parts = (
        {name.partition("/")[2]: whole for name, whole in files.items()}
        for files in (layout.chosen, *layout.parts)
    )
    deeper = _unwrapped(layout._replace(chosen=chosen, parts=tuple(parts)))
    return deeper if len(tops_of(deeper.within.values())) > 1 else layout


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
            f"{listed(folders)}: rename {labels.source}, or move the images into one folder"
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
    hint = " (folders train and test say what is test)" * ("split" in labels.unused)
    left_out |= {f"columns of {labels.source}{hint}": labels.unused} if labels.unused else {}
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
    unused = tuple(dict.fromkeys(name for labels in found for name in labels.unused))
    return Labels(every, lost, " and ".join(labels.source for labels in found), unused)


def _refuse_loss(origin: str, layout: Layout, taken: Collection[str], split: str) -> None:
    """Raise BadInput if no file of a class, or of the split, can be read."""
    within = layout.within
    if not (lost := [whole for whole in within if whole not in taken]):
        return
    tops = tops_of(within.values())
    left = tops_of(name for whole, name in within.items() if whole in taken)
    if len(tops) > 1 and (gone := [top for top in tops if top not in left]):
        raise vanished(origin, gone, lost)
    if not any(whole in taken for whole in layout.chosen.values()):
        what = f"no file of the {split} split of {origin} can be read"
        raise BadInput(f"{what} ({_endings(lost)}): {_hints(lost)}")


def vanished(origin: str, classes: Collection[str], lost: Collection[str]) -> BadInput:
    """The error of classes of which no file can be read."""
    what = f"no file of the class {listed(classes)} in {origin} can be read"
    return BadInput(f"{what} ({_endings(lost)}): {_hints(lost)}; or remove this class")


def _endings(names: Iterable[str]) -> str:
    kinds = Counter(map(ending_of, names))
    return ", ".join(f"{count:,} {ending}" for ending, count in kinds.items())


def _hints(names: Iterable[str]) -> str:
    endings = {*map(ending_of, names)}
    return "; ".join(sorted({hint_of(ending) or "convert them" for ending in endings}))
