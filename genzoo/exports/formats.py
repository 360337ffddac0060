"""export: a model as a file or a page that needs no genzoo."""

import copy
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, final

from genzoo.devices import usual_torch
from genzoo.errors import argument, command, on_the_command_line, refuse_unread
from genzoo.exports import page, programs
from genzoo.exports.calls import Call, call_of, name_of
from genzoo.files import check_new, default_path, expanded, whole_folder, write_whole
from genzoo.models.arguments import checked_arguments
from genzoo.models.model import Model
from genzoo.models.picture_files import SYNTHETIC
from genzoo.models.sampler import Progress
from genzoo.version import VERSION
from genzoo.zoo import names
from genzoo.zoo.manifest import Manifest, read_manifest

Format = Literal["onnx", "torch", "page"]
ENDINGS = {"onnx": ".onnx", "torch": ".pt2", "page": "-page"}
STAGES = {"onnx": 3, "torch": 2, "page": 4}


@final
@dataclass(frozen=True)
class Exported:
    """``path``: the file or folder that was written. ``difference``: the largest between its
    output and genzoo's own. ``inputs``, ``outputs``: the shape of each by its name, where "n"
    stands for any number. ``note``: what it leaves out, and the terms of the model's data; or "".
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
    to: Format | None = None,
    out: str | Path | None = None,
    sampling: Mapping[str, Any] | None = None,
    runtime: str | Path | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Exported:
    """Write ``model`` for programs other than genzoo: codes in, samples out, for any number.

    ``onnx``: a ``.onnx``. ``torch``: a ``.pt2`` of `torch.export`. The inputs are ``code``
    ``(n, latent_dim)`` and, of a conditional model, ``label`` ``(n,)`` int64; the output is
    ``image`` ``(n, C, H, W)`` in [0, 1], ``signal`` or ``point``. A `Stepwise` model hands on its
    ``step`` in place of this. All is float32, on the CPU, and was compared with genzoo's own output
    before it was written.

    ``page``: a folder that any static host serves, whose page draws images in the visitor's
    browser; ``runtime``: a folder of onnxruntime-web's files to copy into it, which browsers
    otherwise load from a public host.

    ``to``: by default what the ending of ``out`` says, or onnx. ``out``: by default MODEL.onnx and
    the like. ``sampling``: settings that the program keeps. ``progress(what, done, total)``: its
    stages. Raises BadInput; OperationFailed if packages are missing, or the model cannot be
    exported; and as ``load``.
    """
    to = to or format_of(out)
    if to != "page":
        refuse_unread(f"only {argument('to', 'page')} has a runtime", runtime=runtime)
    source = page.read_runtime(runtime)
    path = None if out is None else _checked(expanded(out), to, force)
    if to != "torch":
        programs.check_onnx()
    read, manifest = loaded(model)
    path = path or _checked(default_path(name_of(read), ENDINGS[to]), to, force)
    call = call_of(read, sampling or {})
    if to == "page":
        page.check_model(call)
    record = record_of(read, manifest, call)
    make = programs.torch_file if to == "torch" else programs.onnx_file
    say = _stages(progress, name_of(read), STAGES[to])
    content, difference = make(call, record, say)
    if to == "page":
        say("measures the numbers of the code")
        with whole_folder(path) as folder:
            page.fill(folder, call, manifest, _command(model, sampling or {}), content, source)
    else:
        write_whole(path, content)
    inputs, outputs = shapes_of(call)
    note = " ".join(filter(None, [call.note, _terms(manifest)]))
    return Exported(path, to, inputs, outputs, difference, note)


def _stages(progress: Progress | None, name: str, total: int) -> programs.Say:
    """What tells ``progress`` each stage when it begins."""
    done = itertools.count()

    def say(what: str) -> None:
        if progress is not None:
            progress(f"{name}: {what}", next(done), total)

    return say


def format_of(out: str | Path | None) -> Format:
    """What ``out`` is by its ending."""
    return "torch" if out is not None and str(out).lower().endswith(".pt2") else "onnx"


def _terms(manifest: Manifest | None) -> str:
    """The terms of the model's data, as a sentence; "" if there are none."""
    if manifest is None or not manifest.terms:
        return ""
    return f"The terms of the model's data hold for it, too: {manifest.terms}."


def _command(model: str | Path | Model, sampling: Mapping[str, Any]) -> str:
    """What draws one sample in a terminal; "" for a model in memory."""
    if isinstance(model, Model):
        return ""
    settings = {"sampling": sampling} if sampling else {}
    with on_the_command_line():
        return command("sample", model, n=1, **settings)


def _checked(path: Path, to: str, force: bool) -> Path:
    if to == "page":
        return page.check_folder(path, force)
    check_new(path, [ENDINGS[to]], force)
    return path


def loaded(model: str | Path | Model) -> tuple[Model, Manifest | None]:
    """The model on the CPU, and its card if it has one. Raises as ``load``."""
    if not isinstance(model, Model):
        read, folder = names.load_with_folder(model, "cpu")
        return read, read_manifest(folder)
    manifest = read_manifest(model.folder) if model.folder is not None else None
    return (model if model.device.type == "cpu" else copy.deepcopy(model).cpu()), manifest


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
