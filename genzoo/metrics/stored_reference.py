"""References in the cache: the arrays of a file, with the hash of their content."""

import hashlib
from pathlib import Path

import numpy as np

from genzoo.errors import OperationFailed
from genzoo.files import write_whole


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
