"""compare: which of several models is better, at what, and how sure that is."""

from pathlib import Path
from typing import Annotated

import typer

from genzoo.cli.app import Device, Force, Json, Root, Ticker, app, as_json
from genzoo.files import expanded
from genzoo.text import printable


@app.command()
def compare(
    models: Annotated[list[str], typer.Argument(help="Models, folders or families, two or more.")],
    data: Annotated[str | None, typer.Option(help="Compare on this. [the first shared]")] = None,
    n: Annotated[int, typer.Option("-n", "--n", help="Samples of each.")] = 4000,
    seed: Annotated[int, typer.Option(min=0, help="Of all models' samples.")] = 0,
    metrics: Annotated[
        str | None, typer.Option(help="Names with commas between: fd-mnist,sharpness-mnist. [all]")
    ] = None,
    features: Annotated[
        str | None, typer.Option(help="mnist, inception, module:object. [data's classifier]")
    ] = None,
    groups: Annotated[
        int | None, typer.Option(min=1, help="Disjoint groups that distances are estimated on.")
    ] = None,
    root: Root = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="The folder of compare.html and .png.")
    ] = None,
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
) -> None:
    """Say which model is better, at what, and how sure that is: genzoo compare vae dcgan."""
    from genzoo.evaluation import compare as comparing
    from genzoo.evaluation import comparison

    free = metrics is not None or features is not None
    folders, _, _ = comparing.chosen(models, data, free=free)
    folder = expanded(output or Path("-vs-".join(Path(name).name for name in folders)))
    comparison.check(folder, force)
    ticker = Ticker()
    found = comparing.compare(
        *models,
        data=data,
        n=n,
        seed=seed,
        metrics=[name.strip() for name in metrics.split(",")] if metrics is not None else None,
        features=features,
        groups=groups,
        root=root,
        device=device,
        progress=lambda name, done, total: ticker(lambda: f"{name}: {done} of {total} samples"),
    )
    ticker.done()
    found.save(folder, force=force)
    if json:
        as_json({"folder": str(folder), **found.record()})
        return
    print("\n".join(map(printable, str(found).split("\n"))))
    print(printable(str(folder / comparison.FILES[0])))
