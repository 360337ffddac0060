"""Linear probes: the test accuracy of a linear classifier on fixed features.

The protocol of DCGAN (Radford et al. 2016, section 5.1): a linear support vector machine on the
features of a fixed network. The baseline: k-means on patches.
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
FeatureMaps = Callable[[Tensor], list[Tensor]]  # (n, C, H, W) -> maps (n, c, h, w) or (n, c)
GRID, BATCH, PATCH = 4, 250, 6
# From the strongest penalty to the weakest: of equally good ones the first is used.
PENALTIES = (10.0, 1.0, 0.1, 0.01, 1e-3, 1e-4)
ACCURACY, ROUNDS, PATIENCE = 1e-5, 300, 2


# ---------------------------------------------------------------------------------------- features
def pooled(maps: Sequence[Tensor]) -> Tensor:
    """Maps (n, c, h, w), each max-pooled to 4x4, flattened and concatenated: (n, d).

    Sides below 4 and vectors (n, c) stay as they are. Raises BadInput.
    """
    if not maps or any(m.ndim not in (2, 4) or len(m) != len(maps[0]) for m in maps):
        got = ", ".join(str(tuple(m.shape)) for m in maps) or "nothing"
        raise BadInput(f"expected feature maps (n, c, h, w) or (n, c) of one n, got {got}")

    def pool(m: Tensor) -> Tensor:
        height, width = (min(side, GRID) for side in m.shape[2:])
        return F.adaptive_max_pool2d(m, (height, width))

    return torch.cat([(pool(m) if m.ndim == 4 else m).flatten(1) for m in maps], 1)


def frozen_features(network: Discriminator) -> FeatureMaps:
    """The feature maps of a private copy of ``network`` in evaluation mode."""
    return inference_copy(network).features


def features_of(
    feature_maps: FeatureMaps,
    dataset: DataSet,
    rows: Sequence[int] | np.ndarray,
    from_public: Callable[[Tensor], Tensor],
) -> np.ndarray:
    """``pooled`` features of the samples at ``rows``: float32 (n, d), without gradient.

    ``feature_maps``: as from ``frozen_features``. ``from_public``: maps samples from [0, 1] to the
    range of the network.
    """
    rows, features = np.asarray(rows), np.empty((0, 0), np.float32)
    with torch.no_grad():
        for start in range(0, len(rows), BATCH):
            x = dataset.batch(rows[start : start + BATCH])
            part = pooled(feature_maps(from_public(x))).float().cpu().numpy()
            if not start:  # filled batch by batch: concatenating would need the memory twice
                features = np.empty((len(rows), part.shape[1]), np.float32)
            features[start : start + len(part)] = part
    return features


# ------------------------------------------------------------------------------------- classifiers
def linear_svm(x: Tensor, y: Tensor, classes: int, penalty: float) -> Tensor:
    """Weights (classes, d + 1), the bias last: one machine for each class against the rest.

    They minimise mean_i sum_k max(0, 1 -+ f_k(x_i))^2 + penalty / 2 |w|^2, the bias free: for
    liblinear C = 1 / (penalty n) (Fan et al. 2008, section 2). x: (n, d), standardised; y: int64
    (n,). Raises OperationFailed.
    """
    return next(_fit("svm", x, y, classes, [penalty]))


def logistic(x: Tensor, y: Tensor, classes: int, penalty: float) -> Tensor:
    """Like ``linear_svm`` with the first term mean_i -log softmax(f(x_i))[y_i]."""
    return next(_fit("logistic", x, y, classes, [penalty]))


def predicted(weights: Tensor, x: Tensor) -> Tensor:
    """The class with the highest score, int64 (n,), for each row of x (n, d)."""
    return _scores(weights, x).argmax(1)


def _scores(weights: Tensor, x: Tensor) -> Tensor:  # (k, d + 1), (n, d) -> (n, k)
    # Contiguous, because otherwise the gradient is several times slower.
    return F.linear(x, weights[:, :-1].contiguous(), weights[:, -1])


def _squared_hinge(scores: Tensor, y: Tensor) -> Tensor:  # (n, k), (n,) -> ()
    own = F.one_hot(y, scores.shape[1]) * 2 - 1
    return (1 - own * scores).relu().square().sum(1).mean()


# Each with an upper bound of its second derivative.
_LOSSES: dict[Kind, tuple[Callable[[Tensor, Tensor], Tensor], float]] = {
    "svm": (_squared_hinge, 2.0),
    "logistic": (F.cross_entropy, 0.25),
}


def _fit(
    kind: Kind, x: Tensor, y: Tensor, classes: int, penalties: Sequence[float]
) -> Iterator[Tensor]:
    """The weights for each penalty; they share one preconditioner."""
    n, width = x.shape
    if n < width:
        yield from _fit_few(kind, x, y, classes, penalties)
        return
    loss, curvature_bound = _LOSSES[kind]
    start = x.new_zeros(classes, width + 1)
    curvature = _gram(x) * (curvature_bound / n)
    for penalty in penalties:
        damped = curvature.clone()
        damped.diagonal().add_(penalty + 1e-6 * curvature.trace())

        def cost(weights: Tensor, penalty: float = penalty) -> Tensor:
            return loss(_scores(weights, x), y) + penalty / 2 * weights[:, :-1].square().sum()

        # The previous penalty's optimum is a good start.
        start = _minimum(cost, torch.linalg.cholesky(damped), start)
        yield start


def _fit_few(
    kind: Kind, x: Tensor, y: Tensor, classes: int, penalties: Sequence[float]
) -> Iterator[Tensor]:
    """For fewer samples than features: the optimum is a sum of samples. With x = L Q, Q's rows
    orthonormal, it suffices to fit to L (n, n).
    """
    rows = x.double()
    products = _gram(rows.T)
    products.diagonal().add_(1e-6 * products.diagonal().mean())
    factor = torch.linalg.cholesky(products)
    for w in _fit(kind, factor, y, classes, penalties):
        yield torch.cat([_to_features(w, factor)[:, :-1] @ rows, w[:, -1:]], 1).to(x.dtype)


def _gram(x: Tensor) -> Tensor:
    """x^T x by numpy, which computes only half of a symmetric product."""
    columns = x.numpy()
    return torch.from_numpy(columns.T @ columns)


def _to_features(weights: Tensor, factor: Tensor) -> Tensor:  # (k, d + 1), (d, d) -> (k, d + 1)
    slopes = torch.linalg.solve_triangular(factor, weights[:, :-1], upper=False, left=False)
    return torch.cat([slopes, weights[:, -1:]], 1)


@torch.enable_grad()
def _minimum(cost: Callable[[Tensor], Tensor], factor: Tensor, start: Tensor) -> Tensor:
    """The minimum by LBFGS, in coordinates in which the Hessian is about the identity.

    There half the squared gradient norm is about the cost still to gain: it ends at 1e-5 of the
    cost.
    """
    scaled = torch.cat([start[:, :-1] @ factor, start[:, -1:]], 1).requires_grad_()
    optimiser = torch.optim.LBFGS(
        [scaled],
        max_iter=10,
        history_size=50,
        tolerance_grad=0,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        scaled.grad = None
        value = cost(_to_features(scaled, factor))
        value.backward()
        return value.detach()

    for _ in range(ROUNDS):
        optimiser.step(closure)
        value = closure()
        assert scaled.grad is not None
        if scaled.grad.square().sum() / 2 <= ACCURACY * value:
            return _to_features(scaled.detach(), factor)
    raise OperationFailed(
        f"a linear classifier on {len(factor)} features did not converge; try a larger penalty"
    )


# ----------------------------------------------------------------------------------------- probing
@final
@dataclass(frozen=True, eq=False)
class Probe:
    """The result of a linear classifier on the test samples.

    ``correct``: bool (m,), for each test sample. ``penalty``: the best one on the validation
    samples, a tenth of the training samples; ``validation_accuracy``: that on these. ``end``:
    it is the first or the last of the grid, so a better one may lie outside.
    """

    correct: np.ndarray = field(repr=False)
    kind: Kind
    penalty: float
    validation_accuracy: float | None
    end: bool

    @property
    def accuracy(self) -> float:
        return float(self.correct.mean())


def subset(labels: np.ndarray, each: int, seed: int = 0) -> np.ndarray:
    """Sorted rows, int64, of ``each`` samples a class; with one seed a smaller subset is part of a
    larger one. Raises BadInput if a class has fewer.
    """
    parts = []
    for k in np.unique(labels):
        rows = np.flatnonzero(labels == k)
        if not 1 <= each <= len(rows):
            raise BadInput(f"class {k} has {len(rows):,} samples, got {each:,}")
        parts.append(stream(seed, "subset", int(k)).permutation(rows)[:each])
    return np.sort(np.concatenate(parts))


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
    """Fit a linear classifier to ``train_x`` (n, d), float32, and test it on ``test_x`` (m, d).

    Features are standardised by the training samples. The penalty is chosen on a random tenth of
    them; then the classifier is fitted to all. Raises BadInput, OperationFailed.
    """
    _check(train_x, train_y, classes, "training")
    _check(test_x, test_y, classes, "test")
    if train_x.shape[1] != test_x.shape[1]:
        raise BadInput(
            f"training features of width {train_x.shape[1]}, test features of {test_x.shape[1]}"
        )
    x, y = _tensor(train_x, np.float32), _tensor(train_y, np.int64)
    scale, mean = torch.std_mean(x, 0, correction=0)
    scale[scale <= 1e-6 * mean.abs()] = 1  # constant features are not scaled
    x = (x - mean).div_(scale)
    penalty, accuracy = _chosen(kind, x, y, classes, penalties, seed)
    weights = next(_fit(kind, x, y, classes, [penalty]))
    parts = _tensor(test_x, np.float32).split(1000)
    predictions = [predicted(weights, (part - mean) / scale) for part in parts]
    correct = torch.cat(predictions).numpy() == test_y
    end = accuracy is not None and penalty in (penalties[0], penalties[-1])
    return Probe(correct, kind, penalty, accuracy, end)


def _tensor(x: np.ndarray, kind: type) -> Tensor:
    """A tensor that shares memory with ``x`` where dtype and layout allow."""
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
    """The penalty with the best accuracy on a held-out tenth, and that accuracy; the search stops
    when two in a row are worse.
    """
    if len(penalties) == 1:
        return penalties[0], None
    if len(x) < 10:
        raise BadInput(f"choosing a penalty needs at least 10 training samples, got {len(x)}")
    order = torch.from_numpy(stream(seed, "held out").permutation(len(x)))
    tenth, rest = order[: len(x) // 10], order[len(x) // 10 :].sort().values
    accuracies: list[float] = []
    for weights in _fit(kind, x[rest], y[rest], classes, penalties):
        accuracies.append(float((predicted(weights, x[tenth]) == y[tenth]).double().mean()))
        if len(accuracies) > PATIENCE and max(accuracies[-PATIENCE:]) < max(accuracies):
            break  # weaker penalties take longest and are likely worse
    best = max(range(len(accuracies)), key=accuracies.__getitem__)
    return penalties[best], accuracies[best]


# ----------------------------------------------------------------------------- k-means on patches
def kmeans_features(
    train: DataSet, *, centroids: int = 400, patches: int = 100_000, rounds: int = 20, seed: int = 0
) -> Callable[[Tensor], Tensor]:
    """The features of one layer of k-means on 6x6 patches: a function from images (n, C, H, W) in
    [0, 1] to (n, 4 centroids) (Coates, Lee & Ng 2011; "triangle" activation of Coates & Ng 2011).

    Patches of ``train`` are normalised (mean, contrast) and whitened. A centroid's feature is how
    much closer than average a patch is to it, averaged over each quadrant. Deterministic by seed.
    """
    if train.kind != "images" or min(train.shape[1:]) < PATCH:
        raise BadInput(f"patches need images of at least 6x6, {train.name} has {train.shape}")
    if not 1 <= centroids <= patches:
        raise BadInput(
            f"centroids must be 1 to {patches:,}, the number of patches; got {centroids:,}"
        )
    x = _normalised(_patches(train, patches, seed))
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
    patches = []
    for part in torch.arange(count).split(1000):
        views = train.batch(rows[part]).unfold(2, PATCH, 1).unfold(3, PATCH, 1)
        top, left = (c[part] for c in corners)
        patches.append(views[torch.arange(len(part)), :, top, left].flatten(1))
    return torch.cat(patches)


def _normalised(x: Tensor) -> Tensor:  # (..., d)
    x = x - x.mean(-1, keepdim=True)
    return x * (x.square().mean(-1, keepdim=True) + 10 / 255**2).rsqrt()


def _kmeans(x: Tensor, centres: Tensor, rounds: int) -> Tensor:  # (n, d), (k, d) -> (k, d)
    """Lloyd's iterations; a centre without points stays where it is."""
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
    features = []
    for part in images.split(8):  # small enough for the cache
        x = _normalised(F.unfold(part, PATCH).transpose(1, 2))  # (n, places, 36 C)
        x = (x - mean) @ whitening
        squares = x.square().sum(2, keepdim=True) - 2 * x @ centres.T + centres.square().sum(1)
        apart = squares.clamp_min_(0).sqrt_()
        near = (apart.mean(2, keepdim=True) - apart).relu_().transpose(1, 2)
        features.append(F.adaptive_avg_pool2d(near.unflatten(2, side), 2).flatten(1))
    return torch.cat(features)
