"""Data sets by name or folder: listed, described and opened."""

from __future__ import annotations

import functools
import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from genzoo import families
from genzoo.data import (
    cache,
    decoding,
    layouts,
    pairs,
    plugin,
    sounds,
    standard,
    synthetic,
    transforms,
)
from genzoo.data.dataset import (
    DataSet,
    ImageFiles,
    Meta,
    Rows,
    SoundFiles,
    Source,
    Summary,
    cache_key,
    subset,
)
from genzoo.data.folders import files_below, hint_at_folder, missing, pictures_below
from genzoo.data.forms import Form, Levels, Size
from genzoo.errors import BadInput, OperationFailed, unknown
from genzoo.files import expanded, is_folder
from genzoo.schemas import Kind
from genzoo.text import Records, nfc

if TYPE_CHECKING:
    import numpy as np

    from genzoo.data.dataset import Blocks


FORMAT = 2  # increase it when the same source gives other bytes
log = logging.getLogger("genzoo.data")  # the command line shows its INFO, too
SOURCES = {
    source.name: source
    for source in (*synthetic.DIGITS, *standard.SOURCES, *synthetic.POINTS, *synthetic.SIGNALS)
}


class Listing(NamedTuple):
    """A data set in a list. `terms`: None for a plugin's, because a list imports no plugin."""

    name: str
    summary: str
    terms: str | None
    package: str


def names() -> list[str]:
    """The names of the built-in data sets, and of those of plugins."""
    return [*SOURCES, *(name for name in families.names("dataset") if name not in SOURCES)]


def list_data() -> Records[Listing]:
    """All data sets of `names`; those of plugins from package metadata, without an import."""
    built_in = [Listing(s.name, s.summary, s.terms, "genzoo") for s in SOURCES.values()]
    plugins = {p.name: p for p in families.plugins("dataset")}
    others = [plugins[name] for name in names() if name not in SOURCES]
    listed = [*built_in, *(Listing(p.name, p.summary, None, p.package) for p in others)]
    return Records(listed, {"name": lambda one: one.name, "": lambda one: one.summary})


def describe(name: str) -> Source:
    """The source of the data set `name`; a plugin cannot take the name of a built-in one.

    Raises UnknownName, with similar names, and OperationFailed if its plugin is broken.
    """
    if name in SOURCES:
        return SOURCES[name]
    if name not in {p.name for p in families.plugins("dataset")}:
        raise unknown("data set", name, names(), hint_at_folder(name))
    return plugin.source(name)


def check(name: str | Path) -> None:
    """Raise BadInput or UnknownName if no such data set or folder exists; open nothing."""
    name = _whole(name)
    if is_folder(name) and not expanded(name).exists():
        raise missing(name)
    if not is_folder(name):
        _check_transformation(name)
        describe(str(name))


def kind_of(name: str | Path | Source) -> Kind:
    """The kind of samples in a data set, or in the first of two domains; opens no file.

    Raises BadInput, UnknownName.
    """
    return _source(name if isinstance(name, Source) else _whole(parts(name)[0])).kind


def open(
    name: str | Path | Source,
    split: str = "train",
    *,
    size: Size = None,
    channels: int | None = None,
    length: int | None = None,
    rate: int | None = None,
    root: str | Path | None = None,
    fit: str | None = None,
    levels: Levels = None,
) -> DataSet:
    """Open a data set: a name, or a folder or .zip of images or sounds (a Path, or text that
    begins with `./`, `../`, `/` or `~`). `mnist:3` is one class of it, `celeba:Blond_Hair` the
    samples with one attribute, `mnist@edges` the set with all images transformed (`TRANSFORMS`).

    In a folder, subfolders are classes (none or one: unlabelled), if no file of labels is beside
    the images, and `train/` and `test/` (or `val/` and other usual words) at the top are the
    splits; without them 10 % of the files, by content hash, are the test split. What can be read in
    two ways is an error; `summary` says what was read, and it is logged.
    The split "all" of a folder is every image in it, without labels.
    Transparent parts become white; broken files are left out and named in `skipped`.

    size: images become squares of this side, or rectangles: "64x48" or (64, 48), width x height as
    in Pillow, so that `shape` is (C, 48, 64). They are resized (Lanczos); by default they keep
    their own size. fit: "crop" uses the largest part in the centre with these proportions; "pad"
    uses the whole image and adds black. channels: 1 or 3; by default 3 if one image of the set has
    colours. levels: the values that become 0 and 255, such as (0, 4095); by default, of images with
    more than 8 bits, the smallest and the largest in all files (0 to 1, 0 to 255 or 0 to 65535 if
    all lie in it, the largest in its upper half). root: where the files of named sets are; by
    default $GENZOO_DATA, else they are downloaded.

    A folder of .wav files without images holds signals. length, rate, channels: a file is
    converted to `rate` samples a second and `channels`, and cut into pieces of `length` samples, as
    long as they are whole; a shorter one is filled up with zeros. By default as the first file.

    Raises BadInput, UnknownName, OperationFailed (the cache cannot be written), NetworkError (the
    download).
    """
    how: dict[str, Any] = {"size": size, "channels": channels, "length": length, "rate": rate}
    how |= {"fit": fit, "levels": levels}
    return _reported(_open(name, split, how, root))


def _reported(dataset: DataSet) -> DataSet:
    """The same, after its summary is logged: as a warning if something was left out."""
    for line in dataset.summary.lines():
        log.log(logging.WARNING if dataset.summary.left_out else logging.INFO, "%s", line)
    return dataset


def _open(
    name: str | Path | Source, split: str, how: dict[str, Any], root: str | Path | None
) -> DataSet:
    of, kind = transforms.split_name(name)
    if kind:
        return transforms.transformed(_open(of, split, how, root), kind)
    if isinstance(name, str) and ":" in name and not is_folder(name) and len(parts(name)) == 1:
        of, _, kind = name.partition(":")
        whole = _open(of, split, how, root)
        return subset(whole, name, having(whole, kind))
    return _read(_source(name), split, how, root)


def _read(source: Source, split: str, how: dict[str, Any], root: str | Path | None) -> DataSet:
    if split not in source.splits:
        raise BadInput(f"{source.name} has no split {split!r}, only {' and '.join(source.splits)}")
    form = _form(source, how)
    raw = source.read(_root(root), split)
    parts = [source.kind, source.levels, source.classes, raw.key, split, *form.key]
    parts += [decoding.VERSION] if isinstance(raw, ImageFiles) and form.size else []
    if source.kind == "signals":
        parts += [how["length"], how["rate"], source.rate, sounds.VERSION]
    meta: Meta = {"name": source.name, "split": split, "classes": source.classes, "skipped": []}
    if not isinstance(raw, Rows):
        rest = [raw.rule, *(part for part in parts if part != raw.key)]
        meta["slot"] = cache.slot(raw.tree.origin, rest)
    blocks = functools.partial(_whole_classes, source, raw, how)
    array, labels, meta = cache.open_entry(cache_key([FORMAT, *parts]), meta, blocks)
    # Other rows can have become the same bytes, and so the same entry.
    meta |= {"values": "", "split_from": "", **raw.notes} if isinstance(raw, Rows) else {}
    skipped = tuple(meta["skipped"])
    return DataSet(
        source.name,
        split,
        source.kind,
        array,
        labels,
        tuple(meta["classes"]),
        source.levels,
        meta["sha256"],
        skipped,
        source.terms,
        rate=meta.get("rate", 0),
        summary=_summary(source, raw, meta),
        attributes=source.attributes,
        read_attributes=functools.partial(
            _attributes, source, raw, split, root, skipped, len(array)
        ),
    )


def _summary(source: Source, raw: Rows | ImageFiles | SoundFiles, meta: Meta) -> Summary:
    """Of a standard set only what can differ from one machine to the next."""
    if not isinstance(raw, Rows) and source.name not in SOURCES:
        meta = {**meta, "left_out": layouts.unread([raw.tree], meta)}
    summary = Summary.of(source.name, source.kind, meta)
    if source.name not in SOURCES:
        return summary
    split_from = standard.SPLIT_FROM.get(source.name, "")
    return replace(summary, split_from=split_from, values="", sizes=(), fitted="", notes=())


def _whole_classes(
    source: Source, raw: Rows | ImageFiles | SoundFiles, how: dict[str, Any], meta: Meta
) -> Blocks:
    """As `convert`; BadInput in the end if all files of a class are broken."""
    seen = set[int]()
    for block, labels in convert(source, raw, meta, **how):
        seen |= set() if labels is None else {*labels.tolist()}
        yield block, labels
    if isinstance(raw, Rows) or not meta["skipped"] or not seen:
        return
    chosen, broken = raw.choose(raw.tree.names()), {*meta["skipped"]}
    files = zip(chosen.names, chosen.labels or (), strict=True)
    lost = {label: name for name, label in files if name in broken and label not in seen}
    if lost and chosen.split != "test":  # a tenth may have one file of a class, or none
        names = ", ".join(chosen.classes[label] for label in sorted(lost))
        first = next(iter(lost.values()))
        hint = "mend them, or remove this class"
        raise BadInput(
            f"all files of the class {names} in {source.name} are broken ({first}): {hint}"
        )


def convert(
    source: Source,
    raw: Rows | ImageFiles | SoundFiles,
    meta: Meta,
    *,
    size: Size = None,
    channels: int | None = None,
    length: int | None = None,
    rate: int | None = None,
    fit: str | None = None,
    levels: Levels = None,
) -> Blocks:
    """The split's rows as the cache stores them; what is found meanwhile goes into `meta`."""
    if isinstance(raw, ImageFiles) or source.kind != "signals":
        assert not isinstance(raw, SoundFiles)
        return decoding.blocks(source, raw, Form.of(size, channels, fit, levels), meta)
    return sounds.blocks(source, raw, sounds.Form(rate, length, channels), meta)


def open_pair(
    text: str | Path,
    split: str = "train",
    *,
    aligned: bool = False,
    size: Size = None,
    channels: int | None = None,
    root: str | Path | None = None,
    fit: str | None = None,
    levels: Levels = None,
) -> tuple[DataSet, DataSet]:
    """Open two domains of one shape. `A,B`: each as in `open`. `NAME@TRANSFORM`: the transformed
    images and the originals. A folder or .zip: its folders trainA, trainB and, if it has them,
    testA, testB; or A and B, each of which may have folders train and test.

    aligned: row i of both belongs together. A and B are then folders (or zips), whose files are
    matched by name; a folder may also hold files with both images side by side. The file of A
    decides on the split. Files without a partner are left out and named in `skipped`.
    Raises as `open`; BadInput if the shapes differ.
    """
    how: dict[str, Any] = {"size": size, "channels": channels, "fit": fit, "levels": levels}
    of, kind = transforms.split_name(text)
    for part in parts(text):
        _check_transformation(_whole(part))
    if kind and "," not in of:
        whole = open(of, split, **how, root=root)
        return transforms.transformed(whole, kind), whole
    if aligned:
        one, two = pairs.open_files(_places(text), split, Form.of(**how))
        _reported(replace(two, summary=replace(two.summary, left_out={})))  # that of both
        return _reported(one), two
    one, two = (open(part, split, **how, root=root) for part in _domains(text))
    if one.shape != two.shape:
        what = f"{one.name} {one.shape}, {two.name} {two.shape}"
        raise BadInput(f"the two domains differ in shape: {what}; give size= and channels=")
    return one, two


def _domains(text: str | Path) -> tuple[str | Path | Source, str | Path | Source]:
    """Both parts of `A,B`, or of one folder."""
    both = parts(text)
    if len(both) == 2 and all(both):
        return both[0], both[1]
    if len(both) == 1 and is_folder(text):
        return pictures_below(text, "A"), pictures_below(text, "B")
    example = "A,B (./summer,./winter), a folder, or NAME@TRANSFORM (digits@edges)"
    raise BadInput(f"expected two domains {example}, got {str(text)!r}")


def _places(text: str | Path) -> tuple[str | Path, ...]:
    """The folder or the two folders that hold pairs."""
    places = parts(text)
    changed = any(transforms.split_name(place)[1] for place in places)
    if len(places) <= 2 and all(map(is_folder, places)) and not changed:
        return tuple(places)
    example = "two folders A,B (./maps,./photos), a folder, or NAME@TRANSFORM (digits@edges)"
    raise BadInput(f"expected pairs in {example}, got {str(text)!r}")


def attributes(
    name: str | Path | Source, split: str = "train", *, root: str | Path | None = None
) -> tuple[tuple[str, ...], np.ndarray]:
    """The names of a data set's attributes, and which of them each sample of `open(name, split)`
    has: bool (n, k). Raises as `open`; BadInput without attributes.
    """
    whole = open(name, split, root=root)
    if not whole.attributes or whole.read_attributes is None:
        raise BadInput(f"{whole.name} has no attributes")
    return whole.attributes, whole.read_attributes()


def having(whole: DataSet, kind: str) -> np.ndarray:
    """Which samples are of the class, or have the attribute, `kind`: bool (n,). UnknownName."""
    kind = next((k for k in (*whole.classes, *whole.attributes) if nfc(k) == nfc(kind)), kind)
    if whole.labels is not None and kind in whole.classes:
        return whole.labels == whole.classes.index(kind)
    if kind in whole.attributes and whole.read_attributes is not None:
        return whole.read_attributes()[:, whole.attributes.index(kind)]
    known = (*whole.classes, *whole.attributes)
    what = "attribute" if whole.attributes and not whole.classes else "class"
    raise unknown(f"{what} of {whole.name}", kind, known, f"{whole.name} alone is the whole set.")


def _attributes(
    source: Source,
    raw: Rows | ImageFiles | SoundFiles,
    split: str,
    root: str | Path | None,
    skipped: tuple[str, ...],
    count: int,
) -> np.ndarray:
    """Which attributes each of the `count` samples has, bool (n, k), without broken files."""
    import numpy as np

    if source.read_attributes is None:
        raise OperationFailed(f"{source.name} names attributes, but has no read_attributes")
    values = source.read_attributes(_root(root), split)
    if isinstance(raw, ImageFiles) and skipped:
        names = raw.choose(raw.tree.names()).names
        values = values[[name not in skipped for name in names]]
    if values.dtype != bool or values.shape != (count, len(source.attributes)):
        expected = f"bool ({count}, {len(source.attributes)})"
        got = f"{values.dtype} {values.shape}"
        raise OperationFailed(f"read_attributes of {source.name} must return {expected}, got {got}")
    return np.asarray(values)


def _source(name: str | Path | Source) -> Source:
    if isinstance(name, Source):
        return name
    if len(parts(name)) > 1:
        hint = "give one data set; a folder with a comma in its name must be a Path"
        raise BadInput(f"{name!r} names two domains: {hint}")
    if not isinstance(name, str | Path):
        raise BadInput(f"expected the name of a data set or a Path, got {type(name).__name__}")
    _check_transformation(name)
    # Only the text decides, not which folders exist.
    return files_below(name) if is_folder(name) else describe(str(name))


def parts(text: str | Path) -> list[str | Path]:
    """Both parts of `A,B`; the only one of another text, or of a Path. A class may have a comma in
    its name: `toys:cups, red`.
    """
    if not isinstance(text, str) or _is_part(text):
        return [text]
    return [part.strip() for part in text.split(",")]


def _is_part(text: str) -> bool:
    """Whether a text with a comma is one class of a data set."""
    of, sign, kind = text.partition(":")
    if not sign or "," not in kind or "," in of or is_folder(text) or of not in names():
        return False
    source = describe(of)
    return nfc(kind) in map(nfc, (*source.classes, *source.attributes))


def _whole(name: str | Path) -> str | Path:
    """The data set or folder of which `name` is a class or a transformation, or itself."""
    of, sign = transforms.split_name(name)
    if not sign and isinstance(name, str) and not is_folder(name):
        of, sign, _ = name.partition(":")
    return _whole(of) if sign else name


def _check_transformation(name: str | Path) -> None:
    """Raise UnknownName if an unknown one follows an `@`: only a folder's name may contain that."""
    kind = str(name).rpartition("@")[2]
    if not is_folder(name) and "@" in str(name) and kind not in transforms.TRANSFORMS:
        raise unknown("transformation", kind, transforms.TRANSFORMS, "")


def _root(root: str | Path | None) -> Path | None:
    if root is None:
        return None
    if not (path := expanded(root)).is_dir():
        raise BadInput(f"root {str(root)!r} is not a folder")
    return path


# The arguments that convert samples of each kind; those of signals with their bounds.
TAKES: dict[Kind, tuple[str, ...]] = {
    "images": ("size", "channels", "fit", "levels"),
    "signals": ("length", "rate", "channels"),
    "points": (),
}
_BOUNDS = {
    "length": (1, sounds.LARGEST_LENGTH),
    "rate": (1, sounds.LARGEST_RATE),
    "channels": (1, 2),
}


def _form(source: Source, how: dict[str, Any]) -> Form:
    """How images are asked for; of other kinds, only the channels. Raises BadInput."""
    given = {key: value for key, value in how.items() if value is not None}
    for key in given.keys() - {*TAKES[source.kind]}:
        names = ", ".join(TAKES[source.kind])
        takes = f"leave {key} out" + (f", it takes {names}" if names else "")
        raise BadInput(f"{source.name} holds {source.kind}: {takes}")
    if source.kind == "images":
        return Form.of(**given)
    for key, value in given.items():
        low, high = _BOUNDS[key]
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not (whole and low <= value <= high):
            raise BadInput(f"{key} must be a whole number from {low} to {high}, got {value!r}")
    return Form(None, how["channels"])
