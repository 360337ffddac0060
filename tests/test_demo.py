"""The demo page as a visitor uses it: in headless Chromium, against the real server."""

import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Literal
from unittest.mock import MagicMock
from urllib.parse import urlsplit

import numpy as np
import pytest
import torch
import typer
from PIL import Image
from pydantic import Field

import genzoo
from genzoo import cli, data
from genzoo.cli.app import app
from genzoo.demo import examples
from genzoo.demo import page as demo_page
from genzoo.demo.curves import curves
from genzoo.demo.models import LoadedModels
from genzoo.demo.settings import SettingControls
from genzoo.demo.tabs import cards, order, truncate
from genzoo.demo.tabs.train import TrainTab
from genzoo.demo.tabs.translate import TranslateTab
from genzoo.demo.training import LiveTraining
from genzoo.demo.uploads import unpack_painting
from genzoo.demo.widgets import Widgets
from genzoo.errors import BadInput, OperationFailed
from genzoo.options import LatentSampling
from genzoo.schemas import Name, Share
from genzoo.zoo import installed, provenance

MODELS = ["gan-mnist", "vae-mnist", "pixelcnn-mnist", "cgan-mnist", "cyclegan-hair"]
chromium = shutil.which("chromium") or shutil.which("chromium-browser")
in_browser = pytest.mark.skipif(chromium is None, reason="no chromium is installed")


@pytest.fixture(autouse=True)
def drawn_files(tmp_path, monkeypatch):
    """A page in this process draws into the folder of the test, which pytest removes."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The page as ``genzoo demo`` serves it; its address, and the process."""
    # Ctrl-C reaches it even where the shell that began all this has it ignored.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += "from genzoo import cli; cli.main()"
    command = [sys.executable, "-W", "ignore", "-c", code, "demo", *MODELS, "--data", "digits"]
    env = {**os.environ, "TMPDIR": str(tmp_path_factory.mktemp("server"))}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=env, **pipes) as process:
        try:
            address = process.stdout.readline().strip()
            assert address, process.stderr.read()
            yield address
            process.send_signal(signal.SIGINT)
            _, told = process.communicate(timeout=60)
        finally:
            process.kill()  # if it has not ended
    assert process.returncode == 130
    # Errors are on the page: the terminal has the lines of data sets and their terms.
    assert [line for line in told.splitlines() if not line.startswith("genzoo: ")] == []


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import Error, sync_playwright

    with sync_playwright() as driver:
        try:
            flags = ["--no-sandbox", "--disable-dev-shm-usage"]
            # Whatever the browser asks by itself, no name is looked up.
            flags += ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
            opened = driver.chromium.launch(executable_path=chromium, args=flags)
        except Error as error:
            pytest.skip(f"{chromium} does not start: {str(error).splitlines()[0]}")
        yield opened
        opened.close()


@contextmanager
def opened(browser, server):
    """(the page, the requests to other machines), in a window of its own."""
    context, strange = browser.new_context(viewport={"width": 1280, "height": 1000}), []
    here = context.new_page()
    here.set_default_timeout(90_000)  # a loaded machine is no failure

    def watch(route):
        if urlsplit(route.request.url).hostname != "127.0.0.1":
            strange.append(route.request.url)
            route.abort()
        else:
            route.continue_()

    here.route(re.compile("^http"), watch)
    here.goto(server)
    here.get_by_role("tab", name="Sample", exact=True).wait_for()
    yield here, strange
    context.close()


@pytest.fixture
def page(browser, server):
    """The page, just opened; a request to another machine fails the test."""
    with opened(browser, server) as (here, strange):
        yield here
    assert strange == [], "a request beyond this machine"


@pytest.fixture(scope="module")
def window(browser, server):
    with opened(browser, server) as both:
        yield both


@pytest.fixture
def used_page(window):
    """A page that was used before, each time another tab of it: to open one takes seconds."""
    here, strange = window
    yield here
    assert strange == [], "a request beyond this machine"


def wait_for_picture(page, label, before=None, seconds=60):
    """The picture under ``label``, once it differs from ``before``."""
    place = "-".join(re.findall(r"\w+", label.lower()))
    shown = page.locator(f"#{place} img:visible").first
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if shown.count() and (source := shown.get_attribute("src")) and source != before:
            answer = page.request.get(source)
            if answer.ok:
                return source, answer.body()
        time.sleep(0.1)
    raise AssertionError(f"no picture came under {label}")


def until(page, label, act, before=None):
    """The picture under ``label`` after ``act``, which is repeated until the page is ready."""
    for last in (*[False] * 7, True):
        act()
        try:
            return wait_for_picture(page, label, before, seconds=8)
        except AssertionError:
            if last:
                raise
    return None


def tab(page, name):
    page.get_by_role("tab", name=name, exact=True).click()


@in_browser
def test_it_draws_what_sample_draws(page, tmp_path):
    page.get_by_label("Seed").first.fill("7")
    page.get_by_label("truncation").locator("visible=true").first.fill("0.5")
    before, _ = wait_for_picture(page, "Samples")
    page.get_by_role("button", name="Draw", exact=True).click()
    _, content = wait_for_picture(page, "Samples", before)
    path = tmp_path / "drawn.png"
    path.write_bytes(content)
    assert provenance.inspect(path).record.origin.model == "gan-mnist"
    wanted = genzoo.load("gan-mnist").sample(16, seed=7, truncation=0.5).grid(scale=7)
    assert np.array_equal(np.array(Image.open(io.BytesIO(content))), np.array(wanted))
    line = "genzoo sample gan-mnist -n 16 --seed 7 --set truncation=0.5"
    assert line in page.inner_text("body")


@in_browser
def test_a_conditional_model_offers_its_classes(used_page):
    page = used_page
    tab(page, "Sample")
    page.get_by_label("Seed").first.fill("0")
    page.get_by_label("Model").first.click()
    page.get_by_role("option", name="cgan-mnist").click()
    page.get_by_label("Class").first.click()
    page.get_by_role("option", name="3", exact=True).click()
    page.get_by_role("button", name="Draw", exact=True).click()
    page.locator(".cm-line", has_text="--label 3").first.wait_for()


@in_browser
def test_dragging_goes_from_one_sample_to_the_other(used_page):
    page = used_page
    tab(page, "Interpolate")
    page.locator("input[type=range]:visible").first.focus()
    model = genzoo.load("gan-mnist")
    for key, seed in (("End", 1), ("Home", 0)):
        for _ in range(50 if key == "Home" else 1):  # more than the queue holds
            page.keyboard.press(key)
        codes = torch.cat([model.codes(1, seed=s) for s in (0, seed, 1)])
        wanted = np.array(model.decode_codes(codes).grid(3, scale=9)).astype(int)
        for _ in range(300):
            _, content = wait_for_picture(page, "Start, between, goal")
            found = np.array(Image.open(io.BytesIO(content)).convert("L"))
            if np.abs(found - wanted).max() <= 1:
                break
            time.sleep(0.1)
        else:
            raise AssertionError(f"the sample of seed {seed} never came")


@in_browser
def test_what_is_painted_over_is_filled_in(used_page):
    page = used_page
    tab(page, "Inpaint")
    before, _ = wait_for_picture(page, "Completed")  # of the example
    page.get_by_role("button", name="Take the sample").click()
    canvas = page.locator("canvas:visible").first
    canvas.wait_for()

    def paint():
        box = canvas.bounding_box()
        middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(middle[0] - 20, middle[1])
        page.mouse.down()
        page.mouse.move(middle[0] + 20, middle[1], steps=8)
        page.mouse.up()
        page.wait_for_timeout(1500)
        page.get_by_role("button", name="Complete", exact=True).click()

    _, content = until(page, "Completed", paint, before)
    assert Image.open(io.BytesIO(content)).size[0] >= 200


@in_browser
def test_a_photo_is_translated(used_page, tmp_path):
    page = used_page
    noise = np.random.RandomState(0).randint(0, 256, (90, 120, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "photo.png")
    tab(page, "Translate")
    before, _ = wait_for_picture(page, "Translated")  # of the example
    page.get_by_role("button", name="Remove Image").locator("visible=true").first.click()
    page.get_by_role("button", name="Translate", exact=True).click()
    page.get_by_text("no photo yet").wait_for()
    page.locator("input[type=file]").last.set_input_files(tmp_path / "photo.png")
    again = page.get_by_role("button", name="Translate", exact=True)
    _, content = until(page, "Translated", again.click, before)
    assert Image.open(io.BytesIO(content)).size[0] >= 200


@in_browser
def test_the_quiz_counts(used_page):
    page = used_page
    tab(page, "Quiz")
    source, _ = wait_for_picture(page, "Which one is it?")
    for line in (" of 1", " of 2"):
        page.get_by_role("button", name="Real", exact=True).click()
        page.get_by_text(line).locator("visible=true").first.wait_for()
        source, _ = wait_for_picture(page, "Which one is it?", source)


@in_browser
def test_every_tab_is_filled_and_fits_a_telephone(page):
    page.set_viewport_size({"width": 390, "height": 800})
    pictures = {
        "Traverse": ["Traversal"],
        "Steer": ["Before and after", "Samples to choose from"],
        "Truncate": ["Truncated", "Whole"],
        "Compare": ["The first", "The second"],
        "Train": ["Samples while it learns"],
        "Cards": ["Samples of seed 0"],
    }
    for name, labels in pictures.items():
        tab(page, name)
        for label in labels:
            wait_for_picture(page, label)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, name
    page.get_by_role("heading", name="gan-mnist").first.wait_for()


@in_browser
def test_a_training_is_one_at_a_time_and_ends_with_its_page(page, browser, server):
    tab(page, "Train")
    other = browser.new_page()
    other.goto(server)
    tab(other, "Train")
    start = other.get_by_role("button", name="Start", exact=True)
    start.click()
    other.get_by_text("seconds left").wait_for(timeout=60_000)
    page.get_by_role("button", name="Start", exact=True).click()
    page.get_by_text("a training is under way on another page").first.wait_for()
    other.close()
    for _ in range(40):
        page.get_by_role("button", name="Start", exact=True).click()
        page.wait_for_timeout(1000)
        if page.get_by_text("seconds left").count():
            break
    page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_text("stopped").first.wait_for()


def test_it_is_served_to_this_machine_alone(server):
    import socket

    host, port = urlsplit(server).hostname, urlsplit(server).port
    assert host == "127.0.0.1"
    # Whoever serves all addresses answers at this one, too, and it is not beyond loopback.
    with pytest.raises(OSError):  # noqa: PT011 (refused or unreachable)
        socket.create_connection(("127.0.0.2", port), timeout=2).close()


@in_browser
def test_a_cleared_field_is_an_error_on_the_page(used_page):
    page = used_page
    tab(page, "Sample")
    page.get_by_label("Seed").first.fill("")
    page.get_by_role("button", name="Draw", exact=True).click()
    page.get_by_text("a seed must be a whole number").first.wait_for()


def test_a_page_of_another_name_reads_nothing(server):
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    with urlopen(server, timeout=10) as answer:
        assert answer.status == 200
    with pytest.raises(HTTPError, match="400"):
        urlopen(Request(server, headers={"Host": "evil.example"}), timeout=10)


def test_bad_input_is_one_line(capsys, monkeypatch):
    import socket

    def resolve(host, *more, **options):
        if host == "nope.invalid":
            raise socket.gaierror(-2, "Name or service not known")
        return known(host, *more, **options)

    known = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    assert cli.run(["demo", "nothing-like-this"]) == 2
    assert "nothing-like-this" in capsys.readouterr().err
    assert cli.run(["demo", "gan-mnist", "--data", "nope"]) == 2
    assert "'nope'" in capsys.readouterr().err
    assert cli.run(["demo", "gan-mnist", "--host", "nope.invalid"]) == 2
    assert "'nope.invalid'" in capsys.readouterr().err
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert cli.run(["demo", "gan-mnist", "--port", str(port)]) == 1
    assert f":{port}: Address already in use" in capsys.readouterr().err


def test_without_gradio_it_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert cli.run(["demo", "gan-mnist"]) == 1
    assert 'pip install "gradio>=6"' in capsys.readouterr().err


def test_what_is_painted_is_unknown():
    layer = Image.new("RGBA", (56, 56))
    layer.paste((255, 255, 255, 255), (0, 0, 28, 56))
    ground = Image.new("RGB", (56, 56), "red")
    x, known = unpack_painting({"background": ground, "layers": [layer]}, (3, 28, 28))
    assert x.shape == (1, 3, 28, 28)
    assert x[0, 0].min() == 1
    assert not known[:, :14].any()
    assert known[:, 14:].all()
    with pytest.raises(BadInput, match="painted"):
        unpack_painting({"background": ground, "layers": []}, (3, 28, 28))
    assert demo_page.LOOPBACK == "127.0.0.1"


class Noisy(genzoo.Latent):
    """Draws numbers beside its code."""

    shape, value_range, latent_dim = (1, 8, 8), (0.0, 1.0), 2

    def decode(self, code, labels=None, noise=None):
        return (code.sum(1)[:, None, None, None] + noise.normal(1, 8, 8)).sigmoid()


def tab_of(name, models):
    """A tab without a page, whose functions are those behind the buttons."""
    kind = next(kind for kind in order.TABS if kind.name == name)
    return kind(Widgets(MagicMock(), MagicMock(), models))


def test_both_ends_of_a_walk_are_samples():
    model, saved = Noisy(None), []
    models = SimpleNamespace(
        model=lambda name: model,
        with_ability=lambda *kinds, **more: ["noisy"],
        save=lambda samples, *more, **others: saved.append(samples.tensor),
        save_sound=lambda samples: None,
    )
    walk = tab_of("Interpolate", models).walk
    for share, seed in ((0, 3), (1, 17)):
        walk("noisy", "all in turn", 3, 17, share)
        wanted = [model.sample(1, seed=s).tensor for s in (3, seed, 17)]
        assert torch.allclose(saved[-1], torch.cat(wanted), atol=1e-6)


def test_the_quiz_shows_images_that_no_model_was_trained_on():
    models = LoadedModels(["gan-mnist"], "digits", None, "cpu")
    assert models.real_images("gan-mnist").sha256 == data.open("digits", "test").sha256


def test_the_quiz_shows_real_images_in_the_form_of_the_model(tmp_path):
    for split in ("train", "test"):
        (folder := tmp_path / "photos" / split).mkdir(parents=True)
        Image.new("L", (20, 20), 90).save(folder / "1.png")
    models = LoadedModels(["wide", "high"], str(tmp_path / "photos"), None, "cpu")
    own = {
        "wide": SimpleNamespace(shape=(1, 16, 32), provenance={}, data_form={}),
        "high": SimpleNamespace(shape=(3, 32, 16), provenance={}, data_form={"fit": "pad"}),
    }
    models.model = own.get
    cropped, padded = (models.real_images(name) for name in own)
    assert (cropped.shape, padded.shape) == ((1, 16, 32), (3, 32, 16))
    assert cropped.array.min() == 90
    assert padded.array.min() == 0


def test_only_the_domains_that_a_model_translates_to_are_offered(translator):
    models = SimpleNamespace(model=lambda name: translator, with_ability=lambda *a, **k: ["any"])
    targets = TranslateTab(Widgets(MagicMock(), MagicMock(), models)).targets
    assert targets("any") == {"choices": ["dark", "light"], "value": "light"}
    translator.one_way = True
    assert targets("any") == {"choices": ["light"], "value": "light"}


class EverySampling(LatentSampling):
    """A field of each kind."""

    steps: Annotated[int, Field(ge=1, le=4000)] = 50
    """of the solver"""
    eta: Share = 1.0
    solver: Literal["euler", "heun"] = "euler"
    exact: bool = False
    word: Name = "a"


class Every(Noisy):
    sampling = EverySampling


def test_the_settings_of_sampling_have_controls():
    """Made from the record's types and bounds; those of the chosen model are shown."""
    gr, every, noisy = MagicMock(), Every(None), Noisy(None)
    known = {"noisy": noisy, "every": every}
    models = SimpleNamespace(
        names=[*known], model=known.get, sampling=lambda name: type(known[name]).sampling
    )
    controls = SettingControls(gr, models, "noisy")
    numbers = {c.kwargs["label"]: c for c in gr.Number.call_args_list}
    assert [*numbers] == ["steps"]
    bounds = {key: numbers["steps"].kwargs[key] for key in ("minimum", "maximum", "precision")}
    assert bounds == {"minimum": 1, "maximum": 4000, "precision": 0}
    assert numbers["steps"].kwargs["info"] == "of the solver"
    assert gr.Slider.call_args.args == (0, 1, 1.0)
    assert gr.Dropdown.call_args.args == (["euler", "heun"],)
    assert gr.Checkbox.call_args.args == (False,)
    texts = [(c.kwargs["label"], c.args) for c in gr.Textbox.call_args_list]
    assert texts == [("truncation", ("",)), ("temperature", ("",))] * 2 + [("word", ("a",))]
    shown = [c.kwargs["visible"] for c in gr.method_calls]
    assert shown == [True] * 2 + [False] * 7
    controls.show(gr, "every")
    assert [c.kwargs["visible"] for c in gr.update.call_args_list] == [False] * 2 + [True] * 7
    assert controls.defaults == [*[None] * 4, 50, 1.0, "euler", False, "a"]
    assert controls.settings("every", controls.defaults) == {}
    values = ["0.5", "", "0.7", "0.9", 20, 1.0, "heun", True, ""]
    settings = {"truncation": 0.7, "temperature": 0.9, "steps": 20}
    settings |= {"solver": "heun", "exact": True}
    assert controls.settings("every", values) == settings
    assert controls.settings("noisy", values) == {"truncation": 0.5}
    for text, says in (("0.01", "0.02"), ("a", "truncation")):
        with pytest.raises(BadInput, match=says):
            controls.settings("noisy", [text, *values[1:]])
    with pytest.raises(BadInput, match="steps"):
        controls.settings("every", [*[None] * 4, 0, 1.0, "heun", True, "a"])


# ------------------------------------------------------------------------ what no browser sends


def send(server, name, data):
    """(whether it succeeded, the answer) of the function ``name`` of the page, as a client asks."""
    import httpx

    config = httpx.get(f"{server}config").json()
    functions = [d["id"] for d in config["dependencies"] if d["api_name"] == name]
    session = f"{name}-{time.monotonic()}"
    request = {"fn_index": functions[0], "data": data, "session_hash": session}
    sent = httpx.post(
        f"{server}gradio_api/queue/join",
        content=json.dumps(request),  # with NaN and Infinity, which JSON has not
        headers={"content-type": "application/json"},
    )
    assert sent.status_code == 200, sent.text
    where = f"{server}gradio_api/queue/data?session_hash={session}"
    with httpx.stream("GET", where, timeout=60) as lines:
        for line in lines.iter_lines():
            if "process_completed" in line:
                answer = json.loads(line.removeprefix("data:"))
                return answer["success"], answer["output"]
    raise AssertionError("no answer")


INFINITE, PICKS = float("inf"), ",".join(map(str, range(200_001)))
ODD = {
    "an infinite seed": ("draw", 2, INFINITE),
    "a seed that is no number": ("draw", 2, float("nan")),
    "a negative seed": ("draw", 2, -1),
    "a seed of 309 digits": ("draw", 2, 1e308),
    "a seed of 400 digits": ("draw", 2, 10**400),
    "a seed that is text": ("draw", 2, "seven"),
    "a seed that is a list": ("draw", 2, [1] * 1000),
    "an infinite count": ("draw", 3, INFINITE),
    "a count that is an object": ("draw", 3, {"value": 1}),
    "a list of models": ("draw", 0, ["gan-mnist"]),
    "a model that is on no page": ("draw", 0, "../../etc"),
    "no model": ("draw", 0, None),
    "no share": ("walk", 4, None),
    "200,001 picks": ("move", 2, PICKS),
    "picks of an object": ("move", 2, {"a": 1}),
    "a negative pick": ("move", 3, "-1"),
    "an infinite sample": ("move", 4, INFINITE),
    "no steps": ("move", 5, None),
    "a card of another folder": ("show", 0, "/etc"),
}


@pytest.mark.parametrize("name", ODD)
def test_what_no_browser_sends_is_an_error_of_the_page(name, server):
    function, place, value = ODD[name]
    data = {
        "draw": ["gan-mnist", "all in turn", 0, 1, "", "", 0],
        "walk": ["gan-mnist", "all in turn", 3, 17, 0],
        "move": ["gan-mnist", "all in turn", "0, 1", "2", 0, 0],
        "show": ["gan-mnist"],
    }[function]
    data[place] = value
    success, output = send(server, function, data)
    assert not success
    # Of an error that nobody foresaw, gradio tells the page nothing.
    assert output["error"]
    assert len(output["error"]) < 500


def test_a_proxy_is_no_obstacle(monkeypatch):
    """gradio asks its own server whether it runs: not through a proxy that is not there."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("no_proxy", "x")
    with demo_page._without_proxy():
        import httpx

        assert httpx._utils.get_environment_proxies() == {}
    assert os.environ["no_proxy"] == "x"
    assert "NO_PROXY" not in os.environ


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ConnectionRefusedError("no"), "the ports from 7860 on are in use at 127.0.0.1"),
        (ValueError("When localhost is not accessible, ..."), "cannot be reached at its own"),
        (RuntimeError("Couldn't start the app\nbecause"), "cannot be reached at its own"),
    ],
)
def test_a_page_that_does_not_start_is_one_line(error, says):
    page = MagicMock()
    page.launch.side_effect = error
    with pytest.raises(OperationFailed, match=says) as failure:
        demo_page._launch(page, {"server_name": "127.0.0.1", "server_port": None})
    assert re.search("(port|host)=$", str(failure.value))
    assert "\n" not in str(failure.value)


# --------------------------------------------------------------------------------- another's card


def card_of(tmp_path, monkeypatch, write):
    folder = tmp_path / "model"
    folder.mkdir()
    write(folder / "README.md")
    monkeypatch.setattr(cards.model_names, "find", lambda name: folder)
    return cards.card_text("model")


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (lambda p: p.symlink_to("/etc/hostname"), "link out of its folder"),
        (lambda p: p.symlink_to(p.name), "README.md"),
        (lambda p: os.mkfifo(p), "not a plain file"),
        (lambda p: p.mkdir(), "not a plain file"),
        (lambda p: None, "No such file"),
        (lambda p: p.write_bytes(b"x" * (2 << 20)), "larger than"),
    ],
    ids=["a link out", "a link to itself", "a pipe", "a folder", "none", "2 MB"],
)
def test_only_a_plain_small_readme_is_shown(write, says, tmp_path, monkeypatch):
    assert says in card_of(tmp_path, monkeypatch, write)


def test_a_card_loads_nothing_and_marks_nothing_up(tmp_path, monkeypatch):
    text = "a ![x](http://evil/1.png) ![y][1]\n\n<img src=x>\x1b[2J\n[1]: http://evil/2.png\n"
    shown = card_of(tmp_path, monkeypatch, lambda p: p.write_text(text))
    assert "![" not in shown
    assert "<" not in shown
    assert "\x1b" not in shown


# ----------------------------------------------------------------------------- what tabs open with
def test_the_examples_are_of_models_and_tabs_that_there_are():
    known = {kind.name for kind in order.TABS}
    tabs = examples._examples().tabs
    assert {*tabs} <= known
    assert {example.model for values in tabs.values() for example in values} <= {*installed.names()}


def test_a_tab_opens_with_the_user_s_first_model_or_with_the_best_example():
    models = LoadedModels(["vae-mnist", "cgan-fashion-mnist"], chosen=False)
    assert tab_of("Truncate", models).first() == "cgan-fashion-mnist"
    models.chosen = True
    assert tab_of("Truncate", models).first() == "vae-mnist"
    assert tab_of("Attend", models).missing() == "None of these models has attention."


def test_no_model_is_loaded_to_know_what_it_can_do(monkeypatch):
    monkeypatch.setattr(LoadedModels, "_model", lambda self, name: pytest.fail(f"{name} is loaded"))
    models = LoadedModels(["gan-mnist", "pixelcnn-mnist", "sagan-cifar10"])
    assert models.with_ability(genzoo.Latent) == ["gan-mnist", "sagan-cifar10"]
    assert models.classes("sagan-cifar10")[0] == "airplane"


def test_classes_of_one_sample_have_a_spread_together():
    """A hundred classes in turn: each of 128 samples is nearly alone in its class."""
    x = torch.randn(4, 1, 2, 2)
    alone = SimpleNamespace(tensor=x, labels=torch.arange(4))
    expected = x.flatten(1).var(0).sum().sqrt().item()
    assert truncate._spread(alone) == pytest.approx(expected)
    pairs = SimpleNamespace(tensor=x, labels=torch.tensor([0, 0, 1, 2]))
    expected = x[:2].flatten(1).var(0).sum().sqrt().item()
    assert truncate._spread(pairs) == pytest.approx(expected)


def test_the_functions_behind_the_buttons():
    models = LoadedModels(["vae-mnist", "cgan-mnist"])
    path, line = tab_of("Traverse", models).traverse("vae-mnist", None, 3, 4, 5)
    record = genzoo.inspect(path).record
    assert record.call.method == "traverse"
    assert line == "genzoo traverse vae-mnist --dims 4,5 --sample 3"
    cut, whole, text, line = tab_of("Truncate", models).truncate("cgan-mnist", "3", 1, 0.5)
    settings = {"truncation": 0.5, "temperature": None}
    assert genzoo.inspect(cut).record.call.sampling == settings
    assert genzoo.inspect(whole).record.labels == (3,) * 16
    assert 0 < int(re.search(r"(\d+)%", text)[1]) < 100
    assert line == "genzoo sample cgan-mnist --seed 1 --set truncation=0.5 --label 3"
    quiz = tab_of("Quiz", models)
    assert quiz.sides("vae-mnist") == ("cgan-mnist", "vae-mnist")
    path, truth, score, line = quiz.answer(True, "vae-mnist", True, (1, 2))
    assert genzoo.inspect(path).record.origin.model == quiz.sides("vae-mnist")[0 if truth else 1]
    assert (score, line) == ((2, 3), "Right: that was cgan-mnist. 2 of 3.")


def test_a_traversal_opens_with_the_numbers_that_show_most(monkeypatch):
    models = LoadedModels(["vae-mnist", "gan-mnist"])
    traverse = tab_of("Traverse", models)
    measured = genzoo.editing.walks.most_active(models.model("gan-mnist"))
    assert traverse.dims("gan-mnist") == measured != (0, 1)
    assert traverse.dims("vae-mnist") == (3, 7)  # chosen by eye
    short = Noisy(None)
    short.latent_dim = 1
    monkeypatch.setattr(models, "model", lambda name: short)
    again = tab_of("Traverse", models)
    assert again.dims("gan-mnist") == (0, 0)
    with pytest.raises(BadInput, match="at least two numbers"):
        again.traverse("gan-mnist", None, 0, 0, 0)


def test_walks_and_directions_are_of_the_chosen_class():
    models = LoadedModels(["cgan-mnist"])
    path, _, line = tab_of("Interpolate", models).walk("cgan-mnist", "3", 1, 2, 0.5)
    assert genzoo.inspect(path).record.labels == (3,) * 3
    assert line == "genzoo interpolate cgan-mnist --sample 1,2 --label 3"
    steer = tab_of("Steer", models)
    sheet, path, lines = steer.show_and_move("cgan-mnist", "7", "0, 1", "2", 4, -1.5)
    assert genzoo.inspect(sheet).record.labels == (7,) * 36
    assert genzoo.inspect(path).record.labels == (7,) * 2
    first, second = lines.splitlines()
    assert first.endswith("--toward 0:0,1 --away 0:2 --label 7 -o direction.safetensors")
    assert second.endswith("direction.safetensors --sample 0:4 --alphas 0,-1.5 --label 7")


def command_lines(monkeypatch):
    """The lines of each tab that has some, for a model of each kind."""
    monkeypatch.setattr("genzoo.demo.tabs.inpaint.STEPS", 1)
    models = LoadedModels(["cgan-mnist", "sagan-cifar10", "cyclegan-hair"])
    tabs = {kind.name: tab_of(kind.name, models) for kind in order.TABS}
    draw, train = tabs["Sample"], tabs["Train"]
    draw.settings = SettingControls(MagicMock(), models, "cgan-mnist")
    values = draw.settings.defaults
    values[0] = "0.5"
    yield "Sample", draw.draw("cgan-mnist", "3", 1, 4, *values)[-1]
    yield "Interpolate", tabs["Interpolate"].walk("cgan-mnist", "3", 1, 2, 0.5)[-1]
    yield "Traverse", tabs["Traverse"].traverse("cgan-mnist", "3", 1, 0, 1)[-1]
    yield "Steer", tabs["Steer"].move("cgan-mnist", "3", "0", "1", 2, -1)[-1]
    yield "Truncate", tabs["Truncate"].truncate("cgan-mnist", "3", 1, 0.5)[-1]
    yield "Attend", tabs["Attend"].attend("sagan-cifar10", "horse", 1, (2, 3))[-1]
    yield "Inpaint", tabs["Inpaint"].complete_example("cgan-mnist")[1]
    yield "Translate", tabs["Translate"].translate_example("cyclegan-hair", "Blond_Hair", 1)[1]
    yield "Compare", tabs["Compare"].draw("cgan-mnist", "cgan-mnist", 1)[-1]
    yield "Train", train.command(train.names[0], "hinge", 1e-3, 100)
    yield "Cards", tabs["Cards"].show("cgan-mnist")[-1]


def test_the_lines_for_a_terminal_are_commands_with_their_options(monkeypatch):
    found = dict(command_lines(monkeypatch))
    assert {kind.name for kind in order.TABS} - {*found} == {"Quiz"}
    for line in "\n".join(found.values()).splitlines():
        program, name, *words = shlex.split(line, comments=True)
        command = typer.main.get_command(app).commands[name]
        with command.make_context(f"{program} {name}", words):
            pass  # raises if an option does not exist, or an argument is missing


def test_the_files_and_the_line_give_what_the_page_shows(tmp_path, monkeypatch):
    monkeypatch.setattr("genzoo.demo.tabs.inpaint.STEPS", 2)
    models = LoadedModels(["vae-mnist", "cyclegan-hair", "pixelcnn-mnist-labels"])
    inpainted = tab_of("Inpaint", models).complete_example("vae-mnist")
    drawn = tab_of("Inpaint", models).complete_example("pixelcnn-mnist-labels")
    assert " --label " in drawn[1]  # it draws the pixels of a class
    translated = tab_of("Translate", models).translate_example("cyclegan-hair", "Blond_Hair", 2)
    for i, (shown, line, files) in enumerate((inpainted, drawn, translated)):
        (folder := tmp_path / str(i)).mkdir()
        for file in files:
            shutil.copy(file, folder)
        monkeypatch.chdir(folder)
        scale = str(Widgets.scale(models.model(line.split()[2]).shape, wide=400))
        assert cli.run([*shlex.split(line)[1:], "--out", "out.png", "--scale", scale]) == 0
        pixels = [np.array(Image.open(path)) for path in (shown, "out.png")]
        assert np.array_equal(*pixels)


def test_the_page_gets_files_that_no_other_visit_writes_anew():
    """Of a picture in memory gradio writes its file at each visit, while it may be sent."""
    models = LoadedModels(["dcgan-mnist", "cyclegan-hair"])
    inpaint, translate = tab_of("Inpaint", models), tab_of("Translate", models)
    parts = inpaint.painted("dcgan-mnist")
    paths = [parts["background"], parts["composite"], *parts["layers"]]
    paths += [inpaint.take("dcgan-mnist", 3), translate.example_file("cyclegan-hair", 2)]
    assert all(Path(path).is_file() for path in paths)
    with Image.open(parts["layers"][0]) as paint:
        assert paint.getchannel("A").getbbox() == (0, 196, 392, 392)


def test_a_click_shows_where_its_place_looks():
    attend = tab_of("Attend", LoadedModels(["sagan-cifar10"]))
    place = attend.place("sagan-cifar10", [399, 25])  # (x, y) of a picture enlarged twelve times
    assert place == (2, 31)
    sample, maps, note, line = attend.attend("sagan-cifar10", "horse", 4, place)
    for path in (sample, maps):
        assert genzoo.inspect(path).record.seeds == ((4, 0),)
    assert genzoo.inspect(maps).record.call.method == "attention"
    looks = genzoo.attention("sagan-cifar10", [place], sample=4, label="horse")
    assert note == f"{looks.note.capitalize()}."
    assert "next to nothing" in note
    # As the command draws it, but for the line below, which is text of the page.
    shown, wanted = (np.array(one) for one in (Image.open(maps), looks.picture()))
    assert np.array_equal(shown[:384, :], wanted[:384, :])
    assert line == "genzoo attend sagan-cifar10 --sample 4 --at 2,31 --label horse"
    line = attend.attend("sagan-cifar10", "horse", 4, None)[-1]
    assert line == "genzoo attend sagan-cifar10 --sample 4 --label horse"
    with pytest.raises(BadInput, match="a click is on a place"):
        attend.place("sagan-cifar10", "here")


def test_a_result_is_computed_once_and_its_file_is_kept():
    models, calls = LoadedModels(["gan-mnist"]), []
    ui = Widgets(MagicMock(), MagicMock(), models)

    def call(name):
        calls.append(name)
        return models.save(b"first")

    ui.fill(call, [SimpleNamespace(value="gan-mnist")], [])
    (first,) = ui.firsts
    path = first()
    for _ in range(70):
        models.save(b"later")
    assert first() == path
    assert calls == ["gan-mnist"]
    assert Path(path).read_bytes() == b"first"


def test_any_error_is_a_line_on_the_page():
    class Shown(Exception):
        def __init__(self, text, **options):
            super().__init__(text)
            assert options == {"print_exception": False}

    ui = Widgets(SimpleNamespace(Error=Shown), MagicMock(), None)

    def stream():
        yield 1
        raise ZeroDivisionError("<b>nothing\nto divide by")

    lines = iter(ui.safe_stream(stream)())
    assert next(lines) == 1
    with pytest.raises(Shown, match="ZeroDivisionError: &lt;b&gt;nothing to divide by"):
        next(lines)


# ------------------------------------------------------------------------------------ the training
TINY = {"generator_units": 8, "discriminator_units": 8, "latent_dim": 4, "batch_size": 8}


def test_a_training_learns_and_can_be_stopped():
    training = LiveTraining("gan", "digits", TINY, 5, "cpu")
    before = training.samples().tensor
    training.start()
    while training.wait():
        pass
    assert training.status() == "Step 5 of 5: done."
    assert {len(values) for values in training.logs.values()} == {5}
    assert not torch.equal(training.samples().tensor, before)
    assert training.samples().seeds == tuple((0, i) for i in range(16))
    training = LiveTraining("gan", "digits", TINY, 10**6, "cpu")
    training.start()
    training.stop()
    assert not training.is_running
    assert "stopped" in training.status()


def test_a_training_takes_labels_and_shows_the_average():
    tiny = {"network": "conv", "width": 4, "batch_size": 8, "ema_decay": 0.9}
    training = LiveTraining("cgan", "digits", tiny, 2, "cpu")
    training.start()
    while training.wait():
        pass
    assert (training.error, training.step) == ("", 2)
    assert training.samples().labels.tolist() == [i % 10 for i in range(16)]
    assert type(training.trainer).__name__ == "EMA"


def test_a_training_at_which_nobody_looks_ends(monkeypatch):
    monkeypatch.setattr("genzoo.demo.training.ALONE", 0.05)
    training = LiveTraining("gan", "digits", TINY, 10**6, "cpu")
    training.start()
    training._thread.join(20)
    assert not training.is_running
    assert 0 < training.step < 10**6


def test_a_page_that_closes_ends_its_training():
    tab = TrainTab(Widgets(MagicMock(), MagicMock(), LoadedModels([])))
    tab.recipes = {"tiny": examples.Recipe(family="gan", title="tiny", steps=50, settings=TINY)}
    views = tab.watch("one", "tiny", "non-saturating", 1e-3, 2000)
    grid, chart, text = next(views)
    assert genzoo.inspect(grid).record.seeds == tuple((0, i) for i in range(16))
    assert chart.count("<polyline") == 4
    assert text.startswith("Step ")
    with pytest.raises(BadInput, match="under way on another page"):
        next(tab.watch("two", "tiny", "non-saturating", 1e-3, 50))
    with pytest.raises(BadInput, match="belongs to another page"):
        tab.halt("two")
    views.close()  # as gradio does when the browser is gone
    assert not tab.training.is_running
    with pytest.raises(BadInput, match="no training is under way"):
        tab.halt("one")


def test_a_training_that_diverges_says_so():
    tab = TrainTab(Widgets(MagicMock(), MagicMock(), LoadedModels([])))
    settings = {**TINY, "optimizer": "sgd"}
    tab.recipes = {"tiny": examples.Recipe(family="gan", title="tiny", steps=50, settings=settings)}
    monkey = tab.settings("tiny", "wasserstein", 1e-2)
    tab.settings = lambda *values: {**monkey, "lr": 10.0}
    with pytest.raises(BadInput, match=r"loss|gradient"):
        list(tab.watch("one", "tiny", "wasserstein", 1e-2, 2000))


def test_without_scikit_learn_the_tab_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("GENZOO_HOME", str(tmp_path))
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    monkeypatch.setattr("genzoo.demo.tabs.train.find_spec", lambda name: None)
    tab = TrainTab(Widgets(MagicMock(), MagicMock(), LoadedModels([])))
    assert "pip install" in tab.missing()


def test_the_recipes_are_of_families_that_there_are():
    tab = TrainTab(Widgets(MagicMock(), MagicMock(), LoadedModels([])))
    assert [*tab.recipes] == [recipe.title for recipe in examples.recipes()]
    line = tab.command(tab.names[0], "hinge", 1e-3, 100)
    assert re.fullmatch(r"genzoo train \w+ --data digits --steps 100 .*loss=hinge --out \S+", line)


def test_curves_are_drawn_within_their_panel():
    svg = curves({"<one>": {"a": [0.5, 7.0], "b": []}, "two": {"c": [-3.0, float("nan")]}}, 10)
    assert "&lt;one&gt;" in svg
    assert svg.count("<svg") == 2
    places = re.findall(r"([\d.]+),([\d.]+)", " ".join(re.findall('points="([^"]*)"', svg)))
    assert len(places) == 3
    assert all(0 <= float(x) <= 400 and 0 <= float(y) <= 190 for x, y in places)
