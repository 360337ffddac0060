"""A call as a program for other runtimes: an ONNX file, or one of torch.export.

Each is run and compared with what genzoo computes before anything is written.
"""

import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genzoo.errors import OperationFailed, article, install_command
from genzoo.exports.calls import Call, Step
from genzoo.models.picture_files import SYNTHETIC

LIMIT = 1e-4  # the largest difference from genzoo's own output that is written
TRACED, TRIED = 2, (1, 3)  # the numbers of samples of which a program is made, and is tried with
KEY = "genzoo"  # of the record in a file's metadata
Say = Callable[[str], None]  # is told what is done next


def traced(call: Call) -> torch.export.ExportedProgram:
    """``call`` as a graph for any number of samples. Raises OperationFailed."""
    example = call.example(TRACED)
    rows = torch.export.Dim("n")
    shapes: Any = tuple({0: rows} if x.ndim else None for x in example)
    module = call.module
    if isinstance(module, Step):
        shapes = (shapes,)  # of forward(*inputs)
    try:
        with _quiet():
            return torch.export.export(module, example, dynamic_shapes=shapes, strict=False)
    except Exception as error:  # whatever the operations of a plugin lead to
        raise _refused(call, error) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """In the block torch's warnings of its own parts are not shown: no user can act on them."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _refused(call: Call, error: Exception) -> OperationFailed:
    reason = " ".join(str(error).strip().partition("\n")[0].split())[:200]
    what = f"torch.export cannot trace {article(call.model)}"
    hint = "a family writes x.shape[0], not len(x), and computes the same for any values"
    return OperationFailed(f"{what} for any number of samples: {reason} ({hint})")


def torch_file(call: Call, record: Mapping[str, Any], say: Say) -> tuple[bytes, float]:
    """A ``.pt2``, as `torch.export.load` reads it, and its largest difference from genzoo.

    Raises OperationFailed.
    """
    buffer = io.BytesIO()
    say("traces the model")
    with _quiet():
        torch.export.save(traced(call), buffer, extra_files={f"{KEY}.json": json.dumps(record)})
        loaded = torch.export.load(io.BytesIO(buffer.getvalue())).module()

    def run(inputs: Sequence[Tensor]) -> Sequence[np.ndarray]:
        with torch.no_grad():
            outputs = loaded(*inputs)
        return [x.numpy() for x in (outputs if isinstance(outputs, tuple) else (outputs,))]

    say("compares with genzoo")
    return buffer.getvalue(), compared(call, run)


def check_onnx() -> None:
    """Check that what makes and runs ONNX files is installed. Raises OperationFailed."""
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        what = f"ONNX needs onnx, onnxscript and onnxruntime, and {error.name} is missing"
        raise OperationFailed(f"{what}: {install_command('export')}") from None


def onnx_file(call: Call, record: Mapping[str, Any], say: Say) -> tuple[bytes, float]:
    """A ``.onnx``, and its largest difference from genzoo. Raises OperationFailed."""
    check_onnx()
    import onnxruntime

    program = _onnx_program(call, say)
    program.model.doc_string = SYNTHETIC
    program.model.metadata_props[KEY] = json.dumps(record)
    try:
        content = program.model_proto.SerializeToString()
    except ValueError:  # protobuf's limit
        raise OperationFailed("an ONNX file holds 2 GB at most: export to torch") from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])

    def run(inputs: Sequence[Tensor]) -> Sequence[np.ndarray]:
        named = zip(call.inputs, inputs, strict=True)
        return session.run([*call.outputs], {name: x.numpy() for name, x in named})

    say("compares with genzoo")
    return content, compared(call, run)


def _onnx_program(call: Call, say: Say) -> Any:
    say("traces the model")
    program = traced(call)
    say("translates it to ONNX")
    try:
        with _quiet():
            return torch.onnx.export(
                program,
                dynamo=True,
                verbose=False,
                input_names=[*call.inputs],
                output_names=[*call.outputs],
            )
    except Exception as error:  # an operation that ONNX does not have
        reason = " ".join(str(error).strip().partition("\n")[0].split())[:200]
        raise OperationFailed(f"ONNX cannot express {article(call.model)}: {reason}") from error


def compared(call: Call, run: Callable[[Sequence[Tensor]], Sequence[np.ndarray]]) -> float:
    """The largest difference between ``run`` and genzoo, of several numbers of samples.

    Raises OperationFailed if it is above the limit.
    """
    largest = 0.0
    for n in TRIED:
        inputs = call.example(n)
        for own, other in zip(call.own(inputs), run(inputs), strict=True):
            if tuple(own.shape) != other.shape:
                got = f"{other.shape} in place of {tuple(own.shape)}"
                raise OperationFailed(f"nothing was written: the exported program returns {got}")
            apart = np.abs(own.double().numpy() - other)
            largest = max(largest, float(apart.max())) if np.isfinite(apart).all() else np.inf
    if not largest <= LIMIT:
        what = f"the exported program's output differs from genzoo's by {largest:.2g}"
        raise OperationFailed(f"nothing was written: {what}, more than {LIMIT:g}")
    return largest
