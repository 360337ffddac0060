"""Writing samples to the disk as they are drawn: a grid, an array, or a folder of any number."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from genzoo.errors import BadInput
from genzoo.files import whole, whole_folder
from genzoo.models.film import _check_film, _frames, film
from genzoo.models.model import Model
from genzoo.models.pictures import check_sheet
from genzoo.models.samples import Images, Samples

# What samples can be written as, by a name's ending; "" is a folder.
GRIDS, FILMS = (".png", ".npy", ""), (".gif", ".png", ".npy", "")


def check_target(
    path: Path,
    n: int,
    model: Model,
    scale: int | None,
    force: bool,
    *,
    kinds: Sequence[str] = GRIDS,
    columns: int | None = None,
) -> None:
    """Before anything is drawn: can ``path`` take ``n`` samples of ``model``? Raises BadInput."""
    if path.suffix not in kinds or path.name == "-":
        endings = ", ".join(kind for kind in kinds if kind)
        folder = ", or a folder's name without an ending" if "" in kinds else ""
        raise BadInput(f"cannot write {path}: expected {endings}{folder}")
    if path.suffix in (".png", ".gif") and not model.is_images:
        raise BadInput(f"cannot write {path}: these samples are no pictures: -o NAME.npy")
    if path.suffix == ".png":
        check_sheet(n, model.shape, scale, columns)
    if path.suffix == ".gif":
        _check_film(n, model.shape, scale)
    if not path.parent.is_dir():
        raise BadInput(f"cannot write {path}: there is no folder {path.parent}")
    if path.exists() and path.is_dir() != (path.suffix == ""):
        raise BadInput(f"{path} is a {'folder' if path.is_dir() else 'file'}: choose another -o")
    if path.exists() and not force:
        raise BadInput(f"{path} exists: choose another -o, or --force")
    if path.is_dir() and any(path.iterdir()) and not (path / "record.json").is_file():
        raise BadInput(f"{path} holds other things than samples: choose another -o")


def write(
    parts: Iterator[Samples],
    n: int,
    path: Path,
    scale: int | None = None,
    metadata: bool = True,
    columns: int | None = None,
    numbers: bool = False,
) -> dict[str, Any]:
    """Write all ``n`` of ``parts`` to ``path``, whole or not at all; what it takes to draw them
    again. A grid or a film is made in memory; an array or a folder may be of any size. A film
    shows ``columns``, one after the other. Without ``metadata`` pictures say that they are
    synthetic, and no more.
    """
    if path.suffix == "":
        return _write_folder(parts, path, metadata)
    if path.suffix == ".npy":
        return _write_array(parts, n, path)
    drawn = list(parts)
    samples = type(drawn[0]).join(drawn)
    assert isinstance(samples, Images)
    if path.suffix == ".gif":
        film(_frames(samples, columns or len(samples), scale), samples, path, metadata=metadata)
    else:
        samples.save(path, scale, metadata=metadata, columns=columns, numbers=numbers)
    return samples.record()


def _write_array(parts: Iterator[Samples], n: int, path: Path) -> dict[str, Any]:
    """One ``.npy`` of ``(n, *shape)`` float32, in constant memory."""
    record: dict[str, Any] = {}
    labels: list[int] = []
    with whole(path) as aside, aside.open("wb") as file:
        for part in parts:
            if not record:
                shape = (n, *part.tensor.shape[1:])
                head = {"descr": "<f4", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_2_0(file, head)
                record = part[:1].record()
            file.write(np.asarray(part, "<f4").tobytes())
            labels += [] if part.labels is None else part.labels.tolist()
    return {**record, "n": n, "labels": labels or None}


def _write_folder(parts: Iterator[Samples], path: Path, metadata: bool) -> dict[str, Any]:
    """A file each, in constant memory; the folder gets its name when all are written."""
    record: dict[str, Any] = {}
    labels: list[int] = []
    with whole_folder(path) as aside:
        for n, one in enumerate((one for part in parts for one in part), 1):
            # A walk's samples have no index of their own: they are counted.
            indexed = one.call is None or one.call.get("method") == "sample"
            file = aside / f"{one.seeds[0][1] if indexed else n - 1:08}"
            if isinstance(one, Images):
                one.save(file.with_suffix(".png"), metadata=metadata)
            else:
                one.save(file.with_suffix(".npy"))
            record = {**(record or one.record()), "n": n}
            labels += [] if one.labels is None else one.labels.tolist()
        record["labels"] = labels or None
        content = record if metadata else {"n": n}
        (aside / "record.json").write_text(json.dumps(content, indent=2))
    return record
