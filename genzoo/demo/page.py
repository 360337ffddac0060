"""The demo page and its server, for this machine only unless ``host`` is given.

The page only calls public functions of genzoo. The queue, the number of images and the size of
uploads are bounded.
"""

import atexit
import contextlib
import html
import os
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genzoo.demo.models import LoadedModels
from genzoo.demo.widgets import CSS
from genzoo.errors import BadInput, OperationFailed, argument, install_command
from genzoo.models.arguments import checked_arguments
from genzoo.models.sampler import Sampler
from genzoo.text import printable
from genzoo.zoo import installed

if TYPE_CHECKING:
    import gradio as gr


LONGEST_QUEUE, LARGEST_UPLOAD = 16, "10mb"
LOOPBACK = "127.0.0.1"
LAUNCH: dict[str, Any] = {
    "share": False,
    "quiet": True,
    "prevent_thread_lock": True,
    "max_file_size": LARGEST_UPLOAD,
    "css": CSS,
    "footer_links": [],
    "ssr_mode": False,
    "enable_monitoring": False,
}


@checked_arguments
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
    """Serve the page and return it at once: ``.local_url`` is its address, ``.close()`` ends it.

    ``names``: models, by default all installed ones. ``data``: a data set for the quiz "which is
    real?". ``host``: the network interface to listen on; any but 127.0.0.1 lets other machines in.
    ``port``: by default the first free one from 7860. ``browse``: open a browser. Raises BadInput,
    UnknownName, InvalidModel; OperationFailed without gradio, or if the port is taken.
    """
    if root is not None and data is None:
        why = f"without {argument('data')} no data set is opened"
        raise BadInput(f"{argument('root')} would have no effect: {why}")
    gr = _gradio()
    installed_names = [] if names else [*installed.manifests()]
    models = LoadedModels(names or installed_names, data, root, device, chosen=bool(names))
    for name in names:
        models.model(name)  # fails before anything is served
    if data is not None:
        if not (of_images := models.with_ability(Sampler, kinds=["images"])):
            what = f"{argument('data', data)} would have no effect"
            raise BadInput(f"{what}: no model here generates images")
        for name in of_images:
            models.real_images(name)
    _check_address(host, port)
    page, firsts = _build_page(gr, models)
    page.queue(max_size=LONGEST_QUEUE, default_concurrency_limit=1)
    theme = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"])
    where = {"server_name": host, "server_port": port, "inbrowser": browse, "theme": theme}
    _launch(page, {**where, "app_kwargs": {"middleware": _guards(host)}, **LAUNCH})
    _fill_in_background(firsts)
    return page


def _fill_in_background(firsts: Sequence[Callable[[], Any]]) -> None:
    """Fill the tabs in a thread, which ends before the process does."""
    stopped = threading.Event()
    thread = threading.Thread(target=_fill, args=(firsts, stopped), daemon=True)
    atexit.register(thread.join)
    atexit.register(stopped.set)  # the last one registered comes first
    thread.start()


def _launch(page: "gr.Blocks", options: dict[str, Any]) -> None:
    """Start the server. Raises OperationFailed."""
    host, port = options["server_name"], options["server_port"]
    try:
        with _without_proxy():
            page.launch(**options)
    except OSError as error:
        which = f"port {port} is" if port else "the ports from 7860 on are"
        raise OperationFailed(
            f"{which} in use at {host}: choose another {argument('port')}"
        ) from error
    except Exception as error:  # of the client by which gradio asks its own server, by many names
        page.close()
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise OperationFailed(
            f"the page cannot be reached at its own address, {host} ({reason}): allow connections "
            f"to it in the firewall or sandbox, or choose another {argument('host')}"
        ) from error


@contextlib.contextmanager
def _without_proxy() -> Iterator[None]:
    """In the block no request goes through a proxy: gradio asks its own server whether it runs."""
    before = {name: os.environ.get(name) for name in ("NO_PROXY", "no_proxy")}
    os.environ.update(dict.fromkeys(before, "*"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _check_address(host: str, port: int | None) -> None:
    """Check that the page can be served there. Raises BadInput, OperationFailed."""
    try:
        kind, *_, address = socket.getaddrinfo(host, port or 0, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise BadInput(f"unknown host {host!r} ({error}): try 127.0.0.1") from None
    with socket.socket(kind) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
        except OSError as error:
            reason = error.strerror or error
            raise OperationFailed(
                f"cannot listen on {host}:{port or 'any port'}: {reason}: choose another "
                f"{argument('port' if port else 'host')}"
            ) from None


def _guards(host: str) -> list[Any]:
    """On this machine only, the server answers only requests for this machine's names: otherwise
    another site could point its own name here and read the page (DNS rebinding).
    """
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    if host not in (LOOPBACK, "localhost", "::1"):
        return []
    return [Middleware(TrustedHostMiddleware, allowed_hosts=[LOOPBACK, "localhost", "[::1]"])]


def _gradio() -> Any:
    # No usage statistics are sent.
    os.environ.update(GRADIO_ANALYTICS_ENABLED="False", HF_HUB_DISABLE_TELEMETRY="1")
    try:
        import gradio
    except ImportError:
        raise OperationFailed(f"the demo needs gradio: {install_command('demo')}") from None
    return gradio


def _build_page(gr: Any, models: LoadedModels) -> tuple["gr.Blocks", list[Callable[[], Any]]]:
    """The page, and what fills its tabs."""
    from genzoo.demo.tabs.order import TABS
    from genzoo.demo.widgets import Widgets

    with gr.Blocks(
        title="genzoo", fill_width=True, analytics_enabled=False, delete_cache=(3600, 3600)
    ) as page:
        ui = Widgets(gr, page, models)
        gr.Markdown("# genzoo\nEvery sample here is synthetic, except some images in the quiz.")
        with gr.Tabs(overflow_behavior="wrap"):
            for kind in TABS:
                with gr.Tab(kind.name):
                    tab = kind(ui)
                    reason = tab.missing()
                    gr.Markdown(reason or tab.sentence)
                    if not reason:
                        tab.build()
    _guard_inputs(gr, page)
    return page, ui.firsts


def _fill(firsts: Sequence[Callable[[], Any]], stopped: threading.Event) -> None:
    """Compute what the tabs open with, before somebody opens them."""
    for first in firsts:
        if stopped.is_set():
            return
        with contextlib.suppress(Exception):  # the tab tries again, and shows the error
            first()


def _guard_inputs(gr: Any, page: Any) -> None:
    """Make a value that no browser sends, which gradio fails to read, a line on the page."""
    read = page.preprocess_data

    async def preprocess_data(*values: Any, **more: Any) -> Any:
        try:
            return await read(*values, **more)
        except Exception as error:  # whatever the values' types lead to
            text = f"the page cannot read what it was sent ({type(error).__name__}: {error})"
            line = html.escape(printable(text)[:300])
            raise gr.Error(line, print_exception=False) from None

    page.preprocess_data = preprocess_data
