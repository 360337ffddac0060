"""export: a model as a file or a page that needs no genzoo."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, final

from genzoo.devices import usual_torch
from genzoo.exports import programs
from genzoo.exports.calls import Call, call_of
from genzoo.files import check_new, default_path, expanded, write_whole
from genzoo.models.arguments import checked_arguments
from genzoo.models.model import Model
from genzoo.models.picture_files import SYNTHETIC
from genzoo.version import VERSION
from genzoo.zoo import names
from genzoo.zoo.manifest import Manifest, read_manifest

Format = Literal["onnx", "torch"]
ENDINGS = {"onnx": ".onnx", "torch": ".pt2"}


@final
@dataclass(frozen=True)
class Exported:
    """``path``: the file or folder that was written. ``difference``: the largest between its
    output and genzoo's own. ``inputs``, ``outputs``: the shape of each by its name, where "n"
    stands for any number. ``note``: what it leaves out, or "".
    """

    path: Path
    to: str
    inputs: Mapping[str, tuple[int | str, ...]]
    outputs: Mapping[str, tuple[int | str, ...]]
    difference: float
    note: str = ""

    def __repr__(self) -> str:
        return f"<Exported {self.path}: {self}>"

    def __str__(self) -> str:
        """Its inputs and outputs, the difference, and what it leaves out, on a line."""
        sides = [
            ", ".join(f"{name} ({', '.join(map(str, shape))})" for name, shape in side.items())
            for side in (self.inputs, self.outputs)
        ]
        apart = f"largest difference from genzoo's own output: {self.difference:.1g}"
        return f"{' -> '.join(sides)}; {apart}. {self.note}".strip()

    def record(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {**vars(self), "path": str(self.path)}


@checked_arguments
@usual_torch()
def export(
    model: str | Path | Model,
    *,
    to: Format = "onnx",
    out: str | Path | None = None,
    sampling: Mapping[str, Any] | None = None,
    force: bool = False,
) -> Exported:
    """Write ``model`` for programs other than genzoo: codes in, samples out, for any number.

    ``onnx``: a ``.onnx``. ``torch``: a ``.pt2`` of `torch.export`. The inputs are ``code``
    ``(n, latent_dim)`` and, of a conditional model, ``label`` ``(n,)`` int64; the output is
    ``image`` ``(n, C, H, W)`` in [0, 1], ``signal`` or ``point``. A `Stepwise` model hands on its
    ``step`` in place of this. All is float32, on the CPU, and was compared with genzoo's own output
    before it was written. ``out``: by default MODEL.onnx and the like. ``sampling``: settings that
    the program keeps. Raises BadInput; OperationFailed if packages are missing, or the model cannot
    be exported; and as ``load``.
    """
    path = None if out is None else _checked(expanded(out), to, force)
    if to == "onnx":
        programs.check_onnx()
    read, manifest = loaded(model)
    path = path or _checked(default_path(name_of(read), ENDINGS[to]), to, force)
    call = call_of(read, sampling or {})
    record = record_of(read, manifest, call)
    make = programs.onnx_file if to == "onnx" else programs.torch_file
    content, difference = make(call, record)
    write_whole(path, content)
    inputs, outputs = shapes_of(call)
    return Exported(path, to, inputs, outputs, difference, call.note)


def _checked(path: Path, to: str, force: bool) -> Path:
    check_new(path, [ENDINGS[to]], force)
    return path


def loaded(model: str | Path | Model) -> tuple[Model, Manifest | None]:
    """The model on the CPU, and its card if it has one. Raises as ``load``."""
    if not isinstance(model, Model):
        read, folder = names.load_with_folder(model, "cpu")
        return read, read_manifest(folder)
    manifest = read_manifest(model.folder) if model.folder is not None else None
    return (model if model.device.type == "cpu" else copy.deepcopy(model).cpu()), manifest


def name_of(model: Model) -> str:
    """The name of a model, or of its class if it was never saved."""
    return model.origin.model if model.origin else type(model).__name__


def shapes_of(call: Call) -> list[dict[str, tuple[int | str, ...]]]:
    """The shape of each input and of each output by its name, where "n" stands for any number."""
    example = call.example(programs.TRACED)
    sides = (call.inputs, example), (call.outputs, call.own(example))
    return [
        {name: ("n", *x.shape[1:]) if x.ndim else () for name, x in zip(*side, strict=True)}
        for side in sides
    ]


def record_of(model: Model, manifest: Manifest | None, call: Call) -> dict[str, Any]:
    """What a file says of itself: the model, its terms, its classes and settings."""
    card = (
        manifest.model_dump(include={"family", "version", "data", "license", "terms"})
        if manifest
        else {}
    )
    return {
        "model": name_of(model),
        **card,
        "class_names": [*model.class_names],
        "sampling": call.sampling.model_dump(mode="json"),
        "note": " ".join([SYNTHETIC, call.note]).strip(),
        "genzoo": VERSION,
    }
