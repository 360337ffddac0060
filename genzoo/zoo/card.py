"""The files beside the weights: README.md, metrics.json, samples.png and samples.wav."""

import base64
import json
import math
import os
import re
import time
import zlib
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from genzoo import families
from genzoo.errors import BadInput, GenzooError, InvalidModel
from genzoo.files import locked, write_whole
from genzoo.models.kinds import ENDINGS, SHOWN, has_picture
from genzoo.schemas import Kind, checked
from genzoo.text import pairs, printable
from genzoo.zoo import installed, migrate
from genzoo.zoo.folder import load_folder
from genzoo.zoo.installed import Installed
from genzoo.zoo.manifest import (
    DISCRIMINATOR,
    METRICS,
    PICTURE,
    SOUND,
    WEIGHTS,
    Manifest,
    Measured,
    Metrics,
    Stage,
    read_manifest,
    read_object,
)
from genzoo.zoo.names import PREFERRED, RESTRICTED

if TYPE_CHECKING:
    import numpy as np

    from genzoo.models.model import Model
    from genzoo.models.sampler import Sampler


_LOCK = ".lock"  # while the files beside the weights are written
_TAGS: dict[Kind, list[str]] = {"images": [], "signals": ["audio"], "points": ["points"]}


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


def table() -> list[Card]:
    """A line for each installed model, broken ones too; imports no torch."""
    return [_line(model) for model in installed.models()]


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


def score_name(score: Measured) -> str:
    """A score's name as text, with the settings that the model sampled with."""
    return f"{score.name}, {pairs(score.sampling)}" if score.sampling else score.name


def score_value(score: Measured) -> str:
    """A score's value as text, with its unit."""
    return f"{score.value:g}{score.unit or ''}"


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
        others = [new.pop(score_name(s), s) for s in metrics.scores or ()]
        merged = [score.record() for score in (*new.values(), *others)]
        write_metrics(folder, {**metrics.record(), "scores": merged})


def unlock(folder: Path) -> None:
    """Remove the lock file that a killed process left, unless a process holds it."""
    if (folder / _LOCK).exists():
        with locked(folder / _LOCK, wait=False, remove=True):
            pass


def _writing(folder: Path) -> AbstractContextManager[bool]:
    """A lock on the files beside the weights: who adds scores reads them first."""
    return locked(folder / _LOCK, remove=True)


def write_metrics(folder: Path, metrics: dict[str, Any]) -> None:
    """Write ``metrics.json``, and the README.md that shows its numbers."""
    metrics = {"format": migrate.FORMAT, **metrics}
    record = checked(Metrics, metrics, "the model's metrics")
    write_whole(folder / METRICS, (json.dumps(metrics, indent=2) + "\n").encode())
    manifest, pictured = read_manifest(folder), (folder / PICTURE).exists()
    where = "" if installed.is_installed(folder) else "./"
    readme = render(manifest, record, pictured, where)
    write_whole(folder / "README.md", readme.encode())


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


def render(manifest: Manifest, metrics: Metrics, pictured: bool, where: str = "") -> str:
    """The card's README.md: metadata that the Hub reads, then text for people.

    ``pictured``: there is a samples.png, and of signals a samples.wav. ``where``: goes before the
    name that ``load`` takes, ``./`` for a folder.
    """
    import jinja2

    source = (files("genzoo.zoo") / "README.md.jinja").read_text(encoding="utf-8")
    plain = manifest.kind == "points" and not pictured  # of more sides than a scatter shows
    environment = jinja2.Environment(
        trim_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined
    )
    environment.filters |= {"plain": _plain, "quoted": _quoted, "fenced": _fenced}
    return environment.from_string(source).render(
        front_matter=front_matter(_metadata(manifest, metrics)),
        name=manifest.name,
        introduction=_introduction(manifest),
        pictured=pictured,
        kind=manifest.kind,
        address=where + manifest.name,
        n=SHOWN[manifest.kind],
        file=f"samples{'.npy' if plain else ENDINGS[manifest.kind][0]}",
        facts=facts(manifest).items(),
        recipe=manifest.recipe,
        scores=_rows(metrics),
        license=manifest.license,
        terms=manifest.terms,
    )


def _plain(value: Any) -> str:
    """``value`` as a line of Markdown in which nothing is a tag, a link or the end of a cell."""
    text = printable(str(value)).replace("&", "&amp;").replace("<", "&lt;")
    return text.replace("](", "]\\(").replace("|", "\\|")


def _quoted(text: str) -> str:
    """``text`` as it stands in Python code."""
    return json.dumps(text, ensure_ascii=False)


def _fenced(text: str) -> str:
    """``text`` as a line of a block of code, which it does not end."""
    return printable(text).replace("```", "'''")


def _metadata(manifest: Manifest, metrics: Metrics) -> dict[str, Any]:
    """The fields of a model card on the Hub."""
    whole = re.split("[:,@]", manifest.data)[0]  # the data set, of which this may be a part
    metadata = {
        "library_name": "genzoo",
        **_task(manifest),
        "license": manifest.license if manifest.license != "unknown" else RESTRICTED,
        "tags": [
            "genzoo",
            manifest.family,
            *_TAGS[manifest.kind],
            *["class-conditional"] * bool(manifest.class_names),
        ],
    }
    if manifest.license == RESTRICTED:
        metadata["license_name"] = f"{whole or 'its-data'}-terms"
    if whole in PREFERRED:
        metadata["datasets"] = [whole]
    if scores := metrics.scores:
        task = metadata.get("pipeline_tag", "other")
        metadata["model-index"] = _model_index(manifest, task, whole, scores)
    return metadata


def _task(manifest: Manifest) -> dict[str, Any]:
    """The Hub's name for the task; it has none for class-conditional generation, nor for signals
    and points.
    """
    if manifest.class_names or manifest.kind != "images":
        return {}
    two = "," in manifest.data or "domains" in manifest.config
    return {"pipeline_tag": "image-to-image" if two else "unconditional-image-generation"}


def _model_index(
    manifest: Manifest, task: str, whole: str, scores: Iterable[Measured]
) -> list[dict[str, Any]]:
    """The scores as the Hub's model index has them, each with its protocol."""
    metrics = [
        {
            "type": s.name,
            "name": score_name(s),
            "value": s.value,
            "args": {**s.protocol, **(s.sampling or {})},
        }
        for s in scores
    ]
    data = {"type": whole or "unnamed", "name": manifest.data or "unnamed"}
    results = {"task": {"type": task}, "dataset": data, "metrics": metrics}
    return [{"name": manifest.name, "results": [results]}]


def _introduction(manifest: Manifest) -> str:
    """What this is, by the summary of its family's plugin if installed; how it was trained."""
    summary = next((p.summary for p in families.plugins() if p.name == manifest.family), "")
    steps = f" for {manifest.recipe.steps:,} steps" if manifest.recipe else ""
    parent = manifest.recipe.parent if manifest.recipe else None
    after = f", from the weights of {parent.model}" if parent else ""
    data = manifest.data or "unnamed data"
    return f"{summary or manifest.family}. Trained{steps} on {data}{after}."


def facts(manifest: Manifest) -> dict[str, Any]:
    """What a model is and how it was trained, for a table."""
    facts: dict[str, Any] = {
        "version": manifest.version,
        "family": f"{manifest.family} (revision {manifest.revision}, {manifest.plugin} "
        f"{manifest.plugin_version})",
        "data": manifest.data,
        **_kind(manifest),
        "config": _flat(manifest.config),
        "stored as": manifest.dtype,
    }
    if recipe := manifest.recipe:
        facts |= {
            "options": _flat(recipe.options),
            "steps": recipe.steps,
            **({"phases": _flat(recipe.phases)} if recipe.phases else {}),
            **({"stages": "; ".join(map(_stage, recipe.stages))} if recipe.stages else {}),
            "seed": recipe.seed,
            "time": f"{recipe.seconds / 60:.1f} minutes",
            "machine": recipe.machine,
            "versions": _flat(recipe.versions),
            "data's sha256": recipe.data_sha256,
        }
    return facts


def _stage(stage: Stage) -> str:
    """A stage of the training as text: the model that it began with, or what it changed."""
    steps = "steps unknown" if stage.steps is None else f"{stage.steps:,} steps"
    if stage.model:
        version = f" version {stage.version}" if stage.version else ""
        on = f" on {stage.data}" if stage.data else ""
        sha256 = f", weights {stage.weights_sha256}" if stage.weights_sha256 else ""
        return f"{stage.model}{version}: {steps}{on}{sha256}"
    changes = ", ".join(f"{name} {old} -> {new}" for name, (old, new) in stage.changes.items())
    return f"{steps} with {changes}" if changes else steps


def _kind(manifest: Manifest) -> dict[str, str]:
    """The kind of samples, where they are no images, and the rate of signals."""
    rate = f", {manifest.rate:,} samples a second" if manifest.rate else ""
    return {} if manifest.kind == "images" else {"kind": f"{manifest.kind}{rate}"}


def _rows(metrics: Metrics) -> list[tuple[str, str, str]]:
    """(name, value, protocol) of each score, and of the speed."""
    rows = [
        (score_name(s), f"{score_value(s)}{_interval(s)}", _conditions(s))
        for s in metrics.scores or ()
    ]
    if speed := metrics.speed:
        rows += [("seconds for 16 samples", f"{speed.seconds_for_16:g}", speed.machine)]
    return rows


def _interval(score: Measured) -> str:
    """The interval of a value, and the value of real images."""
    low, high = score.interval or (None, None)
    text = "" if low is None else f" [{low:g}, {high:g}]"
    return text if score.floor is None else f"{text}; real images {score.floor:g}"


def _conditions(score: Measured) -> str:
    protocol = {k: v for k, v in score.protocol.items() if not k.endswith("sha256")}
    return _flat({**(score.details or {}), **protocol})


def _flat(values: dict[str, Any]) -> str:
    return pairs({k: v for k, v in values.items() if v not in ("", [], None)})


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


def front_matter(values: dict[str, Any]) -> list[str]:
    """``values`` as YAML, a line each between two of ---: what the Hub reads in a README.md."""
    import yaml

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    def quoted(dumper: Any, text: str) -> Any:
        # All text in quotes: YAML 1.1 and 1.2 take different words for numbers or booleans. Only
        # ASCII controls are escaped: readers differ in what two escapes for one character are.
        plain = "".join(c if c < " " else printable(c) for c in text)
        return dumper.represent_scalar("tag:yaml.org,2002:str", plain, style='"')

    Dumper.add_representer(str, quoted)
    flow: dict[str, Any] = {"default_flow_style": True, "allow_unicode": True, "sort_keys": False}
    lines = [
        f"{key}: {yaml.dump(value, Dumper=Dumper, width=math.inf, **flow).rstrip()}"
        for key, value in values.items()
    ]
    return ["---", *lines, "---"]
