"""verify: whether a model still draws what its card says, and scores what its card says."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, final

import torch
from pydantic import Field

from genzoo.errors import (
    DataMissing,
    GenzooError,
    InvalidModel,
    NetworkError,
    OperationFailed,
    article,
)
from genzoo.evaluation.evaluate import evaluate
from genzoo.files import expanded, home
from genzoo.metrics.real_data import Tell
from genzoo.metrics.score import Score
from genzoo.models.sampler import Sampler
from genzoo.schemas import Count, Name, Schema, checked
from genzoo.zoo import card, manifest, names
from genzoo.zoo import folder as folders

State = Literal["ok", "differs", "skipped"]
# Another machine rounds otherwise: a level or two of 256 in each value; where levels are drawn, a
# tie may fall the other way, and with it what is drawn after it.
LEVELS, SHARE = 2, 0.01


class Asked(Schema, use_attribute_docstrings=False):
    """What a card says was asked of ``evaluate``."""

    metrics: Name
    data: Name | None = None
    n: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    features: Name | None = None
    groups: Count | None = None
    limit: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    size: Count | None = None
    channels: Count | None = None


@final
@dataclass(frozen=True)
class Check:
    """One number of a card, measured again. ``why``: what was not as it should be."""

    what: str
    state: State
    kept: float | None = None
    found: float | None = None
    tolerance: float | None = None
    why: str = ""


def verify(
    name: str | Path,
    *,
    root: str | Path | None = None,
    device: "str | torch.device" = "cpu",
    progress: Tell | None = None,
) -> Iterator[Check]:
    """Measure again what the card of a model says, each number under its own protocol.

    First the fingerprint, which needs no data. A number whose data are not at hand is skipped:
    nothing is downloaded. ``root``: where data sets lie, else $GENZOO_DATA. Raises UnknownName,
    InvalidModel.
    """
    folder = names.find(name)
    manifest.read_manifest(folder)  # says what is wrong where there is no model
    metrics = card.read_metrics(folder)
    yield _fingerprint(folder, metrics, device)
    for score in metrics.get("scores", []):
        yield _again(folder, score, root, device, progress)


def _fingerprint(folder: Path, metrics: dict[str, Any], device: "str | torch.device") -> Check:
    packed, what = metrics.get("fingerprint"), "fingerprint"
    if packed is None:
        return Check(what, "skipped", why="the card has none")
    model = folders.load_folder(folder, device)
    if not isinstance(model, Sampler):
        return Check(what, "skipped", why=f"{article(model)} draws nothing")
    apart, share = card.distance(model, packed, LEVELS)
    good = apart <= LEVELS or (model.in_raster_order and share <= SHARE)
    why = "" if good else f"{share:.1%} of the values differ by up to {apart} of 256 levels"
    return Check(what, "ok" if good else "differs", 0, apart, LEVELS, why)


def _again(
    folder: Path,
    score: dict[str, Any],
    root: str | Path | None,
    device: "str | torch.device",
    progress: Tell | None,
) -> Check:
    name, kept, tolerance = score["name"], score["value"], score.get("tolerance")
    if score.get("asked") is None or tolerance is None:
        return Check(name, "skipped", kept, why="measured otherwise: its protocol says how")
    try:
        asked = checked(Asked, score["asked"], "what the card asks", InvalidModel)
        if ":" in (asked.features or ""):
            hint = f"if you trust it, genzoo evaluate --features {asked.features}"
            return Check(name, "skipped", kept, why=f"a card may not choose what is run: {hint}")
        told, place = asked.model_dump(exclude_none=True), _at_hand(root)
        (now,) = evaluate(folder, **told, root=place, device=device, progress=progress).scores
    except (DataMissing, NetworkError, OperationFailed) as error:
        return Check(name, "skipped", kept, tolerance=tolerance, why=str(error))
    except GenzooError as error:
        return Check(name, "differs", kept, tolerance=tolerance, why=str(error))
    return _compared(score, now)


def _compared(score: dict[str, Any], now: Score) -> Check:
    name, kept, told = (score[k] for k in ("name", "value", "protocol"))
    # A card may ask for more care, never for less: what is allowed follows from what is found.
    tolerance = min(score["tolerance"], now.tolerance)
    unlike = [k for k in {**told, **now.protocol} if told.get(k) != now.protocol.get(k)]
    if (name, score.get("goal", now.goal)) != (now.metric, now.goal):
        why = f"what it asks for is {now.metric}, {now.goal} is better"
    elif unlike:
        why = f"under another protocol now: {', '.join(unlike)}"
    elif not abs(now.value - kept) <= tolerance:
        why = f"it is {abs(now.value - kept):.3g} away, allowed are {tolerance:g}"
    elif not _around(score, now, tolerance):
        why = f"its interval and floor are another's: {now.interval}, {now.floor}"
    else:
        return Check(name, "ok", kept, now.value, tolerance)
    return Check(name, "differs", kept, now.value, tolerance, why)


def _around(score: dict[str, Any], now: Score, tolerance: float) -> bool:
    """Whether what the card says around the value is what was found, within the tolerance."""
    kept = [*(score.get("interval") or (None, None)), score.get("floor", now.floor)]
    found = [*(now.interval or (None, None)), now.floor]
    return all(
        a is b is None or (a is not None and b is not None and abs(a - b) <= 2 * tolerance)
        for a, b in zip(kept, found, strict=True)
    )


def _at_hand(root: str | Path | None) -> str | Path | None:
    """Where data sets are looked for, and not downloaded into."""
    if given := root or os.environ.get("GENZOO_DATA"):
        return expanded(given)
    (downloads := home() / "downloads").mkdir(parents=True, exist_ok=True)
    return downloads
