"""The demo page as a visitor uses it: in headless Chromium, against the real server."""

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from types import SimpleNamespace
from typing import Annotated, Literal
from unittest.mock import MagicMock
from urllib.parse import urlsplit

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import Field

import genzoo
from genzoo import cli, data
from genzoo.demo import page as demo_page
from genzoo.demo import tabs
from genzoo.demo.models import LoadedModels
from genzoo.demo.settings import SettingControls
from genzoo.errors import BadInput, OperationFailed
from genzoo.options import LatentSampling
from genzoo.schemas import Name, Share
from genzoo.zoo import provenance

MODELS = ["gan-mnist", "vae-mnist", "pixelcnn-mnist", "cgan-mnist", "cyclegan-hair"]
chromium = shutil.which("chromium") or shutil.which("chromium-browser")
in_browser = pytest.mark.skipif(chromium is None, reason="no chromium is installed")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The page as ``genzoo demo`` serves it; its address, and the process."""
    # Ctrl-C reaches it even where the shell that began all this has it ignored.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += "from genzoo import cli; cli.main()"
    command = [sys.executable, "-W", "ignore", "-c", code, "demo", *MODELS, "--data", "digits"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    address = process.stdout.readline().strip()
    assert address, process.stderr.read() if process.stderr else ""
    yield address
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130


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


@pytest.fixture
def page(browser, server):
    """The opened page; a request to another machine fails the test."""
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
    here.get_by_role("tab", name="Draw", exact=True).wait_for()
    yield here
    context.close()
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


def until(page, label, act):
    """The picture under ``label`` after ``act``, which is repeated until the page is ready."""
    for last in (*[False] * 7, True):
        act()
        try:
            return wait_for_picture(page, label, seconds=8)
        except AssertionError:
            if last:
                raise
    return None


def tab(page, name):
    page.get_by_role("tab", name=name, exact=True).click()


@in_browser
def test_it_draws_what_sample_draws(page, tmp_path):
    page.get_by_label("Seed").first.fill("7")
    before, _ = wait_for_picture(page, "Drawn")
    page.get_by_role("button", name="Draw", exact=True).click()
    _, content = wait_for_picture(page, "Drawn", before)
    path = tmp_path / "drawn.png"
    path.write_bytes(content)
    assert provenance.inspect(path).record.origin.model == "gan-mnist"
    wanted = np.array(genzoo.load("gan-mnist").sample(16, seed=7).grid(scale=4))
    assert np.array_equal(np.array(Image.open(io.BytesIO(content))), wanted)
    assert "genzoo sample gan-mnist -n 16 --seed 7" in page.inner_text("body")


@in_browser
def test_a_conditional_model_offers_its_classes(page):
    page.get_by_label("Model").first.click()
    page.get_by_role("option", name="cgan-mnist").click()
    page.get_by_label("Class").first.click()
    page.get_by_role("option", name="3", exact=True).click()
    before, _ = wait_for_picture(page, "Drawn")
    page.get_by_role("button", name="Draw", exact=True).click()
    wait_for_picture(page, "Drawn", before)
    assert "--label 3" in page.inner_text("body")


@in_browser
def test_dragging_goes_from_one_sample_to_the_other(page):
    tab(page, "Between two")
    page.locator("input[type=range]:visible").first.focus()
    model = genzoo.load("gan-mnist")
    for key, seed in (("ArrowRight", 17), ("Home", 3)):
        for _ in range(50 if key == "ArrowRight" else 1):  # more than the queue holds
            page.keyboard.press(key)
        wanted = np.array(model.sample(1, seed=seed).grid(scale=10, gap=0)).astype(int)
        for _ in range(300):
            _, content = wait_for_picture(page, "Between")
            found = np.array(Image.open(io.BytesIO(content)).convert("L"))
            if np.abs(found - wanted).max() <= 1:
                break
            time.sleep(0.1)
        else:
            raise AssertionError(f"the sample of seed {seed} never came")


@in_browser
def test_what_is_painted_over_is_filled_in(page):
    tab(page, "Complete")
    page.get_by_role("button", name="Complete", exact=True).click()
    page.get_by_text("no image yet").wait_for()
    page.get_by_role("button", name="Take that sample").click()
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

    _, content = until(page, "Completed", paint)
    assert Image.open(io.BytesIO(content)).size[0] >= 200


@in_browser
def test_a_photo_is_translated(page, tmp_path):
    noise = np.random.RandomState(0).randint(0, 256, (90, 120, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "photo.png")
    tab(page, "Translate")
    page.get_by_role("button", name="Translate", exact=True).click()
    page.get_by_text("no photo yet").wait_for()
    page.locator("input[type=file]").last.set_input_files(tmp_path / "photo.png")
    again = page.get_by_role("button", name="Translate", exact=True)
    _, content = until(page, "Translated", again.click)
    assert Image.open(io.BytesIO(content)).size[0] >= 200


@in_browser
def test_the_quiz_counts(page):
    tab(page, "Which is real?")
    source = None
    for line in ("Here is the first one", " of 1", " of 2"):
        page.get_by_role("button", name="Real", exact=True).click()
        page.get_by_text(line).wait_for()
        source, _ = wait_for_picture(page, "Real, or generated?", source)


@in_browser
def test_two_models_and_a_card(page):
    tab(page, "Side by side")
    page.get_by_role("button", name="Draw both").click()
    contents = [wait_for_picture(page, label)[1] for label in ("The first", "The second")]
    assert contents[0] != contents[1]
    tab(page, "Cards")
    page.get_by_role("heading", name="gan-mnist").first.wait_for()


def test_it_is_served_to_this_machine_alone(server):
    import socket

    host, port = urlsplit(server).hostname, urlsplit(server).port
    assert host == "127.0.0.1"
    # Whoever serves all addresses answers at this one, too, and it is not beyond loopback.
    with pytest.raises(OSError):  # noqa: PT011 (refused or unreachable)
        socket.create_connection(("127.0.0.2", port), timeout=2).close()


@in_browser
def test_a_cleared_field_is_an_error_on_the_page(page):
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
    from genzoo.demo.tabs import unpack_painting

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


def test_both_ends_between_two_are_samples():
    gr, model, saved = MagicMock(), Noisy(None), []
    tabs.interpolate(
        gr,
        SimpleNamespace(
            model=lambda name: model,
            with_ability=lambda *kinds: ["noisy"],
            save=lambda samples, scale: saved.append(samples.tensor),
            save_sound=lambda samples: None,
        ),
    )
    move = gr.Slider.return_value.input.call_args.args[0]
    for share, seed in ((0, 3), (1, 17)):
        move("noisy", 3, 17, share)
        assert torch.allclose(saved[-1], model.sample(1, seed=seed).tensor, atol=1e-6)


def test_the_quiz_shows_images_that_no_model_was_trained_on():
    models = LoadedModels(["gan-mnist"], "digits", None, "cpu")
    assert models.real_images((1, 28, 28)).sha256 == data.open("digits", "test").sha256


def test_the_quiz_shows_real_images_in_the_shape_of_the_model(tmp_path):
    for split in ("train", "test"):
        (folder := tmp_path / "photos" / split).mkdir(parents=True)
        Image.new("L", (20, 20), 90).save(folder / "1.png")
    models = LoadedModels(["gan-mnist"], str(tmp_path / "photos"), None, "cpu")
    for shape in ((1, 16, 32), (3, 32, 16)):
        assert models.real_images(shape).shape == shape


def test_only_the_domains_that_a_model_translates_to_are_offered(translator):
    models = SimpleNamespace(model=lambda name: translator)
    assert tabs._targets(models, "any") == {"choices": ["dark", "light"], "value": "light"}
    translator.one_way = True
    assert tabs._targets(models, "any") == {"choices": ["light"], "value": "light"}


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
    models = SimpleNamespace(names=["noisy", "every"], model={"noisy": noisy, "every": every}.get)
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
    assert texts == [("truncation", ("",))] * 2 + [("word", ("a",))]
    shown = [c.kwargs["visible"] for c in gr.method_calls]
    assert shown == [True] + [False] * 6
    controls.show(gr, "every")
    assert [c.kwargs["visible"] for c in gr.update.call_args_list] == [False] + [True] * 6
    assert controls.defaults == [None, None, 50, 1.0, "euler", False, "a"]
    assert controls.settings("every", controls.defaults) == {}
    values = ["0.5", "0.7", 20, 1.0, "heun", True, ""]
    settings = {"truncation": 0.7, "steps": 20, "solver": "heun", "exact": True}
    assert controls.settings("every", values) == settings
    assert controls.settings("noisy", values) == {"truncation": 0.5}
    for text, says in (("0.01", "0.02"), ("a", "truncation")):
        with pytest.raises(BadInput, match=says):
            controls.settings("noisy", [text, *values[1:]])
    with pytest.raises(BadInput, match="steps"):
        controls.settings("every", [None, None, 0, 1.0, "heun", True, "a"])


@in_browser
def test_it_draws_with_the_settings_that_are_chosen(page):
    before, _ = wait_for_picture(page, "Drawn")
    page.get_by_label("truncation").locator("visible=true").first.fill("0.5")
    page.get_by_role("button", name="Draw", exact=True).click()
    _, content = wait_for_picture(page, "Drawn", before)
    wanted = genzoo.load("gan-mnist").sample(16, truncation=0.5).grid(scale=4)
    assert np.array_equal(np.array(Image.open(io.BytesIO(content))), np.array(wanted))
    assert "genzoo sample gan-mnist -n 16 --seed 0 --set truncation=0.5" in page.inner_text("body")


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
    "an infinite seed": ("call", 2, INFINITE),
    "a seed that is no number": ("call", 2, float("nan")),
    "a negative seed": ("call", 2, -1),
    "a seed of 309 digits": ("call", 2, 1e308),
    "a seed of 400 digits": ("call", 2, 10**400),
    "a seed that is text": ("call", 2, "seven"),
    "a seed that is a list": ("call", 2, [1] * 1000),
    "an infinite count": ("call", 3, INFINITE),
    "a count that is an object": ("call", 3, {"value": 1}),
    "a list of models": ("call", 0, ["gan-mnist"]),
    "a model that is on no page": ("call", 0, "../../etc"),
    "no model": ("call", 0, None),
    "no share": ("call_2", 3, None),
    "200,001 picks": ("move", 1, PICKS),
    "picks of an object": ("move", 1, {"a": 1}),
    "a negative pick": ("move", 2, "-1"),
    "an infinite sample": ("move", 3, INFINITE),
    "no steps": ("move", 4, None),
    "a card of another folder": ("card_text", 0, "/etc"),
}


@pytest.mark.parametrize("name", ODD)
def test_what_no_browser_sends_is_an_error_of_the_page(name, server):
    function, place, value = ODD[name]
    data = {
        "call": ["gan-mnist", "all in turn", 0, 1, "", "", 0],
        "call_2": ["gan-mnist", 3, 17, 0],
        "move": ["gan-mnist", "0, 1", "2", 0, 0],
        "card_text": ["gan-mnist"],
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
    assert "--" in str(failure.value)
    assert "\n" not in str(failure.value)


# --------------------------------------------------------------------------------- another's card


def card_of(tmp_path, monkeypatch, write):
    folder = tmp_path / "model"
    folder.mkdir()
    write(folder / "README.md")
    monkeypatch.setattr(tabs.model_names, "find", lambda name: folder)
    return tabs.card_text("model")


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
