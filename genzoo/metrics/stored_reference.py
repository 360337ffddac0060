"""References: the features of real images; in the cache, arrays with the hash of their content."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import final

import numpy as np

from genzoo.errors import OperationFailed
from genzoo.files import write_whole
from genzoo.metrics.statistics.distances import Moments, mean_kernel


@final
@dataclass(frozen=True, eq=False)
class Reference:
    """The features of the real images of a data set.

    ``moments``: of all training images. ``train``, ``test``: float32 ``(m, d)``, the features of
    randomly chosen images of each split; ``test`` is empty without such a split. ``images``: which
    images these are, for a protocol.
    """

    moments: Moments
    train: np.ndarray
    test: np.ndarray
    images: str

    @cached_property
    def mean_kernel(self) -> float:
        """That of ``train``, a part of each kernel distance from it."""
        return mean_kernel(self.train)


def read(path: Path) -> dict[str, np.ndarray] | None:
    """The arrays of a cached reference, or None if it is missing or damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            expected = (file.metadata() or {}).get("sha256")
    except (OSError, SafetensorError):
        return None
    return arrays if expected == _sha256(arrays) else None


def _sha256(arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for key in sorted(arrays):
        digest.update(key.encode() + np.ascontiguousarray(arrays[key]).tobytes())
    return digest.hexdigest()


def write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write the arrays of a reference. Raises OperationFailed."""
    from safetensors.numpy import save

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OperationFailed(
            f"cannot write {path.parent}: {error.strerror}; set GENZOO_HOME"
        ) from error
    write_whole(path, save(arrays, {"sha256": _sha256(arrays)}))
