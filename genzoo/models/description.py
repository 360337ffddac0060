"""What a model is, in a few lines of text, and as a card with samples for a notebook."""

import base64
import html
import threading
import weakref
from collections.abc import Callable
from typing import Any

from torch import nn

from genzoo.errors import GenzooError
from genzoo.models.inference import PLAIN, inference_copy
from genzoo.models.kinds import SHOWN
from genzoo.text import printable

_WIDTH = 64  # characters of a value, so that a line fits a terminal
# Of each model: the private copy that made the pictures, and their HTML.
_pictures: weakref.WeakKeyDictionary[nn.Module, tuple[Any, str]] = weakref.WeakKeyDictionary()
_lock = threading.Lock()
_ABILITIES = (
    "Sampler",
    "Latent",
    "Attentive",
    "Encoder",
    "Density",
    "Translator",
    "Completer",
    "Stepwise",
)


def title(model: Any) -> str:
    """The name of a model and its family, if it was loaded; else that of its class."""
    kind = type(model).__name__
    if model.origin is None:
        return kind
    text = f"{model.origin.model} ({kind} of the family {model.origin.family})"
    return _cut(printable(text), 78)


def facts(model: Any) -> dict[str, str]:
    """What a model is; a model that is half built has fewer facts."""
    reading: dict[str, Callable[[Any], str]] = {
        "kind": _kind,
        "parameters": lambda m: f"{sum(p.numel() for p in m.parameters()):,}",
        "abilities": lambda m: ", ".join(abilities(m)) or "none",
        "classes": _classes,
        "device": lambda m: str(m.device),
        "inference": lambda m: "" if m.execution == PLAIN else str(m.execution),
    }
    found = {name: _attempt(read, model) for name, read in reading.items()}
    return {name: _cut(printable(text), _WIDTH) for name, text in found.items() if text}


def abilities(model: Any) -> list[str]:
    """The names of a model's abilities: ``["Sampler", "Latent"]``."""
    own = [k for k in type(model).__mro__ if k.__module__.startswith("genzoo.models.")]
    return [name for name in _ABILITIES if name in {k.__name__ for k in own}]


def text(model: Any) -> str:
    """Title and facts, a line each."""
    lines = [f"  {name:<10}  {value}" for name, value in facts(model).items()]
    return "\n".join([_attempt(title, model) or type(model).__name__, *lines])


def card(model: Any) -> str:
    """Title, facts and samples, as HTML."""
    heads, cells = (f'<t{c} style="text-align:left">' for c in "hd")
    rows = [
        f"<tr>{heads}{name}</th>{cells}{html.escape(value)}</td></tr>"
        for name, value in facts(model).items()
    ]
    name = html.escape(_attempt(title, model) or type(model).__name__)
    left = f"<div><b>{name}</b><table>{''.join(rows)}</table></div>"
    side_by_side = "display:flex;flex-wrap:wrap;gap:24px;align-items:flex-start"
    return f'<div style="{side_by_side}">{left}<div>{_picture(model)}</div></div>'


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 3]}..."


def _kind(model: Any) -> str:
    public, low_high = model.public_range, "unbounded"
    if public is not None:
        low_high = f"in [{public[0]:g}, {public[1]:g}]"
    return f"{model.kind} of {'x'.join(map(str, model.shape))}, {low_high}"


def _classes(model: Any) -> str:
    count = getattr(model, "num_classes", 0)
    names = f": {', '.join(model.class_names)}" if model.class_names else ""
    return f"{count}{names}" if count else ""


def _attempt(read: Callable[[Any], str], model: Any) -> str:
    """What ``read`` finds, or nothing: a description never fails, whatever the model's state."""
    try:
        return read(model)
    except Exception:
        return ""


def _picture(model: Any) -> str:
    """The first samples as HTML, drawn once until the model changes; or why there are none."""
    if not hasattr(model, "sample"):
        return ""
    try:
        private = inference_copy(model)
        with _lock:
            maker, picture = _pictures.get(model, (None, ""))
        if maker is None or maker() is not private:
            picture = _html(model.sample(SHOWN[model.kind]))
            with _lock:
                _pictures[model] = weakref.ref(private), picture
    except Exception as error:
        reason = str(error) if isinstance(error, GenzooError) else type(error).__name__
        return f"no samples: {html.escape(reason)}"
    return picture


def _html(samples: Any) -> str:
    if hasattr(samples, "_repr_html_"):
        return samples._repr_html_() or ""
    content = samples._repr_png_()
    if content is None:
        return html.escape(repr(samples))
    source = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    return f'<img style="max-width:400px" src="{source}">'
