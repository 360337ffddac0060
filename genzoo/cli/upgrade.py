"""upgrade: a model folder of an older format in today's."""

from pathlib import Path
from typing import Annotated

from genzoo.cli.app import app
from genzoo.cli.options import argument
from genzoo.text import printable


@app.command(
    examples=[
        "genzoo upgrade ./my-vae",
        "genzoo upgrade ./my-vae ./my-gan",
    ]
)
def upgrade(
    folders: Annotated[list[Path], argument("Model folders.", "FOLDER")],
) -> None:
    """Bring model folders of genzoo 0.1 to today's format."""
    from genzoo.zoo import card

    for folder in folders:
        what = "brought to today's format" if card.upgrade(folder) else "is of today's format"
        print(printable(f"{folder}: {what}"))
