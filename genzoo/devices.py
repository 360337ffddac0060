"""Devices by name: auto, cpu, cuda, mps."""

import os
import platform
from typing import TYPE_CHECKING

from genzoo.errors import BadInput

if TYPE_CHECKING:
    import torch


def device(name: "str | torch.device" = "auto") -> "torch.device":
    """The device ``name``; ``auto`` takes cuda, else mps, else cpu. Raises BadInput."""
    import torch

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device(next((kind for kind, is_there in there.items() if is_there), "cpu"))
    try:
        wanted = torch.device(name)
    except RuntimeError:
        wanted = None
    known = wanted is not None and (wanted.type == "cpu" or there.get(wanted.type, False))
    if wanted is None or not known or (wanted.index or 0) >= _count(wanted.type):
        have = ", ".join(["cpu", *(kind for kind, is_there in there.items() if is_there)])
        raise BadInput(f"there is no device {str(name)!r} here: there is {have} (or auto)")
    return wanted


def memory() -> int:
    """The bytes of this machine's memory; 0 where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return 0


def machine(device: "torch.device") -> str:
    """A line about this machine, without its name."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{os.cpu_count()} {platform.machine()} cores, {torch.get_num_threads()} threads used"


def _count(kind: str) -> int:
    import torch

    return torch.cuda.device_count() if kind == "cuda" else 1
