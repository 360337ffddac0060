"""Controls of the demo page for the settings of sampling, made from a model's record of them."""

from collections.abc import Sequence
from typing import Any, final

from genzoo.demo.models import LoadedModels
from genzoo.options import Sampling
from genzoo.schemas import assignments, fields

WIDEST = 100  # the widest range that a slider shows; a number field shows wider ones


@final
class SettingControls:
    """One control for each setting of each model; those of the chosen model are visible."""

    def __init__(self, gr: Any, models: LoadedModels, shown: str):
        self._models = models
        self._keys = [(m, field) for m in models.names for field in _record(models, m).model_fields]
        self.components = [
            _control(gr, _record(models, model), field, model == shown)
            for model, field in self._keys
        ]

    @property
    def defaults(self) -> list[Any]:
        """The value of each component before anybody has moved it."""
        return [_record(self._models, m).model_fields[f].get_default() for m, f in self._keys]

    def show(self, gr: Any, name: str) -> list[Any]:
        """Updates of the components that show the settings of the model ``name`` alone."""
        return [gr.update(visible=model == name) for model, _ in self._keys]

    def settings(self, name: str, values: Sequence[Any]) -> dict[str, Any]:
        """The settings of the model ``name`` that differ from its defaults, from all components'
        values. Raises BadInput.
        """
        record = self._models.sampling(name)
        own: dict[str, Any] = {}
        for (model, field), value in zip(self._keys, values, strict=True):
            if model == name and value not in (None, ""):  # an empty field has its default
                is_text = isinstance(value, str) and _is_optional(record, field)
                own |= assignments([f"{field}={value}"]) if is_text else {field: value}
        checked = self._models.model(name).checked_sampling(own)
        return checked.model_dump(mode="json", exclude_defaults=True)


def _record(models: LoadedModels, name: str) -> type[Sampling]:
    return models.sampling(name)


def _rule(record: type[Sampling], field: str) -> dict[str, Any]:
    """The field's JSON schema."""
    rule: dict[str, Any] = record.model_json_schema()["properties"][field]
    return rule


def _is_optional(record: type[Sampling], field: str) -> bool:
    """Whether a field may be None: its control is a line of text, which can be empty."""
    return "anyOf" in _rule(record, field)


def _control(gr: Any, record: type[Sampling], field: str, visible: bool) -> Any:
    """A control that fits the type and the bounds of a field."""
    about = next(f["about"] for f in fields(record) if f["name"] == field)
    common: dict[str, Any] = {"label": field.replace("_", " "), "info": about, "visible": visible}
    value, rule = record.model_fields[field].get_default(), _rule(record, field)
    kind = rule.get("type")
    if kind == "boolean":
        return gr.Checkbox(value, **common)
    if "enum" in rule:
        return gr.Dropdown(rule["enum"], value=value, **common)
    if kind not in ("integer", "number"):  # gradio's field of a number sends 0 if it is empty
        return gr.Textbox("" if value is None else str(value), **common)
    low, high = rule.get("minimum"), rule.get("maximum")
    if low is not None and high is not None and high - low <= WIDEST:
        step = 1 if kind == "integer" else (high - low) / 100
        return gr.Slider(low, high, value, step=step, **common)
    bounds = {"minimum": low, "maximum": high, "precision": 0 if kind == "integer" else None}
    return gr.Number(value, **bounds, **common)
