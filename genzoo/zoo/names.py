"""A model's name -> its folder: installed, a family's default, on the Hub, or on the disk."""

import contextlib
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

from genzoo import families
from genzoo.errors import (
    BadInput,
    GenzooError,
    InvalidModel,
    NetworkError,
    UnknownName,
    article,
    command,
    either,
    see_all,
    similar,
    unknown,
)
from genzoo.families.registry import note_model, others_code
from genzoo.files import expanded, is_folder
from genzoo.models.arguments import checked_arguments
from genzoo.zoo import hub, installed
from genzoo.zoo.folder import load_folder
from genzoo.zoo.installed import PREFERRED
from genzoo.zoo.manifest import CONFIG, Manifest, read_manifest
from genzoo.zoo.terms import RESTRICTED, warn

if TYPE_CHECKING:
    import torch

    from genzoo.models.model import Model
    from genzoo.models.sampler import Sampler

    M = TypeVar("M", bound=Model)


_CARD = re.compile(r"[A-Za-z0-9][\w.-]{0,95}")
_HUB = re.compile(r"[^/@]+/[^/@]+(@.*)?|[^/@]+@.*", re.DOTALL)


@overload
def load(
    name: str | Path,
    *,
    device: "str | torch.device" = "auto",
    dtype: "str | torch.dtype" = "float32",
    compile: bool = False,
    verify: bool = True,
    local_files_only: bool = False,
) -> "Sampler": ...
@overload  # mypy refuses an abstract class as a type[M]
def load(
    name: str | Path,
    ability: "Callable[..., M]",
    *,
    device: "str | torch.device" = "auto",
    dtype: "str | torch.dtype" = "float32",
    compile: bool = False,
    verify: bool = True,
    local_files_only: bool = False,
) -> "M": ...
@checked_arguments
def load(
    name: str | Path,
    ability: Any = None,
    *,
    device: "str | torch.device" = "auto",
    dtype: "str | torch.dtype" = "float32",
    compile: bool = False,
    verify: bool = True,
    local_files_only: bool = False,
) -> "Model":
    """A model, in evaluation mode on ``device``.

    ``name``: a card (``dcgan-mnist``), a family (its default model), a model on the Hub
    (``owner/name``, ``owner/name@revision``), or a folder: a Path, or text that begins with ./ ../
    / or ~. ``ability``: a class that the model must have, like ``genzoo.Translator``; it is also
    the result's type for type checkers, which otherwise take it for a Sampler, as most models are.
    Nothing in a folder is run or unpickled. ``local_files_only``: use no network. Raises
    UnknownName, InvalidModel, BadInput, NetworkError.

    ``dtype``, ``compile``: how its public methods compute, on a private copy of it: in float32,
    float16, bfloat16 or float64 (a name or a torch.dtype); and through torch.compile, which takes a
    minute at first. The weights of the model itself stay as they are, and results are float32.
    Whatever the two are, sample i of a seed has the same code, noise and label, and one setting
    gives the same bits each time on one machine. Two settings, as two machines, differ by rounding:
    with the installed models by less than 1/255 in float64 and compiled, 2/255 in float16, 7/255 in
    bfloat16; by more where a model chooses values, as those do that draw one pixel after another.
    """
    if not isinstance(ability, type | None):
        raise BadInput(f"an ability is a class like genzoo.Latent, got {article(ability)}")
    _check_execution(dtype, compile, device)
    model = load_with_folder(name, device, verify=verify, local_files_only=local_files_only)[0]
    _set_execution(model, dtype, compile)
    if ability is not None and not isinstance(model, ability):
        raise lacking(model, ability, f"is no {ability.__name__}")
    return model


def _check_execution(dtype: Any, compile: Any, device: Any) -> None:
    """Check what ``load`` was given, before it loads. Raises BadInput."""
    if not isinstance(compile, bool):
        raise BadInput(f"compile must be True or False, got {compile!r:.60}")
    if isinstance(dtype, str) and dtype == "float32" and not compile:
        return
    from genzoo import devices
    from genzoo.models.precision import checked_dtype, dtype_name

    place = devices.device(device)
    if place.type == "mps" and dtype_name(checked_dtype(dtype)) == "float64":
        raise BadInput("mps computes no float64: choose float32, or device='cpu'")
    checked_dtype(dtype)
    if compile:
        devices.check_compiler(place)


def _set_execution(model: "Model", dtype: Any, compile: bool) -> None:
    from genzoo.models.inference import Execution, largest_called
    from genzoo.models.precision import checked_dtype

    if compile and not any(True for _ in largest_called(model)):
        raise BadInput(f"compile would have no effect: {article(model)} calls no layers")
    if (execution := Execution(checked_dtype(dtype), compile)) != model.execution:
        model.execution = execution


def load_with_folder(
    name: str | Path,
    device: "str | torch.device" = "auto",
    *,
    verify: bool = True,
    local_files_only: bool = False,
) -> "tuple[Model, Path]":
    """As ``load``, with the folder that ``name`` means: the name is resolved once for both."""
    folder, manifest = resolve(name, local_files_only=local_files_only)
    model = load_folder(folder, device, verify, manifest)
    if model.origin is not None and (commit := hub.commit_of(folder)):
        model.origin = replace(model.origin, revision=commit)
    if manifest.license == RESTRICTED:
        warn(name, manifest.name, manifest.terms)
    return model, folder


def as_model(model: "str | Path | Model", device: "str | torch.device" = "auto") -> "Model":
    """``model``, which is in memory on ``device``, or the one that its name means.

    Raises BadInput, and as ``load``.
    """
    from genzoo.models.checks import check_place
    from genzoo.models.model import Model

    if not isinstance(model, Model):
        return load_with_folder(model, device)[0]
    check_place(model.device, device)
    return model


def named(model: "str | Path | Model") -> str | Path:
    """``model``, if it is a name or a folder; of a loaded one the name or folder that it is from.

    Raises BadInput if it is from none, or its weights have changed since.
    """
    if isinstance(model, str | Path):
        return model
    from genzoo.models.model import Model

    if not isinstance(model, Model):
        raise BadInput(f"a model is a name, a folder or a loaded model, got {article(model)}")
    folder, hint = model.folder, "save it with genzoo.save, and give the folder"
    if folder is None:
        raise BadInput(f"{article(model)} in memory has no folder or name: {hint}")
    stored = load_folder(folder, "cpu", verify=False).state_dict()
    state = {name: tensor.cpu() for name, tensor in model.state_dict().items()}
    same = all(name in state and tensor.equal(state[name]) for name, tensor in stored.items())
    if not same:
        raise BadInput(f"the weights have changed since they were loaded from {folder}: {hint}")
    return folder.name if installed.is_installed(folder) else folder


def model_names() -> list[str]:
    """The names of the installed models: genzoo's own, and those of plugins."""
    return installed.names()


def resolve(name: str | Path, *, local_files_only: bool = False) -> tuple[Path, Manifest]:
    """The folder that ``name`` means, and its manifest, read once. Raises as ``load``."""
    folder, manifest = _locate(name, local_files_only)
    return folder, manifest or read_manifest(folder)


def find(name: str | Path, *, local_files_only: bool = False) -> Path:
    """The folder that ``name`` means; its form alone says what kind it is. Raises as ``load``."""
    return _locate(name, local_files_only)[0]


def _locate(name: str | Path, local_files_only: bool) -> tuple[Path, Manifest | None]:
    """The folder, and its manifest if the search has read it: for a family's default."""
    if not isinstance(name, str | Path):
        raise BadInput(f"a model is a name or a folder, got {article(name)}")
    if is_folder(name):
        return _not_of_the_hubs_client(expanded(name)), None
    name = str(name)
    if name.startswith("images:"):
        raise BadInput(
            f"{name} is images; expected a model (only {command('evaluate')} takes both)"
        )
    if _HUB.fullmatch(name):
        return _from_hub(name, local_files_only), None
    if _CARD.fullmatch(name) and (folder := installed.find(name)):
        return folder, None
    if name in families.names():
        card, manifest = _default(name)
        return folder_of(card), manifest
    if families.known(name):
        families.get(name)  # raises: it gives the reason
    return _at_the_organisation(name, local_files_only), None


def _from_hub(name: str, local_files_only: bool) -> Path:
    """The model on the Hub; its error says if a folder of that name is here."""
    try:
        return hub.fetch(name, local_files_only=local_files_only)
    except (BadInput, NetworkError, UnknownName) as error:
        if hint := _folder_hint(name):
            raise type(error)(f"{error}. {hint}") from None
        raise


def _folder_hint(name: str) -> str:
    """What to type for the folder ``name`` that is here; "" if there is none."""
    try:
        is_here = Path(name).is_dir()
    except (OSError, ValueError):  # no name of a file
        return ""
    return f"A folder of that name is here: did you mean ./{name}?" if is_here else ""


# A folder of the Hub's client: models--OWNER--NAME/snapshots/COMMIT, of links out of it.
_CLIENTS = re.compile(r"models--([^/\\]+?)--([^/\\]+)(?:[/\\]snapshots[/\\]([0-9a-f]{40}))?")


def _not_of_the_hubs_client(folder: Path) -> Path:
    """``folder``, if it is none in the layout of the Hub client's cache. Raises InvalidModel."""
    found, config = _CLIENTS.search(str(Path.cwd() / folder)), folder / CONFIG
    if found is None or (config.is_file() and not config.is_symlink()):
        return folder
    owner, name, commit = found.groups()
    address = f"{owner}/{name}" + (f"@{commit}" if commit else "")
    hub.address(address)  # raises: anybody may have named the folder, and the hint is to be typed
    raise InvalidModel(
        f"{folder} is of the Hub client's own cache, whose files are links: give the model's name "
        f"({either(f'genzoo info {address}', f'genzoo.load({address!r})')}), or copy it with "
        f"{command('pull', address)}"
    )


def _at_the_organisation(name: str, local_files_only: bool) -> Path:
    """A model that is not installed, if the organisation has one of that name on the Hub."""
    known = [*model_names(), *families.names()]
    hint = installed.hint(f"{see_all('list')} A folder is written ./{name[:80]}.")
    if _CARD.fullmatch(name):
        try:
            return hub.fetch(name, local_files_only=local_files_only)
        except (BadInput, UnknownName):
            hint += f" {hub.organisation()} has no model of that name on the Hub."
        except NetworkError as error:
            if not similar(name, known):  # else the name that was meant is enough
                hint += f" ({error})"
    if here := _folder_hint(name):
        raise UnknownName(f"no model is called {name[:80]!r}. {here} {hint}")
    raise unknown("model", name[:80], known, hint)


def folder_of(name: str) -> Path:
    """The folder of the installed model ``name``. Raises UnknownName, Conflict."""
    if folder := installed.find(name):
        return folder
    raise unknown("model", name, model_names(), installed.hint(see_all("list")))


def with_discriminator(name: str | Path, folder: Path) -> Path:
    """``folder``, where ``name`` was found; for a model on the Hub, one that holds its
    discriminator too, if its repository has one. Raises NetworkError.
    """
    if hub.commit_of(folder) and read_manifest(folder).discriminator_sha256:
        return hub.fetch(str(name), discriminator=True)
    return folder


def default(family: str) -> str:
    """The name of the model that stands for ``family``. Raises UnknownName if none does."""
    return _default(family)[0]


def _default(family: str) -> tuple[str, Manifest]:
    cards = installed.manifests()
    if models := _models_of(family, cards):
        name = next(iter(models.values()))
        return name, cards[name]
    hint = f"train one: {command('train', family, out=f'my-{family}')}"
    hint = installed.hint(f"The family {family} has no model yet; {hint}")
    raise unknown("model", family, [*cards], hint)


def models_of(family: str) -> dict[str, str]:
    """The family's default model on each data set that it has one for, the preferred ones first."""
    return _models_of(family, installed.manifests())


def _models_of(family: str, cards: dict[str, Manifest]) -> dict[str, str]:
    rank = {name: i for i, name in enumerate(PREFERRED)}
    members = [(m, name) for name, m in cards.items() if m.family == family]
    # Genzoo's own first: no other package decides what the name of a family means that has one.
    own = installed.own()
    members.sort(
        key=lambda m: (m[1] not in own, rank.get(m[0].data, len(rank)), not m[0].default, m[1])
    )
    models: dict[str, str] = {}
    for manifest, name in members:
        models.setdefault(manifest.data, name)
    return models


def able(*abilities: "type[Model]") -> list[str]:
    """The installed models that have one of ``abilities``, like ``genzoo.Latent``."""
    cards = installed.manifests()
    able_families = {f for f in {m.family for m in cards.values()} if _has(f, abilities)}
    return [name for name, manifest in cards.items() if manifest.family in able_families]


def lacking(
    model: "Model", ability: "type[Model] | tuple[type[Model], ...]", what: str
) -> BadInput:
    """The error for a ``model`` without ``ability`` (or any of several), with models that can."""
    abilities = ability if isinstance(ability, tuple) else (ability,)
    if (origin := model.origin) is None:
        return lack("this model", article(model), what, able(*abilities))
    return lack(origin.model, origin.family, what, able(*abilities))


def lack(name: str, kind: str, what: str, able: list[str]) -> BadInput:
    """The error for a model that lacks what the models ``able`` have."""
    return BadInput(f"{name} ({kind}) {what}: models that can: {', '.join(able) or 'none'}")


def able_by_name(*abilities: str) -> list[str]:
    """As ``able``, by the names of classes: only families that were never loaded are imported."""
    cards, capable = installed.manifests(), set[str]()
    known = families.known_facts()
    for family in {manifest.family for manifest in cards.values()}:
        with contextlib.suppress(GenzooError):  # not installed, or broken
            facts = known.get(family)
            facts = facts if facts and facts.abilities is not None else families.facts_of(family)
            if {*abilities} & {*(facts.abilities or ())}:
                capable.add(family)
    return [name for name, manifest in cards.items() if manifest.family in capable]


def _has(family: str, abilities: "tuple[type[Model], ...]") -> bool:
    """Whether the family's models have one of ``abilities``."""
    try:
        parts = families.get(family)
    except GenzooError:  # not installed, or broken
        return False
    build = parts.model
    try:
        with others_code():
            kind = build if isinstance(build, type) else type(build(parts.tiny))
    except Exception:  # broken: genzoo plugin list gives no reason, but its models do when loaded
        return False
    if not isinstance(build, type):
        note_model(family, parts, kind)
    return issubclass(kind, abilities)
