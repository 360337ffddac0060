"""Families in a comparison: models that differ in the seed of their training alone are one."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from genzoo.metrics.score import Goal, Verdict, quantile
from genzoo.zoo.manifest import Manifest

# What a reader must not take the numbers of a comparison for.
FRECHET = (
    "; it compares means and covariances, and sees no single sample: slight blur in all of them "
    "can cost more than broken ones among sharp ones"
)
MODELS = (
    "These are ranks of models, not of families: another training seed is another model. Give "
    "folders of several training seeds of each family for ranks of families."
)
FAMILIES = "Families: mean over training seeds +- standard deviation; seeds count, not samples."


def is_frechet(metric: str) -> bool:
    """Whether a metric of this name is a Frechet distance."""
    return metric.partition("-")[0] in ("fd", "fid")


class Training(NamedTuple):
    """How a model was trained: ``recipe``, a hash of all but the ``seed``; "" if not known."""

    recipe: str = ""
    seed: int = 0


class SeedGroup(NamedTuple):
    """Models of one recipe and several seeds. ``rows``: their places in the comparison."""

    name: str
    rows: tuple[int, ...]


class Spread(NamedTuple):
    """A metric's ``values`` over the training seeds of a group, ``(k,)``."""

    values: np.ndarray
    verdict: Verdict

    def __str__(self) -> str:
        mean, deviation = self.values.mean(), self.values.std(ddof=1)
        return f"{mean:.3g} +- {deviation:.2g}"


def training_of(manifest: Manifest) -> Training:
    """How the model of ``manifest`` was trained."""
    if (recipe := manifest.recipe) is None:
        return Training()
    fields = "data_sha256 options steps phases precision stages"
    told = {name: recipe.model_dump(mode="json")[name] for name in fields.split()}
    content = [manifest.family, manifest.config, told]
    text = json.dumps(content, sort_keys=True, default=str)
    return Training(hashlib.sha256(text.encode()).hexdigest(), recipe.seed)


def seed_groups(families: Sequence[str], trainings: Sequence[Training]) -> list[SeedGroup]:
    """The groups of at least two models that differ in their seed alone, named by their family."""
    rows: dict[str, list[int]] = {}
    for row, training in enumerate(trainings):
        if training.recipe:
            rows.setdefault(training.recipe, []).append(row)
    several = [own for own in rows.values() if len({trainings[row].seed for row in own}) > 1]
    names = [families[own[0]] for own in several]
    return [
        SeedGroup(name if names.count(name) == 1 else f"{name} ({i + 1})", tuple(own))
        for i, (name, own) in enumerate(zip(names, several, strict=True))
    ]


def spreads(groups: Iterable[np.ndarray], goal: Goal) -> list[Spread]:
    """A metric's values of each group ``(k,)``, k at least 2, with a verdict.

    A group is better than another if the interval of the difference of their means says so:
    Welch's, with the degrees of freedom of the smaller group, which is on the safe side. Seeds are
    what varies, however many samples each value is of.
    """
    values = [np.asarray(group, dtype=np.float64) for group in groups]
    if len(values) < 2:
        return [Spread(group, "not ranked") for group in values]
    bad = [_badness(group, goal) for group in values]
    best = min(range(len(bad)), key=lambda i: bad[i].mean())
    against: list[Verdict] = [
        "worse" if i != best and _differ(group, bad[best]) else "can't tell"
        for i, group in enumerate(bad)
    ]
    if all(verdict == "worse" for i, verdict in enumerate(against) if i != best):
        against[best] = "better"
    return [Spread(group, verdict) for group, verdict in zip(values, against, strict=True)]


def _badness(values: np.ndarray, goal: Goal) -> np.ndarray:  # lower is better
    if goal == "near_one":
        return np.abs(values - 1)
    return values if goal == "lower" else -values


def _differ(one: np.ndarray, other: np.ndarray) -> bool:
    error = np.sqrt(one.var(ddof=1) / len(one) + other.var(ddof=1) / len(other))
    freedom = min(len(one), len(other)) - 1
    return bool(abs(one.mean() - other.mean()) > quantile(freedom) * error)
