"""Noise: the randomness of a batch, one stream of random numbers per sample."""

import hashlib
import math
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.random.bit_generator import ISeedSequence

if TYPE_CHECKING:
    from torch import Tensor

_WORDS = struct.Struct("=2Q")  # of a Philox key
_Draw = Callable[[np.random.Generator, np.ndarray], None]  # fills a row, contiguous float32
_spare: list[np.random.Generator] = []  # that nobody reads: to make one takes as long as a draw


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


def starts(seed: int, purpose: str, indices: Iterable[int]) -> Iterator[np.random.Generator]:
    """``stream(seed, purpose, i)`` of each index, all of them by one generator: each may be read
    until the next one is asked for.
    """
    try:
        generator = _spare.pop()
    except IndexError:  # the first one, or one beside those of other threads
        generator = stream()
    philox = generator.bit_generator
    none, key = (0, 0, 0, 0), {"counter": (0, 0, 0, 0), "key": (0, 0)}
    state: Any = {"bit_generator": "Philox", "state": key, "buffer": none, "buffer_pos": 4}
    state |= {"has_uint32": 0, "uinteger": 0}
    before = hashlib.blake2b(f"{seed}\0{purpose}\0".encode(), digest_size=16)
    for i in indices:
        hashed = before.copy()
        hashed.update(str(i).encode())
        key["key"] = _WORDS.unpack(hashed.digest())
        philox.state = state
        yield generator
    _spare.append(generator)


def seed_torch(seed: int) -> None:
    """Start torch's generators of all devices from ``seed``: what ``torch.manual_seed`` does.

    Where there is only a CPU, that writes down the stack of calls three times, for devices that may
    come: up to 5 ms, longer than a step of a small model.
    """
    if torch.accelerator.is_available():
        torch.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)


def _draw_uniform(source: np.random.Generator, row: np.ndarray) -> None:
    source.random(None, np.float32, row)


def _draw_exponential(source: np.random.Generator, row: np.ndarray) -> None:
    source.standard_exponential(None, np.float32, "zig", row)


class Noise:
    """One random stream per sample.

    The stream of sample ``i`` depends on ``seed``, ``purpose`` and ``i``: not on the other samples
    of the batch, nor on the device. Each call reads the *next* values of every stream. They are
    computed on the CPU, in float32, and then moved to ``device``.
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
        self._first: _Draw | None = None
        self._width = 0
        self._streams: list[np.random.Generator] | None = None

    def __len__(self) -> int:
        return len(self.indices)

    def __repr__(self) -> str:
        return f"Noise(seed={self.seed}, n={len(self)}, purpose={self.purpose!r})"

    def normal(self, *shape: int, limit: float | None = None) -> "Tensor":
        """Standard normal, ``(n, *shape)``; values beyond +-``limit`` are drawn again."""

        def draw(source: np.random.Generator, row: np.ndarray) -> None:
            source.standard_normal(None, np.float32, row)
            while limit is not None and (beyond := np.abs(row) > limit).any():
                row[beyond] = source.standard_normal(int(beyond.sum()), dtype=np.float32)

        return self._to_device(self._fill(draw, shape))

    def uniform(self, *shape: int) -> "Tensor":
        """Uniform on [0, 1), ``(n, *shape)``."""
        return self._to_device(self._fill(_draw_uniform, shape))

    def gumbel(self, *shape: int) -> "Tensor":
        """Standard Gumbel, ``(n, *shape)``: adding it to logits makes argmax a categorical draw."""
        rows = self._fill(_draw_exponential, shape)
        # An exponential draw of exactly 0 would be an infinite Gumbel.
        np.maximum(rows, np.finfo(np.float32).tiny, out=rows)
        return self._to_device(np.negative(np.log(rows, out=rows), out=rows))

    def _fill(self, draw: _Draw, shape: tuple[int, ...]) -> np.ndarray:
        """The next values of each stream: ``draw`` fills a row of them.

        Most samples need one call. For it, one generator is set to the start of each stream in
        turn; only at a second call are the streams opened, and read on from behind the first one.
        """
        rows = np.empty((len(self), math.prod(shape)), np.float32)
        if self._first is None:
            self._first, self._width = draw, rows.shape[1]
            sources: Iterable[np.random.Generator] = starts(self.seed, self.purpose, self.indices)
        else:
            sources = self._streams = self._streams or self._open()
        for row, source in zip(rows, sources, strict=True):
            draw(source, row)
        return rows.reshape(len(self), *shape)

    def _open(self) -> list[np.random.Generator]:
        """The streams, behind the values of the first call."""
        assert self._first is not None
        streams = [stream(self.seed, self.purpose, i) for i in self.indices]
        row = np.empty(self._width, np.float32)
        for source in streams:
            self._first(source, row)
        return streams

    def _to_device(self, rows: np.ndarray) -> "Tensor":
        return torch.from_numpy(rows).to(self.device)
