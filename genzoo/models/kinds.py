"""Kinds of samples: how many show a model, and the files that they are written to. No torch."""

from pathlib import Path

from genzoo.errors import BadInput, argument
from genzoo.files import check_name
from genzoo.schemas import Kind

# How many samples of each kind show what a model has learnt.
SHOWN: dict[Kind, int] = {"images": 16, "signals": 9, "points": 1000}
# The endings of names that every picture can be written to, the default first.
PICTURES = (".png", ".jpg", ".webp", ".pdf")
# The endings of names that the plot of a run can be written to, the default first.
PLOTS = (".html", ".svg", *PICTURES, ".gif", ".npy")
# The endings of names that samples can be written to, the default first; "" is a folder.
ENDINGS: dict[Kind, tuple[str, ...]] = {
    "images": (*PICTURES, ".npy", ""),
    "signals": (".wav", *PICTURES, ".npy", ""),
    "points": (*PICTURES, ".npy", ""),
}


def has_picture(kind: Kind, shape: tuple[int, ...]) -> bool:
    """Whether samples have a PNG: points of several sides, like volumes, have none."""
    return kind != "points" or len(shape) == 1


def check_path(path: Path, force: bool) -> None:
    """Check that samples can be written to ``path``, which is a folder if it has no ending.

    An existing one is replaced only with ``force``. Raises BadInput.
    """
    check_name(path)
    if not path.parent.is_dir():
        raise BadInput(f"cannot write {path}: no folder {path.parent}")
    if path.exists() and path.is_dir() != (path.suffix == ""):
        what = "folder" if path.is_dir() else "file"
        raise BadInput(f"{path} is a {what}: choose another {argument('out')}")
    if path.exists() and not force:
        other, force_it = argument("out"), argument("force", True)
        raise BadInput(f"{path} exists: choose another {other}, or add {force_it}")
