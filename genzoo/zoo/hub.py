"""The Hugging Face Hub: fetch, upload and search models.

A name becomes one commit; each file must have the hash that the commit lists for it.
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
from operator import attrgetter
from pathlib import Path
from typing import Any, final
from urllib.parse import quote

from genzoo.data import entries
from genzoo.errors import (
    BadInput,
    GenzooError,
    InvalidModel,
    NetworkError,
    OperationFailed,
    article,
)
from genzoo.files import home, whole_folder, write_whole
from genzoo.models.arguments import checked_arguments
from genzoo.text import Records
from genzoo.zoo import hub_client
from genzoo.zoo.hub_client import NoAnswer, connected, endpoint, page_url, quiet_progress
from genzoo.zoo.manifest import (
    CONFIG,
    DISCRIMINATOR,
    FILES,
    LARGEST_JSON,
    METRICS,
    README,
    WEIGHTS,
    read_manifest,
)
from genzoo.zoo.reader import open_inside, size_of
from genzoo.zoo.weights import largest_model

# The files that are downloaded; the discriminator only on request.
NEEDED, BESIDE = (CONFIG, WEIGHTS), (README, METRICS)
LIBRARY = "genzoo"
WAITS = (1.0, 2.0)  # before the second and the third try, if the Hub says that it is busy
LONGEST_WAIT = 30.0  # seconds
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
    """The result of a push: the commit, and its web page."""

    repo: str
    commit: str
    url: str
    tag: str | None = None


@final
@dataclass(frozen=True)
class SearchHit:
    """A model that matches a search."""

    name: str
    license: str
    downloads: int
    likes: int
    changed: str
    tags: tuple[str, ...]


@final
@dataclass(frozen=True)
class _Listing:
    """The commit that a revision means, and the (bytes, hash) of each of its files."""

    repo: str
    commit: str
    files: dict[str, tuple[int, str]]


# ---------------------------------------------------------------------------------------- names
def organisation() -> str:
    """The owner on the Hub of models that are named without one."""
    return os.environ.get("GENZOO_HUB_ORG") or "genzoo"


def address(name: str) -> Address:
    """``owner/name``, ``owner/name@revision`` or the organisation's ``name``, in its parts.

    Raises BadInput for what cannot be one: the client lets ``..`` in a revision out of its cache.
    """
    if not isinstance(name, str):
        raise BadInput(f"a model on the Hub is a name, got {article(name)}")
    repo, at, revision = name.partition("@")
    repo = repo if "/" in repo else f"{organisation()}/{repo}"
    if not _REPO.fullmatch(repo) or re.search(r"--|\.\.|\.git$", repo):
        expected = "expected owner/name or owner/name@revision, in letters, digits and - _ ."
        raise BadInput(f"{name[:120]!r} is not the name of a model on the Hub: {expected}")
    return Address(repo, _revision(revision) if at else None)


def _revision(text: str) -> str:
    if not _REVISION.fullmatch(text) or ".." in text:
        raise BadInput(f"{text[:120]!r} is not a revision: expected a branch, a tag or a commit")
    return text


def short(revision: str) -> str:
    """A commit's first seven digits; any other revision as it is."""
    return revision[:7] if _COMMIT.fullmatch(revision) else revision


def commit_of(folder: Path) -> str | None:
    """The commit that ``folder`` is of, if ``fetch`` returned it."""
    commit = folder.parent.name
    fetched = _COMMIT.fullmatch(commit) and folder.parent.parent.parent == _cache()
    return commit if fetched else None


# ---------------------------------------------------------------------------------------- fetch
def fetch(name: str, *, discriminator: bool = False, local_files_only: bool = False) -> Path:
    """The folder with the files of one commit of the model ``name``; downloaded if needed.

    Uses no network if ``name`` is pinned to a commit in the cache, or with ``local_files_only``.
    If the Hub does not answer, uses the commit last fetched for that revision. Raises UnknownName,
    NetworkError, InvalidModel, BadInput, OperationFailed.
    """
    at = address(name)
    names = (*NEEDED, *BESIDE, *[DISCRIMINATOR] * discriminator)
    commit = _last_commit(at)
    cached = commit and _cached(at.repo, commit, names)
    if cached and commit == at.revision:
        return cached
    if local_files_only or offline():
        if cached:
            return cached
        why = "HF_HUB_OFFLINE is set" if offline() else "local_files_only"
        raise NetworkError(f"{at} is not in the cache, and the Hub may not be used: {why}")
    try:
        return _fetch_newest(at, names)
    except NoAnswer as error:
        if not cached:
            raise
        log.warning("%s; using commit %s from the cache", error, short(str(commit)))
        return cached


def _fetch_newest(at: Address, names: tuple[str, ...]) -> Path:
    """The folder of the commit that ``at`` means on the Hub now."""
    listing = _list_files(at)
    if listing.repo != at.repo:
        log.warning("%s was renamed to %s", at.repo, listing.repo)
    if (folder := _cached(at.repo, listing.commit, names)) is None:
        _check_sizes(at, listing, names)
        folder = _download(at.repo, listing, names)
        if (most := entries.limit()) is not None:
            entries.shrink(most, spare=folder.parent)
    with contextlib.suppress(OperationFailed):  # a read-only cache can still be used
        _write_last_commit(at, listing.commit)
    return folder


def offline() -> bool:
    """Whether the environment forbids network use."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def _cache() -> Path:
    return home() / "hub"


def _repo_folder(repo: str) -> Path:
    return _cache() / repo.replace("/", "--")


def _commit_folder(repo: str, commit: str) -> Path:
    # The model's name comes last, as models are shown by the names of their folders.
    return _repo_folder(repo) / commit / repo.partition("/")[2]


def _cached(repo: str, commit: str, names: Iterable[str]) -> Path | None:
    """The folder of ``commit``, if it has all files of ``names`` that a load needs."""
    folder, needed = _commit_folder(repo, commit), {*names} - {*BESIDE}
    return folder if all((folder / name).is_file() for name in needed) else None


def _revision_file(at: Address) -> Path:
    """The file with the commit that the revision last was."""
    return _repo_folder(at.repo) / "revisions" / quote(at.revision or "main", safe="")


def _last_commit(at: Address) -> str | None:
    """The commit that a revision was when the Hub was last asked."""
    if at.revision and _COMMIT.fullmatch(at.revision):
        return at.revision
    try:
        commit = _revision_file(at).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
    return commit if _COMMIT.fullmatch(commit) else None


def _write_last_commit(at: Address, commit: str) -> None:
    if at.revision == commit or _last_commit(at) == commit:
        return
    path = _revision_file(at)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OperationFailed(f"cannot write {path}: {error.strerror}") from error
    write_whole(path, commit.encode())


def _list_files(at: Address) -> _Listing:
    """The commit and the files of ``at`` now. If the Hub is busy, tries again, twice."""
    for wait in WAITS:
        try:
            return _request_files(at)
        except NoAnswer as error:
            if error.wait is None or error.wait > LONGEST_WAIT:
                raise
            time.sleep(max(wait, error.wait))
    return _request_files(at)


def _request_files(at: Address) -> _Listing:
    with connected(str(at)) as library:
        info = library.HfApi(endpoint=endpoint()).model_info(
            at.repo, revision=at.revision, timeout=hub_client.TIMEOUT, files_metadata=True
        )
        files = {s.rfilename: (int(s.size or 0), _hash(s)) for s in info.siblings or ()}
        return _checked(at, _Listing(info.id, info.sha, files))


def _hash(sibling: Any) -> str:
    """A file's hash as its commit lists it: SHA-256 of large files, git's of others."""
    return str(sibling.lfs.sha256 if sibling.lfs else sibling.blob_id or "")


def _checked(at: Address, listing: _Listing) -> _Listing:
    """``listing``, if it belongs to a model. Raises NetworkError, InvalidModel."""
    if not _COMMIT.fullmatch(listing.commit) or not _REPO.fullmatch(listing.repo):
        raise NetworkError(f"{at}: unexpected answer from the Hub: no valid commit or name")
    if at.revision and _COMMIT.fullmatch(at.revision) and listing.commit != at.revision:
        raise InvalidModel(f"{at}: the Hub answered with commit {short(listing.commit)}")
    if missing := [name for name in NEEDED if name not in listing.files]:
        pickles = any(re.search(r"\.(bin|pt|pth|pkl|ckpt)$", name) for name in listing.files)
        hint = "; pickles are never read" if pickles else ""
        raise InvalidModel(f"{at} is not a genzoo model: it has no {missing[0]}{hint}")
    return listing


def _check_sizes(at: Address, listing: _Listing, names: Iterable[str]) -> None:
    largest = {WEIGHTS: largest_model(), DISCRIMINATOR: largest_model()}
    for name in names:
        size, limit = listing.files.get(name, (0, ""))[0], largest.get(name, LARGEST_JSON)
        if size > limit:
            raise InvalidModel(f"{at}: {name} has {size} bytes, the limit is {limit}")


def _download(repo: str, listing: _Listing, names: tuple[str, ...]) -> Path:
    """The folder with the files of ``listing``: all of them, or no folder."""
    folder = _commit_folder(repo, listing.commit)
    model_name = str(Address(listing.repo, listing.commit))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OperationFailed(f"cannot write {folder}: {error.strerror or error}") from error
    with whole_folder(folder, _move) as aside, relabel_errors(aside, model_name):
        _download_files(aside, listing, names, model_name)
    return folder


def _download_files(
    aside: Path, listing: _Listing, names: tuple[str, ...], model_name: str
) -> None:
    """Each file of ``names``; config.json first, as it shows whether the rest can be used."""
    _download_file(listing, CONFIG, aside, model_name)
    manifest = read_manifest(aside)
    if DISCRIMINATOR in names and manifest.discriminator_sha256 is None:
        raise BadInput(f"{model_name}: this model has no discriminator")
    hashes = {WEIGHTS: manifest.weights_sha256, DISCRIMINATOR: manifest.discriminator_sha256}
    for name in names[1:]:
        if name not in listing.files:
            if name in hashes:
                raise InvalidModel(f"{model_name} has no {name}, which its {CONFIG} names")
            continue
        _download_file(listing, name, aside, model_name)
        if name in hashes and _digest(aside / name, "sha256") != hashes[name]:
            raise InvalidModel(f"{model_name}: checksum mismatch: {name} does not fit its {CONFIG}")


def _download_file(listing: _Listing, name: str, aside: Path, model_name: str) -> None:
    """Put a file into ``aside``, with the hash that its commit lists.

    The client only compares sizes: a damaged file would stay in its cache.
    """
    for again in (False, True):
        with connected(model_name) as library:
            path = library.hf_hub_download(
                listing.repo,
                name,
                revision=listing.commit,
                endpoint=endpoint(),
                force_download=again,
            )
        source, expected = Path(path).resolve(), listing.files[name][1]
        if not expected or _digest(source, "sha256" if len(expected) == 64 else "git") == expected:
            try:
                os.link(source, aside / name)  # costs no space
            except OSError:
                shutil.copyfile(source, aside / name)
            return
    raise NetworkError(f"{model_name}: {name} was damaged in two downloads: try again later")


def _move(aside: Path, folder: Path) -> None:
    try:
        aside.rename(folder)
    except OSError:
        if not (folder / CONFIG).is_file():
            raise
        for path in aside.iterdir():  # another process was faster, or this adds a file
            if not (folder / path.name).exists():
                path.replace(folder / path.name)


def _digest(path: Path, kind: str) -> str:
    """The SHA-256 of a file, or git's hash of it."""
    with open_inside(path) as file:
        if kind == "sha256":
            return hashlib.file_digest(file, "sha256").hexdigest()
        start = f"blob {size_of(file)}\0".encode()
        sha1 = hashlib.sha1(start, usedforsecurity=False)
        return hashlib.file_digest(file, lambda: sha1).hexdigest()


@contextlib.contextmanager
def relabel_errors(folder: Path, name: str) -> Iterator[None]:
    """Errors about the temporary ``folder`` name ``name`` instead."""
    try:
        yield
    except GenzooError as error:
        raise type(error)(str(error).replace(str(folder), name)) from error


# --------------------------------------------------------------------------------- push, search
def upload(folder: Path, repo: str, *, private: bool = False, tag: str | None = None) -> Pushed:
    """Upload all files of ``folder``, which become public, as the model ``repo``: one commit.

    Raises NetworkError, BadInput.
    """
    names = sorted(path.name for path in folder.iterdir())
    if offline():
        raise NetworkError(f"cannot push to {repo}: HF_HUB_OFFLINE is set")
    with connected(repo) as library, quiet_progress():
        api = library.HfApi(endpoint=endpoint())
        api.create_repo(repo, private=private or None, exist_ok=True)
        before = api.model_info(repo, timeout=hub_client.TIMEOUT)
        if private and not before.private:
            raise BadInput(f"{repo} exists already and is public: nothing was pushed")
        if tag and tag in {ref.name for ref in api.list_repo_refs(repo).tags}:
            raise BadInput(f"{repo} already has a tag {tag}: nothing was pushed")
        obsolete = {s.rfilename for s in before.siblings or ()} & {*FILES} - {*names}
        changes = [library.CommitOperationDelete(name) for name in sorted(obsolete)]
        changes += [library.CommitOperationAdd(name, str(folder / name)) for name in names]
        commit = api.create_commit(
            repo,
            changes,
            commit_message=f"{LIBRARY} push",
            parent_commit=before.sha,  # the second of two simultaneous pushes fails
        )
        if tag:
            api.create_tag(repo, tag=tag, revision=commit.oid)
    return Pushed(repo, commit.oid, f"{page_url(repo)}/tree/{tag or commit.oid}", tag)


@checked_arguments
def search(family: str | None = None, limit: int = 100) -> Records[SearchHit]:
    """Models on the Hub that have genzoo's tag, and that of ``family``. Raises as ``upload``."""
    if family is not None and not _FAMILY.fullmatch(family):
        raise BadInput(f"{family[:80]!r} is not the name of a family")
    if limit < 1:
        raise BadInput(f"limit must be at least 1, got {limit}")
    if offline():
        raise NetworkError("cannot search: HF_HUB_OFFLINE is set")
    with connected("the search") as library:
        # list_models waits 23 s for a Hub that does not exist, and forever for one that does not
        # answer.
        library.get_session().head(page_url(), timeout=hub_client.TIMEOUT)
        tags = [LIBRARY, *[family] * (family is not None)]
        models = library.HfApi(endpoint=endpoint()).list_models(filter=tags, limit=limit)
        heads = ("name", "license", "downloads", "changed")
        table: dict[str, Any] = {head: attrgetter(head) for head in heads}
        return Records(map(_search_hit, models), {**table, "tags": lambda hit: " ".join(hit.tags)})


def _search_hit(model: Any) -> SearchHit:
    tags = [str(tag) for tag in model.tags or ()]
    license = next((t.partition(":")[2] for t in tags if t.startswith("license:")), "unknown")
    plain = tuple(dict.fromkeys(t for t in tags if ":" not in t and t != LIBRARY))
    changed = str(model.last_modified or "")[:10]
    return SearchHit(str(model.id), license, model.downloads or 0, model.likes or 0, changed, plain)
