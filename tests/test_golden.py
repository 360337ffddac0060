"""Golden records: results are those of the code before its names changed, and its files still read.

On the machine that recorded, to the last bit; on others, which round differently, images lie within
one level of 255, losses within 1e-3, other logs within 2e-2 (accuracies count samples), weights
and scores within 1e-2 of the recorded value (of 1, where that is less). In a family of ``GROWING``
differences of rounding grow further than that: so many steps of its run are compared there, and
weights within 5e-2.
"""

import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

PATH = Path(__file__).parent / "golden" / "record.py"
SPEC = importlib.util.spec_from_file_location("golden_record", PATH)
record = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(record)

GOLDEN = json.loads(record.RECORDS.read_text())
CARDS, FAMILIES = GOLDEN["cards"], GOLDEN["families"]
PAST = sorted(
    path.name for path in record.FOLDERS.iterdir()
)  # families that are as old as format 1
LOSS, LOG, WEIGHT, SCORE = 1e-3, 2e-2, 1e-2, 1e-2
GROWING, GROWN = {"infogan": 12}, 5e-2


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def exact():
    """Whether this is the machine that recorded, as far as rounding goes."""
    return record.machine() == GOLDEN["machine"]


@pytest.fixture(scope="module")
def images():
    with np.load(record.PIXELS) as found:
        return dict(found)


def check_drawn(samples, name, wanted, images, exact):
    found = record.drawn(samples)
    assert (found["shape"], found["labels"]) == (wanted["shape"], wanted["labels"])
    apart = np.abs(record.pixels(samples).astype(int) - images[name])
    assert apart.max() <= 1, f"{name}: {apart.max()} levels apart, {(apart > 1).sum()} values"
    if exact:
        assert found["sha256"] == wanted["sha256"], f"{name} differs below one level"


def check_number(found, wanted, tolerance, exact, what):
    near = found == pytest.approx(
        wanted, abs=0 if exact else tolerance * max(1, abs(wanted)), rel=0
    )
    assert near, f"{what}: {found!r}, recorded {wanted!r}"


def check_weights(folder, family, exact):
    """The weights in ``folder`` are those that ``family`` learnt when they were recorded."""
    found = record.tensors(folder)
    past = record.tensors(record.FOLDERS / family) if family in PAST else {}
    wanted = FAMILIES[family]["weights"]
    assert found.keys() == wanted.keys()
    for name, tensors in found.items():
        told = {record.today(key): value for key, value in wanted[name].items()}
        assert tensors.keys() == told.keys()
        if exact:
            assert record.hashes(tensors) == told
        for key, old in past.get(name, {}).items():
            new = tensors[record.today(key)]
            assert (new.shape, new.dtype) == (old.shape, old.dtype)
            scale = old.double().abs().clamp(min=1)
            apart = ((new.double() - old.double()).abs() / scale).max().item()
            most = GROWN if family in GROWING else WEIGHT
            assert apart <= most, f"{key} of {family}: {apart:.3g}"


def test_nothing_is_left_out():
    assert sorted(record.cards()) == sorted(CARDS)
    assert sorted(record.learners()) == sorted(FAMILIES)
    assert sorted({*PAST} & {*FAMILIES}) == PAST


def test_every_name_is_in_the_records():
    told = {k for f in FAMILIES.values() for k in (*f["logs"], *f["config"])}
    told |= {f"{name}.{k}" for name, f in FAMILIES.items() for k in f["config"]}
    told |= {k for scores in GOLDEN["scores"].values() for k in scores}
    told |= {k for f in FAMILIES.values() for weights in f["weights"].values() for k in weights}
    assert record.NAMES.keys() <= told


@pytest.mark.parametrize("card", CARDS)
def test_samples_of_the_cards(card, images, exact):
    model = record.load(card)
    samples = record.draw(model)
    check_drawn(samples, f"cards/{card}", CARDS[card], images, exact)
    for new, old in zip(record.nats(model, samples), CARDS[card]["nats"], strict=True):
        check_number(new, old, LOSS, exact, f"log-likelihood of a sample of {card}")


def test_translations(images, exact):
    samples = record.translate(record.load(record.TRANSLATOR))
    check_drawn(samples, "translated", GOLDEN["translated"], images, exact)


@pytest.mark.parametrize("family", FAMILIES)
def test_training(family, tmp_path, images, exact):
    """Twenty steps of a family's smallest model: what is logged, learnt, and drawn by it."""
    wanted = FAMILIES[family]
    logs = record.train(family, wanted, tmp_path / family)
    assert len(logs) == record.STEPS
    told = {record.today(name): values for name, values in wanted["logs"].items()}
    compared = record.STEPS if exact else GROWING.get(family, record.STEPS)
    for step, found in enumerate(logs[:compared]):
        assert found.keys() == {name for name, values in told.items() if values[step] is not None}
        for name, value in found.items():
            near = LOSS if name.endswith("loss") else LOG
            check_number(value, told[name][step], near, exact, f"{name} of step {step + 1}")
    check_weights(tmp_path / family, family, exact)
    if compared < record.STEPS:
        return
    samples = record.draw(record.load(tmp_path / family))
    check_drawn(samples, f"families/{family}", wanted["samples"], images, exact)


@pytest.mark.parametrize("card", GOLDEN["scores"])
def test_scores(card, exact):
    found = record.score(card)
    for metric, wanted in GOLDEN["scores"][card].items():
        got = found[metric]
        assert (got["interval"] is None) == (wanted["interval"] is None)
        assert (got["floor"] is None) == (wanted["floor"] is None)
        pairs = [(got["value"], wanted["value"])]
        pairs += zip(got["interval"] or (), wanted["interval"] or (), strict=True)
        pairs += [(got["floor"], wanted["floor"])] if got["floor"] is not None else []
        for new, old in pairs:
            check_number(new, old, SCORE, exact, f"{metric} of {card}")


@pytest.mark.parametrize("family", PAST)
def test_a_folder_of_format_1_is_loaded(family, images, exact):
    model = record.load(record.FOLDERS / family)
    wanted = FAMILIES[family]["weights"]["model.safetensors"]
    told = {record.today(key): value for key, value in wanted.items()}
    assert record.hashes(model.state_dict()) == told, "reading rounds nothing, on any machine"
    samples = record.draw(model)
    check_drawn(samples, f"families/{family}", FAMILIES[family]["samples"], images, exact)


@pytest.mark.parametrize("family", PAST)
def test_a_model_of_format_1_is_trained_again(family, tmp_path, exact):
    """Its recipe is understood: the same data, config and options give the same weights."""
    assert record.retrain(record.FOLDERS / family, tmp_path / "again") == 0
    check_weights(tmp_path / "again", family, exact)


def test_a_run_of_format_1_is_resumed(tmp_path, exact):
    folder = shutil.copytree(record.RUN, tmp_path / "run")
    assert record.resume(folder) == record.STOP
    check_weights(folder, record.STOPPED, exact)


def test_a_direction_of_format_1_is_followed(images, exact):
    samples = record.steer(record.FILES / "direction.safetensors")
    check_drawn(samples, "steered", GOLDEN["steered"], images, exact)
    assert record.steer(record.FILES / "direction-of-class.safetensors").tensor.isfinite().all()


@pytest.mark.parametrize("name", ["sample", "labelled"])
def test_a_picture_of_format_1_is_drawn_again(name, exact):
    assert record.redraw(record.FILES / f"{name}.png") <= (0 if exact else 1)


@pytest.mark.parametrize("path", sorted(record.FILES.glob("*.png")), ids=lambda p: p.stem)
def test_a_picture_of_format_1_says_how_it_was_drawn(path):
    with Image.open(path) as picture:
        told = json.loads(picture.text["genzoo"])
    expected = {**told["origin"], "seeds": told["seeds"], "labels": told["labels"]}
    assert record.described(path) == {**expected, "method": record.today(told["call"]["method"])}
