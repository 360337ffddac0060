"""What metrics are used for: evaluate, compare and verify models, and examine their samples.

The functions `genzoo.evaluate`, `compare`, `verify`, `neighbours` and `outliers` are defined in
files of these names.
"""

from genzoo import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "comparison": ("Comparison",),
        "evaluate": ("Evaluation",),
        "neighbours": ("Neighbours",),
        "outliers": ("Outliers",),
        "representations": ("extract_features",),
        "truncation": ("Curve", "truncate"),
    },
    old_names={"find_neighbours": "genzoo.neighbours", "find_outliers": "genzoo.outliers"},
)
