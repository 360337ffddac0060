"""Arguments that no metric depends on: refused before the measurement, or named after it."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from genzoo.errors import BadInput, argument
from genzoo.metrics import registry
from genzoo.metrics.diagnostic_metrics import NearestTrainFeatures
from genzoo.metrics.metric import Metric, SampleMetric
from genzoo.metrics.sample_metrics import INCEPTION
from genzoo.metrics.score import Score
from genzoo.metrics.subjects import ModelSubject, Subject

log = logging.getLogger("genzoo")


def unread_arguments(metrics: Sequence[Metric], given: Mapping[str, Any]) -> list[str]:
    """The names of those of the ``given`` arguments that none of the ``scores`` depends on."""
    has_opened = any(metric.real.opened for metric in metrics)
    read = {
        "features": any(_uses_features(metric, given.get("features")) for metric in metrics),
        "limit": any(_uses_limit(metric) for metric in metrics),
        "groups": any("groups" in metric.reads for metric in metrics),
        "n": any(isinstance(metric, SampleMetric) for metric in metrics),
        **dict.fromkeys(("size", "channels", "fit", "levels"), has_opened),
    }
    return [name for name, value in given.items() if value and not read[name]]


def _uses_features(metric: Metric, features: str | None) -> bool:
    """Whether these features were used; those that a metric's name chooses are others."""
    real = metric.real
    is_loaded = "features" in vars(real)  # at first use
    return "features" in metric.reads and is_loaded and real.given_features == features


def _uses_limit(metric: Metric) -> bool:
    """Whether it has counted the training samples, or compared with their statistics."""
    used = {"reference", "protocol_images"} & vars(metric.real).keys()
    return "limit" in metric.reads and bool(used)


def used_arguments(
    name: str, protocol: Mapping[str, Any], request: Mapping[str, Any]
) -> dict[str, Any]:
    """Those arguments of a ``request`` that the score ``name`` depends on by its ``protocol``: with
    the others it could not be measured alone. All, if a plugin's protocol may leave one out.
    """
    kind = _kind_of(name)
    if kind is None:
        return {**request}
    features = str(request.get("features")).split(":")
    own = "inception" if name in INCEPTION.values() else name.partition("-")[2]
    used = {
        "features": "features_sha256" in protocol
        and (own in features or kind is NearestTrainFeatures),
        "groups": "groups" in kind.reads,
        "limit": "limit" in kind.reads and "real" in protocol,
    }
    return {key: value for key, value in request.items() if used.get(key, True)}


def _kind_of(name: str) -> type[Metric] | None:
    """The class of a score's metric, if it is one of genzoo's own."""
    usual = {theirs: ours for ours, theirs in INCEPTION.items()}
    return registry.BUILT_IN.get(usual.get(name, name.partition("-")[0]))


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


def warn_of_subject(
    metrics: Sequence[Metric],
    scores: Sequence[Score],
    subject: Subject,
    given: Mapping[str, Any],
    form: Mapping[str, Any],
) -> None:
    """Warn of arguments, and settings, that none of a subject's ``scores`` depends on."""
    is_model = isinstance(subject, ModelSubject)  # a folder's own images read the form
    unread = unread_arguments(metrics, {**given, **form} if is_model else given)
    if isinstance(subject, ModelSubject) and subject.sampling:
        unread += ["sampling"] * (not any(score.sampling for score in scores))
    warn_of_unread(unread, scores)
