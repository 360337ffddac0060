"""How to cite a model and its paper, as BibTeX."""

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from genzoo import families
from genzoo.files import is_folder
from genzoo.models.arguments import checked_arguments
from genzoo.zoo import hub, names
from genzoo.zoo.manifest import Manifest

if TYPE_CHECKING:
    from genzoo.models.model import Model

_ARXIV = re.compile(r"arxiv:(?P<id>(?P<year>\d\d)(?P<month>\d\d)\.\d{4,5})", re.IGNORECASE)
_TEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}", **{c: f"\\{c}" for c in "_%&#$"},
}  # fmt: skip


@checked_arguments
def cite(name: "str | Path | Model") -> str:
    """BibTeX for the paper of a model's family and for the model itself; of a family without a
    model, for its paper. Raises as ``load``.
    """
    name = names.named(name)
    if not is_folder(name) and name in families.names() and not names.models_of(str(name)):
        return _paper(str(name))
    folder, manifest = names.resolve(name)
    entries = [_paper(manifest.family), _model(manifest, str(name), hub.commit_of(folder))]
    return "\n\n".join(entries)


def _paper(family: str) -> str:
    paper = families.get(family).paper
    facts = {"note": f"The paper of the family {family} in genzoo"}
    if arxiv := _ARXIV.fullmatch(paper):
        facts |= {"eprint": arxiv["id"], "archivePrefix": "arXiv", "year": f"20{arxiv['year']}"}
        facts["url"] = f"https://arxiv.org/abs/{arxiv['id']}"
    else:
        facts["howpublished"] = paper
    return _entry(f"{family}-paper", facts)


def _model(manifest: Manifest, name: str, commit: str | None) -> str:
    facts = {
        "title": f"{manifest.name}: {manifest.family} trained on {manifest.data or 'own data'}"
    }
    if commit is not None:
        at = hub.address(name)
        facts["author"] = at.repo.partition("/")[0]
        facts["url"] = f"https://huggingface.co/{at.repo}/tree/{commit}"
    weights = f"weights with SHA-256 {manifest.weights_sha256}"
    plugin = f"{manifest.plugin} {manifest.plugin_version}"
    facts["note"] = f"Made with genzoo ({plugin}), {weights}, license {manifest.license}"
    return _entry(manifest.name, facts)


def _entry(key: str, facts: dict[str, str]) -> str:
    plain = re.sub(r"[^\w.:-]", "-", key, flags=re.ASCII)
    if not key.isascii():  # BibTeX takes ASCII only; a hash keeps two such names apart
        plain = f"{plain.strip('-')}-{hashlib.sha256(key.encode()).hexdigest()[:8]}".lstrip("-")
    lines = [f"  {k} = {{{v if k == 'url' else _tex(v)}}}," for k, v in facts.items()]
    return "\n".join([f"@misc{{genzoo-{plain},", *lines, "}"])


def _tex(text: str) -> str:
    return "".join(_TEX.get(c, c) for c in text)
