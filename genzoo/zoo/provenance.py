"""Where a picture comes from: what genzoo wrote into it, and the same picture drawn again."""

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
from genzoo.schemas import Name, Schema, checked, read_json
from genzoo.zoo import names
from genzoo.zoo.manifest import Sha256

if TYPE_CHECKING:
    import torch
    from PIL import Image

    from genzoo.models.sampler import Sampler
    from genzoo.models.samples import Images


# What is read of a file that anybody may have written: bytes in all, bytes of text, parts.
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


class ModelIdentity(Schema, use_attribute_docstrings=False):
    """The model that a picture says it is of."""

    model: Name
    family: Name
    weights_sha256: Sha256
    revision: Name | None = None


class Call(Schema, use_attribute_docstrings=False, extra="ignore"):
    """How a picture says it was drawn."""

    method: Name = "sample"
    truncation: Annotated[float, Field(gt=0, le=1e6)] | None = None
    to: Name | None = None
    numbers: bool | None = None


class Record(Schema, use_attribute_docstrings=False, extra="ignore"):
    """What genzoo writes into a picture; files from before ``call`` was written are samples."""

    genzoo: Name
    origin: ModelIdentity | None = None
    call: Call | None = Call()
    seeds: Annotated[tuple[tuple[Index, Index], ...], Field(max_length=1_000_000)] = ()
    labels: Annotated[tuple[Index, ...], Field(max_length=1_000_000)] | None = None


@final
@dataclass(frozen=True)
class Provenance:
    """What a picture says of itself, which anybody can have written: whether it is ``synthetic``,
    and the ``record`` of how it was drawn, if it carries one.
    """

    synthetic: bool
    record: Record | None


@final
@dataclass(frozen=True)
class Reproduction:
    """A picture drawn again by ``model``: how far the two are apart, of 255, and in what share.

    ``rounded``: by one level at the most, as another batch size or another device may round.
    """

    state: State
    apart: int
    share: float
    model: str
    samples: "Images"
    scale: int


def inspect(path: str | Path) -> Provenance:
    """What the PNG or GIF at ``path`` says of where it comes from; no pixel is decoded.

    Raises BadInput where it is no such file or its record is damaged, OperationFailed where it
    says nothing.
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
                f"{path} does not say where it comes from: not genzoo's, or washed off"
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
    """Draw the picture at ``path`` again, and compare the two pixel for pixel.

    ``model``: a name or a folder, where the model is none of those that come along. It must have
    the weights that the picture names; what a picture says is never fetched. Raises BadInput,
    UnknownName (no such model, or other weights), and as ``load``.
    """
    from genzoo.models.sampler import Sampler

    path = expanded(path)
    record = _drawable(inspect(path).record, path)
    assert record.origin is not None
    name, folder = _source(record.origin, model)
    loaded = names.load(folder, device=device)
    if not (isinstance(loaded, Sampler) and loaded.is_images):
        raise BadInput(f"{name} draws no pictures: {path} is not its")
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
        found = path.stat()
    except (OSError, ValueError) as error:
        raise BadInput(f"cannot read {path}: {getattr(error, 'strerror', error)}") from None
    if not stat.S_ISREG(found.st_mode):
        raise BadInput(f"{path} is not a plain file")
    if found.st_size > LARGEST_FILE:
        raise BadInput(f"{path} is larger than {LARGEST_FILE} bytes")


def _texts(file: BinaryIO, path: Path) -> dict[str, bytes]:
    """The texts of a PNG by keyword, the first of each; those of a GIF's comment."""
    start = file.read(8)
    found: dict[str, bytes] = {}
    if start == b"\x89PNG\r\n\x1a\n":
        for key, text in _png(file, path):
            found.setdefault(key, text)
    elif start[:6] in (b"GIF87a", b"GIF89a"):
        file.seek(0)
        # Before the first image, and no further.
        found["Comment"], _, record = _gif(io.BytesIO(file.read(LARGEST_TEXT))).partition(b"\n")
        found |= {_KEYWORD: record} if record else {}
    else:
        raise BadInput(f"{path} is neither a PNG nor a GIF")
    return found


def _png(file: BinaryIO, path: Path) -> Iterator[tuple[str, bytes]]:
    """(keyword, text) of each text chunk (PNG 3rd edition, section 11.3.3); all else is skipped."""
    for _ in range(MOST_CHUNKS):
        head = file.read(8)
        if len(head) < 8:
            return
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        if length > LARGEST_TEXT and kind != b"IDAT":
            raise BadInput(f"{path}: a chunk of {length} bytes, at most {LARGEST_TEXT} are read")
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
    """``record``, if it is of samples of a model that can be asked again."""
    if record is None:
        raise BadInput(f"{path} says that it is synthetic, and not how it was drawn")
    method = record.call and record.call.method
    if method != "sample" or not record.seeds:
        made = f"by genzoo {method}" if method else "by hand"
        raise BadInput(f"{path} was made {made}, which takes more than the model and seeds")
    if record.origin is None:
        raise BadInput(f"{path} was drawn by a model that had not been saved")
    return record


def _source(origin: ModelIdentity, model: str | Path | None) -> tuple[str, Path]:
    """The name and the folder of the model with the weights that ``origin`` names."""
    told, wanted = f"{origin.model} ({origin.family})", origin.weights_sha256
    if model is not None:
        folder, manifest = names.resolve(model)
        has = manifest.weights_sha256
        if has != wanted:
            raise UnknownName(
                f"{model} has other weights, {has[:12]}, than {told} that drew it, {wanted[:12]}"
            )
        return str(model), folder
    here = {name: card.weights_sha256 for name, card in names.bundled().items()}
    same = sorted((n for n, has in here.items() if has == wanted), key=lambda n: n != origin.model)
    if same:
        return same[0], names.cards_folder() / same[0]
    hint = "if you have that model, name its folder: --model ./FOLDER"
    if has := here.get(origin.model, ""):
        what = f"{told} has other weights here, {has[:12]}, than those that drew it"
    else:
        what = f"it was drawn by {told}, which is not here"
    raise UnknownName(f"{what}, {wanted[:12]}: {hint}")


def _opened(path: Path) -> "Image.Image":
    """The picture, of which only the head has been read."""
    from PIL import Image

    from genzoo.models.pictures import LARGEST_SHEET

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            picture = Image.open(path, formats=["PNG", "GIF"])
    except Exception as error:  # whatever Pillow makes of it
        raise BadInput(f"{path} cannot be opened: {_line(error)}") from None
    if picture.width * picture.height > LARGEST_SHEET:
        picture.close()
        raise BadInput(f"{path} is larger than any that genzoo writes")
    return picture


def _layout(
    n: int, shape: Sequence[int], picture: "Image.Image", path: Path, numbers: bool
) -> tuple[int, int]:
    """The scale and the gap of a grid of ``n`` pictures ``(C, H, W)`` of the size of ``picture``.

    A PNG of a single one has no border. Raises BadInput where there are none.
    """
    from genzoo.models.pictures import BAND, check_sheet

    gap = 0 if n == 1 and picture.format == "PNG" and not numbers else 2
    around = {"gap": gap, "band": BAND if numbers else 0}
    _, columns, _ = check_sheet(n, shape, 1, **around)
    scale = max(1, ((picture.width - gap) // columns - gap) // shape[-1])
    if check_sheet(n, shape, scale, **around)[2] == picture.size[::-1]:
        return scale, gap
    size, each = ("x".join(map(str, s)) for s in (picture.size, shape))
    raise BadInput(f"{path} is {size}, which is no grid of {n} pictures of {each}")


def _again(model: "Sampler", record: Record) -> "Images":
    """The samples that ``record`` is of: in one call each, where one draws several in a row."""
    from genzoo.models.samples import Images, Samples

    drawn: list[Samples] = []
    truncation = record.call.truncation if record.call else None
    places = enumerate(record.seeds)
    for (seed, _), run in groupby(places, key=lambda p: (p[1][0], p[1][1] - p[0])):
        rows = [*run]
        first, n = rows[0][0], len(rows)
        labels: Any = None if record.labels is None else record.labels[first : first + n]
        start = record.seeds[first][1]
        drawn.append(model.sample(n, seed=seed, start=start, labels=labels, truncation=truncation))
    return Images.join(drawn)


def _distance(picture: "Image.Image", again: "Image.Image", path: Path) -> tuple[int, float]:
    """How far two pictures of one size are apart at the most, and in what share of their values."""
    import numpy as np

    try:
        _last_frame(picture)
        one, other = np.asarray(picture.convert(again.mode)), np.asarray(again)
    except Exception as error:
        raise BadInput(f"{path} cannot be decoded: {_line(error)}") from None
    apart = np.maximum(one, other) - np.minimum(one, other)
    return int(apart.max()), float((apart > 0).mean())


def _last_frame(picture: "Image.Image") -> None:
    """A film ends with the whole picture."""
    if picture.format != "GIF":
        return
    for frame in range(1, LARGEST_FRAMES):
        try:
            picture.seek(frame)
        except EOFError:
            return


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]
