"""The kernel distance of 40 blocks, 4,000 features, from 10,000, against the formula in NumPy.

The formula: whole matrices of the kernel in float64; that of the real features with themselves is
computed once for all blocks. Run it: python tests/benchmarks/bench_kd.py [rounds].
"""

import sys

import numpy as np
from paired import ratio

from genzoo.metrics.statistics.distances import kernels, moments
from genzoo.metrics.stored_reference import Reference

BLOCKS, WIDTH = 40, 128


def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (x @ y.T / x.shape[1] + 1) ** 3


def within(x: np.ndarray) -> float:
    k = kernel(x, x)
    return (k.sum() - np.trace(k)) / (len(x) * (len(x) - 1))


def main(rounds: int = 5) -> None:
    random = np.random.default_rng(0)
    real, fake = (
        np.maximum(random.normal(size=(n, WIDTH)), 0).astype(np.float32) for n in (10_000, 4_000)
    )
    blocks = fake.reshape(BLOCKS, -1, WIDTH)
    reference = Reference(moments(real[:2]), real, real[:0], "")

    def plain() -> list[float]:
        x, y = blocks.astype(np.float64), real.astype(np.float64)
        constant = within(y)
        return [within(b) + constant - 2 * kernel(b, y).mean() for b in x]

    def first() -> np.ndarray:
        return kernels(blocks, real)

    def again() -> np.ndarray:
        return kernels(blocks, reference.train, reference.mean_kernel)

    np.testing.assert_allclose(first(), plain(), rtol=1e-6)
    ratio("the first distance from a reference", first, plain, rounds)
    ratio("each further one", again, plain, rounds)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
