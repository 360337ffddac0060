"""Arguments that no metric depends on: refused before the measurement, or named after it."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from genzoo.errors import BadInput, argument
from genzoo.metrics.metric import Metric, SampleMetric
from genzoo.metrics.score import Score

log = logging.getLogger("genzoo")


def unread_arguments(metrics: Sequence[Metric], given: Mapping[str, Any]) -> list[str]:
    """The names of those of the ``given`` arguments that none of the ``scores`` depends on."""
    used = {name for metric in metrics for name in vars(metric.real)}  # each is made at first use
    has_opened = any(metric.real.opened for metric in metrics)
    read = {
        "features": "features" in used,
        "limit": bool({"reference", "protocol_images"} & used),
        "groups": any(hasattr(metric, "groups") for metric in metrics),
        "n": any(isinstance(metric, SampleMetric) for metric in metrics),
        **dict.fromkeys(("size", "channels", "fit", "levels"), has_opened),
    }
    return [name for name, value in given.items() if value and not read[name]]


def refuse_unread(metrics: Sequence[Metric], given: Mapping[str, Any]) -> None:
    """Refuse the ``given`` arguments that no metric's protocol depends on. Raises BadInput.

    A plugin's protocol may leave something out: with one, a warning after the measurement replaces
    this.
    """
    if not any(given.values()) or not all(_is_own(metric) for metric in metrics):
        return
    for metric in metrics:
        metric.check_conditions()
    if names := unread_arguments(metrics, given):
        every = " and ".join(map(argument, names))
        what = ", ".join(metric.name for metric in metrics)
        raise BadInput(f"{every} would have no effect on {what}: leave it out")


def _is_own(metric: Metric) -> bool:
    return type(metric).__module__.partition(".")[0] == "genzoo"


def warn_of_unread(names: Sequence[str], scores: Sequence[Score]) -> None:
    """Warn of options that have no effect on the ``scores``."""
    what = ", ".join(score.metric for score in scores)
    for name in names:
        log.warning("%s has no effect on %s: leave it out", argument(name), what)
