"""The kinds of metrics by name, the plugins' among them, and which of them a name means."""

import difflib
from collections.abc import Sequence
from typing import Any

from genzoo import families
from genzoo.errors import BadInput, UnknownName, unknown
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
from genzoo.zoo import migrate

# What a comparison tells of images where the data's classifier ships, and where it tells classes.
USUAL = (
    sample_metrics.Frechet,
    sample_metrics.Kernel,
    sample_metrics.Precision,
    sample_metrics.Recall,
)
CLASSY = (sample_metrics.ClassScore, sample_metrics.ModeKL)
OWN: dict[str, type[Metric]] = {
    metric.id: metric
    for metric in (
        *USUAL,
        *CLASSY,
        sample_metrics.Confident,
        sample_metrics.Sharpness,
        *likelihood_metrics.KINDS,
        *diagnostic_metrics.KINDS,
        *probe_metrics.KINDS,
        *inpainting_metrics.KINDS,
    )
}
_INCEPTION = {theirs: ours for ours, theirs in sample_metrics.INCEPTION.items()}
TAKEN = {*OWN, *_INCEPTION}  # no plugin's metric can have one of these names


def names() -> list[str]:
    """Every kind of metric: ours, and those of plugins."""
    return [*OWN, *(name for name in families.names("metric") if name not in TAKEN)]


def metric_class(name: str) -> type[Metric]:
    """The metric called ``name``.

    Raises UnknownName; OperationFailed where its plugin is broken.
    """
    if name in OWN:
        return OWN[name]

    def fits(found: Any) -> bool:
        whole = isinstance(found, type) and issubclass(found, SampleMetric | ModelMetric)
        return whole and getattr(found, "id", None) == name

    wanted = f"a SampleMetric or ModelMetric whose id is {name!r}"
    return families.load("metric", name, wanted, fits)


def named(wanted: Sequence[str], real: RealData) -> list[Metric]:
    """The metrics of these names against ``real``: a kind (``fd``), with its features or data
    behind it (``fd-mnist``), or what the field calls some of them (``fid``, ``kid``, ``is``).
    Raises BadInput, UnknownName.
    """
    if not all(wanted) or not wanted:
        raise BadInput("no metric is named there: leave metrics out for the usual ones")
    found = [_named(name, real) for name in dict.fromkeys(wanted)]
    return list({metric.name: metric for metric in found}.values())


def usual(real: RealData) -> list[Metric]:
    """What can be said of any images where the data's features are at hand."""
    if not real.has_features:
        return []
    kinds = [*USUAL, *(CLASSY if real.features.outputs else ()), sample_metrics.Sharpness]
    return [metric(real) for metric in kinds]


def _named(name: str, real: RealData) -> Metric:
    if name in _INCEPTION:
        return metric_class(_INCEPTION[name])(real.seen_by("inception"))
    known = names()
    if name in known:
        return metric_class(name)(real)
    for one in known:
        rest = name.removeprefix(f"{one}-")
        if rest == name:
            continue
        if rest in (real.data, real.features_name):
            return metric_class(one)(real)
        if rest in (*classifiers.names(), *real_data.BORROWED, "inception"):
            return metric_class(one)(real.seen_by(rest))
    if (new := migrate.metric_name(name)) != name:
        raise UnknownName(f"the metric {name!r} is now called {new!r}")
    full = [f"{one}-{real.features_name}" for one in known]
    near = difflib.get_close_matches(name, full)
    hint = "Type genzoo metrics to see all."
    raise unknown("metric", name, [*known, *_INCEPTION, *near], hint)
