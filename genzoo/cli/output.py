"""Where a command writes: chosen and checked before torch is imported, which takes a second."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, final

from genzoo.cli.app import default_path, print_file
from genzoo.cli.options import OUTPUT, Force, Json, Scale, flag
from genzoo.errors import BadInput, GenzooError
from genzoo.files import check_new, ending_of
from genzoo.models.kinds import ENDINGS, PICTURES, check_path
from genzoo.schemas import Kind

if TYPE_CHECKING:
    from genzoo.models.model import Model
    from genzoo.models.samples import Samples

FILES = "A .png, .jpg, .webp, .pdf or .npy."
_ENDINGS: dict[Kind, str] = {"images": ".png", "signals": ".wav"}


@final
@dataclass(frozen=True)
class Picture:
    """How a picture is written, and what is printed."""

    scale: Scale = None
    force: Force = False
    json: Json = False

    def path(self, out: Path | None, default: Path, numbers: str = ".npy") -> Path:
        """``out`` or ``default``, if a picture can be written to it, or, in a file that ends in
        ``numbers``, what it shows. Raises BadInput.
        """
        return _picture_path(out or default, self.scale, self.force, numbers)

    def print(self, path: Path, record: dict[str, Any]) -> None:
        """Print where the picture is, or all that there is to know of it as JSON."""
        print_file(path, record, self.json)


@final
@dataclass(frozen=True)
class SamplesFile:
    """How samples are written, and what is printed."""

    scale: Scale = None
    metadata: Annotated[
        bool,
        flag("--metadata/--no-metadata", "Write model and seeds into the metadata.", OUTPUT),
    ] = True
    force: Force = False
    json: Json = False

    def picture_path(self, out: Path | None, default: Path) -> Path:
        """``out`` or ``default``, if a picture of samples, or their array, can be written to it.
        Raises BadInput.
        """
        path = out or default
        if not self.metadata and path.suffix.lower() == ".npy":
            raise BadInput(f"--no-metadata: {path} holds numbers without metadata: leave it out")
        return _picture_path(path, self.scale, self.force)

    def path(
        self, out: Path | None, name: str, ending: str = "", *, film: bool = False
    ) -> Path | None:
        """Where samples of the model ``name`` go; None where only the loaded model tells.

        ``ending``: of the default name, before that of the kind of file. Raises BadInput if it
        exists.
        """
        path = out or _default(name, ending, film)
        known = {".gif", *(ending for endings in ENDINGS.values() for ending in endings)}
        if path is not None and ending_of(path) in known:
            check_path(path, self.force)  # else the model's kind decides on the message
        return path

    def check(
        self,
        path: Path,
        n: int,
        model: "Model",
        columns: int | None = None,
        film: bool = False,
        still: int = 0,
    ) -> None:
        """Check, before any is drawn, that ``path`` can hold ``n`` samples. Raises BadInput."""
        from genzoo.models.writing import check_target

        check_target(
            path,
            n,
            model,
            self.scale,
            self.force,
            film=film,
            columns=columns,
            still=still,
            metadata=self.metadata,
        )

    def write(self, samples: "Samples", path: Path, columns: int, still: int = 0) -> dict[str, Any]:
        """Write the samples, in so many ``columns``; their record."""
        from genzoo.models.writing import write

        n = len(samples)
        return write(
            iter([samples]), n, path, self.scale, self.metadata, columns=columns, still=still
        )

    def print(self, path: Path, record: dict[str, Any]) -> None:
        """Print where the samples are, or all that there is to know of them as JSON."""
        print_file(path, record, self.json)


def _picture_path(path: Path, scale: int | None, force: bool, numbers: str = ".npy") -> Path:
    if scale is not None and path.suffix.lower() == numbers:
        raise BadInput(f"--scale enlarges pictures, and {path} holds numbers: leave it out")
    check_new(path, [*PICTURES, numbers], force)
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
