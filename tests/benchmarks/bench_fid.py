"""FID's two halves against pytorch-fid: Inception's features, and the distance of their Gaussians.

Random weights, the same on both sides. The step from means and covariances to the distance is what
pytorch-fid's `calculate_frechet_distance` does; genzoo's takes moments, which hold the covariances'
factors: making these from covariances counts as part of the step.
"""

import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytorch_fid.inception as other
import torch
from paired import ratio
from pytorch_fid.fid_score import calculate_frechet_distance
from torch import nn

from genzoo.features.inception import Inception
from genzoo.metrics.statistics.distances import Moments, factored, frechet, moments

WIDTH = 2048


def networks() -> tuple[Inception, other.InceptionV3]:
    """Both, initialised so that something arrives at the end."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.pth"
        nn.Module.load_state_dict, load = lambda *_: None, nn.Module.load_state_dict
        other.load_state_dict_from_url = lambda *_, **__: {}
        made = other.fid_inception_v3()
        nn.Module.load_state_dict = load
        for module in made.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
        torch.save(made.state_dict(), path)
        other.load_state_dict_from_url = lambda *_, **__: made.state_dict()
        return Inception(path), other.InceptionV3().eval()


def features() -> None:
    ours, theirs = networks()
    x = torch.randint(256, (32, 3, 64, 64)) / 255
    plain = torch.no_grad()(lambda: theirs(x)[0])
    ratio("features, 32 images of 64 px", lambda: ours(x), plain, rounds=5)
    x = torch.randint(256, (4, 3, 299, 299)) / 255
    theirs.normalize_input = False
    with torch.no_grad():
        wanted = theirs((x * 255 - 128) / 128)[0].flatten(1).numpy()
    off = np.abs(ours(x) - wanted).max() / np.abs(wanted).max()
    print(f"features, largest difference of the same pixels, relative to the largest: {off:.1e}")


def clouds(n: int) -> list[np.ndarray]:
    """Two of n features like Inception's: none below 0, correlated, of a falling spectrum."""
    random = np.random.default_rng(0)
    mixing = random.normal(size=(WIDTH, WIDTH)) * np.geomspace(1, 1e-2, WIDTH) / 30
    made = (random.normal(size=(n, WIDTH)) @ mixing + 0.3 + shift for shift in (0, 0.02))
    return [np.maximum(x, 0).astype(np.float32) for x in made]


def distance(n: int) -> None:
    x, y = clouds(n)
    stated = [v for z in (x, y) for v in (z.mean(0, dtype=np.float64), np.cov(z.T))]
    known = [moments(z) for z in (x, y)]

    def step():
        if n <= WIDTH:
            return frechet(*known)
        made = (Moments(n, stated[i], factored(stated[i + 1])) for i in (0, 2))
        return frechet(*made)

    ratio(f"distance, n = {n:,}", step, lambda: calculate_frechet_distance(*stated), rounds=3)
    found, theirs = step(), calculate_frechet_distance(*stated)
    print(f"distance, n = {n:,}: ours {found:.9g}, theirs {theirs:.9g}")
    ratio(f"moments, n = {n:,}", lambda: moments(x), lambda: (x.mean(0), np.cov(x.T)), rounds=5)


def main() -> None:
    warnings.filterwarnings("ignore", "The `disp` argument", DeprecationWarning)
    features()
    distance(1000)
    distance(5000)


if __name__ == "__main__":
    main()
