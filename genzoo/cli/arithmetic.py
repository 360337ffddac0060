"""genzoo arithmetic: add and subtract latent codes."""

from pathlib import Path
from typing import Annotated

from genzoo.cli.app import app, default_path
from genzoo.cli.groups import CodeSearch, Sampling
from genzoo.cli.options import Device, ModelName, Seed, argument, out_option
from genzoo.cli.output import FILES, SamplesFile
from genzoo.editing.notation import check_samples, parse_sum
from genzoo.errors import BadInput


@app.command(
    examples=[
        "genzoo arithmetic dcgan-celeba 0:3,5,9 - 0:1,2,4 + 0:7,8,11",
        "genzoo arithmetic vae-mnist 3 + 17 --scale 4 -o sum.png",
    ]
)
def arithmetic(
    name: ModelName,
    terms: Annotated[
        list[str], argument("Means of samples or photos: 0:3,5,9 - 0:1,2 + me.png.", "SUM")
    ],
    *,
    sampling: Sampling,
    seed: Seed = 0,
    search: CodeSearch,
    out: Annotated[Path | None, out_option(FILES, "MODEL-sum.png")] = None,
    file: SamplesFile,
    device: Device = "auto",
) -> None:
    """Add and subtract the codes of samples."""
    check_samples([term for _, term in parse_sum(" ".join(terms))])
    path = file.picture_path(out, default_path(name, "-sum.png"))
    from genzoo.editing import arithmetic as sums
    from genzoo.editing.walks import as_latent

    model = as_latent(name, device)
    if not model.is_images:
        raise BadInput(f"cannot write {path}: a sum is drawn of images, not of {model.kind}")
    file.check(path, 9, model)
    combination = sums.arithmetic(
        model, " ".join(terms), seed=seed, **sampling.arguments(), **vars(search)
    )
    combination.save(path, file.scale, metadata=file.metadata)
    code = combination.code[0].tolist()
    file.print(path, {"code": code, **combination.around.record()})
