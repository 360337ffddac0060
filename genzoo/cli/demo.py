"""genzoo demo: a page in the browser to play with models."""

import threading
from typing import Annotated

import typer

from genzoo.cli.app import Device, Root, app, complete_model, data_option


@app.command(
    examples=[
        "genzoo demo --browse",
        "genzoo demo dcgan-celeba vae-celeba",
    ]
)
def demo(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MODEL",
            help="Models.",
            show_default="all installed models",
            autocompletion=complete_model,
        ),
    ] = None,
    data: Annotated[str | None, data_option("no quiz with real images")] = None,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Network interface to listen on (0.0.0.0 = all).")
    ] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=65535,
            metavar="PORT",
            help="Port.",
            show_default="the first free one from 7860",
        ),
    ] = None,
    browse: Annotated[bool, typer.Option("--browse", help="Open it in a browser.")] = False,
    root: Root = None,
    device: Device = "auto",
) -> None:
    """Serve a page in the browser to play with models."""
    from genzoo import demo as pages

    page = pages.demo(
        names or (), data=data, root=root, host=host, port=port, device=device, browse=browse
    )
    print(page.local_url, flush=True)
    try:
        threading.Event().wait()
    finally:
        page.close()
