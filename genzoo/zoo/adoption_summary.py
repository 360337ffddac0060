"""What was adopted, for JSON and for a terminal."""

from typing import TYPE_CHECKING, Any

from genzoo.errors import argument
from genzoo.text import pairs
from genzoo.zoo import card
from genzoo.zoo.manifest import read_manifest

if TYPE_CHECKING:
    from genzoo.models.model import Model


def record(model: "Model") -> dict[str, Any]:
    """What was adopted, for JSON."""
    assert model.folder is not None
    manifest = read_manifest(model.folder)
    assert manifest.adopted is not None
    facts = {"path": str(model.folder), "family": manifest.family, "config": manifest.config}
    return {**facts, **manifest.adopted.model_dump(mode="json")}


def summary(model: "Model") -> str:
    """What was adopted, in lines for a terminal."""
    found = record(model)
    license = model.provenance["license"]
    config = {key: value for key, value in found["config"].items() if value not in ("", [], None)}
    lines = [
        f"{_files_read(model)}: {found['source']}",
        f"{found['family']} with {pairs(config)}",
        *found["notes"],
        *[f"license: unknown; {argument('license', 'NAME')} says it"] * (license == "unknown"),
        *(f"look at {found['path']}/{name}" for name in card.sample_files(model)[:1]),
    ]
    return "\n".join(lines)


def _files_read(model: "Model") -> str:
    """The files, each with the networks that were read: ``ema.pt (G_ema; discriminator netD)``."""
    assert model.folder is not None
    manifest = read_manifest(model.folder)
    assert manifest.adopted is not None
    *_, last = files = manifest.adopted.files
    read: dict[str, list[str]] = {}
    for file in files:
        role = "discriminator " * (file is last and manifest.discriminator_sha256 is not None)
        read.setdefault(file.name, []).append(f"{role}{file.part}".strip())
    named = {name: "; ".join(filter(None, parts)) for name, parts in read.items()}
    return " and ".join(f"{name} ({parts})" if parts else name for name, parts in named.items())
