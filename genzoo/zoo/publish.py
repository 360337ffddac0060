"""Models sent to the Hub after a look at what would be public, fetched as folders, and cited."""

import logging
import os
import re
import shutil
import stat
import tempfile
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from genzoo.errors import BadInput, InvalidModel, OperationFailed
from genzoo.files import check_free, expanded
from genzoo.schemas import Name, Schema, checked
from genzoo.zoo import card, hub, names
from genzoo.zoo import folder as folders
from genzoo.zoo import manifest as manifests
from genzoo.zoo.hub import Pushed
from genzoo.zoo.manifest import CONFIG, DISCRIMINATOR, FILES, Manifest

_README, _METRICS, _PICTURE = "README.md", "metrics.json", "samples.png"
_FRONT = re.compile(r"\A---\r?\n.*?^---[ \t]*\r?\n", re.DOTALL | re.MULTILINE)
log = logging.getLogger("genzoo")


class _Score(Schema, extra="ignore", use_attribute_docstrings=False):
    """What every score has; others may say more."""

    name: Name
    value: float
    protocol: Annotated[dict[str, Any], Field(min_length=1)]


def push(
    folder: str | Path,
    repo: str,
    *,
    private: bool = False,
    tag: str | None = None,
    license: str | None = None,
) -> Pushed:
    """Send the model in ``folder`` to the Hub as ``repo``, ``owner/name``: one commit, and a tag.

    It must load with its hashes, have a license, scores with protocols, and be no link. Nothing
    but a model's own files is sent, and README.md with the metadata of what is sent. ``license``:
    of what is sent, in the place of what the folder says. Raises InvalidModel, BadInput,
    UnknownName, NetworkError.
    """
    at = hub.address(repo)
    if at.revision is not None or "/" not in repo:
        raise BadInput(f"a push goes to owner/name, got {repo[:120]!r}: a version is a tag")
    if tag is not None:
        hub.address(f"{repo}@{tag}")  # raises where that could never be asked for
    folder = expanded(folder)
    manifests.read_manifest(folder)  # says best what is wrong with a folder that is none
    with tempfile.TemporaryDirectory() as outer:
        aside = Path(outer) / "model"
        aside.mkdir()
        for name in FILES:
            if os.path.lexists(folder / name):
                _copy(folder / name, aside / name)
        with hub.shown_as(aside, str(folder)):
            if license is not None:
                _relicense(aside, license)
            _make_ready(aside, repo)
        return hub.upload(aside, repo, private=private, tag=tag)


def pull(
    name: str,
    folder: str | Path | None = None,
    *,
    discriminator: bool = False,
    force: bool = False,
    local_files_only: bool = False,
) -> Path:
    """The Hub's model ``name`` as a folder of your own, by default the model's name.

    Everything but samples.png comes along, which ``sample`` draws again. Raises as ``load``.
    """
    at = hub.address(name)
    target = expanded(folder or at.repo.partition("/")[2])
    check_free(target, FILES, force)
    source = hub.fetch(name, discriminator=discriminator, local_files_only=local_files_only)
    wanted = [f for f in FILES if (source / f).is_file() and (discriminator or f != DISCRIMINATOR)]
    folders.write_folder(target, {f: (source / f).read_bytes() for f in wanted}, force=force)
    return target


# ---------------------------------------------------------------------------------------- push
def _copy(source: Path, target: Path) -> None:
    """A plain file's content; a link is not followed, not even one made this very moment."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        if source.is_symlink():
            raise InvalidModel(f"{source} is a link, and only plain files are pushed")
        with open(os.open(source, flags), "rb") as file:  # noqa: PTH123 (pathlib opens no number)
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise InvalidModel(f"{source} is not a plain file")
            with target.open("wb") as copy:
                shutil.copyfileobj(file, copy)
    except OSError as error:
        raise OperationFailed(f"cannot copy {source}: {error.strerror or error}") from error


def _relicense(folder: Path, license: str) -> None:
    told = {**manifests.read_manifest(folder).model_dump(mode="json"), "license": license}
    manifest = checked(Manifest, told, "license")
    (folder / CONFIG).write_bytes(manifests.manifest_bytes(manifest))


def _make_ready(folder: Path, repo: str) -> None:
    """Check what would be public, and let README.md say what the other files say."""
    manifest = manifests.read_manifest(folder)
    model = folders.load(folder, "cpu")
    _check_license(folder, manifest)
    if manifest.discriminator_sha256 is not None:
        if not (folder / DISCRIMINATOR).is_file():
            hint = "genzoo pull --discriminator fetches it"
            raise InvalidModel(f"{folder} has no {DISCRIMINATOR}, which its {CONFIG} names: {hint}")
        folders.load_discriminator(folder, "cpu")
    elif (folder / DISCRIMINATOR).exists():
        raise InvalidModel(f"{folder} has a {DISCRIMINATOR} that its {CONFIG} does not know")
    metrics = _scored(folder, repo)
    pictured = getattr(model, "is_images", False)
    if pictured:
        _check_picture(folder)
    rendered = card.render(manifest, metrics, pictured)
    (folder / _README).write_bytes(_readme(folder, manifest, rendered, repo).encode())


def _check_license(folder: Path, manifest: Manifest) -> None:
    """A license is somebody's decision; genzoo takes none for them."""
    if manifest.license in ("", "unknown"):
        hint = "genzoo push --license NAME says it, in Python license= (mit, cc-by-4.0, other)"
        raise BadInput(f"{folder} has no license: {hint}")
    if manifest.license == names.RESTRICTED and not manifest.terms:
        raise BadInput(f"{folder}: the license is {manifest.license}, and {CONFIG} gives no terms")


def _scored(folder: Path, repo: str) -> dict[str, Any]:
    """What metrics.json holds, each score with its protocol."""
    metrics, where = card.read_metrics(folder), folder / _METRICS
    if not metrics:
        hint = "genzoo train writes it; in Python genzoo.zoo.card.complete(folder)"
        raise BadInput(f"{folder} has no {_METRICS}: {hint}")
    scores = metrics.get("scores", [])
    for score in scores if isinstance(scores, list) else [scores]:
        checked(_Score, score, f"{where}: scores", InvalidModel)
    if not scores:
        log.warning("%s has no scores: its page will say that nothing was measured", repo)
    return metrics


def _check_picture(folder: Path) -> None:
    path = folder / _PICTURE
    if not path.exists():
        hint = f"genzoo sample {folder} -o {path}"
        raise BadInput(f"{folder} has no {_PICTURE}, the samples that its page shows: {hint}")
    if not manifests.read_capped(path, 16 << 20).startswith(b"\x89PNG\r\n\x1a\n"):
        raise InvalidModel(f"{path} is no PNG picture")


def _readme(folder: Path, manifest: Manifest, rendered: str, repo: str) -> str:
    """The metadata anew, the words as they are; how to load it from where it goes."""
    text = rendered
    if (folder / _README).exists():
        try:
            own = manifests.read_capped(folder / _README, manifests.LARGEST_JSON).decode()
        except UnicodeDecodeError as error:
            raise InvalidModel(f"{folder / _README} is not UTF-8: {error}") from None
        front = _FRONT.match(rendered)
        text = (front[0] if front else "") + _FRONT.sub("", own, count=1)
    # What a card says of its weights is what is sent: config.json has the license.
    text = re.sub(r"^Weights: unknown\.$", f"Weights: {manifest.license}.", text, flags=re.M)
    ours = repo == f"{hub.organisation()}/{manifest.name}"
    called = f'genzoo.load("{manifest.name if ours else repo}")'
    for written in (f'genzoo.load("./{manifest.name}")', f'genzoo.load("{manifest.name}")'):
        text = text.replace(written, called)
    return text
