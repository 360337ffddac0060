"""The demo: a page to play with models, in the browser."""

from genzoo import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "page": ("demo",),
    },
)
