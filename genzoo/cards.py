"""Cards: the models that come along, found by name; what is written beside the weights."""

import base64
import json
import logging
import re
import time
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from genzoo import families, store
from genzoo.errors import BadInput, InvalidModel, Unreachable, unknown
from genzoo.files import expanded, is_folder, write_whole
from genzoo.schemas import read_json
from genzoo.store import CONFIG, DISCRIMINATOR, WEIGHTS, Manifest

if TYPE_CHECKING:
    import numpy as np
    import torch

    from genzoo.models import Model

# The data set that a bare family's name means, if a model on it is here.
PREFERRED = ("mnist", "fashion-mnist", "celeba", "cifar10")
# The Hub's word for terms that are no standard licence; load says them.
RESTRICTED = "other"
_CODE = """```python
import genzoo

genzoo.load("{name}").sample(16).save("samples.png")
```"""
_LIMITS = """Everything that it draws is synthetic, and can be wrong about its data: it is made
to teach and to compare, not to decide anything about anybody."""
_CARD = re.compile(r"^[A-Za-z0-9][\w.-]{0,95}$")
log = logging.getLogger("genzoo")
_HUB = re.compile(r"^[\w.-]+/[\w.-]+(@[\w./-]+)?$")


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
    licence: str
    terms: str


def load(
    name: str | Path, *, device: "str | torch.device" = "auto", verify: bool = True
) -> "Model":
    """A model, in evaluation mode on ``device``.

    ``name``: a card (``dcgan-mnist``), a family (its default model), or a folder: a Path, or text
    that begins with ./ ../ / or ~. Nothing in a folder is run or unpickled. Raises UnknownName,
    InvalidModel, BadInput.
    """
    folder = find(name)
    model = store.load(folder, device, verify)
    manifest = store.read_manifest(folder)
    if manifest.licence == RESTRICTED:
        _say(manifest.name, manifest.terms)
    return model


@cache
def _say(name: str, terms: str) -> None:
    """Once in a process: what a model may not be used for."""
    log.warning("%s was trained on data with terms: %s", name, terms or "ask who made it")


def names() -> list[str]:
    """The models that come along."""
    return sorted(p.parent.name for p in home().glob(f"*/{CONFIG}"))


def home() -> Path:
    """Where the cards are: beside pyproject.toml in a checkout, else in the package."""
    spec = find_spec("genzoo")
    package = Path(str(spec and spec.origin)).parent
    beside = package.parent / "model_cards"
    return beside if (package.parent / "pyproject.toml").is_file() else package / "model_cards"


def find(name: str | Path) -> Path:
    """The folder that ``name`` means; its form alone says what kind it is. Raises as ``load``."""
    if not isinstance(name, str | Path):
        raise BadInput(f"a model is a name or a folder, got a {type(name).__name__}")
    if is_folder(name):
        return expanded(name)
    name = str(name)
    if _HUB.match(name):
        raise Unreachable(f"{name}: models on the Hub cannot be loaded yet; a folder is ./{name}")
    if _CARD.match(name) and (home() / name / CONFIG).is_file():
        return home() / name
    if name in families.names():
        return home() / default(name)
    if families.known(name):
        families.get(name)  # says why it is not among the names
    known = [*names(), *families.names()]
    hint = f"Type genzoo list to see all; a folder is written ./{name[:80]}."
    raise unknown("model", name[:80], known, hint)


def default(family: str) -> str:
    """The name of the model that stands for ``family``. Raises UnknownName if none does."""
    found = models_of(family)
    if not found:
        hint = f"train one: genzoo train {family} --out my-{family}"
        raise unknown("model", family, names(), f"The family {family} has no model yet; {hint}")
    return next(iter(found.values()))


def models_of(family: str) -> dict[str, str]:
    """The family's default model on each data set that it has one for, the preferred ones first."""
    found = [(m, n) for n in names() if (m := store.read_manifest(home() / n)).family == family]
    rank = {name: i for i, name in enumerate(PREFERRED)}
    found.sort(key=lambda f: (rank.get(f[0].data, len(rank)), not f[0].default, f[1]))
    models: dict[str, str] = {}
    for manifest, name in found:
        models.setdefault(manifest.data, name)
    return models


def table() -> list[Card]:
    """A line for each card; imports no torch."""
    return [card(home() / name) for name in names()]


def card(folder: Path) -> Card:
    manifest, metrics = store.read_manifest(folder), read_metrics(folder)
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
        manifest.licence,
        manifest.terms,
    )


def read_metrics(folder: Path) -> dict[str, Any]:
    """``metrics.json``, or nothing if there is none."""
    path = folder / "metrics.json"
    if not path.exists():
        return {}
    values = read_json(store.read_capped(path, store.LARGEST_JSON), str(path), InvalidModel)
    if not isinstance(values, dict):
        raise InvalidModel(f"{path}: expected an object, got {type(values).__name__}")
    return values


def complete(folder: Path) -> None:
    """Write what stands beside the weights: samples.png, metrics.json, README.md."""
    from genzoo.models import Sampler

    model = store.load(folder, "cpu")
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
    write_whole(folder / "metrics.json", (json.dumps(metrics, indent=2) + "\n").encode())
    readme = render(store.read_manifest(folder), metrics, (folder / "samples.png").exists())
    write_whole(folder / "README.md", readme.encode())


def fingerprint(model: Any) -> str:
    """``sample(4, seed=0)`` in 8 bits, packed: whether weights and code still draw the same."""
    return base64.b64encode(zlib.compress(_four(model).tobytes(), 9)).decode()


def distance(model: Any, packed: str) -> int:
    """The largest difference, in 256ths, between a fingerprint and what ``model`` draws now.

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
    return int(np.abs(now.ravel().astype(int) - kept).max())


def _four(model: Any) -> "np.ndarray":
    x: np.ndarray = model.sample(4, seed=0).tensor.clamp(0, 1).mul(255).round().byte().cpu().numpy()
    return x


def render(manifest: Manifest, metrics: dict[str, Any], pictured: bool) -> str:
    """The card's README.md: front matter that the Hub reads, then words for people."""
    made, whole = manifest.recipe, re.split("[:,]", manifest.data)[0]  # a part's whole
    tags = ["genzoo", manifest.family, *["class-conditional"] * bool(manifest.class_names)]
    front = {
        "library_name": "genzoo",
        **_task(manifest),
        "license": manifest.licence if manifest.licence != "unknown" else RESTRICTED,
        "tags": tags,
    }
    if manifest.licence == RESTRICTED:
        front["license_name"] = f"{whole or 'its-data'}-terms"
    if whole in PREFERRED:
        front["datasets"] = [whole]
    # JSON values are YAML values, so no name can break out of its line.
    lines = ["---", *(f"{k}: {json.dumps(v)}" for k, v in front.items()), "---", ""]
    lines += [f"# {manifest.name}", "", _introduced(manifest)]
    lines += ["", "![uncurated samples, seed 0](samples.png)"] if pictured else []
    lines += ["", *_CODE.format(name=manifest.name).splitlines()]
    lines += ["", "## Made by", "", "| | |", "| --- | --- |"]
    lines += [f"| {k} | {v} |" for k, v in facts(manifest).items()]
    lines += ["", "```", made.command, "```"] if made else []
    lines += ["", "## Scores", "", *_scores(metrics)]
    lines += ["", "## Terms and limits", "", f"Weights: {manifest.licence}."]
    lines += ["", f"Data: {manifest.terms}."] if manifest.terms else []
    return "\n".join([*lines, "", *_LIMITS.splitlines(), ""])


def _task(manifest: Manifest) -> dict[str, Any]:
    """The Hub's name for what it does; it has none for drawing what a class names."""
    if manifest.class_names:
        return {}
    two = "," in manifest.data  # domains
    return {"pipeline_tag": "image-to-image" if two else "unconditional-image-generation"}


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
        f"| {s['name']} | {s['value']:g}{s.get('unit', '')} | {_flat(s['protocol'])} |"
        for s in metrics.get("scores", [])
    ]
    speed = metrics.get("speed")
    if speed:
        where = speed["machine"]
        rows.append(f"| seconds for 16 samples | {speed['seconds_for_16']:g} | {where} |")
    return ["| | | protocol |", "| --- | --- | --- |", *rows] if rows else ["Not measured yet."]


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
