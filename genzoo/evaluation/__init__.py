"""What metrics are used for: evaluate, compare and verify models, and examine their samples.

The functions `genzoo.evaluate`, `genzoo.compare` and `genzoo.verify` are defined in files of these
names.
"""

from genzoo import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "comparison": ("Comparison",),
        "evaluate": ("Evaluation",),
        "neighbours": ("Neighbours", "find_neighbours"),
        "outliers": ("Outliers", "find_outliers"),
        "representations": ("extract_features",),
        "truncation": ("truncate",),
    },
)
