"""demo: a page to play with models."""

import threading
from typing import Annotated

import typer

from genzoo.cli.app import Device, Root, app


@app.command()
def demo(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Models. [all with pictures]")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Real pictures for the quiz: a name, or ./FOLDER.")
    ] = None,
    host: Annotated[str, typer.Option(help="Whom it is served to; 0.0.0.0: all.")] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="[the first free from 7860]")
    ] = None,
    browse: Annotated[bool, typer.Option("--browse", help="Open a browser, too.")] = False,
    root: Root = None,
    device: Device = "auto",
) -> None:
    """Serve a page to play with models, to this machine alone: genzoo demo dcgan-celeba."""
    from genzoo import demo as pages

    page = pages.demo(
        names or (), data=data, root=root, host=host, port=port, device=device, browse=browse
    )
    print(page.local_url, flush=True)
    try:
        threading.Event().wait()
    finally:
        page.close()
