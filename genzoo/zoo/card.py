"""What stands beside the weights: README.md, metrics.json, samples.png."""

import base64
import json
import re
import time
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from genzoo import families
from genzoo.errors import InvalidModel
from genzoo.files import write_whole
from genzoo.schemas import checked, read_json
from genzoo.text import printable
from genzoo.zoo import card as cards
from genzoo.zoo import folder as folders
from genzoo.zoo import manifest as manifests
from genzoo.zoo import migrate
from genzoo.zoo.manifest import DISCRIMINATOR, WEIGHTS, Manifest, Metrics
from genzoo.zoo.names import PREFERRED, RESTRICTED, home, model_names

if TYPE_CHECKING:
    import numpy as np


_CODE = """```python
import genzoo

genzoo.load("{name}").sample(16).save("samples.png")
```"""
_LIMITS = """Intended use: to teach and to compare generative models.

Not intended: to decide anything about anybody, or to pass for real.

Everything that it draws is synthetic, and can be wrong about its data; the files that genzoo
writes say so (PNG text; XMP, IPTC digital source type)."""


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


def table() -> list[Card]:
    """A line for each card; imports no torch."""
    return [card(home() / name) for name in model_names()]


def card(folder: Path) -> Card:
    manifest, metrics = manifests.read_manifest(folder), read_metrics(folder)
    sizes = [(folder / f).stat().st_size for f in (WEIGHTS, DISCRIMINATOR) if (folder / f).exists()]
    scores = metrics.get("scores", [])
    first = next((s for s in scores if "goal" in s), next(iter(scores), None))
    score = (
        f"{first['name']} {first['value']:g}{first.get('unit', '')}" if first else "not measured"
    )
    return Card(
        folder.name,
        manifest.family,
        manifest.data,
        sum(sizes),
        score,
        metrics.get("speed", {}).get("seconds_for_16"),
        manifest.license,
        manifest.terms,
    )


def read_metrics(folder: Path) -> dict[str, Any]:
    """``metrics.json``, or nothing if there is none."""
    path = folder / "metrics.json"
    if not path.exists():
        return {}
    values = read_json(manifests.read_capped(path, manifests.LARGEST_JSON), str(path), InvalidModel)
    if not isinstance(values, dict):
        raise InvalidModel(f"{path}: expected an object, got {type(values).__name__}")
    values = migrate.metrics(values)
    checked(Metrics, values, str(path), InvalidModel)
    return values


def complete(folder: Path) -> None:
    """Write what stands beside the weights: samples.png, metrics.json, README.md."""
    from genzoo.models.sampler import Sampler

    model = folders.load(folder, "cpu")
    metrics: dict[str, Any] = {"scores": []}
    if isinstance(model, Sampler):
        metrics["fingerprint"] = fingerprint(model)
        metrics["speed"] = _speed(model)
        if model.is_images:
            model.sample(16, seed=0).save(folder / "samples.png")
    write_metrics(folder, metrics)


def add_scores(folder: Path, scores: Iterable[dict[str, Any]]) -> None:
    """Put ``scores`` (name, value, protocol) in the place of those of the same names."""
    metrics, new = read_metrics(folder), list(scores)
    names_ = {s["name"] for s in new}
    kept = (s for s in metrics.get("scores", []) if s["name"] not in names_)
    metrics["scores"] = [*new, *kept]
    write_metrics(folder, metrics)


def write_metrics(folder: Path, metrics: dict[str, Any]) -> None:
    """Write ``metrics.json``, and the README.md that shows its numbers."""
    metrics = {"format": migrate.FORMAT, **metrics}
    write_whole(folder / "metrics.json", (json.dumps(metrics, indent=2) + "\n").encode())
    manifest, pictured = manifests.read_manifest(folder), (folder / "samples.png").exists()
    at_home = folder.resolve().parent == home().resolve()
    readme = render(manifest, metrics, pictured, "" if at_home else "./")
    write_whole(folder / "README.md", readme.encode())


def fingerprint(model: Any) -> str:
    """``sample(4, seed=0)`` in 8 bits, packed: whether weights and code still draw the same."""
    return base64.b64encode(zlib.compress(_four(model).tobytes(), 9)).decode()


def distance(model: Any, packed: str, beyond: int = 0) -> tuple[int, float]:
    """The largest difference, in 256ths, between a fingerprint and what ``model`` draws now, and
    the share of values that differ by more than ``beyond``.

    Raises InvalidModel if ``packed`` is no fingerprint of a model of this shape.
    """
    import numpy as np

    now = _four(model)
    try:
        # A few bytes can unpack to any number: no more than one too many.
        content = base64.b64decode(packed, validate=True)
        kept = np.frombuffer(zlib.decompressobj().decompress(content, now.size + 1), np.uint8)
    except (ValueError, zlib.error) as error:
        raise InvalidModel(f"the fingerprint is damaged: {error}") from None
    if now.size != kept.size:
        raise InvalidModel(f"the fingerprint does not have the {now.size} values the model draws")
    apart = np.abs(now.ravel().astype(int) - kept)
    return int(apart.max()), float((apart > beyond).mean())


def _four(model: Any) -> "np.ndarray":
    x: np.ndarray = model.sample(4, seed=0).tensor.clamp(0, 1).mul(255).round().byte().cpu().numpy()
    return x


def render(manifest: Manifest, metrics: dict[str, Any], pictured: bool, where: str = "") -> str:
    """The card's README.md: front matter that the Hub reads, then words for people.

    ``where``: what stands before its name for ``load``, ``./`` of a folder.
    """
    made, whole = manifest.recipe, re.split("[:,]", manifest.data)[0]  # a part's whole
    tags = ["genzoo", manifest.family, *["class-conditional"] * bool(manifest.class_names)]
    front = {
        "library_name": "genzoo",
        **_task(manifest),
        "license": manifest.license if manifest.license != "unknown" else RESTRICTED,
        "tags": tags,
    }
    if manifest.license == RESTRICTED:
        front["license_name"] = f"{whole or 'its-data'}-terms"
    if whole in PREFERRED:
        front["datasets"] = [whole]
    if scores := metrics.get("scores"):
        front["model-index"] = _index(manifest, front.get("pipeline_tag", "other"), whole, scores)
    lines = [*cards.front_matter(front), "", f"# {manifest.name}", "", _introduced(manifest)]
    lines += ["", "![uncurated samples, seed 0](samples.png)"] if pictured else []
    lines += ["", *_CODE.format(name=where + manifest.name).splitlines()]
    lines += ["", "## Made by", "", "| | |", "| --- | --- |"]
    lines += [f"| {k} | {v} |" for k, v in facts(manifest).items()]
    lines += ["", "```", made.command, "```"] if made else []
    lines += ["", "## Scores", "", *_scores(metrics)]
    lines += ["", "## Terms and limits", "", f"Weights: {manifest.license}."]
    lines += ["", f"Data: {manifest.terms}."] if manifest.terms else []
    return "\n".join([*lines, "", *_LIMITS.splitlines(), ""])


def _task(manifest: Manifest) -> dict[str, Any]:
    """The Hub's name for what it does; it has none for drawing what a class names."""
    if manifest.class_names:
        return {}
    two = "," in manifest.data  # domains
    return {"pipeline_tag": "image-to-image" if two else "unconditional-image-generation"}


def _index(
    manifest: Manifest, task: str, whole: str, scores: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The scores as the Hub's model index has them, each with its protocol."""
    found = [
        {"type": s["name"], "name": s["name"], "value": s["value"], "args": s["protocol"]}
        for s in scores
    ]
    data = {"type": whole or "unnamed", "name": manifest.data or "unnamed"}
    results = {"task": {"type": task}, "dataset": data, "metrics": found}
    return [{"name": manifest.name, "results": [results]}]


def _introduced(manifest: Manifest) -> str:
    """A sentence on what this is; the plugin's own words for its family, where it is installed."""
    summary = next((p.summary for p in families.plugins() if p.name == manifest.family), "")
    made = f", trained for {manifest.recipe.steps:,} steps" if manifest.recipe else ""
    return f"{summary or manifest.family}{made} on {manifest.data or 'unnamed data'}."


def facts(manifest: Manifest) -> dict[str, Any]:
    """What a card says of how a model was made."""
    made = manifest.recipe
    found: dict[str, Any] = {
        "family": f"{manifest.family} (revision {manifest.revision}, {manifest.plugin} "
        f"{manifest.plugin_version})",
        "data": manifest.data,
        "config": _flat(manifest.config),
        "stored as": manifest.dtype,
    }
    if made:
        found |= {
            "options": _flat(made.options),
            "steps": made.steps,
            "seed": made.seed,
            "time": f"{made.seconds / 60:.1f} minutes",
            "machine": made.machine,
            "versions": _flat(made.versions),
            "data's sha256": made.data_sha256,
        }
    return found


def _scores(metrics: dict[str, Any]) -> list[str]:
    rows = [
        f"| {s['name']} | {s['value']:g}{s.get('unit', '')}{_between(s)} | {_conditions(s)} |"
        for s in metrics.get("scores", [])
    ]
    speed = metrics.get("speed")
    if speed:
        where = speed["machine"]
        rows.append(f"| seconds for 16 samples | {speed['seconds_for_16']:g} | {where} |")
    return ["| | | protocol |", "| --- | --- | --- |", *rows] if rows else ["Not measured yet."]


def _between(score: dict[str, Any]) -> str:
    """The interval behind a value, and what real images get."""
    low, high = score.get("interval") or (None, None)
    found = "" if low is None else f" [{low:g}, {high:g}]"
    floor = score.get("floor")
    return found if floor is None else f"{found}; real images {floor:g}"


def _conditions(score: dict[str, Any]) -> str:
    told = {k: v for k, v in score["protocol"].items() if not k.endswith("sha256")}
    return _flat({**score.get("details", {}), **told})


def _flat(values: dict[str, Any]) -> str:
    return ", ".join(f"{k} {v}" for k, v in values.items() if v not in ("", [], None))


def _speed(model: Any) -> dict[str, Any]:
    from genzoo.devices import machine

    model.sample(16)
    spent = []
    for _ in range(10):  # the fastest, as what else runs here only ever slows it
        began = time.perf_counter()
        model.sample(16)
        spent.append(time.perf_counter() - began)
    return {
        "seconds_for_16": round(min(spent), 4),
        "machine": machine(model.device),
    }


def front_matter(values: dict[str, Any]) -> list[str]:
    """The lines, between two of ---, that the Hub reads at the top of a README.md.

    JSON values are YAML values, so no name can break out of its line.
    """
    return ["---", *(f"{key}: {_yaml(value)}" for key, value in values.items()), "---"]


def _yaml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_yaml(str(k))}: {_yaml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_yaml, value)) + "]"
    if isinstance(value, float):  # 1e-05 is text in YAML 1.1: a number has a point there
        text = repr(value)
        return text if "." in text else text.replace("e", ".0e")
    # Not escaped, as two escapes for one character are two there; what it cannot read goes.
    return printable(json.dumps(value, ensure_ascii=False))
