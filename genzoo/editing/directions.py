"""Directions: vectors that move every code of a `Latent` model towards an attribute, like a smile.

The mean code of samples with the attribute, minus the mean of those without it: DCGAN's z_turn
(Radford et al. 2016, section 6.3.2).
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Unpack, final

import numpy as np
import torch
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from genzoo import data as sets
from genzoo.data import register
from genzoo.devices import usual_torch
from genzoo.editing.attributes import AttributeClassifier
from genzoo.editing.notation import check_ways
from genzoo.editing.photos import PhotoSearch
from genzoo.editing.selection import SampleLike, resolve, select
from genzoo.editing.walks import as_latent, check_memory, with_photos, with_steps
from genzoo.errors import BadInput, argument, command, refuse_unread
from genzoo.features import classifiers
from genzoo.files import check_ending, expanded, write_whole
from genzoo.models.abilities import Encoder
from genzoo.models.arguments import checked_arguments
from genzoo.models.checks import check_count, checked_seed
from genzoo.models.model import Model, image_shape
from genzoo.models.randomness import stream
from genzoo.models.sampler import Latent, Progress
from genzoo.models.samples import Samples
from genzoo.schemas import Name, Schema, Share, checked, read_json
from genzoo.version import VERSION
from genzoo.zoo import migrate, names
from genzoo.zoo.provenance import ModelIdentity
from genzoo.zoo.reader import read_named
from genzoo.zoo.weights import metadata_of

LARGEST = 1 << 20  # bytes of a file
BATCH = 250
TESTED = 100  # samples on which a direction's rates are measured
FEW = 10  # the mean of fewer samples is too noisy
Number = Annotated[int, Field(ge=0, lt=2**63)]


class DirectionInfo(Schema, use_attribute_docstrings=False, extra="ignore"):
    """What a direction was computed from, and how well it works.

    ``attribute``: a class or an attribute of ``data``. ``counts``: samples with it and without.
    """

    format: Literal[2] = 2
    genzoo: Name
    origin: ModelIdentity | None
    source: Literal["seeds", "samples", "data"]
    attribute: Name = ""
    data: Name = ""
    counts: tuple[Number, Number]
    seed: Number = 0
    classifier_sha256: Name = ""
    increase_rate: Share | None = None
    flip_rate: Share | None = None


@final
@dataclass(frozen=True, eq=False)
class Direction:
    """``vector``: float32 ``(code,)``; ``info``: of which model, and computed from what.

    The rates are measured on a hundred samples that the direction was not computed from.
    ``info.increase_rate``: in how many of them one step raises the classifier's score.
    ``info.flip_rate``: of those without the attribute, how many have it after one step. The second
    is harder: in a nearly linear model any direction raises or lowers most scores a little.
    """

    vector: Tensor
    info: DirectionInfo

    def __repr__(self) -> str:
        info, (toward, away) = self.info, self.info.counts
        counts = f"from {away:,} {'without' if info.attribute else 'samples'} to {toward:,}"
        line = f"{info.attribute or 'direction'}: {counts}, length {self.vector.norm():.2f}"
        if info.increase_rate is None:
            return line
        line += f"; one step increases the score of {info.increase_rate:.0%} of 100 other samples"
        if info.flip_rate is None:
            return line
        return f"{line} and adds the attribute to {info.flip_rate:.0%} of those without it"

    def save(self, path: str | Path) -> Path:
        """Write a ``.safetensors`` file of a few kB. Raises BadInput, OperationFailed."""
        path = check_ending(expanded(path), [".safetensors"])
        info = json.dumps(self.info.model_dump(mode="json"))
        write_whole(path, save({"direction": self.vector.cpu()}, {"info": info}))
        return path


@checked_arguments
def read_direction(path: str | Path) -> Direction:
    """The direction in a file, which anybody may have written. Raises BadInput."""
    path = expanded(path)
    try:
        content = read_named(path, LARGEST)
        tensors, metadata = load(content), metadata_of(content)
    except (BadInput, SafetensorError) as error:
        hint = f"make one with {command('direction', 'MODEL')}"
        raise BadInput(f"{path} is not a direction file ({error}): {hint}") from None
    vector = tensors["direction"] if [*tensors] == ["direction"] else torch.empty(0)
    text = metadata.get("info", metadata.get("made", ""))  # "made" in format 1
    if vector.dtype != torch.float32 or vector.ndim != 1 or not len(vector) or not text:
        raise BadInput(f"{path} is not a direction file: expected one float32 vector and its info")
    if not torch.isfinite(vector).all():
        raise BadInput(f"{path}: the direction is not finite")
    where = f"{path}: its info"
    info = read_json(text, where)
    if isinstance(info, dict):
        info = migrate.direction(info, where)
    return Direction(vector, checked(DirectionInfo, info, where))


@checked_arguments
def direction(
    model: str | Path | Model,
    of: str | int | None = None,
    *,
    encode: bool = False,
    toward: SampleLike | None = None,
    away: SampleLike | None = None,
    data: str | None = None,
    n: int | None = None,
    seed: int | None = None,
    label: int | str | None = None,
    root: str | Path | None = None,
    device: str | torch.device = "auto",
    progress: Progress | None = None,
) -> Direction:
    """The direction of an attribute in code space, for `steer`.

    ``of``: a class or an attribute of ``data``, by default the data that the model was trained on:
    from ``n`` samples of ``seed`` (4000, 0), which a classifier of the data judges, or with
    ``encode`` from the codes of ``n`` real images (all), which an `Encoder` has. Or ``toward`` and
    ``away``, samples with the attribute and samples without it. Raises BadInput (for an argument
    that would have no effect, too), UnknownName, and as ``load``.
    """
    check_ways(of, toward, away)
    if toward is not None and away is not None:
        why = f"{argument('toward')} and {argument('away')} choose the samples"
        refuse_unread(why, encode=encode, data=data, n=n, seed=seed, root=root)
        return direction_from_seeds(as_latent(model, device), toward, away, label=label)
    assert of is not None
    of = str(of)
    if encode:
        refuse_unread(f"{argument('encode')} takes real images", seed=seed)
        model = as_latent(model, device)
        return direction_from_data(
            model, of, data=data, n=n, root=root, label=label, progress=progress
        )
    refuse_unread(f"samples need no data set, without {argument('encode')}", root=root)
    n, seed = 4000 if n is None else n, seed or 0
    return direction_from_samples(
        as_latent(model, device), of, data=data, n=n, seed=seed, label=label, progress=progress
    )


def _as_additive(model: str | Path | Model, device: str | torch.device = "auto") -> Latent:
    """``model``, if it has a code that can move along a direction. Raises BadInput."""
    model = as_latent(model, device)
    model.code_law.check_sums("this model has no directions")
    return model


@checked_arguments
def direction_from_seeds(
    model: Model, toward: SampleLike, away: SampleLike, *, label: int | str | None = None
) -> Direction:
    """From the mean code of the samples ``away`` to that of ``toward``. Raises BadInput."""
    model = _as_additive(model)
    to, back = (resolve(model, samples, label).codes for samples in (toward, away))
    info = _info(model, source="seeds", counts=(len(to), len(back)))
    return Direction((to.mean(0) - back.mean(0)).cpu(), info)


@checked_arguments
@usual_torch()
def direction_from_samples(
    model: Model,
    attribute: str,
    *,
    data: str | None = None,
    n: int = 4000,
    seed: int = 0,
    label: int | str | None = None,
    progress: Progress | None = None,
) -> Direction:
    """From the model's own samples without ``attribute`` to those with it, by a classifier.

    ``attribute``: a class or an attribute of ``data``, by default the data that the model was
    trained on, whose classifier decides. Needs no data set. Raises BadInput, UnknownName.
    """
    model = _as_additive(model)
    classifier = AttributeClassifier(_data_of(model, data)[0], attribute)
    scores, codes, done = [], [], 0
    for part in model.stream(n, seed=seed, labels=label, batch_size=BATCH):
        scores.append(classifier(part.tensor))
        codes.append(model.codes(len(part), seed=seed, start=done))
        done += len(part)
        if progress:
            progress("samples", done, n)
    has = torch.from_numpy(np.concatenate(scores) > 0)
    vector, counts = _mean_difference(torch.cat(codes).cpu(), has, f"samples with {attribute}")
    info = _info(
        model,
        source="samples",
        attribute=attribute,
        data=classifier.data,
        counts=counts,
        seed=seed,
    )
    return _with_rates(model, Direction(vector, info), classifier, n, label)


@checked_arguments
@usual_torch()
def direction_from_data(
    model: Model,
    attribute: str,
    *,
    data: str | None = None,
    n: int | None = None,
    root: str | Path | None = None,
    label: int | str | None = None,
    progress: Progress | None = None,
) -> Direction:
    """From the codes of real images without ``attribute`` to those with it.

    The model must be an `Encoder`. ``attribute``: a class of ``data``, or one of its attributes.
    ``n``: the number of training images, chosen at random, by default all; they are opened as for
    the model's training. Raises BadInput, UnknownName.
    """
    model = _as_additive(model)
    if not isinstance(model, Encoder):
        raise names.lacking(model, Encoder, "does not encode")
    name, form = _data_of(model, data)
    if label is not None and name not in classifiers.names():
        raise BadInput(f"label would have no effect: no classifier for {register.label(name)}")
    hint = "give samples with the attribute, and samples without it"
    channels, height, width = image_shape(model, hint)
    form = {"size": (width, height), "channels": channels, **form}
    images = sets.open(register.to_open(name), "train", **form, root=root)
    if data is None and register.holds_folder(name):  # what the register knows of this hash
        origin = model.origin.model if model.origin else "this model"
        register.check_unchanged(name, origin, model.provenance.get("data_sha256"), images.sha256)
    rows = _rows(len(images), n)
    has, codes = torch.from_numpy(sets.having(images, attribute)[rows]), list[Tensor]()
    for start in range(0, len(rows), BATCH):
        codes.append(model.encode(images.batch(rows[start : start + BATCH])).cpu())
        if progress:
            progress("images", start + len(codes[-1]), len(rows))
    vector, counts = _mean_difference(torch.cat(codes), has, f"{name} with {attribute}")
    info = _info(
        model, source="data", attribute=attribute, data=register.label(name), counts=counts
    )
    direction = Direction(vector, info)
    if name not in classifiers.names():
        return direction
    return _with_rates(model, direction, AttributeClassifier(name, attribute), 0, label)


@usual_torch()
def measure_effect(
    model: Latent,
    vector: Tensor,
    classifier: AttributeClassifier,
    *,
    alpha: float = 1.0,
    n: int = TESTED,
    seed: int = 0,
    start: int = 0,
    label: int | str | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The scores of ``n`` samples, and after ``alpha`` steps along ``vector``: ``(n,)`` each."""
    codes = model.codes(n, seed=seed, start=start)
    seeds = [(checked_seed(seed), start + i) for i in range(n)]
    labels = model.labels_for(label, n, start)
    moved = model.code_law.nearest(codes + alpha * vector.to(codes))
    before, after = (
        classifier(model.decode_codes(c, labels=labels, seeds=seeds).tensor) for c in (codes, moved)
    )
    return before, after


def _mean_difference(codes: Tensor, has: Tensor, what: str) -> tuple[Tensor, tuple[int, int]]:
    """The mean of the ``codes`` (n, d) where ``has`` (n,) is true, minus that of the others."""
    counts = int(has.sum()), int((~has).sum())
    if min(counts) < FEW:
        both = f"{counts[0]:,} {what}, {counts[1]:,} without"
        raise BadInput(f"{both}: a direction needs at least {FEW} of each, try a larger n")
    return codes[has].mean(0) - codes[~has].mean(0), counts


def _with_rates(
    model: Latent,
    direction: Direction,
    classifier: AttributeClassifier,
    start: int,
    label: int | str | None,
) -> Direction:
    """``direction`` with its rates, on samples of its seed from ``start`` on, if shapes fit."""
    if classifier.network.shape != tuple(model.shape):
        return direction
    info, vector = direction.info, direction.vector
    before, after = measure_effect(
        model, vector, classifier, seed=info.seed, start=start, label=label
    )
    without = before <= 0
    rates = {
        "increase_rate": float((after > before).mean()),
        "flip_rate": float((after[without] > 0).mean()) if without.any() else None,
        "classifier_sha256": classifier.network.sha256,
    }
    return Direction(vector, info.model_copy(update=rates))


def _info(model: Model, **values: Any) -> DirectionInfo:
    origin = None if model.origin is None else ModelIdentity(**vars(model.origin))
    return DirectionInfo(genzoo=VERSION, origin=origin, **values)


def _rows(count: int, n: int | None) -> np.ndarray:
    """The rows of ``n`` random images of ``count``, or of all: those of a folder are in the order
    of its classes. Raises BadInput.
    """
    if n is None:
        return np.arange(count)
    check_count("n", n, 1)
    return np.sort(stream(0, "direction").permutation(count)[:n])


def _data_of(model: Model, data: str | None) -> tuple[str, dict[str, Any]]:
    """``data``, by default what the model was trained on, and the form in which they are opened.
    Raises BadInput.
    """
    if data:
        return data, register.form_for(model, data)
    facts = model.provenance
    name = model.origin.model if model.origin else "this model"
    place = register.training_data(name, facts.get("data", ""), facts.get("data_sha256"))
    if isinstance(place, str):
        return place, register.form_for(model, place)
    return place.data, place.form


@checked_arguments
@usual_torch()
def steer(
    model: str | Path | Model,
    direction: Direction | str | Path,
    sample: SampleLike,
    *,
    alphas: str | Sequence[float] = "-2:2",
    steps: int | None = None,
    label: int | str | None = None,
    sampling: Mapping[str, Any] | None = None,
    device: str | torch.device = "auto",
    batch_size: int = 64,
    progress: Progress | None = None,
    **search: Unpack[PhotoSearch],
) -> Samples:
    """Samples or photos moved along a direction, ``alphas`` steps from each: z + alpha z_turn.

    ``direction``: one, or its file. ``alphas``: numbers, or text: ``-2:2`` in ``steps`` (7) of
    equal width. A row of the picture for each sample, as long as ``alphas``. If there is a photo,
    each row begins with two more: the photo and its reconstruction (of a sample, itself twice).
    ``search``: how the codes of photos are found (`PhotoSearch`). ``sampling``: settings as of
    ``sample``. Raises BadInput, and as ``load``.
    """
    model = _as_additive(model, device)
    direction = direction if isinstance(direction, Direction) else read_direction(direction)
    check_fits(model, direction)
    values = parse_alphas(alphas, steps)
    _check_finite(values)
    chosen = select(model, sample)
    check_memory(model, len(chosen) * len(values), "alphas", len(chosen))
    start = resolve(model, chosen, label, sampling, search)
    moves = torch.tensor(values, device=model.device)[:, None] * direction.vector.to(start.codes)
    moved = model.code_law.nearest((start.codes[:, None] + moves).flatten(0, 1))
    info = direction.info.model_dump(mode="json", exclude={"format", "genzoo", "origin"})
    call = {"method": "steer", "direction": info, "alphas": values}
    edited = model.decode_codes(
        moved,
        labels=start.label,
        seeds=[address for address in start.addresses for _ in values],
        call=call | (start.recorded("of") if start.photos else {}),
        batch_size=batch_size,
        progress=progress,
        **(sampling or {}),
    )
    if start.photos:
        edited = with_photos(model, edited, start.pairs(model, sampling), start.addresses)
    return with_steps(edited, start, direction.info.attribute, values)


def check_fits(model: Latent, direction: Direction) -> None:
    """Check that ``direction`` was made for this model's codes. Raises BadInput."""
    made_for, origin = direction.info.origin, model.origin
    if len(direction.vector) != model.latent_dim:
        n = len(direction.vector)
        what = f"it has {n} numbers, the code {model.latent_dim}"
        raise BadInput(f"the direction is another model's: {what}{_own_way(model, direction)}")
    if made_for and origin and made_for.weights_sha256 != origin.weights_sha256:
        expected = f"{made_for.model} with weights {made_for.weights_sha256[:12]}"
        got = f"this model has {origin.weights_sha256[:12]}"
        raise BadInput(f"the direction is of {expected}, {got}{_own_way(model, direction)}")


def _own_way(model: Latent, direction: Direction) -> str:
    """What to type for a direction of ``model``; "" if nothing is known of it."""
    attribute, origin = direction.info.attribute, model.origin
    if not (attribute and origin):
        return ""
    return f"; compute one: {command('direction', origin.model, of=attribute)}"


def _check_finite(alphas: Sequence[float]) -> None:
    if not alphas or not all(math.isfinite(alpha) for alpha in alphas):
        raise BadInput(f"alphas must be finite numbers, at least one, got {alphas}")


def parse_alphas(alphas: str | Sequence[float], steps: int | None = None) -> list[float]:
    """``-2,-1,0,1,2`` or numbers as they are, ``-2:2`` in ``steps`` (7). Raises BadInput."""
    text = alphas if isinstance(alphas, str) else ""
    low, colon, high = text.partition(":")
    if not colon:
        refuse_unread(f"{argument('alphas')} is the whole list", steps=steps)
    if not isinstance(alphas, str):
        return [*alphas]
    try:
        if not colon:
            return [float(part) for part in text.split(",")]
        return torch.linspace(float(low), float(high), steps or 7, dtype=torch.float64).tolist()
    except ValueError:
        raise BadInput(f"expected alphas like -2,0,2 or -2:2, got {text[:40]!r}") from None
