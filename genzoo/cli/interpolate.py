"""genzoo interpolate: a walk from sample to sample."""

from pathlib import Path
from typing import Annotated

from genzoo.cli.app import Ticker, app, default_path
from genzoo.cli.groups import CodeSearch, Sampling
from genzoo.cli.options import SAMPLE, Device, ModelName, flag, option, out_option
from genzoo.cli.output import SamplesFile
from genzoo.editing.notation import check_samples
from genzoo.files import ending_of
from genzoo.models.kinds import PICTURES


@app.command(
    examples=[
        "genzoo interpolate dcgan-celeba --sample 0:16,18,43 --steps 6 -o walk.png",
        "genzoo interpolate vae-mnist --sample 3,17,42 --loop",
    ]
)
def interpolate(
    name: ModelName,
    *,
    sample: Annotated[list[str], SAMPLE],
    steps: Annotated[
        int | None, option("Steps between two samples.", "N", default="30, in a strip 8")
    ] = None,
    loop: Annotated[bool, flag("--loop", "Return to the first sample.")] = False,
    how: Annotated[
        str, option("slerp keeps the length of codes, lerp is a straight line.", "slerp|lerp")
    ] = "slerp",
    sampling: Sampling,
    search: CodeSearch,
    out: Annotated[
        Path | None,
        out_option(
            "A .gif, a strip (.png, .jpg, .webp, .pdf), .npy, or a folder.", "MODEL-walk.gif"
        ),
    ] = None,
    file: SamplesFile,
    device: Device = "auto",
) -> None:
    """Walk from sample to sample, as a film or a strip."""
    check_samples(sample)
    path = file.path(out, name, "-walk", film=True)
    from genzoo import load
    from genzoo.editing import selection, walks
    from genzoo.models import writing
    from genzoo.models.pictures import strip_columns

    model = walks.as_latent(load(name, device=device))
    path = path or default_path(name, f"-walk{writing.default_ending(model, film=True)}")
    steps = steps if steps is not None else 8 if ending_of(path) in PICTURES else 30
    through = selection.select(model, sample)
    still = 2 * len(through.photos)
    n = still + walks.walk_length(through, steps, loop)
    across = n if path.suffix == ".gif" else strip_columns(n, model.shape[-1])
    file.check(path, n, model, columns=across, film=True, still=still)
    ticker = Ticker()
    walk = walks.interpolate(
        model,
        through,
        steps=steps,
        loop=loop,
        how=how,  # type: ignore[arg-type]
        progress=ticker.count,
        **sampling.arguments(),
        **vars(search),
    )
    record = file.write(walk, path, columns=n, still=still)
    ticker.done()
    file.print(path, {"n": n, **record})
