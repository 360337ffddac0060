"""A zoo of generative models with one door: ``genzoo.load("dcgan-mnist").sample(16)``.

Names are imported when first used, so that ``import genzoo`` costs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from genzoo.version import VERSION

if TYPE_CHECKING:
    from genzoo.cards import load, names
    from genzoo.comparing import compare
    from genzoo.completing import Completion, Projection, inpaint, project
    from genzoo.devices import one_thread
    from genzoo.draws import Draws
    from genzoo.errors import (
        BadInput,
        Failed,
        GenzooError,
        InvalidModel,
        UnknownName,
        Unreachable,
    )
    from genzoo.evaluating import evaluate
    from genzoo.families import Family, hookimpl
    from genzoo.models import (
        Attentive,
        Completer,
        Density,
        Discriminator,
        Encoder,
        Latent,
        Model,
        Sampler,
        Translator,
    )
    from genzoo.nearest import Neighbours, neighbours
    from genzoo.novelty import Outliers, outliers
    from genzoo.provenance import inspect, reproduce
    from genzoo.publishing import pull, push
    from genzoo.samples import Arrays, Images, Origin, Samples
    from genzoo.seen import features
    from genzoo.store import save
    from genzoo.training import Adversarial, Averaged, Batch, Descent, Logs, Trainer, fit
    from genzoo.verifying import verify

__version__ = VERSION

_HOMES = {
    "cards": ("load", "names"),
    "comparing": ("compare",),
    "completing": ("Completion", "Projection", "inpaint", "project"),
    "devices": ("one_thread",),
    "draws": ("Draws",),
    "errors": (
        "BadInput",
        "Failed",
        "GenzooError",
        "InvalidModel",
        "UnknownName",
        "Unreachable",
    ),
    "evaluating": ("evaluate",),
    "families": ("Family", "hookimpl"),
    "models": (
        "Attentive",
        "Completer",
        "Density",
        "Discriminator",
        "Encoder",
        "Latent",
        "Model",
        "Sampler",
        "Translator",
    ),
    "nearest": ("Neighbours", "neighbours"),
    "novelty": ("Outliers", "outliers"),
    "provenance": ("inspect", "reproduce"),
    "publishing": ("pull", "push"),
    "samples": ("Arrays", "Images", "Origin", "Samples"),
    "seen": ("features",),
    "store": ("save",),
    "training": ("Adversarial", "Averaged", "Batch", "Descent", "Logs", "Trainer", "fit"),
    "verifying": ("verify",),
}
_HOME = {name: home for home, names_ in _HOMES.items() for name in names_}

__all__ = [
    "Adversarial",
    "Arrays",
    "Attentive",
    "Averaged",
    "BadInput",
    "Batch",
    "Completer",
    "Completion",
    "Density",
    "Descent",
    "Discriminator",
    "Draws",
    "Encoder",
    "Failed",
    "Family",
    "GenzooError",
    "Images",
    "InvalidModel",
    "Latent",
    "Logs",
    "Model",
    "Neighbours",
    "Origin",
    "Outliers",
    "Projection",
    "Sampler",
    "Samples",
    "Trainer",
    "Translator",
    "UnknownName",
    "Unreachable",
    "__version__",
    "compare",
    "evaluate",
    "features",
    "fit",
    "hookimpl",
    "inpaint",
    "inspect",
    "load",
    "names",
    "neighbours",
    "one_thread",
    "outliers",
    "project",
    "pull",
    "push",
    "reproduce",
    "save",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'genzoo' has no attribute {name!r}")
    return getattr(import_module(f"genzoo.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
