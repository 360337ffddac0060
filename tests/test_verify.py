"""verify: a card's numbers hold, or it says which do not; nothing is downloaded."""

import base64
import json
import zlib

import numpy as np
import pytest

import genzoo
from genzoo import cli
from genzoo.data import downloads
from genzoo.errors import UnknownName
from genzoo.evaluation import verify
from genzoo.evaluation.unread import used_arguments
from genzoo.evaluation.verify import Check
from genzoo.zoo import card as cards
from genzoo.zoo import folder as folders
from genzoo.zoo import names


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A card with two scores of few samples, and one that its own script measured."""
    folder = tmp_path_factory.mktemp("cards") / "mine"
    folders.save(genzoo.load("dcgan-mnist", device="cpu"), folder)
    cards.complete(folder)
    told = {"n": 1000, "features": "mnist", "device": "cpu"}  # the features for kd alone
    genzoo.evaluate(folder, metrics="sharpness,kd", **told).write()
    scores = [{"name": "grace", "value": 7, "protocol": {"by": "eye"}}]
    cards.add_scores(folder, scores)
    return folder


@pytest.fixture
def card(measured, tmp_path):
    """A copy of it, to spoil."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for path in measured.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def spoilt(card, change):
    metrics = json.loads((card / "metrics.json").read_text())
    change(metrics)
    (card / "metrics.json").write_text(json.dumps(metrics))


def named(metrics, name):
    return next(s for s in metrics["scores"] if s["name"] == name)


def states(checks):
    return {check.name: check.state for check in checks}


def test_what_was_measured_is_found_again(card):
    found = [*verify.verify(card)]
    assert states(found) == {
        "fingerprint": "ok",
        "grace": "skipped",
        "sharpness-mnist": "ok",
        "kd-mnist": "ok",
    }
    assert found[0].name == "fingerprint"
    for check in found[2:]:
        assert abs(check.card - check.now) <= check.tolerance
    assert "no request" in found[1].reason


def test_an_older_card_stores_what_a_number_does_not_depend_on(card):
    spoilt(card, lambda m: named(m, "sharpness-mnist")["request"].update(groups=5, features="x"))
    assert states(verify.verify(card))["sharpness-mnist"] == "ok"


FEATURES = {"features_sha256": "0" * 64, "real": "all"}


@pytest.mark.parametrize(
    ("name", "protocol", "features", "used"),
    [
        ("fd-mnist", FEATURES, "mnist", ["features", "groups", "limit"]),
        ("kd-mnist", FEATURES, "inception", ["limit"]),
        ("mode_kl-mnist", FEATURES, "mnist", ["features", "limit"]),
        ("recall-mnist", FEATURES, "mnist", ["features", "groups", "limit"]),
        ("fid", FEATURES, "mnist", ["groups", "limit"]),
        ("fid", FEATURES, "inception:file.pth", ["features", "groups", "limit"]),
        ("fd-network", FEATURES, "module:network", ["features", "groups", "limit"]),
        ("nearest_train_features-digits", FEATURES, "mnist", ["features"]),
        ("label_accuracy-fashion-mnist", FEATURES, "fashion-mnist", ["features"]),
        ("sharpness-mnist", {"real": "all"}, "mnist", ["limit"]),
        ("elbo-mnist", {}, "mnist", []),
        ("somebodys-mnist", {}, "mnist", ["features", "groups", "limit"]),
    ],
)
def test_a_request_holds_what_the_score_depends_on(name, protocol, features, used):
    request = {"features": features, "groups": 2, "limit": 100, "n": 10, "size": 8}
    assert [*used_arguments(name, protocol, request)] == [*used, "n", "size"]


def test_a_number_beyond_its_tolerance_differs(card):
    def change(metrics):
        score = named(metrics, "sharpness-mnist")
        score["value"] += 1.5 * score["tolerance"]

    spoilt(card, change)
    found = {check.name: check for check in verify.verify(card)}
    assert found["sharpness-mnist"].state == "differs"
    assert "tolerance" in found["sharpness-mnist"].reason
    assert found["kd-mnist"].state == "ok"


def test_a_card_cannot_allow_itself_more(card):
    spoilt(card, lambda m: named(m, "kd-mnist").update(value=123.0, tolerance=1e6))
    found = {check.name: check for check in verify.verify(card)}
    assert found["kd-mnist"].state == "differs"


def test_an_interval_of_the_cards_own_allows_nothing(card):
    told = {"value": 1.0, "interval": [-100.0, 100.0], "tolerance": 999.0}
    spoilt(card, lambda m: named(m, "kd-mnist").update(told))
    found = {check.name: check for check in verify.verify(card)}
    assert found["kd-mnist"].state == "differs"


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"name": "kid"}, "gives kd-mnist with the goal lower"),
        ({"goal": "higher"}, "gives kd-mnist with the goal lower"),
        ({"floor": 99.0}, "interval or floor differs"),
        ({"interval": [-9.0, 9.0]}, "interval or floor differs"),
        ({"interval": None}, "interval or floor differs"),
    ],
)
def test_what_stands_around_a_number_is_looked_at_too(card, told, said):
    spoilt(card, lambda m: named(m, "kd-mnist").update(told))
    found = {check.name: check for check in verify.verify(card)}
    check = found[told.get("name", "kd-mnist")]
    assert check.state == "differs"
    assert said in check.reason


def test_where_nothing_could_be_verified_it_does_not_end_well(card, capsys):
    def strip(metrics):
        metrics.pop("fingerprint")
        for score in metrics["scores"]:
            score.pop("request", None)

    spoilt(card, strip)
    assert cli.run(["verify", str(card)]) == 1
    assert "mine: no number" in capsys.readouterr().err


def test_what_cannot_be_asked_differs(card):
    spoilt(card, lambda m: named(m, "kd-mnist")["request"].update(n=3))
    found = {check.name: check for check in verify.verify(card)}
    assert found["kd-mnist"].state == "differs"
    assert "at least 1,000 samples" in found["kd-mnist"].reason


def test_a_folder_without_a_model_is_no_model(tmp_path):
    with pytest.raises(UnknownName, match="folder"):
        verify.verify(tmp_path / "none")[0]


def test_another_protocol_differs_whatever_the_value(card):
    spoilt(card, lambda m: named(m, "kd-mnist")["protocol"].update(features_sha256="0" * 64))
    found = {check.name: check for check in verify.verify(card)}
    assert found["kd-mnist"].state == "differs"
    assert "differs in features_sha256" in found["kd-mnist"].reason


def test_a_card_that_asks_for_nonsense_differs(card):
    spoilt(card, lambda m: named(m, "kd-mnist")["request"].update(colour="blue"))
    found = {check.name: check for check in verify.verify(card)}
    assert (found["kd-mnist"].state, "colour" in found["kd-mnist"].reason) == ("differs", True)


def test_another_models_fingerprint_differs(card):
    other = cards.fingerprint(genzoo.load("gan-mnist", device="cpu"))
    spoilt(card, lambda m: m.update(fingerprint=other))
    first = verify.verify(card)[0]
    assert (first.name, first.state) == ("fingerprint", "differs")
    assert "of 256 levels" in first.reason


def test_a_level_more_or_less_is_another_machines_rounding(card):
    def change(metrics):
        content = zlib.decompress(base64.b64decode(metrics["fingerprint"]))
        kept = np.frombuffer(content, np.uint8).astype(int)
        kept += np.where(kept > 128, -verify.LEVELS, verify.LEVELS)
        packed = zlib.compress(kept.astype(np.uint8).tobytes())
        metrics["fingerprint"] = base64.b64encode(packed).decode()

    spoilt(card, change)
    first = verify.verify(card)[0]
    assert (first.state, first.now) == ("ok", verify.LEVELS)


def test_what_needs_data_is_skipped_without_them(card, monkeypatch):
    """And nothing is downloaded for it."""
    monkeypatch.delenv("GENZOO_DATA", raising=False)
    monkeypatch.setattr(downloads, "_download", lambda *_: pytest.fail("downloads"))
    asked = {"metrics": "nearest_train_pixels-mnist", "data": "mnist", "seed": 0}
    told = {
        "name": "nearest_train_pixels-mnist",
        "value": 1.0,
        "tolerance": 0.1,
        "protocol": {},
        "request": asked,
    }
    spoilt(card, lambda m: m.update(scores=[told]))
    (_, check) = verify.verify(card)
    assert check.state == "skipped"
    assert "mnist" in check.reason


def test_a_card_without_numbers_has_nothing_to_verify(card):
    (card / "metrics.json").unlink()
    assert [*verify.verify(card)] == [
        Check("fingerprint", "skipped", reason="the card has none"),
    ]


def test_an_unknown_model_is_named():
    with pytest.raises(UnknownName, match="did you mean vae-mnist"):
        verify.verify("vae-minst")[0]


# ------------------------------------------------------------------------------------ command line


def test_the_command_says_what_holds(card, capsys):
    assert cli.run(["verify", str(card)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any("kd-mnist" in line and " ok " in line for line in lines)


def test_the_command_fails_where_one_differs(card, capsys):
    spoilt(card, lambda m: named(m, "kd-mnist").update(value=5.0))
    assert cli.run(["verify", str(card), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [c["name"] for c in found if c["state"] == "differs"] == ["kd-mnist"]


def test_the_command_takes_names_or_all(capsys):
    assert cli.run(["verify"]) == 2
    assert cli.run(["verify", "vae-mnist", "--all"]) == 2
    assert capsys.readouterr().err.count("--all") == 2


@pytest.mark.parametrize("name", ["dcgan-mnist", "vae-mnist"])
def test_cards_that_come_along_hold_without_any_data(name, monkeypatch):
    monkeypatch.delenv("GENZOO_DATA", raising=False)
    metrics = cards.metrics_of(names.folder_of(name))
    scores = tuple(s for s in metrics.scores if s.name in ("kd-mnist", "class_score-mnist"))
    assert len(scores) == 2
    metrics = metrics.model_copy(update={"scores": scores})
    monkeypatch.setattr(cards, "metrics_of", lambda folder: metrics)
    assert set(states(verify.verify(name)).values()) == {"ok"}


@pytest.mark.slow
@pytest.mark.data
def test_every_number_of_every_card_holds():
    """What ``genzoo verify --all`` says: it takes a while."""
    found = {name: [*verify.verify(name)] for name in names.model_names()}
    wrong = {k: [c for c in v if c.state != "ok"] for k, v in found.items()}
    assert {k: v for k, v in wrong.items() if v} == {}
    assert all(len(checks) > 1 for checks in found.values()), "a card without a score"
