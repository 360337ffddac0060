"""The origin of an image: the record that genzoo wrote into it, and its reproduction."""

import io
import stat
import warnings
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Literal, final

from pydantic import Field

from genzoo.errors import BadInput, OperationFailed, UnknownName
from genzoo.files import expanded
from genzoo.schemas import Count, Name, Schema, checked, read_json
from genzoo.zoo import installed, names
from genzoo.zoo.manifest import Manifest, Sha256

if TYPE_CHECKING:
    import torch
    from PIL import Image

    from genzoo.models.sampler import Sampler
    from genzoo.models.samples import Images


# Limits for a file that anybody may have written: bytes of the file, of a text; number of chunks.
LARGEST_FILE, LARGEST_TEXT, MOST_CHUNKS = 1 << 28, 1 << 22, 100_000
LARGEST_FRAMES = 1000
_KEYWORD = "genzoo"  # as in samples.py, which brings torch
_IPTC = (  # made by a trained model, or in part
    b"digitalsourcetype/trainedAlgorithmicMedia",
    b"digitalsourcetype/compositeWithTrainedAlgorithmicMedia",
)
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
Index = Annotated[int, Field(ge=0, lt=2**63)]
State = Literal["equal", "rounded", "differs"]
Setting = bool | int | float | Name | None


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
    sampling: Annotated[dict[Name, Setting], Field(max_length=100)] | None = None
    truncation: Annotated[float, Field(gt=0, le=1e6)] | None = None
    """a setting of sampling, in files older than ``sampling``"""
    to: Name | None = None
    numbers: bool | None = None

    def settings(self) -> dict[str, Any]:
        """The settings that ``sample`` was called with."""
        old = {} if self.truncation is None else {"truncation": self.truncation}
        return {**old, **(self.sampling or {})}


class Record(Schema, use_attribute_docstrings=False, extra="ignore"):
    """The record that genzoo writes into an image. Files older than ``call`` are samples."""

    genzoo: Name
    origin: ModelIdentity | None = None
    call: Call | None = Call()
    seeds: Annotated[tuple[tuple[Index, Index], ...], Field(max_length=1_000_000)] = ()
    labels: Annotated[tuple[Index, ...], Field(max_length=1_000_000)] | None = None


@final
@dataclass(frozen=True)
class Provenance:
    """What an image's metadata say, which anybody can have written: whether it is ``synthetic``,
    and the ``record`` of how it was drawn, if there is one.
    """

    synthetic: bool
    record: Record | None


@final
@dataclass(frozen=True)
class Reproduction:
    """An image drawn again by ``model``, and how it differs from the first.

    ``apart``: the largest difference, in levels of 255. ``share``: of values that differ.
    ``state`` is ``rounded`` if ``apart`` is 1: other batch sizes and devices round differently.
    """

    state: State
    apart: int
    share: float
    model: str
    samples: "Images"
    scale: int


def inspect(path: str | Path) -> Provenance:
    """The provenance in the metadata of the PNG or GIF at ``path``; no pixel is decoded.

    Raises BadInput if it is no such file or its record is damaged, OperationFailed if it has none.
    """
    path = expanded(path)
    _check_plain(path)
    try:
        with path.open("rb") as file:
            texts = _texts(file, path)
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror or error}") from None
    synthetic = any(
        t.startswith(b"Synthetic") or any(term in t for term in _IPTC) for t in texts.values()
    )
    if (text := texts.get(_KEYWORD)) is None:
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


def reproduce(
    path: str | Path, model: str | Path | None = None, *, device: "str | torch.device" = "auto"
) -> Reproduction:
    """Draw the image at ``path`` again, and compare the two pixel for pixel.

    ``model``: a name or a folder, if it is not an installed model. It must have the weights that
    the image names; nothing that an image names is ever fetched. Raises BadInput, UnknownName (no
    such model, or other weights), and as ``load``.
    """
    from genzoo.models.sampler import Sampler

    path = expanded(path)
    record = _drawable(inspect(path).record, path)
    assert record.origin is not None
    name, folder = _source(record.origin, model)
    loaded = names.load(folder, device=device)
    if not (isinstance(loaded, Sampler) and loaded.is_images):
        raise BadInput(f"{name} does not generate images, so it cannot have made {path}")
    numbers = bool(record.call and record.call.numbers)
    with _opened(path) as picture:
        scale, gap = _layout(len(record.seeds), loaded.shape, picture, path, numbers)
        samples = _again(loaded, record)
        again = samples.grid(scale=scale, gap=gap, numbers=numbers)
        apart, share = _distance(picture, again, path)
    state: State = "differs" if apart > 1 else "rounded" if apart else "equal"
    return Reproduction(state, apart, share, name, samples, scale)


def _check_plain(path: Path) -> None:
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        raise BadInput(f"cannot read {path}: {getattr(error, 'strerror', error)}") from None
    if not stat.S_ISREG(status.st_mode):
        raise BadInput(f"{path} is not a plain file")
    if status.st_size > LARGEST_FILE:
        raise BadInput(f"{path} is larger than {LARGEST_FILE} bytes")


def _texts(file: BinaryIO, path: Path) -> dict[str, bytes]:
    """The texts of a PNG by keyword, the first of each; of a GIF the comment and the record."""
    start = file.read(8)
    texts: dict[str, bytes] = {}
    if start == b"\x89PNG\r\n\x1a\n":
        for key, text in _png(file, path):
            texts.setdefault(key, text)
    elif start[:6] in (b"GIF87a", b"GIF89a"):
        file.seek(0)
        # Before the first image, and no further.
        texts["Comment"], _, record = _gif(io.BytesIO(file.read(LARGEST_TEXT))).partition(b"\n")
        texts |= {_KEYWORD: record} if record else {}
    else:
        raise BadInput(f"{path} is neither a PNG nor a GIF")
    return texts


def _png(file: BinaryIO, path: Path) -> Iterator[tuple[str, bytes]]:
    """(keyword, text) of each text chunk (PNG 3rd edition, section 11.3.3); others are skipped."""
    for _ in range(MOST_CHUNKS):
        head = file.read(8)
        if len(head) < 8:
            return
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        if length > LARGEST_TEXT and kind != b"IDAT":
            raise BadInput(f"{path}: a chunk of {length} bytes, the limit is {LARGEST_TEXT}")
        if kind in _TEXTS:
            yield _text(kind, file.read(length), path)
            length = 0
        file.seek(length + 4, io.SEEK_CUR)
    raise BadInput(f"{path} has more than {MOST_CHUNKS} chunks")


def _text(kind: bytes, content: bytes, path: Path) -> tuple[str, bytes]:
    key, _, text = content.partition(b"\0")
    packed = kind == b"zTXt"
    if packed:
        text = text[1:]  # the method, of which there is one
    elif kind == b"iTXt":
        packed = text[:1] == b"\1"
        text = text[2:].split(b"\0", 2)[-1]  # language, translated keyword
    if packed:
        try:  # a few bytes can unpack to any number
            text = zlib.decompressobj().decompress(text, LARGEST_TEXT + 1)
        except zlib.error as error:
            raise BadInput(f"{path}: a text is damaged: {error}") from None
        if len(text) > LARGEST_TEXT:
            raise BadInput(f"{path}: a text of more than {LARGEST_TEXT} bytes")
    return key.decode("latin-1"), text


def _gif(file: BinaryIO) -> bytes:
    """The comment before the first image of a GIF (GIF89a, section 24)."""
    flags = file.read(13)[10:11] or b"\0"
    file.seek(3 << (flags[0] & 7) + 1 if flags[0] & 128 else 0, io.SEEK_CUR)
    while file.read(1) == b"!":
        kind, parts = file.read(1), list[bytes]()
        while (size := file.read(1)) > b"\0":
            parts.append(file.read(size[0]))
        if kind == b"\xfe":
            return b"".join(parts)
    return b""


def _drawable(record: Record | None, path: Path) -> Record:
    """``record``, if a model's samples can be drawn again from it. Raises BadInput."""
    if record is None:
        raise BadInput(f"{path} has no record of how it was drawn, only that it is synthetic")
    method = record.call and record.call.method
    if method != "sample" or not record.seeds:
        origin = f"by 'genzoo {method}'" if method else "by hand"
        hint = "only images from 'genzoo sample' can be reproduced"
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
    raise UnknownName(f"{what}: if you have that model, name its folder: --model ./FOLDER")


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
    from PIL import Image

    from genzoo.models.pictures import LARGEST_SHEET

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            picture = Image.open(path, formats=["PNG", "GIF"])
    except Exception as error:  # Pillow raises many kinds
        raise BadInput(f"{path} cannot be opened: {_line(error)}") from None
    if picture.width * picture.height > LARGEST_SHEET:
        picture.close()
        raise BadInput(f"{path} is larger than any image that genzoo writes")
    return picture


def _layout(
    n: int, shape: Sequence[int], picture: "Image.Image", path: Path, numbers: bool
) -> tuple[int, int]:
    """The scale and the gap of a grid of ``n`` images ``(C, H, W)`` as large as ``picture``.

    A PNG of a single image has no border. Raises BadInput if no grid fits.
    """
    from genzoo.models.pictures import BAND, check_sheet

    gap = 0 if n == 1 and picture.format == "PNG" and not numbers else 2
    around = {"gap": gap, "band": BAND if numbers else 0}
    _, columns, _ = check_sheet(n, shape, 1, **around)
    scale = max(1, ((picture.width - gap) // columns - gap) // shape[-1])
    if check_sheet(n, shape, scale, **around)[2] == picture.size[::-1]:
        return scale, gap
    size, each = ("x".join(map(str, s)) for s in (picture.size, shape))
    raise BadInput(f"{path} is {size}; no grid of {n} images of {each} has that size")


def _again(model: "Sampler", record: Record) -> "Images":
    """The samples of ``record``, in as few calls as their seeds and indices allow."""
    from genzoo.models.samples import Images, Samples

    samples: list[Samples] = []
    settings = record.call.settings() if record.call else {}
    numbered = enumerate(record.seeds)
    for (seed, _), run in groupby(numbered, key=lambda p: (p[1][0], p[1][1] - p[0])):
        rows = [*run]
        first, n = rows[0][0], len(rows)
        labels: Any = None if record.labels is None else record.labels[first : first + n]
        start = record.seeds[first][1]
        samples.append(model.sample(n, seed=seed, start=start, labels=labels, **settings))
    return Images.join(samples)


def _distance(picture: "Image.Image", again: "Image.Image", path: Path) -> tuple[int, float]:
    """The largest difference of two images of one size, and the share of values that differ."""
    import numpy as np

    try:
        _last_frame(picture)
        one, other = np.asarray(picture.convert(again.mode)), np.asarray(again)
    except Exception as error:
        raise BadInput(f"{path} cannot be decoded: {_line(error)}") from None
    apart = np.maximum(one, other) - np.minimum(one, other)
    return int(apart.max()), float((apart > 0).mean())


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
