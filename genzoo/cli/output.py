"""Where a command writes: chosen and checked before torch is imported, which takes a second."""

from pathlib import Path

from genzoo.cli.app import default_path
from genzoo.errors import BadInput, GenzooError
from genzoo.files import check_new
from genzoo.models.kinds import ENDINGS, PICTURES, check_path
from genzoo.schemas import Kind

FILES = "A .png, .jpg, .webp, .pdf or .npy."
_ENDINGS: dict[Kind, str] = {"images": ".png", "signals": ".wav"}


def picture_path(
    out: Path | None,
    default: Path,
    force: bool,
    scale: int | None,
    numbers: str = ".npy",
    metadata: bool = True,
) -> Path:
    """``out`` or ``default``, if a picture can be written to it, or, in a file that ends in
    ``numbers``, what it shows. Raises BadInput.
    """
    path = out or default
    check_new(path, [*PICTURES, numbers], force)
    if scale is not None and path.suffix.lower() == numbers:
        raise BadInput(f"--scale enlarges pictures, and {path} holds numbers: leave it out")
    if not metadata and path.suffix.lower() == numbers:
        raise BadInput(f"--no-metadata: {path} holds numbers without metadata: leave it out")
    return path


def samples_path(
    out: Path | None, name: str, ending: str, force: bool, *, film: bool = False
) -> Path | None:
    """Where samples of the model ``name`` go; None where only the loaded model tells.

    ``ending``: of the default name, before that of the kind of file. Raises BadInput if it exists.
    """
    path = out or _default(name, ending, film)
    if path is not None and path.suffix in {".gif", *(e for all in ENDINGS.values() for e in all)}:
        check_path(path, force)  # else the model's kind decides on the message
    return path


def _default(name: str, ending: str, film: bool) -> Path | None:
    """The default name by the model's card. That of points depends on their shape."""
    from genzoo.zoo import names

    try:
        kind = names.resolve(name, local_files_only=True)[1].kind
    except GenzooError:  # loading says it better
        return None
    if kind not in _ENDINGS:
        return None
    return default_path(name, ending + (".gif" if film and kind == "images" else _ENDINGS[kind]))
