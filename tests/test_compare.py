"""compare: which is better, at what, and how sure; what it writes; what it refuses."""

import html
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import genzoo
from genzoo import cli, families
from genzoo.errors import BadInput, UnknownName
from genzoo.evaluation import compare, comparison, seeds
from genzoo.metrics import score as scoring
from genzoo.metrics import subjects
from genzoo.metrics.real_data import RealData
from genzoo.runs import launch
from genzoo.zoo import folder as store
from genzoo.zoo import manifest as manifests
from genzoo.zoo import names as model_names

N_SAMPLES = 1280
USUAL = ("fd", "kd", "precision", "recall", "class_score", "mode_kl", "sharpness")


@pytest.fixture(scope="module")
def found():
    return genzoo.compare("vae", "dcgan", n=N_SAMPLES, device="cpu")


def fixed(record):
    """A record without what a clock says."""
    return json.loads(re.sub(r'"seconds": \[[^]]*\]', '"seconds": 0', json.dumps(record)))


def tiny(folder, seed=0, shape=(1, 28, 28), data="mnist", **told):
    """A VAE that has learnt nothing, as a folder."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        vae = families.get("vae")
        model = vae.model(vae.config(shape=shape, latent_dim=2, width=8))
    return store.save(model, folder, data=data, **told)


# ------------------------------------------------------------------------------------- what it says


def test_families_meet_on_the_first_data_set_they_share(found):
    assert [e.name for e in found.entries] == ["vae-mnist", "dcgan-mnist"]
    assert found.data == "mnist"
    assert "training data" in found.reason


def test_every_number_has_its_protocol(found):
    for model in found.record()["models"]:
        assert [s["name"] for s in model["scores"]] == [f"{kind}-mnist" for kind in USUAL]
        for score in model["scores"]:
            assert score["interval"][0] < score["value"] < score["interval"][1]
            assert score["protocol"]["samples"] == N_SAMPLES
            if score["name"] != "sharpness-mnist":
                assert score["protocol"]["features_sha256"] == RealData("mnist").features.sha256
        assert model["origin"]["weights_sha256"]


def test_a_digit_of_a_gan_is_sharper_than_one_of_a_vae(found):
    assert found.verdicts["sharpness-mnist"] == ("worse", "better")


def test_it_says_the_same_again_whatever_the_order(found):
    again = genzoo.compare("dcgan-mnist", "vae-mnist", n=N_SAMPLES, device="cpu", data="mnist")
    one, other = fixed(found.record())["models"], fixed(again.record())["models"]
    assert other == one[::-1]


@pytest.mark.slow
def test_more_training_wins(tmp_path):
    """The same model after 30 steps and after 200."""
    for name, steps in (("early", 30), ("late", 200)):
        launch.start("vae", "digits", tmp_path / name, steps=steps, device="cpu").go()
    names = [tmp_path / name for name in ("early", "late")]
    found = genzoo.compare(*names, data="mnist", n=N_SAMPLES, device="cpu")
    assert found.verdicts["fd-mnist"] == found.verdicts["kd-mnist"] == ("worse", "better")


def test_it_prints_as_a_table_and_shows_as_one_line(found):
    text = str(found)
    assert "sharpness-mnist: dcgan-mnist is better" in text
    row = next(line for line in text.splitlines() if line.startswith("sharpness-mnist ("))
    assert row.index("worse") < row.index("better")
    assert repr(found).startswith("<Comparison of vae-mnist and dcgan-mnist on mnist, 1280 ")


def test_it_says_what_a_frechet_distance_does_not_see_and_that_models_are_ranked(found):
    lines = str(found).splitlines()
    (own,) = (line for line in lines if line.startswith("fd-mnist: "))
    assert "sees no single sample" in own
    assert sum("sees no single sample" in line for line in lines) == 1
    assert "several training seeds" in lines[-1]
    assert found.families == {}
    assert found.record()["families"] == []


def test_families_of_several_training_seeds_are_ranked_by_the_spread_over_seeds(found):
    """Six models, made from two: what differs between seeds decides, not the samples of each."""
    first, second = found.entries
    training = [seeds.Training("a", 0), seeds.Training("a", 1), seeds.Training("a", 2)]
    training += [seeds.Training("b", 0), seeds.Training("b", 1), seeds.Training("b", 2)]
    entries = [
        replace(e, training=t) for e, t in zip([first] * 3 + [second] * 3, training, strict=True)
    ]
    one = found.scores["fd-mnist"][0]
    values = {"fd-mnist": (5.0, 5.1, 5.2, 7.0, 7.3, 7.1), "kd-mnist": (5.0, 9.0, 7.0, 7.5, 4.0, 11)}
    scores = {k: tuple(replace(one, value=x) for x in own) for k, own in values.items()}
    whole = replace(
        found,
        entries=tuple(entries),
        scores=scores,
        verdicts=dict.fromkeys(scores, ("can't tell",) * 6),
    )
    assert [spread.verdict for spread in whole.families["fd-mnist"]] == ["better", "worse"]
    assert [spread.verdict for spread in whole.families["kd-mnist"]] == ["can't tell"] * 2
    text = str(whole)
    assert re.search(r"fd-mnist +5.1 \+- 0.1  better +7.13 \+- 0.15  worse", text)
    assert "vae, 3 seeds" in text
    assert seeds.MODELS not in text
    record = whole.record()["families"]
    assert [family["training_seeds"] for family in record] == [[0, 1, 2], [0, 1, 2]]
    assert record[1]["scores"][0]["values"] == [7.0, 7.3, 7.1]
    assert "dcgan, 3 seeds" in comparison.page(whole)


def test_a_family_is_what_one_recipe_and_several_seeds_made(tmp_path):
    told = {"steps": 1, "device": "cpu"}
    for name, more in (("a", {}), ("b", {"seed": 1}), ("c", {"seed": 2, "values": {"width": 9}})):
        launch.start("vae", "digits", tmp_path / name, **told, **more).go()
    made = [manifests.read_manifest(tmp_path / name) for name in "abc"]
    training = [seeds.training_of(m) for m in made]
    groups = seeds.seed_groups(["vae"] * 3, training)
    assert groups == [("vae", (0, 1))]
    assert seeds.seed_groups(["vae"] * 2, [training[0], training[0]]) == []
    assert seeds.training_of(made[0].model_copy(update={"recipe": None})) == ("", 0)


def test_the_speed_of_each_is_told(found):
    for entrant in found.entries:
        assert len(entrant.seconds) == compare.ROUNDS
        assert 0 < entrant.milliseconds < 1000


# ------------------------------------------------------------------------- abilities, protocols


@pytest.fixture(scope="module")
def unlike():
    """A model with a likelihood beside one without, on data whose features are another set's."""
    told = {"data": "digits", "features": "mnist", "metrics": "elbo,sharpness,fd", "n": N_SAMPLES}
    return genzoo.compare("vae-mnist", "dcgan-mnist", device="cpu", **told)


def test_a_model_without_the_ability_has_no_score(unlike):
    elbo = unlike.scores["elbo-digits"]
    assert elbo[0].value > 0
    assert elbo[1] is None
    assert unlike.verdicts["elbo-digits"] == ("not ranked", None)
    assert unlike.verdicts["fd-mnist"][0] in ("better", "worse", "can't tell")
    text = str(unlike)
    assert "elbo-digits: not ranked, because it applies to one model only" in text
    assert "does not apply" in text
    first, second = unlike.record()["models"]
    assert [s["name"] for s in first["scores"]] == ["elbo-digits", "sharpness-digits", "fd-mnist"]
    assert [s["name"] for s in second["scores"]] == ["sharpness-digits", "fd-mnist"]


def test_the_page_shows_every_protocol_and_what_the_cards_say(unlike, found):
    page = html.unescape(comparison.page(unlike))
    assert "data digits" in page
    assert "features genzoo's classifier of mnist" in page
    for entrant in found.entries:
        for score in entrant.card_scores:
            if score.name not in found.scores:
                assert score.name in comparison.page(found)
    assert comparison.picture(unlike).startswith(b"\x89PNG")


def test_what_none_of_them_can_be_measured_by_says_why():
    with pytest.raises(BadInput, match=r"nll-mnist applies to none .*vae-mnist: "):
        genzoo.compare("vae", "dcgan", metrics="nll")


def test_unlike_protocols_are_said_and_not_ranked(found):
    """Were one number of other features, nobody would be told that it is better."""
    from dataclasses import replace

    one, other = found.scores["fd-mnist"]
    other = replace(other, protocol={**other.protocol, "features_sha256": "0" * 64})
    scores = {**found.scores, "fd-mnist": (one, other)}
    verdicts = {**found.verdicts, "fd-mnist": tuple(scoring.verdicts([one, other]))}
    told = replace(found, scores=scores, verdicts=verdicts)
    assert told.verdicts["fd-mnist"] == ("not ranked", "not ranked")
    assert "fd-mnist: not ranked, because the protocols differ in features_sha256" in str(told)


# ------------------------------------------------------------------------------- which data set


@pytest.fixture
def shelf(tmp_path, only_models):
    """Cards of two families on two data sets, one of which has no features."""
    home = tmp_path / "cards"
    only_models(home)
    for seed, (name, data) in enumerate(
        [("vae-celeba", "celeba"), ("vae-mnist", "mnist"), ("vae-digits", "digits")]
    ):
        tiny(home / name, seed, data=data)
    values = {"plugin": "genzoo-dcgan", "family": "dcgan", "config": {}}
    for i, data in enumerate(("celeba", "mnist", "digits")):
        told = {**values, "name": f"dcgan-{data}", "data": data, "weights_sha256": f"{i}" * 64}
        (home / f"dcgan-{data}").mkdir()
        manifest = {"format": 1, "plugin_version": "0.1.0", **told}
        (home / f"dcgan-{data}" / manifests.CONFIG).write_text(json.dumps(manifest))
    return home


def test_the_preferred_data_set_is_taken_and_the_others_are_named(shelf):
    folders, data, why = compare.choose_models(["vae", "dcgan"])
    assert (list(folders), data) == (["vae-mnist", "dcgan-mnist"], "mnist")
    assert "data=: celeba" in why


def test_data_chooses(shelf):
    folders, data, why = compare.choose_models(["vae", "dcgan"], "celeba")
    assert (list(folders), data, why) == (
        ["vae-celeba", "dcgan-celeba"],
        "celeba",
        "given with data=",
    )


def test_a_card_decides_for_the_family_beside_it(shelf):
    folders, data, _ = compare.choose_models(["vae", "dcgan-celeba"])
    assert (list(folders), data) == (["vae-celeba", "dcgan-celeba"], "celeba")


def test_nothing_in_common_names_what_each_was_trained_on(shelf):
    with pytest.raises(BadInput, match=r"vae-celeba on celeba, dcgan-mnist on mnist.*data="):
        compare.choose_models(["vae-celeba", "dcgan-mnist"])


def test_shared_data_without_a_classifier_are_not_said_to_be_different(shelf):
    with pytest.raises(BadInput, match=r"'digits', on which all .* features=, or .* metrics=; or"):
        compare.choose_models(["vae-digits", "dcgan-digits"])


def test_a_family_without_a_model_on_the_data_says_what_it_has(shelf):
    for card in ("dcgan-mnist", "dcgan-digits"):
        (shelf / card / manifests.CONFIG).unlink()
    with pytest.raises(BadInput, match=r"dcgan .* mnist, available: celeba"):
        compare.choose_models(["vae", "dcgan"], "mnist")


def test_a_family_without_any_model_says_how_to_get_one(shelf):
    for card in shelf.glob("dcgan-*"):
        (card / manifests.CONFIG).unlink()
    with pytest.raises(UnknownName, match=r"genzoo\.train\('dcgan'"):
        compare.choose_models(["vae", "dcgan"])


def test_folders_of_one_name_are_told_apart(tmp_path):
    folders = [tiny(tmp_path / str(i) / "mine", i) for i in range(2)]
    chosen, _, _ = compare.choose_models(folders)
    assert list(chosen) == ["mine", str(folders[1])]


# ---------------------------------------------------------------------------------- what it refuses


@pytest.mark.parametrize(
    ("models", "said"),
    [
        (["vae-mnist"], "two models or more, got 1"),
        (["vae-mnist", "vae-mnist"], "^vae-mnist is already in the comparison"),
        (["vae-mnist", "vae"], "vae is vae-mnist, which is already in the comparison"),
    ],
)
def test_a_comparison_takes_two_different_models(models, said):
    with pytest.raises(BadInput, match=said):
        genzoo.compare(*models)


def test_a_copy_of_a_model_is_the_same_model(tmp_path):
    one, two = tiny(tmp_path / "one"), tiny(tmp_path / "two")
    with pytest.raises(BadInput, match=r"two and .*one have the same weights"):
        genzoo.compare(one, two)


def test_unknown_things_are_named():
    with pytest.raises(UnknownName, match="did you mean vae-mnist"):
        genzoo.compare("vae-minst", "dcgan")
    with pytest.raises(BadInput, match="classifier for 'imagenet'"):
        genzoo.compare("vae", "dcgan", data="imagenet")
    with pytest.raises(UnknownName, match="fd-mnist"):
        genzoo.compare("vae", "dcgan", metrics=["fd-minst"])
    with pytest.raises(UnknownName, match="no metric is called 'lpips'"):
        genzoo.compare("vae", "dcgan", metrics="lpips")
    for nothing in ([], "", [""]):
        with pytest.raises(BadInput, match="empty metric name"):
            genzoo.compare("vae", "dcgan", metrics=nothing)


def test_a_model_in_memory_has_no_name_to_compare_it_by(density):
    with pytest.raises(BadInput, match=r"ToyDensity in memory .*genzoo\.save"):
        genzoo.compare(density, "vae")


def test_too_few_samples_say_the_least():
    with pytest.raises(BadInput, match=r"fd-mnist .* 1,280 samples, got 100"):
        genzoo.compare("vae", "dcgan", n=100)


def test_samples_of_another_shape_are_refused(tmp_path):
    small, digit = tiny(tmp_path / "small", shape=(1, 16, 16)), tiny(tmp_path / "digit", 1)
    with pytest.raises(BadInput, match=r"small: .* 1x16x16, but mnist is 1x28x28"):
        genzoo.compare(digit, small)


def test_what_does_not_sample_is_refused(density, tmp_path, monkeypatch):
    one, two = tiny(tmp_path / "one"), tiny(tmp_path / "two", 1)
    monkeypatch.setattr(model_names, "load", lambda *_, **__: density)
    with pytest.raises(BadInput, match="one does not sample: it is a ToyDensity"):
        genzoo.compare(one, two)


# ----------------------------------------------------------------------------------- what it writes


class Page(HTMLParser):
    """What a page fetches, and its text."""

    def __init__(self):
        super().__init__()
        self.fetched, self.text = [], []

    def handle_starttag(self, tag, attributes):
        self.fetched += [v for k, v in attributes if k in ("src", "href", "srcset")]

    def handle_data(self, data):
        self.text.append(data)


def test_the_folder_holds_a_page_a_picture_and_the_record(found, tmp_path):
    folder = found.save(tmp_path / "deep" / "down")
    assert sorted(p.name for p in folder.iterdir()) == sorted(comparison.FILES)
    assert json.loads((folder / "compare.json").read_text()) == json.loads(
        json.dumps(found.record())
    )
    with Image.open(folder / "compare.png") as picture:
        assert picture.width >= 1600
        assert "ynthetic" in picture.info["Comment"]


def test_the_page_is_one_file_and_holds_every_number(found, tmp_path):
    text = (found.save(tmp_path / "x") / "compare.html").read_text()
    page = Page()
    page.feed(text)
    assert page.fetched
    assert all(value.startswith("data:image/png;base64,") for value in page.fetched)
    assert "url(" not in text
    shown = "".join(page.text)
    for scores in found.scores.values():
        for score in scores:
            assert f"{score.value:.3g}" in shown
    record = shown[shown.index("{\n") : shown.rindex("}") + 1]
    assert json.loads(record) == json.loads(json.dumps(found.record()))


def test_names_cannot_write_into_the_page(tmp_path):
    folders = [tiny(tmp_path / name, i) for i, name in enumerate(["<b>bold", "mine"])]
    loaded = [genzoo.load(folder, device="cpu", dtype="bfloat16") for folder in folders]
    found = genzoo.compare(*loaded, n=N_SAMPLES, device="cpu")
    protocols = [score.protocol for scores in found.scores.values() for score in scores]
    assert {told["model dtype"] for told in protocols} == {"bfloat16"}  # as they were loaded
    text = comparison.page(found)
    assert "<b>" not in text
    assert html.escape("<b>bold") in text


def test_what_is_there_is_kept_unless_forced(found, tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "compare.html").write_text("mine")
    with pytest.raises(BadInput, match="force=True"):
        found.save(tmp_path / "x")
    assert (tmp_path / "x" / "compare.html").read_text() == "mine"
    found.save(tmp_path / "x", force=True)
    assert (tmp_path / "x" / "compare.html").read_text() != "mine"


# ------------------------------------------------------------------------------------ command line


def test_the_command_prints_the_verdicts_and_writes_the_folder(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.run(["compare", "vae", "dcgan", "--n", str(N_SAMPLES), "--device", "cpu"]) == 0
    out = capsys.readouterr().out
    assert "sharpness-mnist: dcgan-mnist is better" in out
    assert (tmp_path / "vae-mnist-vs-dcgan-mnist" / "compare.html").is_file()
    assert out.splitlines()[-1] == str(Path("vae-mnist-vs-dcgan-mnist") / "compare.html")


def test_the_command_prints_json(tmp_path, capsys):
    command = ["compare", "vae", "dcgan", "--n", str(N_SAMPLES), "--metrics", "sharpness-mnist"]
    assert cli.run([*command, "-o", str(tmp_path / "x"), "--json", "--device", "cpu"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert [s["name"] for s in record["models"][1]["scores"]] == ["sharpness-mnist"]
    assert record["models"][1]["scores"][0]["verdict"] == "better"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["vae"], "two models or more"),
        (["vae", "dcgan", "--n", "0"], "at least"),
        (["vae", "dcgan", "--metrics", "fd-minst"], "did you mean fd-mnist"),
        (["vae", "dcgan", "--data", "digits"], "no classifier for 'digits'"),
        (["vae", "nobody"], "no model is called 'nobody'"),
        (["vae", "dcgan", "-o", "taken"], "taken is a file"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(words, said, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").write_text("mine")
    assert cli.run(["compare", *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir() if p.name != "home"] == ["taken"]


def test_a_folder_that_cannot_be_made_is_one_line(found, tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "mkdir", _full)
    with pytest.raises(genzoo.OperationFailed, match="No space"):
        found.save(tmp_path / "x")


def _full(*_, **__):
    raise OSError(28, "No space left on device")


def test_models_of_classes_are_judged_on_classes_at_random():
    """In turn, every block of samples would hold each class as often, which real ones do not."""
    from types import SimpleNamespace

    class Named(genzoo.Sampler):
        shape, num_classes, value_range = (1, 2, 2), 4, None

        def generate(self, noise, labels, sampling):
            return labels.view(-1, 1, 1, 1).expand(-1, 1, 2, 2) / 5

    model = Named(SimpleNamespace())
    drawn = torch.cat(list(subjects.ModelSubject("x", model).stream(1000, 3)))[:, 0, 0, 0]
    found = (drawn.numpy() * 5).round().astype(int)
    assert np.array_equal(found, subjects.random_classes(model, 1000, 3))
    assert np.array_equal(found[:40], subjects.random_classes(model, 40, 3))
    counts = np.bincount(found, minlength=4)
    assert 200 < counts.min() < 250 < counts.max() < 300
    assert (found[:-1] == found[1:]).any()
    model.num_classes = 0
    assert subjects.random_classes(model, 10, 3) is None
