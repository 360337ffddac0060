"""genzoo demo: a page in the browser to play with models."""

import threading
from typing import Annotated

from genzoo.cli.app import app
from genzoo.cli.completing import complete_model
from genzoo.cli.options import Device, Root, argument, data_option, flag, option


@app.command(
    examples=[
        "genzoo demo --browse",
        "genzoo demo dcgan-celeba vae-celeba",
    ]
)
def demo(
    names: Annotated[
        list[str] | None,
        argument("Models.", "MODEL", default="all installed models", complete=complete_model),
    ] = None,
    *,
    data: Annotated[str | None, data_option("no quiz with real images")] = None,
    host: Annotated[
        str, option("Network interface to listen on (0.0.0.0 = all).", "ADDRESS")
    ] = "127.0.0.1",
    port: Annotated[
        int | None,
        option("Port.", "PORT", default="the first free one from 7860", min=1, max=65535),
    ] = None,
    browse: Annotated[bool, flag("--browse", "Open it in a browser.")] = False,
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
