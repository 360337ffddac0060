"""The Hugging Face Hub: models fetched, sent and searched. Only this file knows its client.

A name becomes one commit; each file is that commit's, with the hash that the commit's list says.
"""

import contextlib
import hashlib
import logging
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final
from urllib.parse import quote

from genzoo.errors import (
    BadInput,
    GenzooError,
    InvalidModel,
    NetworkError,
    OperationFailed,
    article,
)
from genzoo.files import whole_folder, write_whole
from genzoo.zoo import manifest as manifests
from genzoo.zoo import weights
from genzoo.zoo.client import TIMEOUT, _asking, _endpoint, _page, _Silent, _still
from genzoo.zoo.manifest import CONFIG, DISCRIMINATOR, FILES, LARGEST_JSON, WEIGHTS

# What is ever downloaded; the discriminator too, where somebody asks for it.
NEEDED, BESIDE = (CONFIG, WEIGHTS), ("README.md", "metrics.json")
LIBRARY = "genzoo"
WAITS = (1.0, 2.0)  # before the second and the third try, where the Hub says that it is busy
LONGEST_WAIT = 30.0
_PART = r"\w([\w.-]*\w)?"
_REPO = re.compile(rf"(?=.{{3,96}}$){_PART}/{_PART}", re.ASCII)
_REVISION = re.compile(r"(?=.{1,200}$)\w[\w.-]*(/\w[\w.-]*)*", re.ASCII)
_FAMILY = re.compile(r"\w[\w.-]{0,95}", re.ASCII)
_COMMIT = re.compile("[0-9a-f]{40}")
log = logging.getLogger("genzoo")


@final
@dataclass(frozen=True)
class Address:
    """A model's place on the Hub; no revision means the newest."""

    repo: str
    revision: str | None = None

    def __str__(self) -> str:
        return self.repo if self.revision is None else f"{self.repo}@{short(self.revision)}"


@final
@dataclass(frozen=True)
class Pushed:
    """What a push made: the commit, and the page that shows it."""

    repo: str
    commit: str
    url: str
    tag: str | None = None


@final
@dataclass(frozen=True)
class SearchHit:
    """A model that a search found."""

    name: str
    license: str
    downloads: int
    likes: int
    changed: str
    tags: tuple[str, ...]


@final
@dataclass(frozen=True)
class _Listing:
    """What a revision is: a commit of a repository, and its files' (bytes, hash)."""

    repo: str
    commit: str
    files: dict[str, tuple[int, str]]


# ---------------------------------------------------------------------------------------- names
def organisation() -> str:
    """Whose models bare names are."""
    return os.environ.get("GENZOO_HUB_ORG") or "genzoo"


def address(name: str) -> Address:
    """``owner/name``, ``owner/name@revision`` or the organisation's ``name``, taken apart.

    Raises BadInput for what cannot be one: the client lets ``..`` in a revision out of its cache.
    """
    if not isinstance(name, str):
        raise BadInput(f"a model on the Hub is a name, got {article(name)}")
    repo, at, revision = name.partition("@")
    repo = repo if "/" in repo else f"{organisation()}/{repo}"
    if not _REPO.fullmatch(repo) or re.search(r"--|\.\.|\.git$", repo):
        expected = "expected owner/name or owner/name@revision, of letters, digits and - _ ."
        raise BadInput(f"{name[:120]!r} cannot be a model on the Hub: {expected}")
    return Address(repo, _revision(revision) if at else None)


def _revision(text: str) -> str:
    if not _REVISION.fullmatch(text) or ".." in text:
        raise BadInput(f"{text[:120]!r} cannot be a revision: expected a branch, a tag or a commit")
    return text


def short(revision: str) -> str:
    """A commit's first seven digits; any other revision as it is."""
    return revision[:7] if _COMMIT.fullmatch(revision) else revision


def commit_of(folder: Path) -> str | None:
    """The commit whose files ``folder`` holds, if ``fetch`` made it."""
    commit = folder.parent.name
    made = _COMMIT.fullmatch(commit) and folder.parent.parent.parent == _home()
    return commit if made else None


# ---------------------------------------------------------------------------------------- fetch
def fetch(name: str, *, discriminator: bool = False, local_files_only: bool = False) -> Path:
    """The folder of plain files that holds the model ``name``, one commit's; downloaded if need be.

    Asks nothing where ``name`` is pinned to a commit that is here, or where it must not. A Hub that
    does not answer leaves what was fetched of that revision before. Raises UnknownName,
    NetworkError, InvalidModel, BadInput, OperationFailed.
    """
    at = address(name)
    wanted = (*NEEDED, *BESIDE, *[DISCRIMINATOR] * discriminator)
    commit = _remembered(at)
    here = commit and _kept(at.repo, commit, wanted)
    if here and commit == at.revision:
        return here
    if local_files_only or offline():
        if here:
            return here
        why = "HF_HUB_OFFLINE is set" if offline() else "local_files_only"
        raise NetworkError(f"{at} is not in the cache, and the Hub is not asked: {why}")
    try:
        return _newest(at, wanted)
    except _Silent as error:
        if not here:
            raise
        log.warning("%s; taking commit %s, fetched before", error, short(str(commit)))
        return here


def _newest(at: Address, wanted: tuple[str, ...]) -> Path:
    """The folder of the commit that the Hub says ``at`` is."""
    listing = _listed(at)
    if listing.repo != at.repo:
        log.warning("%s is called %s now", at.repo, listing.repo)
    if (found := _kept(at.repo, listing.commit, wanted)) is None:
        _check_sizes(at, listing, wanted)
        found = _downloaded(at.repo, listing, wanted)
    with contextlib.suppress(OperationFailed):  # a cache that cannot be written serves what it has
        _remember(at, listing.commit)
    return found


def offline() -> bool:
    """Whether the environment forbids to ask the Hub."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def _home() -> Path:
    from genzoo.files import home

    return home() / "hub"


def _shelf(repo: str) -> Path:
    return _home() / repo.replace("/", "--")


def _folder(repo: str, commit: str) -> Path:
    # Its own name comes last: what shows a model by its folder's name then shows that.
    return _shelf(repo) / commit / repo.partition("/")[2]


def _kept(repo: str, commit: str, wanted: Iterable[str]) -> Path | None:
    """The folder of ``commit``, if all that a load needs is in it."""
    folder, needed = _folder(repo, commit), {*wanted} - {*BESIDE}
    return folder if all((folder / name).is_file() for name in needed) else None


def _note(at: Address) -> Path:
    return _shelf(at.repo) / "revisions" / quote(at.revision or "main", safe="")


def _remembered(at: Address) -> str | None:
    """The commit that a revision was when it was last asked for."""
    if at.revision and _COMMIT.fullmatch(at.revision):
        return at.revision
    try:
        commit = _note(at).read_text()
    except (OSError, ValueError):
        return None
    return commit if _COMMIT.fullmatch(commit) else None


def _remember(at: Address, commit: str) -> None:
    if at.revision == commit or _remembered(at) == commit:
        return
    try:
        _note(at).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OperationFailed(f"cannot write {_note(at)}: {error.strerror}") from error
    write_whole(_note(at), commit.encode())


def _listed(at: Address) -> _Listing:
    """What ``at`` is now; asked again, a few times, where the Hub says that it is busy."""
    for wait in WAITS:
        try:
            return _asked(at)
        except _Silent as error:
            if error.wait is None or error.wait > LONGEST_WAIT:
                raise
            time.sleep(max(wait, error.wait))
    return _asked(at)


def _asked(at: Address) -> _Listing:
    with _asking(str(at)) as client:
        api = client.HfApi(endpoint=_endpoint())
        info = api.model_info(at.repo, revision=at.revision, timeout=TIMEOUT, files_metadata=True)
        files = {s.rfilename: (int(s.size or 0), _hash(s)) for s in info.siblings or ()}
        return _checked(at, _Listing(info.id, info.sha, files))


def _hash(sibling: Any) -> str:
    """A file's hash as its commit knows it: SHA-256 of large ones, git's of others."""
    return str(sibling.lfs.sha256 if sibling.lfs else sibling.blob_id or "")


def _checked(at: Address, listing: _Listing) -> _Listing:
    """``listing``, if it is that of a model."""
    if not _COMMIT.fullmatch(listing.commit) or not _REPO.fullmatch(listing.repo):
        raise NetworkError(f"{at}: the Hub answers with no commit, or with a name that is none")
    if at.revision and _COMMIT.fullmatch(at.revision) and listing.commit != at.revision:
        raise InvalidModel(f"{at}: the Hub answers with commit {short(listing.commit)} instead")
    if missing := [name for name in NEEDED if name not in listing.files]:
        pickled = any(re.search(r"\.(bin|pt|pth|pkl|ckpt)$", name) for name in listing.files)
        hint = "; pickles are never read" if pickled else ""
        raise InvalidModel(f"{at} is no genzoo model: it has no {missing[0]}{hint}")
    return listing


def _check_sizes(at: Address, listing: _Listing, wanted: Iterable[str]) -> None:
    largest = {WEIGHTS: weights.largest_model(), DISCRIMINATOR: weights.largest_model()}
    for name in wanted:
        size, limit = listing.files.get(name, (0, ""))[0], largest.get(name, LARGEST_JSON)
        if size > limit:
            raise InvalidModel(f"{at}: {name} has {size} bytes, allowed are {limit}")


def _downloaded(repo: str, listing: _Listing, wanted: tuple[str, ...]) -> Path:
    """The folder of ``listing``, filled aside and renamed: it is there whole, or not at all."""
    folder, shown = _folder(repo, listing.commit), str(Address(listing.repo, listing.commit))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OperationFailed(f"cannot write {folder}: {error.strerror or error}") from error
    with whole_folder(folder, _settle) as aside, shown_as(aside, shown):
        _fill(aside, listing, wanted, shown)
    return folder


def _fill(aside: Path, listing: _Listing, wanted: tuple[str, ...], shown: str) -> None:
    """Each file of ``wanted``; config.json first, as it says whether the rest is worth it."""
    _place(listing, CONFIG, aside, shown)
    manifest = manifests.read_manifest(aside)
    if DISCRIMINATOR in wanted and manifest.discriminator_sha256 is None:
        raise BadInput(f"{shown}: this model has no discriminator")
    told = {WEIGHTS: manifest.weights_sha256, DISCRIMINATOR: manifest.discriminator_sha256}
    for name in wanted[1:]:
        if name not in listing.files:
            if name in told:
                raise InvalidModel(f"{shown} has no {name}, which its {CONFIG} names")
            continue
        _place(listing, name, aside, shown)
        if name in told and _digest(aside / name, "sha256") != told[name]:
            raise InvalidModel(f"{shown}: the hash of {name} is not the one in its {CONFIG}")


def _place(listing: _Listing, name: str, aside: Path, shown: str) -> None:
    """Put a file into ``aside``, with the content that its commit says it has.

    The client compares sizes alone; a damaged file in its cache would stay there.
    """
    for again in (False, True):
        with _asking(shown) as client:
            got = client.hf_hub_download(
                listing.repo,
                name,
                revision=listing.commit,
                endpoint=_endpoint(),
                force_download=again,
            )
        source, expected = Path(got).resolve(), listing.files[name][1]
        if not expected or _digest(source, "sha256" if len(expected) == 64 else "git") == expected:
            try:
                os.link(source, aside / name)  # costs no space
            except OSError:
                shutil.copyfile(source, aside / name)
            return
    raise NetworkError(f"{shown}: {name} arrived damaged, twice: try again later")


def _settle(aside: Path, folder: Path) -> None:
    try:
        aside.rename(folder)
    except OSError:
        if not (folder / CONFIG).is_file():
            raise
        for path in aside.iterdir():  # another process was faster, or a file is added
            if not (folder / path.name).exists():
                path.replace(folder / path.name)


def _digest(path: Path, kind: str) -> str:
    """The SHA-256 of a file, or the name that git gives its content."""
    with path.open("rb") as file:
        if kind == "sha256":
            return hashlib.file_digest(file, "sha256").hexdigest()
        start = f"blob {os.fstat(file.fileno()).st_size}\0".encode()
        begun = hashlib.sha1(start, usedforsecurity=False)
        return hashlib.file_digest(file, lambda: begun).hexdigest()


@contextlib.contextmanager
def shown_as(folder: Path, name: str) -> Iterator[None]:
    """What is wrong in ``folder``, which is soon gone, is said of ``name``."""
    try:
        yield
    except GenzooError as error:
        raise type(error)(str(error).replace(str(folder), name)) from error


# --------------------------------------------------------------------------------- push, search
def upload(folder: Path, repo: str, *, private: bool = False, tag: str | None = None) -> Pushed:
    """Make the files of ``folder`` the model ``repo``: all of them in one commit.

    ``folder`` holds what shall be public and nothing else. Raises NetworkError, BadInput.
    """
    names = sorted(path.name for path in folder.iterdir())
    if offline():
        raise NetworkError(f"cannot push to {repo}: HF_HUB_OFFLINE is set")
    with _asking(repo) as client, _still():
        api = client.HfApi(endpoint=_endpoint())
        api.create_repo(repo, private=private or None, exist_ok=True)
        before = api.model_info(repo, timeout=TIMEOUT)
        if private and not before.private:
            raise BadInput(f"{repo} is there already, and public: nothing was pushed")
        if tag and tag in {ref.name for ref in api.list_repo_refs(repo).tags}:
            raise BadInput(f"{repo} has a tag {tag} already: nothing was pushed")
        gone = {s.rfilename for s in before.siblings or ()} & {*FILES} - {*names}
        changes = [client.CommitOperationDelete(name) for name in sorted(gone)]
        changes += [client.CommitOperationAdd(name, str(folder / name)) for name in names]
        made = api.create_commit(
            repo,
            changes,
            commit_message=f"{LIBRARY} push",
            parent_commit=before.sha,  # two pushes at once: the second is told
        )
        if tag:
            api.create_tag(repo, tag=tag, revision=made.oid)
    return Pushed(repo, made.oid, f"{_page(repo)}/tree/{tag or made.oid}", tag)


def search(family: str | None = None, limit: int = 100) -> list[SearchHit]:
    """Models on the Hub that carry genzoo's tag, and that of ``family``. Raises as ``upload``."""
    if family is not None and not _FAMILY.fullmatch(family):
        raise BadInput(f"{family[:80]!r} cannot be a family")
    if limit < 1:
        raise BadInput(f"limit must be at least 1, got {limit}")
    if offline():
        raise NetworkError("cannot search: HF_HUB_OFFLINE is set")
    with _asking("the search") as client:
        # The listing waits 23 s for a Hub that is not there, and without end for a silent one.
        client.get_session().head(_page(), timeout=TIMEOUT)
        tags = [LIBRARY, *[family] * (family is not None)]
        models = client.HfApi(endpoint=_endpoint()).list_models(filter=tags, limit=limit)
        return [*map(_found, models)]


def _found(model: Any) -> SearchHit:
    tags = [str(tag) for tag in model.tags or ()]
    license = next((t.partition(":")[2] for t in tags if t.startswith("license:")), "unknown")
    plain = tuple(dict.fromkeys(t for t in tags if ":" not in t and t != LIBRARY))
    changed = str(model.last_modified or "")[:10]
    return SearchHit(str(model.id), license, model.downloads or 0, model.likes or 0, changed, plain)
