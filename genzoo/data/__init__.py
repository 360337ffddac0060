"""Data sets by name or folder: split, decoded once into the cache, then memory-mapped.

A `Source` describes a data set and reads it as `Rows` (arrays in blocks) or `ImageFiles`. The cache
stores either once, and a `DataSet` is a view of the cache.
"""

from genzoo import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "arrays": ("in_memory",),
        "catalogue": (
            "attributes",
            "check",
            "describe",
            "having",
            "kind_of",
            "names",
            "open",
            "open_pair",
        ),
        "dataset": (
            "FileSelection",
            "DataSet",
            "ImageFiles",
            "SoundFiles",
            "Rows",
            "Source",
            "Summary",
            "FileTree",
            "paired",
        ),
        "sheet": ("DataSheet",),
        "synthetic": ("RING",),
        "photo_files": ("photos", "picture"),
        "transforms": ("TRANSFORMS",),
        "viewing": ("show",),
    },
    old_names={"listing": "genzoo.list_data"},
)
