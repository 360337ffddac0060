"""evaluate: scores of a model, or of a folder of images, by any metric."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from genzoo import devices, families
from genzoo.data.register import IMAGES
from genzoo.devices import usual_torch
from genzoo.errors import BadInput, argument
from genzoo.evaluation.training_data import ReferenceData, reference_data, warn_of_form
from genzoo.evaluation.unread import (
    refuse_unread,
    used_arguments,
    warn_of_subject,
)
from genzoo.files import write_json
from genzoo.metrics import registry
from genzoo.metrics.diagnostic_metrics import TranslationAccuracy, TranslationPSNR
from genzoo.metrics.metric import Metric, ModelMetric, SampleMetric
from genzoo.metrics.real_data import RealData, check_finite, opened_images
from genzoo.metrics.sample_metrics import FeatureMetric, Kernel
from genzoo.metrics.score import Score
from genzoo.metrics.subjects import DatasetSubject, ModelSubject, Subject
from genzoo.models.abilities import Translator
from genzoo.models.arguments import checked_arguments
from genzoo.models.checks import check_count, check_place, checked_seed, fresh_seed
from genzoo.models.model import Model
from genzoo.models.sampler import Progress
from genzoo.models.shared_samples import in_order
from genzoo.schemas import Kind
from genzoo.text import columns, html_table, pairs
from genzoo.version import VERSION
from genzoo.zoo import card, installed, names

SAMPLES = 10_000
_HEADS = ("", "value", "95 %", "real", "")
log = logging.getLogger("genzoo")


@final
@dataclass(frozen=True)
class Evaluation:
    """The scores of one model, or of a folder's images, one for each metric.

    ``folder``: the model's, if it has one. ``request``: the arguments that repeat the
    measurement. ``features``: those that a metric's name chose, by the metric.
    """

    name: str
    data: str
    scores: tuple[Score, ...]
    descriptions: dict[str, str]
    request: dict[str, Any]
    machine: str
    folder: Path | None = None
    weights_sha256: str | None = None
    features: Mapping[str, str | None] = field(default_factory=dict)

    def records(self) -> list[dict[str, Any]]:
        """The scores as a card stores them: each with its request, machine and versions."""
        where = {"machine": self.machine, "versions": versions()}
        return [
            {**score.record(), "request": self._request(score), **where} for score in self.scores
        ]

    def _request(self, score: Score) -> dict[str, Any]:
        """The arguments that measure this score alone."""
        name, chosen = score.metric, self.features.get(score.metric)
        request = {**self.request, "metrics": name} | ({"features": chosen} if chosen else {})
        sampling = {"sampling": score.sampling} if score.sampling else {}
        return {**used_arguments(name, score.protocol, request), **sampling}

    def record(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {"genzoo": VERSION, "name": self.name, "data": self.data, "scores": self.records()}

    def __str__(self) -> str:
        return "\n".join(columns([_HEADS, *self._rows()]))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_table(self._rows(), _HEADS)

    def _rows(self) -> list[list[str]]:
        return [_row(score, self.descriptions[score.metric]) for score in self.scores]

    def save(self, path: str | Path) -> Path:
        """Write all of it as a ``.json``. Raises BadInput, OperationFailed."""
        return write_json(path, self.record())

    def write(self) -> Path:
        """Store the scores in the model's card, in place of those of the same names.

        Raises BadInput for images, and for a model that was in memory, where its weights may have
        been changed, or whose folder was replaced meanwhile.
        """
        if self.folder is None:
            if self.name.startswith(IMAGES):
                raise BadInput(f"{self.name} is images, and only a model has a card")
            how = "is a model in memory, without a card (give its name or folder)"
            raise BadInput(f"{self.name} {how}")
        card.add_scores(self.folder, self.records(), self.weights_sha256)
        return self.folder


@checked_arguments
@usual_torch()
def evaluate(
    subject: "str | Path | Model",
    *,
    data: Any = None,
    metrics: str | Sequence[str] | None = None,
    n: int | None = None,
    seed: int | None = 0,
    sampling: Mapping[str, Any] | None = None,
    features: str | None = None,
    groups: int | None = None,
    limit: int | None = None,
    size: int | str | None = None,
    channels: int | None = None,
    root: str | Path | None = None,
    device: "str | torch.device" = "auto",
    progress: Progress | None = None,
    fit: str | None = None,
    levels: str | None = None,
) -> Evaluation:
    """Measure a model (a card, a family, a folder, or one in memory) or ``images:FOLDER``.

    ``data``: the reference data, a data set's name, a folder, ``images:FOLDER``, or what
    `genzoo.data.in_memory` takes (an array, a tensor, a torch Dataset); by default the training
    data. ``metrics``: names like ``fd``, ``fid``, ``nll``; by default those of its kind.
    ``n``: the number of samples, or of test images for a likelihood; by default 10,000 samples, or
    all images. ``sampling``: settings of ``sample``, like ``{"truncation": 0.7}``. ``features``: as
    in `genzoo.metrics.load_features`. ``groups``: disjoint groups that feature distances are
    estimated on. ``limit``: training images to use where no reference ships. ``size``,
    ``channels``, ``fit``, ``levels``: how images of folders are opened, as in `genzoo.data.open`;
    by default as for the training. Raises BadInput, UnknownName,
    InvalidModel, OperationFailed, NetworkError.
    """
    form: dict[str, Any] = {"size": size, "channels": channels, "fit": fit, "levels": levels}
    given: dict[str, Any] = {"features": features, "groups": groups, "limit": limit}
    check_arguments(metrics=metrics, n=n, size=size, channels=channels, **given)
    seed = fresh_seed() if seed is None else checked_seed(seed)
    devices.device(device)  # raises; a model in memory, and images, have their own
    source = find_subject(subject, device, form, sampling)
    reference = reference_data(source, data, root)
    given_form, form = form, {key: form[key] or reference.form.get(key) for key in form}
    real = real_for(source, reference, root=root, progress=progress, **form, **given)
    chosen = choose_metrics(real, source, metrics)
    scores = measure(source, chosen, seed, samples=n, images=n, progress=progress, given=given)
    warn_of_subject(chosen, scores, source, given, given_form)
    return Evaluation(
        source.name,
        reference.name,
        tuple(scores),
        {metric.name: metric.about for metric in chosen},
        _request(reference, real, n=n, seed=seed, **form, **given),
        *_made(source),
        {metric.name: metric.real.given_features for metric in chosen},
    )


# --------------------------------------------------------------------- from arguments to the parts


def check_arguments(
    *,
    metrics: Any,
    features: Any,
    n: Any = None,
    groups: Any = None,
    limit: Any = None,
    size: Any = None,
    channels: Any = None,
) -> None:
    """Check the types of the arguments before anything is loaded. Raises BadInput."""
    counts = {"n": (n, 2), "groups": (groups, 1), "limit": (limit, 2), "channels": (channels, 1)}
    if not isinstance(size, str):
        counts["size"] = (size, 1)
    for name, (value, minimum) in counts.items():
        if value is not None:
            check_count(name, value, minimum)
    if features is not None and not isinstance(features, str):
        examples = "mnist, inception or module:object"
        raise BadInput(f"features must be a name like {examples}, got {features!r:.80}")
    is_list = isinstance(metrics, list | tuple) and all(isinstance(m, str) for m in metrics)
    if not (metrics is None or isinstance(metrics, str) or is_list):
        raise BadInput(f"metrics must be names like fd,precision or a list, got {metrics!r:.80}")


def find_subject(
    subject: "str | Path | Model",
    device: "str | torch.device",
    form: dict[str, Any],
    sampling: Mapping[str, Any] | None = None,
) -> Subject:
    """The subject for a name, a folder, a model or ``images:FOLDER``; ``form``: the size and
    channels of a folder's images; ``sampling``: a model's settings. Raises as ``evaluate``.
    """
    if isinstance(subject, str) and subject.startswith(IMAGES):
        if sampling:
            raise BadInput(f"{subject} is images, not a model: it takes no settings of sampling")
        return DatasetSubject(subject, opened_images(subject, "all", form))
    return find_model(subject, device, sampling)


def find_model(
    model: "str | Path | Model",
    device: "str | torch.device",
    sampling: Mapping[str, Any] | None = None,
) -> ModelSubject:
    """The subject for a name, a folder or a model in memory. Raises BadInput, and as ``load``."""
    if isinstance(model, Model):
        check_place(model.device, device)
        name = model.origin.model if model.origin else type(model).__name__
        return ModelSubject(name, model, None, sampling)
    loaded, folder = names.load_with_folder(model, device)
    name = folder.name if installed.is_installed(folder) else str(model)
    return ModelSubject(name, loaded, folder, sampling)


def _request(reference: ReferenceData, real: RealData, **arguments: Any) -> dict[str, Any]:
    data = {"data": reference.name, "data_sha256": reference.sha256 or real.sha256}
    return {key: value for key, value in {**data, **arguments}.items() if value is not None}


def _made(subject: Subject) -> tuple[str, Path | None, str | None]:
    """The machine that measured the subject, its folder and the hash of its weights."""
    if not isinstance(subject, ModelSubject):
        return devices.machine(torch.device("cpu")), None, None
    origin = subject.model.origin
    sha256 = origin.weights_sha256 if origin else None
    return devices.machine(subject.model.device), subject.folder, sha256


def real_for(
    subject: Subject, reference: ReferenceData, features: str | None, **options: Any
) -> RealData:
    """The real data for a subject, which must be of its kind; signals are opened in its form.

    Raises BadInput, UnknownName.
    """
    given = {key: value for key, value in options.items() if value is not None}
    warn_of_form(subject, reference, given)
    options = {**subject.form, **reference.form, **given}
    real = RealData(reference.given, features, name=reference.name, **options)
    if real.kind != subject.kind:
        what = f"{subject.name} is of {subject.kind}, but {real.data} holds {real.kind}"
        raise BadInput(f"{what}: give a data set of {subject.kind} with {argument('data')}")
    return real


def choose_metrics(
    real: RealData, subject: Subject, metrics: str | Sequence[str] | None
) -> list[Metric]:
    """The metrics by name, or the default ones of ``subject``. Raises BadInput, UnknownName."""
    if metrics is not None:
        given = metrics.split(",") if isinstance(metrics, str) else metrics
        return registry.create([name.strip() for name in given], real)
    model = subject.model if isinstance(subject, ModelSubject) else None
    if isinstance(model, Translator) and (default := _of_translator(model, real)):
        return default
    if default := registry.defaults(real):
        return default
    kinds = registry.create(["nll", "elbo", "nll_estimate"], real)
    likelihoods = [m for m in kinds if _applies(m, subject)]
    if not likelihoods:
        _ = real.features  # raises: it names what is missing
    return likelihoods


def _of_translator(model: Translator, real: RealData) -> list[Metric]:
    """The default metric of two domains; none for one data set."""
    is_paired = model.origin is None or families.get(model.origin.family).data == "paired"
    # A folder without features can only hold both parts of pairs.
    if is_paired and (real.second_domain or (real.is_folder and not real.has_features)):
        return [TranslationPSNR(real)]
    return [TranslationAccuracy(real)] if real.second_domain else []


def _applies(metric: Metric, subject: Subject) -> bool:
    if not (isinstance(metric, ModelMetric) and isinstance(subject, ModelSubject)):
        return False
    return not metric.unsupported_reason(subject)


# --------------------------------------------------------------------- extract -> estimate -> score


def measure(
    subject: Subject,
    metrics: Sequence[Metric],
    seed: int,
    *,
    samples: int | None,
    images: int | None = None,
    progress: Progress | None = None,
    given: Mapping[str, Any] = MappingProxyType({}),
) -> list[Score]:
    """The score of each metric; one pass over the samples serves all sample metrics.

    ``samples``: how many sample metrics use; ``images``: how many model metrics use; by default
    10,000 or all images of a folder, and each metric's own default. ``given``: arguments that are
    refused if no metric depends on them. Raises BadInput.
    """
    of_samples = [metric for metric in metrics if isinstance(metric, SampleMetric)]
    if samples is None:
        samples = len(subject.dataset) if isinstance(subject, DatasetSubject) else SAMPLES
    _check_metrics(subject, metrics, samples)
    refuse_unread(metrics, given)
    features = _extract(subject, of_samples, samples, seed, progress) if of_samples else {}
    scores = []
    for metric in metrics:
        if isinstance(metric, SampleMetric):
            score = metric.score(features[metric.extract], **subject.protocol(seed))
            sampling = subject.sampling if isinstance(subject, ModelSubject) else {}
        else:
            assert isinstance(metric, ModelMetric)
            assert isinstance(subject, ModelSubject)
            subject.has_sampled = False
            score = metric.score(subject, images, seed)
            sampling = subject.sampling if subject.has_sampled else {}
        scores.append(replace(score, sampling=sampling))
    return scores


def _check_metrics(subject: Subject, metrics: Sequence[Metric], samples: int) -> None:
    """Check that all ``metrics`` apply, before the first sample is drawn. Raises BadInput."""
    most: tuple[int, str] = (2, subject.name)
    for metric in metrics:
        _check_kind(subject, metric)
        if isinstance(metric, SampleMetric):
            _check_shape(subject, metric)
            most = max(most, (metric.checked_min_samples(), metric.name))
        elif not isinstance(subject, ModelSubject):
            raise BadInput(f"{metric.name} is a metric of models, but {subject.name} is images")
        elif isinstance(metric, ModelMetric):
            metric.check(subject)
        metric.check_conditions()
    minimum, name = most
    if samples < minimum:
        other = f", or kd, which needs {Kernel.min_samples:,}"
        hint = f"{argument('n', minimum)}{other if minimum > Kernel.min_samples else ''}"
        raise BadInput(f"{name} needs at least {minimum:,} samples, got {samples:,}: {hint}")


def _check_kind(subject: Subject, metric: Metric) -> None:
    """Check that the metric measures such samples. Raises BadInput."""
    kinds = kinds_of(metric)
    if subject.kind not in kinds:
        what = (
            f"{metric.name} measures {' and '.join(kinds)}, but {subject.name} is of {subject.kind}"
        )
        given = f"{argument('metrics')} and {argument('features')}"
        raise BadInput(f"{what}: leave {given} out for the default ones")


def kinds_of(metric: Metric) -> tuple[Kind, ...]:
    """The kinds of samples that a metric measures in the features that it has."""
    own = metric.real.feature_kinds if isinstance(metric, FeatureMetric) else metric.kinds
    return tuple(kind for kind in metric.kinds if kind in own)


def _check_shape(subject: Subject, metric: SampleMetric) -> None:
    """Check that the metric's features accept the samples. Raises BadInput."""
    if isinstance(subject, ModelSubject):
        _ = subject.sampler  # raises if the model does not sample
    data = metric.real.data
    check_one_set(subject, metric.real)
    shape = metric.real.input_shape
    if subject.kind != "images":
        shape = metric.real.open("train").shape
    if shape is not None and tuple(subject.shape) != tuple(shape):
        expected, got = ("x".join(map(str, s)) for s in (shape, subject.shape))
        of_folder = isinstance(subject, DatasetSubject)
        form = f"{argument('size', shape[-1])} and {argument('channels', shape[0])}"
        hint = f": {form} convert them" if of_folder else ""
        raise BadInput(f"{subject.name}: its samples are {got}, but {data} is {expected}{hint}")


def check_one_set(subject: Subject, real: RealData) -> None:
    """Check that the samples can be compared with the data: those of a translator look like the
    second of two domains. Raises BadInput.
    """
    is_translator = isinstance(subject, ModelSubject) and isinstance(subject.model, Translator)
    if real.second_domain and ("," in real.data or is_translator):
        raise BadInput(
            f"{real.data} is two domains; samples are compared with one data set: "
            f"{argument('data', real.second_domain)} takes the second"
        )


def _extract(
    subject: Subject,
    metrics: Sequence[SampleMetric],
    n: int,
    seed: int,
    progress: Progress | None = None,
) -> dict[Callable[[Tensor], np.ndarray], np.ndarray]:
    """The features of ``n`` samples by each different ``extract``."""
    owners = {metric.extract: metric for metric in reversed(metrics)}
    results: Iterator[list[np.ndarray]] = (
        [metric.features_of(x) for metric in owners.values()] for x in subject.stream(n, seed)
    )
    # A model's samples are drawn by all processes, those of a data set are only read.
    results = in_order(results) if isinstance(subject, ModelSubject) else results
    batches, done = list[list[np.ndarray]](), 0
    for batch in results:
        batches.append(batch)
        done += len(batch[0])
        if progress:
            progress(subject.name, done, n)
    columns = zip(owners, zip(*batches, strict=True), strict=True)
    features = {extract: np.concatenate(parts) for extract, parts in columns}
    for values in features.values():
        check_finite(values, f"the features of {subject.name}")
    return features


# ------------------------------------------------------------------------------------- for people


def versions() -> dict[str, str]:
    return {"genzoo": VERSION, "torch": torch.__version__.partition("+")[0]}


def protocol_line(protocol: dict[str, Any]) -> str:
    """A protocol as one line, with hashes cut to 12 digits."""
    short = {k: v[:12] if k.endswith("sha256") else v for k, v in protocol.items()}
    return ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in short.items())


def _row(score: Score, description: str) -> list[str]:
    """A line of a table: name, value, interval, floor, details or description."""
    low, high = score.interval or (None, None)
    interval = "" if low is None else f"[{low:.4g}, {high:.4g}]"
    floor = "" if score.floor is None else f"{score.floor:.4g}"
    details = "; ".join(f"{key}: {value}" for key, value in score.details.items())
    name = f"{score.metric}, {pairs(score.sampling)}" if score.sampling else score.metric
    return [name, f"{score.value:.4g}{score.unit}", interval, floor, details or description]
