"""Kinds of samples: how many show a model, and the files that they are written to. No torch."""

from genzoo.schemas import Kind

# How many samples of each kind show what a model has learnt.
SHOWN: dict[Kind, int] = {"images": 16, "signals": 9, "points": 1000}
# The endings of names that samples can be written to, the default first; "" is a folder.
ENDINGS: dict[Kind, tuple[str, ...]] = {
    "images": (".png", ".npy", ""),
    "signals": (".wav", ".png", ".npy", ""),
    "points": (".png", ".npy", ""),
}


def has_picture(kind: Kind, shape: tuple[int, ...]) -> bool:
    """Whether samples have a PNG: points of several sides, like volumes, have none."""
    return kind != "points" or len(shape) == 1
