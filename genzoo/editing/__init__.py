"""Editing with a trained model: walks, sums, directions, projection, inpainting."""

from genzoo import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "walks": ("interpolate", "samples_at", "traverse"),
        "arithmetic": ("Combination", "combine"),
        "directions": (
            "Direction",
            "direction_from_data",
            "direction_from_samples",
            "direction_from_seeds",
            "read_direction",
            "steer",
        ),
        "projection": ("Adversary", "Projection", "project"),
        "inpainting": ("Completion", "inpaint"),
    },
)
