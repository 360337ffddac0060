"""compare: which of several models is better, at what, and how sure that is."""

import time
from collections.abc import Callable, Sequence
from functools import reduce
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from genzoo import cards, devices, families, store
from genzoo.draws import Draws
from genzoo.errors import BadInput
from genzoo.files import is_folder
from genzoo.metrics import features, standard
from genzoo.metrics.scores import Metric, Score, verdicts
from genzoo.models import Sampler
from genzoo.report import BATCH, Comparison, Entrant
from genzoo.samples import Images

SHOWN, ROUNDS = 16, 7
Tell = Callable[[str, int, int], None]


def compare(
    *models: str | Path,
    data: str | None = None,
    n: int = 4000,
    seed: int = 0,
    metrics: str | Sequence[str] | None = None,
    device: "str | torch.device" = "auto",
    progress: Tell | None = None,
) -> Comparison:
    """Draw ``n`` samples of each model from one seed, and score them alike; needs no data set.

    ``models``: cards, folders or families, two or more; a family stands for its model on ``data``,
    or on the first data set that all have in common. ``metrics``: names like ``fd-mnist``; left
    out, all of that data set's. ``progress`` is told (model, samples done, n). Raises BadInput,
    UnknownName, InvalidModel.
    """
    folders, data, why = chosen(models, data)
    named = [metrics] if isinstance(metrics, str) else metrics
    wanted = standard.metrics(features.reference(data), named)
    least = max(wanted, key=lambda m: m.least)
    if n < least.least:
        raise BadInput(f"{least.name} takes at least {least.least:,} samples, got {n:,}")
    loaded = {name: _loaded(name, f, data, device) for name, f in folders.items()}
    scores: dict[str, list[Score]] = {m.name: [] for m in wanted}
    for name, model in loaded.items():
        found = _measured(name, model, wanted, n, seed, progress)
        for metric in wanted:
            told = {"seed": seed, "pixels": "8 bits"}
            scores[metric.name].append(metric.score(found[metric.measure], **told))
    seconds = _timed(list(loaded.values()))
    entrants = tuple(
        _entrant(name, folders[name], model, seed, spent)
        for (name, model), spent in zip(loaded.items(), seconds, strict=True)
    )
    return Comparison(
        data,
        why,
        n,
        seed,
        devices.machine(next(iter(loaded.values())).device),
        entrants,
        {m.name: m.about for m in wanted},
        {name: tuple(found) for name, found in scores.items()},
        {name: tuple(verdicts(found)) for name, found in scores.items()},
    )


def chosen(
    models: Sequence[str | Path], data: str | None = None
) -> tuple[dict[str, Path], str, str]:
    """The folder that each name means, the data set to compare them on, and why that one."""
    if len(models) < 2:
        raise BadInput(f"a comparison takes two models or more, got {len(models)}")
    known = features.names()
    if data is not None and data not in known:
        raise BadInput(f"there are no features of {data!r}, only of {', '.join(known)}")
    options = {str(name): _trained(name) for name in models}
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
        first = weights.setdefault(store.read_manifest(folder).weights_sha256, name)
        if first != name:
            raise BadInput(f"{name} has the weights of {first}: they are the same model")


def _trained(name: str | Path) -> dict[str, Path]:
    """What ``name`` can stand for: folders, by the data set that they were trained on."""
    if not isinstance(name, str | Path):
        got = f"a {type(name).__name__}: give its name, or genzoo.save it and give its folder"
        raise BadInput(f"a comparison takes names, families and folders, got {got}")
    if not is_folder(name) and name in families.names():
        found = {on: cards.home() / card for on, card in cards.models_of(str(name)).items()}
        return found or {"": cards.find(name)}  # find says what a family without a model needs
    folder = cards.find(name)
    return {store.read_manifest(folder).data: folder}


def _common(options: dict[str, dict[str, Path]], known: list[str]) -> tuple[str, str]:
    rank = {name: i for i, name in enumerate(cards.PREFERRED)}
    every = reduce(set.intersection, (set(on) for on in options.values()))
    usable = sorted(every & set(known), key=lambda d: (rank.get(d, len(rank)), d))
    if not usable:
        each = ", ".join(f"{name} on {' and '.join(on)}" for name, on in options.items())
        hint = f"--data {' or '.join(known)} measures them against that all the same"
        raise BadInput(f"the models share no data set that has features: {each}; {hint}")
    others = f" (--data {' or '.join(usable[1:])} is there too)" if usable[1:] else ""
    return usable[0], f"what all of them were trained on{others}"


def _loaded(name: str, folder: Path, data: str, device: "str | torch.device") -> Sampler:
    model = store.load(folder, device)
    if not isinstance(model, Sampler):
        raise BadInput(f"{name} does not sample: it is a {type(model).__name__}")
    want = features.reference(data).network.shape
    if model.shape != want:
        shapes = ("x".join(map(str, shape)) for shape in (want, model.shape))
        raise BadInput("{}: {} is {}, and its samples {}".format(name, data, *shapes))
    return model


def _measured(
    name: str, model: Sampler, wanted: list[Metric], n: int, seed: int, progress: Tell | None
) -> dict[Callable[[Tensor], np.ndarray], np.ndarray]:
    """What each measure keeps of the first ``n`` samples, which pass through in batches."""
    parts: dict[Callable[[Tensor], np.ndarray], list[np.ndarray]] = {}
    done = 0
    labels = classes_for(model, n, seed)
    for samples in model.stream(n, labels=labels, seed=seed, batch_size=250):
        x = samples.tensor.clamp(0, 1).mul(255).round().div(255).cpu()
        for measure in dict.fromkeys(metric.measure for metric in wanted):
            parts.setdefault(measure, []).append(measure(x))
        done += len(samples)
        if progress:
            progress(name, done, n)
    return {measure: np.concatenate(found) for measure, found in parts.items()}


def classes_for(model: Sampler, n: int, seed: int) -> Tensor | None:
    """``(n,)`` classes at random, for a model that takes them: in turn, samples would not be
    independent, and distances less than a real sample's."""
    if not model.num_classes:
        return None
    return (Draws(seed, range(n), "classes").uniform() * model.num_classes).long()


def _timed(models: list[Sampler]) -> list[tuple[float, ...]]:
    """Seconds that 64 samples take, seven times, in turns: what slows one slows the other."""
    seconds: list[list[float]] = [[] for _ in models]
    for _ in range(ROUNDS):
        for model, spent in zip(models, seconds, strict=True):
            began = time.perf_counter()
            model.sample(BATCH, batch_size=BATCH).tensor.cpu()
            spent.append(round(time.perf_counter() - began, 6))
    return [tuple(spent) for spent in seconds]


def _entrant(
    name: str, folder: Path, model: Sampler, seed: int, seconds: tuple[float, ...]
) -> Entrant:
    manifest = store.read_manifest(folder)
    samples = model.sample(SHOWN, seed=seed)
    assert isinstance(samples, Images)
    return Entrant(
        name,
        manifest.family,
        manifest.data,
        sum(p.numel() for p in model.parameters()),
        (folder / store.WEIGHTS).stat().st_size,
        samples,
        seconds,
        manifest.terms,
    )
