"""The contract of every metric: the same samples give the same number, with its protocol."""

import math
from functools import partial
from typing import Any, get_args

import numpy as np
import torch

from genzoo.errors import BadInput, OperationFailed, install_command
from genzoo.evaluation.evaluate import evaluate
from genzoo.evaluation.unread import unread_arguments
from genzoo.metrics.metric import SampleMetric
from genzoo.metrics.score import Goal
from genzoo.models.randomness import Noise
from genzoo.testing.contract import Broken, Contract, require, require_error, require_json
from genzoo.testing.metric_case import MODELS, Case, opened

METRIC = Contract("metric", opened)


@METRIC.check
def _has_id_goal_and_description(case: Case) -> None:
    require(
        case.metric_class.id == case.name,
        f"id must be {case.name!r}, the name of its entry point, got {case.metric_class.id!r}",
    )
    goals = get_args(Goal)
    require(
        case.metric_class.goal in goals,
        f"goal must be one of {goals}, got {case.metric_class.goal!r}",
    )
    require(
        getattr(case.metric_class, "about", ""),
        "about must be a short description, got an empty one",
    )
    name = case.metric.name
    fits = isinstance(name, str) and f"{name}-".startswith(f"{case.name}-")
    require(fits, f"name must be like {case.name}-DATA or {case.name}-FEATURES, got {name!r}")


@METRIC.check
def _measures_the_kinds_that_it_names(case: Case) -> str | None:
    kinds = case.metric_class.kinds
    known = isinstance(kinds, tuple) and kinds and {*kinds} <= {*MODELS}
    require(known, f"kinds must be a tuple of {', '.join(MODELS)}, got {kinds!r:.80}")
    for kind in kinds:
        other = case.of(kind)
        try:
            reason = other.unsupported_reason()
            if reason is None:
                value = other.first_score.value
                require(math.isfinite(value), f"the score of synthetic {kind} is {value}")
            elif issubclass(case.metric_class, SampleMetric):
                require(kind == kinds[0], f"kinds names {kind}, which it refuses: {reason}")
        except OperationFailed as error:
            if install_command("audio") in str(error):
                return "needs torchaudio"
            raise Broken(f"{kind}: {error}") from error
    return None


@METRIC.check
def _conditions_are_json(case: Case) -> None:
    conditions = case.metric.conditions()
    require(isinstance(conditions, dict), f"conditions must return a dict, got {conditions!r:.80}")
    require_json(conditions, "the result of conditions")
    keys = {"data", "features"} & conditions.keys()
    require(keys, "conditions must name data or features: else scores on two sets are ranked")


@METRIC.check
def _gives_a_finite_score(case: Case) -> str | None:
    if reason := case.unsupported_reason():
        return reason
    try:
        score = case.first_score
    except OperationFailed as error:  # its message says what is wrong
        raise Broken(str(error)) from error
    require(math.isfinite(score.value), f"the score is {score.value}")
    require(np.isfinite(score.parts).all(), "parts are not finite")
    require(
        score.metric == case.metric.name,
        f"the score's name is {score.metric!r}, the metric's {case.metric.name!r}",
    )
    require(score.goal == case.metric_class.goal, f"the score's goal is {score.goal!r}")
    require_json(score.record(), "the score")
    require(score.floor is None or math.isfinite(score.floor), f"floor is {score.floor}")
    return None


@METRIC.check
def _is_reproducible(case: Case) -> str | None:
    if reason := case.unsupported_reason():
        return reason
    one, two = case.first_score, case.score()
    require(
        np.array_equal(one.parts, two.parts), f"the same samples give {one.value}, then {two.value}"
    )
    require(one.protocol == two.protocol, "the same samples give two protocols")
    return None


@METRIC.check
def _does_not_depend_on_the_batch(case: Case) -> str | None:
    """`evaluate` extracts features batch by batch."""
    if not isinstance(case.metric, SampleMetric):
        return "is a metric of models"
    x = case.samples()[:50]
    whole = case.metric.extract(x)
    require(len(whole) == len(x), f"extract returns {len(whole)} rows for {len(x)} {case.kind}")
    parts = np.concatenate([case.metric.extract(part) for part in x.split(20)])
    close = parts.shape == whole.shape and np.allclose(parts, whole, atol=1e-4, rtol=1e-4)
    require(
        close, "extract depends on the batch: a sample's features may not depend on other samples"
    )
    return None


@METRIC.check
def _parts_depend_on_n_alone(case: Case) -> str | None:
    """Otherwise the parts of two models would not form pairs."""
    if not isinstance(case.metric, SampleMetric):
        return "is a metric of models"
    features = (case.metric.extract(case.samples(seed)) for seed in (0, 1))
    counts = [len(case.metric.estimate(one).parts) for one in features]
    require(counts[0] == counts[1], f"{case.n} samples give {counts} parts with two seeds")
    return None


@METRIC.check
def _refuses_invalid_pixels(case: Case) -> str | None:
    metric = case.metric
    if not isinstance(metric, SampleMetric):
        return "is a metric of models"
    beyond = [] if case.kind == "points" else [("a value of 2", 2.0)]
    for what, wrong in (("NaN", torch.nan), *beyond):
        x = case.samples()
        x.view(-1)[0] = wrong
        require_error(partial(metric, x), BadInput, f"{case.kind} with {what} must be refused")
    return None


@METRIC.check
def _features_differ_between_images(case: Case) -> str | None:
    """Constant features measure nothing. (The scores of two sets may be equal.)"""
    if not isinstance(case.metric, SampleMetric):
        return "is a metric of models"
    noise = Noise(0, range(20), "noise").uniform(*case.subjects[0].model.shape)
    features = case.metric.extract(torch.cat([case.samples()[:20], noise]))
    constant = all(np.array_equal(row, features[0]) for row in features)
    require(not constant, f"extract returns the same for all {case.kind}, even for noise")
    return None


@METRIC.check
def _works_in_evaluate(case: Case) -> str | None:
    if reason := case.unsupported_reason():
        return reason
    options: dict[str, Any] = {"data": case.subject.data, "device": "cpu"}
    features = {"features": case.features}
    if not unread_arguments([case.metric], features):  # it was measured: what it used is known
        options |= features
    n = case.n if isinstance(case.metric, SampleMetric) else None
    (score,) = evaluate(case.subject.model, metrics=case.name, n=n, **options).scores
    require(score.metric == case.metric.name, f"evaluate returns the score {score.metric}")
    return None
