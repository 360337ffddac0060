"""The files beside the weights: README.md, metrics.json, samples.png and samples.wav."""

import base64
import json
import logging
import os
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from genzoo.errors import BadInput, GenzooError, InvalidModel
from genzoo.files import expanded, locked, write_whole
from genzoo.models.arguments import checked_arguments
from genzoo.models.kinds import SHOWN, has_picture
from genzoo.schemas import checked
from genzoo.text import Records, file_size
from genzoo.zoo import installed, migrate
from genzoo.zoo.folder import load_folder
from genzoo.zoo.installed import Installed
from genzoo.zoo.manifest import (
    CONFIG,
    DISCRIMINATOR,
    METRICS,
    PICTURE,
    README,
    SOUND,
    WEIGHTS,
    Measured,
    Metrics,
    manifest_bytes,
    read_manifest,
    read_object,
)
from genzoo.zoo.readme import merged, render, score_name, score_value

if TYPE_CHECKING:
    import numpy as np

    from genzoo.models.model import Model
    from genzoo.models.sampler import Sampler


log = logging.getLogger("genzoo")
_LOCK = ".lock"  # while the files beside the weights are written


@final
@dataclass(frozen=True)
class Card:
    """A model's line in the list: what it is, and how good, without loading it."""

    name: str
    family: str
    data: str
    bytes: int
    score: str
    seconds: float | None
    license: str
    terms: str
    version: int
    package: str
    error: str = ""


def list_models() -> Records[Card]:
    """The installed models, broken ones too, with data, size, score, seconds for sixteen samples;
    imports no torch.
    """
    return Records(map(_line, installed.models()), TABLE)


def _seconds(card: Card) -> str:
    return "" if card.error else "?" if card.seconds is None else f"{card.seconds:.3f} s"


TABLE: dict[str, Callable[[Card], Any]] = {
    "name": attrgetter("name"),
    "data": attrgetter("data"),
    "size": lambda card: "" if card.error else file_size(card.bytes),
    "score": lambda card: card.error or card.score,
    "time for 16": _seconds,
}


def _line(model: Installed) -> Card:
    try:
        if not model.error:
            return card(model.folder, model.package)
        error = model.error
    except GenzooError as failure:
        error = str(failure)
    return Card(model.name, "", "", 0, "", None, "", "", 1, model.package, error)


def card(folder: Path, package: str = "") -> Card:
    """The line of the model in ``folder``, which ``package`` brings."""
    manifest, metrics = read_manifest(folder), metrics_of(folder)
    sizes = [(folder / f).stat().st_size for f in (WEIGHTS, DISCRIMINATOR) if (folder / f).exists()]
    # Those with the model's own settings first.
    scores = sorted(metrics.scores or (), key=lambda s: bool(s.sampling))
    first = next((s for s in scores if s.goal), next(iter(scores), None))
    return Card(
        folder.name,
        manifest.family,
        manifest.data,
        sum(sizes),
        f"{score_name(first)} {score_value(first)}" if first else "not measured",
        metrics.speed.seconds_for_16 if metrics.speed else None,
        manifest.license,
        manifest.terms,
        manifest.version,
        package,
    )


def read_metrics(folder: Path) -> dict[str, Any]:
    """``metrics.json``, checked, or nothing if there is none. Raises InvalidModel."""
    return metrics_of(folder).record()


def metrics_of(folder: Path) -> Metrics:
    """``metrics.json``, checked; empty if there is none. Raises InvalidModel."""
    path = folder / METRICS
    if not os.path.lexists(path):
        return Metrics()
    return checked(Metrics, migrate.metrics(read_object(path), str(path)), str(path), InvalidModel)


def complete(folder: Path) -> None:
    """Write the files beside the weights: those of samples, metrics.json, README.md."""
    from genzoo.models.sampler import Sampler

    model = load_folder(folder, "cpu")
    metrics: dict[str, Any] = {"scores": []}
    if isinstance(model, Sampler):
        metrics["fingerprint"] = fingerprint(model)
        metrics["speed"] = _speed(model)
        _write_samples(model, folder)
    with _writing(folder):
        write_metrics(folder, metrics)


def sample_files(model: "Model") -> list[str]:
    """The files of samples that the card of ``model`` shows."""
    from genzoo.models.sampler import Sampler

    if not isinstance(model, Sampler):
        return []
    pictures = [PICTURE] if has_picture(model.kind, model.shape) else []
    return [*pictures, *[SOUND] * (model.kind == "signals")]


def _write_samples(model: "Sampler", folder: Path) -> None:
    from genzoo.models.sounds import most_players

    samples = model.sample(SHOWN[model.kind], seed=0)
    for name in sample_files(model):
        n = most_players(model.shape) if name == SOUND else len(samples)
        samples[:n].save(folder / name)


def add_scores(
    folder: Path, scores: Iterable[dict[str, Any]], weights_sha256: str | None = None
) -> None:
    """Add ``scores`` (name, value, protocol) in front; those of the same names and settings as
    before take the others' places.

    Of two processes one waits for the other. ``weights_sha256``: the weights that were measured.
    Raises BadInput if the folder now has others.
    """
    read = [checked(Measured, score, "a score") for score in scores]
    new = {score_name(score): score for score in read}
    with _writing(folder):
        if weights_sha256 not in (None, read_manifest(folder).weights_sha256):
            what = f"the model in {folder} was replaced while another was measured"
            raise BadInput(f"{what}: evaluate it again")
        metrics = metrics_of(folder)
        _warn_of_fewer(metrics.scores or (), new)
        others = [new.pop(score_name(s), s) for s in metrics.scores or ()]
        merged = [score.record() for score in (*new.values(), *others)]
        write_metrics(folder, {**metrics.record(), "scores": merged})


def _warn_of_fewer(before: Iterable[Measured], after: Mapping[str, Measured]) -> None:
    """Say which scores give way to others of fewer samples."""
    for old in before:
        new = after.get(score_name(old), old)
        had, has = (s.protocol.get("samples") for s in (old, new))
        if isinstance(had, int) and isinstance(has, int) and has < had:
            text = "%s of %s samples is replaced by that of %s in the card"
            log.warning(text, score_name(old), f"{had:,}", f"{has:,}")


def unlock(folder: Path) -> None:
    """Remove the lock file that a killed process left, unless a process holds it."""
    if (folder / _LOCK).exists():
        with locked(folder / _LOCK, wait=False, remove=True):
            pass


def _writing(folder: Path) -> AbstractContextManager[bool]:
    """A lock on the files beside the weights: who adds scores reads them first."""
    return locked(folder / _LOCK, remove=True)


def write_metrics(folder: Path, metrics: dict[str, Any]) -> None:
    """Write ``metrics.json``, and its numbers into README.md, whose other text stays if somebody
    wrote it. A folder of an older format becomes one of today's, as its files belong together.
    """
    metrics = {"format": migrate.FORMAT, **metrics}
    record, manifest = checked(Metrics, metrics, "the model's metrics"), read_manifest(folder)
    pictured = (folder / PICTURE).exists()
    where = "" if installed.is_installed(folder) else "./"
    try:
        before = render(manifest, metrics_of(folder), pictured, where)
    except GenzooError:  # broken, and written anew here
        before = ""
    if format_of(folder) != migrate.FORMAT:
        log.warning("%s: now of format %s: genzoo 0.1 reads it no longer", folder, migrate.FORMAT)
        write_whole(folder / CONFIG, manifest_bytes(manifest))
    write_whole(folder / METRICS, (json.dumps(metrics, indent=2) + "\n").encode())
    readme = merged(folder / README, before, render(manifest, record, pictured, where))
    write_whole(folder / README, readme.encode())


@checked_arguments
def upgrade(folder: str | Path) -> bool:
    """Bring a model folder of an older format to today's; whether it was one. Raises as ``load``.

    The weights, and what they draw, stay as they are.
    """
    folder = expanded(folder)
    manifest = read_manifest(folder)
    if format_of(folder) == migrate.FORMAT:
        return False
    with _writing(folder):
        if (folder / METRICS).exists():
            write_metrics(folder, read_metrics(folder))
        else:
            write_whole(folder / CONFIG, manifest_bytes(manifest))
    return True


def format_of(folder: Path) -> int:
    """The number of the format of a folder's ``config.json``, which was read before."""
    number: int = read_object(folder / CONFIG)["format"]
    return number


def fingerprint(model: Any) -> str:
    """``sample(4, seed=0)`` in 8 bits, compressed: shows whether a model still draws the same."""
    return base64.b64encode(zlib.compress(_four(model).tobytes(), 9)).decode()


def distance(model: Any, packed: str, beyond: int = 0) -> tuple[int, float]:
    """How far the samples of ``model`` are from those of a fingerprint: the largest difference, in
    256ths, and the share of values that differ by more than ``beyond``.

    Raises InvalidModel if ``packed`` is not a fingerprint of a model of this shape.
    """
    import numpy as np

    now = _four(model)
    try:
        # A few bytes can unpack to any number: at most one byte too many is unpacked.
        content = base64.b64decode(packed, validate=True)
        before = np.frombuffer(zlib.decompressobj().decompress(content, now.size + 1), np.uint8)
    except (ValueError, zlib.error) as error:
        raise InvalidModel(f"the fingerprint is damaged: {error}") from None
    if now.size != before.size:
        raise InvalidModel(f"the fingerprint does not have the {now.size} values of the samples")
    difference = np.abs(now.ravel().astype(int) - before)
    return int(difference.max()), float((difference > beyond).mean())


def _four(model: Any) -> "np.ndarray":
    x = model.sample(4, seed=0).tensor
    unit = (x + 1) / 2 if model.kind == "signals" else x
    values: np.ndarray = unit.clamp(0, 1).mul(255).round().byte().cpu().numpy()
    return values


def _speed(model: Any) -> dict[str, Any]:
    from genzoo.devices import machine

    model.sample(16)
    seconds = []
    for _ in range(10):  # the fastest: other work only adds time
        start = time.perf_counter()
        model.sample(16)
        seconds.append(time.perf_counter() - start)
    return {
        "seconds_for_16": round(min(seconds), 4),
        "machine": machine(model.device),
    }
