"""Data sets and metrics from plugins, and what a broken or a greedy plugin can do: nothing."""

import importlib.metadata
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

import genzoo
from genzoo import cli, data
from genzoo.data.dataset import Rows
from genzoo.errors import BadInput, OperationFailed, UnknownName
from genzoo.families import registry
from genzoo.testing import status

BARS = """
import numpy as np
import genzoo
from genzoo.data import Rows, Source

def read(root, split):
    n = 300 if split == "train" else 60
    random = np.random.RandomState(n)
    labels = random.randint(2, size=n).astype(np.int64)
    bars = np.zeros((n, 1, 28, 28), np.uint8)
    for bar, label, at, grey in zip(bars, labels, random.randint(28, size=n), random.rand(n)):
        bar[0].T[at] = 255 * grey
        if label:
            bar[0] = bar[0].T
    READ

def source(name="bars"):
    return Source(name, "images", "bars", "free", 256, ("up", "flat"), read, SPLITS, api=2)

@genzoo.hookimpl
def genzoo_dataset():
    return RETURN
"""


def bars(read="return Rows.of(bars, labels)", splits="('train', 'test')", give="source()"):
    return BARS.replace("READ", read).replace("SPLITS", splits).replace("RETURN", give)


BROKEN = {
    "import no_such_module": "No module named 'no_such_module'",
    bars(give="None"): "genzoo_dataset must return a genzoo.data.Source called 'bars', got nothing",
    bars(give="source('other')"): "a genzoo.data.Source called 'bars', got a Source",
    bars(give="{'name': 'bars'}"): "called 'bars', got a dict",
    bars(splits="('train',)"): r"bars has the splits \('train',\), not train and test",
    bars(give="__import__('dataclasses').replace(source(), api=7)"): "plugin API 7",
    bars(give="__import__('dataclasses').replace(source(), api=None)"): "no plugin API",
}
# These show only when the set is read.
LATER = {
    bars(read="1 / 0"): "ZeroDivisionError: division by zero. GENZOO_DEBUG=1",
    bars(read="return bars"): "read must return Rows or ImageFiles, got array",
    bars(read="return Rows('k', lambda: 3)"): "TypeError: 'int' object is not iterable",
    bars(
        read="return Rows('k', lambda: [bars])"
    ): r"must yield \(array, labels or None\), got array",
    bars(read="return Rows('k', lambda: (bars[i] for i in ['x']))"): "IndexError",
    bars(read="return Rows.of(bars.astype(float))"): "data set bars returned float64",
    bars(read="return Rows.of(bars, labels + 1)"): "data set bars returned .* values out of range",
}
# Its images may be dark, too, whatever their class.
DARK = """
import dataclasses

def dark(root, split):
    ((images, _),) = read(root, split).blocks()
    return DARK

def with_attributes():
    return dataclasses.replace(source(), attributes=("dark",), read_attributes=dark)
"""
BRIGHTEST = "images.max((1, 2, 3))[:, None] < 128"


def test_metadata_are_read_again_only_when_a_package_came_or_went(install, tmp_path, monkeypatch):
    """To read those of all packages takes longer than most commands."""
    scans, scan = [], importlib.metadata.distributions
    monkeypatch.setattr(importlib.metadata, "distributions", lambda: scans.append(1) or scan())
    registry._installed.cache_clear()
    assert "bars" not in registry.names("dataset")
    assert "gan" in registry.names("family")
    assert len(scans) == 1
    install("dataset", "bars", bars())
    assert "bars" in registry.names("dataset")
    assert "gan" in registry.names("family")
    assert len(scans) == 2
    shutil.rmtree(tmp_path / "site-packages" / "genzoo_bars-1.0.dist-info")
    assert "bars" not in registry.names("dataset")
    assert len(scans) == 3


def test_a_plugins_data_set_opens_by_name(install):
    module = install("dataset", "bars", bars())
    assert data.names()[-1] == "bars"
    assert module not in sys.modules
    train, test = data.open("bars"), data.open("bars", "test")
    assert (len(train), len(test), train.shape, train.levels) == (300, 60, (1, 28, 28), 256)
    assert (train.classes, train.terms, train.name) == (("up", "flat"), "free", "bars")
    assert len(data.open("bars:up")) == int((train.labels == 0).sum())
    assert data.open("bars", size=14).shape == (1, 14, 14)
    with pytest.raises(BadInput, match="bars has no split 'valid', only train and test"):
        data.open("bars", "valid")
    with pytest.raises(UnknownName, match="no data set is called 'bras': did you mean bars"):
        data.open("bras")


def dark_bars(values=BRIGHTEST):
    return bars(give="with_attributes()") + DARK.replace("DARK", values)


def test_a_plugins_data_set_may_have_attributes(install):
    install("dataset", "bars", dark_bars())
    whole, dark = data.open("bars"), data.open("bars:dark")
    expected = whole.array.max((1, 2, 3)) < 128
    assert 0 < len(dark) == expected.sum() < 300
    assert (dark.array == whole.array[expected]).all()
    assert (data.having(whole, "dark") == expected).all()
    assert data.attributes("bars")[0] == ("dark",)
    with pytest.raises(UnknownName, match=r"'drak'.* dark"):
        data.open("bars:drak")


@pytest.mark.parametrize(
    ("values", "text"), [("1 / 0", "ZeroDivisionError"), ("None", "got None"), ("images", "uint8")]
)
def test_attributes_that_a_plugin_gets_wrong_name_it(install, values, text):
    install("dataset", "bars", dark_bars(values))
    with pytest.raises(OperationFailed, match=f"bars.*{text}"):
        data.open("bars:dark")


def test_the_listing_imports_no_plugin(install, capsys):
    module = install("dataset", "bars", "raise SystemExit", summary="bars, up\x1b[2J and flat")
    assert cli.run(["list", "data", "--json"]) == 0
    *ours, last = json.loads(capsys.readouterr().out)
    assert last == {"name": "bars", "summary": "bars, up[2J and flat", "terms": None,
                    "package": "genzoo-bars"}  # fmt: skip
    assert {s["package"] for s in ours} == {"genzoo"}
    assert cli.run(["list", "data"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("bars ")
    assert module not in sys.modules


@pytest.mark.parametrize("source", BROKEN)
def test_a_broken_data_set_is_told_by_its_plugin(install, source):
    install("dataset", "bars", source)
    with pytest.raises(
        OperationFailed, match=rf"^plugin genzoo-bars \(genzoo_bars\).*{BROKEN[source]}"
    ):
        data.open("bars")
    (told,) = status.inspect(("dataset",))
    assert told.state == "broken"
    assert len(data.open("digits")) == 1500


@pytest.mark.parametrize("source", LATER)
def test_what_breaks_while_reading_is_told_in_a_line(install, source):
    install("dataset", "bars", source)
    with pytest.raises(OperationFailed, match=LATER[source]):
        data.open("bars")


def test_two_plugins_with_one_key_do_not_share_a_cache(install):
    keyed = "return Rows('k', lambda: [(bars, labels)])"
    install("dataset", "bars", bars(keyed))
    install("dataset", "dark", bars(keyed.replace("bars,", "0 * bars,"), give="source('dark')"))
    assert data.open("bars").array.any()
    assert not data.open("dark").array.any()


def test_rows_in_memory_are_keyed_by_all_that_is_in_them():
    x, y = np.zeros((4, 1, 2, 2), np.uint8), np.arange(4)
    others = [Rows.of(x, y + 1), Rows.of(x), Rows.of(x.reshape(4, 1, 4, 1)), Rows.of(x + 1, y)]
    keys = {rows.key for rows in [Rows.of(x, y), Rows.of(x.copy(), y.copy()), *others]}
    assert len(keys) == 5


def test_train_and_evaluate_take_it_by_name(install, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    install("dataset", "bars", bars())
    small = ["--set", "width=8", "--set", "batch_size=8"]
    assert cli.run(["train", "vae", "--data", "bars", "--steps", "2", *small]) == 0
    model = genzoo.load("./vae-bars")
    assert model.provenance["data"] == "bars"
    line = ["evaluate", "./vae-bars", "--features", "mnist", "--metrics", "kd", "-n", "1000"]
    assert cli.run([*line, "--json"]) == 0
    (score,) = json.loads(capsys.readouterr().out.partition("\n")[2])["scores"]
    assert score["protocol"]["data"] == "bars"
    monkeypatch.setenv("GENZOO_DISABLE_PLUGINS", "bars")
    registry._load.cache_clear()
    assert cli.run(line) == 1
    assert "the data set 'bars' is disabled" in capsys.readouterr().err


def test_no_plugin_takes_a_built_in_name(install, capsys):
    install("dataset", "digits", bars(give="source('digits')"), package="thief")
    install("metric", "fid", "import genzoo", package="thief-too")
    assert len(data.open("digits")) == 1500
    assert data.names().count("digits") == 1
    assert [s.package for s in genzoo.list_data() if s.name == "digits"] == ["genzoo"]
    assert cli.run(["plugin", "list"]) == 1
    out = capsys.readouterr().out
    assert "plugin thief (thief) is ignored: genzoo has a built-in data set 'digits'" in out
    assert "built-in metric 'fid'" in out
    assert "thief" not in sys.modules


def test_two_with_one_name_are_a_conflict(install):
    install("dataset", "bars", bars())
    install("dataset", "bars", bars(), package="other-bars")
    with pytest.raises(OperationFailed, match=r"called 'bars': genzoo-bars .* and other-bars"):
        data.open("bars")
    assert {p.state for p in status.inspect(("dataset",))} == {"conflict"}


# ---------------------------------------------------------------------------------------- strictly

LISTINGS = {"family": ["families", "list"], "dataset": ["list data"], "metric": ["list metrics"]}


@pytest.mark.parametrize("kind", LISTINGS)
def test_a_listing_passes_a_broken_plugin_over_unless_told_not_to(
    kind, install, monkeypatch, capsys
):
    install(kind, "torn", "1 / 0")
    for command in LISTINGS[kind]:
        monkeypatch.delenv("GENZOO_STRICT_PLUGINS", raising=False)
        assert cli.run(command.split()) == 0
        monkeypatch.setenv("GENZOO_STRICT_PLUGINS", "0")
        assert cli.run(command.split()) == 0
        capsys.readouterr()
        monkeypatch.setenv("GENZOO_STRICT_PLUGINS", "1")
        assert cli.run(command.split()) == 1
        told = capsys.readouterr()
        assert told.out == ""
        assert "plugin genzoo-torn (genzoo_torn) is broken: ZeroDivisionError" in told.err
        assert told.err.startswith("genzoo: GENZOO_STRICT_PLUGINS is set: ")
        assert told.err.count("\n") == 1


def test_strictly_a_conflict_is_an_error_and_a_disabled_plugin_is_none(install, monkeypatch):
    monkeypatch.setenv("GENZOO_STRICT_PLUGINS", "1")
    status.refuse_broken()
    install("dataset", "digits", bars(give="source('digits')"), package="thief")
    with pytest.raises(OperationFailed, match="GENZOO_STRICT_PLUGINS is set: plugin thief"):
        status.refuse_broken()
    status.refuse_broken("family")
    monkeypatch.setenv("GENZOO_DISABLE_PLUGINS", "thief")
    status.refuse_broken()


def test_strict_listings_of_light_kinds_import_no_torch():
    code = "import sys; from genzoo.testing import status; status.refuse_broken('dataset')"
    code += "; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
