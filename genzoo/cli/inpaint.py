"""genzoo inpaint: fill in the unknown part of photos."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, final

from genzoo.cli.app import Ticker, app
from genzoo.cli.groups import Sampling
from genzoo.cli.options import (
    OUTPUT,
    BatchSize,
    Device,
    ModelName,
    Restarts,
    Seed,
    argument,
    flag,
    option,
    out_option,
)
from genzoo.cli.output import Picture
from genzoo.editing.notation import check_mask
from genzoo.files import check_new, ending_of
from genzoo.models.kinds import PICTURES, check_path
from genzoo.text import printable

if TYPE_CHECKING:
    from genzoo.editing.inpainting import Completion


@final
@dataclass(frozen=True)
class Filling:
    """How the code of what is known is searched, and the seam hidden."""

    restarts: Restarts = None
    steps: Annotated[int | None, option("Optimisation steps.", "N", default="100", min=0)] = None
    weight: Annotated[
        float | None,
        option("Weight of the discriminator loss (0 = off).", "WEIGHT", default="0.003", min=0),
    ] = None
    window: Annotated[
        int | None,
        option(
            "Known pixels count by the unknown share of a window of this side; 0: all alike.",
            "N",
            default="7 in colour, else 0",
            min=0,
        ),
    ] = None
    blend: Annotated[
        bool | None,
        flag("--blend/--no-blend", "Hide the seam.", default="in colour, after a search"),
    ] = None

    def given(self) -> dict[str, Any]:
        """The options that were given."""
        return {name: value for name, value in vars(self).items() if value is not None}


@app.command(
    examples=[
        "genzoo inpaint dcgan-celeba photo.png --mask centre -o whole.png",
        "genzoo inpaint pixelcnn-mnist digit.png --mask box:0,14,28,14",
    ]
)
def inpaint(
    name: ModelName,
    photos: Annotated[list[Path], argument("Image files or folders.", "PHOTO")],
    *,
    mask: Annotated[
        str,
        option("centre, box:x,y,w,h, random:SHARE, or a file (white = unknown).", "MASK"),
    ] = "centre",
    sampling: Sampling,
    filling: Filling,
    seed: Seed = 0,
    out: Annotated[
        Path | None, out_option("A .png, .jpg, .webp, .pdf, .npy, or a folder.", "PHOTO-filled.png")
    ] = None,
    strip: Annotated[
        Path | None,
        option("A .png, .jpg, .webp or .pdf of the steps, a row per photo.", "FILE", panel=OUTPUT),
    ] = None,
    gif: Annotated[Path | None, option("A .gif of the steps.", "FILE", panel=OUTPUT)] = None,
    picture: Picture,
    batch_size: BatchSize = 256,
    device: Device = "auto",
) -> None:
    """Fill in missing pixels of photos."""
    check_mask(mask)
    path = out or Path(f"{photos[0].stem}-filled.png")
    check_path(path, picture.force)
    for file, endings, name_of in ((strip, PICTURES, "strip"), (gif, (".gif",), "gif")):
        if file is not None:
            check_new(file, endings, picture.force, name_of)
    import torch

    from genzoo import data, load
    from genzoo.editing import inpainting, strips
    from genzoo.models import writing
    from genzoo.models.model import image_shape

    model = load(name, device=device)
    shape = image_shape(model, "call genzoo.inpaint with an array")
    pixels, _ = data.photos(photos, shape, model.data_form)
    scale = picture.scale
    own_scale = _sheet_scale(path, scale, strip, gif)
    writing.check_target(path, len(pixels), model, own_scale, picture.force)
    strips.check_targets(strip, gif, len(pixels), model, picture.force)
    ticker = Ticker()
    completion = inpainting.inpaint(
        name,
        pixels,
        mask,
        labels=sampling.labels(model.class_names),
        sampling=sampling.values,
        seed=seed,
        batch_size=batch_size,
        device=device,
        progress=ticker.count,
        **filling.given(),
    )
    ticker.done()
    record = writing.write(iter([completion.samples]), len(pixels), path, scale)
    strips.write_stages(completion, torch.from_numpy(pixels) / 255, strip, gif, scale)
    _print_result(completion, path, record, picture)


def _sheet_scale(path: Path, scale: int | None, strip: Path | None, gif: Path | None) -> int | None:
    """The part of --scale in the file -o: a strip and a film read it, too."""
    return None if (strip or gif) and ending_of(path) not in PICTURES else scale


def _print_result(
    completion: "Completion", path: Path, record: dict[str, Any], picture: Picture
) -> None:
    unknown = round(1 - completion.known.float().mean().item(), 4)
    if picture.json:
        losses = completion.projection and completion.projection.losses.amin(1).tolist()
        result = {"by": completion.method, "unknown": unknown, "losses": losses}
        picture.print(path, {**result, **record})
    else:
        print(printable(f"{path}: {unknown:.0%} filled in by {completion.method}"))
