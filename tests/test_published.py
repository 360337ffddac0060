"""Published numbers: as printed, with their protocols; ours beside them only where alike."""

import json
import re
from types import SimpleNamespace

import pytest

from genzoo import data
from genzoo.cli import run
from genzoo.errors import InvalidModel, UnknownName
from genzoo.evaluation import published
from genzoo.metrics import likelihood_metrics, registry

EVERY = [record for name in published.names() for record in published.published(name)]
# Goodfellow et al. 2014, Table 1.
PARZEN = {
    "DBN": ((138, 2), (1909, 66)),
    "Stacked CAE": ((121, 1.6), (2110, 50)),
    "Deep GSN": ((214, 1.1), (1890, 29)),
    "Adversarial nets": ((225, 2), (2057, 26)),
}
# Radford et al. 2016, Table 1: accuracy, accuracy with 400 labels of each class, feature units.
PROBES = {
    "1 Layer K-means": (80.6, (63.7, 0.7), 4800),
    "3 Layer K-means Learned RF": (82.0, (70.7, 0.7), 3200),
    "View Invariant K-means": (81.9, (72.6, 0.7), 6400),
    "Exemplar CNN": (84.3, (77.4, 0.2), 1024),
    "DCGAN + L2-SVM": (82.8, (73.8, 0.4), 512),
}
NLL = {"NADE": 88.33, "MADE, 2 hidden layers, 32 masks": 86.64, "PixelCNN": 81.30}
NLL |= {f"PixelRNN (Diagonal BiLSTM), {n}": v for n, v in (("1 layer", 80.75), ("7 layers", 79.2))}


@pytest.fixture
def call(capsys):
    def called(line):
        code = run(line.split())
        return code, *capsys.readouterr()

    return called


@pytest.fixture
def card(tmp_path, only_models):
    """Write a card's scores; it is the only card."""

    def written(name, *scores):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
        values = {"format": 2, "scores": scores}
        (tmp_path / name / "metrics.json").write_text(json.dumps(values))

    only_models(tmp_path)
    return written


def parzen(samples=10_000, name="parzen-mnist", **told):
    protocol = {"samples": samples, **told}
    return {"name": name, "value": 223.5, "interval": [221.5, 225.5], "protocol": protocol}


def found(data, metric):
    records = [r for r in published.published(data) if r.metric == metric]
    return {r.model: (r.value, r.plus_minus) for r in records}


# ------------------------------------------------------------------------------------- the numbers


@pytest.mark.parametrize(("column", "where"), [(0, "mnist"), (1, "tfd")])
def test_the_parzen_table_is_whole(column, where):
    cells = found(where, "parzen")
    assert {m: cells[m] for m in PARZEN} == {m: row[column] for m, row in PARZEN.items()}


def test_the_conditional_net_stands_with_its_own_protocol():
    assert found("mnist", "parzen")["Conditional adversarial nets"] == (132, 1.8)
    assert [len(t.rows) for t in published.tables("mnist", "parzen")] == [4, 1]
    assert found("tfd", "parzen").keys() == PARZEN.keys()


def test_the_probe_table_is_whole():
    assert found("cifar10", "accuracy") == {m: (row[0], None) for m, row in PROBES.items()}
    assert found("cifar10", "accuracy-400") == {m: row[1] for m, row in PROBES.items()}
    assert found("cifar10", "feature-units") == {m: (row[2], None) for m, row in PROBES.items()}


def test_exact_likelihoods_stand_apart_from_bounds_and_estimates():
    drawn = [t for t in published.tables("mnist-binarized") if "fixed draw" in t.protocol.features]
    exact = next(t for t in drawn if "likelihood exact" in t.protocol.features)
    assert NLL.items() <= {r.model: r.value for r in exact.rows}.items()
    assert {r.relation for r in exact.rows} == {"="}
    (draw,) = next(t for t in drawn if "bounded" in t.protocol.features).rows
    assert (draw.model, draw.relation, draw.value) == ("DRAW", "<=", 80.97)
    weighted = [t for t in drawn if "importance sampling, " in t.protocol.features]
    importance = {r.model: r.value for t in weighted for r in t.rows}
    assert importance["VAE"] == 89.78
    assert importance["IWAE, 50 samples"] == 86.82


@pytest.mark.parametrize("name", published.names())
def test_every_number_has_a_protocol_and_a_source(name):
    for record in published.published(name):
        where = f"{record.model}, {record.metric}"
        assert record.data == name
        assert record.model, where
        assert record.protocol.split, where
        assert record.protocol.features, where
        assert record.source.title, where
        assert record.source.where, where
        assert 2000 < record.source.year < 2030, where
        assert re.match(r"arXiv:\d{4}\.\d{4,5}$|https://", record.source.link), where
        assert record.value > 0, where
        assert record.plus_minus is None or 0 <= record.plus_minus < record.value / 10, where
        assert (record.plus_minus is None) or record.protocol.plus_minus, f"{where}: +- of what"


def test_distances_say_how_many_images_they_compare():
    distances = [r for r in EVERY if r.metric in ("fid", "kid")]
    assert len(distances) > 100
    for record in distances:
        assert record.protocol.n_real, record
        assert record.protocol.n_fake, record
    # One network, one set of images, two ways of resizing: two tables.
    fids = [r for r in distances if (r.data, r.model) == ("cifar10", "StyleGAN2 + mirror")]
    assert sorted(r.value for r in fids) == [11.07, 12.96]
    assert len({str(r.protocol) for r in fids}) == 2


def test_nothing_stands_there_twice():
    keys = [(r.data, r.model, r.metric, str(r.protocol), str(r.source)) for r in EVERY]
    assert len(keys) == len({*keys}) > 300


def test_the_unchecked_are_few_and_named():
    """What no file or transcript was found for; a new one belongs here only if it is wanted."""
    memory = [r for r in EVERY if r.checked == "memory"]
    assert {r.data for r in memory} == {"cifar10", "mnist-binarized", "imagenet"}
    assert len(memory) == 12


def test_one_metric_has_one_direction_and_one_unit():
    told = {}
    for r in EVERY:
        told.setdefault(r.metric, (r.higher_is_better, r.unit))
        assert told[r.metric] == (r.higher_is_better, r.unit), r
    assert told["fid"] == (False, "")
    assert told["is"] == (True, "")


def test_names_are_genzoos_where_it_has_the_data():
    shared = {*published.names()} & {*data.names()}
    assert {"mnist", "mnist-binarized", "cifar10", "celeba"} <= shared


def test_no_table_mixes_protocols():
    for name in published.names():
        tables = published.tables(name)
        assert sum(len(t.rows) for t in tables) == len(published.published(name))
        for table in tables:
            told = {(r.metric, r.protocol.model_dump_json()) for r in table.rows}
            assert told == {(table.metric, table.protocol.model_dump_json())}


@pytest.mark.parametrize(
    "change",
    [
        {"value": float("nan")},
        {"value": "225"},
        {"source": None},
        {"protocol": {"n_real": 1, "n_fake": 1, "split": "test"}},
        {"model": "a\u001b[2Jb"},
        {"checked": "surely"},
        {"more": 1},
    ],
)
def test_a_damaged_file_is_refused(change, tmp_path, monkeypatch):
    record = {**json.loads(published.FILE.read_text())[0], **change}
    (tmp_path / "published.json").write_text(json.dumps([record]))
    monkeypatch.setattr(published, "FILE", tmp_path / "published.json")
    published._records.cache_clear()
    with pytest.raises(InvalidModel, match="published"):
        published.names()
    monkeypatch.undo()
    published._records.cache_clear()


def test_unknown_names_have_near_ones():
    with pytest.raises(UnknownName, match="did you mean mnist"):
        published.published("mnits")
    with pytest.raises(UnknownName, match="did you mean fid"):
        published.tables("cifar10", "fod")


# ------------------------------------------------------------------------------------ ours beside


def test_a_score_stands_in_the_table_it_is_like(card, call):
    card("some-gan", parzen())
    plain, of_classes, *_ = published.tables("mnist", "parzen")
    (score,) = plain.card_scores
    assert (score.card, score.value, score.differences) == ("some-gan", 223.5, "")
    assert plain.missing == ""
    assert "of each" in of_classes.counterpart.remark
    assert of_classes.card_scores[0].differences == ""
    code, out, _ = call("reference mnist --metric parzen")
    assert code == 0
    assert re.search(r"^genzoo: some-gan +223.5 \(221.5 to 225.5\) +card$", out, re.M)
    assert "1,000 samples of each class" in out


@pytest.mark.parametrize(
    ("score", "said"),
    [
        (parzen(samples=4000), "few not comparable: samples 4,000, here 10,000"),
        (parzen(name="parzen-mnist-binarized"), "no card has a comparable parzen-mnist score"),
        (parzen(name="fd-mnist"), "no card has a comparable parzen-mnist score"),
    ],
)
def test_a_score_that_is_not_alike_stands_in_no_table(score, said, card, call):
    card("few", score)
    _, out, _ = call("reference mnist --metric parzen")
    assert f"genzoo: {said}" in out.splitlines()
    assert "223.5" not in out


def test_no_metric_of_genzoos_is_said_to_be_unmeasurable():
    """What can be measured follows from the metrics that there are, not from a sentence."""
    for record in EVERY:
        own = published.counterpart(record)
        ids = {name for name in registry.RESERVED if f"{own.score}-".startswith(f"{name}-")}
        assert own.score is None or ids, own
        if record.metric in registry.RESERVED and record.data in data.names():
            assert own.score is not None, record
    without = {r.metric for r in EVERY if r.metric not in published.COUNTERPARTS}
    assert without == {"error", "feature-units"}


def test_a_fid_stands_where_network_images_and_their_number_are_the_same(card, call):
    told = {"data": "cifar10", "real": "50,000 training images", "samples": 50_000}
    card("some-gan", {"name": "fid", "value": 223.5, "protocol": told})
    comparable = [t for t in published.tables("cifar10", "fid") if not t.missing]
    assert comparable
    for table in comparable:
        assert (table.protocol.n_real, table.protocol.n_fake) == (50_000, 50_000)
        assert "TensorFlow" in table.protocol.features
    _, out, _ = call("reference cifar10 --metric fid")
    assert "cannot be measured" not in out
    assert "the number of images is not stated" in out
    assert "genzoo: some-gan" in out


def test_a_score_on_other_data_stands_in_no_table(card):
    told = {"data": "mnist", "real": "50,000 training images", "samples": 50_000}
    card("some-gan", {"name": "fid", "value": 223.5, "protocol": told})
    assert all(table.missing for table in published.tables("cifar10", "fid"))
    assert all(table.missing for table in published.tables("stl10", "fid"))


def test_an_exact_likelihood_stands_with_exact_ones_alone(card):
    told = {"likelihood": "exact", "levels": 2, "class-conditional": False}
    card("some-model", {"name": "nll-mnist-binarized", "value": 82.46, "protocol": told})
    tables = published.tables("mnist-binarized")
    alike = [t for t in tables if any(not score.differences for score in t.card_scores)]
    assert ["likelihood exact" in t.protocol.features for t in alike] == [True]
    assert alike[0].protocol.split == "test"
    assert alike[0].card_scores[0].interval is None


def test_a_likelihood_of_drawn_pixels_stands_with_papers_that_draw(card):
    """The fixed draw of MNIST is another data set than grey MNIST, drawn at evaluation."""
    law = likelihood_metrics.law_of(2, True)
    told = {"likelihood": "exact", "levels": 2, "class-conditional": False}
    card("rounded", {"name": "nll-mnist", "value": 62.45, "protocol": told})
    card("drawn", {"name": "nll-mnist", "value": 78.6, "protocol": {**told, **law}})
    card("labels", {"name": "nll-mnist", "value": 70.0,
                    "protocol": {**told, **law, "class-conditional": True}})  # fmt: skip
    card("fixed", {"name": "nll-mnist-binarized", "value": 82.5, "protocol": told})
    stands = {
        score.card: t.protocol.features
        for t in published.tables("mnist-binarized")
        for score in t.card_scores
        if not score.differences
    }
    assert {*stands} == {"drawn", "fixed"}
    assert "drawn anew" in stands["drawn"]
    assert "fixed draw" in stands["fixed"]


# ------------------------------------------------------------------------------------- the command


def test_it_lists_what_there_is(call):
    code, out, err = call("reference")
    assert (code, err) == (0, "")
    listed = [line.split()[0] for line in out.splitlines()]
    assert listed == ["data", *published.names()]
    code, out, _ = call("reference --json")
    assert {entry["data"]: entry["numbers"] for entry in json.loads(out)} == {
        name: len(published.published(name)) for name in published.names()
    }


@pytest.mark.parametrize("name", published.names())
def test_it_shows_every_number_with_its_source(name, call):
    code, out, err = call(f"reference {name}")
    assert (code, err) == (0, "")
    assert out.isascii()
    blocks = out.split("\n\n")
    assert len(blocks) == len(published.tables(name))
    for block, table in zip(blocks, published.tables(name), strict=True):
        assert block.splitlines()[1] == f"protocol: {table.protocol}"
        for row in table.rows:
            assert str(row.source) in block
            assert re.search(rf"^{re.escape(row.model)} .*{row.value:.10g}", block, re.M)


def test_json_holds_all_of_it(card, call):
    card("some-gan", parzen())
    code, out, _ = call("reference mnist --json")
    record = json.loads(out)
    assert code == 0
    assert record.keys() == {"data", "tables"}
    table = record["tables"][0]
    assert table.keys() == {
        *("metric", "unit", "higher_is_better", "protocol", "rows"),
        *("counterpart", "card_scores", "missing"),
    }
    assert table["rows"][3]["value"] == 225
    assert table["rows"][3].keys() == {
        *("model", "relation", "value", "plus_minus", "source", "checked")
    }
    assert table["card_scores"] == [
        {
            "card": "some-gan",
            "value": 223.5,
            "interval": [221.5, 225.5],
            "protocol": {"samples": 10_000},
            "differences": "",
        }
    ]
    assert sum(len(t["rows"]) for t in record["tables"]) == len(published.published("mnist"))


@pytest.mark.parametrize(
    "line", ["nope", "\x1b[2J", "mnist --metric fod", "mnist --metric \x1b]0;x\x07", "--metric fid"]
)
def test_what_is_unknown_is_one_line(line, call):
    code, out, err = call(f"reference {line}")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert err[:-1].isprintable()


def test_words_of_a_card_do_not_drive_the_terminal(card, call, monkeypatch):
    card("some-gan", parzen(samples="\x1b[2J"))
    _, out, _ = call("reference mnist --metric parzen")
    assert "some-gan not comparable: samples" in out
    assert out.replace("\n", "").isprintable()
    table = published.tables("mnist", "parzen")[0]
    odd = SimpleNamespace(card="\x1b[2Jodd", value=1.0, interval=None, differences="", protocol={})
    shown = SimpleNamespace(**{**vars(table), "card_scores": (odd,), "missing": "\x07"})
    monkeypatch.setattr(published, "tables", lambda data, metric: [shown])
    _, out, _ = call("reference mnist")
    assert "odd" in out
    assert out.replace("\n", "").isprintable()
