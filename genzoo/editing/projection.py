"""Projection: the latent code whose sample is most like an image.

Gradient descent on the code (Yeh et al. 2016, arXiv:1607.07539), with an encoder or a discriminator
where the model has one.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any, NamedTuple, TypedDict, TypeVar, Unpack, final

import numpy as np
import torch
from torch import Tensor, nn

from genzoo.editing import masks
from genzoo.errors import BadInput, article
from genzoo.models.abilities import Encoder
from genzoo.models.checks import checked_seed
from genzoo.models.inference import folded
from genzoo.models.model import Discriminator, Model
from genzoo.models.randomness import Noise
from genzoo.models.sampler import Labels, Latent, Progress
from genzoo.models.samples import Arrays, Images, Samples
from genzoo.training.losses import LOSSES
from genzoo.zoo import folder as folders
from genzoo.zoo import hub, names
from genzoo.zoo import manifest as manifests

RATE, CANDIDATES = 0.1, 64
# Codes stay where 99 % of standard normal ones are: the normal law's quantile.
TYPICAL = 2.3263
_MEMORY = ("out of memory", "can't allocate", "not enough memory")
N = TypeVar("N", bound=nn.Module)
ImagesLike = Samples | Tensor | np.ndarray


class Adversary(NamedTuple):
    """A discriminator, and the game (a name of ``LOSSES``) that it was trained in."""

    network: Discriminator
    game: str


class SearchOptions(TypedDict, total=False):
    """How codes are looked for. ``weight``: of the discriminator's term; 0 leaves it unread.
    ``opponent``: the discriminator of a model in memory; that of a name or a folder is found.
    """

    steps: int
    restarts: int
    weight: float
    opponent: Adversary | None


SEARCH = SearchOptions(steps=100, restarts=4, weight=0.003)


@final
@dataclass(frozen=True, eq=False)
class Projection:
    """The codes of images, and how they were found.

    ``codes`` ``(n, code)``, ``labels`` ``(n,)`` or None; ``samples``: what the model makes of them,
    all of it. ``losses`` ``(n, restarts)``: where each restart ended; the least is the one kept.
    ``history`` and ``path``: the loss ``(steps + 1, n)`` and the codes ``(steps + 1, n, code)`` of
    that one, step by step. ``game``: that of the discriminator which had a say, "" if none had.
    """

    codes: Tensor
    labels: Tensor | None
    samples: Samples
    losses: Tensor
    history: Tensor
    path: Tensor
    game: str


def project(
    model: Model | str | Path,
    images: ImagesLike,
    *,
    mask: Any = None,
    labels: Labels = None,
    seed: int = 0,
    batch_size: int = 256,
    device: "str | torch.device" = "auto",
    progress: Progress | None = None,
    **search: Unpack[SearchOptions],
) -> Projection:
    """The codes whose samples are most like ``images``, ``(n, *shape)`` in [0, 1].

    In 100 ``steps`` of Adam down |M (G(z) - x)|_1 + ``weight`` log(1 - D(G(z))), sums over values
    in the model's own range (Yeh et al. 2016, section 3, without their weights of neighbours). D's
    term is there where the model's folder, or its repository, holds the discriminator; where that
    gives no logits (Wasserstein's, hinge, least squares) it is the loss that its generator had.
    Each of 4 ``restarts`` begins at the best of 64 codes that ``seed``, the image's index and the
    restart choose, of all classes unless ``labels`` says which; an `Encoder`'s code replaces the
    first's. Codes stay in the ball that holds 99 % of normal ones. ``mask``: as `inpaint` takes it;
    None: all is known. ``batch_size``: images times restarts at a time. Raises BadInput, and as
    ``load``.
    """
    model, how = _opened(model, device, search)
    if not isinstance(model, Latent):
        raise BadInput(f"{article(model)} has no codes to look for; {able(Latent)}")
    x = checked(model, images)
    known = None if mask is None else masks.known(mask, len(x), model.shape, seed).to(x.device)
    return _projected(model, how, x, known, labels, checked_seed(seed), batch_size, progress)


def opponent_of(folder: Path, device: "str | torch.device") -> Adversary | None:
    """The discriminator beside the model in ``folder``, and its game; None where there is none."""
    manifest = manifests.read_manifest(folder)
    if manifest.discriminator_sha256 is None or not (folder / manifests.DISCRIMINATOR).exists():
        return None
    network = folders.load_discriminator(folder, device)
    game = manifest.recipe.options.get("loss") if manifest.recipe else None
    if not isinstance(network, Discriminator) or game not in LOSSES:
        return None  # what its scores mean is not known
    return Adversary(network, str(game))


def with_discriminator(name: str | Path, folder: Path) -> Path:
    """``folder``, where ``name`` was found; of a model on the Hub one with its discriminator too,
    if its repository has one. Raises NetworkError.
    """
    if hub.commit_of(folder) and manifests.read_manifest(folder).discriminator_sha256:
        return hub.fetch(str(name), discriminator=True)
    return folder


def able(*abilities: type[Model]) -> str:
    """``X and Y can``: the models of the list that have one of ``abilities``."""
    return f"{', '.join(names.able(*abilities)) or 'no installed model'} can"


def _opened(
    model: Model | str | Path, device: "str | torch.device", given: SearchOptions
) -> tuple[Model, SearchOptions]:
    """The model, and how it is searched, its discriminator among that."""
    how = SearchOptions(**{**SEARCH, "opponent": None, **given})
    for key, least in (("steps", 0), ("restarts", 1)):
        value: Any = how.get(key)
        if type(value) is not int or value < least:
            raise BadInput(f"{key} must be a whole number of at least {least}, got {value!r}")
    if not isinstance(how["weight"], Real) or not 0 <= how["weight"] <= 1e6:
        raise BadInput(f"weight must be a number from 0 to a million, got {how['weight']!r}")
    if isinstance(model, Model):
        return model, how
    folder, loaded = names.find(model), names.load(model, device=device)
    if isinstance(loaded, Latent) and how["weight"] and how["opponent"] is None:
        how["opponent"] = opponent_of(with_discriminator(model, folder), loaded.device)
    return loaded, how


def checked(model: Model, images: ImagesLike) -> Tensor:
    """``images`` in the model's range, of its shape, at least one, all finite. Raises BadInput."""
    x = model.checked_input(images)
    if not len(x):
        raise BadInput("there are no images")
    if not torch.isfinite(x).all():
        raise BadInput("images must be finite, and some hold NaN or infinity")
    return x


def _in_unit(images: ImagesLike, device: torch.device) -> Tensor:
    x = torch.as_tensor(images.tensor if isinstance(images, Samples) else images).to(device)
    return x.float() / 255 if x.dtype == torch.uint8 else x.float()


def _samples(
    model: Model, x: Tensor, seed: int, labels: Tensor | None, call: dict[str, Any]
) -> Samples:
    kind, seeds = Images if model.is_images else Arrays, [(seed, i) for i in range(len(x))]
    return kind(x, labels, seeds, model.origin, model.class_names, call)


def _portions(n: int, batch_size: Any, each: int = 1) -> list[slice]:
    if type(batch_size) is not int or batch_size < 1:
        raise BadInput(f"batch_size must be a whole number of at least 1, got {batch_size!r}")
    size = max(1, batch_size // each)
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


# ------------------------------------------------------------------------------------ by projection
class _Search(NamedTuple):
    """Of a portion: each as in `Projection`, but for all restarts."""

    losses: Tensor  # (steps + 1, n, restarts)
    path: Tensor  # (steps + 1, n, restarts, code)
    labels: Tensor | None  # (n, restarts)


@torch.inference_mode(False)  # which would leave no slope to go down, whoever asks
def _projected(
    model: Latent,
    how: SearchOptions,
    x: Tensor,
    known: Tensor | None,
    labels: Labels,
    seed: int,
    batch_size: int,
    progress: Progress | None,
) -> Projection:
    known = torch.ones_like(x, dtype=torch.bool) if known is None else known
    wanted = None if labels is None else model.labels_for(labels, len(x))
    parts = []
    for rows in _portions(len(x), batch_size, how["restarts"]):
        own = None if wanted is None else wanted[rows]
        job = _Job(model, how, x[rows], known[rows], own, seed, rows.start)
        parts.append(_within_memory(job, batch_size))
        if progress:
            progress("images", rows.stop, len(x))
    losses, path = (torch.cat(p, 1) for p in zip(*((f.losses, f.path) for f in parts), strict=True))
    best, each = losses[-1].argmin(1), torch.arange(len(x), device=x.device)
    classes = [f.labels for f in parts if f.labels is not None]
    kept = torch.cat(classes)[each, best] if classes else None
    path, opponent = path[:, each, best], how["opponent"]
    samples = _samples(model, _decoded(model, path[-1], kept), seed, kept, {"method": "project"})
    game = opponent.game if opponent and how["weight"] else ""
    return Projection(path[-1], kept, samples, losses[-1], losses[:, each, best], path, game)


class Adam:
    """Kingma & Ba 2015, algorithm 1: the direction to go down. torch's own takes seconds to import
    a compiler, as long as the search itself.
    """

    def __init__(self, at: Tensor):
        self.mean, self.square, self.steps = torch.zeros_like(at), torch.zeros_like(at), 0

    def __call__(self, slope: Tensor) -> Tensor:
        self.steps += 1
        self.mean.lerp_(slope, 1 - 0.9)
        self.square.lerp_(slope.square(), 1 - 0.999)
        mean, square = self.mean / (1 - 0.9**self.steps), self.square / (1 - 0.999**self.steps)
        return mean / (square.sqrt() + 1e-8)


class _Job:
    """The search for the codes of a portion of images, all restarts at once."""

    def __init__(
        self,
        model: Latent,
        how: SearchOptions,
        x: Tensor,  # (n, *shape) in the model's range
        known: Tensor,  # the same, bool
        labels: Tensor | None,
        seed: int,
        start: int,
    ):
        self.model, self.how, self.x, self.known, self.labels = model, how, x, known, labels
        self.seed, self.start, self.network = seed, start, _still(model)
        opponent = how["opponent"] if how["weight"] else None
        self.judge = _still(opponent.network) if opponent else None
        # The paper's log(1 - D) is what minimax makes small; other scores are no logits.
        games = {"non-saturating": "minimax"}
        game = games.get(opponent.game, opponent.game) if opponent else "minimax"
        self.term = LOSSES[game].generator
        code = model.latent_dim  # the chi-squared law's quantile (Wilson & Hilferty 1931)
        self.reach = (code * (1 - 2 / (9 * code) + TYPICAL * (2 / (9 * code)) ** 0.5) ** 3) ** 0.5

    def found(self) -> _Search:
        codes, labels = self.begun()  # (n, restarts, code)
        n, restarts, steps = *codes.shape[:2], self.how["steps"]
        rows = torch.arange(n, device=codes.device).repeat_interleave(restarts)
        z, classes = codes.flatten(0, 1), None if labels is None else labels.flatten()
        descent = Adam(z)
        losses, path = [], []
        for step in range(steps + 1):
            z.requires_grad_(step < steps)
            loss = self.loss(z, rows, classes)
            losses.append(loss.detach())
            path.append(z.detach().clone())
            if step < steps:
                rate = RATE / 2 * (1 + math.cos(math.pi * step / steps))
                (slope,) = torch.autograd.grad(loss.sum(), z)
                z = z.detach() - rate * descent(slope)
                self.bound(z)
        shape = (steps + 1, n, restarts)
        return _Search(torch.stack(losses).view(shape), torch.stack(path).view(*shape, -1), labels)

    def loss(self, z: Tensor, rows: Tensor, labels: Tensor | None) -> Tensor:
        """``(k,)`` of codes ``(k, code)``, of the images at ``rows``."""
        made = self.network.decode(z, labels)
        apart = self.apart(made, rows)
        if self.judge is None:
            return apart
        scores = self.judge(made, labels).float()
        return apart + self.how["weight"] * torch.stack([self.term(s) for s in scores])

    def apart(self, made: Tensor, rows: Tensor) -> Tensor:
        each = (made.float() - self.x[rows]).abs()
        return each.where(self.known[rows], 0.0).flatten(1).sum(1)

    def bound(self, z: Tensor) -> None:
        z.mul_((self.reach / z.norm(dim=1, keepdim=True).clamp_min(1e-12)).clamp_max(1))

    @torch.no_grad()
    def begun(self) -> tuple[Tensor, Tensor | None]:
        """Where each restart begins: ``(n, restarts, code)``, and of which class."""
        found = [self.candidates(i) for i in range(len(self.x))]
        codes = torch.stack([c for c, _ in found])
        labels = [c for _, c in found if c is not None]
        classes = torch.stack(labels) if labels else None
        if isinstance(self.network, Encoder):
            own = None if classes is None else classes[:, 0]
            guess = self.network.decode(codes[:, 0], own)
            codes[:, 0] = self.network.embed(self.x.where(self.known, guess))
            self.bound(codes[:, 0])
        return codes, classes

    def candidates(self, i: int) -> tuple[Tensor, Tensor | None]:
        """The best codes of image ``i`` of the portion, ``(restarts, code)``, and their classes."""
        restarts, model = self.how["restarts"], self.model
        purpose = f"project {self.start + i}"
        noise = Noise(self.seed, range(restarts), purpose, self.x.device)
        codes, labels = noise.normal(CANDIDATES, model.latent_dim), None
        self.bound(codes.view(-1, model.latent_dim))
        if model.num_classes:
            turn = torch.arange(restarts * CANDIDATES, device=self.x.device) % model.num_classes
            labels = turn if self.labels is None else self.labels[i].expand(len(turn))
        rows = torch.tensor(i, device=self.x.device).expand(CANDIDATES)
        kept, classes = [], []
        for r in range(restarts):
            own = None if labels is None else labels[r * CANDIDATES : (r + 1) * CANDIDATES]
            best = self.apart(self.network.decode(codes[r], own), rows).argmin()
            kept.append(codes[r, best])
            classes += [] if own is None else [own[best]]
        return torch.stack(kept), torch.stack(classes) if classes else None


def _still(network: N) -> N:
    """The private copy; where it was made in inference mode, a copy that slopes pass through."""
    still = folded(network)
    is_bound = any(tensor.is_inference() for tensor in still.state_dict().values())
    return copy.deepcopy(still) if is_bound else still


def _decoded(model: Latent, codes: Tensor, labels: Tensor | None) -> Tensor:
    """``(n, *shape)`` in [0, 1]."""
    with torch.no_grad(), torch.autocast(codes.device.type, enabled=False):
        return model.to_unit(folded(model).decode(codes, labels))


def _within_memory(job: _Job, batch_size: int) -> _Search:
    """What ``job`` finds. Raises BadInput, with the batch size that would fit, if it does not."""
    try:
        return _computed(job, job.found)
    except (RuntimeError, MemoryError) as error:
        if not _is_memory(error):
            raise
    fits = next((size for size in _halves(batch_size) if _fits(job, size)), None)
    hint = f"--batch-size {fits} (batch_size={fits}) fits" if fits else "not even one image fits"
    raise BadInput(f"memory ran out with {batch_size} images times restarts at a time: {hint}")


def _computed(job: _Job, call: Callable[[], Any]) -> Any:
    with torch.enable_grad(), torch.autocast(job.x.device.type, enabled=False):
        return call()


def _halves(size: int) -> list[int]:
    return [size >> k for k in range(1, size.bit_length())]


def _is_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or any(word in str(error) for word in _MEMORY)


def _fits(job: _Job, size: int) -> bool:
    """Whether one step of ``size`` codes fits."""
    model = job.model
    z = torch.zeros(size, model.latent_dim, device=job.x.device, requires_grad=True)
    rows = torch.zeros(size, dtype=torch.long, device=z.device)
    labels = torch.zeros_like(rows) if model.num_classes else None
    try:
        _computed(job, lambda: torch.autograd.grad(job.loss(z, rows, labels).sum(), z))
    except (RuntimeError, MemoryError) as error:
        if not _is_memory(error):
            raise
        return False
    return True
