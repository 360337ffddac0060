"""outliers: whether a model finds images of another kind less likely."""

from typing import Annotated

import typer

from genzoo.cli.app import Device, Json, Root, Ticker, app, as_json, as_table
from genzoo.text import printable


@app.command()
def outliers(
    name: Annotated[str, typer.Argument(help="A model of genzoo list, or a folder like ./mine.")],
    against: Annotated[str, typer.Option(help="The other kind: a data set's name, or a folder.")],
    data: Annotated[str | None, typer.Option(help="Its own kind. [its training data]")] = None,
    n: Annotated[int, typer.Option("-n", min=2, help="Test images of each.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of which images.")] = 0,
    size: Annotated[int | None, typer.Option(min=1, help="Bring images to it.")] = None,
    channels: Annotated[int | None, typer.Option(help="1 or 3, of folders' images.")] = None,
    root: Root = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Tell two kinds of images apart by log p: genzoo outliers NAME --against fashion-mnist."""
    from genzoo.evaluation import evaluate
    from genzoo.evaluation import outliers as outlier

    ticker = Ticker()
    found = outlier.find_outliers(
        name,
        data=data,
        against=against,
        n=n,
        seed=seed,
        size=size,
        channels=channels,
        root=root,
        device=device,
        progress=ticker.count,
    )
    ticker.done()
    if json:
        as_json(found.record())
        return
    low, high = found.interval
    as_table(
        [
            (
                "AUROC",
                f"{found.auroc:.4f}",
                f"[{low:.4f}, {high:.4f}]" if low < high else "no interval: in perfect order",
            ),
            ("mean log p", f"{found.inside.mean():.1f} nats", found.data),
            ("", f"{found.outside.mean():.1f} nats", found.against),
        ]
    )
    if high < 0.5:
        print(printable(f"{found.name} finds {found.against} the more likely: no outlier to it"))
    print(printable(evaluate.protocol_line(found.protocol)))
