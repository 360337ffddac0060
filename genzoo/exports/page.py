"""A folder that any static host serves: a page that runs the model in the visitor's browser."""

import base64
import hashlib
import json
import shlex
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch

from genzoo.editing.activity import measure_activity
from genzoo.errors import BadInput, argument
from genzoo.exports.calls import Call, name_of
from genzoo.files import expanded, write_text
from genzoo.models.laws import Uniform
from genzoo.models.picture_files import SYNTHETIC, XMP
from genzoo.models.sampler import Latent
from genzoo.text import printable
from genzoo.version import VERSION
from genzoo.zoo.manifest import Manifest
from genzoo.zoo.names import lacking
from genzoo.zoo.reader import read_named
from genzoo.zoo.readme import introduction

RUNTIME = "1.30.0"  # the version of onnxruntime-web that these hashes are of
PACKAGE = f"onnxruntime-web@{RUNTIME}"
HOST = "https://cdn.jsdelivr.net"
# What each engine needs: a module, and what it computes with.
PARTS = {
    "wasm": {
        "ort.wasm.bundle.min.mjs": (
            "sha384-PLWz+nHEVHpjwBsO0YVdvQj6n5814Iv8E3b8FG0Rp/uIAtjFMCKOpP66iPzedrIG"
        ),
        "ort-wasm-simd-threaded.wasm": (
            "sha384-vjBJ1z7qrhkTyYsNqKeF6c7N+nOJSU94czEo+tvZcu8G75JparGq9kB+kTnEUNVM"
        ),
    },
    "webgpu": {
        "ort.webgpu.bundle.min.mjs": (
            "sha384-1ntMeyj+z5diX6vBR5h+zlJBPc4iNvhCxE6nlammh8daBYcLBZkzrwDkuJjhwI+f"
        ),
        "ort-wasm-simd-threaded.asyncify.wasm": (
            "sha384-EPVDLTxuO663dkZO/pcKJF6vOyyfq/5z9FY1oksN0UWFX2ABH4wDDZQHeNoUleWR"
        ),
    },
}
SLIDERS, MOST, CODES_BYTES = 8, 256, 1 << 20  # numbers with a slider; samples; bytes of their codes
LARGEST = 1 << 26  # bytes of a file of the runtime
OURS = ("index.html", "model.json", "page.js")  # by which a page is known
REST = ("style.css", "model.onnx", "codes.bin", "runtime")


def check_folder(path: Path, force: bool) -> Path:
    """``path``, if a page can be written there: it is new, or a page alone and ``force`` is on.

    Raises BadInput.
    """
    if not path.parent.is_dir():
        raise BadInput(f"cannot write {path}: no folder {path.parent}")
    if path.suffix in (".onnx", ".pt2", ".html", ".zip"):
        raise BadInput(f"a page is a folder, got {path}: {argument('out', 'FOLDER')}")
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return path
    if not path.is_dir() or not all((path / name).is_file() for name in OURS):
        raise BadInput(f"{path} exists and is no page of genzoo: choose another {argument('out')}")
    if not force:
        way = f"choose another {argument('out')}, or add {argument('force', True)}"
        raise BadInput(f"{path} exists: {way}")
    if others := sorted({file.name for file in path.iterdir()} - {*OURS, *REST}):
        what = f"{path} holds {printable(others[0])}, which is not of the page and would be lost"
        raise BadInput(f"{what}: move it away, or choose another {argument('out')}")
    return path


def read_runtime(folder: str | Path | None) -> dict[str, bytes] | None:
    """The files of onnxruntime-web in ``folder`` by name, if they are those of this version.

    Those for WebGPU may be missing. Raises BadInput.
    """
    if folder is None:
        return None
    path, found = expanded(folder), {}
    how = f"npm pack {PACKAGE} brings it, in package/dist"
    for engine, parts in PARTS.items():
        for name, integrity in parts.items():
            if not (path / name).is_file():
                if engine == "wasm":
                    raise BadInput(f"{path} has no {name} of onnxruntime-web {RUNTIME}: {how}")
                continue
            found[name] = read_named(path / name, LARGEST)
            if hashed(found[name]) != integrity:
                raise BadInput(f"{path / name} is not that of onnxruntime-web {RUNTIME}: {how}")
    return found


def check_model(call: Call) -> Latent:
    """The model of ``call``, if a page can draw with it. Raises BadInput."""
    if not isinstance(call.model, Latent):
        raise lacking(call.model, Latent, "has no latent code, whose numbers a page changes")
    if not call.model.is_images:
        raise BadInput(
            f"a page shows images, and this model draws {call.model.kind}: export to onnx"
        )
    return call.model


def fill(
    folder: Path,
    call: Call,
    manifest: Manifest | None,
    command: str,
    onnx: bytes,
    runtime: Mapping[str, bytes] | None,
) -> None:
    """Write the page's files into ``folder``, with the model in ``onnx``.

    ``command``: what draws a sample in a terminal, without its place and class.
    """
    model = check_model(call)
    count = max(16, min(MOST, CODES_BYTES // (4 * model.latent_dim)))
    codes = model.codes(count).numpy().astype("<f4").tobytes()
    (folder / "model.onnx").write_bytes(onnx)
    (folder / "codes.bin").write_bytes(codes)
    stored = {"model": ("model.onnx", onnx), "codes": ("codes.bin", codes)}
    record = {
        **_facts(model, call, count),
        "command": "" if call.note else command,
        "files": {key: _part(*part) for key, part in stored.items()},
        "runtime": _runtime(folder, runtime),
    }
    write_text(folder / "model.json", json.dumps(record, indent=1) + "\n")
    sources = files("genzoo.exports") / "site"
    for copied in ("page.js", "style.css"):
        write_text(folder / copied, (sources / copied).read_text(encoding="utf-8"))
    template = (sources / "index.html").read_text(encoding="utf-8")
    write_text(folder / "index.html", _page(template, record, call, manifest, runtime is None))


def _facts(model: Latent, call: Call, count: int) -> dict[str, Any]:
    """What the page computes with."""
    activity = measure_activity(model, sampling=call.sampling.model_dump(exclude_unset=True))
    (first,) = call.own(call.example(1))
    law = [
        {
            "kind": type(part).__name__.lower(),
            "start": at.start,
            "stop": at.stop,
            **({"low": part.low, "high": part.high} if isinstance(part, Uniform) else {}),
        }
        for part, at in model.code_law.located()
    ]
    return {
        "name": name_of(model),
        "shape": [*model.shape],
        "latent_dim": model.latent_dim,
        "classes": [*classes(model)],
        "words": [*map(shlex.quote, classes(model))],  # for a shell
        "law": law,
        "dims": [*activity.dims[:SLIDERS]],
        "count": count,
        "first": base64.b64encode((255 * first).round().to(torch.uint8).numpy().tobytes()).decode(),
        "marks": {"Comment": SYNTHETIC, "XML:com.adobe.xmp": XMP},
    }


def classes(model: Latent) -> tuple[str, ...]:
    """The names of the classes, or their numbers if they have none."""
    return tuple(model.class_names) or tuple(map(str, range(model.num_classes)))


def _runtime(folder: Path, copied: Mapping[str, bytes] | None) -> dict[str, Any]:
    """Where the page finds the runtime: in itself, from the files ``copied``, or on the network."""
    engines = {}
    for engine, parts in PARTS.items():
        if copied is not None:
            if not copied.keys() >= parts.keys():
                continue
            (folder / "runtime").mkdir(exist_ok=True)
            for name in parts:
                (folder / "runtime" / name).write_bytes(copied[name])
        engines[engine] = [{"name": name, "integrity": sha} for name, sha in parts.items()]
    base = f"{HOST}/npm/{PACKAGE}/dist/" if copied is None else "runtime/"
    return {"base": base, "parts": engines}


def _part(name: str, content: bytes) -> dict[str, str]:
    return {"name": name, "integrity": hashed(content)}


def hashed(content: bytes) -> str:
    """The hash of a file, as browsers check it (W3C, Subresource Integrity, section 3.5)."""
    return "sha384-" + base64.b64encode(hashlib.sha384(content).digest()).decode()


def _page(
    template: str, facts: Mapping[str, Any], call: Call, manifest: Manifest | None, remote: bool
) -> str:
    from jinja2 import Environment, StrictUndefined

    height, width = facts["shape"][1:]
    words = {}
    if manifest is not None:
        words = {
            "family": manifest.family,
            "trained on": manifest.data,
            "terms of the data": manifest.terms,
            "license": manifest.license,
            "version": manifest.version,
        }
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return environment.from_string(template).render(
        name=facts["name"],
        classes=facts["classes"],
        count=facts["count"],
        height=height,
        width=width,
        introduction=introduction(manifest) if manifest else "",
        note=call.note,
        facts=[(what, text) for what, text in words.items() if text],
        version=VERSION,
        runtime=RUNTIME,
        remote=HOST if remote else "",
    )
