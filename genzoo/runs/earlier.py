"""The run that is already in a folder: which files are genzoo's own, how a new run removes them,
and whether the model there is the run's. No other file is ever removed, and nothing behind a link.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType

from genzoo import families, files
from genzoo.errors import BadInput, GenzooError, argument
from genzoo.files import check_folder
from genzoo.runs.changes import RATES
from genzoo.runs.plan import Plan
from genzoo.schemas import checked
from genzoo.zoo import manifest
from genzoo.zoo.reader import read_named

_FILES = ("plan.json", "log.jsonl", "lock")
_FOLDERS: MappingProxyType[str, re.Pattern[str]] = MappingProxyType(
    {
        "grids": re.compile(r"\d{8,}\.png"),
        "checkpoints": re.compile(r"\d{8,}\.pt(\.unusable)?"),
        "board": re.compile(r"events\.out\.tfevents\..+"),
    }
)


def check_own(folder: Path) -> None:
    """Check that ``folder``/run is free, or holds a run of genzoo's and no other file.

    Hidden files of the system stay, and are no reason to refuse. Raises BadInput.
    """
    check_folder(folder)
    run = folder / "run"
    if run.is_symlink():
        hint = f"choose another {argument('out')} (which may be a link itself)"
        raise BadInput(f"{run} is a link, and a new run removes nothing behind one: {hint}")
    check_folder(run)
    if not run.is_dir():
        return
    is_run = _is_plan(run / "plan.json")
    for path, is_own in _entries(run):
        if not is_own or (not is_run and path.name != "lock"):
            hint = f"move it away, or choose another {argument('out')}"
            raise BadInput(f"{path} is not a file of a run of genzoo's, and would be lost: {hint}")


def check_free(folder: Path) -> None:
    """Raise BadInput if a new run would overwrite anything but a run without a checkpoint."""
    if any((folder / "run" / "checkpoints").glob("[0-9]*.pt")):
        ways = f"{argument('resume', True)} continues it, {argument('force', True)} replaces it"
        raise BadInput(f"{folder} already holds a run: {ways}")
    files.check_free(folder, manifest.FILES, force=False)
    others = sorted(p.name for p in folder.glob("[!.]*") if p.name != "run")
    if others:
        out, force = argument("out"), argument("force", True)
        hint = f"choose another {out}, or train beside it with {force}"
        raise BadInput(
            f"{folder} contains {others[0]}, which does not belong to a training run: {hint}"
        )


def clear(folder: Path) -> None:
    """Remove an earlier run and its model; other files stay, and the lock, which is held.

    The plan goes last: a run of which a part is gone is still known as one.
    """
    run = folder / "run"
    own = [path for path, is_own in _entries(run) if is_own and path.name != "lock"]
    for path in sorted(own, key=lambda path: path.name == "plan.json"):
        path.unlink()
    for name in _FOLDERS:
        if not (run / name).is_symlink():
            with suppress(OSError):  # none, or not empty
                (run / name).rmdir()
    for name in manifest.FILES:
        (folder / name).unlink(missing_ok=True)


def check_model(folder: Path, plan: Plan) -> None:
    """Check that a model in ``folder`` is of the run ``plan``, which replaces it at its end.

    One that cannot be read was not written whole. Raises BadInput.
    """
    try:
        found = manifest.read_manifest(folder)
    except GenzooError:
        return
    if not _is_of(found, plan):
        hint = "move that model to another folder (genzoo.save), and its files out of this one"
        raise BadInput(
            f"{folder} holds a model that its run did not write ({found.family}, version "
            f"{found.version}), and resuming would replace it: {hint}"
        )


def _is_of(found: manifest.Manifest, plan: Plan) -> bool:
    """Whether the run ``plan`` has written the model ``found``, perhaps with fewer steps."""
    recipe = found.recipe
    if recipe is None or found.family != plan.family or recipe.steps > plan.steps:
        return False
    if (recipe.data_sha256, recipe.seed) != (plan.data_sha256, plan.seed):
        return False
    family = families.get(plan.family)
    try:
        config, options, _ = family.upgraded(found.revision, recipe.config, recipe.options)
        both = [(config, options), (plan.config, plan.options)]
        old, new = [
            (
                checked(family.config, one, "config"),
                checked(family.options, other, "options").model_dump(exclude={*RATES}),
            )
            for one, other in both
        ]
    except GenzooError:
        return False
    return old == new


def _entries(run: Path) -> Iterator[tuple[Path, bool]]:
    """What is in the folder ``run``, without hidden files; whether genzoo writes such a file."""
    for path in sorted(run.glob("[!.]*")):
        if path.name in _FOLDERS and path.is_dir() and not path.is_symlink():
            for file in sorted(path.glob("[!.]*")):
                yield file, _is_file(file) and bool(_FOLDERS[path.name].fullmatch(file.name))
        else:
            yield path, _is_file(path) and path.name in _FILES


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _is_plan(path: Path) -> bool:
    """Whether ``path`` is a plan of genzoo's, perhaps a damaged one."""
    try:
        content = read_named(path, manifest.LARGEST_JSON) if _is_file(path) else b""
    except (GenzooError, OSError):
        return False
    return all(key in content for key in (b'"family"', b'"data_sha256"', b'"options"'))
