"""evaluate: how good a model is, or the images of a folder, by any metric."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from genzoo import devices
from genzoo.errors import BadInput, article
from genzoo.files import is_folder
from genzoo.metrics import registry
from genzoo.metrics.metric import Metric, ModelMetric, SampleMetric
from genzoo.metrics.real_data import FOLDER_OF, RealData, Tell, check_finite, opened_images
from genzoo.metrics.sample_metrics import Kernel
from genzoo.metrics.score import Score
from genzoo.metrics.subjects import DatasetSubject, ModelSubject, Subject
from genzoo.models.abilities import Translator
from genzoo.models.checks import check_count, checked_seed, fresh_seed
from genzoo.models.model import Model
from genzoo.text import columns
from genzoo.version import VERSION
from genzoo.zoo import card, names

SAMPLES = 10_000
KERNEL = Kernel.least


@final
@dataclass(frozen=True)
class Evaluation:
    """What ``evaluate`` found of one model, or of a folder's images: a score for each metric.

    ``folder``: the model's, where it has one. ``asked``: what makes each of them again.
    """

    name: str
    data: str
    scores: tuple[Score, ...]
    abouts: dict[str, str]
    asked: dict[str, Any]
    machine: str
    folder: Path | None = None

    def records(self) -> list[dict[str, Any]]:
        """The scores as a card keeps them: each says what was asked, and where it was measured."""
        where = {"machine": self.machine, "versions": versions()}
        return [
            {**score.record(), "asked": {**self.asked, "metrics": score.metric}, **where}
            for score in self.scores
        ]

    def record(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {"genzoo": VERSION, "name": self.name, "data": self.data, "scores": self.records()}

    def __str__(self) -> str:
        heads = ("", "value", "95 %", "real", "")
        rows = [row(score, self.abouts[score.metric]) for score in self.scores]
        return "\n".join(columns([heads, *rows]))

    def write(self) -> Path:
        """Put the scores into the model's card, in the place of those of the same names.

        Raises BadInput where it was loaded from no folder.
        """
        if self.folder is None:
            raise BadInput(f"{self.name} has no card to write scores into")
        card.add_scores(self.folder, self.records())
        return self.folder


def evaluate(
    subject: "str | Path | Model",
    *,
    data: str | None = None,
    metrics: str | Sequence[str] | None = None,
    n: int | None = None,
    seed: int | None = 0,
    features: str | None = None,
    groups: int | None = None,
    limit: int | None = None,
    size: int | None = None,
    channels: int | None = None,
    root: str | Path | None = None,
    device: "str | torch.device" = "auto",
    progress: Tell | None = None,
) -> Evaluation:
    """Measure a model (a card, a family, a folder, or one in memory) or ``images:FOLDER``.

    ``data``: what it is held against, a data set's name, a folder, or ``images:FOLDER``; left out,
    what the model was trained on. ``metrics``: names like ``fd``, ``fid``, ``nll``; left out, those
    that any images have. ``n``: samples, or images that a likelihood is of; left out, 10,000
    samples, or all images. ``features``: as `genzoo.metrics.real_data.features` takes them.
    ``groups``: disjoint groups that feature distances are estimated on. ``limit``: training images
    that are looked at where no reference ships. ``size``, ``channels``: what the images of folders
    are brought to. Raises BadInput, UnknownName, InvalidModel, OperationFailed, NetworkError.
    """
    where, told = {"size": size, "channels": channels}, {"groups": groups, "limit": limit}
    check_asked(data=data, metrics=metrics, features=features, n=n, **told)
    seed = fresh_seed() if seed is None else checked_seed(seed)
    who = subject_of(subject, devices.device(device), where)
    against = str(data or _trained_on(who))
    real = RealData(against, features, root=root, progress=progress, **where, **told)
    wanted = chosen_metrics(real, who, metrics)
    asked = {"data": against, "n": n, "seed": seed, "features": features, **where, **told}
    return Evaluation(
        who.name,
        against,
        tuple(measured(who, wanted, n, seed, progress)),
        {metric.name: metric.about for metric in wanted},
        {key: value for key, value in asked.items() if value is not None},
        devices.machine(who.model.device if isinstance(who, ModelSubject) else torch.device("cpu")),
        who.folder if isinstance(who, ModelSubject) else None,
    )


def check_asked(
    *,
    metrics: Any,
    features: Any,
    data: Any = None,
    n: Any = None,
    groups: Any = None,
    limit: Any = None,
) -> None:
    """Whether what was asked makes sense, before anything is loaded. Raises BadInput."""
    for name, value, least in (("n", n, 2), ("groups", groups, 1), ("limit", limit, 2)):
        if value is not None:
            check_count(name, value, least)
    if data is not None and not isinstance(data, str | Path):
        raise BadInput(f"data is a name or a folder, got {article(data)}")
    if features is not None and not isinstance(features, str):
        got = f"{features!r:.80}"
        raise BadInput(f"features are named: mnist, inception, or module:object; got {got}")
    listed = isinstance(metrics, list | tuple) and all(isinstance(m, str) for m in metrics)
    if not (metrics is None or isinstance(metrics, str) or listed):
        raise BadInput(f"metrics are names, fd,precision or a list of them; got {metrics!r:.80}")


def chosen_metrics(
    real: RealData, who: Subject, metrics: str | Sequence[str] | None
) -> list[Metric]:
    """The metrics that were named, or those that ``who`` can be measured by without a data set."""
    if metrics is not None:
        named = metrics.split(",") if isinstance(metrics, str) else metrics
        return registry.named([name.strip() for name in named], real)
    if isinstance(who, ModelSubject) and isinstance(who.model, Translator) and "," in real.data:
        return registry.named(["translation_accuracy"], real)
    if found := registry.usual(real):
        return found
    likely = [registry.metric_class(name)(real) for name in ("nll", "elbo")]
    fitting = [
        m
        for m in likely
        if isinstance(m, ModelMetric) and isinstance(who, ModelSubject) and not m.lacks(who)
    ]
    if not fitting:
        _ = real.features  # says what is missing
    return [*fitting]


def subject_of(
    subject: "str | Path | Model", device: "str | torch.device", where: dict[str, Any]
) -> Subject:
    """What a name, a folder, a model or ``images:FOLDER`` means. Raises as ``evaluate``."""
    if isinstance(subject, Model):
        name = subject.origin.model if subject.origin else type(subject).__name__
        return ModelSubject(name, subject)
    if isinstance(subject, str) and subject.startswith(FOLDER_OF):
        return DatasetSubject(subject, opened_images(subject, "all", where))
    folder = names.find(subject)
    name = folder.name if folder.parent == names.cards_folder() else str(subject)
    return ModelSubject(name, names.load(folder, device=device), folder)


def measured(
    who: Subject,
    wanted: Sequence[Metric],
    n: int | None,
    seed: int,
    progress: Tell | None = None,
) -> list[Score]:
    """The score of each metric; one pass over the samples serves all that look at them."""
    lookers = [metric for metric in wanted if isinstance(metric, SampleMetric)]
    there = len(who.dataset) if isinstance(who, DatasetSubject) else SAMPLES
    count = there if n is None else n
    for looker in lookers:
        check_fits(who, looker)
        if count < (least := looker.at_least()):
            got = f"takes at least {least:,} samples, got {count:,}"
            instead = f", or kd, which takes {KERNEL:,}" if least > KERNEL else ""
            raise BadInput(f"{looker.name} {got}: -n {least}{instead}")
    for metric in wanted:  # what is missing is said before anything is drawn
        if isinstance(metric, ModelMetric) and isinstance(who, ModelSubject):
            metric.check(who)
        metric.asked(metric.conditions)
    kept = seen(who, lookers, count, seed, progress) if lookers else {}
    found = []
    for metric in wanted:
        if isinstance(metric, SampleMetric):
            found.append(metric.score(kept[metric.measure], **who.told(seed)))
            continue
        assert isinstance(metric, ModelMetric)
        if not isinstance(who, ModelSubject):
            raise BadInput(f"{metric.name} is of models, and {who.name} is images")
        found.append(metric.score(who, n, seed))
    return found


def seen(
    who: Subject,
    lookers: Sequence[SampleMetric],
    n: int,
    seed: int,
    progress: Tell | None = None,
) -> dict[Callable[[Tensor], np.ndarray], np.ndarray]:
    """What each measure keeps of the first ``n`` samples, which pass through in batches."""
    parts: dict[Callable[[Tensor], np.ndarray], list[np.ndarray]] = {}
    owners = {metric.measure: metric for metric in reversed(lookers)}
    done = 0
    for x in _batches(who, n, seed):
        for measure, metric in owners.items():
            parts.setdefault(measure, []).append(metric.kept(x))
        done += len(x)
        if progress:
            progress(who.name, done, n)
    kept = {measure: np.concatenate(found) for measure, found in parts.items()}
    for values in kept.values():
        check_finite(values, f"what is seen in the images of {who.name}")
    return kept


def _batches(who: Subject, n: int, seed: int) -> Iterator[Tensor]:
    if n < 2:
        raise BadInput(f"{who.name}: a measurement takes at least 2 images, got {n}")
    yield from who.stream(n, seed)


def check_fits(who: Subject, metric: SampleMetric) -> None:
    """Whether the samples are of the shape that the metric's features take. Raises BadInput."""
    if isinstance(who, ModelSubject):
        _ = who.sampler  # says what it is where it is none
    if "," in metric.real.data and not is_folder(metric.real.data):
        drawn = metric.real.data.rpartition(",")[2].strip()
        two = f"{metric.id} holds images against one data set, and {metric.real.data} is two"
        raise BadInput(f"{two}: --data {drawn} takes the second")
    want = metric.real.takes
    if want is not None and tuple(who.shape) != tuple(want):
        sizes = ("x".join(map(str, shape)) for shape in (want, who.shape))
        said = "{}: {} is {}, and its samples {}".format(who.name, metric.real.data, *sizes)
        hint = f": --size {want[-1]} --channels {want[0]} bring them to it"
        raise BadInput(said + (hint if isinstance(who, DatasetSubject) else ""))


def versions() -> dict[str, str]:
    return {"genzoo": VERSION, "torch": torch.__version__.partition("+")[0]}


def protocol_line(protocol: dict[str, Any]) -> str:
    """A protocol as a line for people: of hashes their beginning."""
    short = {k: v[:12] if k.endswith("sha256") else v for k, v in protocol.items()}
    return ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in short.items())


def row(score: Score, about: str) -> list[str]:
    """A line of a table: name, value, interval, what real images get, what it is."""
    low, high = score.interval or (None, None)
    between = "" if low is None else f"[{low:.4g}, {high:.4g}]"
    floor = "" if score.floor is None else f"{score.floor:.4g}"
    more = "; ".join(f"{key}: {value}" for key, value in score.details.items())
    return [score.metric, f"{score.value:.4g}{score.unit}", between, floor, more or about]


def _trained_on(who: Subject) -> str:
    if found := isinstance(who, ModelSubject) and who.model.provenance.get("data"):
        return found
    raise BadInput(f"what is {who.name} to be held against? --data names a data set or a folder")
