"""Convert files of older formats before today's schemas check them.

Format 1 (genzoo 0.1) -> format 2: other names, the same content. A family renames its own fields
and tensors, by its `Family.upgrade`. Only plain renames happen here: a file that has both the old
and the new name keeps both, and the strict schema refuses it.
"""

import json
from typing import Any

from genzoo.errors import BadInput, GenzooError, InvalidModel
from genzoo.schemas import renamed

FORMAT = 2
# What 0.1 called the options that every family has, or every adversarial one.
OPTIONS = {
    "average": "ema_decay",
    "clip": "gradient_clip",
    "decay": "lr_inverse_decay",
    "decay_from": "lr_decay_start",
    "discriminator_decay": "discriminator_lr_inverse_decay",
    "flip": "horizontal_flip",
    "noisy_labels": "soft_labels",
    "orthogonal": "orthogonal_weight",
    "smoothing": "label_smoothing",
}
# What 0.1 called kinds of metrics, the goal of some, and some keys of their protocols.
METRICS = {
    "copied": "nearest_train_pixels",
    "cs": "class_score",
    "inpainting-psnr": "inpainting_psnr",
    "inpainting-ssim": "inpainting_ssim",
    "labels": "label_accuracy",
    "memorised": "nearest_train_features",
    "modes": "mode_kl",
    "probe400": "probe_400",
    "sure": "confident",
    "translated": "translation_accuracy",
    "variety": "intra_class_diversity",
}
GOALS = {"one": "near_one"}
PROTOCOL = {
    "codes by": "code search",
    "samples looked at": "samples compared",
    "told the class": "class-conditional",
}
# What 0.1 called the info of a direction file.
DIRECTION = {
    "by": "source",
    "of": "attribute",
    "judge_sha256": "classifier_sha256",
    "raised": "increase_rate",
    "turned": "flip_rate",
}


def manifest(values: dict[str, Any], where: str) -> dict[str, Any]:
    """``config.json`` as format 2. Raises InvalidModel for a format that is not known."""
    if not _is_format(values.get("format"), 1):
        checked = _checked(values, where)
        recipe = checked.get("recipe")
        return {**checked, "recipe": _rms_decay(recipe)} if isinstance(recipe, dict) else checked
    new = {**renamed(values, {"licence": "license"}), "format": FORMAT}
    if isinstance(recipe := new.get("recipe"), dict):
        new["recipe"] = _options(recipe)
    return new


def plan(values: dict[str, Any], where: str) -> dict[str, Any]:
    """A run's ``plan.json`` as format 2; format 1 has no number. Raises BadInput."""
    if "format" in values:
        return _rms_decay(_checked(values, where, BadInput))
    return {**_options(renamed(values, {"licence": "license"})), "format": FORMAT}


def direction(values: dict[str, Any], where: str) -> dict[str, Any]:
    """A direction file's info as format 2; format 1 has no number. Raises BadInput."""
    if "format" in values:
        return _checked(values, where, BadInput)
    source = "seeds" if values.get("by") == "picks" else values.get("by")
    return {**renamed({**values, "by": source}, DIRECTION), "format": FORMAT}


def _checked(
    values: dict[str, Any], where: str, error: type[GenzooError] = InvalidModel
) -> dict[str, Any]:
    if _is_format(values.get("format"), FORMAT):
        return values
    got = json.dumps(values.get("format"))[:40]
    number = values.get("format")
    newer = type(number) is int and number > FORMAT
    hint = ": upgrade genzoo" if newer else ""
    raise error(f"{where}: this genzoo reads formats 1 to {FORMAT}, got {got}{hint}")


def _is_format(value: Any, number: int) -> bool:
    """Whether ``value`` is the integer ``number``: neither True nor 1.0 is 1."""
    return type(value) is int and value == number


def _options(values: dict[str, Any]) -> dict[str, Any]:
    options = values.get("options")
    if not isinstance(options, dict):
        return values
    return _rms_decay({**values, "options": renamed(options, OPTIONS)})


def _rms_decay(values: dict[str, Any]) -> dict[str, Any]:
    """RMSprop once took Adam's ``beta2`` for its decay, whose default was 0.999."""
    options = values.get("options")
    if not isinstance(options, dict) or options.get("optimizer") != "rmsprop":
        return values
    if "rms_decay" in options:
        return values
    others = {key: value for key, value in options.items() if key != "beta2"}
    return {**values, "options": {**others, "rms_decay": options.get("beta2", 0.999)}}


def metrics(values: dict[str, Any], where: str) -> dict[str, Any]:
    """``metrics.json`` as format 2; format 1 has no number. Raises InvalidModel."""
    if "format" in values:
        _checked(values, where)
    scores = values.get("scores")
    if isinstance(scores, list):
        names = [*scores] if "format" in values else [_score(score) for score in scores]
        values = {**values, "scores": [_settings(score) for score in names]}
    return {"format": FORMAT, **values}


def _settings(score: Any) -> Any:
    """A score whose protocol has a truncation, as one that was sampled with this setting."""
    protocol = score.get("protocol") if isinstance(score, dict) else None
    if not isinstance(protocol, dict) or "truncation" not in protocol or "sampling" in score:
        return score
    sampling = {"truncation": protocol["truncation"]}
    new = {k: v for k, v in protocol.items() if k not in sampling}
    new_score = {**score, "protocol": new, "sampling": sampling}
    if isinstance(request := score.get("request"), dict):
        new_score["request"] = {**request, "sampling": sampling}
    return new_score


def metric_name(name: str) -> str:
    """Today's name of a score, of its kind and what that is measured on: ``cs-mnist``, ``cs``."""
    for old, new in METRICS.items():
        if name == old or name.startswith(f"{old}-"):
            return new + name.removeprefix(old)
    return name


def _score(score: Any) -> Any:
    """A score of format 1 as one of format 2; what is no score stays for the schema to refuse."""
    if not isinstance(score, dict):
        return score
    new = dict(score)
    if isinstance(name := score.get("name"), str):
        new["name"] = metric_name(name)
    if isinstance(goal := score.get("goal"), str):
        new["goal"] = GOALS.get(goal, goal)
    if isinstance(protocol := score.get("protocol"), dict):
        new["protocol"] = renamed(protocol, PROTOCOL)
    new = renamed(new, {"asked": "request"})
    request = new.get("request")
    if isinstance(request, dict) and isinstance(request.get("metrics"), str):
        new["request"] = {**request, "metrics": metric_name(request["metrics"])}
    return new
