"""demo: a page to play with models, in the browser, served to this machine alone unless told.

Everything on it is a public function of genzoo; the page only holds the knobs. The queue, the
number of pictures and the size of what is uploaded are bounded.
"""

import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genzoo.demo.models import LoadedModels
from genzoo.errors import BadInput, OperationFailed
from genzoo.zoo import card as cards

if TYPE_CHECKING:
    import gradio as gr


WAITING, LARGEST = 16, "10mb"  # calls in the queue, an upload
LOOPBACK = "127.0.0.1"


def demo(
    names: Sequence[str] = (),
    *,
    data: str | None = None,
    root: str | Path | None = None,
    host: str = LOOPBACK,
    port: int | None = None,
    device: str = "auto",
    browse: bool = False,
) -> "gr.Blocks":
    """Serve the page and return it at once; ``.local_url`` says where, ``.close()`` ends it.

    ``names``: models, left out all of the list that draw pictures. ``data``: a data set for the
    quiz "which is real?". ``host``: whom it is served to; other than 127.0.0.1 only on purpose.
    ``port``: left out, the first free one from 7860. ``browse``: open a browser. Raises BadInput,
    UnknownName, InvalidModel; OperationFailed without gradio, or where the port is taken.
    """
    gr = _gradio()
    zoo = LoadedModels(names or _pictured(), data, root, device)
    for name in names:
        zoo.model(name)  # what is wrong with it is said before anything is served
    if data is not None:
        for name in zoo.names:  # pictures of every model's shape
            zoo.real(tuple(zoo.model(name).shape))
    _check_place(host, port)
    page = _page(gr, zoo)
    try:
        page.queue(max_size=WAITING, default_concurrency_limit=1)
        page.launch(
            server_name=host,
            server_port=port,
            inbrowser=browse,
            share=False,
            quiet=True,
            prevent_thread_lock=True,
            max_file_size=LARGEST,
            theme=gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"]),
            css=".prose td:first-child { white-space: nowrap }",
            footer_links=[],
            ssr_mode=False,
            enable_monitoring=False,
            app_kwargs={"middleware": _guards(host)},
        )
    except OSError as error:
        raise OperationFailed(
            f"no port from 7860 on is free at {host}: --port names another"
        ) from error
    return page


def _check_place(host: str, port: int | None) -> None:
    """Whether the page can be served there. Raises BadInput, OperationFailed."""
    try:
        kind, *_, address = socket.getaddrinfo(host, port or 0, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise BadInput(f"no machine is called {host!r} ({error}): --host 127.0.0.1") from None
    with socket.socket(kind) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(address)
        except OSError as error:
            why = error.strerror or error
            raise OperationFailed(
                f"{host}:{port or 'any port'} cannot be served at: {why}"
            ) from None


def _guards(host: str) -> list[Any]:
    """On this machine alone the page answers to this machine's names: a page from elsewhere, whose
    name was pointed here, would else read what it shows."""
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    if host not in (LOOPBACK, "localhost", "::1"):
        return []
    return [Middleware(TrustedHostMiddleware, allowed_hosts=[LOOPBACK, "localhost", "[::1]"])]


def _gradio() -> Any:
    # Nobody is told that it runs.
    os.environ.update(GRADIO_ANALYTICS_ENABLED="False", HF_HUB_DISABLE_TELEMETRY="1")
    try:
        import gradio
    except ImportError:
        raise OperationFailed('the page needs gradio: pip install "genzoo[demo]"') from None
    return gradio


def _pictured() -> list[str]:
    return [card.name for card in cards.table()]


def _page(gr: Any, zoo: LoadedModels) -> "gr.Blocks":
    from genzoo.demo import tabs

    named = {
        "Draw": tabs.draw,
        "Between two": tabs.between,
        "Directions": tabs.directed,
        "Complete": tabs.complete,
        "Translate": tabs.translate,
        "Side by side": tabs.beside,
        "Which is real?": tabs.quiz,
        "Cards": tabs.card,
    }
    with gr.Blocks(title="genzoo", analytics_enabled=False, delete_cache=(3600, 3600)) as page:
        gr.Markdown("# genzoo\nEvery picture here is synthetic, but for some of the quiz.")
        for name, fill in named.items():
            with gr.Tab(name):
                if (reason := fill(gr, zoo)) is not None:
                    gr.Markdown(reason)
    return page
