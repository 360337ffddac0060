"""A model comes back as it was saved; a folder that is not to be trusted is refused in a line."""

import builtins
import errno
import hashlib
import json
import os
import pickle
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from safetensors.torch import save as pack
from torch import nn

import genzoo
from genzoo import families
from genzoo.errors import BadInput, GenzooError, InvalidModel, OperationFailed, UnknownName
from genzoo.zoo import folder as store
from genzoo.zoo import manifest as manifests
from genzoo.zoo import weights

WEIGHTS, CONFIG = manifests.WEIGHTS, manifests.CONFIG


def made(family="vae"):
    """A tiny model whose every tensor, buffers included, is random."""
    torch.manual_seed(0)
    model = families.get(family).model(families.get(family).tiny)
    for tensor in [*model.parameters(), *model.buffers()]:
        if tensor.is_floating_point():
            tensor.data.uniform_(0.1, 1)
        else:
            tensor.fill_(min(12_345, torch.iinfo(tensor.dtype).max))
    return model.eval()


@pytest.fixture
def folder(tmp_path):
    return store.save(made(), tmp_path / "model")


def refused(folder, error=InvalidModel, **options):
    """The one line with which ``load`` refuses ``folder``, at once."""
    began = time.process_time()
    with pytest.raises(GenzooError) as caught:
        store.load_folder(folder, "cpu", **options)
    assert time.process_time() - began < 2
    assert type(caught.value) is error
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 800
    return message


def edit(folder, **changes):
    """Change fields of config.json; a function changes the value that stands there."""
    values = json.loads((folder / CONFIG).read_text())
    for key, change in changes.items():
        values[key] = change(values[key]) if callable(change) else change
    (folder / CONFIG).write_text(json.dumps(values))


def put(folder, content, name=WEIGHTS):
    """Exchange the weights, with the hash that belongs to them: nothing but they can be wrong."""
    (folder / name).write_bytes(content)
    edit(folder, weights_sha256=hashlib.sha256(content).hexdigest())


def header(entries, data=b"", length=None):
    text = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def changed(folder, **tensors):
    """The folder's tensors packed again, some of them changed; None leaves one out."""
    found = load_file(folder / WEIGHTS) | {k.replace("__", "."): v for k, v in tensors.items()}
    put(folder, pack({k: v for k, v in found.items() if v is not None}))


# -------------------------------------------------------------------------------------- round trip


@pytest.mark.parametrize("family", ["vae", "dcgan"])
def test_round_trip_is_exact(family, tmp_path):
    model = made(family)
    found = store.load_folder(store.save(model, tmp_path / "m"), "cpu")
    assert type(found) is type(model)
    assert found.config == model.config
    assert not any(m.training for m in found.modules())
    mine, theirs = model.state_dict(), found.state_dict()
    assert mine.keys() == theirs.keys()
    for name, value in mine.items():
        assert theirs[name].dtype == value.dtype
        assert torch.equal(theirs[name], value), name
    assert torch.equal(found.sample(3).tensor, model.sample(3).tensor)


@pytest.mark.parametrize(("dtype", "error"), [("float16", 2**-11), ("bfloat16", 2**-8)])
def test_narrow_parameters_exact_buffers(dtype, error, tmp_path):
    model = made("dcgan")
    folder = store.save(model, tmp_path / "m", dtype=dtype)
    found = store.load_folder(folder, "cpu")
    for name, value in model.named_buffers():
        assert torch.equal(found.get_buffer(name), value), name
    for name, value in model.named_parameters():
        kept = found.get_parameter(name)
        assert kept.dtype == torch.float32
        torch.testing.assert_close(kept, value, rtol=error, atol=0)
        assert torch.equal(kept, value.to(getattr(torch, dtype)).float())
    stored = load_file(folder / WEIGHTS)
    assert {stored[n].dtype for n, _ in model.named_parameters()} == {getattr(torch, dtype)}


def test_loaded_models_learn(folder):
    """Their tensors have memory of their own, and their parameters take gradients."""
    model = store.load_folder(folder, "cpu")
    assert all(p.requires_grad and p.is_leaf for p in model.parameters())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert not store.load_folder(folder, "cpu").sample(1).tensor.eq(model.sample(1).tensor).all()


def test_manifest_says_what_it_is(tmp_path):
    model = made()
    folder = store.save(
        model, tmp_path / "m", name="mine", data="mnist", license="mit", terms="Be kind."
    )
    found = manifests.read_manifest(folder)
    assert (found.name, found.family, found.plugin) == ("mine", "vae", "genzoo-vae")
    assert (found.data, found.license, found.terms) == ("mnist", "mit", "Be kind.")
    assert found.config == json.loads(model.config.model_dump_json())
    content = (folder / WEIGHTS).read_bytes()
    assert found.weights_sha256 == hashlib.sha256(content).hexdigest()
    origin = store.load_folder(folder, "cpu").origin
    assert (origin.model, origin.family, origin.weights_sha256) == (
        "mine",
        "vae",
        found.weights_sha256,
    )


def test_recipe_round_trip(tmp_path):
    recipe = manifests.Recipe(
        command="genzoo train",
        data_sha256="0" * 64,
        config={"shape": [1, 2]},
        options={"lr": 0.1},
        seed=2**63 - 1,
        steps=3,
        seconds=1.5,
        machine="a",
        versions={"torch": "2"},
    )
    folder = store.save(made(), tmp_path / "m", recipe=recipe)
    assert manifests.read_manifest(folder).recipe == recipe


def test_name_is_the_folders(tmp_path):
    assert manifests.read_manifest(store.save(made(), tmp_path / "abc")).name == "abc"


def test_discriminator_beside(tmp_path):
    family = families.get("dcgan")
    network = family.discriminator(family.tiny)
    folder = store.save(made("dcgan"), tmp_path / "m", discriminator=network)
    found = store.load_discriminator(folder, "cpu")
    for name, value in network.state_dict().items():
        assert torch.equal(found.state_dict()[name], value), name
    assert not found.training
    content = bytearray((folder / manifests.DISCRIMINATOR).read_bytes())
    content[-1] ^= 1
    (folder / manifests.DISCRIMINATOR).write_bytes(content)
    with pytest.raises(InvalidModel, match="hash"):
        store.load_discriminator(folder, "cpu")
    store.load_folder(folder, "cpu")  # the model alone is sound


@pytest.mark.parametrize("family", ["vae", "dcgan"])
def test_no_discriminator(family, tmp_path):
    folder = store.save(made(family), tmp_path / "m")
    with pytest.raises(BadInput, match="no discriminator"):
        store.load_discriminator(folder, "cpu")


# -------------------------------------------------------------------------------------------- save


def test_save_refuses_to_overwrite(folder):
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    with pytest.raises(BadInput, match=r"config.json: .*force=True"):
        store.save(made("dcgan"), folder)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


def test_save_keeps_what_it_did_not_write(tmp_path):
    """A card of nobody knows what, which a model's own would replace."""
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(BadInput, match=r"README.md: .*force=True"):
        store.save(made(), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["README.md"]


def test_save_takes_three_dtypes(tmp_path):
    with pytest.raises(BadInput, match="'int8'"):
        store.save(made(), tmp_path / "model", dtype="int8")
    assert not [*tmp_path.iterdir()]


def test_a_name_too_long_for_a_card_is_cut(tmp_path):
    store.save(made(), tmp_path / "model", name="x" * 300, data="a\tb")
    manifest = manifests.read_manifest(tmp_path / "model")
    assert (manifest.name, manifest.data) == ("x" * 200, "a b")


def test_force_overwrites(folder):
    store.save(made("dcgan"), folder, force=True)
    assert type(store.load_folder(folder, "cpu")) is families.get("dcgan").model


def test_a_model_that_replaces_another_is_its_next_version(folder, tmp_path):
    assert store.version_of(folder) == 1
    store.save(made("dcgan"), folder, force=True)
    assert store.version_of(folder) == 2
    copy = store.save(store.load_folder(folder, "cpu"), tmp_path / "copy")
    assert store.version_of(copy) == 2, "a copy is of the same version"
    store.save(store.load_folder(folder, "cpu"), folder, force=True)
    assert store.version_of(folder) == 2, "and so are the same weights in the same place"
    changed = store.load_folder(folder, "cpu")
    next(changed.parameters()).data += 1
    store.save(changed, folder, force=True)
    assert store.version_of(folder) == 3
    store.save(made(), folder, version=1, force=True)
    assert store.version_of(folder) == 1
    (folder / CONFIG).write_text("{}")
    store.save(made(), folder, force=True)
    assert store.version_of(folder) == 1, "what was broken had no version"
    with pytest.raises(BadInput, match=r"version must be a whole number of at least 1, got -1"):
        store.save(made(), tmp_path / "x", version=-1)


def full(*args):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("exists", [False, True])
def test_full_disk_leaves_nothing_half_written(exists, tmp_path, monkeypatch):
    target = tmp_path / "model"
    if exists:
        store.save(made(), target)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OperationFailed, match=r"cannot write .*: No space left on device"):
        store.save(made("dcgan"), target, force=True)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before
    assert [p.name for p in tmp_path.iterdir()] == ["model"] * exists


def test_full_disk_at_the_last_file(folder, monkeypatch):
    """Weights are never put beside a config.json of other weights because the disk filled up."""
    calls, real = [], os.fsync

    def late(descriptor):
        calls.append(descriptor)
        return real(descriptor) if len(calls) == 1 else full()

    monkeypatch.setattr(os, "fsync", late)
    with pytest.raises(OperationFailed):
        store.save(made("dcgan"), folder, force=True)
    assert len(calls) == 2
    assert type(store.load_folder(folder, "cpu")) is families.get("vae").model


@pytest.mark.parametrize("moves", range(5))
def test_what_stops_between_the_files_leaves_the_old_model(moves, folder, monkeypatch):
    (folder / manifests.README).write_text("of the old model")
    before, real, calls = {p: p.read_bytes() for p in folder.iterdir()}, Path.replace, []

    def stops(path, target):
        calls.append(path)
        if len(calls) == moves + 1:
            raise KeyboardInterrupt
        return real(path, target)

    monkeypatch.setattr(Path, "replace", stops)
    with pytest.raises(KeyboardInterrupt):
        store.save(made("dcgan"), folder, force=True)
    assert {p: p.read_bytes() for p in folder.iterdir()} == before
    assert [*folder.parent.iterdir()] == [folder]


def test_what_is_half_replaced_is_no_model(folder, monkeypatch):
    """Between any two moves, where a kill leaves the folder as it is."""
    (folder / manifests.README).write_text("of the old model")
    dcgan = families.get("dcgan")
    discriminator = dcgan.discriminator(dcgan.tiny)
    real, between = Path.replace, []

    def observed(path, target):
        real(path, target)
        between.append({p.name for p in folder.iterdir()})
        if len(between) < 6:
            assert "config.json" in refused(folder)

    monkeypatch.setattr(Path, "replace", observed)
    store.save(made("dcgan"), folder, discriminator=discriminator, force=True)
    old, whole = {WEIGHTS, manifests.README}, {CONFIG, WEIGHTS, manifests.DISCRIMINATOR}
    assert between[0] == old, "config.json goes first"
    assert between[2] == set()
    assert between[4:] == [whole - {CONFIG}, whole], "and comes last"
    assert type(store.load_folder(folder, "cpu")) is dcgan.model


def test_a_file_stands_there(tmp_path):
    (tmp_path / "model").write_text("mine")
    with pytest.raises(BadInput, match="model is a file"):
        store.save(made(), tmp_path / "model")
    assert (tmp_path / "model").read_text() == "mine"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e6])
def test_save_only_finite(value, tmp_path):
    """A million is finite, and infinite in float16."""
    model = made()
    model.spread.data.fill_(value)
    with pytest.raises(OperationFailed, match="spread holds values that float16 cannot"):
        store.save(model, tmp_path / "m", dtype="float16")
    assert not any(tmp_path.iterdir())


def test_save_where_you_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert manifests.read_manifest(store.save(made(), ".")).name == tmp_path.name
    store.load_folder(".", "cpu")
    assert {p.name for p in tmp_path.iterdir()} == {CONFIG, WEIGHTS}


class Masked(nn.Module):
    """What a network may keep beside its weights."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(3))
        self.register_buffer("mask", torch.tensor([True, False, True]))
        self.register_buffer("bytes", torch.tensor([0, 255], dtype=torch.uint8))
        self.register_buffer("small", torch.tensor([-1, 2], dtype=torch.int32))
        self.register_buffer("exact", torch.tensor([1 / 3], dtype=torch.float64))


def test_buffers_of_any_dtype(tmp_path):
    model = Masked()
    (tmp_path / "x").write_bytes(weights.pack(model, "float16"))
    with torch.device("meta"):
        found = Masked()
    with (tmp_path / "x").open("rb") as file:
        weights.fill(found, file, tmp_path / "x", None, {})
    for name, value in model.named_buffers():
        assert found.get_buffer(name).dtype == value.dtype
        assert torch.equal(found.get_buffer(name), value), name


def test_loading_draws_nothing(folder):
    before = torch.get_rng_state()
    store.load_folder(folder, "cpu")
    assert torch.equal(torch.get_rng_state(), before)


def test_threads_load_at_once(folder):
    found, start = [], threading.Barrier(4)

    def load():
        start.wait()
        found.append(store.load_folder(folder, "cpu").sample(2).tensor)

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all(torch.equal(f, found[0]) for f in found)


def test_loading_compiles_nothing(tmp_path):
    """Some of torch's functions import its compiler on the meta device: that takes seconds."""
    code = "import sys, genzoo; [genzoo.load(f, device='cpu') for f in sys.argv[1:]];"
    folders = [store.save(made(f), tmp_path / f, family=f) for f in families.names()]
    code += "assert 'torch._dynamo' not in sys.modules"
    subprocess.run([sys.executable, "-c", code, *folders], check=True)


def test_class_names_must_fit(folder):
    edit(folder, class_names=["a", "b"])
    assert "2 class names, but the model has 0 classes" in refused(folder)


# ------------------------------------------------------------------------------------ no code runs


class Bomb:
    def __reduce__(self):
        return builtins.exec, ("import builtins; builtins.exploded = True",)


@pytest.fixture
def quiet(monkeypatch):
    """What would have run; and whoever unpickles anything at all fails."""

    def never(*args, **options):
        raise AssertionError("unpickled")

    monkeypatch.setattr(builtins, "exploded", False, raising=False)
    for module, name in [(torch, "load"), (pickle, "load"), (pickle, "loads")]:
        monkeypatch.setattr(module, name, never)
    monkeypatch.setattr(pickle, "Unpickler", never)


def test_bomb_is_a_bomb(monkeypatch):
    monkeypatch.setattr(builtins, "exploded", False, raising=False)
    pickle.loads(pickle.dumps(Bomb()))
    assert builtins.exploded


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_pickle_bomb(protocol, verify, folder, quiet):
    put(folder, pickle.dumps(Bomb(), protocol))
    message = refused(folder, verify=verify)
    assert "is a pickle, not safetensors" in message or "is not safetensors" in message
    assert builtins.exploded is False


def test_torch_archive(folder, quiet, tmp_path):
    torch.save({"a": Bomb()}, tmp_path / "x")
    put(folder, (tmp_path / "x").read_bytes())
    assert "is a zip archive, as torch.save writes them, not safetensors" in refused(folder)
    assert builtins.exploded is False


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.pkl", "model.ckpt"])
def test_only_pickles_in_the_folder(name, folder, quiet):
    (folder / WEIGHTS).unlink()
    (folder / name).write_bytes(pickle.dumps(Bomb()))
    assert "model.safetensors: No such file" in refused(folder)
    assert builtins.exploded is False


def test_load_never_unpickles(folder, quiet):
    store.load_folder(folder, "cpu")
    (folder / "modeling.py").write_text("raise SystemExit")
    (folder / "__init__.py").write_text("raise SystemExit")
    store.load_folder(folder, "cpu")


@pytest.mark.parametrize("key", ["auto_map", "_class_name", "model", "trust_remote_code"])
def test_code_keys_are_unknown(key, folder):
    edit(folder, **{key: {"AutoModel": "modeling.Evil"}})
    assert f"there is no field {key}" in refused(folder)


def test_code_keys_in_the_config(folder):
    edit(folder, config=lambda c: {**c, "auto_map": "os:system"})
    assert "config: there is no field auto_map" in refused(folder)


@pytest.mark.parametrize("family", ["os:system", "../evil", "genzoo_vae", "antimatter", "vea"])
def test_family_not_installed(family, folder):
    edit(folder, family=family)
    message = refused(folder, UnknownName)
    assert repr(family) in message
    assert ("did you mean vae or wavegan?" in message) == (family == "vea")


def test_newer_revision(folder):
    newest = families.get("vae").revision
    edit(folder, revision=newest + 1)
    message = refused(folder)
    assert f"revision {newest + 1} of vae" in message
    assert message.endswith(f"is {newest}: upgrade genzoo-vae")


def test_an_older_revision_without_a_recipe(folder):
    """Saved by `genzoo.save`, not by a run: no options are stored."""
    today = store.load_folder(folder, "cpu").config
    edit(
        folder,
        revision=1,
        config=lambda c: {("code" if k == "latent_dim" else k): v for k, v in c.items()},
        recipe=None,
    )
    assert store.load_folder(folder, "cpu").config == today


def test_a_folder_advertises_no_package(folder):
    """Else a stranger's folder could have a stranger's package installed."""
    edit(folder, revision=1000, plugin="genzoo-evil")
    assert refused(folder).endswith("upgrade genzoo-vae")


@pytest.mark.parametrize("value", [3, 0, "1", True, 1.0, 2.0, None, [1]])
def test_unknown_format(value, folder):
    edit(folder, format=value)
    hint = ": upgrade genzoo" if value == 3 else ""  # only a newer genzoo could read it
    assert refused(folder).endswith(f"got {json.dumps(value)}{hint}")


# ----------------------------------------------------------------------------------------- weights


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "is not safetensors, or cut off (0 bytes)"),
        (b"\0" * 8, "is not safetensors, or cut off (8 bytes)"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "is a Git LFS pointer"),
        (b"PK\x03\x04" + b"\0" * 100, "is a zip archive"),
        (b"\x80\x02}q\0." * 9, "is a pickle"),
        (header({}, length=2**63), "is not safetensors"),
        (header({}, length=2**64 - 1), "is not safetensors"),
        (header({}, length=3), "is not safetensors"),
        (header(b"{}{}"), "header is not valid JSON"),
        (header(b"[]"), "header: expected an object"),
        (header(b'{"\xff": 1}'), "header is not valid JSON"),
        (header(b"[" * 200_000), "header is not valid JSON"),
        (header({}), "it lacks decoder.0.bias"),
        (header({}, b"\0"), "has 11 bytes, its header says 10"),
    ],
)
def test_not_safetensors(content, what, folder):
    put(folder, content)
    message = refused(folder)
    assert what in message
    assert WEIGHTS in message


@pytest.mark.parametrize("first", [b"\x80", b"<", b"P", b"v"])
def test_any_length_of_header_is_fine(first, folder):
    """The first byte is the length's, and may be that of a pickle."""
    content = (folder / WEIGHTS).read_bytes()
    length = int.from_bytes(content[:8], "little")
    padded = length + (first[0] - length) % 256
    spaces = b" " * (padded - length)
    made_up = struct.pack("<Q", padded) + content[8 : 8 + length] + spaces + content[8 + length :]
    assert made_up[:1] == first
    put(folder, made_up)
    store.load_folder(folder, "cpu")


ENTRY = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


@pytest.mark.parametrize(
    "change",
    [
        {"dtype": 3},
        {"dtype": ["F32"]},
        {"shape": [-1]},
        {"shape": [True]},
        {"shape": [1.0]},
        {"shape": "1"},
        {"shape": None},
        {"shape": [2**62, 2**62]},
        {"shape": [1] * 100_000},
        {"shape": [0, 10**13], "data_offsets": [0, 4]},
        {"data_offsets": [0, 2**62]},
        {"data_offsets": [0]},
        {"data_offsets": ["0", "4"]},
        {"data_offsets": None},
    ],
)
def test_bad_entries(change, folder):
    put(folder, header({"a": {**ENTRY, **change}}, b"\0" * 4))
    assert "header: the entry 'a' is not valid" in refused(folder)


@pytest.mark.parametrize("entry", [None, 3, [], "x", {}])
def test_entries_are_objects(entry, folder):
    put(folder, header({"a": entry}, b"\0" * 4))
    assert "header: the entry 'a' is not valid" in refused(folder)


def tensors_header(folder, offset):
    """The folder's own header, its entries at places that ``offset(start)`` gives."""
    content = (folder / WEIGHTS).read_bytes()
    length = int.from_bytes(content[:8], "little")
    entries, data = json.loads(content[8 : 8 + length]), content[8 + length :]
    for entry in entries.values():
        if "data_offsets" in entry:
            start, stop = entry["data_offsets"]
            entry["data_offsets"] = [offset(start), offset(start) + stop - start]
    return header(entries, data)


@pytest.mark.parametrize("offset", [lambda start: 0, lambda start: start + 4, lambda start: -4])
@pytest.mark.parametrize("verify", [True, False])
def test_overlaps_and_holes(offset, verify, folder):
    put(folder, tensors_header(folder, offset))
    refused(folder, verify=verify)


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize(
    "spoil",
    [
        lambda first, second: {"data_offsets": [0, first["data_offsets"][1] - 4]},  # a hole
        lambda first, second: {"data_offsets": second["data_offsets"]},  # the bytes of another
        lambda first, second: {"data_offsets": first["data_offsets"][::-1]},
        lambda first, second: {"dtype": "F16"},  # half its bytes
    ],
)
def test_what_the_library_checks(spoil, verify, folder):
    """A header that is well formed, of a file that is whole, and that describes it wrongly."""
    content = (folder / WEIGHTS).read_bytes()
    length = int.from_bytes(content[:8], "little")
    entries = json.loads(content[8 : 8 + length])
    names = sorted(
        (n for n in entries if n != "__metadata__"), key=lambda n: entries[n]["data_offsets"]
    )
    first, second = entries[names[0]], entries[names[1]]
    entries[names[0]] = {**first, **spoil(first, second)}
    put(folder, header(entries, content[8 + length :]))
    assert "is not valid safetensors" in refused(folder, verify=verify)


def test_duplicate_keys_in_the_header(folder):
    entry = json.dumps(ENTRY)
    put(folder, header(f'{{"a": {entry}, "a": {entry}}}'.encode(), b"\0" * 4))
    assert "duplicate key" in refused(folder)


def test_header_bomb(folder, monkeypatch):
    """80 MB of empty tensors took 12.9 s and 2.2 GB: the header must not even be read."""
    read = []
    monkeypatch.setattr(
        weights,
        "read_json",
        lambda text, *a, f=weights.read_json: read.append(len(text)) or f(text, *a),
    )
    with (folder / WEIGHTS).open("wb") as file:
        file.write(struct.pack("<Q", 80 << 20))
        file.truncate(81 << 20)
    assert "is not safetensors" in refused(folder)
    assert read == []


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("cut", [1, 1000, -4])
def test_truncated(cut, verify, folder):
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[:-cut] if cut > 0 else content + b"\0" * 4)
    assert "cut off" in refused(folder, verify=verify)


def test_same_size_corruption(folder):
    content = bytearray((folder / WEIGHTS).read_bytes())
    content[-100] ^= 1
    (folder / WEIGHTS).write_bytes(content)
    assert f"{WEIGHTS}: checksum mismatch" in refused(folder)


def test_verify_off_skips_the_hash(folder):
    edit(folder, weights_sha256="0" * 64)
    assert "hash" in refused(folder)
    found = store.load_folder(folder, "cpu", verify=False)
    assert torch.equal(found.sample(2).tensor, made().sample(2).tensor)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_are_finite(value, folder):
    weight = load_file(folder / WEIGHTS)["decoder.0.bias"]
    weight[3] = value
    changed(folder, decoder__0__bias=weight)
    assert "decoder.0.bias holds values that are not finite" in refused(folder)
    store.load_folder(folder, "cpu", verify=False)


@pytest.mark.parametrize(
    ("dtype", "name"), [("float64", "F64"), ("int32", "I32"), ("bool", "BOOL")]
)
@pytest.mark.parametrize("verify", [True, False])
def test_wrong_dtype(dtype, name, verify, folder):
    weight = load_file(folder / WEIGHTS)["spread"].to(getattr(torch, dtype))
    changed(folder, spread=weight)
    assert f"spread has dtype {name}, expected F32" in refused(folder, verify=verify)


def test_whole_numbers_stay_whole(tmp_path):
    folder = store.save(made("dcgan"), tmp_path / "m")
    changed(folder, layers__1__num_batches_tracked=torch.tensor(3.0))
    assert "num_batches_tracked has dtype F32, expected I64" in refused(folder)


def test_missing_tensors(folder):
    names = sorted(load_file(folder / WEIGHTS))[:5]
    changed(folder, **{n.replace(".", "__"): None for n in names})
    assert f"does not fit config.json: it lacks {', '.join(names[:3])} (5)" in refused(folder)


def test_extra_tensors(folder):
    changed(folder, zz=torch.zeros(1), evil=torch.zeros(1))
    assert "does not fit config.json: it has unknown evil, zz (2)" in refused(folder)


def test_missing_and_extra(folder):
    changed(folder, spread=None, spraed=torch.zeros(()))
    assert "it lacks spread (1) and has unknown spraed (1)" in refused(folder)


def test_misshaped_tensors(folder):
    changed(folder, prior_mean=torch.zeros(3))
    assert "prior_mean is (3,), expected (2,)" in refused(folder)


def test_config_of_another_size(folder):
    """A config that was exchanged is found out before anything is read."""
    edit(folder, config=lambda c: {**c, "latent_dim": 3})
    assert "does not fit config.json" in refused(folder, verify=False)


def test_too_large_to_allocate(folder, monkeypatch):
    needed = sum(t.numel() * t.element_size() for t in made().state_dict().values())
    monkeypatch.setenv("GENZOO_MAX_WEIGHT_BYTES", str(needed))
    store.load_folder(folder, "cpu")
    monkeypatch.setenv("GENZOO_MAX_WEIGHT_BYTES", str(needed - 1))
    (folder / WEIGHTS).write_bytes(b"")  # they are not even looked at
    message = refused(folder)
    assert message.endswith(f"{needed} bytes, the limit is {needed - 1}")


def test_a_terabyte_costs_nothing(folder):
    edit(folder, config=lambda c: {**c, "shape": [65_536, 65_536, 4], "network": "mlp"})
    assert "the limit is 8589934592" in refused(folder)


@pytest.mark.parametrize("change", [{"shape": [4], "network": "conv"}, {"shape": [65_536] * 4}])
def test_impossible_network(change, folder):
    """A config within its bounds of which no network can be built."""
    edit(folder, config=lambda c: {**c, **change})
    assert "no model can be built from its config: " in refused(folder)


# ------------------------------------------------------------------------------------------ config


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "is not valid JSON"),
        (b"{", "is not valid JSON"),
        (b"family: vae\n", "is not valid JSON"),
        (b"!!python/object/apply:os.system [id]", "is not valid JSON"),
        (b"[]", "expected an object, got list"),
        (b"3", "expected an object, got int"),
        (b"null", "expected an object, got NoneType"),
        (b"{}", "got null"),
        (b'{"format": 1}', "name is missing (and 5 more)"),
        (b'\xef\xbb\xbf{"format": 1}', "is not valid JSON"),
        ('{"format": 1}'.encode("utf-16"), "is not valid JSON"),
        (b'{"format": 1, "format": 1}', "duplicate key"),
        (b'{"format": NaN}', "NaN is not a number"),
        (b'{"format": 1e400}', "1e400 is too large"),
        (b'{"format": ' + b"9" * 5000 + b"}", "is not valid JSON"),
        (b"[" * 200_000, "is not valid JSON"),
        (b'{"a":' * 100_000, "is not valid JSON"),
        (b" " * (10 << 20), "is larger than 1048576 bytes"),
    ],
)
def test_bad_config(content, what, folder):
    (folder / CONFIG).write_bytes(content)
    message = refused(folder)
    assert what in message
    assert CONFIG in message


@pytest.mark.parametrize("depth", [150, 250, *range(880, 1000, 10), 2000])
def test_nested_config(depth, folder):
    """Whoever counts the levels, json or pydantic: the answer is the same."""
    text = (folder / CONFIG).read_text()
    nested = '{"config": ' + "[" * depth + "]" * depth + ","
    (folder / CONFIG).write_text(text.replace('"config"', '"konfig"', 1).replace("{", nested, 1))
    refused(folder)


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("latent_dim", True, "whole number, got true"),
        ("latent_dim", "64", 'whole number, got "64"'),
        ("latent_dim", 2.0, "whole number, got 2.0"),
        ("latent_dim", -2, "at least 1, got -2"),
        ("latent_dim", 0, "at least 1, got 0"),
        ("latent_dim", 10**12, "at most 4096, got 1000000000000"),
        ("latent_dim", None, "whole number, got null"),
        ("latent_dim", 10**4000, "got 1"),
        ("shape", [1, 16, True], "whole number, got true"),
        ("shape", [1] * 9, "at most 4"),
        ("network", "mpl", "'mlp', 'conv' or 'relu'"),
    ],
)
def test_config_out_of_bounds(field, value, complaint, folder):
    edit(folder, config=lambda c: {**c, field: value})
    message = refused(folder)
    assert f"config.json: config: {field}" in message
    assert complaint in message


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", 3),
        ("name", "x" * 201),
        ("family", None),
        ("revision", True),
        ("revision", "1"),
        ("revision", 0),
        ("config", []),
        ("class_names", ["x"] * 10_001),
        ("class_names", "abc"),
        ("dtype", "float64"),
        ("weights_sha256", "0" * 63),
        ("weights_sha256", "G" * 64),
        ("weights_sha256", "0" * 64 + "\n"),
        ("default", 1),
        ("recipe", {"command": "x"}),
    ],
)
def test_manifest_out_of_bounds(field, value, folder):
    edit(folder, **{field: value})
    assert f"config.json: {field}" in refused(folder)


def test_terminal_escapes_are_not_shown(folder):
    changed(folder, **{"\x1b[31m\u202e\n": torch.zeros(1)})
    assert "has unknown  [31m" in refused(folder)
    edit(folder, **{"\x1b[2J\x1b]0;owned\x07": 1})
    assert "[2J" in refused(folder)


# ------------------------------------------------------------------------------------ the file tree


@pytest.mark.parametrize("name", ["none", "a\0b"])
def test_no_folder(name, tmp_path):
    said = f"no folder {tmp_path / name}".replace("\0", " ")
    with pytest.raises(UnknownName) as caught:
        store.load_folder(tmp_path / name, "cpu")
    assert str(caught.value) == said


def test_a_name_too_long(tmp_path):
    """From Python 3.14 on such a name is that of no folder."""
    with pytest.raises((BadInput, UnknownName), match=r"too long|no folder"):
        store.load_folder(tmp_path / ("x" * 5000), "cpu")


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "x").write_text("{}")
    refused(tmp_path / "x", UnknownName)


def test_empty_folder(tmp_path):
    assert f"{tmp_path} is no model folder: config.json: No such file" in refused(tmp_path)


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
def test_folder_in_a_files_place(name, folder):
    (folder / name).unlink()
    (folder / name).mkdir()
    assert f"{folder / name} is not a plain file" in refused(folder)


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
def test_pipe_in_a_files_place(name, folder):
    """Opening one waits for a writer: for ever."""
    (folder / name).unlink()
    os.mkfifo(folder / name)
    assert f"{folder / name} is not a plain file" in refused(folder)


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
def test_link_out_of_the_folder(name, folder, tmp_path):
    (folder / name).rename(tmp_path / name)
    (folder / name).symlink_to(tmp_path / name)
    assert f"{folder / name} is a link out of its folder" in refused(folder)


def test_link_to_nowhere(folder):
    (folder / WEIGHTS).unlink()
    (folder / WEIGHTS).symlink_to(WEIGHTS)
    refused(folder)


def test_link_to_the_folder(folder, tmp_path):
    """A whole folder may be a link: that is its owner's doing."""
    (tmp_path / "link").symlink_to(folder)
    store.load_folder(tmp_path / "link", "cpu")


def test_a_copy_keeps_the_data_the_license_and_the_terms(tmp_path):
    whose = {"data": "celeba", "license": "other", "terms": "research only"}
    first = store.save(made(), tmp_path / "a", **whose)
    copy = store.save(genzoo.load(first, device="cpu"), tmp_path / "b")
    told = manifests.read_manifest(copy)
    assert (told.data, told.license, told.terms) == ("celeba", "other", "research only")
    mine = store.save(genzoo.load(copy, device="cpu"), tmp_path / "c", data="mine", license="mit")
    told = manifests.read_manifest(mine)
    assert (told.data, told.license, told.terms) == ("mine", "mit", "research only")


def test_what_is_no_model_is_not_saved(tmp_path):
    with pytest.raises(BadInput, match=r"expected a genzoo\.Model to save, got an int"):
        genzoo.save(3, tmp_path / "x")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("command", ["", "rm -rf / --no-preserve-root; 'unclosed", "\\", "$(id)"])
def test_the_command_of_a_recipe_is_never_parsed(command, folder, monkeypatch):
    recipe = {
        "command": command,
        "data_sha256": "0" * 64,
        "config": {},
        "options": {},
        "seed": 0,
        "steps": 1,
        "seconds": 1.0,
        "machine": "x",
        "versions": {},
    }
    edit(folder, recipe=recipe)
    assert store.load_folder(folder, "cpu").sample(1, seed=0)
    assert manifests.read_manifest(folder).recipe.command == command
