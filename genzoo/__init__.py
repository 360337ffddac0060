"""A zoo of generative models with one door: ``genzoo.load("dcgan-mnist").sample(16)``.

Names are imported when first used, so that ``import genzoo`` costs no torch.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

from genzoo.version import VERSION

__version__ = VERSION


def lazy(
    package: str, homes: Mapping[str, Sequence[str]], packages: Sequence[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """``__getattr__``, ``__dir__`` and ``__all__`` of a package whose names load when first used.

    ``homes``: for each module of the package the names that it defines; ``packages``: those below
    it that are attributes too.
    """
    home = {name: module for module, names in homes.items() for name in names}

    def get(name: str) -> Any:
        if name in home:
            return getattr(import_module(f"{package}.{home[name]}"), name)
        if name in packages:
            return import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    public = sorted([*home, *packages])
    return get, lambda: public, public


# One name a line of the public API, by the module that defines it. `__init__.pyi` repeats it for
# type checkers; a test holds the two against each other.
__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "devices": ("one_thread",),
        "editing.inpainting": ("Completion", "inpaint"),
        "editing.projection": ("Projection", "project"),
        "errors": (
            "BadInput",
            "OperationFailed",
            "GenzooError",
            "InvalidModel",
            "UnknownName",
            "NetworkError",
        ),
        "evaluation.compare": ("compare",),
        "evaluation.evaluate": ("evaluate",),
        "evaluation.neighbours": ("Neighbours", "find_neighbours"),
        "evaluation.outliers": ("Outliers", "find_outliers"),
        "evaluation.representations": ("extract_features",),
        "evaluation.verify": ("verify",),
        "families.family": ("Family", "Upgraded", "hookimpl", "rename_fields"),
        "models.abilities": ("Attentive", "Completer", "Density", "Encoder", "Translator"),
        "models.model": ("Discriminator", "Model"),
        "models.randomness": ("Noise",),
        "models.sampler": ("Latent", "Sampler"),
        "models.samples": ("Arrays", "Images", "Origin", "Samples"),
        "training": ("Adversarial", "EMA", "Batch", "LossTrainer", "Logs", "Trainer", "fit"),
        "zoo.folder": ("save",),
        "zoo.names": ("load", "model_names"),
        "zoo.provenance": ("inspect", "reproduce"),
        "zoo.publish": ("pull", "push"),
    },
    ("data", "editing", "evaluation", "families", "metrics", "testing", "training"),
)
__all__ += ["__version__"]
