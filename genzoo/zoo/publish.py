"""push: a model to the Hub, after its files were checked. pull: a model of the Hub as a folder."""

import json
import logging
import os
import re
import shlex
import shutil
import tempfile
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from genzoo.errors import (
    BadInput,
    InvalidModel,
    OperationFailed,
    argument,
    command,
    either,
    on_the_command_line,
)
from genzoo.files import check_free, expanded, write_text
from genzoo.models.arguments import checked_arguments
from genzoo.schemas import Name, Schema, checked
from genzoo.zoo import card, hub, readme
from genzoo.zoo.folder import load_discriminator, load_folder, write_folder
from genzoo.zoo.hub import Pushed
from genzoo.zoo.manifest import (
    CONFIG,
    DISCRIMINATOR,
    FILES,
    LARGEST_BESIDE,
    LARGEST_JSON,
    METRICS,
    PICTURE,
    README,
    SOUND,
    WEIGHTS,
    Manifest,
    Metrics,
    manifest_bytes,
    read_manifest,
)
from genzoo.zoo.reader import open_inside, read_capped
from genzoo.zoo.terms import RESTRICTED
from genzoo.zoo.weights import largest_model

# A path of this machine: ~/x, ~somebody, /x, ./x, ../x, C:\x, at the start of a text or a part.
_PATH = re.compile(
    r"""(?:^|(?<=[=,;:|([{"']))"""
    r"""(?:(?:~[^/\\,;]*|\.{1,2}|[A-Za-z]:)?[/\\][^,;]*|~[A-Za-z_][\w-]*(?=$|[,;]))"""
)
log = logging.getLogger("genzoo")


class _Score(Schema, extra="ignore", use_attribute_docstrings=False):
    """What every score must have; others may have more."""

    name: Name
    value: float
    protocol: Annotated[dict[str, Any], Field(min_length=1)]


@checked_arguments
def push(
    folder: str | Path,
    repo: str,
    *,
    private: bool = False,
    tag: str | None = None,
    license: str | None = None,
) -> Pushed:
    """Send the model in ``folder`` to the Hub as ``repo``, ``owner/name``: one commit, and a tag.

    It must load with its hashes, have a license and scores with protocols, and contain no link.
    Only a model's own files are sent, with README.md's metadata renewed and paths of this machine
    replaced by their last part. ``license`` replaces the one in the folder. Raises InvalidModel,
    BadInput, UnknownName, NetworkError.
    """
    at = hub.address(repo)
    if at.revision is not None or "/" not in repo:
        raise BadInput(
            f"expected owner/name to push to, got {repo[:120]!r}; a version is a {argument('tag')}"
        )
    if tag is not None:
        hub.address(f"{repo}@{tag}")  # raises if it is not a valid revision
    folder = expanded(folder)
    read_manifest(folder)  # its message for a folder that is no model is the best
    with tempfile.TemporaryDirectory() as outer:
        aside = Path(outer) / "model"
        aside.mkdir()
        for name in FILES:
            if os.path.lexists(folder / name):
                _copy(folder / name, aside / name)
        with hub.relabel_errors(aside, str(folder)):
            _prepare(aside, repo, license)
        return hub.upload(aside, repo, private=private, tag=tag)


@checked_arguments
def pull(
    name: str,
    out: str | Path | None = None,
    *,
    discriminator: bool = False,
    force: bool = False,
    local_files_only: bool = False,
) -> Path:
    """Copy the Hub's model ``name`` into the folder ``out``, by default named like the model.

    All files but those of samples are copied; ``sample`` can draw that again. Raises as ``load``.
    """
    at = hub.address(name)
    target = expanded(out or at.repo.partition("/")[2])
    check_free(target, FILES, force)
    source = hub.fetch(name, discriminator=discriminator, local_files_only=local_files_only)
    files = [f for f in FILES if (source / f).is_file() and (discriminator or f != DISCRIMINATOR)]
    if discriminator and DISCRIMINATOR not in files:
        raise BadInput(f"{name} has no discriminator: leave {argument('discriminator')} out")
    limits = {f: largest_model() for f in (WEIGHTS, DISCRIMINATOR)}
    contents = {f: read_capped(source / f, limits.get(f, LARGEST_BESIDE)) for f in files}
    write_folder(target, contents, force=force)
    return target


# ---------------------------------------------------------------------------------------- push
def _copy(source: Path, target: Path) -> None:
    """Copy a plain file. A link is not followed, not even one that appears meanwhile."""
    try:
        if source.is_symlink():
            raise InvalidModel(f"{source} is a link; only plain files are pushed")
        with open_inside(source) as file, target.open("wb") as copy:
            shutil.copyfileobj(file, copy)
    except OSError as error:
        raise OperationFailed(f"cannot copy {source}: {error.strerror or error}") from error


def _prepare(folder: Path, repo: str, license: str | None) -> None:
    """Check the files to publish, and write README.md again from the others."""
    manifest, metrics = read_manifest(folder), _scored(folder, repo)
    model, was = load_folder(folder, "cpu", manifest=manifest), manifest.license
    _check_discriminator(folder, manifest)
    if license is not None:
        values = {**manifest.model_dump(mode="json"), "license": license}
        manifest = checked(Manifest, values, "license")
    _check_license(folder, manifest)
    shown = card.sample_files(model)
    for name in shown:
        _check_shown(folder, name)
    replacements: dict[str, str] = {}
    manifest = _without_paths(manifest, replacements)
    metrics["scores"] = _hide(metrics.get("scores", []), replacements)
    published = checked(Metrics, metrics, METRICS)
    if license is not None or replacements:
        (folder / CONFIG).write_bytes(manifest_bytes(manifest))
    if replacements:
        write_text(folder / METRICS, json.dumps(metrics, indent=2) + "\n")
    rendered = readme.render(manifest, published, PICTURE in shown)
    page = _readme(folder, manifest, rendered, repo, was)
    for text in sorted(replacements, key=len, reverse=True):  # a command before the paths in it
        whole = rf"(?<![\w/\\.~-]){re.escape(text)}(?![\w/\\-])"
        page = re.sub(whole, replacements[text].replace("\\", r"\\"), page)
    (folder / README).write_bytes(page.encode())


def _without_paths(manifest: Manifest, replacements: dict[str, str]) -> Manifest:
    """``manifest`` with no path of this machine; its config stays, as the model needs it."""
    values = manifest.model_dump(mode="json")
    if recipe := values["recipe"]:
        command = _hide_in_command(recipe["command"], replacements)
        values["recipe"] = {**_hide({**recipe, "command": ""}, replacements), "command": command}
    values["data"] = _hide(values["data"], replacements)
    return checked(Manifest, values, CONFIG)


def _hide(value: Any, replacements: dict[str, str]) -> Any:
    """``value`` with each path in its texts replaced by the path's last part.

    Adds to ``replacements`` each text that this changes, with what it becomes.
    """
    if isinstance(value, dict):
        return {key: _hide(part, replacements) for key, part in value.items()}
    if isinstance(value, list):
        return [_hide(part, replacements) for part in value]
    if not isinstance(value, str):
        return value
    new = _PATH.sub(lambda path: _last_part(path[0]), value)
    if new != value:
        replacements[value] = new
    return new


def _last_part(path: str) -> str:
    last = re.split(r"[/\\]", path.rstrip("/\\"))[-1]
    return "." if last.startswith("~") or last in ("", "..") else last


def _hide_in_command(command: str, replacements: dict[str, str]) -> str:
    """As ``_hide``, for a command line: a quoted path may contain spaces."""
    try:
        words = shlex.split(command)
    except ValueError:  # not for a shell: nothing parses this history
        words = command.split()
    new_words = [_hide(word, {}) for word in words]
    if new_words == words:
        return command
    replacements[command] = shlex.join(new_words)
    return replacements[command]


def _check_discriminator(folder: Path, manifest: Manifest) -> None:
    """Check that it exists exactly if config.json names it, and that it loads."""
    path = folder / DISCRIMINATOR
    if manifest.discriminator_sha256 is None:
        if path.exists():
            raise InvalidModel(f"{folder} has a {DISCRIMINATOR} that its {CONFIG} does not name")
        return
    if not path.is_file():
        hint = f"{command('pull', 'OWNER/NAME', discriminator=True)} fetches it"
        raise InvalidModel(f"{folder} has no {DISCRIMINATOR}, which its {CONFIG} names: {hint}")
    load_discriminator(folder, "cpu", manifest=manifest)


def _check_license(folder: Path, manifest: Manifest) -> None:
    """Check that there is a license: only the author can choose one."""
    if manifest.license in ("", "unknown"):
        hint = f"give one with {argument('license', 'NAME')} (mit, cc-by-4.0, other)"
        raise BadInput(f"{folder} has no license: {hint}")
    if manifest.license == RESTRICTED and not manifest.terms:
        raise BadInput(f"{folder}: its license is {manifest.license}, but {CONFIG} gives no terms")


def _scored(folder: Path, repo: str) -> dict[str, Any]:
    """The content of metrics.json, each score with its protocol."""
    metrics, where = card.read_metrics(folder), folder / METRICS
    if not metrics:
        hint = "a training run writes it; genzoo.zoo.card.complete(folder) of Python does, too"
        raise BadInput(f"{folder} has no {METRICS}: {hint}")
    scores = metrics.get("scores", [])
    for score in scores:
        checked(_Score, score, f"{where}: scores", InvalidModel)
    if not scores:
        log.warning("%s has no scores: its page will say 'Not measured yet'", repo)
    return metrics


def _check_shown(folder: Path, name: str) -> None:
    """Check the file of samples that the model's page shows. Raises BadInput, InvalidModel."""
    path = folder / name
    if not path.exists():
        python = f"genzoo.load({str(folder)!r}).sample(16).save({str(path)!r})"
        hint = either(f"genzoo sample {folder} --out {path}", python)
        raise BadInput(f"{folder} has no {name}, which its page shows; make it: {hint}")
    start = {PICTURE: b"\x89PNG\r\n\x1a\n", SOUND: b"RIFF"}[name]
    if not read_capped(path, LARGEST_BESIDE).startswith(start):
        raise InvalidModel(f"{path} is not a {'PNG image' if name == PICTURE else 'WAV file'}")


def _readme(folder: Path, manifest: Manifest, rendered: str, repo: str, was: str) -> str:
    """The folder's README.md with the metadata of ``rendered``, and with the model's new address.

    ``was``: the license that it says. Without one in the folder: ``rendered``.
    """
    text = rendered
    if (folder / README).exists():
        try:
            own = read_capped(folder / README, LARGEST_JSON).decode()
        except UnicodeDecodeError as error:
            raise InvalidModel(f"{folder / README} is not UTF-8: {error}") from None
        front = readme.FRONT.match(rendered)
        text = (front[0] if front else "") + readme.FRONT.sub("", own, count=1)
    before, now = (f"Weights: {license}." for license in (was, manifest.license))
    text = re.sub(rf"^{re.escape(before)}$", lambda _: now, text, flags=re.M)
    ours = repo == f"{hub.organisation()}/{manifest.name}"
    address = manifest.name if ours else repo
    for old in (f"./{manifest.name}", manifest.name):
        text = text.replace(f'genzoo.load("{old}")', f'genzoo.load("{address}")')
        with on_the_command_line():
            before, now = (command("train", recipe=name) for name in (old, address))
        text = text.replace(f"\n{before}\n", f"\n{now}\n")
    return text
