"""The page that draws in a browser: its files, its hashes, its words; and, where there is all that
it needs, the page itself in headless Chromium.
"""

import base64
import functools
import hashlib
import json
import os
import shutil
import threading
import time
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import genzoo
from genzoo import families
from genzoo.errors import BadInput
from genzoo.exports import page
from genzoo.exports.calls import call_of
from genzoo.exports.formats import loaded
from genzoo.models.picture_files import SYNTHETIC

chromium = shutil.which("chromium") or shutil.which("chromium-browser")
RUNTIME = os.environ.get("GENZOO_RUNTIME")  # package/dist of npm's onnxruntime-web


def tiny(family, **changes):
    """A small model of a family, with random weights."""
    parts = families.get(family)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return parts.model(parts.tiny.model_copy(update=changes)).eval()


@pytest.fixture
def filled(tmp_path, monkeypatch):
    """A page of a small model with strange words, whose network and runtime are a few bytes."""
    runtime = tmp_path / "dist"
    runtime.mkdir()
    parts = {"wasm": {}, "webgpu": {}}
    for engine, names in parts.items():
        for name in page.PARTS[engine]:
            (runtime / name).write_text(name)
            names[name] = integrity(name.encode())
    monkeypatch.setattr(page, "PARTS", parts)
    model = tiny("cgan", classes=3)
    model.class_names = ("<b>", 'a"', "$(c)")
    folder = genzoo.save(model, tmp_path / "m", family="cgan")
    model, manifest = loaded(folder)
    (tmp_path / "site").mkdir()
    call = call_of(model, {})
    page.fill(
        tmp_path / "site",
        call,
        manifest,
        "genzoo sample ./m -n 1",
        b"onnx",
        page.read_runtime(runtime),
    )
    return tmp_path / "site", model


def integrity(content):
    return "sha384-" + base64.b64encode(hashlib.sha384(content).digest()).decode()


def test_a_page_holds_what_it_says(filled):
    """Each file has the hash that the page checks; the codes and the first image are genzoo's."""
    folder, model = filled
    facts = json.loads((folder / "model.json").read_text())
    for part in facts["files"].values():
        assert integrity((folder / part["name"]).read_bytes()) == part["integrity"]
    assert facts["runtime"]["base"] == "runtime/"
    for parts in facts["runtime"]["parts"].values():
        for part in parts:
            content = (folder / "runtime" / part["name"]).read_bytes()
            assert integrity(content) == part["integrity"]
    codes = np.fromfile(folder / "codes.bin", "<f4").reshape(facts["count"], -1)
    assert np.array_equal(codes, model.codes(facts["count"]).numpy())
    first = np.frombuffer(base64.b64decode(facts["first"]), np.uint8)
    own = model.sample(1, labels=torch.tensor([0])).tensor.numpy().flatten()
    assert np.abs(first / 255 - own).max() <= 0.5 / 255 + 1e-6
    assert [part["kind"] for part in facts["law"]] == ["normal"]
    assert facts["words"] == ["'<b>'", "'a\"'", "'$(c)'"]  # a shell runs nothing of them
    assert {*facts["dims"]} <= {*range(model.latent_dim)}


def test_a_page_says_what_it_is_and_escapes_words(filled):
    text = (filled[0] / "index.html").read_text()
    assert "synthetic" in text
    assert "&lt;b&gt;" in text
    assert "<b>" not in text
    assert "connect-src 'self';" in text  # it has all it needs
    for name in ("page.js", "style.css"):
        assert f'"{name}"' in text
        assert (filled[0] / name).is_file()


def test_without_a_copy_the_runtime_is_a_pinned_one(tmp_path):
    facts = page._runtime(tmp_path, None)
    assert facts["base"] == f"https://cdn.jsdelivr.net/npm/onnxruntime-web@{page.RUNTIME}/dist/"
    assert all(p["integrity"].startswith("sha384-") for ps in facts["parts"].values() for p in ps)
    assert not [*tmp_path.glob("runtime")]


def test_a_runtime_of_another_version_is_refused(tmp_path):
    with pytest.raises(BadInput, match=r"has no ort\.wasm\.bundle\.min\.mjs .*: npm pack onnx"):
        page.read_runtime(tmp_path)
    for name in page.PARTS["wasm"]:
        (tmp_path / name).write_text("other")
    with pytest.raises(BadInput, match=r"is not that of onnxruntime-web 1\.30\.0"):
        page.read_runtime(tmp_path)


def test_only_a_page_is_replaced(filled, tmp_path):
    site = filled[0]
    with pytest.raises(BadInput, match="exists: choose another out=, or add force=True"):
        page.check_folder(site, force=False)
    assert page.check_folder(site, force=True) == site
    (site / "CNAME").write_text("example.org")
    with pytest.raises(BadInput, match=r"holds CNAME, .* would be lost: move it away"):
        page.check_folder(site, force=True)
    (site / "CNAME").unlink()
    mine = tmp_path / "mine"
    mine.mkdir()
    assert page.check_folder(mine, force=False) == mine  # it is empty
    (mine / "letter.txt").write_text("dear")
    with pytest.raises(BadInput, match="is no page of genzoo"):
        page.check_folder(mine, force=True)
    with pytest.raises(BadInput, match="a page is a folder"):
        page.check_folder(tmp_path / "x.html", force=False)


@pytest.mark.parametrize(
    ("family", "why"), [("pixelcnn", "has no latent code"), ("wavegan", "draws signals")]
)
def test_a_model_that_a_page_cannot_show_is_refused(family, why):
    with pytest.raises(BadInput, match=why):
        page.check_model(call_of(tiny(family), {}))


# ------------------------------------------------------------------------------------- in a browser


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        flags = ["--no-sandbox", "--disable-dev-shm-usage"]
        flags += ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
        opened = driver.chromium.launch(executable_path=chromium, args=flags)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A page of dcgan-celeba, and its address."""
    if not (chromium and RUNTIME):
        pytest.skip("needs chromium, and GENZOO_RUNTIME: the folder of onnxruntime-web")
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    folder = tmp_path_factory.mktemp("page") / "site"
    genzoo.export("dcgan-celeba", to="page", out=folder, runtime=RUNTIME)
    handler = functools.partial(Quiet, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def image(here, after=0):
    """The pixels of the page's image, once more than ``after`` were drawn; and how many were."""
    script = """() => { const c = document.getElementById("picture");
        const all = c.getContext("2d").getImageData(0, 0, c.width, c.height);
        return [Number(c.dataset.drawn || 0), c.width, [...all.data]]; }"""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        drawn, width, values = here.evaluate(script)
        if drawn > after:
            return np.array(values, float).reshape(-1, width, 4)[:, :, :3], drawn
        time.sleep(0.05)
    raise AssertionError(here.locator("#status").inner_text())


def own(samples):
    return samples.tensor[0].permute(1, 2, 0).numpy() * 255


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_a_page_draws_what_genzoo_draws(width, site, browser, tmp_path):
    """Samples, a mix, a number of the code, a walk: within 2 of 255; and a PNG that says so."""
    model = genzoo.load("dcgan-celeba", device="cpu")
    context = browser.new_context(viewport={"width": width, "height": 844})
    here, errors = context.new_page(), []
    here.on("pageerror", lambda error: errors.append(str(error)))
    here.goto(site[1])
    pixels, drawn = image(here)
    assert np.abs(pixels - own(model.sample(1))).max() <= 2
    assert here.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert here.locator("legend").last.bounding_box()["height"] < 40  # one line, on the frame
    assert "Checked at the start: " in here.locator("#status").inner_text()
    here.fill("#sample", "9")
    here.press("#sample", "Tab")
    pixels, drawn = image(here, drawn)
    assert np.abs(pixels - own(model.sample(1, start=9))).max() <= 2
    assert here.locator("#command").inner_text() == "genzoo sample dcgan-celeba -n 1 --start 9"
    here.evaluate("""() => { const one = document.getElementById("share");
        one.value = 0.25; one.dispatchEvent(new Event("input")); }""")
    pixels, drawn = image(here, drawn)
    mixed = genzoo.interpolate(model, "0:9,1", steps=4)[1:2]
    assert np.abs(pixels - own(mixed)).max() <= 2
    here.click("#reset")
    _, drawn = image(here, drawn)
    slider = here.locator("#numbers input").first
    slider.evaluate("one => { one.value = -2; one.dispatchEvent(new Event('input')); }")
    pixels, drawn = image(here, drawn)
    code = model.codes(1, start=9)
    code[0, int(slider.get_attribute("id").partition("-")[2])] = -2
    assert np.abs(pixels - own(model.decode_codes(code))).max() <= 2
    here.click("#walk")
    _, drawn = image(here, drawn + 3)
    assert not here.locator("#command").is_visible()
    here.click("#walk")
    image(here, drawn)
    here.fill("#sample", "999")
    here.press("#sample", "Tab")
    here.get_by_text("samples 0 to 255: 255 in place of 999").wait_for()
    assert here.locator("#command").is_visible()
    with here.expect_download() as download:
        here.click("#save")
    download.value.save_as(tmp_path / "saved.png")
    with Image.open(tmp_path / "saved.png") as saved:
        saved.load()
        assert saved.text["Comment"] == SYNTHETIC
        assert "trainedAlgorithmicMedia" in saved.text["XML:com.adobe.xmp"]
    assert errors == []
    context.close()


@pytest.mark.slow
def test_a_page_refuses_a_file_that_was_exchanged(site, browser):
    folder, address = site
    file = folder / "runtime" / "ort.wasm.bundle.min.mjs"
    before = file.read_bytes()
    file.write_bytes(before + b"\n")
    try:
        context = browser.new_context()
        here = context.new_page()
        here.goto(address)
        here.get_by_text("This page cannot draw: cannot load runtime/ort").wait_for(timeout=60_000)
        context.close()
    finally:
        file.write_bytes(before)


@pytest.mark.slow
@pytest.mark.parametrize("is_right", [True, False])
def test_a_page_loads_the_pinned_runtime_from_its_host(is_right, site, browser):
    """The host is played by this test; a file that is not the pinned one is refused."""
    model, manifest = loaded("dcgan-celeba")
    folder = site[0] / f"remote-{is_right}"
    folder.mkdir()
    onnx = (site[0] / "model.onnx").read_bytes()
    page.fill(folder, call_of(model, {}), manifest, "", onnx, None)
    context, asked = browser.new_context(), []
    here = context.new_page()

    def host(route):
        name = route.request.url.rpartition("/")[2]
        asked.append(name)
        content = (Path(RUNTIME) / name).read_bytes() + (b"" if is_right else b"\n")
        route.fulfill(body=content, headers={"Access-Control-Allow-Origin": "*"})

    here.route(f"{page.HOST}/npm/{page.PACKAGE}/dist/*", host)
    here.goto(f"{site[1]}{folder.name}/")
    if is_right:
        pixels, _ = image(here)
        assert np.abs(pixels - own(model.sample(1))).max() <= 2
        assert asked == [*page.PARTS["wasm"]]
        assert not here.locator("#command").is_visible()  # no command loads a model in memory
    else:
        here.get_by_text("This page cannot draw: cannot load https://cdn").wait_for(timeout=60_000)
        here.get_by_text("With --runtime, genzoo export").wait_for()
        assert not here.locator("#controls").is_visible()
    context.close()
