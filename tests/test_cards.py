"""Cards: what a name means, which model stands for a family, what is written beside the weights."""

import base64
import json
import os
import tracemalloc
import zlib
from collections import Counter
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image

import genzoo
from genzoo import families
from genzoo.cli import run
from genzoo.editing import projection
from genzoo.errors import BadInput, InvalidModel, NetworkError, OperationFailed, UnknownName
from genzoo.evaluation import evaluate
from genzoo.families import registry
from genzoo.models.sampler import Latent
from genzoo.zoo import card as cards
from genzoo.zoo import folder as folders
from genzoo.zoo import manifest, names, reader
from genzoo.zoo import readme as readmes
from genzoo.zoo import terms as terms_of

SCORE = {"name": "fd-mnist", "value": 12.5, "protocol": {"n": 1000, "seed": 0}}


@pytest.fixture
def home(tmp_path, only_models):
    """A shelf of cards, empty."""
    (tmp_path / "cards").mkdir()
    only_models(tmp_path / "cards")
    return tmp_path / "cards"


def shelve(home, card, /, **changes):
    """A card's config.json, without weights: enough to be found."""
    values = {
        "format": 1,
        "name": card,
        "family": "vae",
        "plugin": "genzoo-vae",
        "plugin_version": "0.1.0",
        "config": {},
        "weights_sha256": "0" * 64,
    }
    (home / card).mkdir()
    (home / card / manifest.CONFIG).write_text(json.dumps(values | changes))


def tiny(family="vae"):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return families.get(family).model(families.get(family).tiny)


@pytest.fixture
def folder(tmp_path):
    return folders.save(tiny(), tmp_path / "mine", data="digits", license="mit")


# ---------------------------------------------------------------------------------------- find


@pytest.mark.parametrize(
    "name",
    ["./vae", "../vae", ".", "..", "/vae", "./owner/name", r".\vae", r"C:\vae", "C:/vae", "./a@b"],
)
def test_text_that_looks_like_a_folder_is_one(home, name):
    shelve(home, "vae")
    assert names.find(name) == Path(name)


@pytest.mark.parametrize("name", ["vae", "owner/name", "my cards", "~x"])
def test_a_path_is_a_folder(home, name):
    shelve(home, "vae")
    assert names.find(Path("x") / name) == Path("x") / name


def test_a_bare_path_is_a_folder(home):
    shelve(home, "vae")
    assert names.find(Path("vae")) == Path("vae")


def test_a_tilde_is_home(home, monkeypatch):
    monkeypatch.setenv("HOME", "/somebody")
    assert names.find("~/vae") == Path("/somebody/vae")


def test_nobodys_home_is_refused(home):
    with pytest.raises(BadInput, match="no-such-user"):
        names.find("~no-such-user/vae")


@pytest.mark.parametrize(
    "name", ["owner/name", "owner/name@main", "a.b/c-d_e@v1.0", "o/n@refs/pr/1", "o/n@" + "a" * 40]
)
def test_owner_and_name_are_on_the_hub(home, name):
    with pytest.raises(NetworkError, match=f"{name.partition('@')[0]}.*HF_HUB_OFFLINE"):
        names.find(name)


def test_a_card_is_found_by_its_name(home):
    shelve(home, "vae-digits")
    assert names.find("vae-digits") == home / "vae-digits"


def test_a_family_is_its_default(home):
    shelve(home, "vae-digits")
    assert names.find("vae") == home / "vae-digits"


@pytest.mark.parametrize("name", [None, 3, ["vae"], b"vae"])
def test_what_is_no_name_is_refused(home, name):
    with pytest.raises(BadInput, match=f"a name or a folder, got an? {type(name).__name__}"):
        names.find(name)


def test_a_family_that_is_off_or_gone_says_so(home, monkeypatch):
    monkeypatch.setenv("GENZOO_DISABLE_PLUGINS", "genzoo-vae")
    registry._load.cache_clear()
    with pytest.raises(OperationFailed, match="'vae' is disabled"):
        names.find("vae")
    monkeypatch.setattr(registry, "required_packages", lambda: {"genzoo-ghost"})
    with pytest.raises(UnknownName, match=r"pip install \./plugins/ghost"):
        names.find("ghost")
    registry._load.cache_clear()


def test_a_card_is_preferred_to_a_family(home):
    shelve(home, "vae-mnist", data="mnist")
    shelve(home, "vae", data="celeba")
    assert names.find("vae") == home / "vae"


def test_the_disk_does_not_decide(home, monkeypatch, tmp_path):
    """A folder of the same name beside you is no card, and hides none."""
    folders.save(tiny(), tmp_path / "near" / "mine")
    (tmp_path / "near" / "vae-digits").mkdir()
    monkeypatch.chdir(tmp_path / "near")
    shelve(home, "vae-digits")
    assert names.find("vae-digits") == home / "vae-digits"
    with pytest.raises(UnknownName, match=r"(?i)a folder is written \./mine"):
        names.find("mine")


@pytest.mark.parametrize(
    "name", ["vae-digit", "", " ", "a b", "-vae", ".hidden", "a/b/c", "x" * 5000, "vae\n", "a\0b"]
)
def test_unknown_names(home, name):
    shelve(home, "vae-digits")
    with pytest.raises(UnknownName, match="no model") as caught:
        names.find(name)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


def test_unknown_names_show_near_ones(home):
    shelve(home, "vae-digits")
    shelve(home, "dcgan-digits")
    with pytest.raises(UnknownName, match="did you mean vae-digits or dcgan-digits"):
        names.find("vea-digits")
    with pytest.raises(UnknownName, match="did you mean dcgan"):
        names.find("dcgam")


def test_what_is_no_card_is_not_listed(home):
    shelve(home, "vae-digits")
    (home / "empty").mkdir()
    (home / "notes.txt").write_text("")
    assert names.model_names() == ["vae-digits"]


# ------------------------------------------------------------------------------------- default


@pytest.mark.parametrize(
    ("shelf", "first"),
    [
        ({"a": {"data": "celeba"}, "b": {"data": "mnist"}}, "b"),
        ({"a": {"data": "cifar10"}, "b": {"data": "fashion-mnist"}, "c": {"data": "celeba"}}, "b"),
        ({"a": {"data": "digits"}, "b": {"data": "cifar10"}}, "b"),
        ({"a": {"data": "mnist"}, "b": {"data": "mnist", "default": True}}, "b"),
        ({"a": {"data": "celeba", "default": True}, "b": {"data": "mnist"}}, "b"),
        ({"b": {"data": "digits"}, "a": {"data": "ring8"}}, "a"),
        ({"a": {"family": "dcgan", "data": "mnist"}, "b": {"data": "digits"}}, "b"),
        ({"b": {"data": "mnist", "name": "../../elsewhere"}}, "b"),
    ],
)
def test_the_default_of_a_family(home, shelf, first):
    for name, facts in shelf.items():
        shelve(home, name, **facts)
    assert names.default("vae") == first


def test_a_family_without_a_model(home):
    shelve(home, "dcgan-mnist", family="dcgan")
    with pytest.raises(UnknownName, match=r"vae has no model yet; train one: genzoo\.train\('vae'"):
        names.find("vae")


# ---------------------------------------------------------------------------------------- load


def test_load_checks_the_ability(home, folder):
    assert isinstance(genzoo.load(folder, genzoo.Latent, device="cpu"), genzoo.Latent)
    with pytest.raises(BadInput, match=r"mine \(vae\) is no Translator: models that can: "):
        genzoo.load(folder, genzoo.Translator, device="cpu")
    with pytest.raises(BadInput, match=r"a class like genzoo.Latent, got a str"):
        genzoo.load(folder, "cpu")


def test_load_by_name_and_by_folder(home, folder):
    folders.save(tiny(), home / "vae-digits")
    by_name, by_folder = names.load("vae-digits", device="cpu"), names.load(folder, device="cpu")
    assert torch.equal(by_name.sample(2).tensor, by_folder.sample(2).tensor)
    assert by_name.origin.model == "vae-digits"


def test_load_passes_verify_on(folder):
    values = json.loads((folder / manifest.CONFIG).read_text())
    (folder / manifest.CONFIG).write_text(json.dumps(values | {"weights_sha256": "0" * 64}))
    with pytest.raises(InvalidModel, match="hash"):
        names.load(folder, device="cpu")
    names.load(folder, device="cpu", verify=False)


# ------------------------------------------------------------------------------------- metrics


def test_scores_take_the_place_of_their_names(folder):
    cards.add_scores(folder, [SCORE, {**SCORE, "name": "kd"}])
    cards.add_scores(folder, [{**SCORE, "value": 11.0}])
    found = {s["name"]: s["value"] for s in cards.read_metrics(folder)["scores"]}
    assert found == {"fd-mnist": 11.0, "kd": 12.5}


def test_a_score_of_fewer_samples_says_what_it_replaces(folder, caplog):
    for n in (1000, 1000, 5000):
        cards.add_scores(folder, [{**SCORE, "protocol": {"samples": n}}, {**SCORE, "name": "kd"}])
    assert not caplog.records
    cards.add_scores(folder, [{**SCORE, "protocol": {"samples": 500}}])
    says = "fd-mnist of 5,000 samples is replaced by that of 500 in the card"
    assert [record.getMessage() for record in caplog.records] == [says]


def test_scores_leave_the_rest(folder):
    cards.write_metrics(folder, {"scores": [], "fingerprint": "abc"})
    cards.add_scores(folder, [SCORE])
    assert cards.read_metrics(folder)["fingerprint"] == "abc"


def test_no_metrics_are_none(folder):
    assert cards.read_metrics(folder) == {}


@pytest.mark.parametrize(
    ("content", "says"),
    [("[]", "expected an object, got list"), ("{", "not valid JSON"), ('{"a": NaN}', "NaN")],
)
def test_broken_metrics(folder, content, says):
    (folder / "metrics.json").write_text(content)
    with pytest.raises(InvalidModel, match=says):
        cards.read_metrics(folder)


def test_metrics_are_read_from_a_small_regular_file_alone(folder):
    (folder / "metrics.json").write_bytes(b" " * (manifest.LARGEST_JSON + 1))
    with pytest.raises(InvalidModel, match="1048576"):
        cards.read_metrics(folder)
    (folder / "metrics.json").unlink()
    os.mkfifo(folder / "metrics.json")  # to read it would wait for ever
    with pytest.raises(InvalidModel, match=r"metrics\.json is not a plain file"):
        cards.read_metrics(folder)


def test_the_readme_follows_the_scores(folder):
    cards.add_scores(folder, [SCORE])
    assert "| fd-mnist | 12.5 | n 1000, seed 0 |" in (folder / "README.md").read_text()


def test_a_line_of_the_list(folder):
    assert cards.card(folder).score == "not measured"
    cards.add_scores(folder, [{**SCORE, "unit": " bits"}])
    line = cards.card(folder)
    assert (line.name, line.family, line.data, line.license) == ("mine", "vae", "digits", "mit")
    assert line.score == "fd-mnist 12.5 bits"
    assert line.bytes == (folder / manifest.WEIGHTS).stat().st_size


def test_the_list_has_all(home):
    folders.save(tiny(), home / "b")
    folders.save(tiny("dcgan"), home / "a")
    assert [(c.name, c.family) for c in cards.list_models()] == [("a", "dcgan"), ("b", "vae")]


# ---------------------------------------------------------------------------------- fingerprint


@pytest.mark.parametrize("family", ["vae", "dcgan"])
def test_a_fingerprint_is_at_no_distance_from_itself(family):
    model = tiny(family)
    packed = cards.fingerprint(model)
    assert packed.isascii()
    assert cards.distance(model, packed) == (0, 0)


def test_another_weight_is_at_some_distance():
    model = tiny()
    packed = cards.fingerprint(model)
    with torch.no_grad():
        model.decoder[-2].bias += 0.2
    assert cards.distance(model, packed)[0] > 2


def test_the_distance_is_counted_in_256ths(latent):
    class Flat(Latent):
        shape, latent_dim, value_range = (1, 2, 2), 1, (0.0, 1.0)

        def decode(self, code, labels=None, noise=None):
            return torch.full((len(code), 1, 2, 2), self.level / 255)

    model = Flat(None)
    model.level = 100
    packed = cards.fingerprint(model)
    model = Flat(None)
    model.level = 93
    assert cards.distance(model, packed)[0] == 7


def test_a_fingerprint_of_another_size():
    packed = cards.fingerprint(tiny())
    other = families.get("vae").model(families.get("vae").config(shape=(3, 8, 8), width=8))
    with pytest.raises(InvalidModel, match="768"):
        cards.distance(other, packed)


@pytest.mark.parametrize("packed", ["abc", "ü", "QUJD", ""])
def test_a_damaged_fingerprint(packed):
    with pytest.raises(InvalidModel, match=r"damaged|1024"):
        cards.distance(tiny(), packed)


def test_a_fingerprint_that_would_fill_the_memory_is_not_unpacked():
    gigabyte = zlib.compressobj(9)
    content = b"".join(gigabyte.compress(bytes(1 << 20)) for _ in range(1024)) + gigabyte.flush()
    tracemalloc.start()
    with pytest.raises(InvalidModel, match="1024"):
        cards.distance(tiny(), base64.b64encode(content).decode())
    assert tracemalloc.get_traced_memory()[1] < 64 << 20
    tracemalloc.stop()


# ------------------------------------------------------------------------------------- complete


def test_complete_writes_what_stands_beside_the_weights(folder):
    cards.complete(folder)
    metrics = cards.read_metrics(folder)
    model = folders.load_folder(folder, "cpu")
    assert cards.distance(model, metrics["fingerprint"]) == (0, 0)
    assert metrics["scores"] == []
    assert metrics["speed"]["seconds_for_16"] > 0
    picture = Image.open(folder / "samples.png")
    assert picture.tobytes() == model.sample(16, seed=0).grid().tobytes()
    assert json.loads(picture.text["genzoo"])["origin"]["model"] == "mine"
    readme = (folder / "README.md").read_text()
    assert "![samples of seed 0, not selected](samples.png)" in readme
    assert "seconds for 16 samples" in readme
    assert {p.name for p in folder.iterdir()} <= set(manifest.FILES)


# --------------------------------------------------------------------------------------- README


def rendered(folder, **changes):
    values = json.loads((folder / manifest.CONFIG).read_text()) | changes
    (folder / manifest.CONFIG).write_text(json.dumps(values))
    return readmes.render(
        manifest.read_manifest(folder),
        manifest.Metrics(scores=(manifest.Measured(**SCORE),)),
        False,
    )


def front(readme):
    _, matter, _ = readme.split("---\n", 2)
    return yaml.safe_load(matter)


def test_front_matter_is_what_the_hub_reads(folder):
    assert front(rendered(folder, data="mnist")) == {
        "library_name": "genzoo",
        "pipeline_tag": "unconditional-image-generation",
        "license": "mit",
        "tags": ["genzoo", "vae"],
        "datasets": ["mnist"],
        "model-index": [
            {
                "name": "mine",
                "results": [
                    {
                        "task": {"type": "unconditional-image-generation"},
                        "dataset": {"type": "mnist", "name": "mnist"},
                        "metrics": [
                            {
                                "type": "fd-mnist",
                                "name": "fd-mnist",
                                "value": 12.5,
                                "args": {"n": 1000, "seed": 0},
                            }
                        ],
                    }
                ],
            }
        ],
    }


def test_models_of_classes_and_of_two_domains_have_their_own_tasks(folder):
    told = front(rendered(folder, data="mnist", class_names=["3", "5"]))
    assert "pipeline_tag" not in told
    assert told["tags"] == ["genzoo", "vae", "class-conditional"]
    two = front(rendered(folder, data="celeba:Male,celeba:Bald", class_names=[], license="other"))
    assert two["pipeline_tag"] == "image-to-image"
    assert (two["datasets"], two["license_name"]) == (["celeba"], "celeba-terms")


def test_a_data_set_that_the_hub_does_not_know_is_left_out(folder):
    assert "datasets" not in front(rendered(folder, data="my digits"))


def test_an_unknown_license_is_another(folder):
    assert front(rendered(folder, license="unknown"))["license"] == "other"


def test_terms_of_restricted_data_are_on_the_card_and_said_once(folder, home, caplog, capsys):
    shelve(home, "x")
    named = manifest.read_manifest(folder)
    terms = {
        "license": terms_of.RESTRICTED,
        "terms": "non-commercial research only",
        "data": "celeba",
    }
    (folder / manifest.CONFIG).write_bytes(manifest.manifest_bytes(named.model_copy(update=terms)))
    for _ in range(2):
        genzoo.load(folder, device="cpu")
        terms_of.warn.cache_clear()  # as in another process
    said = "mine was trained on data with terms: non-commercial research only (said once; "
    assert caplog.messages == [f"{said}genzoo.info({str(folder)!r}) repeats it)"]
    assert run(["cache"]) == 0
    assert "notes  terms" in capsys.readouterr().out
    found = front(rendered(folder))
    assert (found["license"], found["license_name"]) == ("other", "celeba-terms")


def test_terms_of_open_data_are_not_said(folder, caplog):
    genzoo.load(folder, device="cpu")
    assert caplog.messages == []


@pytest.mark.parametrize(
    "license", ["a: b", "no", "1.0", '"', "mit --- x: y", "{x}", "# x", "ü", "!!python"]
)
def test_no_name_breaks_out_of_its_line(folder, license):
    found = front(rendered(folder, license=license))
    assert found["license"] == license
    assert found["library_name"] == "genzoo"


@pytest.mark.parametrize("key", ["name", "license", "data", "terms"])
@pytest.mark.parametrize("text", ["mit\n---\nx: y", "\x1b[2J", "\u202egpj.exe"])
def test_a_manifest_does_not_drive_a_terminal(folder, key, text):
    with pytest.raises(genzoo.InvalidModel, match=f"{key} must have no control characters"):
        rendered(folder, **{key: text})


def test_the_readme_says_how_it_was_made(folder):
    recipe = {
        "command": "genzoo train vae --data digits",
        "data_sha256": "d" * 64,
        "config": {},
        "options": {"lr": 0.001, "gradient_clip": 0.0},
        "seed": 3,
        "steps": 500,
        "seconds": 90.0,
        "machine": "2 x86_64 cores",
        "versions": {"torch": "2.15.0"},
    }
    readme = rendered(folder, recipe=recipe)
    for line in [
        "# mine",
        "Variational autoencoder: an encoder and a decoder trained on the evidence lower bound. "
        "Trained for 500 steps on digits.",
        'genzoo.load("mine").sample(16).save("samples.png")',
        "genzoo train --recipe mine",
        "| options | lr 0.001, gradient_clip 0.0 |",
        "| steps | 500 |",
        "| seed | 3 |",
        "| time | 1.5 minutes |",
        f"| data's sha256 | {'d' * 64} |",
        "| fd-mnist | 12.5 | n 1000, seed 0 |",
        "Weights: mit.",
    ]:
        assert line in readme.splitlines(), line
    assert "Trained for 500 steps on digits." in readme
    other = rendered(folder, recipe={**recipe, "precision": "bf16"})
    assert "| time | 1.5 minutes in bf16, on a processor made for it |" in other.splitlines()


def test_no_scores_are_said_to_be_missing(folder):
    readme = readmes.render(manifest.read_manifest(folder), manifest.Metrics(), True)
    assert "Not measured yet." in readme
    assert "![samples of seed 0, not selected](samples.png)" in readme


def test_scores_of_format_1_are_read_under_todays_names(tmp_path):
    """And a second time they are what they are: a name of today is not an old one."""
    protocol = {"told the class": False, "samples looked at": 5, "data": "mnist"}
    old = {"name": "copied-mnist", "value": 1.0, "goal": "one", "protocol": protocol}
    scores = [
        {**old, "asked": {"metrics": "copied-mnist"}},
        {**SCORE, "name": "inpainting-psnr-mnist"},
    ]
    (tmp_path / "metrics.json").write_text(json.dumps({"scores": scores, "more": 1}))
    found = cards.read_metrics(tmp_path)
    first, second = found["scores"]
    assert first["name"] == first["request"]["metrics"] == "nearest_train_pixels-mnist"
    assert first["goal"] == "near_one"
    assert first["protocol"] == {"class-conditional": False, "samples compared": 5, "data": "mnist"}
    assert second["name"] == "inpainting_psnr-mnist"
    assert (found["format"], found["more"]) == (2, 1)
    (tmp_path / "metrics.json").write_text(json.dumps(found))
    assert cards.read_metrics(tmp_path) == found
    for wrong in (1, 3, "2"):
        (tmp_path / "metrics.json").write_text(json.dumps({**found, "format": wrong}))
        with pytest.raises(InvalidModel, match="format"):
            cards.read_metrics(tmp_path)


# ------------------------------------------------------------------------- how often files are read


@pytest.fixture
def reads(monkeypatch):
    """The config.json files that are read, and how many texts are parsed as one."""
    paths, parsed = [], []
    read, parse = manifest.read_capped, manifest.read_json

    def counted(path, largest):
        paths.append(path)
        return read(path, largest)

    def counted_parse(text, where, *rest):
        parsed.append(where)
        return parse(text, where, *rest)

    monkeypatch.setattr(manifest, "read_capped", counted)
    monkeypatch.setattr(manifest, "read_json", counted_parse)
    opens, opened_file = [], open

    def opened(path, *how, **more):
        opens.append(path)
        return opened_file(path, *how, **more)

    monkeypatch.setattr(reader, "open", opened, raising=False)
    return lambda: [
        Counter(p.parent.name for p in map(Path, counted) if p.name == manifest.CONFIG)
        for counted in (paths, parsed, opens)
    ]


@pytest.mark.parametrize("name", ["dcgan-mnist", "cyclegan-hair"])
def test_load_reads_the_config_of_a_card_once(name, reads):
    genzoo.load(name, device="cpu")
    for counts in reads():
        assert counts == {name: 1}


def test_load_of_a_family_reads_the_config_of_each_card_once(reads):
    genzoo.load("vae", device="cpu")
    for counts in reads():
        assert counts == dict.fromkeys(names.model_names(), 1)


def test_load_of_a_folder_reads_its_config_once(folder, reads):
    genzoo.load(folder, device="cpu")
    for counts in reads():
        assert counts == {folder.name: 1}


@pytest.mark.parametrize("find", [projection.open_model, evaluate.find_model])
def test_a_model_and_its_folder_are_one_search(find, monkeypatch):
    """Two would ask the Hub twice, and might get two commits."""
    searches = []
    resolve = names.resolve
    monkeypatch.setattr(names, "resolve", lambda n, **k: searches.append(n) or resolve(n, **k))
    monkeypatch.setattr(names, "find", None)
    find("vae-mnist", "cpu", *[{}] * (find is projection.open_model))
    assert searches == ["vae-mnist"]
