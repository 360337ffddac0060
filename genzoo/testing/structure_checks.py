"""Checks of how a family is described, built, stored and moved: without any training."""

import tempfile
from typing import Any

import torch
from torch import Tensor

from genzoo import families
from genzoo.errors import BadInput
from genzoo.families.family import BRANCHES
from genzoo.models.sampler import Sampler
from genzoo.schemas import checked
from genzoo.testing.contract import require, require_error
from genzoo.testing.family_case import Case, law
from genzoo.zoo import folder as folders


@law()
def _metadata_say_where_it_stands(case: Case) -> str | None:
    """The metadata of the package, which a listing reads, say branch, year and summary."""
    plugin = next((p for p in families.plugins() if p.name == case.name), None)
    if plugin is None:
        return "is not installed as a package"
    place = f"the package's keywords must hold '{case.name}:BRANCH:YEAR'"
    branches = ", ".join(BRANCHES)
    require(plugin.branch in BRANCHES, f"{place}, a branch of {branches}; got {plugin.branch!r}")
    require(plugin.year.isdigit(), f"{place}, a year in digits; got {plugin.year!r}")
    require(plugin.summary, "the package's description is empty: describe the family in a phrase")
    return None


@law()
def _config_survives_json(case: Case) -> None:
    """A config is the same when written to JSON and read again, and rejects unknown fields."""
    values = case.family.tiny.model_dump(mode="json")
    again = checked(case.family.config, values, "config")
    require(again == case.family.tiny, "tiny changes when written to JSON and read again")
    unknown = {**values, "no_such_field": 1}
    message = "config must reject unknown fields"
    require_error(lambda: checked(case.family.config, unknown, "config"), BadInput, message)


@law()
def _every_number_is_bounded(case: Case) -> None:
    """Every number of config, options and settings has a lower and an upper bound."""
    for schema in (case.family.config, case.family.options, case.family.sampling):
        whole = schema.model_json_schema()
        for name, rule in whole.get("properties", {}).items():
            where = f"{schema.__name__}.{name}"
            wrong = where in unbounded(rule, whole.get("$defs", {}), where)
            require(not wrong, f"{where} has no lower or no upper bound")


def unbounded(rule: dict[str, Any], known: dict[str, Any], where: str) -> list[str]:
    """Where a JSON schema lets a number be as small or as large as it likes, or a list as long."""
    if "$ref" in rule:
        rule = known[rule["$ref"].rpartition("/")[2]]
    if "enum" in rule or "const" in rule:
        return []
    parts = [rule["items"]] if isinstance(rule.get("items"), dict) else []
    parts += [*rule.get("prefixItems", []), *rule.get("anyOf", []), *rule.get("allOf", [])]
    parts += [*rule.get("properties", {}).values()]
    more = rule.get("additionalProperties")
    parts += [more] if isinstance(more, dict) else []
    wrong = [w for part in parts for w in unbounded(part, known, where)]
    if rule.get("type") in ("integer", "number"):
        low, high = (rule.keys() & {m, f"exclusive{m.title()}"} for m in ("minimum", "maximum"))
        wrong += [] if low and high else [where]
    if rule.get("type") == "array" and "maxItems" not in rule:
        wrong.append(f"{where}'s length")
    return wrong


@law()
def _builds_on_meta(case: Case) -> None:
    """A model is built without memory, and registers all its tensors, which are then saved."""
    with torch.device("meta"):
        model = case.family.model(case.family.tiny)
    unsaved = {name for name, _ in model.named_buffers()} - set(model.state_dict())
    require(not unsaved, f"buffers that are not saved with the model: {sorted(unsaved)}")
    shapes, real = ({k: v.shape for k, v in m.state_dict().items()} for m in (model, case.model()))
    differences = sorted({*shapes.items()} ^ {*real.items()})[:3]
    require(not differences, f"built on the meta device, its tensors differ: {differences}")
    unregistered = [k for k, v in vars(model).items() if isinstance(v, Tensor)]
    require(not unregistered, f"tensors that are neither parameter nor buffer: {unregistered}")


@law()
def _rebuilds_from_its_config(case: Case) -> None:
    """``type(model)(model.config)`` rebuilds the model."""
    model = case.model()
    again = type(model)(model.config)
    again.load_state_dict(model.state_dict())
    shapes = tuple(model.shape), tuple(again.shape)
    require(shapes[0] == shapes[1], f"shape is {shapes[0]}, and {shapes[1]} after rebuilding")


@law(Sampler)
def _half_precision_storage_is_invisible(case: Case) -> None:
    """Weights stored in float16 give the same samples, to one level in 255."""
    model = case.model()
    with tempfile.TemporaryDirectory() as folder:
        folders.save(model, f"{folder}/model", family=case.name, dtype="float16")
        stored: Any = folders.load_folder(f"{folder}/model", "cpu")
    difference = (model.sample(4).tensor - stored.sample(4).tensor).abs().mean().item()
    said = f"stored as float16, samples differ by {difference:.4f}, more than one level in 255"
    require(difference < 1 / 255, said)


@law(Sampler)
def _same_picture_on_a_gpu(case: Case) -> str | None:
    """A GPU draws the same samples."""
    if not torch.cuda.is_available():
        return "no GPU is available"
    model = case.model()
    on_cpu = model.sample(4, seed=2).tensor
    on_gpu = model.to("cuda").sample(4, seed=2).tensor.cpu()
    require(torch.allclose(on_cpu, on_gpu, atol=1e-3), "the GPU draws other samples")
    return None
