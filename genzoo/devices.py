"""Devices by name: auto, cpu, cuda, mps."""

import contextlib
import functools
import importlib.util
import os
import platform
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from genzoo.errors import BadInput, argument

if TYPE_CHECKING:
    import torch

LARGEST_POOL = 256  # threads: with many more the process ends without a message
_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
_setting_threads = threading.Lock()
_are_threads_chosen = threading.Event()


def set_threads(count: int) -> None:
    """Let torch compute with ``count`` threads. Raises BadInput if these are too many."""
    import torch

    most = max(LARGEST_POOL, os.cpu_count() or 1)
    if not 1 <= count <= most:
        raise BadInput(f"{count} threads: expected 1 to {most} ({argument('threads')})")
    _are_threads_chosen.set()
    torch.set_num_threads(count)


def threads() -> int:
    """How many threads torch computes with."""
    import torch

    return torch.get_num_threads()


@contextlib.contextmanager
def threads_put_back() -> Iterator[None]:
    """After the block torch has as many threads as before, whatever ``set_threads`` did in it."""
    import torch

    before, were_chosen = torch.get_num_threads(), _are_threads_chosen.is_set()
    try:
        yield
    finally:
        if torch.get_num_threads() != before:
            torch.set_num_threads(before)
        if not were_chosen:
            _are_threads_chosen.clear()


def is_usual_threads(count: int) -> bool:
    """Whether ``count`` threads are torch's own number: nobody has chosen another for the process,
    in its environment, by ``set_threads`` or by ``torch.set_num_threads``.

    By itself, torch takes one thread for each core, or for each two that share one.
    """
    if _are_threads_chosen.is_set() or any(map(os.environ.get, _VARIABLES)):
        return False
    has_affinity = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    return count in (cores, (cores + 1) // 2 if _shares_cores() else cores)


@functools.cache
def _shares_cores() -> bool:
    """Whether two of what the system calls cores are one."""
    try:
        return Path("/sys/devices/system/cpu/smt/active").read_text(encoding="utf-8").strip() == "1"
    except OSError:  # another system
        return True


def device(name: "str | torch.device" = "auto") -> "torch.device":
    """The device ``name``; ``auto`` takes cuda, else mps, else cpu. Raises BadInput."""
    import torch

    if not isinstance(name, str | torch.device):
        raise BadInput(f"a device is a name like cpu or a torch.device, got {name!r:.60}")
    accelerators = [
        kind
        for kind, available in (
            ("cuda", torch.cuda.is_available()),
            ("mps", torch.backends.mps.is_available()),
        )
        if available
    ]
    if name == "auto":
        return torch.device(next(iter(accelerators), "cpu"))
    available = ["cpu", *accelerators]
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in available or (device.index or 0) >= _count(device.type):
        choices = ", ".join([*available, "auto"])
        hint = "; genzoo calls a GPU cuda or mps" if str(name).lower().startswith("gpu") else ""
        raise BadInput(f"unknown or unavailable device {str(name)!r}; available: {choices}{hint}")
    return device if device.type == "cuda" else torch.device(device.type)  # cpu:0 is cpu


def check_compiler(device: "torch.device") -> None:
    """Check that torch.compile can compile for ``device``. Raises BadInput."""
    if device.type == "cuda":
        lacking = "" if importlib.util.find_spec("triton") else "the package triton"
    else:
        usual = {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++")
        compiler = os.environ.get("CXX", usual)
        lacking = "" if shutil.which(compiler) else f"the C++ compiler {compiler}"
    if lacking:
        hint = "install it, or leave compile out"
        raise BadInput(f"compile=True needs {lacking}, which this machine lacks: {hint}")


def process_count() -> int:
    """How many processes torchrun has started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first_process() -> bool:
    """Whether this is the process that writes and speaks, also before it has joined the others."""
    return process_count() == 1 or os.environ.get("RANK", "0") == "0"


def memory() -> int:
    """This machine's memory in bytes; 0 if it is unknown."""
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


@contextlib.contextmanager
def usual_torch() -> Iterator[None]:
    """In the block torch creates float32 tensors on the CPU, with gradients and without autocast.

    Whatever the process has set (``torch.set_default_dtype``, ``torch.set_default_device``, an
    ``inference_mode`` around the call) changes no result of genzoo's, and is restored afterwards.
    """
    import torch

    with (
        usual_tensors(),
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast("cpu", enabled=False),
        torch.autocast("cuda", enabled=False) if torch.cuda.is_available() else nullcontext(),
    ):
        yield


@contextlib.contextmanager
def usual_tensors() -> Iterator[None]:
    """In the block torch creates float32 tensors on the CPU unless told otherwise."""
    import torch

    before = torch.get_default_dtype()
    # A default device costs time at each call of torch's: none is set where none is needed.
    is_usual = torch.get_default_device().type == "cpu"
    if before != torch.float32:
        torch.set_default_dtype(torch.float32)
    try:
        with nullcontext() if is_usual else torch.device("cpu"):
            yield
    finally:
        if before != torch.float32:
            torch.set_default_dtype(before)


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """In the block torch's CPU code uses only the calling thread; other threads are not affected.

    For many small products: several threads would wait for each other, longest if a core is busy.
    May be nested. The earlier number of threads is restored, after an exception too.
    """
    import torch

    before = torch.get_num_threads()
    _set_own_threads(1)
    try:
        yield
    finally:
        _set_own_threads(before)


def _set_own_threads(count: int) -> None:
    """Set the number of threads that torch uses for the calling thread.

    torch stores a number for each thread, and a default for threads that are new to torch.
    ``torch.set_num_threads`` changes both, so a new thread reads the default first and restores it.
    """
    from concurrent.futures import ThreadPoolExecutor

    import torch

    if torch.get_num_threads() == count:
        return
    with _setting_threads, ThreadPoolExecutor(1) as new_thread:
        initial = new_thread.submit(torch.get_num_threads).result()
        torch.set_num_threads(count)
        new_thread.submit(torch.set_num_threads, initial).result()


def _count(kind: str) -> int:
    import torch

    return torch.cuda.device_count() if kind == "cuda" else 1
