"""The origin of a picture or sound: the record that genzoo wrote into it, and its reproduction."""

import io
import math
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, final

from pydantic import Field

from genzoo.devices import usual_torch
from genzoo.errors import BadInput, OperationFailed, UnknownName, argument
from genzoo.files import expanded
from genzoo.models.arguments import checked_arguments
from genzoo.schemas import Count, Name, Schema, checked, read_json
from genzoo.text import columns, printable
from genzoo.zoo import installed, names
from genzoo.zoo.manifest import Manifest, Settings, Sha256
from genzoo.zoo.metadata import KEYWORD, read_texts
from genzoo.zoo.reader import open_named, size_of

if TYPE_CHECKING:
    import numpy as np
    import torch
    from PIL import Image

    from genzoo.models.sampler import Sampler
    from genzoo.models.samples import Samples


LARGEST_FILE, LARGEST_FRAMES = 1 << 28, 1000  # bytes; frames of a film
_IPTC = (  # made by a trained model, or in part
    b"digitalsourcetype/trainedAlgorithmicMedia",
    b"digitalsourcetype/compositeWithTrainedAlgorithmicMedia",
)
Index = Annotated[int, Field(ge=0, lt=2**63)]
Most = Field(max_length=1_000_000, fail_fast=True)
State = Literal["equal", "rounded", "differs"]
LOSS = 8  # levels: how far a JPEG may be from another program's of the same picture


class ModelIdentity(Schema, use_attribute_docstrings=False):
    """The model that an image names."""

    model: Name
    family: Name
    weights_sha256: Sha256
    revision: Name | None = None
    version: Count = 1


class Call(Schema, use_attribute_docstrings=False, extra="ignore"):
    """How an image was drawn, by its record."""

    method: Name = "sample"
    sampling: Settings | None = None
    truncation: Annotated[float, Field(gt=0, le=1e6)] | None = None
    """a setting of sampling, in files older than ``sampling``"""
    to: Name | None = None
    numbers: bool | None = None
    dtype: Literal["float16", "bfloat16", "float64"] | None = None

    def settings(self) -> dict[str, Any]:
        """The settings that ``sample`` was called with."""
        old = {} if self.truncation is None else {"truncation": self.truncation}
        return {**old, **(self.sampling or {})}


class Record(Schema, use_attribute_docstrings=False, extra="ignore"):
    """The record that genzoo writes into an image. Files older than ``call`` are samples."""

    genzoo: Name
    origin: ModelIdentity | None = None
    call: Call | None = Call()
    seeds: Annotated[tuple[tuple[Index, Index], ...], Most] = ()
    labels: Annotated[tuple[Index, ...], Most] | None = None


@final
@dataclass(frozen=True)
class Provenance:
    """What an image's metadata say, which anybody can have written: whether it is ``synthetic``,
    and the ``record`` of how it was drawn, if there is one.
    """

    synthetic: bool
    record: Record | None

    def __repr__(self) -> str:
        rows: list[tuple[str, Any]] = [("synthetic", "yes" if self.synthetic else "not stated")]
        if (record := self.record) is None:
            return "\n".join(columns([*rows, ("model", "not stated")]))
        rows += [("genzoo", record.genzoo)]
        if origin := record.origin:
            rows += [("model", origin.model), ("family", origin.family)]
            rows += [("version", origin.version), ("weights", origin.weights_sha256)]
            rows += [("revision", origin.revision or "")]
        rows.append(("drawn by", _call_text(record.call)))
        rows += [("samples", len(record.seeds)), ("seeds", _seeds_text(record.seeds))]
        rows += [("labels", _first(record.labels))] if record.labels else []
        difference = other_version(record.origin) if record.origin else ""
        shown = columns(row for row in rows if row[1] != "")
        return "\n".join([*shown, *[printable(difference)] * bool(difference)])


@final
@dataclass(frozen=True)
class Reproduction:
    """A picture or sound drawn again by ``model``, and how it differs from the first.

    ``apart``: the largest difference, in levels, of which there are 255 in pictures, 32,767 in
    sounds. ``share``: of values that differ. ``state`` is ``rounded`` if ``apart`` is 1: other
    batch sizes and devices round differently. ``scale``: of a grid of images. ``lossy``: the file
    is a JPEG, which does not hold the pixels that were drawn; it is compared with a JPEG of what is
    drawn again, and ``rounded`` up to 8 levels apart, as programs compress differently.
    """

    state: State
    apart: int
    share: float
    model: str
    samples: "Samples"
    scale: int | None
    levels: int = 255
    lossy: bool = False

    def __repr__(self) -> str:
        if self.state == "equal" and self.lossy:
            what = "its .jpg is equal (a .jpg loses detail: pixels are not compared)"
            return printable(f"reproduced by {self.model}: {what}")
        if self.state == "equal":
            what = "pixels" if self.levels == 255 else "values"
            return printable(f"reproduced by {self.model}: all {what} are equal")
        share = f"{self.share:.2%} of the values differ by up to {self.apart} of {self.levels:,}"
        how = "equal except for rounding" if self.state == "rounded" else "different"
        how += " as a .jpg, which loses detail" * self.lossy
        return printable(f"reproduced by {self.model}: {how}: {share}")

    def save(self, path: str | Path) -> Path:
        """Write the samples as the file that was reproduced. Raises BadInput, OperationFailed."""
        from genzoo.models.samples import Images

        if isinstance(self.samples, Images) and expanded(path).suffix.lower() != ".npy":
            return self.samples.save(path, self.scale)
        return self.samples.save(path)


@checked_arguments
def inspect(path: str | Path) -> Provenance:
    """The provenance in the metadata of the picture, film or sound at ``path``: PNG, JPEG, WebP,
    PDF, GIF or WAV; no pixel is decoded.

    Raises BadInput if it is no such file or its record is damaged, OperationFailed if it has none.
    """
    path = expanded(path)
    with open_named(path) as file:
        if size_of(file) > LARGEST_FILE:
            raise BadInput(f"{path} is larger than {LARGEST_FILE} bytes")
        texts = read_texts(file, path)
    synthetic = any(
        t.startswith(b"Synthetic") or any(term in t for term in _IPTC) for t in texts.values()
    )
    if (text := texts.get(KEYWORD)) is None:
        if not synthetic:
            raise OperationFailed(
                f"{path} has no genzoo metadata: not made by genzoo, or the metadata was removed"
            )
        return Provenance(True, None)
    where = f"{path}: its record"
    record = checked(Record, read_json(text, where), where)
    if record.labels is not None and len(record.labels) != len(record.seeds):
        raise BadInput(f"{where}: {len(record.labels)} labels for {len(record.seeds)} samples")
    return Provenance(synthetic, record)


@checked_arguments
@usual_torch()
def reproduce(
    path: str | Path, model: Any = None, *, device: "str | torch.device" = "auto"
) -> Reproduction:
    """Draw the picture or sound at ``path`` again, and compare the two, value for value.

    ``model``: a name, a folder or a loaded model, if it is not an installed one. It must have the
    weights that the file names, and computes in the dtype that it names; nothing that a file names
    is ever fetched. Raises BadInput, UnknownName (no such model, or other weights), and as
    ``load``.
    """
    from genzoo.models.sampler import Sampler
    from genzoo.models.samples import Signals

    path = expanded(path)
    record = _drawable(inspect(path).record, path)
    assert record.origin is not None
    given = None if model is None else names.named(model)
    name, folder = _source(record.origin, given)
    dtype = record.call and record.call.dtype
    loaded = names.load(folder, device=device, dtype=dtype or "float32")
    if not isinstance(loaded, Sampler) or (_is_wav(path) and loaded.kind != "signals"):
        what = f"generates {loaded.kind}" if isinstance(loaded, Sampler) else "does not sample"
        raise BadInput(f"{name} {what}, so it cannot have made {path}")
    scale, gap, across, empty, lossy = None, 0, None, None, False
    numbers = bool(record.call and record.call.numbers)
    if loaded.is_images:
        with _opened(path) as picture:
            lossy = picture.format == "JPEG"
            n = len(record.seeds)
            scale, gap, across, empty = _layout(n, loaded.shape, picture, path, numbers)
    samples = _again(loaded, record)
    samples.columns = across
    if isinstance(samples, Signals) and _is_wav(path):
        levels, (apart, share) = 32_767, _sound_distance(path, samples.wav())
    else:
        again = _drawn_again(samples, scale, gap, numbers)
        again = _compressed(again) if lossy else again
        levels, (apart, share) = 255, _distance(path, again, empty)
    most = LOSS if lossy else 1
    state: State = "differs" if apart > most else "rounded" if apart else "equal"
    return Reproduction(state, apart, share, name, samples, scale, levels, lossy)


def _call_text(call: Call | None) -> str:
    """The method, its arguments and its settings, as text."""
    if call is None:
        return "by hand"
    values = {**call.model_dump(exclude={"method", "sampling", "truncation"}), **call.settings()}
    chosen = [f"{key} {value}" for key, value in values.items() if value is not None]
    return ", ".join([call.method, *chosen])


def _seeds_text(seeds: tuple[tuple[int, int], ...]) -> str:
    """``5 from 10 on``: a seed, and the index of its first sample if that is not 0."""
    starts: dict[int, int] = {}
    for seed, index in seeds:
        starts.setdefault(seed, index)
    return _first([f"{seed} from {i} on" if i else str(seed) for seed, i in starts.items()])


def _first(values: Sequence[Any]) -> str:
    text = ", ".join(map(str, values[:20]))
    return f"{text}, ..." if len(values) > 20 else text


def _drawable(record: Record | None, path: Path) -> Record:
    """``record``, if a model's samples can be drawn again from it. Raises BadInput."""
    if record is None:
        raise BadInput(f"{path} has no record of how it was drawn, only that it is synthetic")
    method = record.call and record.call.method
    if method != "sample" or not record.seeds:
        origin = f"by {method}" if method else "by hand"
        hint = "only files of plain samples can be reproduced"
        raise BadInput(f"{path} was made {origin}; {hint}")
    if record.origin is None:
        raise BadInput(f"{path} was drawn by a model that was never saved")
    return record


def _source(origin: ModelIdentity, model: str | Path | None) -> tuple[str, Path]:
    """The name and the folder of the model with the weights that ``origin`` names."""
    sha256 = origin.weights_sha256
    if model is not None:
        folder, manifest = names.resolve(model)
        if manifest.weights_sha256 != sha256:
            raise UnknownName(_difference(origin, manifest, str(model)))
        return str(model), folder
    manifests = installed.manifests()
    same = [name for name, own in manifests.items() if own.weights_sha256 == sha256]
    if same:
        name = origin.model if origin.model in same else same[0]
        return name, names.folder_of(name)
    what = other_version(origin)
    if not what:
        original = f"{origin.model} ({origin.family}), {sha256[:12]}"
        what = f"it was drawn by {original}, which is not an installed model"
    hint = f"if you have that model, name its folder: {argument('model', './FOLDER')}"
    # Only a commit: anybody can write the file, and the hint is to be typed.
    if re.fullmatch("[0-9a-f]{40}", origin.revision or ""):
        address = argument("model", f"owner/name@{origin.revision}")
        hint = f"it is from the Hub: add its owner and name, {address}"
    raise UnknownName(f"{what}: {hint}")


def other_version(origin: ModelIdentity) -> str:
    """How the installed model of the name differs from the one that drew an image, as text; "" if
    it is the same, or none is installed.
    """
    own = installed.manifests().get(origin.model)
    if own is None or own.weights_sha256 == origin.weights_sha256:
        return ""
    return _difference(origin, own, f"the installed {origin.model}")


def _difference(origin: ModelIdentity, own: Manifest, what: str) -> str:
    """How the model ``what`` differs from the one of the same name that drew an image."""
    weights = f"{own.weights_sha256[:12]}, not {origin.weights_sha256[:12]}"
    if own.name == origin.model and own.version != origin.version:
        drawn = f"drawn by version {origin.version} of {origin.model} ({origin.family})"
        return f"{drawn}, and {what} is version {own.version} (weights {weights})"
    return f"{what} has other weights than {origin.model} ({origin.family}): {weights}"


def _opened(path: Path) -> "Image.Image":
    """The image, of which only the header has been read."""
    from genzoo.models.picture_files import opened
    from genzoo.models.pictures import LARGEST_SHEET

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            picture = opened(path)
    except Exception as error:  # Pillow raises many kinds
        raise BadInput(f"{path} cannot be opened: {_line(error)}") from None
    if picture.width * picture.height > LARGEST_SHEET:
        picture.close()
        raise BadInput(f"{path} is larger than any image that genzoo writes")
    return picture


def _layout(
    n: int, shape: Sequence[int], picture: "Image.Image", path: Path, numbers: bool
) -> tuple[int, int, int, tuple[int, int] | None]:
    """The scale, the gap and the columns of a grid of ``n`` images ``(C, H, W)`` as large as
    ``picture``, and where it has no images, (top, left), which genzoo 0.1 left black.

    A single image has no border, but in a film. Raises BadInput if no grid fits.
    """
    from genzoo.models.pictures import band_height, check_sheet, corner, usual_columns

    gap = 0 if n == 1 and picture.format != "GIF" and not numbers else 2
    for across in (usual_columns(n), math.isqrt(n - 1) + 1):  # genzoo 0.1 had the second
        scale = max(1, ((picture.width - gap) // across - gap) // shape[-1])
        band = band_height(scale * shape[-1]) if numbers else 0
        if check_sheet(n, shape, scale, across, gap, band)[2] == picture.size[::-1]:
            cell = shape[-2] * scale, shape[-1] * scale
            return scale, gap, across, corner(n, across, cell, gap, band)
    size, each = ("x".join(map(str, s)) for s in (picture.size, shape))
    raise BadInput(f"{path} is {size}; no grid of {n} images of {each} has that size")


def _again(model: "Sampler", record: Record) -> "Samples":
    """The samples of ``record``, in as few calls as their seeds and indices allow."""
    import torch

    samples: list[Samples] = []
    settings = record.call.settings() if record.call else {}
    numbered = enumerate(record.seeds)
    for (seed, _), run in groupby(numbered, key=lambda p: (p[1][0], p[1][1] - p[0])):
        rows = [*run]
        first, n = rows[0][0], len(rows)
        own = record.labels and record.labels[first : first + n]
        labels = own and torch.tensor(own)  # numbers of classes, never names
        start = record.seeds[first][1]
        samples.append(model.sample(n, seed=seed, start=start, labels=labels, **settings))
    return type(samples[0]).join(samples)


def _drawn_again(samples: "Samples", scale: int | None, gap: int, numbers: bool) -> "Image.Image":
    """The picture that ``sample`` writes of ``samples``."""
    from genzoo.models.picture_files import opened
    from genzoo.models.samples import Images, Points, Signals

    if isinstance(samples, Images):
        return samples.grid(scale=scale, gap=gap, numbers=numbers)
    assert isinstance(samples, Points | Signals)
    return opened(io.BytesIO(samples.png()))


def _compressed(picture: "Image.Image") -> "Image.Image":
    """The picture as a JPEG has it."""
    from genzoo.models.picture_files import encode, opened

    return opened(io.BytesIO(encode(picture, ".jpg")))


def _distance(path: Path, again: "Image.Image", empty: tuple[int, int] | None) -> tuple[int, float]:
    """The largest difference between the picture at ``path`` and another, and the share of values
    that differ; right of and below ``empty`` none do. Raises BadInput if one is larger.
    """
    import numpy as np

    with _opened(path) as picture:
        if picture.size != again.size:
            one, other = ("x".join(map(str, p.size)) for p in (picture, again))
            raise BadInput(f"{path} is {one}; its samples drawn again are {other}")
        try:
            _last_frame(picture)
            values, others = np.array(picture.convert(again.mode)), np.asarray(again)
        except Exception as error:
            raise BadInput(f"{path} cannot be decoded: {_line(error)}") from None
    if empty:
        values[empty[0] :, empty[1] :] = others[empty[0] :, empty[1] :]
    return _apart(values, others)


def _apart(one: "np.ndarray", other: "np.ndarray") -> tuple[int, float]:
    import numpy as np

    apart = np.maximum(one, other) - np.minimum(one, other)
    return int(apart.max()), float((apart > 0).mean())


def _is_wav(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(12)  # a WebP begins with the same four bytes
        return start[:4] == b"RIFF" and start[8:] == b"WAVE"


def _sound_distance(path: Path, again: bytes) -> tuple[int, float]:
    """As ``_distance``, of a sound and the bytes of another. Raises BadInput."""
    one, other = (_frames(source, path) for source in (path, io.BytesIO(again)))
    if one.shape != other.shape:
        got = f"{path} has {len(one):,} samples of {one.shape[1]} channels"
        raise BadInput(f"{got}; drawn again it has {len(other):,} of {other.shape[1]}")
    return _apart(one, other)


def _frames(source: "Path | io.BytesIO", path: Path) -> "np.ndarray":
    """The samples of a WAV file of 16 bits: ``(length, channels)`` int32."""
    import wave

    import numpy as np

    try:
        with wave.open(str(source) if isinstance(source, Path) else source, "rb") as sound:
            if sound.getsampwidth() != 2:
                raise BadInput(f"{path} has {8 * sound.getsampwidth()} bits, genzoo writes 16")
            channels = sound.getnchannels()
            frames = sound.readframes(sound.getnframes())
        return np.frombuffer(frames, "<i2").astype(np.int32).reshape(-1, channels)
    except (wave.Error, EOFError, ValueError) as error:
        raise BadInput(f"{path} cannot be decoded: {_line(error)}") from None


def _last_frame(picture: "Image.Image") -> None:
    """Go to the last frame of a film, which is the whole picture."""
    if picture.format != "GIF":
        return
    for frame in range(1, LARGEST_FRAMES):
        try:
            picture.seek(frame)
        except EOFError:
            return


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]
