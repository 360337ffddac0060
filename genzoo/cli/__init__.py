"""The command line: one file per command; each calls the public functions and nothing else."""

from genzoo import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "entry": ("main", "run"),
    },
)
