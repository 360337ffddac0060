"""Directions: what moves every code of a `Latent` model towards a smile.

The mean code of samples that have it, less the mean of those that do not: DCGAN's z_turn (Radford
et al. 2016, section 6.3.2).
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, final

import numpy as np
import torch
from pydantic import Field
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from genzoo import data as sets
from genzoo.editing import walks
from genzoo.editing.walks import SampleAddresses
from genzoo.errors import BadInput, unknown
from genzoo.features import classifiers
from genzoo.files import expanded, write_whole
from genzoo.models.abilities import Encoder
from genzoo.models.checks import checked_seed
from genzoo.models.model import Model
from genzoo.models.sampler import Latent, Progress
from genzoo.models.samples import Samples
from genzoo.schemas import Name, Schema, Share, checked, read_json
from genzoo.version import VERSION
from genzoo.zoo import names
from genzoo.zoo.provenance import ModelIdentity

LARGEST = 1 << 20  # bytes of a file
BATCH = 250
HELD_OUT = 100  # samples that a direction is tried on
FEW = 10  # samples of each kind below which a mean says little
Counts = Annotated[int, Field(ge=0, lt=2**63)]


class DirectionInfo(Schema, use_attribute_docstrings=False, extra="ignore"):
    """What a direction was made of."""

    genzoo: Name
    origin: ModelIdentity | None
    by: Literal["picks", "samples", "data"]
    of: Name
    data: Name = ""
    counts: tuple[Counts, Counts]
    seed: Counts = 0
    judge_sha256: Name = ""
    raised: Share | None = None
    turned: Share | None = None


@final
@dataclass(frozen=True, eq=False)
class Direction:
    """``vector``: float32 ``(code,)``; ``made``: of which model, and of what.

    Of a hundred samples that it was not made of: ``made.raised``, the share in which one step
    raised what the judge sees; ``made.turned``, of those without it the share that then had it. In
    a model that is near to linear any direction raises or lowers most things a little: the second
    number is the harder one.
    """

    vector: Tensor
    made: DirectionInfo

    def save(self, path: str | Path) -> Path:
        """Write a ``.safetensors`` file of a few kB. Raises BadInput, OperationFailed."""
        path = expanded(path)
        if path.suffix != ".safetensors":
            raise BadInput(f"cannot write {path.name}: expected a name ending in .safetensors")
        made = json.dumps(self.made.model_dump(mode="json"))
        write_whole(path, save({"direction": self.vector.cpu()}, {"made": made}))
        return path


def read(path: str | Path) -> Direction:
    """The direction in a file, which anybody may have written. Raises BadInput."""
    path = expanded(path)
    try:
        if not path.is_file() or path.stat().st_size > LARGEST:
            raise BadInput(f"{path} is no file of a direction: make one with genzoo direction")
        with safe_open(path, "pt") as file:
            told = (file.metadata() or {}).get("made", "")
            keys = [*file.keys()]
            vector = file.get_tensor("direction") if keys == ["direction"] else torch.empty(0)
    except (OSError, SafetensorError) as error:
        raise BadInput(f"cannot read {path}: {error}") from None
    if vector.dtype != torch.float32 or vector.ndim != 1 or not len(vector) or not told:
        raise BadInput(f"{path} holds no direction: expected one vector and what it was made of")
    if not torch.isfinite(vector).all():
        raise BadInput(f"{path}: a direction that is not finite")
    where = f"{path}: what it was made of"
    return Direction(vector, checked(DirectionInfo, read_json(told, where), where))


# ------------------------------------------------------------------------------------------ judges
@final
class Judge:
    """What a small classifier of ``data`` sees of the class or attribute ``kind`` in a sample.

    Raises UnknownName, and BadInput where ``data`` have no classifier.
    """

    def __init__(self, data: str, kind: str):
        self.network = classifiers.Small(data)
        source = sets.describe(data)
        known = source.classes or source.attributes
        if kind not in known:
            what = "class" if source.classes else "attribute"
            raise unknown(f"{what} of {data}", kind, known, "")
        self.data, self.kind, self.index = data, kind, known.index(kind)

    def __call__(self, x: Tensor) -> np.ndarray:
        """How strongly, ``(n,)``, in images ``(n, C, H, W)`` in [0, 1]: above 0 it is there.

        The logit; of a class, how far it is above the best other one's.
        """
        logits = self.network.outcomes(self.network(x.cpu()))
        own = logits[:, self.index]
        if not self.network.outputs:
            return own
        return own - np.delete(logits, self.index, axis=1).max(1)


# ---------------------------------------------------------------------------------------- learning
def of_picks(
    model: Model, toward: SampleAddresses, away: SampleAddresses, *, label: int | str | None = None
) -> Direction:
    """From the mean code of the samples ``away`` to that of ``toward``. Raises BadInput."""
    model = walks.latent(model)
    means, told = [], []
    for chosen in (toward, away):
        codes, whose, _ = walks.places(model, chosen, label)
        means.append(codes.mean(0))
        told.append(len(whose))
    made = _made(model, by="picks", of="", counts=(told[0], told[1]))
    return Direction((means[0] - means[1]).cpu(), made)


def of_samples(
    model: Model,
    kind: str,
    *,
    data: str | None = None,
    n: int = 4000,
    seed: int = 0,
    label: int | str | None = None,
    progress: Progress | None = None,
) -> Direction:
    """From samples that the classifier of ``data`` finds without ``kind`` to those with it.

    ``data``: left out, what the model was trained on. Needs no data set. Raises BadInput,
    UnknownName.
    """
    model = walks.latent(model)
    judge = Judge(_trained_on(model, data), kind)
    seen, codes, done = [], [], 0
    for part in model.stream(n, seed=seed, labels=label, batch_size=BATCH):
        seen.append(judge(part.tensor))
        codes.append(model.codes(len(part), seed=seed, start=done))
        done += len(part)
        if progress:
            progress("samples", done, n)
    has = torch.from_numpy(np.concatenate(seen) > 0)
    vector, counts = _difference(torch.cat(codes).cpu(), has, f"samples with {kind}")
    made = _made(model, by="samples", of=kind, data=judge.data, counts=counts, seed=seed)
    return _tried(model, vector, made, judge, n, label)


def of_data(
    model: Model,
    kind: str,
    *,
    data: str | None = None,
    n: int | None = None,
    root: str | Path | None = None,
    label: int | str | None = None,
    progress: Progress | None = None,
) -> Direction:
    """From the codes of real samples without ``kind`` (a class, or one of CelebA's attributes) to
    those with it, as an `Encoder` has them. ``n``: training samples; left out, all. Raises
    BadInput, UnknownName.
    """
    model = walks.latent(model)
    if not isinstance(model, Encoder):
        raise names.lacking(model, Encoder, "does not encode")
    name = _trained_on(model, data)
    channels, *_, size = model.shape
    whole = sets.open(name, "train", size=size, channels=channels, root=root)
    count = len(whole) if n is None else min(n, len(whole))
    has = torch.from_numpy(sets.having(whole, kind, root=root)[:count])
    codes = []
    for start in range(0, count, BATCH):
        rows = range(start, min(start + BATCH, count))
        codes.append(model.encode(whole.batch(rows)).cpu())
        if progress:
            progress("images", rows.stop, count)
    vector, counts = _difference(torch.cat(codes), has, f"{name} with {kind}")
    made = _made(model, by="data", of=kind, data=name, counts=counts)
    judge = Judge(name, kind) if name in classifiers.names() else None
    return _tried(model, vector, made, judge, 0, label)


def effect(
    model: Latent,
    vector: Tensor,
    judge: Judge,
    *,
    alpha: float = 1.0,
    n: int = HELD_OUT,
    seed: int = 0,
    start: int = 0,
    label: int | str | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """What ``judge`` sees in ``n`` samples, and in them ``alpha`` steps along: ``(n,)`` each."""
    codes = model.codes(n, seed=seed, start=start)
    seeds = [(checked_seed(seed), start + i) for i in range(n)]
    labels = model.labels_for(label, n, start)
    moved = codes + alpha * vector.to(codes)
    before, after = (
        judge(model.decode_codes(c, labels=labels, seeds=seeds).tensor) for c in (codes, moved)
    )
    return before, after


def _difference(codes: Tensor, has: Tensor, what: str) -> tuple[Tensor, tuple[int, int]]:
    """The mean of the ``codes`` (n, d) that ``has`` (n,) is true of, less that of the others."""
    counts = int(has.sum()), int((~has).sum())
    if min(counts) < FEW:
        found = f"{counts[0]:,} {what}, {counts[1]:,} without"
        raise BadInput(f"{found}: a direction takes {FEW} of each at least: a larger n?")
    return codes[has].mean(0) - codes[~has].mean(0), counts


def _tried(
    model: Latent,
    vector: Tensor,
    made: DirectionInfo,
    judge: Judge | None,
    start: int,
    label: int | str | None,
) -> Direction:
    """The direction, tried on the samples of its seed from ``start`` on, where there is a judge."""
    if judge is not None and judge.network.shape == tuple(model.shape):
        before, after = effect(model, vector, judge, seed=made.seed, start=start, label=label)
        turned = float((after[before <= 0] > 0).mean()) if (before <= 0).any() else None
        told = {"raised": float((after > before).mean()), "turned": turned}
        made = made.model_copy(update={"judge_sha256": judge.network.sha256, **told})
    return Direction(vector, made)


def _made(model: Model, **told: Any) -> DirectionInfo:
    origin = None if model.origin is None else ModelIdentity(**vars(model.origin))
    return DirectionInfo(genzoo=VERSION, origin=origin, **told)


def _trained_on(model: Model, data: str | None) -> str:
    if found := data or model.provenance.get("data"):
        return found
    raise BadInput("what is this a direction of? data (--data) names the data set")


# ----------------------------------------------------------------------------------------- walking
def along(
    model: Model,
    direction: Direction,
    of: SampleAddresses,
    *,
    alphas: Sequence[float],
    label: int | str | None = None,
    batch_size: int = 64,
    progress: Progress | None = None,
) -> Samples:
    """Samples, ``alphas`` steps along a direction from each: z + alpha z_turn. Sample by sample,
    ``len(of) * len(alphas)`` of them. Raises BadInput.
    """
    model = walks.latent(model)
    check_fits(model, direction)
    codes, whose, label = walks.places(model, of, label)
    if not alphas or not all(math.isfinite(alpha) for alpha in alphas):
        raise BadInput("alphas are finite numbers, at least one")
    walks.check_memory(model, len(codes) * len(alphas), "alphas", len(codes))
    steps = torch.tensor([*alphas], device=model.device)[:, None] * direction.vector.to(codes)
    moved = (codes[:, None] + steps).flatten(0, 1)
    made = direction.made.model_dump(mode="json", exclude={"genzoo", "origin"})
    call = {"method": "steer", "direction": made, "alphas": [*alphas]}
    return model.decode_codes(
        moved,
        labels=label,
        seeds=[pair for pair in whose for _ in alphas],
        call=call,
        batch_size=batch_size,
        progress=progress,
    )


def check_fits(model: Latent, direction: Direction) -> None:
    """Whether the direction is one of this model's codes. Raises BadInput."""
    its, mine = direction.made.origin, model.origin
    if len(direction.vector) != model.latent_dim:
        got = f"{len(direction.vector)} numbers, and the code has {model.latent_dim}"
        raise BadInput(f"the direction has {got}: it is another model's")
    if its and mine and its.weights_sha256 != mine.weights_sha256:
        told = f"{its.model} with weights {its.weights_sha256[:12]}"
        raise BadInput(f"the direction is of {told}, not of {mine.weights_sha256[:12]}")


def spread(text: str, steps: int) -> list[float]:
    """Alphas: ``-2,-1,0,1,2`` as they are, ``-2:2`` as ``steps`` of equal width. BadInput."""
    low, colon, high = text.partition(":")
    try:
        if not colon:
            return [float(part) for part in text.split(",")]
        return torch.linspace(float(low), float(high), steps, dtype=torch.float64).tolist()
    except ValueError:
        raise BadInput(f"alphas are like -2,0,2 or -2:2, got {text[:40]!r}") from None
