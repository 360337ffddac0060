"""What metrics are used for: to evaluate, compare and verify models, and to look closer.

`genzoo.evaluate`, `genzoo.compare` and `genzoo.verify` are functions of the files of those names.
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
