"""genzoo traverse: change two dimensions of a sample's code."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from genzoo.cli.app import app, default_path
from genzoo.cli.groups import CodeSearch, Sampling
from genzoo.cli.options import Device, ModelName, Sample, option, out_option
from genzoo.cli.output import FILES, SamplesFile
from genzoo.editing.notation import check_samples
from genzoo.errors import refuse_unread
from genzoo.models.kinds import PICTURES

if TYPE_CHECKING:
    from genzoo.models.sampler import Latent


@app.command(
    examples=[
        "genzoo traverse vae-mnist --dims all",
        "genzoo traverse dcgan-celeba --sample 0:16 --grid 5x9 -o grid.png",
    ]
)
def traverse(
    name: ModelName,
    *,
    dims: Annotated[
        str | None,
        option(
            "Two numbers of the code: down, across; or all: a row for each.",
            "DIM,DIM|all",
            default="the two that change pictures most",
        ),
    ] = None,
    grid: Annotated[str | None, option("Size of the grid.", "ROWSxCOLUMNS", default="9x9")] = None,
    sample: Sample = None,
    sampling: Sampling,
    search: CodeSearch,
    out: Annotated[Path | None, out_option(FILES, "MODEL-traversal.png")] = None,
    file: SamplesFile,
    device: Device = "auto",
) -> None:
    """Change two numbers of a sample's code, on a grid."""
    from genzoo.models.checks import checked_pair

    if dims == "all":
        refuse_unread("--dims all has a row for each number of the code", grid=grid)
    pair = None if dims in (None, "all") else checked_pair("dims", dims, ",", "3,7 or all")
    rows, columns = checked_pair("grid", grid or "9x9", "x", "9x9")
    check_samples(sample or [])
    path = file.path(out, name, "-traversal")
    from genzoo import load
    from genzoo.editing import selection, walks
    from genzoo.models import writing

    model = walks.as_latent(load(name, device=device))
    path = path or default_path(name, f"-traversal{writing.default_ending(model)}")
    chosen = selection.select(model, sample or 0)
    how = {"sample": chosen, **sampling.arguments(), **vars(search)}
    if dims == "all":
        file.check(path, columns * model.latent_dim, model, columns=columns)
        _sweep(model, path, file, how)
        return
    is_measured = pair is None
    pair = pair or walks.most_active(model, sampling.label, sampling.values)
    walks.check_grid(model, pair, (rows, columns))
    top = -(-2 // columns) if chosen.photos else 0
    file.check(path, (top + rows) * columns, model, columns=columns)
    samples = walks.traverse(model, pair, grid=(rows, columns), **how)
    file.print(path, {"n": len(samples), **file.write(samples, path, columns=columns)})
    if is_measured and not file.json:
        print(f"numbers {pair[0]} (down) and {pair[1]} (across) of the code change pictures most")


def _sweep(model: "Latent", path: Path, file: SamplesFile, how: dict[str, Any]) -> None:
    from genzoo.editing.sweep import sweep

    result = sweep(model, **how)
    result.save(path, file.scale, metadata=file.metadata)
    file.print(path, {"n": len(result.samples), **result.samples.record()})
    note = result.note(file.scale) if path.suffix in PICTURES else ""
    if note and not file.json:
        print(f"{note} A .npy (-o) has all.")
