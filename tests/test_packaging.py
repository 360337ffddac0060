"""The built wheels, in an empty directory, without the checkout: what a user of pip gets."""

import hashlib
import json
import os
import re
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import offline
import pytest

from genzoo.zoo import installed

ROOT = Path(__file__).parent.parent
LARGEST = {"genzoo": 2e6, "genzoo_models": 64e6}
TERMS = {"genzoo_models_celeba": ("LicenseRef-CelebA", "LicenseRef-CelebA.txt")}
OPEN = ("Apache-2.0", "LICENSE")


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


@pytest.fixture(scope="module")
def archives(wheels):
    """The wheels by the name of their package, opened."""
    return {wheel.name.partition("-")[0]: zipfile.ZipFile(wheel) for wheel in wheels}


def files(archive):
    """The names of what a wheel installs, without its metadata."""
    return {name for name in archive.namelist() if ".dist-info/" not in name}


def test_each_wheel_has_its_license_alone(archives):
    assert {"genzoo", "genzoo_models", "genzoo_models_celeba", "genzoo_vae"} < {*archives}
    for package, archive in archives.items():
        license, file = TERMS.get(package, OPEN)
        about = [n for n in archive.namelist() if ".dist-info/" in n]
        (metadata,) = [n for n in about if n.endswith("/METADATA")]
        lines = archive.read(metadata).decode().splitlines()
        assert f"License-Expression: {license}" in lines
        assert [n.rpartition("/")[2] for n in about if "/licenses/" in n] == [file]
    copies = {path.read_bytes() for path in (ROOT / "LICENSE", *ROOT.glob("*/*/LICENSE"))}
    assert len(copies) == 1


def test_the_core_has_code_alone(archives):
    found = files(archives["genzoo"])
    assert "genzoo/evaluation/published.json" in found
    allowed = {".py", ".pyi", ".typed", ".json", ".html", ".js", ".css", ".jinja", ".tmpl"}
    assert {Path(name).suffix for name in found} == allowed
    wanted = {re.split("[<>=;]", line)[0] for line in required(archives["genzoo"])}
    others = {package.replace("_", "-") for package in archives if package != "genzoo"}
    assert others <= wanted
    assert {name for name in others if name.startswith("genzoo-models")} == {*installed.OWN}


def required(archive):
    """The requirements in a wheel's metadata."""
    (metadata,) = [n for n in archive.namelist() if n.endswith(".dist-info/METADATA")]
    lines = archive.read(metadata).decode().splitlines()
    return [line.removeprefix("Requires-Dist: ") for line in lines if "Requires-Dist: " in line]


def test_no_wheel_is_too_large(wheels):
    for wheel in wheels:
        assert wheel.stat().st_size < LARGEST.get(wheel.name.partition("-")[0], 32e6), wheel.name


@pytest.mark.parametrize("package", ["genzoo_models", "genzoo_models_celeba"])
def test_the_wheels_of_models_hold_models_alone(archives, package):
    archive = archives[package]
    (source,) = ROOT.glob(f"model_cards/*/{package}")
    cards = {path.parent.name for path in source.glob("*/config.json")}
    assert len(cards) >= 3
    inside = [Path(name).relative_to(package).parts for name in files(archive)]
    assert {folder for folder, _ in inside} == {*cards, "features"}
    for card in cards:
        values = json.loads(archive.read(f"{package}/{card}/config.json"))
        named = {"model.safetensors": values["weights_sha256"]}
        if sha256 := values.get("discriminator_sha256"):
            named["discriminator.safetensors"] = sha256
        for file, sha256 in named.items():
            content = archive.read(f"{package}/{card}/{file}")
            assert hashlib.sha256(content).hexdigest() == sha256, card
        others = {"config.json", "metrics.json", "README.md", "samples.png"}
        others |= {"samples.wav"} if values["kind"] == "signals" else set()
        assert {file for folder, file in inside if folder == card} == {*named, *others}
        of_faces = package == "genzoo_models_celeba"
        assert ("celeba" in values["data"]) == of_faces
        assert values["license"] == ("other" if of_faces else "apache-2.0"), card


def test_what_was_made_from_celeba_is_in_one_wheel(archives):
    """The classifiers with statistics of real images, too; the core's wheel has none."""
    found = {p: {n for n in files(a) if "/features/" in n} for p, a in archives.items()}
    names = {package: {Path(name).stem for name in some} for package, some in found.items()}
    assert names["genzoo_models_celeba"] == {"celeba"}
    assert names["genzoo_models"] == {"mnist", "fashion-mnist", "cifar10"}
    assert {*installed.features()} == names["genzoo_models_celeba"] | names["genzoo_models"]


def test_each_plugin_wheel_is_one_module(archives):
    """And at most one more, that does the same faster."""
    for name, archive in archives.items():
        if name not in ("genzoo", "genzoo_models", "genzoo_models_celeba"):
            assert {f"{name}.py"} <= files(archive) <= {f"{name}.py", f"{name}_fast.py"}


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


def test_without_a_family_and_the_models_of_faces_the_rest_works(wheels, tmp_path):
    site, others = _installed(wheels, tmp_path, without=("genzoo_dcgan", "genzoo_models_celeba"))
    code = """
import json, genzoo
from genzoo import families
from genzoo.testing import status
from genzoo.evaluation.evaluate import evaluate
from genzoo.metrics.real_data import RealData
drawn = genzoo.load("vae-mnist").sample(1)
messages = []
for call in (
    lambda: genzoo.load("dcgan-mnist"),
    lambda: genzoo.load("vae-celeba"),
    lambda: RealData("celeba").features,
    lambda: evaluate("vae-mnist", metrics="fd-celeba", n=20),
    lambda: genzoo.compare("vae", "cgan", data="celeba"),
):
    try:
        call()
    except (genzoo.UnknownName, genzoo.BadInput) as error:
        messages.append(str(error))
states = [p.state for p in status.inspect(("family", "models"))]
print(json.dumps({"messages": messages, "names": families.names(), "states": states}))
"""
    found = _python(code, site, others, tmp_path)
    assert "dcgan" not in found["names"]
    assert len(found["names"]) > 5
    assert set(found["states"]) == {"ok"}
    family, *others = found["messages"]
    assert "in a checkout pip install ./plugins/dcgan" in family
    assert len(others) == 4
    how = "genzoo-models-celeba is not installed: in a checkout pip install ./model_cards/celeba"
    assert [how in message and "\n" not in message for message in others] == [True] * 4
