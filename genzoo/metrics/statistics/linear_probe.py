"""What representations are worth: how well linear classifiers tell classes apart by them.

The protocol of DCGAN (Radford et al. 2016, section 5.1): features of a network that is fixed, on
top of them a linear support vector machine. What they must beat: k-means on patches.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from genzoo.data.dataset import DataSet
from genzoo.errors import BadInput, OperationFailed
from genzoo.models.inference import inference_copy
from genzoo.models.model import Discriminator
from genzoo.models.randomness import stream

Kind = Literal["svm", "logistic"]
Features = Callable[[Tensor], list[Tensor]]
GRID, BATCH, PATCH = 4, 250, 6
# From the simplest classifier on: of equal ones the first is taken.
PENALTIES = (10.0, 1.0, 0.1, 0.01, 1e-3, 1e-4)
ACCURACY, ROUNDS, PATIENCE = 1e-5, 300, 2


# ---------------------------------------------------------------------------------------- features
def pooled(maps: Sequence[Tensor]) -> Tensor:
    """Maps (n, c, h, w), each max-pooled to 4x4, flattened and side by side: (n, d).

    Sides below 4 stay as they are, and so do vectors (n, c). Raises BadInput.
    """
    if not maps or any(m.ndim not in (2, 4) or len(m) != len(maps[0]) for m in maps):
        got = ", ".join(str(tuple(m.shape)) for m in maps) or "nothing"
        raise BadInput(f"expected feature maps (n, c, h, w) or (n, c) of one n, got {got}")
    return torch.cat([(_shrunk(m) if m.ndim == 4 else m).flatten(1) for m in maps], 1)


def _shrunk(m: Tensor) -> Tensor:
    height, width = (min(side, GRID) for side in m.shape[2:])
    return F.adaptive_max_pool2d(m, (height, width))


def still(network: Discriminator) -> Features:
    """The features of a private copy of ``network``, in evaluation mode: they leave no trace."""
    return inference_copy(network).features


def features_of(
    network_features: Features,
    dataset: DataSet,
    rows: Sequence[int] | np.ndarray,
    from_unit: Callable[[Tensor], Tensor],
) -> np.ndarray:
    """``pooled`` features of the samples at ``rows``: float32 (n, d), without gradient.

    ``from_unit`` takes samples in [0, 1] to the network's range; ``still`` makes the first
    argument.
    """
    rows, found = np.asarray(rows), np.empty((0, 0), np.float32)
    with torch.no_grad():
        for start in range(0, len(rows), BATCH):
            x = dataset.batch(rows[start : start + BATCH])
            part = pooled(network_features(from_unit(x))).float().cpu().numpy()
            if not start:  # filled part by part: joined parts would take the memory twice
                found = np.empty((len(rows), part.shape[1]), np.float32)
            found[start : start + len(part)] = part
    return found


# ------------------------------------------------------------------------------------- classifiers
def linear_svm(x: Tensor, y: Tensor, classes: int, penalty: float) -> Tensor:
    """Weights (classes, d + 1), the bias last: of each class a machine against the rest.

    They minimise mean_i sum_k max(0, 1 -+ f_k(x_i))^2 + penalty / 2 |w|^2, the bias free: for
    liblinear C = 1 / (penalty n) (Fan et al. 2008, section 2). x: (n, d), standardised; y: int64
    (n,). Raises OperationFailed.
    """
    return next(_fitted("svm", x, y, classes, [penalty]))


def logistic(x: Tensor, y: Tensor, classes: int, penalty: float) -> Tensor:
    """As ``linear_svm``, with the mean of -log softmax(f(x_i))[y_i] in place of its first term."""
    return next(_fitted("logistic", x, y, classes, [penalty]))


def predicted(weights: Tensor, x: Tensor) -> Tensor:
    """The class, int64 (n,), for which each of x (n, d) scores highest."""
    return _scores(weights, x).argmax(1)


def _scores(weights: Tensor, x: Tensor) -> Tensor:  # (k, d + 1), (n, d) -> (n, k)
    # Contiguous, or the gradient's product takes a form several times slower.
    return F.linear(x, weights[:, :-1].contiguous(), weights[:, -1])


def _squared_hinge(scores: Tensor, y: Tensor) -> Tensor:  # (n, k), (n,) -> ()
    own = F.one_hot(y, scores.shape[1]) * 2 - 1
    return (1 - own * scores).relu().square().sum(1).mean()


# Each with about how much it bends.
_LOSSES: dict[Kind, tuple[Callable[[Tensor, Tensor], Tensor], float]] = {
    "svm": (_squared_hinge, 2.0),
    "logistic": (F.cross_entropy, 0.25),
}


def _fitted(
    kind: Kind, x: Tensor, y: Tensor, classes: int, penalties: Sequence[float]
) -> Iterator[Tensor]:
    """The weights for each penalty; what they have in common is computed once."""
    n, width = x.shape
    if n < width:
        yield from _fitted_to_few(kind, x, y, classes, penalties)
        return
    loss, bend = _LOSSES[kind]
    start = x.new_zeros(classes, width + 1)
    curvature = _gram(x) * (bend / n)
    for penalty in penalties:
        damped = curvature.clone()
        damped.diagonal().add_(penalty + 1e-6 * curvature.trace())

        def cost(weights: Tensor, penalty: float = penalty) -> Tensor:
            return loss(_scores(weights, x), y) + penalty / 2 * weights[:, :-1].square().sum()

        # From the optimum of the penalty before it, the way is short.
        start = _minimum(cost, torch.linalg.cholesky(damped), start)
        yield start


def _fitted_to_few(
    kind: Kind, x: Tensor, y: Tensor, classes: int, penalties: Sequence[float]
) -> Iterator[Tensor]:
    """Of fewer samples than features: the optimum is a sum of samples, so x = L Q with Q's rows
    orthonormal, and L (n, n) does for x."""
    rows = x.double()
    products = _gram(rows.T)
    products.diagonal().add_(1e-6 * products.diagonal().mean())
    factor = torch.linalg.cholesky(products)
    for w in _fitted(kind, factor, y, classes, penalties):
        yield torch.cat([_turned_back(w, factor)[:, :-1] @ rows, w[:, -1:]], 1).to(x.dtype)


def _gram(x: Tensor) -> Tensor:
    """x^T x, by numpy: it sees that the product is symmetric, and computes half of it."""
    columns = x.numpy()
    return torch.from_numpy(columns.T @ columns)


def _turned_back(weights: Tensor, factor: Tensor) -> Tensor:  # (k, d + 1), (d, d) -> (k, d + 1)
    slopes = torch.linalg.solve_triangular(factor, weights[:, :-1], upper=False, left=False)
    return torch.cat([slopes, weights[:, -1:]], 1)


@torch.enable_grad()
def _minimum(cost: Callable[[Tensor], Tensor], factor: Tensor, start: Tensor) -> Tensor:
    """By LBFGS, in coordinates in which the cost bends about equally in all directions.

    There half the gradient's square is about what is missing: a 100,000th of the cost ends it.
    """
    turned = torch.cat([start[:, :-1] @ factor, start[:, -1:]], 1).requires_grad_()
    optimiser = torch.optim.LBFGS(
        [turned],
        max_iter=10,
        history_size=50,
        tolerance_grad=0,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        turned.grad = None
        value = cost(_turned_back(turned, factor))
        value.backward()
        return value.detach()

    for _ in range(ROUNDS):
        optimiser.step(closure)
        value = closure()
        assert turned.grad is not None
        if turned.grad.square().sum() / 2 <= ACCURACY * value:
            return _turned_back(turned.detach(), factor)
    raise OperationFailed(
        f"a linear classifier of {len(factor)} features did not settle: a larger penalty?"
    )


# ----------------------------------------------------------------------------------------- probing
@final
@dataclass(frozen=True, eq=False)
class Probe:
    """What a linear classifier made of a representation.

    ``correct``: bool (m,), of each test sample. ``penalty``: of those offered the best on a tenth
    of the training samples, ``held`` its accuracy there; where it is an ``end`` of the grid, a
    better one may lie beyond.
    """

    correct: np.ndarray = field(repr=False)
    kind: Kind
    penalty: float
    held: float | None
    end: bool

    @property
    def accuracy(self) -> float:
        return float(self.correct.mean())


def subset(labels: np.ndarray, each: int, seed: int = 0) -> np.ndarray:
    """Rows, int64, sorted, of ``each`` samples a class; for one seed, fewer are among more.

    Raises BadInput where a class has not so many.
    """
    found = []
    for k in np.unique(labels):
        rows = np.flatnonzero(labels == k)
        if not 1 <= each <= len(rows):
            raise BadInput(f"class {k} has {len(rows):,} samples: expected 1 to that, got {each:,}")
        found.append(stream(seed, "subset", int(k)).permutation(rows)[:each])
    return np.sort(np.concatenate(found))


def probe(
    train_x: np.ndarray,
    train_y: np.ndarray,
    test_x: np.ndarray,
    test_y: np.ndarray,
    *,
    classes: int,
    kind: Kind = "svm",
    penalties: Sequence[float] = PENALTIES,
    seed: int = 0,
) -> Probe:
    """How well a linear classifier, fitted to ``train_x`` (n, d), float32, tells ``test_x`` (m, d).

    Features are standardised as the training samples are spread; the penalty is chosen on a tenth
    of them, drawn by ``seed``, and the classifier then fitted to all. Raises BadInput,
    OperationFailed.
    """
    _check(train_x, train_y, classes, "training")
    _check(test_x, test_y, classes, "test")
    if train_x.shape[1] != test_x.shape[1]:
        raise BadInput(f"features of unlike width: {train_x.shape[1]} and {test_x.shape[1]}")
    x, y = _tensor(train_x, np.float32), _tensor(train_y, np.int64)
    scale, mean = torch.std_mean(x, 0, correction=0)
    scale[scale <= 1e-6 * mean.abs()] = 1  # what is always the same tells nothing
    x = (x - mean).div_(scale)
    penalty, held = _chosen(kind, x, y, classes, penalties, seed)
    weights = next(_fitted(kind, x, y, classes, [penalty]))
    parts = _tensor(test_x, np.float32).split(1000)
    found = [predicted(weights, (part - mean) / scale) for part in parts]
    correct = torch.cat(found).numpy() == test_y
    end = held is not None and penalty in (penalties[0], penalties[-1])
    return Probe(correct, kind, penalty, held, end)


def _tensor(x: np.ndarray, kind: type) -> Tensor:
    """It shares memory with ``x`` but where that is of another kind, or not to be written to."""
    return torch.from_numpy(np.require(x, kind, ["C", "W"]))


def _check(x: np.ndarray, y: np.ndarray, classes: int, which: str) -> None:
    if x.ndim != 2 or not len(x) or np.shape(y) != (len(x),):
        raise BadInput(f"expected {which} features (n, d), labels (n,), got {x.shape}, {y.shape}")
    if not np.isfinite(x.sum(1, dtype=np.float64)).all():
        raise BadInput(f"{which} features are not finite")
    if y.min() < 0 or y.max() >= classes:
        raise BadInput(f"{which} labels must be 0 to {classes - 1}, got {y.min()} to {y.max()}")


def _chosen(
    kind: Kind, x: Tensor, y: Tensor, classes: int, penalties: Sequence[float], seed: int
) -> tuple[float, float | None]:
    """The penalty that does best on a held-out tenth, and its accuracy there; they are tried from
    the first on, until two in a row have done worse."""
    if len(penalties) == 1:
        return penalties[0], None
    if len(x) < 10:
        raise BadInput(f"choosing a penalty takes at least 10 training samples, got {len(x)}")
    order = torch.from_numpy(stream(seed, "held out").permutation(len(x)))
    held, kept = order[: len(x) // 10], order[len(x) // 10 :].sort().values
    right: list[float] = []
    for weights in _fitted(kind, x[kept], y[kept], classes, penalties):
        right.append(float((predicted(weights, x[held]) == y[held]).double().mean()))
        if len(right) > PATIENCE and max(right[-PATIENCE:]) < max(right):
            break  # weaker ones take the longest, and would do worse
    best = max(range(len(right)), key=right.__getitem__)
    return penalties[best], right[best]


# ----------------------------------------------------------------------------- k-means on patches
def kmeans_features(
    train: DataSet, *, centroids: int = 400, patches: int = 100_000, rounds: int = 20, seed: int = 0
) -> Callable[[Tensor], Tensor]:
    """What one layer of k-means on 6x6 patches sees: images (n, C, H, W) in [0, 1] to
    (n, 4 centroids) (Coates & Ng 2011, "triangle"; their single layer of Coates, Lee & Ng 2011).

    Patches of ``train`` lose their mean and contrast and are whitened; a map per centroid says how
    much nearer it is than the average one, averaged over each quadrant. The same for one seed.
    """
    if train.kind != "images" or min(train.shape[1:]) < PATCH:
        raise BadInput(f"patches take images of at least 6x6, {train.name} holds {train.shape}")
    if not 1 <= centroids <= patches:
        raise BadInput(f"centroids must be 1 to {patches:,} (the patches), got {centroids:,}")
    x = _contrasted(_patches(train, patches, seed))
    mean = x.mean(0)
    values, vectors = torch.linalg.eigh(torch.cov((x - mean).double().T))
    whitening = (vectors * (values + 0.1).rsqrt() @ vectors.T).float()
    x = (x - mean) @ whitening
    order = stream(seed, "centroids").permutation(len(x))[:centroids]
    return partial(_triangle, mean, whitening, _kmeans(x, x[order], rounds))


def _patches(train: DataSet, count: int, seed: int) -> Tensor:  # -> (count, 36 C)
    height, width = train.shape[1:]
    random = stream(seed, "patches")
    rows = np.sort(random.integers(len(train), size=count))
    corners = [
        torch.from_numpy(random.integers(s - PATCH + 1, size=count)) for s in (height, width)
    ]
    found = []
    for part in torch.arange(count).split(1000):
        views = train.batch(rows[part]).unfold(2, PATCH, 1).unfold(3, PATCH, 1)
        top, left = (c[part] for c in corners)
        found.append(views[torch.arange(len(part)), :, top, left].flatten(1))
    return torch.cat(found)


def _contrasted(x: Tensor) -> Tensor:  # (..., d)
    x = x - x.mean(-1, keepdim=True)
    return x * (x.square().mean(-1, keepdim=True) + 10 / 255**2).rsqrt()


def _kmeans(x: Tensor, centres: Tensor, rounds: int) -> Tensor:  # (n, d), (k, d) -> (k, d)
    """Lloyd's iterations; a centre that is nearest to nothing stays where it is."""
    for _ in range(rounds):
        sums, counts = torch.zeros_like(centres), centres.new_zeros(len(centres))
        for part in x.split(10_000):
            nearest = (part @ centres.T - centres.square().sum(1) / 2).argmax(1)
            sums.index_add_(0, nearest, part)
            counts += nearest.bincount(minlength=len(centres))
        full = counts > 0
        centres[full] = sums[full] / counts[full, None]
    return centres


def _triangle(mean: Tensor, whitening: Tensor, centres: Tensor, images: Tensor) -> Tensor:
    side = [s - PATCH + 1 for s in images.shape[2:]]
    found = []
    for part in images.split(8):  # small enough for the cache
        x = _contrasted(F.unfold(part, PATCH).transpose(1, 2))  # (n, places, 36 C)
        x = (x - mean) @ whitening
        squares = x.square().sum(2, keepdim=True) - 2 * x @ centres.T + centres.square().sum(1)
        apart = squares.clamp_min_(0).sqrt_()
        near = (apart.mean(2, keepdim=True) - apart).relu_().transpose(1, 2)
        found.append(F.adaptive_avg_pool2d(near.unflatten(2, side), 2).flatten(1))
    return torch.cat(found)
