"""What one does with a trained model: walks, directions, projection, inpainting."""

from genzoo import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "walks": ("interpolate", "traverse"),
        "directions": ("Direction",),
        "projection": ("Projection", "project"),
        "inpainting": ("Completion", "inpaint"),
    },
)
