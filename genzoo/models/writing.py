"""Writes samples to disk as they are drawn: a grid, a film, an array, or a folder of any number."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from genzoo.errors import BadInput
from genzoo.files import whole, whole_folder
from genzoo.models.film import check_film, film, make_frames
from genzoo.models.model import Model
from genzoo.models.pictures import check_sheet
from genzoo.models.samples import Images, Samples

# The endings of names that samples can be written to; "" is a folder.
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
    """Check, before anything is drawn, that ``n`` samples of ``model`` can be written to ``path``.

    Raises BadInput.
    """
    if path.suffix not in kinds or path.name == "-":
        endings = ", ".join(kind for kind in kinds if kind)
        folder = ", or a folder's name without an ending" if "" in kinds else ""
        raise BadInput(f"cannot write {path}: expected {endings}{folder}")
    if path.suffix in (".png", ".gif") and not model.is_images:
        raise BadInput(f"cannot write {path}: these samples are not images; use -o NAME.npy")
    if path.suffix == ".png":
        check_sheet(n, model.shape, scale, columns)
    if path.suffix == ".gif":
        check_film(n, model.shape, scale)
    if not path.parent.is_dir():
        raise BadInput(f"cannot write {path}: no folder {path.parent}")
    if path.exists() and path.is_dir() != (path.suffix == ""):
        raise BadInput(f"{path} is a {'folder' if path.is_dir() else 'file'}: choose another -o")
    if path.exists() and not force:
        raise BadInput(f"{path} exists: choose another -o, or add --force")
    if path.is_dir() and any(path.iterdir()) and not (path / "record.json").is_file():
        raise BadInput(f"{path} has other files than samples: choose another -o")


def write(
    parts: Iterator[Samples],
    n: int,
    path: Path,
    scale: int | None = None,
    metadata: bool = True,
    columns: int | None = None,
    numbers: bool = False,
) -> dict[str, Any]:
    """Write all ``n`` of ``parts`` to ``path``, whole or not at all; the record of the samples.

    A grid or a film is made in memory; an array or a folder may be of any size. A film shows the
    ``columns`` one after the other. Without ``metadata`` images only say that they are synthetic.
    """
    if path.suffix == "":
        return _write_folder(parts, path, metadata)
    if path.suffix == ".npy":
        return _write_array(parts, n, path)
    batches = list(parts)
    samples = type(batches[0]).join(batches)
    assert isinstance(samples, Images)
    if path.suffix == ".gif":
        film(make_frames(samples, columns or len(samples), scale), samples, path, metadata=metadata)
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
                header = {"descr": "<f4", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_2_0(file, header)
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
            # The samples of a walk have no index of their own: number them.
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
