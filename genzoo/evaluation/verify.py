"""verify: whether a model still generates the samples and gets the scores on its card."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any, Literal, final

import torch
from pydantic import Field

from genzoo.data import register
from genzoo.devices import usual_torch
from genzoo.errors import (
    DataMissing,
    GenzooError,
    InvalidModel,
    NetworkError,
    OperationFailed,
    argument,
    article,
    command,
)
from genzoo.evaluation.evaluate import evaluate
from genzoo.evaluation.unread import used_arguments
from genzoo.files import expanded, home
from genzoo.metrics.score import Score
from genzoo.models.arguments import checked_arguments
from genzoo.models.model import Model
from genzoo.models.sampler import Progress, Sampler
from genzoo.schemas import Count, Name, Schema, checked
from genzoo.text import Records, pairs
from genzoo.zoo import card, manifest, names
from genzoo.zoo import folder as folders
from genzoo.zoo.manifest import Measured, Settings
from genzoo.zoo.readme import score_name

State = Literal["ok", "differs", "skipped"]
# Other machines round differently, by a level or two of 256. Where a model samples levels, rounding
# can change one level, and with it everything sampled after it.
LEVELS, SHARE = 2, 0.01


class Request(Schema, use_attribute_docstrings=False):
    """The arguments of ``evaluate`` that a card stores."""

    metrics: Name
    data: Name | None = None
    data_sha256: register.Sha256 | None = None
    n: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    sampling: Settings | None = None
    features: Name | None = None
    groups: Count | None = None
    limit: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    size: Count | register.Text | None = None
    channels: Count | None = None
    fit: register.Text | None = None
    levels: register.Text | None = None


@final
@dataclass(frozen=True)
class Check:
    """The comparison of one number on a card with a new measurement; ``reason``: why it failed."""

    name: str
    state: State
    card: float | None = None
    now: float | None = None
    tolerance: float | None = None
    reason: str = ""


@checked_arguments
@usual_torch()
def verify(
    name: str | Path | Model,
    *,
    data: str | Path | None = None,
    root: str | Path | None = None,
    device: "str | torch.device" = "cpu",
    progress: Progress | None = None,
) -> Records[Check]:
    """Measure the numbers on a model's card again, each with its own protocol.

    The fingerprint comes first and needs no data. A number whose data are missing is skipped;
    nothing is downloaded. A card chooses named data sets only; its folder is found by its hash if
    it was used on this machine, or is ``data``. ``root``: the folder of data sets, else
    $GENZOO_DATA. Raises UnknownName, InvalidModel.
    """
    folder = names.find(names.named(name))
    manifest.read_manifest(folder)  # raises if the folder holds no model
    metrics = card.metrics_of(folder)
    checks = [_fingerprint_check(folder, metrics.fingerprint, device)]
    for score in metrics.scores or ():
        checks.append(_score_check(folder, score, data, root, device, progress))
    return Records(checks, TABLE)


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.5g}"


TABLE: dict[str, Callable[[Check], Any]] = {
    "number": attrgetter("name"),
    "state": attrgetter("state"),
    "card": lambda check: _short(check.card),
    "now": lambda check: _short(check.now),
    "": attrgetter("reason"),
}


def takes_data(name: str | Path) -> bool:
    """Whether a score on the card was measured on data that only the user can name."""
    scores = card.metrics_of(names.find(name)).scores or ()
    return any(_is_own(score.request) for score in scores if score.request)


def _is_own(request: Mapping[str, Any]) -> bool:
    data = request.get("data")
    return isinstance(data, str) and not (
        request.get("data_sha256") is None and register.is_named(data)
    )


def _fingerprint_check(folder: Path, packed: str | None, device: "str | torch.device") -> Check:
    name = "fingerprint"
    if packed is None:
        return Check(name, "skipped", reason="the card has none")
    model = folders.load_folder(folder, device)
    if not isinstance(model, Sampler):
        return Check(name, "skipped", reason=f"{article(model)} does not sample")
    levels, share = card.distance(model, packed, LEVELS)
    if levels <= LEVELS or (model.in_raster_order and share <= SHARE):
        return Check(name, "ok", 0, levels, LEVELS)
    reason = f"{share:.1%} of the values differ by up to {levels} of 256 levels"
    return Check(name, "differs", 0, levels, LEVELS, reason)


def _score_check(
    folder: Path,
    score: Measured,
    data: str | Path | None,
    root: str | Path | None,
    device: "str | torch.device",
    progress: Progress | None,
) -> Check:
    name, value, tolerance = score_name(score), score.value, score.tolerance
    if score.request is None or tolerance is None:
        return Check(name, "skipped", value, reason="the card stores no request to repeat")
    try:
        request = checked(Request, score.request, f"the card's request of {name}", InvalidModel)
        if ":" in (request.features or ""):
            call = command("evaluate", folder.name, features=request.features)
            hint = f"if you trust it, run {call}"
            reason = f"a card may not choose code to run: {hint}"
            return Check(name, "skipped", value, reason=reason)
        arguments = request.model_dump(exclude_none=True, exclude={"data_sha256"})
        arguments = used_arguments(score.name, score.protocol, arguments)  # 0.1 stored all
        arguments |= _data_of(request, data)
        (now,) = evaluate(
            folder, **arguments, root=_data_root(root), device=device, progress=progress
        ).scores
    except (DataMissing, NetworkError, OperationFailed) as error:
        return Check(name, "skipped", value, tolerance=tolerance, reason=str(error))
    except GenzooError as error:
        return Check(name, "differs", value, tolerance=tolerance, reason=str(error))
    return _compared(score, now)


def _data_of(request: Request, data: str | Path | None) -> dict[str, Any]:
    """The data for a request: named, found by their hash, or the user's ``data``. DataMissing."""
    named = request.data_sha256 is None and register.is_named(request.data or "")
    if request.data is None or named:
        return {}
    if data is not None:
        return {"data": data}
    if place := register.find(request.data_sha256):
        form = {k: v for k, v in place.form.items() if k in ("size", "channels", "fit", "levels")}
        return {"data": register.to_open(place.data), **form}
    what = f"its data are the folder {register.label(request.data)!r}"
    why = "a card may not choose folders to open"
    raise DataMissing(
        f"{what}, which this machine does not know ({why}): give {argument('data', 'FOLDER')}"
    )


def _compared(score: Measured, now: Score) -> Check:
    name, value, protocol = score_name(score), score.value, score.protocol
    # A card can lower the tolerance, but not raise it.
    tolerance = min(score.tolerance or 0, now.tolerance)
    keys = [k for k in {**protocol, **now.protocol} if protocol.get(k) != now.protocol.get(k)]
    if (score.name, score.goal or now.goal) != (now.metric, now.goal):
        reason = f"its request gives {now.metric} with the goal {now.goal}"
    elif score.record().get("sampling", {}) != now.sampling:
        reason = f"its request samples with {pairs(now.sampling) or 'the defaults'}"
    elif keys:
        reason = f"its protocol differs in {', '.join(keys)}"
    elif not abs(now.value - value) <= tolerance:
        reason = f"it differs by {abs(now.value - value):.3g}, the tolerance is {tolerance:g}"
    elif not _same_bounds(score, now, tolerance):
        reason = f"its interval or floor differs from {now.interval}, {now.floor}"
    else:
        return Check(name, "ok", value, now.value, tolerance)
    return Check(name, "differs", value, now.value, tolerance, reason)


def _same_bounds(score: Measured, now: Score, tolerance: float) -> bool:
    """Whether interval and floor on the card, of five digits, equal the new ones, within twice the
    tolerance.
    """
    floor = score.floor if "floor" in score.model_fields_set else now.floor
    card_bounds = [*(score.interval or (None, None)), floor]
    bounds = [*(now.interval or (None, None)), now.floor]
    return all(
        a is b is None
        or (a is not None and b is not None and abs(a - b) <= 2 * tolerance + abs(b) / 1e4)
        for a, b in zip(card_bounds, bounds, strict=True)
    )


def _data_root(root: str | Path | None) -> str | Path | None:
    """The folder of data sets; nothing is downloaded into a given one."""
    if folder := root or os.environ.get("GENZOO_DATA"):
        return expanded(folder)
    (downloads := home() / "downloads").mkdir(parents=True, exist_ok=True)
    return downloads
