"""A name's form says what it means; and what a card says is what its files hold."""

import json
from pathlib import Path

import pytest
import torch

from genzoo import cards, families, store
from genzoo.errors import BadInput, InvalidModel, UnknownName, Unreachable


@pytest.fixture()
def home(tmp_path, monkeypatch):
    folder = tmp_path / "cards"
    folder.mkdir()
    monkeypatch.setattr(cards, "home", lambda: folder)
    return folder


def made(seed=0):
    torch.manual_seed(seed)
    return families.get("vae").model(families.get("vae").tiny).eval()


def card(home, name, *, default=False, **facts):
    folder = store.save(made(), home / name, **facts)
    if default:
        values = json.loads((folder / store.CONFIG).read_text())
        (folder / store.CONFIG).write_text(json.dumps({**values, "default": True}))
    return folder


RECIPE = store.Recipe(
    command="genzoo train vae --data mnist",
    data_sha256="ab" * 32,
    config={"code": 2},
    options={"lr": 0.5, "note": ""},
    seed=7,
    steps=300,
    seconds=90.0,
    machine="two cores",
    versions={"torch": "2.6"},
)
SCORES = [
    {"name": "fd-mnist", "value": 12.5, "protocol": {"n": 1000, "split": "test"}},
    {"name": "kid", "value": 0.25, "unit": " e-3", "protocol": {"seed": 0}},
]


# ------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    "name", ["./x", "../x", "/x", "./vae", ".", "..", ".\\x", "..\\x", "./a/b", "C:\\x", "c:/x"]
)
def test_folders_by_their_form(name, home):
    """Whether they exist or not: the disk is never asked."""
    assert cards.find(name) == Path(name)


def test_home_is_expanded(home, monkeypatch):
    monkeypatch.setenv("HOME", "/somewhere")
    assert cards.find("~/x") == Path("/somewhere/x")
    assert cards.find(Path("~/x")) == Path("/somewhere/x")


def test_nobodys_home(home):
    with pytest.raises(BadInput, match="'~nobody-of-this-name/x'"):
        cards.find("~nobody-of-this-name/x")


def test_a_path_is_a_folder(home):
    card(home, "mine")
    assert cards.find(Path("mine")) == Path("mine")
    assert cards.find(Path("owner/name")) == Path("owner/name")


@pytest.mark.parametrize("name", ["owner/name", "owner/name@v1.0", "o-w.n/n_a.m@refs/pr/1"])
def test_hub_names(name, home, tmp_path, monkeypatch):
    """Even where a folder of that name stands in the working directory."""
    (tmp_path / "owner" / "name").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Unreachable) as caught:
        cards.find(name)
    assert str(caught.value) == (
        f"{name}: models on the Hub cannot be loaded yet; a folder is ./{name}"
    )


def test_bare_card(home, tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    assert cards.find("mine-1.0") == card(home, "mine-1.0")
    with pytest.raises(UnknownName):
        cards.find("mine")


def test_a_card_goes_before_a_family(home):
    card(home, "vae-mnist", data="mnist")
    assert cards.find("vae") == home / "vae-mnist"
    assert cards.find("vae") != card(home, "vae", data="digits")
    assert cards.find("vae") == home / "vae"


def test_load_by_name(home):
    card(home, "mine")
    found = cards.load("mine", device="cpu")
    assert torch.equal(found.sample(2).tensor, made().sample(2).tensor)


def test_load_passes_verify_on(home):
    folder = card(home, "mine")
    values = json.loads((folder / store.CONFIG).read_text())
    (folder / store.CONFIG).write_text(json.dumps({**values, "weights_sha256": "0" * 64}))
    with pytest.raises(InvalidModel, match="hash"):
        cards.load("mine", device="cpu")
    cards.load("mine", device="cpu", verify=False)


def test_unknown_with_near_names(home):
    card(home, "vae-mnist")
    with pytest.raises(UnknownName) as caught:
        cards.find("vae-mnits")
    message = "no model is called 'vae-mnits': did you mean vae-mnist or vae? "
    assert str(caught.value).startswith(message)
    assert str(caught.value).endswith("Type genzoo list to see all; a folder is written ./vae-mnits.")


def test_unknown_without_near_names(home):
    card(home, "mine")
    with pytest.raises(UnknownName, match="there is dcgan, mine.*, vae"):
        cards.find("qqqqqq")


@pytest.mark.parametrize(
    "name",
    ["", " ", "a/b/c", "a/../b", "%2e%2e", "..x", "-x", "a\\b", "x\0y", "x\n", "a@b", "x" * 97, "mine/"],
)
def test_nothing_else_is_a_name(name, home):
    """Nor does a name lead out of the folder of cards."""
    card(home, "mine")
    card(home, "x" * 97)
    with pytest.raises(UnknownName) as caught:
        cards.find(name)
    assert str(caught.value).isprintable()


def test_no_folder_without_a_config(home):
    (home / "half").mkdir()
    assert cards.names() == []
    with pytest.raises(UnknownName):
        cards.find("half")


def test_names_are_sorted(home):
    for name in ("b", "c", "a"):
        card(home, name)
    assert cards.names() == ["a", "b", "c"]


# ----------------------------------------------------------------------------------------- default


def test_order_of_data(home):
    """MNIST first, then Fashion-MNIST, CelebA, CIFAR-10, then any other: whatever the names."""
    order = ["digits", "cifar10", "celeba", "fashion-mnist", "mnist"]
    for name, data in zip("abcde", order, strict=True):
        card(home, name, data=data, default=data == "digits")
        assert cards.default("vae") == name


def test_chosen_default(home):
    card(home, "a", data="mnist")
    card(home, "b", data="mnist", default=True)
    card(home, "c", data="celeba", default=True)
    assert cards.default("vae") == "b"


def test_default_by_name(home):
    card(home, "b", data="mnist")
    card(home, "a", data="mnist")
    assert cards.default("vae") == "a"


def test_no_default(home):
    card(home, "a")
    with pytest.raises(UnknownName) as caught:
        cards.find("dcgan")
    assert "train one: genzoo train dcgan --out my-dcgan" in str(caught.value)


# ---------------------------------------------------------------------------------------- rendered


def front(readme):
    """What stands between the two lines of ---, by key."""
    first, *lines = readme.splitlines()
    assert first == "---"
    block = lines[: lines.index("---")]
    return {k: json.loads(v) for k, v in (line.split(": ", 1) for line in block)}


def rendered(home, metrics=None, pictured=False, **facts):
    return cards.render(store.read_manifest(card(home, "mine", **facts)), metrics or {}, pictured)


def test_front_matter(home):
    found = front(rendered(home, data="mnist", licence="mit"))
    assert found == {
        "library_name": "genzoo",
        "pipeline_tag": "unconditional-image-generation",
        "license": "mit",
        "tags": ["genzoo", "vae"],
        "datasets": ["mnist"],
    }


def test_front_matter_cannot_be_left(home):
    licence = 'mit"\n---\nlibrary_name: evil # \u2028'
    assert front(rendered(home, licence=licence))["license"] == licence


def test_unknown_licence_and_data(home):
    found = front(rendered(home, data="my-photos"))
    assert found["license"] == "other"
    assert "datasets" not in found


@pytest.mark.parametrize("pictured", [True, False])
def test_picture(pictured, home):
    assert ("(samples.png)" in rendered(home, pictured=pictured)) == pictured


def test_recipe_is_shown(home):
    text = rendered(home, recipe=RECIPE, data="mnist", dtype="float16", terms="Be kind.")
    assert "\n```\ngenzoo train vae --data mnist\n```\n" in text
    for line in (
        "| data | mnist |",
        "| stored as | float16 |",
        "| options | lr 0.5 |",
        "| steps | 300 |",
        "| seed | 7 |",
        "| time | 1.5 minutes |",
        "| machine | two cores |",
        f"| data's sha256 | `{'ab' * 32}` |",
    ):
        assert f"\n{line}\n" in text
    assert "Be kind." in text


def test_scores_are_shown(home):
    text = rendered(home, {"scores": SCORES})
    assert "\n| fd-mnist | 12.5 | n 1000, split test |\n" in text
    assert "\n| kid | 0.25 e-3 | seed 0 |\n" in text
    assert "Not measured yet." not in text
    assert "Not measured yet." in cards.render(store.read_manifest(home / "mine"), {}, False)


# ----------------------------------------------------------------------------------------- metrics


def test_add_scores_replaces_the_same(home):
    folder = card(home, "mine")
    cards.write_metrics(folder, {"fingerprint": "x", "scores": SCORES})
    new = {"name": "kid", "value": 1.0, "protocol": {"seed": 1}}
    cards.add_scores(folder, (s for s in [new]))
    assert cards.read_metrics(folder) == {"fingerprint": "x", "scores": [new, SCORES[0]]}
    readme = (folder / "README.md").read_text()
    assert "\n| kid | 1 | seed 1 |\n" in readme
    assert "0.25" not in readme


def test_add_scores_to_none(home):
    folder = card(home, "mine")
    cards.add_scores(folder, SCORES)
    assert cards.read_metrics(folder) == {"scores": SCORES}


def test_no_metrics(home):
    assert cards.read_metrics(card(home, "mine")) == {}


@pytest.mark.parametrize("text", ["[]", "{", '{"a": 1, "a": 2}', '{"a": NaN}', "3"])
def test_bad_metrics(text, home):
    folder = card(home, "mine")
    (folder / "metrics.json").write_text(text)
    with pytest.raises(InvalidModel, match=r"metrics\.json"):
        cards.read_metrics(folder)


def test_table(home):
    folder = card(home, "b", data="mnist", licence="mit", terms="Be kind.")
    cards.write_metrics(folder, {"scores": SCORES[::-1], "speed": {"seconds_for_16": 0.5, "machine": "m"}})
    card(home, "a")
    first, second = cards.table()
    assert (first.name, first.score, first.seconds) == ("a", "not measured", None)
    size = (folder / store.WEIGHTS).stat().st_size
    expected = cards.Card("b", "vae", "mnist", size, "kid 0.25 e-3", 0.5, "mit", "Be kind.")
    assert second == expected


def test_table_counts_the_discriminator(home):
    torch.manual_seed(0)
    family = families.get("dcgan")
    model, network = family.model(family.tiny), family.discriminator(family.tiny)
    folder = store.save(model, home / "gan", discriminator=network)
    files = [store.WEIGHTS, store.DISCRIMINATOR]
    assert cards.table()[0].bytes == sum((folder / f).stat().st_size for f in files)


def test_complete_writes_all(home):
    folder = card(home, "mine", data="mnist")
    cards.complete(folder)
    assert {p.name for p in folder.iterdir()} == {*store.FILES} - {store.DISCRIMINATOR}
    metrics = cards.read_metrics(folder)
    assert cards.distance(made(), metrics["fingerprint"]) == 0
    assert metrics["speed"]["seconds_for_16"] > 0
    assert metrics["scores"] == []
    assert "(samples.png)" in (folder / "README.md").read_text()


# ------------------------------------------------------------------------------------- fingerprint


def test_fingerprint_of_the_same_model(home):
    model = made()
    packed = cards.fingerprint(model)
    assert isinstance(packed, str)
    assert cards.distance(model, packed) == 0
    assert cards.distance(cards.load(card(home, "mine"), device="cpu"), packed) == 0


def test_fingerprint_notices_a_weight():
    model = made()
    packed = cards.fingerprint(model)
    with torch.no_grad():
        model.decoder[-2].bias[5] += 0.5
    expected = (model.sample(4).tensor - made().sample(4).tensor).abs().max().item() * 255
    assert abs(cards.distance(model, packed) - expected) <= 1
    assert expected > 10


def test_fingerprint_of_another_shape():
    other = families.get("vae").config(shape=(1, 8, 8), code=2, width=8)
    with pytest.raises(BadInput, match="has 256 values, the model draws 1024"):
        cards.distance(made(), cards.fingerprint(families.get("vae").model(other).eval()))
