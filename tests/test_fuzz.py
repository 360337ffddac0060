"""Ten thousand wrong configs and as many wrong headers: an error of genzoo's, or what they say; and
other files that anybody may have written."""

import hashlib
import io
import json
import random
import struct
from copy import deepcopy
from typing import Annotated, Literal

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import Field
from safetensors.torch import save as pack
from torch import nn

import genzoo
from genzoo import families
from genzoo.data import label_files, mnist
from genzoo.editing import directions
from genzoo.errors import GenzooError
from genzoo.models.picture_files import SYNTHETIC, encode
from genzoo.models.sounds import wav
from genzoo.options import Options
from genzoo.runs import checkpoints, plots
from genzoo.runs import plan as plans
from genzoo.schemas import Count, Rate, Schema, checked
from genzoo.zoo import card, provenance, readme
from genzoo.zoo import folder as folders
from genzoo.zoo import manifest as manifests
from genzoo.zoo import weights as weight_files

# A part of them for each change, the others with the slow tests.
CASES = [range(1000), pytest.param(range(1000, 10_000), marks=pytest.mark.slow)]
WEIRD = [
    None, True, False, 0, 1, -1, 2, 3, 6, 1.0, 0.5, -0.0, 2**31, 2**63, 10**40, 1e308, 5e-324, "",
    "1", "x", "x" * 300, "\x1b[2J", "\ud800", "é", [], [1], [0, 8], [2, 3], {}, {"a": 1}, [[[[]]]],
    "F32", "F16", "I64", "BOOL", "a", "float16", "0" * 64,
]  # fmt: skip
TOKENS = [
    b"{", b"}", b"[", b"]", b":", b",", b'"', b"null", b"true", b"1", b"0", b"-", b".", b"e9",
    b"NaN", b"Infinity", b"1e999", b"\\u0000", b"\\ud800", b"\xff", b"\0", b"\xef\xbb\xbf", b" ",
    b"//", b"'", b"0x1", b"1_0", b'"a":1,', b"9" * 5000, b"[" * 3000,
]  # fmt: skip


class Config(Schema):
    width: Count = 3
    rate: Rate = 0.5
    loss: Literal["hinge", "minimax"] = "hinge"
    shape: Annotated[tuple[Count, ...], Field(min_length=1, max_length=4)] = (2,)
    flip: bool = False


class Toy(genzoo.Sampler):
    """A tensor of each kind that a file may hold."""

    kind, shape, value_range = "points", (2,), None

    def __init__(self, config):
        super().__init__(config)
        self.weight = nn.Parameter(torch.zeros(2, config.width))
        self.bias = nn.Parameter(torch.zeros(2, config.width))
        self.scale = nn.Parameter(torch.zeros(()))
        self.register_buffer("count", torch.zeros(2, dtype=torch.int64))
        self.register_buffer("mask", torch.zeros(4, dtype=torch.bool))

    def generate(self, noise, labels, sampling):
        return self.scale * noise.normal(2)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A model of a family that is made of ten numbers, so that a load takes a millisecond."""
    family = genzoo.Family(
        config=Config, options=Options, model=Toy, trainer=print, tiny=Config(),
        paper="none", api=families.API,
    )  # fmt: skip
    known = {"toy": family}.__getitem__
    monkeypatch.setattr(families, "get", known)
    plugin = families.Plugin("toy", "family", "toy", "genzoo-toy", "1", "toy")
    monkeypatch.setattr(families, "metadata", lambda name: plugin)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Toy(Config())
        for parameter in model.parameters():
            parameter.data.uniform_(-1, 1)
    recipe = manifests.Recipe(
        command="genzoo train", data_sha256="1" * 64, config={"width": 3}, options={"lr": 0.1},
        seed=7, steps=3, seconds=1.5, machine="a", versions={"torch": "2"},
    )  # fmt: skip
    folders.save(model, tmp_path / "toy", family="toy", data="digits", recipe=recipe)
    # An entry point that is not there is what families.get raises for every other name.
    monkeypatch.setattr(families, "get", lambda name: known(name) if name == "toy" else lost(name))
    return tmp_path / "toy"


def lost(name):
    raise genzoo.UnknownName(f"no family is called {name!r}")


# ------------------------------------------------------------------------------------- mutations


def places(value, path=()):
    """The path of everything inside ``value``."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, child in inner:
        yield (*path, key)
        if isinstance(child, dict | list):
            yield from places(child, (*path, key))


def at(value, path):
    for key in path:
        value = value[key]
    return value


def change(value, r):
    """One thing in ``value`` is other than it was."""
    found = [*places(value)]
    path = r.choice(found)
    above, key = at(value, path[:-1]), path[-1]
    match r.randrange(8):
        case 0 | 1:
            above[key] = deepcopy(r.choice(WEIRD))
        case 2:
            del above[key]
        case 3:
            above[key] = deepcopy(at(value, r.choice(found)))
        case 4 if isinstance(above, dict):
            above[r.choice(["x", f"{key} ", str(key).upper(), "auto_map", "__metadata__"])] = (
                above.pop(key)
            )
        case 5:
            other = r.choice(found)
            there = at(value, other[:-1])
            above[key], there[other[-1]] = there[other[-1]], above[key]
        case 6:
            old = above[key]
            number = isinstance(old, int | float)
            above[key] = r.choice([old + 1, -old, float(old), str(old)]) if number else [old]
        case _ if isinstance(above, list):
            above.append(deepcopy(r.choice(WEIRD)))
        case _:
            above["more"] = deepcopy(r.choice(WEIRD))
    return value


def damage(content, r):
    """Bytes of ``content`` are other than they were."""
    content = bytearray(content)
    for _ in range(r.choice([1, 1, 1, 2, 5])):
        if not content:
            break
        start = r.randrange(len(content))
        stop = min(len(content), start + r.choice([1, 1, 2, 8, 60]))
        match r.randrange(6):
            case 0:
                content[start] ^= 1 << r.randrange(8)
            case 1:
                del content[start:stop]
            case 2:
                content[start:start] = content[start:stop]
            case 3:
                content[start:stop] = r.choice(TOKENS)
            case 4:
                content[start:start] = r.choice(TOKENS)
            case _:
                del content[start:]
    return bytes(content)


def shuffled(value, r):
    """The same, its keys in another order."""
    if isinstance(value, dict):
        return {k: shuffled(value[k], r) for k in r.sample([*value], len(value))}
    return [shuffled(v, r) for v in value] if isinstance(value, list) else value


def written(value, r):
    """The same as JSON, in one of the ways that there are."""
    spaces = ["", " ", "  \n", "\t", "\r\n "]
    separators = (
        r.choice(spaces) + "," + r.choice(spaces),
        r.choice(spaces) + ":" + r.choice(spaces),
    )
    text = json.dumps(value, separators=separators, indent=r.choice([None, None, 0, 3]))
    if r.random() < 0.3:
        text = text.replace("toy", "\\u0074\\u006fy").replace("shape", "sh\\u0061pe")
    return (text + r.choice(spaces)).encode()


# ---------------------------------------------------------------------------------------- readings


class No(Exception):
    """What the test's own reader refuses."""


def plainly(content):
    """JSON as its standard has it (RFC 8259), with each key once; written without the core's."""

    def once(pairs):
        if len({k for k, _ in pairs}) < len(pairs):
            raise No("twice")
        return dict(pairs)

    def number(text):
        if float(text) in (float("inf"), float("-inf")):
            raise No("infinite")
        return float(text)

    def refuse(text):
        raise No(text)

    try:
        text = content.decode("utf-8")
        return json.loads(text, object_pairs_hook=once, parse_constant=refuse, parse_float=number)
    except (ValueError, RecursionError) as error:
        raise No(str(error)) from None


def alike(said, held):
    """Whether what a file said is what is held: a true is no 1, and a 1 may be a 1.0."""
    if isinstance(said, dict) and isinstance(held, dict):
        return said.keys() == held.keys() and all(alike(said[k], held[k]) for k in said)
    if isinstance(said, list) and isinstance(held, list):
        return len(said) == len(held) and all(map(alike, said, held))
    if type(said) is int and type(held) is float:
        return float(said) == held  # the nearest float of a long whole number
    return type(said) is type(held) and said == held


MANIFEST = {
    "version": 1, "revision": 1, "class_names": [], "data": "", "kind": "images", "rate": None,
    "dtype": "float32", "discriminator_sha256": None, "license": "unknown", "terms": "",
    "default": False, "recipe": None, "adopted": None,
}  # fmt: skip
RECIPE = {
    "precision": "fp32", "micro_batches": 1, "compile": False, "threads": 1, "processes": 1,
    "phases": {}, "stages": [],
}  # fmt: skip
FORM = dict.fromkeys(("size", "channels", "fit", "levels", "length", "rate"))
CONFIG = {"width": 3, "rate": 0.5, "loss": "hinge", "shape": [2], "flip": False}


def said_by(content):
    """What a config.json says, with what it leaves out; format 1 as format 2."""
    values = plainly(content)
    if isinstance(values, dict) and type(values.get("format")) is int and values["format"] == 1:
        values = {"license" if k == "licence" else k: v for k, v in values.items()} | {"format": 2}
    values = MANIFEST | values
    if values["recipe"] is not None:
        values["recipe"] = RECIPE | {"form": {}} | values["recipe"]
        values["recipe"]["form"] = FORM | values["recipe"]["form"]
    return values


WIDTHS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1}
WIDTHS |= {"U8": 1, "BOOL": 1}


def tensors_of(content):
    """Each tensor's (dtype, shape, bytes) by the format's own words, read without the core."""
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or length > len(content) - 8:
        raise No("length")
    entries, data = plainly(content[8 : 8 + length]), content[8 + length :]
    if not isinstance(entries, dict):
        raise No("no object")
    found, ends = {}, []
    for name, entry in entries.items():
        if name == "__metadata__":
            if not (isinstance(entry, dict) and all(type(v) is str for v in entry.values())):
                raise No("metadata")
            continue
        try:
            dtype, shape, (start, stop) = entry["dtype"], entry["shape"], entry["data_offsets"]
            whole = all(type(v) is int and v >= 0 for v in (start, stop, *shape))
            if not (whole and type(shape) is list):
                raise No("numbers")
            if WIDTHS[dtype] * int(np.prod(shape, dtype=object)) != stop - start:
                raise No("size")
        except (KeyError, TypeError, ValueError) as error:
            raise No(str(error)) from None
        found[name] = dtype, tuple(shape), data[start:stop]
        ends.append((start, stop))
    reached = 0
    for start, stop in sorted(ends):
        if start != reached:
            raise No("holes")
        reached = stop
    if reached != len(data):
        raise No("length of the data")
    return found


def widened(dtype, content):
    """The float32 bits of narrow numbers; all else as it is."""
    if dtype == "F16":
        return np.frombuffer(content, "<f2").astype("<f4").tobytes()
    if dtype == "BF16":
        return (np.frombuffer(content, "<u2").astype("<u4") << 16).tobytes()
    return content


def held_by(model):
    return {
        name: (tuple(t.shape), t.contiguous().view(-1).view(torch.uint8).numpy().tobytes())
        for name, t in model.state_dict().items()
    }


def is_what_they_say(model, config, weights):
    """Whether ``model`` is the one that these two files describe, and no other."""
    assert alike(CONFIG | said_by(config)["config"], model.config.model_dump(mode="json"))
    said = tensors_of(weights)
    assert held_by(model) == {n: (s, widened(d, c)) for n, (d, s, c) in said.items()}
    assert hashlib.sha256(weights).hexdigest() == said_by(config)["weights_sha256"]


# -------------------------------------------------------------------------------------------- cases


def loaded(folder):
    """The model, or None where an error of genzoo's, in one line, says why not."""
    try:
        return folders.load_folder(folder, "cpu")
    except GenzooError as error:
        if not (str(error).isprintable() and len(str(error)) < 1000):
            raise
        return None


@pytest.mark.parametrize("cases", CASES, ids=["some", "rest"])
def test_configs(cases, folder):
    """Every case goes through the whole of load."""
    path, weights = folder / manifests.CONFIG, (folder / manifests.WEIGHTS).read_bytes()
    good = path.read_bytes()
    counts = {"accepted": 0, "refused": 0, "the same": 0, "manifests": 0}
    for case in cases:
        r = random.Random(case)
        kind = r.randrange(10)
        if kind < 2:  # nothing that it says is other
            content = written(shuffled(json.loads(good), r), r)
        elif kind < 6:
            value = json.loads(good)
            for _ in range(r.choice([1, 1, 2, 3])):
                value = change(value, r)
            content = written(value, r)
        else:
            content = damage(good, r)
        path.write_bytes(content)
        try:
            manifest = manifests.read_manifest(folder)
            counts["manifests"] += 1
            assert alike(said_by(content), manifest.model_dump(mode="json")), case
        except GenzooError:
            pass
        model = loaded(folder)
        counts["refused" if model is None else "accepted"] += 1
        if model is not None:
            is_what_they_say(model, content, weights)
        if kind < 2:
            counts["the same"] += 1
            assert model is not None, f"case {case} says what it should"
    print(counts)
    assert min(counts.values()) > len(cases) / 20, counts


def with_header(value, data, r):
    text = written(value, r)
    return struct.pack("<Q", len(text)) + text + data


def mutant(good, r):
    """A file of weights, and whether it says the same as the ``good`` one."""
    length = int.from_bytes(good[:8], "little")
    head, data = json.loads(good[8 : 8 + length]), good[8 + length :]
    match r.randrange(10):
        case 0 | 1:
            if r.random() < 0.5:
                head["__metadata__"] = r.choice([{}, {"format": "pt"}, {"a": "\x1b[2J", "b": ""}])
            return with_header(shuffled(head, r), data, r), True
        case 2 | 3 | 4 | 5:
            for _ in range(r.choice([1, 1, 2])):
                head = change(head, r)
            return with_header(head, data, r), False
        case 6:
            return damage(good[: 8 + length], r) + data, False
        case 7:
            return good[: 8 + length] + damage(data, r), False
        case 8:
            wrong = r.choice([0, 1, length - 1, length + 1, len(good), 2**31, 2**63, 2**64 - 1])
            return struct.pack("<Q", wrong) + good[8:], False
        case _:  # each tensor in another's place: a good file that says something else
            names = r.sample([*head], len(head))
            moved, start = {}, 0
            for name in names:
                size = head[name]["data_offsets"][1] - head[name]["data_offsets"][0]
                moved[name] = head[name] | {"data_offsets": [start, start + size]}
                start += size
            return with_header(moved, data, r), False


@pytest.mark.parametrize("cases", CASES, ids=["some", "rest"])
def test_weights(cases, folder):
    """Every case has the hash that belongs to it, so that nothing but the format is in its way."""
    path, config = folder / manifests.WEIGHTS, json.loads((folder / manifests.CONFIG).read_text())
    good = path.read_bytes()
    same = held_by(folders.load_folder(folder, "cpu"))
    counts = {"accepted": 0, "refused": 0, "the same": 0, "headers": 0}
    for case in cases:
        content, is_same = mutant(good, random.Random(case))
        path.write_bytes(content)
        config["weights_sha256"] = hashlib.sha256(content).hexdigest()
        said = json.dumps(config).encode()
        (folder / manifests.CONFIG).write_bytes(said)
        try:
            expected = {n: (d, s) for n, (d, s, _) in tensors_or_more(content).items()}
        except No:  # what the header's reader lets through, the library refuses: there is no model
            expected = None
        try:
            header = weight_files.read_header(path)
            counts["headers"] += 1
            assert expected is None or header == expected, case
        except GenzooError:
            pass
        model = loaded(folder)
        assert expected is not None or model is None, case
        counts["refused" if model is None else "accepted"] += 1
        if model is not None:
            is_what_they_say(model, said, content)
        if is_same:
            counts["the same"] += 1
            assert model is not None, f"case {case} says what it should"
            assert held_by(model) == same
    print(counts)
    assert min(counts.values()) > len(cases) / 20, counts


def tensors_or_more(content):
    """As ``tensors_of``, but for metadata, which ``read_header`` leaves to safetensors."""
    length = int.from_bytes(content[:8], "little")
    entries = plainly(content[8 : 8 + length])
    if not isinstance(entries, dict):
        raise No("no object")
    entries.pop("__metadata__", None)
    text = json.dumps(entries).encode()
    return tensors_of(struct.pack("<Q", len(text)) + text + content[8 + length :])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_reader_of_narrow_numbers_reads_right(dtype):
    x = torch.linspace(-2, 2, 30).to(dtype)
    ((name, _, content),) = tensors_of(pack({"x": x})).values()
    assert widened(name, content) == x.float().numpy().tobytes()


@pytest.mark.parametrize("content", [b"", b"[1,]", b'{"a":1,"a":1}', b"NaN", b"1e999", b"\xff"])
def test_the_plain_reader_refuses(content):
    with pytest.raises(No):
        plainly(content)


def test_alike_is_strict():
    assert alike({"a": [1, 2.0]}, {"a": [1.0, 2.0]})
    for said, held in ((True, 1), (1, True), (1.0, 1), ("1", 1), ([], {}), (None, False)):
        assert not alike(said, held)


# ------------------------------------------------------------------------------------ other readers
# Each reader of bytes that anybody may have written: it takes them, or an error of genzoo's says
# why not. Few cases always, ten thousand of each by -m slow.


def as_json(values):
    """Mutations of a JSON file: its values, or its bytes."""
    good = json.dumps(values).encode()

    def mutate(r):
        if r.random() < 0.5:
            return damage(good, r)
        value = json.loads(good)
        for _ in range(r.choice([1, 1, 2, 3])):
            value = changed(value, r)
        return written(value, r)

    return good, mutate


def changed(value, r):
    """As ``change``; what is empty, or would hold itself, stays as it was."""
    try:
        new = change(deepcopy(value), r)
        json.dumps(new)
    except (IndexError, ValueError, RecursionError):
        return value
    return new


def as_bytes(good):
    return good, lambda r: damage(good, r)


def plan_file(folder):
    """Without its own hash, so that nothing but the schema is in the way."""
    values = {
        "format": 2, "family": "toy", "kind": "points", "data": "ring8", "data_sha256": "0" * 64,
        "steps": 6, "seed": 0, "config": {"width": 3}, "options": {"lr": 0.1}, "revision": 1,
        "precision": "fp32", "versions": {"torch": "2.6"}, "run": "1" * 64,
    }  # fmt: skip
    path = folder / "plan.json"

    def read(content):
        path.write_bytes(content)
        return plans.read_plan(path)

    return *as_json(values), read


def log_file(folder):
    (folder / "run").mkdir()
    (folder / "run" / "plan.json").write_text("{}")
    rows = [{"step": s, "phase": "one", "model/loss": 0.5, "n": 1} for s in range(1, 5)]
    rows.append({"step": 4, "finding": "rule", "text": "x"})
    lines = [json.dumps(row) for row in rows]
    path = folder / "run" / "log.jsonl"

    def mutate(r):
        at = r.randrange(len(lines))
        value = json.loads(lines[at])
        if r.random() < 0.5:
            return damage("\n".join(lines).encode(), r)
        new = json.dumps(changed(value, r))
        return "\n".join([*lines[:at], new, *lines[at + 1 :]]).encode()

    def read(content):
        path.write_bytes(content)
        return json.dumps(plots.read_run(folder).record())

    return "\n".join(lines).encode(), mutate, read


def metrics_file(folder):
    protocol = {"n": 10, "features": "mnist", "seed": 0}
    score = {
        "name": "fd",
        "value": 1.5,
        "protocol": protocol,
        "interval": [1.0, 2.0],
        "goal": "low",
    }
    values = {"format": 2, "scores": [score, {**score, "name": "nll", "unit": " bits"}]}
    values |= {"fingerprint": "eJw=", "speed": {"seconds_for_16": 0.5, "machine": "a"}}
    manifest = manifests.read_manifest(folder)

    def read(content):
        (folder / manifests.METRICS).write_bytes(content)
        metrics = card.metrics_of(folder)
        [readme.score_value(score) for score in metrics.scores or ()]
        return readme.render(manifest, metrics, False)

    return *as_json(values), read


def recipe_file(folder):
    """What another's recipe asks for is planned for data that the user named."""
    values = json.loads((folder / manifests.CONFIG).read_text())

    def mutate(r):
        value = json.loads(json.dumps(values))
        value["recipe"] = changed({"recipe": value["recipe"]}, r).get("recipe")
        return written(value, r)

    def read(content):
        (folder / manifests.CONFIG).write_bytes(content)
        recipe = manifests.read_manifest(folder).recipe
        if recipe is not None:
            schemas = {"config": Config, "options": Options}
            parts = plans.divide({**recipe.config, **recipe.options}, schemas, "")
            checked(Config, parts["config"], "config")
            checked(Options, parts["options"], "options")

    return json.dumps(values).encode(), mutate, read


def picture(ending):
    """What is written into a picture or sound."""

    def reader(folder):
        record = {"genzoo": "0.2.0", "seeds": [[0, 0], [0, 1]], "labels": [1, 2]}
        record["origin"] = {"model": "toy", "family": "toy", "weights_sha256": "0" * 64}
        record["call"] = {"method": "sample", "sampling": {"truncation": 0.5}, "to": None}

        def pack(text):
            return PACKED[ending](text)

        def mutate(r):
            if r.random() < 0.5:
                return damage(pack(json.dumps(record)), r)
            value = changed(record, r)
            return pack(json.dumps(value))

        path = folder / f"x{ending}"

        def read(content):
            path.write_bytes(content)
            return provenance.inspect(path)

        return pack(json.dumps(record)), mutate, read

    return reader


def _gif(record):
    buffer = io.BytesIO()
    Image.new("L", (2, 2)).save(buffer, "GIF", comment=f"{SYNTHETIC}\n{record}")
    return buffer.getvalue()


PACKED = {
    ".png": lambda text: encode(Image.new("L", (2, 2)), ".png", json.loads(text)),
    ".gif": _gif,
    ".wav": lambda text: wav(np.zeros((1, 40), np.float32), 8000, json.loads(text)),
}


def label_file(name, text):
    """A file of labels beside four images."""

    def reader(folder):
        files = ["a.png", "b.png", "c/d.png", "c/é.png"]

        def read(content):
            found = label_files.labels("set", name, content, files)
            assert found is None or {*found.of} <= {*files}
            return found and label_files.classes(found.of.values())

        if name.endswith(".json"):
            return *as_json(json.loads(text)), read
        return *as_bytes(text.encode()), read

    return reader


def direction_file(folder):
    origin = {"model": "toy", "family": "toy", "weights_sha256": "0" * 64}
    info = {"format": 2, "genzoo": "0.2.0", "origin": origin, "source": "seeds", "counts": [2, 2]}
    path = folder / "x.safetensors"

    def packed(info):
        return pack({"direction": torch.ones(4)}, {"info": json.dumps(info)})

    def mutate(r):
        if r.random() < 0.5:
            return damage(packed(info), r)
        return packed(changed(info, r))

    def read(content):
        path.write_bytes(content)
        return directions.read_direction(path)

    return packed(info), mutate, read


def idx_file(folder):
    """MNIST's own files."""
    path = folder / "x-ubyte"

    def read(content):
        path.write_bytes(content)
        return mnist._idx(path, 3)

    return *as_bytes(struct.pack(">4I", 0x803, 2, 3, 3) + bytes(18)), read


LABELS = {
    "labels.csv": "file_name,label\na.png,cat\nb.png,dog\nc/d.png,cat\nc/é.png,dog\n",
    "metadata.csv": "file_name;label;text\na.png;1;x\nb.png;2;y\nc/d.png;1;z\nc/é.png;2;x\n",
    "metadata.jsonl": '{"file_name": "a.png", "label": 1}\n{"file_name": "b.png", "label": 2}\n',
    "dataset.json": '{"labels": [["a.png", 0], ["b.png", 1], ["c/d.png", 0]]}',
}
READERS = {
    "plan.json": plan_file,
    "log.jsonl": log_file,
    "metrics.json": metrics_file,
    "recipe": recipe_file,
    **{f"metadata of {ending}": picture(ending) for ending in PACKED},
    **{name: label_file(name, text) for name, text in LABELS.items()},
    "direction": direction_file,
    "IDX": idx_file,
}
FEW, MANY = 120, 10_000
COUNTS = [FEW, pytest.param(MANY, marks=pytest.mark.slow)]


@pytest.mark.parametrize("cases", COUNTS)
@pytest.mark.parametrize("name", READERS)
def test_readers(name, cases, folder):
    good, mutate, read = READERS[name](folder)
    read(good)
    refused = 0
    for case in range(cases):
        content = mutate(random.Random(case))
        try:
            read(content)
        except GenzooError as error:
            refused += 1
            if not (str(error).isprintable() and len(str(error)) < 1000):
                raise
        except Exception as error:
            raise AssertionError(f"case {case}: {content[:300]!r}") from error
    print(name, cases, "cases,", refused, "refused")
    assert refused > cases / 20 or name == "log.jsonl"


@pytest.mark.parametrize("cases", [60, pytest.param(MANY, marks=pytest.mark.slow)])
def test_checkpoints(cases, folder):
    """Each has the hash that belongs to it. It is loaded as it is, or the run begins anew."""
    torch.manual_seed(0)
    module = nn.Linear(2, 3)
    optimizer = torch.optim.Adam(module.parameters())
    module(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    parts = {"net": module, "net.optimizer": optimizer}
    states = {name: deepcopy(part.state_dict()) for name, part in parts.items()}
    states["net"] = dict(states["net"])
    good = {"step": 5, "data": "0" * 64, "seconds": 1.5, "parts": states, "monitor": {"seen": 1}}
    (folder / "run" / "checkpoints").mkdir(parents=True)
    path = folder / "run" / "checkpoints" / "00000005.pt"

    def load(checkpoint):
        for name, part in parts.items():
            part.load_state_dict(checkpoint.parts[name])
        checkpoints.check_states(parts, checkpoint.parts)

    counts = {"loaded": 0, "refused": 0}
    for case in range(cases):
        r = random.Random(case)
        value = deepcopy(good)
        for _ in range(r.choice([1, 1, 2])):
            try:
                value = change(value, r)
            except (TypeError, RuntimeError):  # a tensor cannot be mutated as a number is
                continue
        with path.open("w+b") as file:
            torch.save(value, file)
            checkpoints._seal(file, "")
        found = checkpoints.restore(folder, torch.device("cpu"), load)
        counts["refused" if found is None else "loaded"] += 1
        assert found is None or (type(found.step), found.step) == (int, 5), case
        assert found is None or found.parts.keys() == parts.keys(), case
    print("checkpoints", counts)
    assert min(counts.values()) > cases / 50
