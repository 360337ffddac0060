"""Noise: the randomness of a batch, one stream of random numbers per sample."""

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.random.bit_generator import ISeedSequence

if TYPE_CHECKING:
    from torch import Tensor


def digest(*parts: int | str) -> bytes:
    """16 bytes that depend on the ``parts`` alone, the same on every machine."""
    return hashlib.blake2b("\0".join(map(str, parts)).encode(), digest_size=16).digest()


class _Key(ISeedSequence):
    """Gives Philox its key. ``Philox(key=...)`` also asks the system for entropy: 6x slower."""

    def __init__(self, words: np.ndarray):
        self.words = words

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> np.ndarray:
        return self.words


def stream(*parts: int | str) -> np.random.Generator:
    """A random stream that depends on the ``parts`` alone (Philox, Salmon et al. 2011)."""
    key = np.frombuffer(digest(*parts), np.uint64)
    return np.random.Generator(np.random.Philox(_Key(key)))  # type: ignore[arg-type]


def seed_torch(seed: int) -> None:
    """Start torch's generators of all devices from ``seed``: what ``torch.manual_seed`` does.

    Where there is only a CPU, that writes down the stack of calls three times, for devices that may
    come: up to 5 ms, longer than a step of a small model.
    """
    if torch.accelerator.is_available():
        torch.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)


class Noise:
    """One random stream per sample.

    The stream of sample ``i`` depends on ``seed``, ``purpose`` and ``i``: not on the other samples
    of the batch, nor on the device. Each call reads the *next* values of every stream. They are
    computed on the CPU, in float32, and then moved to ``device``. Streams are opened at the first
    call.
    """

    def __init__(
        self,
        seed: int,
        indices: Iterable[int],
        purpose: str = "sample",
        device: "torch.device | str" = "cpu",
    ):
        self.seed, self.indices, self.purpose = seed, tuple(indices), purpose
        self.device = torch.device(device)
        self._streams: list[np.random.Generator] | None = None

    def __len__(self) -> int:
        return len(self.indices)

    def __repr__(self) -> str:
        return f"Noise(seed={self.seed}, n={len(self)}, purpose={self.purpose!r})"

    def normal(self, *shape: int, limit: float | None = None) -> "Tensor":
        """Standard normal, ``(n, *shape)``; values beyond +-``limit`` are drawn again."""
        rows = self._fill("standard_normal", shape)
        if limit is not None:
            for row, source in zip(rows.reshape(len(rows), -1), self._open(), strict=True):
                while (beyond := np.abs(row) > limit).any():
                    row[beyond] = source.standard_normal(int(beyond.sum()), dtype=np.float32)
        return self._to_device(rows)

    def uniform(self, *shape: int) -> "Tensor":
        """Uniform on [0, 1), ``(n, *shape)``."""
        return self._to_device(self._fill("random", shape))

    def gumbel(self, *shape: int) -> "Tensor":
        """Standard Gumbel, ``(n, *shape)``: adding it to logits makes argmax a categorical draw."""
        rows = self._fill("standard_exponential", shape)
        # An exponential draw of exactly 0 would be an infinite Gumbel.
        np.maximum(rows, np.finfo(np.float32).tiny, out=rows)
        return self._to_device(np.negative(np.log(rows, out=rows), out=rows))

    def _open(self) -> list[np.random.Generator]:
        if self._streams is None:
            self._streams = [stream(self.seed, self.purpose, i) for i in self.indices]
        return self._streams

    def _fill(self, method: str, shape: tuple[int, ...]) -> np.ndarray:
        rows = np.empty((len(self), *shape), np.float32)
        for i, source in enumerate(self._open()):
            rows[i] = getattr(source, method)(shape or None, dtype=np.float32)
        return rows

    def _to_device(self, rows: np.ndarray) -> "Tensor":
        return torch.from_numpy(rows).to(self.device)
