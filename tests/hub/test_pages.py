"""Cards as the Hub's own reader sees them: valid metadata, and the numbers of metrics.json."""

import json
import re

import pytest
from huggingface_hub import ModelCard

from genzoo import families
from genzoo.zoo import card as cards
from genzoo.zoo import installed, names
from genzoo.zoo import manifest as manifests
from genzoo.zoo import readme as readmes

CARDS = names.model_names()


def rendered(name):
    folder = names.folder_of(name)
    manifest, metrics = manifests.read_manifest(folder), cards.metrics_of(folder)
    return manifest, metrics, readmes.render(manifest, metrics, (folder / "samples.png").exists())


def test_there_are_cards_and_most_were_measured():
    assert len(CARDS) >= 13
    assert sum(bool(cards.read_metrics(names.folder_of(n))["scores"]) for n in CARDS) >= 8


@pytest.mark.parametrize("name", CARDS)
def test_the_page_of_every_card_is_valid(name):
    manifest, _, text = rendered(name)
    data = ModelCard(text).data
    assert data.to_dict().get("model-index", [{"name": name}])[0]["name"] == name
    assert data.library_name == "genzoo"
    assert data.tags[:2] == ["genzoo", manifest.family]
    assert manifest.family in families.names()
    assert data.license == manifest.license
    whole = re.split("[:,@]", manifest.data)[0]
    assert data.license != "other" or data.license_name == f"{whole}-terms"
    assert data.datasets == ([whole] if whole in installed.PREFERRED else None)
    assert data.pipeline_tag in (None, "unconditional-image-generation", "image-to-image")
    has_none = bool(manifest.class_names) or manifest.kind != "images"  # the Hub has no such task
    assert (data.pipeline_tag is None) == has_none


@pytest.mark.parametrize("name", CARDS)
def test_every_number_on_the_page_of_a_card_is_in_its_metrics(name):
    _, metrics, text = rendered(name)
    scores = metrics.scores
    told = ModelCard(text).data.eval_results or []
    assert [(r.metric_name, r.metric_value) for r in told] == [(s.name, s.value) for s in scores]
    assert [r.metric_args for r in told] == [s.protocol for s in scores]
    assert all(isinstance(r.metric_value, int | float) for r in told)
    rows = [line.split(" | ") for line in text.partition("## Scores")[2].splitlines()]
    shown = {row[0].removeprefix("| "): row[1] for row in rows if len(row) > 1}
    for score in scores:
        assert re.match(r"-?[\d.e+-]+", shown[score.name])[0] == f"{score.value:g}"


@pytest.mark.parametrize("name", CARDS)
def test_the_page_of_every_card_says_what_people_ask(name):
    manifest, _, text = rendered(name)
    for part in [
        "![samples of seed 0, not selected](samples.png)",
        f'genzoo.load("{name}")',
        f"genzoo train --recipe {name}",
        "Intended use:",
        "Not intended:",
        "synthetic",
        "can misrepresent the data",
        f"Weights: {manifest.license}.",
        f"Data: {manifest.terms}." if manifest.terms else "",
    ]:
        assert part in text, part
    assert not re.search("TODO|FIXME|XXX|lorem", text)


@pytest.mark.parametrize("name", CARDS)
def test_the_page_on_the_disk_is_the_page(name):
    _, _, text = rendered(name)
    assert (names.folder_of(name) / "README.md").read_text() == text


VALUES = [0.5, 5e-05, 1e22, -1.5e-300, 1e16, 3, 0, -7, 10**20, True, False, None, [], {}]
VALUES += [
    "",
    "x",
    "no",
    "1.0",
    "1e5",
    "a: b",
    "# c",
    '"',
    "\\",
    "{x}",
    "é",
    "😀",
    "-",
    "~",
    "null",
]
VALUES += ["2026-11-01", "[", "&a", "*a", "!!python/none", "a\nb", "\t", ["a", 1], {"": ""}]
VALUES += [{"a: b": [{"c": 1e-09}, None]}]


@pytest.mark.parametrize("value", VALUES)
def test_what_the_front_matter_says_is_what_is_read(value):
    lines = readmes.front_matter({"license": "mit", "value": value})
    assert len(lines) == 4
    card = ModelCard("\n".join([*lines, "", "Words."]), ignore_metadata_errors=False)
    read = card.data.to_dict().get("value")
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize("text", ["\x7f", "\x85", "\u2028", "\ud800", "\ufffe", "\u202e"])
def test_what_yaml_cannot_read_is_left_out(text):
    lines = readmes.front_matter({"license": f"m{text}t", "x": {text: 1}})
    told = ModelCard("\n".join([*lines, "", "Words."])).data.to_dict()
    assert told["license"] == "m t"


def test_a_protocol_cannot_break_out_of_its_line(folder):
    nasty = "x\n---\nlicense: gpl\n\x1b[2J\x7f\x85"
    cards.write_metrics(
        folder,
        {"scores": [{"name": "fd", "value": 1e-05, "protocol": {"note": nasty, nasty: 1}}]},
    )
    data = ModelCard((folder / "README.md").read_text()).data
    assert data.license == "mit"
    assert data.eval_results[0].metric_value == 1e-05
    assert json.loads((folder / "metrics.json").read_text())["scores"][0]["value"] == 1e-05
