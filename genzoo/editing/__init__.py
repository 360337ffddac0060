"""Editing with a trained model: walks, sums, directions, projection, inpainting.

The function `genzoo.arithmetic` is defined in the file of its name.
"""

from genzoo import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "walks": ("interpolate", "samples_at", "traverse"),
        "arithmetic": ("Combination",),
        "directions": (
            "Direction",
            "direction",
            "direction_from_data",
            "direction_from_samples",
            "direction_from_seeds",
            "read_direction",
            "steer",
        ),
        "photos": ("PhotoSearch",),
        "projection": ("Adversary", "Projection", "SearchOptions", "project"),
        "inpainting": ("Completion", "inpaint"),
    },
    old_names={"combine": "genzoo.arithmetic"},
)
