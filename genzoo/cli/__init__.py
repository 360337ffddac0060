"""The command line: one file per command, each only calling the public functions."""

from genzoo import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "entry": ("main", "run"),
    },
)
