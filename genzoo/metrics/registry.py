"""Metrics by name: genzoo's own and those of plugins."""

import difflib
from collections.abc import Sequence
from operator import attrgetter
from typing import Any, NamedTuple

from genzoo import families
from genzoo.errors import BadInput, GenzooError, UnknownName, see_all, unknown
from genzoo.features import classifiers
from genzoo.metrics import (
    diagnostic_metrics,
    inpainting_metrics,
    likelihood_metrics,
    probe_metrics,
    real_data,
    sample_metrics,
)
from genzoo.metrics.metric import Metric, ModelMetric, SampleMetric
from genzoo.metrics.real_data import RealData
from genzoo.schemas import Kind
from genzoo.text import Records
from genzoo.zoo import installed, migrate

# The default metrics of images; the second ones need a classifier with classes.
IMAGE_METRICS = (
    sample_metrics.Frechet,
    sample_metrics.Kernel,
    sample_metrics.Precision,
    sample_metrics.Recall,
)
CLASS_METRICS = (sample_metrics.ClassScore, sample_metrics.ModeKL)
# The default metrics of other kinds, in the features of `real_data.FEATURES_OF`.
DEFAULTS: dict[Kind, tuple[type[SampleMetric], ...]] = {
    "signals": IMAGE_METRICS,
    "points": (sample_metrics.Energy, sample_metrics.Precision, sample_metrics.Recall),
}
BUILT_IN: dict[str, type[Metric]] = {
    metric.id: metric
    for metric in (
        *IMAGE_METRICS,
        *CLASS_METRICS,
        sample_metrics.Density,
        sample_metrics.Coverage,
        sample_metrics.Energy,
        sample_metrics.Confident,
        sample_metrics.Sharpness,
        *likelihood_metrics.KINDS,
        *diagnostic_metrics.KINDS,
        *probe_metrics.KINDS,
        *inpainting_metrics.KINDS,
    )
}
_INCEPTION = {theirs: ours for ours, theirs in sample_metrics.INCEPTION.items()}
RESERVED = {*BUILT_IN, *_INCEPTION}  # no metric of a plugin may have one of these names


def names() -> list[str]:
    """The ids of all metrics, built-in ones first."""
    return [*BUILT_IN, *(name for name in families.names("metric") if name not in RESERVED)]


class MetricEntry(NamedTuple):
    """A metric in a list. ``of``: what it measures; ``goal``: whether more or less is better;
    ``about``: what it says, or why it cannot be loaded.
    """

    name: str
    of: str
    goal: str
    about: str


def list_metrics() -> Records[MetricEntry]:
    """The metrics: what each measures, of which kinds of samples or of a model."""
    entries = [*map(_entry, names())]
    goals = {entry.name: entry.goal for entry in entries}
    for own, usual in sample_metrics.INCEPTION.items():
        about = f"{own} in the features of the original FID"
        entries.append(MetricEntry(usual, "images", goals[own], about))
    table = {"name": "name", "of": "of", "goal": "goal", "": "about"}
    return Records(entries, {head: attrgetter(field) for head, field in table.items()})


def _entry(name: str) -> MetricEntry:
    try:
        metric = metric_class(name)
    except GenzooError as error:  # a broken plugin, or two plugins with one name
        return MetricEntry(name, "", "", str(error))
    of = "a model" if issubclass(metric, ModelMetric) else ", ".join(metric.kinds)
    return MetricEntry(name, of, metric.goal or "", metric.about)


def metric_class(name: str) -> type[Metric]:
    """The class of the metric with the id ``name``.

    Raises UnknownName; OperationFailed if its plugin is broken.
    """
    if name in BUILT_IN:
        return BUILT_IN[name]

    def fits(value: Any) -> bool:
        is_metric = isinstance(value, type) and issubclass(value, SampleMetric | ModelMetric)
        return is_metric and getattr(value, "id", None) == name

    expected = f"a SampleMetric or ModelMetric whose id is {name!r}"
    return families.load("metric", name, expected, fits)


def create(ids: Sequence[str], real: RealData) -> list[Metric]:
    """The metrics with these names, which compare with ``real``: an id (``fd``), an id with the
    features or the data (``fd-mnist``), or the usual name of one (``fid``, ``kid``, ``is``).
    Raises BadInput, UnknownName.
    """
    if not all(ids) or not ids:
        raise BadInput("an empty metric name: leave metrics out for the default ones")
    metrics = [_create(name, real) for name in dict.fromkeys(ids)]
    return list({metric.name: metric for metric in metrics}.values())


def defaults(real: RealData) -> list[Metric]:
    """The metrics of any samples of a kind, where the data have features."""
    if not real.has_features:
        return []
    if real.kind != "images":
        return [metric(real) for metric in DEFAULTS[real.kind]]
    kinds = [
        *IMAGE_METRICS,
        *(CLASS_METRICS if real.features.outputs else ()),
        sample_metrics.Sharpness,
    ]
    return [metric(real) for metric in kinds]


def _create(name: str, real: RealData) -> Metric:
    if name in _INCEPTION:
        return metric_class(_INCEPTION[name])(real.with_features("inception"))
    known = names()
    if name in known:
        return metric_class(name)(real)
    for one in known:
        rest = name.removeprefix(f"{one}-")
        if rest == name:
            continue
        if rest in (real.data, real.features_name):
            return metric_class(one)(real)
        direct = real_data.FEATURES_OF.values()
        if rest in (*classifiers.names(), *real_data.BORROWED, *direct, "inception"):
            return metric_class(one)(real.with_features(rest))
    if (new := migrate.metric_name(name)) != name:
        raise UnknownName(f"the metric {name!r} is now called {new!r}")
    full = [f"{one}-{real.features_name}" for one in known]
    near = difflib.get_close_matches(name, full)
    hint = installed.hint(see_all("list metrics"))
    raise unknown("metric", name, [*known, *_INCEPTION, *near], hint)
