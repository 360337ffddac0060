"""env: what a report of a bug needs to say about this machine."""

import contextlib
import os
import platform
import re
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, final

from genzoo.errors import install_command
from genzoo.text import columns, file_size, html_table, printable
from genzoo.version import VERSION

# Variables whose value is shown; of others only that they are set.
SHOWN = ("CUDA_VISIBLE_DEVICES", "HF_HUB_OFFLINE", "OMP_NUM_THREADS", "PYTORCH_ENABLE_MPS_FALLBACK")
SECRET = re.compile("TOKEN|SECRET|PASSWORD|KEY|AUTH|ORG", re.IGNORECASE)
PACKAGES = ("torch", "torchvision", "numpy", "pillow", "huggingface-hub", "pydantic", "typer")


@final
@dataclass(frozen=True, repr=False)
class Environment:
    """``facts``: a text each, or a dict of texts."""

    facts: dict[str, Any]

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return self.facts

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """The facts line by line."""
        rows: list[tuple[str, ...]] = []
        for key, value in self.facts.items():
            values = value if isinstance(value, dict) else {value: ""}
            lines = [*values.items()] or [("none", "")]
            rows += [(key if i == 0 else "", *line) for i, line in enumerate(lines)]
        return rows

    def __repr__(self) -> str:
        return "\n".join(columns(self.rows))

    def _repr_html_(self) -> str:
        return html_table(self.rows)


def env() -> Environment:
    """Versions, system, devices, variables, cache and extras, without names of accounts: what a
    report of a bug needs to say.
    """
    facts = {
        "genzoo": VERSION,
        "python": f"{platform.python_version()} ({platform.python_implementation()})",
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "packages": {name: _version(name) for name in PACKAGES},
        "plugins": _plugins(),
        "extras": _extras(),
        "devices": _devices(),
        "variables": _variables(),
        "cache": _cache(),
    }
    return Environment(facts)


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except Exception:  # not installed, or with damaged metadata
        return "missing"


def _plugins() -> dict[str, str]:
    from genzoo import families

    found = [plugin for kind in families.GROUPS for plugin in families.plugins(kind)]
    return {plugin.package: plugin.version for plugin in found}


def _extras() -> dict[str, str]:
    """The packages of each extra that users install, with their versions."""
    names = metadata.metadata("genzoo").get_all("Provides-Extra") or []
    packages = {name: re.findall(r'"([\w-]+)', install_command(name)) for name in names}
    return {
        name: ", ".join(f"{package} {_version(package)}" for package in parts)
        for name, parts in sorted(packages.items())
        if name != "test"
    }


def _devices() -> dict[str, str]:
    """The processors, as torch sees them; the reason where torch cannot be imported."""
    found = {"cpu": f"{_processor()}, {os.cpu_count()} cores"}
    try:
        import torch
    except Exception as error:  # a broken install is what a report may be about
        return {**found, "torch": f"cannot be imported: {_anonymous(str(error))[:200]}"}
    found["cpu"] += f", {torch.get_num_threads()} threads"
    for i in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        found[f"cuda:{i}"] = f"{torch.cuda.get_device_name(i)}, CUDA {torch.version.cuda}"
    if torch.backends.mps.is_available():
        found["mps"] = "available"
    return found


def _processor() -> str:
    with contextlib.suppress(OSError):  # of Linux
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        if match := re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE):
            return printable(match[1])
    return platform.processor() or platform.machine()


def _variables() -> dict[str, str]:
    """genzoo's variables and those that decide where it computes, without secrets."""
    names = [name for name in sorted(os.environ) if name.startswith("GENZOO_") or name in SHOWN]
    hidden = {name: "set" for name in names if SECRET.search(name)}
    return {name: hidden.get(name) or _anonymous(os.environ[name]) for name in names}


def _cache() -> dict[str, str]:
    from genzoo.data import entries
    from genzoo.files import home

    stored = entries.listing()
    total = file_size(sum(one.bytes for one in stored))
    return {_anonymous(str(home())): f"{len(stored)} entries, {total}"}


def _anonymous(text: str) -> str:
    """``text`` with the home folder as ~, and without the account's name in other paths."""
    home = str(Path.home())
    if len(home) > 1:
        text = text.replace(home, "~")
    for account in {Path(home).name, os.environ.get("USER", ""), os.environ.get("USERNAME", "")}:
        if account:
            text = re.sub(rf"(?<=[/\\]){re.escape(account)}(?=[/\\]|$)", "NAME", text)
    return printable(text)
