"""Files of older formats, brought up to date before they are checked against today's schemas.

Format 1 (genzoo 0.1) -> format 2: other names, the same content. What a family calls its own fields
and tensors is its `Family.upgrade`'s part. Only plain renames happen here: a file that has both the
old and the new name keeps both, and the strict schema refuses it.
"""

from typing import Any

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


def manifest(values: dict[str, Any]) -> dict[str, Any]:
    """``config.json`` of any format that is known, as format 2."""
    if type(values.get("format")) is not int or values["format"] != 1:
        return values
    new = {**renamed(values, {"licence": "license"}), "format": FORMAT}
    if isinstance(recipe := new.get("recipe"), dict):
        new["recipe"] = _options(recipe)
    return new


def plan(values: dict[str, Any]) -> dict[str, Any]:
    """A run's ``plan.json``, in which format 1 did not say its number, as format 2."""
    if "format" in values:
        return values
    return {**_options(renamed(values, {"licence": "license"})), "format": FORMAT}


def _options(values: dict[str, Any]) -> dict[str, Any]:
    options = values.get("options")
    if not isinstance(options, dict):
        return values
    return {**values, "options": renamed(options, OPTIONS)}
