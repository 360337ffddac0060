"""A zoo of generative models with one interface: ``genzoo.load("dcgan-mnist").sample(16)``.

Each public name is imported at its first use, so that ``import genzoo`` does not import torch.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

from genzoo.version import VERSION

__version__ = VERSION


def lazy(
    package: str,
    homes: Mapping[str, Sequence[str]],
    packages: Sequence[str] = (),
    old_names: Mapping[str, str] | None = None,
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """``__getattr__``, ``__dir__`` and ``__all__`` of a package that imports names at first use.

    ``homes``: the public names of each module of ``package``. ``packages``: the packages below it
    that are public, too. ``old_names``: what was renamed, for the message to who asks for it.
    """
    home = {name: module for module, names in homes.items() for name in names}

    def get(name: str) -> Any:
        if name in home:
            return getattr(import_module(f"{package}.{home[name]}"), name)
        if name in packages:
            return import_module(f"{package}.{name}")
        if new := (old_names or {}).get(name):
            new = new if new.startswith("genzoo.") else f"{package}.{new}"
            raise AttributeError(f"{package}.{name} is now called {new}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    public = sorted([*home, *packages])
    return get, lambda: public, public


# The public names by the module that defines them. `__init__.pyi` repeats them for type checkers;
# tests/test_public_names.py compares the two, and writes the stub.
__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "data.catalogue": ("list_data",),
        "data.contents": ("cache",),
        "devices": ("one_thread",),
        "editing.activity": ("measure_activity",),
        "editing.arithmetic": ("Combination", "arithmetic"),
        "editing.attention": ("AttentionMaps", "attention"),
        "editing.directions": ("Direction", "direction", "steer"),
        "editing.inpainting": ("Completion", "inpaint"),
        "editing.projection": ("Projection", "project"),
        "editing.sweep": ("Sweep", "sweep"),
        "editing.translation": ("translate",),
        "editing.walks": ("interpolate", "traverse"),
        "errors": (
            "BadInput",
            "DataMissing",
            "OperationFailed",
            "GenzooError",
            "InvalidModel",
            "UnknownName",
            "NetworkError",
        ),
        "evaluation.compare": ("compare",),
        "evaluation.evaluate": ("evaluate",),
        "evaluation.inside": ("Inside", "look_inside"),
        "evaluation.neighbours": ("Neighbours", "neighbours"),
        "evaluation.outliers": ("Outliers", "outliers"),
        "evaluation.reference": ("reference",),
        "evaluation.representations": ("extract_features",),
        "evaluation.truncation": ("truncate",),
        "evaluation.verify": ("verify",),
        "exports.formats": ("Exported", "export"),
        "families.adopted": ("Adopted", "Shapes"),
        "families.registry": ("list_families",),
        "families.family": ("Family", "Upgraded", "rename_fields"),
        "families.hooks": ("hookimpl",),
        "metrics.registry": ("list_metrics",),
        "models.abilities": (
            "Attentive",
            "Completer",
            "Density",
            "Encoder",
            "Stepwise",
            "Translator",
        ),
        "models.picture_files": ("SYNTHETIC",),
        "models.model": ("Discriminator", "Model"),
        "models.randomness": ("Noise",),
        "models.sampler": ("Latent", "Sampler"),
        "models.origin": ("Origin",),
        "models.samples": ("Images", "Points", "Samples", "Signals"),
        "runs.info": ("info",),
        "runs.plot": ("plot",),
        "runs.run": ("Interrupted", "RunStatus"),
        "runs.train": ("forecast", "train"),
        "testing.environment": ("env",),
        "testing.status": ("list_plugins",),
        "training": ("Adversarial", "EMA", "Batch", "LossTrainer", "Logs", "Trainer", "fit"),
        "zoo.adoption": ("adopt",),
        "zoo.card": ("list_models", "upgrade"),
        "zoo.citation": ("cite",),
        "zoo.folder": ("save",),
        "zoo.hub": ("search",),
        "zoo.names": ("load", "model_names"),
        "zoo.provenance": ("inspect", "reproduce"),
        "zoo.publish": ("pull", "push"),
    },
    (
        "data",
        "demo",
        "editing",
        "evaluation",
        "families",
        "metrics",
        "runs",
        "testing",
        "training",
        "zoo",
    ),
    {
        "Arrays": "Points",
        "Averaged": "EMA",
        "Descent": "LossTrainer",
        "Draws": "Noise",
        "Failed": "OperationFailed",
        "find_neighbours": "neighbours",
        "find_outliers": "outliers",
        "Unreachable": "NetworkError",
        "names": "model_names",
    },
)
__all__ += ["__version__"]
