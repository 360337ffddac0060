"""The built wheels, in an empty directory, without the checkout: what a user of pip gets."""

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import offline

ROOT = Path(__file__).parent.parent
LARGEST_WHEEL = 40e6


def _installed(wheels, folder, without=()):
    """A site folder with these wheels, and another with everything else that is installed here."""
    others, site = folder / "others", folder / "site"
    others.mkdir()
    for entry in Path(sysconfig.get_paths()["purelib"]).iterdir():
        if "genzoo" not in entry.name and entry.suffix != ".pth":
            (others / entry.name).symlink_to(entry)
    for wheel in wheels:
        if not wheel.name.startswith(tuple(without)):
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(site)
    return site, others


def _python(code, site, others, cwd):
    path = os.pathsep.join(map(str, (site, others, offline.FOLDER)))
    env = {
        **os.environ,
        "PYTHONPATH": path,
        "GENZOO_HOME": str(cwd / "home"),
        "HF_HUB_OFFLINE": "1",
    }
    command = [sys.executable, "-S", "-P", "-W", "error", "-c", f"import sitecustomize\n{code}"]
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_wheel_holds_the_models_but_no_discriminator(wheels):
    (core,) = [w for w in wheels if w.name.startswith("genzoo-")]
    names = zipfile.ZipFile(core).namelist()
    cards = {p.parent.name for p in (ROOT / "model_cards").glob("*/config.json")}
    assert cards
    for card in cards:
        assert f"genzoo/model_cards/{card}/model.safetensors" in names
    assert not [n for n in names if n.endswith("discriminator.safetensors") or "/run/" in n]
    assert core.stat().st_size < LARGEST_WHEEL


def test_wheel_holds_what_compare_knows_of_real_images_and_its_terms(wheels):
    (core,) = [w for w in wheels if w.name.startswith("genzoo-")]
    archive = zipfile.ZipFile(core)
    names = archive.namelist()
    features = [*(ROOT / "genzoo" / "features").glob("*.safetensors")]
    assert features
    for path in features:
        assert f"genzoo/features/{path.name}" in names
    assert "genzoo/evaluation/published.json" in names
    (metadata,) = [n for n in names if n.endswith(".dist-info/METADATA")]
    text = archive.read(metadata).decode()
    assert "License-Expression: Apache-2.0 AND LicenseRef-CelebA" in text
    assert [n for n in names if n.endswith("licenses/model_cards/LicenseRef-CelebA.txt")]


def test_each_plugin_wheel_is_one_module(wheels):
    """And at most one more, that does the same faster."""
    for wheel in wheels:
        if not wheel.name.startswith("genzoo-"):
            modules = {n for n in zipfile.ZipFile(wheel).namelist() if n.endswith(".py")}
            name = wheel.name.partition("-")[0]
            assert {f"{name}.py"} <= modules <= {f"{name}.py", f"{name}_fast.py"}


def test_models_load_and_sample_from_wheels(wheels, tmp_path):
    site, others = _installed(wheels, tmp_path)
    empty = tmp_path / "empty"
    empty.mkdir()
    code = """
import json, genzoo
names = genzoo.model_names()
for name in names:
    genzoo.load(name).sample(4).save(f"{name}.png")
print(json.dumps({"file": genzoo.__file__, "names": names}))
"""
    found = _python(code, site, others, empty)
    assert found["file"].startswith(str(site))
    assert {"dcgan-mnist", "vae-mnist"} <= set(found["names"])
    assert {p.stem for p in empty.glob("*.png")} == set(found["names"])


def test_without_one_plugin_the_rest_works(wheels, tmp_path):
    site, others = _installed(wheels, tmp_path, without=("genzoo_dcgan",))
    code = """
import json, genzoo
from genzoo import families
from genzoo.testing import status
drawn = genzoo.load("vae-mnist").sample(1)
try:
    genzoo.load("dcgan-mnist")
except genzoo.UnknownName as error:
    message = str(error)
states = [p.state for p in status.inspect()]
print(json.dumps({"message": message, "names": families.names(), "states": states}))
"""
    found = _python(code, site, others, tmp_path)
    assert "dcgan" not in found["names"]
    assert len(found["names"]) > 5
    assert set(found["states"]) == {"ok"}
    assert "pip install genzoo-dcgan" in found["message"]
