"""adopt: weights that others trained as a model folder."""

from pathlib import Path
from typing import Annotated

from genzoo.cli.app import app, as_json, parse_settings
from genzoo.cli.completing import complete_family
from genzoo.cli.options import (
    Force,
    Json,
    Root,
    Settings,
    argument,
    data_option,
    license_option,
    option,
    out_option,
)
from genzoo.text import printable


@app.command(
    examples=[
        "genzoo adopt netG.pth --as dcgan --data celeba -o my-dcgan",
        "genzoo adopt netG.pth netD.pth",
    ]
)
def adopt(
    files: Annotated[
        list[Path],
        argument("Weights (.pth .pt .bin .ckpt .safetensors); a generator's first.", "FILE"),
    ],
    *,
    as_family: Annotated[
        str | None,
        option(
            "The family that it becomes a model of.",
            "FAMILY",
            "--as",
            default="the one that fits",
            complete=complete_family,
        ),
    ] = None,
    part: Annotated[
        str | None,
        option("Which network of the file: netG, ema.", "NAME", default="the first that fits"),
    ] = None,
    data: Annotated[str | None, data_option("not known")] = None,
    root: Root = None,
    settings: Settings = None,
    license: Annotated[str | None, license_option("unknown")] = None,
    out: Annotated[Path | None, out_option("The folder.", "the file's name", "FOLDER")] = None,
    force: Force = False,
    json: Json = False,
) -> None:
    """Make a model of weights that others trained."""
    from genzoo.zoo import adoption

    model = adoption.adopt(
        files,
        as_family=as_family,
        part=part,
        data=data,
        root=root,
        settings=parse_settings(settings),
        license=license,
        out=out,
        force=force,
    )
    if json:
        as_json(adoption.record(model))
    else:
        for line in adoption.summary(model).splitlines():
            print(printable(line))
