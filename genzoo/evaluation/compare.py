"""compare: which of several models is better, by which metric and how certainly."""

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from genzoo import devices
from genzoo.devices import usual_torch
from genzoo.errors import BadInput
from genzoo.evaluation.choice import choose_models
from genzoo.evaluation.comparison import BATCH, Comparison, ModelEntry
from genzoo.evaluation.evaluate import (
    check_arguments,
    choose_metrics,
    measure,
    real_for,
)
from genzoo.evaluation.seeds import training_of
from genzoo.evaluation.training_data import ReferenceData, reference_data, training_form
from genzoo.evaluation.unread import refuse_unread, unread_arguments, warn_of_unread
from genzoo.metrics.metric import Metric, ModelMetric
from genzoo.metrics.score import Score, verdicts
from genzoo.metrics.subjects import ModelSubject
from genzoo.models.arguments import checked_arguments
from genzoo.models.checks import checked_seed
from genzoo.models.kinds import SHOWN
from genzoo.models.model import Model
from genzoo.models.sampler import Progress
from genzoo.models.samples import Images, Points, Signals
from genzoo.runs.plan import other_form
from genzoo.zoo import card as cards
from genzoo.zoo import manifest as manifests
from genzoo.zoo import names

log = logging.getLogger("genzoo")
USUAL = {"fit": "crop", "levels": "the set's own"}  # of images, without options
ROUNDS, SAMPLES = 7, 4000


@checked_arguments
@usual_torch()
def compare(
    *models: str | Path | Model,
    data: Any = None,
    n: int = SAMPLES,
    seed: int = 0,
    sampling: Mapping[str, Any] | None = None,
    metrics: str | Sequence[str] | None = None,
    features: str | None = None,
    groups: int | None = None,
    root: str | Path | None = None,
    device: "str | torch.device" = "auto",
    progress: Progress | None = None,
) -> Comparison:
    """Rank models by scores of ``n`` samples each, with one seed; needs no data set by default.

    Models that differ in their training seed alone stand for their family: families of several
    seeds are ranked, too.

    ``models``: two or more cards, folders, families or loaded models; a family means its model on
    ``data``, or on the first data set that all have in common. ``sampling``: settings of
    ``sample``, of one model, ``{"./fm": {"steps": 20}}``, or of all models that have them,
    ``{"steps": 20}``. ``metrics``: names like ``fd``, ``nll``; by default those of their kind; a
    model that a metric does not apply to has no score. ``features``, ``groups``: as in
    `genzoo.evaluate`. A loaded model computes as it was loaded, say in bfloat16.
    ``progress(model, samples done, n)``. Raises BadInput, UnknownName, InvalidModel.
    """
    check_arguments(n=n, groups=groups, metrics=metrics, features=features)
    checked_seed(seed)
    chosen = [names.named(model) for model in models]
    any_data = metrics is not None or features is not None
    folders, data, reason = choose_models(chosen, data, any_data=any_data)
    subjects = [_loaded(name, folder, device) for name, folder in folders.items()]
    for subject, given_model in zip(subjects, models, strict=True):
        if isinstance(given_model, Model):
            subject.model.execution = given_model.execution
    _check_alike(subjects)
    subjects = _with_settings(subjects, [*map(str, chosen)], sampling or {})
    reference = _reference(subjects, data, root)
    real = real_for(subjects[0], reference, features, root=root, groups=groups, progress=progress)
    used_metrics = choose_metrics(real, subjects[0], metrics)
    given = {"features": features, "groups": groups, "n": n if n != SAMPLES else None}
    scores = _scores(subjects, used_metrics, n, seed, given, progress)
    return Comparison(
        reference.name,
        reason,
        n,
        seed,
        devices.machine(subjects[0].model.device),
        tuple(_entry(s, seed, spent) for s, spent in zip(subjects, _timed(subjects), strict=True)),
        {metric.name: metric.about for metric in used_metrics},
        {name: tuple(column) for name, column in scores.items()},
        {name: tuple(verdicts(column)) for name, column in scores.items()},
    )


def _scores(
    subjects: list[ModelSubject],
    metrics: Sequence[Metric],
    n: int,
    seed: int,
    given: Mapping[str, Any],
    progress: Progress | None,
) -> dict[str, list[Score | None]]:
    """Each metric's scores, one for each model. ``given``: arguments that must have an effect."""
    scores: dict[str, list[Score | None]] = {metric.name: [] for metric in metrics}
    applicable = _applicable(metrics, subjects)
    refuse_unread(metrics, given)
    for subject, chosen in zip(subjects, applicable, strict=True):
        own = {s.metric: s for s in measure(subject, chosen, seed, samples=n, progress=progress)}
        for name, column in scores.items():
            column.append(own.get(name))
    first = [next(score for score in column if score) for column in scores.values()]
    warn_of_unread(unread_arguments(metrics, given), first)
    return scores


def _applicable(metrics: Sequence[Metric], subjects: list[ModelSubject]) -> list[list[Metric]]:
    """The metrics that apply to each model. Raises BadInput if one applies to none."""
    applicable: list[list[Metric]] = [[] for _ in subjects]
    for metric in metrics:
        reasons = []
        for subject, own in zip(subjects, applicable, strict=True):
            reason = metric.unsupported_reason(subject) if isinstance(metric, ModelMetric) else ""
            if reason:
                reasons.append(f"{subject.name}: {reason}")
            else:
                own.append(metric)
        if len(reasons) == len(subjects):
            raise BadInput(f"{metric.name} applies to none of the models: {'; '.join(reasons)}")
    return applicable


def _check_alike(subjects: Sequence[ModelSubject]) -> None:
    """Check that all models have one kind of samples, and signals one form. Raises BadInput."""
    first, *others = subjects
    for other in others:
        if other.kind != first.kind:
            both = f"{first.name} is of {first.kind}, {other.name} of {other.kind}"
            raise BadInput(f"{both}: they do not compare")
        if other.form != first.form:
            forms = (", ".join(f"{k} {v}" for k, v in s.form.items()) for s in (first, other))
            both = " and ".join(forms)
            raise BadInput(f"{first.name} and {other.name} differ in form ({both}): not comparable")


def _reference(
    subjects: Sequence[ModelSubject], data: Any, root: str | Path | None
) -> ReferenceData:
    """The data to compare with, opened as for the first model's training; it warns of the models
    whose training data were opened otherwise.
    """
    reference = reference_data(subjects[0], data, root)
    for subject in subjects:
        own = {**USUAL, **training_form(subject, beyond=False)}
        if text := other_form(subject.kind, own, {**USUAL, **reference.form}):
            log.warning("the data are opened otherwise than for %s: %s", subject.name, text)
    return reference


def _loaded(name: str, folder: Path, device: "str | torch.device") -> ModelSubject:
    subject = ModelSubject(name, names.load(folder, device=device), folder)
    _ = subject.sampler  # raises if the model does not sample
    return subject


def _with_settings(
    subjects: list[ModelSubject], names: list[str], sampling: Mapping[str, Any]
) -> list[ModelSubject]:
    """The subjects with their part of ``sampling``, which may call a model by the name that the
    user gave, one of ``names``, or by the one that the table shows.

    Raises BadInput for a setting that no model has, and for a name that is not compared.
    """
    own = {key: value for key, value in sampling.items() if isinstance(value, Mapping)}
    shown = [s.name if s.name not in names else n for s, n in zip(subjects, names, strict=True)]
    if strange := own.keys() - {*names, *shown}:
        hint = f"the models are {', '.join(names)}"
        raise BadInput(f"settings for {min(strange)}, which is not compared: {hint}")
    for_all = {key: value for key, value in sampling.items() if key not in own}
    if unknown := for_all.keys() - {f for s in subjects for f in s.sampler.sampling.model_fields}:
        raise BadInput(f"none of the models has a setting of sampling called {min(unknown)!r}")
    result = []
    for subject, name, alias in zip(subjects, names, shown, strict=True):
        fields = subject.sampler.sampling.model_fields
        shared = {key: value for key, value in for_all.items() if key in fields}
        settings = {**shared, **own.get(alias, {}), **own.get(name, {})}
        result.append(ModelSubject(subject.name, subject.model, subject.folder, settings))
    return result


def _timed(subjects: list[ModelSubject]) -> list[tuple[float, ...]]:
    """Seconds for 64 samples, seven times, alternating, so that a busy machine slows all alike."""
    seconds: list[list[float]] = [[] for _ in subjects]
    for _ in range(ROUNDS):
        for subject, spent in zip(subjects, seconds, strict=True):
            began = time.perf_counter()
            subject.sampler.sample(BATCH, batch_size=BATCH, **subject.sampling).tensor.cpu()
            spent.append(round(time.perf_counter() - began, 6))
    return [tuple(spent) for spent in seconds]


def _entry(subject: ModelSubject, seed: int, seconds: tuple[float, ...]) -> ModelEntry:
    folder, model = subject.folder, subject.sampler
    assert folder is not None
    manifest = manifests.read_manifest(folder)
    samples = model.sample(SHOWN[model.kind], seed=seed, **subject.sampling)
    assert isinstance(samples, Images | Points | Signals)
    return ModelEntry(
        subject.name,
        manifest.family,
        manifest.data,
        sum(p.numel() for p in model.parameters()),
        (folder / manifests.WEIGHTS).stat().st_size,
        samples,
        seconds,
        manifest.terms,
        cards.metrics_of(folder).scores or (),
        subject.sampling,
        training_of(manifest),
    )
