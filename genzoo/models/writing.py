"""Writes samples to disk as they are drawn: a picture, a sound, a film, an array, or a folder."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from genzoo.errors import BadInput, argument
from genzoo.files import ending_of, whole
from genzoo.models import panels, sounds
from genzoo.models.film import check_film, film, make_frames
from genzoo.models.kinds import ENDINGS, check_path, has_picture
from genzoo.models.model import Model
from genzoo.models.picture_files import check_sides
from genzoo.models.pictures import check_sheet
from genzoo.models.sample_folders import check_folder, write_folder
from genzoo.models.samples import Images, Samples
from genzoo.models.shared_samples import in_order
from genzoo.models.whole_batch import rank


def default_ending(model: Model, *, film: bool = False) -> str:
    """The ending of the file that samples of ``model`` are written to, unless another is given.

    ``film``: images that follow one another become a GIF.
    """
    if not has_picture(model.kind, model.shape):
        return ".npy"
    return ".gif" if film and model.is_images else ENDINGS[model.kind][0]


def check_target(
    path: Path,
    n: int,
    model: Model,
    scale: int | None,
    force: bool,
    *,
    film: bool = False,
    columns: int | None = None,
    still: int = 0,
    metadata: bool = True,
) -> None:
    """Check, before anything is drawn, that ``n`` samples of ``model`` can be written to ``path``,
    and that its format has a place for ``scale`` and for the lack of ``metadata``. Raises BadInput.
    """
    allowed = [*[".gif"] * (film and model.is_images), *ENDINGS[model.kind]]
    ending = ending_of(path)
    if ending not in allowed or path.name == "-":
        endings = ", ".join(one for one in allowed if one)
        folder = "or a folder's name without an ending"
        raise BadInput(f"cannot write {path}: {model.kind} go to {endings}, {folder}")
    if scale is not None and not model.is_images:
        raise BadInput(f"{argument('scale')} enlarges images; this model generates {model.kind}")
    if scale is not None and ending == ".npy":
        what = argument("scale")
        raise BadInput(f"{what} enlarges pictures, and {path} holds numbers: leave it out")
    if scale is not None and ending == "":
        what = f"{argument('scale')} enlarges a sheet, and the folder {path} holds single images"
        raise BadInput(f"{what}: leave it out, or choose {argument('out', 'NAME.png')}")
    if not metadata and ending == ".npy":
        plain = argument("metadata", False)
        raise BadInput(f"{plain}: {path} holds numbers without metadata: leave it out")
    _check_size(ending, n, model, scale, columns, still)
    check_path(path, force)
    if ending == "":
        check_folder(path)


def _check_size(
    ending: str, n: int, model: Model, scale: int | None, columns: int | None, still: int
) -> None:
    """Check that one file of this ending can hold ``n`` samples. Raises BadInput."""
    match model.kind, ending:
        case "images", ".png" | ".jpg" | ".webp" | ".pdf":
            check_sides(ending, check_sheet(n, model.shape, scale, columns)[2])
        case "images", ".gif":
            check_film(n, model.shape, scale, columns, still)
        case "signals", ".png" | ".jpg" | ".webp" | ".pdf":
            panels.spectrogram_sheet(n)
        case "signals", ".wav":
            sounds.check_length(n, model.shape, model.rate)
        case "points", ".png" | ".jpg" | ".webp" | ".pdf":
            panels.check_points(n, model.shape)


def write(
    parts: Iterator[Samples],
    n: int,
    path: Path,
    scale: int | None = None,
    metadata: bool = True,
    columns: int | None = None,
    numbers: bool = False,
    still: int = 0,
) -> dict[str, Any]:
    """Write all ``n`` of ``parts`` to ``path``, whole or not at all; the record of the samples.

    A picture, a sound or a film is made in memory; an array or a folder may be of any size. A film
    shows the ``columns`` one after the other, the first ``still`` of them all the time. ``scale``
    and ``numbers`` are for images. Without ``metadata`` files only say that they are synthetic.
    """
    if path.suffix == "":
        return write_folder(parts, path, metadata, shared=True)
    parts = in_order(parts)
    if rank():  # the first process writes for all
        for _ in parts:
            pass
        return {}
    if ending_of(path) == ".npy":
        return _write_array(parts, n, path)
    batches = list(parts)
    samples = type(batches[0]).join(batches) if len(batches) > 1 else batches[0]
    if not isinstance(samples, Images):
        samples.save(path, metadata=metadata)
    elif ending_of(path) == ".gif":
        frames = make_frames(samples, columns or len(samples), scale, still)
        film(frames, samples, path, metadata=metadata)
    else:
        across = samples.columns or columns
        samples.save(path, scale, metadata=metadata, columns=across, numbers=numbers)
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
