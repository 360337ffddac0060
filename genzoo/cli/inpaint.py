"""inpaint: what a model puts where a photo is unknown."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genzoo.cli.app import Device, Force, Json, Ticker, app, as_json
from genzoo.text import printable

if TYPE_CHECKING:
    from genzoo.editing.inpainting import Completion


@app.command()
def inpaint(
    name: Annotated[str, typer.Argument(help="A model of genzoo list, or a folder like ./mine.")],
    photos: Annotated[list[Path], typer.Argument(help="Image files, or folders of them.")],
    mask: Annotated[
        str,
        typer.Option(help="centre, box:x,y,w,h, random:SHARE, or a file, white where unknown."),
    ] = "centre",
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="A .png, or a folder. [PHOTO-filled.png]"),
    ] = None,
    strip: Annotated[
        Path | None, typer.Option(help="A .png: a row for each photo, on its way to the result.")
    ] = None,
    gif: Annotated[Path | None, typer.Option(help="A .gif of that way.")] = None,
    labels: Annotated[
        str | None, typer.Option(help="One, or one each with commas between. [found]")
    ] = None,
    restarts: Annotated[int, typer.Option(min=1, help="Codes that each search begins with.")] = 4,
    steps: Annotated[int, typer.Option(min=0, help="Of each search.")] = 100,
    weight: Annotated[
        float, typer.Option(min=0, help="Of the discriminator's term, where there is one.")
    ] = 0.003,
    seed: Annotated[int, typer.Option(min=0, help="Of codes, and of what is drawn.")] = 0,
    batch_size: Annotated[int, typer.Option(min=1, help="Photos times restarts at a time.")] = 256,
    scale: Annotated[int | None, typer.Option(min=1, max=64, help="Pixels a pixel.")] = None,
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
) -> None:
    """Fill in what is missing: genzoo inpaint dcgan-celeba photo.png --mask centre -o whole.png."""
    import torch

    from genzoo import data, load
    from genzoo.editing import inpainting, strips
    from genzoo.models import writing

    model = load(name, device=device)
    path = output or Path(f"{photos[0].stem}-filled.png")
    pixels, _ = data.photos(photos, strips.picture_shape(model, name))
    writing.check_target(path, len(pixels), model, scale, force)
    strips.check_targets(strip, gif, len(pixels), model, force)
    ticker = Ticker()
    found = inpainting.inpaint(
        name,
        pixels,
        mask,
        labels=labels.split(",") if labels and "," in labels else labels,
        seed=seed,
        batch_size=batch_size,
        device=device,
        restarts=restarts,
        steps=steps,
        weight=weight,
        progress=ticker.count,
    )
    ticker.done()
    record = writing.write(iter([found.samples]), len(pixels), path, scale)
    strips.show(found, torch.from_numpy(pixels) / 255, strip, gif, scale)
    told = {"by": _by(found), "unknown": round(1 - found.known.float().mean().item(), 4)}
    if json:
        losses = found.projection and found.projection.losses.amin(1).tolist()
        as_json({"path": str(path), **told, "losses": losses, **record})
    else:
        print(printable(f"{path}: {told['unknown']:.0%} filled in by {told['by']}"))


def _by(found: "Completion") -> str:
    if found.projection is None:
        return "drawing it given the rest, exactly"
    game = found.projection.game
    return f"projection, {f'its discriminator ({game}) asked' if game else 'no discriminator'}"
