"""README.md: the page of a model, from its manifest and its scores, with metadata for the Hub."""

import json
import math
import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from genzoo import families
from genzoo.errors import GenzooError
from genzoo.models.kinds import ENDINGS, SHOWN
from genzoo.schemas import Kind
from genzoo.text import pairs, printable
from genzoo.zoo.installed import PREFERRED
from genzoo.zoo.manifest import LARGEST_JSON, Adoption, Manifest, Measured, Metrics, Recipe, Stage
from genzoo.zoo.reader import read_capped
from genzoo.zoo.terms import RESTRICTED

_TAGS: dict[Kind, list[str]] = {"images": [], "signals": ["audio"], "points": ["points"]}
FRONT = re.compile(r"\A---\r?\n.*?^---[ \t]*\r?\n", re.DOTALL | re.MULTILINE)
_SCORES = re.compile(r"^## Scores\n.*?(?=^## |\Z)", re.DOTALL | re.MULTILINE)


def score_name(score: Measured) -> str:
    """A score's name as text, with the settings that the model sampled with."""
    return f"{score.name}, {pairs(score.sampling)}" if score.sampling else score.name


def score_value(score: Measured) -> str:
    """A score's value as text, with its unit."""
    return f"{score.value:g}{score.unit or ''}"


def render(manifest: Manifest, metrics: Metrics, pictured: bool, where: str = "") -> str:
    """The card's README.md: metadata that the Hub reads, then text for people.

    ``pictured``: there is a samples.png, and of signals a samples.wav. ``where``: goes before the
    name that ``load`` takes, ``./`` for a folder.
    """
    plain = manifest.kind == "points" and not pictured  # of more sides than a scatter shows
    return _template().render(
        front_matter=front_matter(_metadata(manifest, metrics)),
        name=manifest.name,
        introduction=introduction(manifest),
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


@cache
def _template() -> Any:
    import jinja2

    source = (files("genzoo.zoo") / "README.md.jinja").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        trim_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined
    )
    environment.filters |= {"plain": _plain, "quoted": _quoted, "fenced": _fenced}
    return environment.from_string(source)


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


def introduction(manifest: Manifest) -> str:
    """What this is, by the summary of its family's plugin if installed; how it was trained."""
    summary = next((p.summary for p in families.plugins() if p.name == manifest.family), "")
    steps = f" for {manifest.recipe.steps:,} steps" if manifest.recipe else ""
    parent = manifest.recipe.parent if manifest.recipe else None
    after = f", from the weights of {parent.model}" if parent else ""
    data = manifest.data or "unnamed data"
    if adopted := manifest.adopted:
        file = adopted.files[0]
        where = f"Trained on {data} by others, with {adopted.source}"
        return f"{summary or manifest.family}. {where}, and adopted from {file.name}."
    return f"{summary or manifest.family}. Trained{steps} on {data}{after}."


def facts(manifest: Manifest) -> dict[str, Any]:
    """What a model is and how it was trained, for a table."""
    facts: dict[str, Any] = {
        "version": manifest.version,
        "family": f"{manifest.family} (revision {manifest.revision}, {manifest.plugin} "
        f"{manifest.plugin_version})",
        **({"data": manifest.data} if manifest.data else {}),
        **_kind(manifest),
        "config": _flat(manifest.config),
        "stored as": manifest.dtype,
    }
    if adopted := manifest.adopted:
        facts |= _adopted(adopted)
    if recipe := manifest.recipe:
        facts |= {
            "options": _flat(recipe.options),
            "steps": recipe.steps,
            **({"phases": _flat(recipe.phases)} if recipe.phases else {}),
            **({"stages": "; ".join(map(_stage, recipe.stages))} if recipe.stages else {}),
            "seed": recipe.seed,
            "time": _time(recipe),
            "machine": recipe.machine,
            "versions": _flat(recipe.versions),
            "data's sha256": recipe.data_sha256,
            **({"data opened with": _flat(form)} if (form := recipe.form.values) else {}),
        }
    return facts


def _adopted(adopted: Adoption) -> dict[str, str]:
    """The files that the weights come from, the tool that read them, and what it changed."""
    files = [
        f"{file.name}{f' ({file.part})' if file.part else ''}, sha256 {file.sha256}"
        for file in adopted.files
    ]
    facts = {"adopted from": "; ".join(files), "adopted as": adopted.source, "by": adopted.tool}
    return {**facts, **({"changes": "; ".join(adopted.notes)} if adopted.notes else {})}


def _time(recipe: Recipe) -> str:
    """How long the training took; where the precision decides that, on which machines."""
    where = " in bf16, on a processor made for it" if recipe.precision == "bf16" else ""
    return f"{recipe.seconds / 60:.1f} minutes{where}"


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


def merged(path: Path, before: str, rendered: str) -> str:
    """``rendered``; or the README.md at ``path``, if somebody changed what genzoo wrote
    (``before``), with the metadata and the scores of ``rendered``.
    """
    try:
        own = read_capped(path, LARGEST_JSON).decode()
    except (GenzooError, UnicodeDecodeError):  # none, or none that can be read
        return rendered
    if own == before or not own.strip():
        return rendered
    front, scores = FRONT.match(rendered), _SCORES.search(rendered)
    assert front is not None
    assert scores is not None
    return front[0] + _SCORES.sub(lambda _: scores[0], FRONT.sub("", own, count=1), count=1)
