"""compare: which of several models is better, at what, and how sure that is."""

import time
from collections.abc import Sequence
from functools import reduce
from pathlib import Path

import torch

from genzoo import devices, families
from genzoo.errors import BadInput, article
from genzoo.evaluation.comparison import BATCH, Comparison, ModelEntry
from genzoo.evaluation.evaluate import check_asked, chosen_metrics, measured
from genzoo.features import classifiers
from genzoo.files import is_folder
from genzoo.metrics.metric import Metric, ModelMetric, SampleMetric
from genzoo.metrics.real_data import RealData, Tell
from genzoo.metrics.score import Score, verdicts
from genzoo.metrics.subjects import ModelSubject
from genzoo.models.checks import checked_seed
from genzoo.models.sampler import Sampler
from genzoo.models.samples import Images
from genzoo.zoo import card as cards
from genzoo.zoo import manifest as manifests
from genzoo.zoo import names

SHOWN, ROUNDS = 16, 7


def compare(
    *models: str | Path,
    data: str | None = None,
    n: int = 4000,
    seed: int = 0,
    metrics: str | Sequence[str] | None = None,
    features: str | None = None,
    groups: int | None = None,
    root: str | Path | None = None,
    device: "str | torch.device" = "auto",
    progress: Tell | None = None,
) -> Comparison:
    """Draw ``n`` samples of each model from one seed, and score them alike; needs no data set.

    ``models``: cards, folders or families, two or more; a family stands for its model on ``data``,
    or on the first data set that all have in common. ``metrics``: names like ``fd``, ``nll``; left
    out, those of any images, which need no data set; a model without the ability has no score.
    ``features``, ``groups``: as in `genzoo.evaluate`. ``progress`` is told (model, samples done,
    n). Raises BadInput, UnknownName, InvalidModel.
    """
    check_asked(n=n, groups=groups, metrics=metrics, features=features)
    checked_seed(seed)
    free = metrics is not None or features is not None
    folders, data, why = chosen(models, data, free=free)
    real = RealData(data, features, root=root, groups=groups, progress=progress)
    loaded = [_loaded(name, f, device) for name, f in folders.items()]
    wanted = chosen_metrics(real, loaded[0], metrics)
    _check_enough(wanted, n)
    _check_able(wanted, loaded)
    scores: dict[str, list[Score | None]] = {m.name: [] for m in wanted}
    for who in loaded:
        able = [m for m in wanted if not _lacks(m, who)]
        found = {s.metric: s for s in _measured(who, able, n, seed, progress)}
        for name, column in scores.items():
            column.append(found.get(name))
    seconds = _timed([who.sampler for who in loaded])
    entrants = tuple(_entrant(who, seed, spent) for who, spent in zip(loaded, seconds, strict=True))
    return Comparison(
        data,
        why,
        n,
        seed,
        devices.machine(loaded[0].model.device),
        entrants,
        {m.name: m.about for m in wanted},
        {name: tuple(found) for name, found in scores.items()},
        {name: tuple(verdicts(found)) for name, found in scores.items()},
    )


def _check_enough(wanted: Sequence[Metric], n: int) -> None:
    looking = [metric for metric in wanted if isinstance(metric, SampleMetric)]
    most = max(looking, key=lambda m: m.at_least(), default=None)
    if most is not None and n < (least := most.at_least()):
        raise BadInput(f"{most.name} takes at least {least:,} samples, got {n:,}: -n {least}")


def _check_able(wanted: Sequence[Metric], loaded: Sequence[ModelSubject]) -> None:
    """Whether every metric can be measured of some model. Raises BadInput."""
    for metric in wanted:
        reasons = [f"{who.name}: {why}" for who in loaded if (why := _lacks(metric, who))]
        if len(reasons) == len(loaded):
            raise BadInput(f"{metric.name} can be measured of none of them: {'; '.join(reasons)}")


def _lacks(metric: Metric, who: ModelSubject) -> str:
    return metric.lacks(who) if isinstance(metric, ModelMetric) else ""


def _measured(
    who: ModelSubject, able: Sequence[Metric], n: int, seed: int, progress: Tell | None
) -> list[Score]:
    """Of images, ``n`` samples; of a model, what its metric takes, as ``evaluate`` does."""
    of_images = [metric for metric in able if isinstance(metric, SampleMetric)]
    of_models = [metric for metric in able if metric not in of_images]
    found = measured(who, of_images, n, seed, progress) if of_images else []
    return [*found, *measured(who, of_models, None, seed, progress)]


def chosen(
    models: Sequence[str | Path], data: str | None = None, *, free: bool = False
) -> tuple[dict[str, Path], str, str]:
    """The folder that each name means, the data set to compare them on, and why that one.

    ``free``: metrics or features were named, so that the data need no classifier.
    """
    if len(models) < 2:
        raise BadInput(f"a comparison takes two models or more, got {len(models)}")
    known = classifiers.names()
    if data is not None and data not in known and not free:
        raise BadInput(f"there are no features of {data!r}, only of {', '.join(known)}")
    options = {str(name): _trained(name) for name in models}
    if free:
        known = sorted({*known, *(on for trained in options.values() for on in trained)})
    why = "as --data asks"
    if data is None:
        data, why = _common(options, known)
    folders: dict[str, Path] = {}
    for name in models:
        on = options[str(name)]
        if data not in on and name in families.names():
            have = ", ".join(on) or "nothing"
            raise BadInput(f"{name} has no model trained on {data}, only on {have}")
        folder = on[data] if data in on else next(iter(on.values()))
        if folder in folders.values():
            is_it = "" if name == folder.name else f" is {folder.name}, which"
            raise BadInput(f"{name}{is_it} is in the comparison already")
        folders[folder.name if folder.name not in folders else str(folder)] = folder
    _check_different(folders)
    return folders, data, why


def _check_different(folders: dict[str, Path]) -> None:
    """Whether no model stands there twice, were it under two names."""
    weights: dict[str, str] = {}
    for name, folder in folders.items():
        first = weights.setdefault(manifests.read_manifest(folder).weights_sha256, name)
        if first != name:
            raise BadInput(f"{name} has the weights of {first}: they are the same model")


def _trained(name: str | Path) -> dict[str, Path]:
    """What ``name`` can stand for: folders, by the data set that they were trained on."""
    if not isinstance(name, str | Path):
        got = f"{article(name)}: give its name, or genzoo.save it and give its folder"
        raise BadInput(f"a comparison takes names, families and folders, got {got}")
    if not is_folder(name) and name in families.names():
        found = {on: names.cards_folder() / card for on, card in names.models_of(str(name)).items()}
        return found or {"": names.find(name)}  # find says what a family without a model needs
    folder = names.find(name)
    return {manifests.read_manifest(folder).data: folder}


def _common(options: dict[str, dict[str, Path]], known: list[str]) -> tuple[str, str]:
    rank = {name: i for i, name in enumerate(names.PREFERRED)}
    every = reduce(set.intersection, (set(on) for on in options.values()))
    usable = sorted(every & set(known), key=lambda d: (rank.get(d, len(rank)), d))
    if not usable:
        each = ", ".join(f"{name} on {' and '.join(on)}" for name, on in options.items())
        hint = f"--data {' or '.join(known)} measures them against that all the same"
        raise BadInput(f"the models share no data set that has features: {each}; {hint}")
    others = f" (--data {' or '.join(usable[1:])} is there too)" if usable[1:] else ""
    return usable[0], f"what all of them were trained on{others}"


def _loaded(name: str, folder: Path, device: "str | torch.device") -> ModelSubject:
    who = ModelSubject(name, names.load(folder, device=device), folder)
    _ = who.sampler  # says what it is where it is none
    return who


def _timed(models: list[Sampler]) -> list[tuple[float, ...]]:
    """Seconds that 64 samples take, seven times, in turns: what slows one slows the other."""
    seconds: list[list[float]] = [[] for _ in models]
    for _ in range(ROUNDS):
        for model, spent in zip(models, seconds, strict=True):
            began = time.perf_counter()
            model.sample(BATCH, batch_size=BATCH).tensor.cpu()
            spent.append(round(time.perf_counter() - began, 6))
    return [tuple(spent) for spent in seconds]


def _entrant(who: ModelSubject, seed: int, seconds: tuple[float, ...]) -> ModelEntry:
    folder, model = who.folder, who.sampler
    assert folder is not None
    manifest = manifests.read_manifest(folder)
    samples = model.sample(SHOWN, seed=seed)
    assert isinstance(samples, Images)
    return ModelEntry(
        who.name,
        manifest.family,
        manifest.data,
        sum(p.numel() for p in model.parameters()),
        (folder / manifests.WEIGHTS).stat().st_size,
        samples,
        seconds,
        manifest.terms,
        tuple(cards.read_metrics(folder).get("scores", ())),
    )
