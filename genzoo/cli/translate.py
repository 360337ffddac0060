"""genzoo translate: translate an image from one domain to another."""

import contextlib
from pathlib import Path
from typing import Annotated

from genzoo.cli.app import app, parse_settings
from genzoo.cli.options import SEED, Device, ModelName, Settings, argument, option, out_option
from genzoo.cli.output import FILES, Picture
from genzoo.errors import GenzooError
from genzoo.files import file_name


@app.command(
    examples=[
        "genzoo translate cyclegan-hair photo.jpg",
        "genzoo translate cyclegan-hair photo.jpg --to Black_Hair -o dark.png",
    ]
)
def translate(
    name: ModelName,
    picture: Annotated[Path, argument("An image file, of any size.", "PHOTO")],
    *,
    to: Annotated[
        str | None, option("Target domain.", "DOMAIN", default="the model's second")
    ] = None,
    settings: Settings = None,
    seed: Annotated[int | None, SEED] = None,
    out: Annotated[Path | None, out_option(FILES, "PHOTO-DOMAIN.png")] = None,
    file: Picture,
    device: Device = "auto",
) -> None:
    """Translate a photo to another domain."""
    known = to or _second_domain(name)
    path = out or (_name(picture, known) if known else None)
    if path:
        file.path(path, path)
    from genzoo.editing import translation
    from genzoo.models.samples import Images

    model = translation.as_translator(name, device)
    domain = to or model.targets[-1]
    path = file.path(out, _name(picture, domain))
    samples = translation.translate(
        model, picture, domain, seed=seed, sampling=parse_settings(settings)
    )
    assert isinstance(samples, Images)
    samples.save(path, file.scale)
    file.print(path, {"to": domain, **samples.record()})


def _second_domain(name: str) -> str:
    """By the model's card; "" where only the loaded model tells."""
    from genzoo.zoo import names

    with contextlib.suppress(GenzooError, LookupError):  # loading says it better
        return str(names.resolve(name, local_files_only=True)[1].config["domains"][-1])
    return ""


def _name(picture: Path, domain: str) -> Path:
    """The default name of a picture in another domain."""
    return Path(file_name(picture.stem, f"-{domain}.png"))
