"""adopt: weights that others trained as a model folder, if a family has their network."""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from genzoo import families, schemas
from genzoo.data import catalogue, register
from genzoo.devices import usual_torch
from genzoo.errors import BadInput, GenzooError, argument
from genzoo.families.adopted import Adopted
from genzoo.families.registry import others_code
from genzoo.files import check_free, expanded, file_name
from genzoo.models.arguments import checked_arguments
from genzoo.text import pairs
from genzoo.version import VERSION
from genzoo.zoo import card, folder
from genzoo.zoo.adoption_fit import Fit, Network, find, networks_of, shapes_of
from genzoo.zoo.checkpoint_files import is_average, is_discriminator, read_checkpoint
from genzoo.zoo.layer_pairs import Misfit, Paired, pair
from genzoo.zoo.manifest import FILES, Adoption, read_manifest
from genzoo.zoo.weights import on_meta

if TYPE_CHECKING:
    from torch import nn

    from genzoo.data.dataset import DataSet, Source
    from genzoo.models.model import Model


def _way_to_save(value: Any) -> str:
    """What makes a file of the weights that are given in place of one; "" for any other value."""
    if isinstance(value, Mapping):
        what = "weights"
    elif hasattr(value, "state_dict"):
        what = "network.state_dict()"
    else:
        return ""
    return f": save it first, torch.save({what}, 'weights.pth')"


@checked_arguments
@usual_torch()
def adopt(
    files: Annotated[str | Path | Sequence[str | Path], _way_to_save],
    *,
    as_family: str | None = None,
    part: str | None = None,
    data: str | Path | None = None,
    root: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    license: str | None = None,
    out: str | Path | None = None,
    force: bool = False,
) -> "Model":
    """Weights that others trained, as a model, which is also written as a folder.

    ``files``: one file, or those of one training: a generator's and its discriminator's. They are
    read as plain tensors: nothing in them runs. ``as_family``: a family; None tries all. ``part``:
    which network of a file that holds several. ``data``: what it was trained on, as its card will
    say; a translator takes its examples from it, below ``root`` if it is a named set. ``settings``:
    fields of the family's config that names and shapes do not tell. ``out``: the folder; by default
    the first file's name.

    Raises BadInput or InvalidModel if a file cannot be read or fits no family, in one line that
    says why the nearest does not.
    """
    paths = [expanded(one) for one in ([files] if isinstance(files, str | Path) else files)]
    if not paths:
        raise BadInput("no file to adopt")
    if twice := next((path for path in paths if paths.count(path) > 1), None):
        raise BadInput(f"{twice} is given twice")
    target = expanded(out) if out is not None else Path(file_name(paths[0].stem))
    check_free(target, FILES, force)
    if data is not None:
        catalogue.check(data)
    read = [*map(read_checkpoint, paths)]
    fit = find(read, as_family, part, settings or {})
    model = model_of(fit)
    discriminator, other, notes = _discriminator(fit, networks_of(read))
    _check_used(paths, fit, other)
    notes = [*_averages_left_out(fit), *notes]
    facts: dict[str, Any] = {"terms": _describe(model, data, root), "license": license or "unknown"}
    adopted = Adoption(
        source=fit.adopted.source,
        tool=f"genzoo {VERSION}",
        files=(*fit.network.records, *(other.records if other else [])),
        notes=tuple(map(schemas.name, (*fit.paired.notes, *notes))),
    )
    facts["data"] = "" if data is None else register.label(data)
    own: dict[str, Any] = {"family": fit.family, "discriminator": discriminator, "adopted": adopted}
    folder.save(model, target, **facts, **own, force=force)
    card.complete(target)
    return folder.load_folder(target)


# ------------------------------------------------------------------------------ the networks


def model_of(fit: Fit) -> "Model":
    """The model of the family with the weights of the file."""
    model: Model = _filled(families.get(fit.family).model, fit.config, fit.paired, fit.network)
    return model


def _filled(build: Any, config: Any, paired: Paired, network: Network) -> Any:
    """The network that ``build`` makes of ``config``, with the weights of the file."""
    built = _built(build, config)
    try:
        paired.fill(built, network.tensors)
    except BadInput as error:
        raise BadInput(f"{network}: {error}") from None
    return built.eval()


def _built(build: Any, config: Any) -> Any:
    import torch

    with torch.random.fork_rng(devices=[]), others_code():
        torch.manual_seed(0)
        return build(config)


def _discriminator(
    fit: Fit, networks: list[Network]
) -> tuple["nn.Module | None", Network | None, list[str]]:
    """The discriminator, the network that it is, and notes on it.

    Of the model's own file only a network that is called so can be one; a further file must be one.
    Raises BadInput if it is not.
    """
    used = [(part.file.path, part.label) for part in fit.network.parts]
    files = [path for path, _ in used]
    inside = [n for n in networks if n.file.path in files and (n.file.path, n.label) not in used]
    others = [n for n in networks if n.file.path not in files]
    candidates = others or [n for n in inside if is_discriminator(n.label)]
    if not candidates:
        return None, None, []
    build = families.get(fit.family).discriminator
    reason = f"{fit.family} reads none of {fit.adopted.source}"
    if fit.adopted.discriminator and build is not None:
        shapes = shapes_of(on_meta(lambda: build(fit.config), Path(fit.family)).state_dict())
        for network in candidates:
            try:
                paired = pair(shapes, network.shapes, Adopted(source="", config={}))
            except Misfit as misfit:
                reason = str(misfit)
                continue
            notes = [f"discriminator: {note}" for note in paired.notes]
            return _filled(build, fit.config, paired, network), network, notes
    if others:
        raise BadInput(f"{others[0]} is not the discriminator of this {fit.family}: {reason}")
    return None, None, [f"left out: {candidates[0].label}, its discriminator: {reason}"]


def _check_used(paths: Iterable[Path], fit: Fit, other: Network | None) -> None:
    """Check that each file is of use. Raises BadInput."""
    used = [part.file.path for part in (*fit.network.parts, *(other.parts if other else ()))]
    if idle := next((path for path in paths if path not in used), None):
        roles = f"the {fit.family} is of {fit.network}, its discriminator of {other}"
        raise BadInput(f"{idle} is used for nothing: {roles}; leave it out")


def _averages_left_out(fit: Fit) -> list[str]:
    """The averaged copies in the model's own file that do not fit, and why."""
    files = [part.file.path for part in fit.network.parts]
    return [
        f"left out: {network.label}, an averaged copy: {misfit}"
        for network, misfit in fit.passed
        if network.file.path in files and is_average(network.label)
    ]


# ------------------------------------------------------------------------------- its data


def _describe(model: "Model", data: str | Path | None, root: str | Path | None) -> str:
    """Give the model the names of its classes and its examples; the terms of its data.

    Raises BadInput for a translator without data: it has no other input to draw samples of.
    """
    from genzoo.models.abilities import Translator

    if isinstance(model, Translator):
        if data is None:
            hint = argument("data", "FOLDER")
            raise BadInput(f"a translator keeps images to translate: give some with {hint}")
        return _take_examples(model, data, root)
    if data is None or len(sources := _sources(data)) != 1:
        return ""
    if len(sources[0].classes) == getattr(model, "num_classes", 0):
        model.class_names = sources[0].classes
    return sources[0].terms


def _sources(data: str | Path) -> "list[Source]":
    """The named data sets in ``data``; of folders none."""
    found = []
    for name in [] if isinstance(data, Path) else data.split(","):
        with contextlib.suppress(GenzooError):  # a folder
            found.append(catalogue.describe(name.strip().partition("@")[0].partition(":")[0]))
    return found


def _take_examples(model: Any, data: str | Path, root: str | Path | None) -> str:
    """Store images of ``data`` with a translator, in the size of its config; the terms of them."""
    import numpy as np
    import torch

    from genzoo.models.randomness import stream

    for source in _sources(data):
        if source.kind != "images":
            raise BadInput(f"{source.name} holds {source.kind}; a translator needs images")
    channels, height, width = model.shape
    opened: DataSet = catalogue.open(
        data, "train", size=(width, height), channels=channels, root=root
    )
    order = stream(0, "examples").permutation(len(opened))  # not those of a folder's first class
    rows = np.resize(order, len(model.examples))
    model.examples.copy_(torch.from_numpy(opened.array[rows]))
    return opened.terms


# ------------------------------------------------------------------------------- in words


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
