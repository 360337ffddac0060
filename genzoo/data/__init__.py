"""Data sets by name or folder: found, split, decoded once, then memory-mapped.

A `Source` says what a set is and how to read it; reading gives `Rows` (arrays, block by block) or
`ImageFiles` (image files). Either is written once into the cache, and a `DataSet` is a view of it.
"""

from genzoo import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "catalogue": (
            "attributes",
            "check",
            "describe",
            "having",
            "listed",
            "names",
            "open",
            "open_pair",
        ),
        "dataset": (
            "FileSelection",
            "DataSet",
            "ImageFiles",
            "Rows",
            "Source",
            "FileTree",
            "paired",
        ),
        "decoding": ("photos", "picture"),
    },
)
