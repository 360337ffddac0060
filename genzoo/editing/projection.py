"""Projection: the latent code whose sample is most like an image.

Gradient descent on the code (Yeh et al. 2017, arXiv:1607.07539). If the model has an encoder, its
code is one start; if it has a discriminator, its loss is added.
"""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any, NamedTuple, TypedDict, TypeVar, Unpack, final

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from genzoo.data.images import read_images
from genzoo.devices import usual_torch
from genzoo.editing import masks
from genzoo.errors import BadInput, argument, article
from genzoo.models.abilities import Encoder
from genzoo.models.arguments import checked_arguments
from genzoo.models.checks import (
    batch_slices,
    check_count,
    check_place,
    checked_seed,
)
from genzoo.models.inference import inference_copy
from genzoo.models.laws import Normal
from genzoo.models.model import Discriminator, Model, finite_input, infer
from genzoo.models.randomness import Noise
from genzoo.models.sampler import Labels, Latent, Progress
from genzoo.models.samples import Images, Samples
from genzoo.models.threads import LARGE, suited
from genzoo.training.losses import LOSSES
from genzoo.zoo import folder as folders
from genzoo.zoo import manifest as manifests
from genzoo.zoo import names

RATE, CANDIDATES = 0.1, 64
# The standard normal's 99 % quantile: codes stay in the ball that holds 99 % of normal codes.
QUANTILE = 2.3263
_MEMORY = ("out of memory", "can't allocate", "not enough memory")
N = TypeVar("N", bound=nn.Module)
ImageLike = Samples | Tensor | np.ndarray | Image.Image | str | Path
ImagesLike = ImageLike | Sequence[ImageLike]


class Adversary(NamedTuple):
    """A discriminator, and the name in ``LOSSES`` of the loss that it was trained with."""

    network: Discriminator
    loss: str


class SearchOptions(TypedDict, total=False):
    """How codes are searched. ``weight``: of the discriminator's loss; 0 means it is not loaded.
    ``window``: see `neighbour_weights`; 0 means that all known pixels count the same. By default 7
    for images in colour, otherwise 0: strokes far from the hole say which digit it is.
    ``adversary``: the discriminator of a model in memory; a name or a folder has its own.
    """

    steps: int
    restarts: int
    weight: float
    window: int
    adversary: Adversary | None


SEARCH = SearchOptions(steps=100, restarts=4, weight=0.003)
WINDOW = 7  # of the paper


@final
@dataclass(frozen=True, eq=False)
class Projection:
    """The codes of images, and the course of the search.

    ``codes`` ``(n, code)``, ``labels`` ``(n,)`` or None; ``samples``: what the model generates from
    them. ``losses`` ``(n, restarts)``: the final loss of each restart; the best restart gives the
    code. ``history`` and ``path``: the loss ``(steps + 1, n)`` and the codes ``(steps + 1, n,
    code)`` of the best restart, step by step. ``discriminator_loss``: the name of the
    discriminator's loss, "" if none was used.
    """

    codes: Tensor
    labels: Tensor | None
    samples: Samples
    losses: Tensor
    history: Tensor
    path: Tensor
    discriminator_loss: str

    def __repr__(self) -> str:
        steps = len(self.history) - 1
        return f"<Projection of {len(self.codes)} images in {steps} steps: {self.samples!r}>"

    def _repr_png_(self) -> bytes | None:
        return self.samples._repr_png_() if isinstance(self.samples, Images) else None


@checked_arguments
@usual_torch()
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
    """The codes whose samples are most like ``images``: ``(n, *shape)`` in [0, 1], or files,
    folders of them, Pillow images, samples, or a list of these.

    100 ``steps`` of Adam minimise |W (G(z) - x)|_1 + ``weight`` log(1 - D(G(z))), sums over values
    in the model's own range (Yeh et al. 2017, section 3). W is 1 where ``mask`` says known, or with
    a ``window`` the share of unknown pixels around. The term of D is used if the model's folder, or
    its repository, contains the discriminator; if that gives no logits (Wasserstein, hinge, least
    squares, relativistic), its generator's loss replaces the term.

    Each of 4 ``restarts`` begins at the best of 64 codes that depend on ``seed``, the image's index
    and the restart, of all classes unless ``labels`` chooses; an `Encoder`'s code replaces the
    first's. Codes stay in the ball that holds 99 % of normal ones. ``mask``: as `inpaint` takes it;
    None: all is known. ``batch_size``: images times restarts at a time. Raises BadInput, and as
    ``load``.
    """
    if mask is not None:
        masks.check(mask)
    model, options = open_model(model, device, search)
    if not isinstance(model, Latent):
        raise names.lacking(model, Latent, "has no latent code")
    given = read_images(images, model.shape, kind=model.kind, form=model.data_form)
    x = finite_input(model, given.values)
    if mask is None and search.get("window"):
        name = argument("window")
        raise BadInput(f"{name} would have no effect: without a mask all is known")
    known = None if mask is None else masks.known(mask, len(x), model.shape, seed).to(x.device)
    return search_codes(model, options, x, known, labels, checked_seed(seed), batch_size, progress)


def neighbour_weights(known: Tensor, window: int) -> Tensor:
    """How much each value counts: float, of the shape of ``known``, bool ``(n, C, H, W)``.

    Unknown values count 0, known ones the share of unknown pixels in the ``window`` around them
    (Yeh et al. 2017, equation 4; theirs is 7 pixels wide): a face is completed by what is near the
    hole. With window 0 each known value counts 1.
    """
    if not window:
        return known.float()
    unknown = (~known).any(1, keepdim=True).float()
    share = F.avg_pool2d(unknown, window, 1, window // 2, count_include_pad=False)
    return share * known


def find_adversary(folder: Path, device: "str | torch.device") -> Adversary | None:
    """The discriminator beside the model in ``folder``, and its loss; None if it has none."""
    manifest = manifests.read_manifest(folder)
    if manifest.discriminator_sha256 is None or not (folder / manifests.DISCRIMINATOR).exists():
        return None
    network = folders.load_discriminator(folder, device)
    loss = manifest.recipe.options.get("loss") if manifest.recipe else None
    if not isinstance(network, Discriminator) or loss not in LOSSES:
        return None  # the meaning of its scores is unknown
    return Adversary(network, str(loss))


def open_model(
    model: Model | str | Path, device: "str | torch.device", given: SearchOptions
) -> tuple[Model, SearchOptions]:
    """The model, and all options of the search, its discriminator included. Raises BadInput."""
    options = SearchOptions(**{**SEARCH, "adversary": None, **given})
    check_count("steps", options["steps"], 0)
    check_count("restarts", options["restarts"], 1)
    weight = options["weight"]
    if not isinstance(weight, Real) or not 0 <= weight <= 1e6:
        raise BadInput(f"weight must be a number from 0 to 1,000,000, got {weight!r}")
    adversary = options["adversary"]
    if adversary is not None and not isinstance(adversary, Adversary):
        what = "a genzoo.editing.Adversary: a discriminator and the name of its loss"
        raise BadInput(f"adversary must be {what}, got {article(adversary)}")
    if isinstance(model, Model):
        check_place(model.device, device)
        options["window"] = _checked_window(model, given.get("window"))
        return model, options
    loaded, folder = names.load_with_folder(model, device)
    options["window"] = _checked_window(loaded, given.get("window"))
    if isinstance(loaded, Latent) and weight and options["adversary"] is None:
        folder = names.with_discriminator(model, folder)
        options["adversary"] = find_adversary(folder, loaded.device)
    return loaded, options


def in_colour(model: Model) -> bool:
    return model.is_images and model.shape[0] == 3


def _checked_window(model: Model, window: int | None) -> int:
    """``window``, by default what suits the model. Raises BadInput."""
    if window is None:
        return WINDOW if in_colour(model) else 0
    check_count("window", window, 0)
    if window and window % 2 == 0:
        raise BadInput(f"window must be odd, to have a centre, or 0, got {window}")
    if window and not model.is_images:
        name = argument("window")
        raise BadInput(f"{name} would have no effect: {model.kind} have no neighbouring pixels")
    return window


# ----------------------------------------------------------------------------------------- search
class _SearchResult(NamedTuple):
    """The search for the codes of a batch, all restarts."""

    losses: Tensor  # (steps + 1, n, restarts)
    path: Tensor  # (steps + 1, n, restarts, code)
    labels: Tensor | None  # (n, restarts)


@torch.inference_mode(False)  # inside inference mode there would be no gradients
def search_codes(
    model: Latent,
    options: SearchOptions,
    x: Tensor,
    known: Tensor | None,
    labels: Labels,
    seed: int,
    batch_size: int,
    progress: Progress | None,
) -> Projection:
    """As `project`, of ``x`` in the model's range, with the mask ``known`` (None: all)."""
    model.code_law.check_sums("this model's codes are not found by gradients")
    check_count("batch_size", batch_size, 1)
    if known is None:
        known, options = torch.ones_like(x, dtype=torch.bool), {**options, "window": 0}
    classes = None if labels is None else model.labels_for(labels, len(x))
    results = []
    for rows in batch_slices(len(x), max(1, batch_size // options["restarts"])):
        own = None if classes is None else classes[rows]
        search = _CodeSearch(model, options, x[rows], known[rows], own, seed, rows.start)
        results.append(_run_within_memory(search, batch_size))
        if progress:
            progress("images", rows.stop, len(x))
    losses = torch.cat([result.losses for result in results], 1)
    path = torch.cat([result.path for result in results], 1)
    tried = [result.labels for result in results if result.labels is not None]
    best, each = losses[-1].argmin(1), torch.arange(len(x), device=x.device)
    path, adversary = path[:, each, best], options["adversary"]
    best_labels = torch.cat(tried)[each, best] if tried else None
    decoded = infer(model, lambda copy: copy.decode(path[-1], best_labels))
    seeds = [(seed, i) for i in range(len(x))]
    samples = model.to_samples(decoded, best_labels, seeds, {"method": "project"})
    loss_name = adversary.loss if adversary and options["weight"] else ""
    return Projection(
        path[-1], best_labels, samples, losses[-1], losses[:, each, best], path, loss_name
    )


def cosine_rate(step: int, steps: int) -> float:
    """Adam's learning rate in ``step``: from RATE along a cosine towards 0."""
    return RATE / 2 * (1 + math.cos(math.pi * step / steps))


class Adam:
    """Kingma & Ba 2015, algorithm 1: the gradient, scaled by its running moments.

    Not torch's own, as its import of a compiler takes seconds, as long as the search itself.
    """

    def __init__(self, at: Tensor):
        self.mean, self.square, self.steps = torch.zeros_like(at), torch.zeros_like(at), 0

    def __call__(self, gradient: Tensor) -> Tensor:
        self.steps += 1
        self.mean.lerp_(gradient, 1 - 0.9)
        self.square.lerp_(gradient.square(), 1 - 0.999)
        mean, square = self.mean / (1 - 0.9**self.steps), self.square / (1 - 0.999**self.steps)
        return mean / (square.sqrt() + 1e-8)


class _CodeSearch:
    """The search for the codes of a batch of images, all restarts at once."""

    def __init__(
        self,
        model: Latent,
        options: SearchOptions,
        x: Tensor,  # (n, *shape) in the model's range
        known: Tensor,  # the same, bool
        labels: Tensor | None,
        seed: int,
        start: int,
    ):
        self.model, self.options, self.x, self.known = model, options, x, known
        self.weights = neighbour_weights(known, options["window"])
        self.labels, self.seed, self.start = labels, seed, start
        self.network = _differentiable(model)
        adversary = options["adversary"] if options["weight"] else None
        self.discriminator = _differentiable(adversary.network) if adversary else None
        # The paper's log(1 - D) is the minimax loss; scores that are no logits have their own.
        loss = adversary.loss if adversary else "minimax"
        self.generator_loss = LOSSES["minimax" if loss == "non-saturating" else loss].generator
        self.law = model.code_law

    def run(self) -> _SearchResult:
        codes, labels = self.starts()  # (n, restarts, code)
        n, restarts, steps = *codes.shape[:2], self.options["steps"]
        rows = torch.arange(n, device=codes.device).repeat_interleave(restarts)
        z, classes = codes.flatten(0, 1), None if labels is None else labels.flatten()
        adam = Adam(z)
        losses, path = [], []
        for step in range(steps + 1):
            z.requires_grad_(step < steps)
            loss = self.loss(z, rows, classes)
            losses.append(loss.detach())
            path.append(z.detach().clone())
            if step < steps:
                (gradient,) = torch.autograd.grad(loss.sum(), z)
                z = z.detach() - cosine_rate(step, steps) * adam(gradient)
                self.clip(z)
        shape = (steps + 1, n, restarts)
        paths = torch.stack(path).view(*shape, -1)
        return _SearchResult(torch.stack(losses).view(shape), paths, labels)

    def loss(self, z: Tensor, rows: Tensor, labels: Tensor | None) -> Tensor:
        """``(k,)`` for codes ``(k, code)`` of the images at ``rows``."""
        x = self.network.decode(z, labels)
        distance = self.distance(x, rows)
        if self.discriminator is None:
            return distance
        scores = self.discriminator(x, labels).float()
        return distance + self.options["weight"] * torch.stack(
            [self.generator_loss(score) for score in scores]
        )

    def distance(self, x: Tensor, rows: Tensor) -> Tensor:
        """``(k,)``: the weighted L1 distance of ``x`` ``(k, *shape)`` to the images at ``rows``."""
        difference = (x.float() - self.x[rows]).abs() * self.weights[rows]
        return difference.flatten(1).sum(1)

    def clip(self, z: Tensor) -> None:
        """Move codes ``(k, code)`` that no law draws to the nearest it does, in place.

        Normal parts are shortened to the ball that holds 99 % of them.
        """
        for part, at in self.law.located():
            code = z[:, at]
            if isinstance(part, Normal):
                length = code.norm(dim=1, keepdim=True).clamp_min(1e-12)
                code.mul_((_radius(part.dim) / length).clamp_max(1))
            else:
                code.copy_(part.nearest(code))

    @torch.no_grad()
    def starts(self) -> tuple[Tensor, Tensor | None]:
        """Where each restart begins: ``(n, restarts, code)``, and its class."""
        candidates = [self.best_candidates(i) for i in range(len(self.x))]
        codes = torch.stack([codes for codes, _ in candidates])
        labels = [labels for _, labels in candidates if labels is not None]
        classes = torch.stack(labels) if labels else None
        if isinstance(self.network, Encoder):
            own = None if classes is None else classes[:, 0]
            guess = self.network.decode(codes[:, 0], own)
            codes[:, 0] = self.network.embed(self.x.where(self.known, guess))
            self.clip(codes[:, 0])
        return codes, classes

    def best_candidates(self, i: int) -> tuple[Tensor, Tensor | None]:
        """The best codes for image ``i`` of the batch, ``(restarts, code)``, and their classes."""
        restarts, model = self.options["restarts"], self.model
        purpose = f"project {self.start + i}"
        noise = Noise(self.seed, range(restarts), purpose, self.x.device)
        codes, labels = self.law.of_normal(noise.normal(CANDIDATES, model.latent_dim)), None
        self.clip(codes.view(-1, model.latent_dim))
        if model.num_classes:
            turn = torch.arange(restarts * CANDIDATES, device=self.x.device) % model.num_classes
            labels = turn if self.labels is None else self.labels[i].expand(len(turn))
        rows = torch.tensor(i, device=self.x.device).expand(CANDIDATES)
        best_codes, best_labels = [], []
        for r in range(restarts):
            own = None if labels is None else labels[r * CANDIDATES : (r + 1) * CANDIDATES]
            best = self.distance(self.network.decode(codes[r], own), rows).argmin()
            best_codes.append(codes[r, best])
            best_labels += [] if own is None else [own[best]]
        return torch.stack(best_codes), torch.stack(best_labels) if best_labels else None


def _radius(n: int) -> float:
    """Of the ball that holds 99 % of codes: chi-squared's quantile (Wilson & Hilferty 1931)."""
    return (n * (1 - 2 / (9 * n) + QUANTILE * (2 / (9 * n)) ** 0.5) ** 3) ** 0.5


def _differentiable(network: N) -> N:
    """The private copy of ``network``, copied again if it comes from inference mode, which allows
    no gradient.
    """
    private = inference_copy(network)
    is_inference = any(tensor.is_inference() for tensor in private.state_dict().values())
    return copy.deepcopy(private) if is_inference else private


# ----------------------------------------------------------------------------------------- memory
def _run_within_memory(search: _CodeSearch, batch_size: int) -> _SearchResult:
    """The result of ``search``. If memory runs out, raises BadInput with a batch size that fits."""
    try:
        return _with_gradients(search, search.run)
    except (RuntimeError, MemoryError) as error:
        if not _is_memory(error):
            raise
    halves = [batch_size >> k for k in range(1, batch_size.bit_length())]
    fits = next((size for size in halves if _fits(search, size)), None)
    hint = f"use {argument('batch_size', fits)}" if fits else "not even one image fits"
    raise BadInput(f"out of memory with batch size {batch_size} (images times restarts): {hint}")


def _with_gradients(search: _CodeSearch, call: Callable[[], Any]) -> Any:
    no_autocast = torch.autocast(search.x.device.type, enabled=False)
    with torch.enable_grad(), no_autocast, suited(LARGE):
        return call()


def _is_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or any(word in str(error) for word in _MEMORY)


def _fits(search: _CodeSearch, size: int) -> bool:
    """Whether one step of ``size`` codes fits into memory."""
    model = search.model
    z = torch.zeros(size, model.latent_dim, device=search.x.device, requires_grad=True)
    rows = torch.zeros(size, dtype=torch.long, device=z.device)
    labels = torch.zeros_like(rows) if model.num_classes else None
    try:
        _with_gradients(search, lambda: torch.autograd.grad(search.loss(z, rows, labels).sum(), z))
    except (RuntimeError, MemoryError) as error:
        if not _is_memory(error):
            raise
        return False
    return True
