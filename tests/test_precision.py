"""load(dtype=, compile=): how the private copy computes, and what stays equal."""

import copy
import shutil
import threading

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import genzoo
from genzoo import devices, families
from genzoo.errors import BadInput, OperationFailed
from genzoo.models.inference import PLAIN, Execution, inference_copy, largest_called, run
from genzoo.models.precision import DTYPES, InDtype, checked_dtype

WIDE = Execution(torch.float64)
HALVES = [torch.float16, torch.bfloat16]
BOUNDS = {torch.float64: 1e-6, torch.bfloat16: 0.03, torch.float16: 0.004}


def tiny(family):
    """A model of the family's tiny config, its weights the same in every test."""
    parts = families.get(family)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return parts.model(parts.tiny).eval()


def also(model, dtype):
    model = copy.deepcopy(model)
    model.execution = Execution(dtype)
    return model


# ------------------------------------------------------------------------------------------- dtypes


@pytest.mark.parametrize("dtype", [*BOUNDS])
@pytest.mark.parametrize("family", ["dcgan", "vae", "sagan", "cyclegan"])
def test_samples_of_another_dtype_are_almost_the_same(family, dtype):
    model = tiny(family)
    plain, other = model.sample(3, seed=4), also(model, dtype).sample(3, seed=4)
    assert other.tensor.dtype == torch.float32
    apart = (plain.tensor - other.tensor).abs().max()
    assert apart < BOUNDS[dtype]
    assert dtype == torch.float64 or apart > 0
    assert plain.seeds == other.seeds


@pytest.mark.parametrize("dtype", [*BOUNDS])
def test_codes_and_likelihoods_follow(dtype):
    model = tiny("vae")
    x, other = model.sample(3), also(model, dtype)
    for read in (lambda m: m.encode(x), lambda m: m.log_prob(x, seed=2) / 256):
        plain, found = read(model), read(other)
        assert found.dtype == torch.float32
        assert torch.allclose(plain, found, atol=10 * BOUNDS[dtype])
    assert torch.equal(model.codes(4, seed=1), other.codes(4, seed=1))


@pytest.mark.parametrize("dtype", [*BOUNDS])
def test_a_model_that_draws_pixel_by_pixel_follows(dtype):
    other = also(tiny("pixelcnn"), dtype).sample(2)
    assert other.tensor.isfinite().all()
    assert {*other.tensor.unique().tolist()} <= {0.0, 0.5, 1.0}


def test_float64_computes_in_float64(latent):
    """Against a copy in double precision, run by hand."""
    twin = copy.deepcopy(latent).double().eval()
    with torch.no_grad():
        exact = (twin.decode(latent.codes(3).double()) + 1) / 2
    errors = [
        (how.sample(3).tensor.double() - exact).abs().max()
        for how in (latent, also(latent, torch.float64))
    ]
    assert errors[1] <= 2**-24 < errors[0]  # rounded to float32 once in each range


@pytest.mark.parametrize("dtype", [*BOUNDS])
def test_the_model_itself_stays(latent, dtype):
    before = {k: v.clone() for k, v in latent.state_dict().items()}
    latent.execution = Execution(dtype)
    latent.sample(2)
    assert all(torch.equal(v, before[k]) for k, v in latent.state_dict().items())
    assert {p.dtype for p in inference_copy(latent, latent.execution).parameters()} == {dtype}
    assert {p.dtype for p in inference_copy(latent).parameters()} == {torch.float32}


@pytest.mark.parametrize("dtype", [*BOUNDS])
def test_one_dtype_gives_the_same_bits_each_time(latent, dtype):
    one, other = also(latent, dtype), also(latent, dtype)
    assert torch.equal(one.sample(5).tensor, other.sample(5).tensor)


@pytest.mark.parametrize("dtype", HALVES)
def test_values_that_a_half_cannot_hold_are_an_error(dtype):
    model, how = nn.Linear(1, 1), Execution(dtype)
    model.weight.data.fill_(3.4e38)
    assert run(inference_copy(model), PLAIN, lambda copy: copy.weight).isfinite().all()
    with pytest.raises(OperationFailed, match=f"not finite in {how}: load it in another dtype"):
        run(inference_copy(model, how), how, lambda copy: copy.weight)


@pytest.mark.parametrize("dtype", HALVES)
def test_buffers_stay_as_they_are(dtype):
    model = nn.BatchNorm1d(2)
    model.running_mean.fill_(1.0001)
    private = inference_copy(model, Execution(dtype))
    assert (private.weight.dtype, private.running_mean.dtype) == (dtype, torch.float32)


def test_two_dtypes_at_once_do_not_meet(latent):
    """The types of one thread's tensors are none of another's."""
    models = [latent, also(latent, torch.float64), also(latent, torch.bfloat16)]
    expected, wrong = [m.sample(2).tensor for m in models], []

    def draw(model, tensor):
        wrong.extend(i for i in range(20) if not torch.equal(model.sample(2).tensor, tensor))

    threads = [threading.Thread(target=draw, args=a) for a in zip(models, expected, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert torch.get_default_dtype() == torch.float32


def test_a_search_for_codes_computes_in_float32(latent):
    x = latent.sample(1)
    plain = genzoo.project(latent, x, steps=2, restarts=1)
    other = genzoo.project(also(latent, torch.bfloat16), x, steps=2, restarts=1)
    assert torch.equal(plain.codes, other.codes)


def test_the_record_names_what_is_not_the_default(latent):
    assert {"dtype", "compile"}.isdisjoint(latent.sample(1).call)
    assert also(latent, torch.bfloat16).sample(1).call["dtype"] == "bfloat16"
    latent.execution = Execution(compile=True)
    assert latent.public_samples(torch.zeros(1, 3, 8, 8), None, [], {}).call == {"compile": True}


# --------------------------------------------------------------------------------- what torch lacks


@pytest.mark.parametrize("dtype", HALVES)
def test_what_torch_lacks_in_half_is_computed_in_float32(dtype):
    scale, x = torch.eye(3).to(dtype), torch.ones(3, 1, dtype=dtype)
    with pytest.raises(RuntimeError):
        torch.linalg.solve_triangular(scale, x, upper=False)
    with InDtype(dtype):
        solved = torch.linalg.solve_triangular(scale, x, upper=False)
    assert (solved.dtype, solved.sum()) == (dtype, 3)


@pytest.mark.parametrize("dtype", HALVES)
def test_types_that_meet_become_the_dtype(dtype):
    weight, noise = torch.ones(2, 2, dtype=dtype), torch.ones(2)
    with InDtype(dtype):
        assert F.linear(noise, weight).dtype == dtype
        assert (noise + weight).dtype == dtype
        assert weight.float().softmax(0).dtype == torch.float32  # on purpose
        assert (noise + noise).dtype == torch.float32


def test_everything_is_wide_in_float64():
    with InDtype(torch.float64):
        made = [torch.zeros(1), torch.from_numpy(np.zeros(1, np.float32)).to("cpu")]
        made += [torch.zeros(1).float(), torch.rand(1) + 1, torch.arange(2) / 2]
    assert {x.dtype for x in made} == {torch.float64}
    assert torch.arange(2).dtype == torch.int64


@pytest.mark.parametrize("dtype", [*HALVES, torch.float64])
def test_writing_in_place_reaches_its_target(dtype):
    target, wide = torch.zeros(4), torch.ones(4, dtype=dtype)
    with InDtype(dtype):
        target[:2] = wide[:2]
        target += wide
        target.addcmul_(wide, wide, value=0)
    assert target.dtype == torch.float32
    assert target.tolist() == [2, 2, 1, 1]


def test_an_error_of_the_call_itself_stays():
    with InDtype(torch.bfloat16), pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        torch.ones(2, 3, dtype=torch.bfloat16) @ torch.ones(2, 3, dtype=torch.bfloat16)


# --------------------------------------------------------------------------------------------- load


@pytest.fixture
def folder(tmp_path):
    return genzoo.save(tiny("dcgan"), tmp_path / "mine", family="dcgan")


@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize("form", [str, lambda name: getattr(torch, name)])
def test_a_dtype_is_a_name_or_torchs(name, form):
    assert checked_dtype(form(name)) == getattr(torch, name)


@pytest.mark.parametrize("dtype", ["half", "int8", torch.int64, None, 32, ["float32"], float])
def test_other_dtypes_are_refused(folder, dtype):
    with pytest.raises(
        BadInput, match=r"^dtype must be one of float32, float16, .* got "
    ) as caught:
        genzoo.load(folder, device="cpu", dtype=dtype)
    assert len(str(caught.value)) < 120


def test_load_sets_the_dtype(folder):
    plain = genzoo.load(folder, device="cpu")
    assert plain.execution is PLAIN
    assert "execution" not in vars(plain)
    wide = genzoo.load(folder, genzoo.Latent, device="cpu", dtype=torch.float64)
    assert wide.execution == WIDE
    assert {p.dtype for p in wide.parameters()} == {torch.float32}
    assert "inference   float64" in repr(wide)


def test_a_picture_in_another_dtype_is_reproduced_in_it(folder, tmp_path):
    model = genzoo.load(folder, device="cpu", dtype="bfloat16")
    path = model.sample(4).save(tmp_path / "half.png")
    again = genzoo.reproduce(path, folder, device="cpu")
    assert again.state == "equal"
    assert again.samples.call["dtype"] == "bfloat16"


# ------------------------------------------------------------------------------------------ compile


def test_the_largest_parts_that_are_called_are_compiled(latent, conditional):
    assert [*largest_called(latent)] == [latent.layers, latent.reader]
    assert [*largest_called(conditional)] == []
    listed = nn.ModuleList([nn.Linear(1, 1), nn.ModuleDict({"a": nn.Linear(1, 1), "b": latent})])
    expected = [listed[0], listed[1]["a"], latent.layers, latent.reader]
    assert [*largest_called(listed)] == expected


def test_compile_compiles_the_private_copy(folder, monkeypatch):
    compiled, plain = [], genzoo.load(folder, device="cpu").sample(2)
    monkeypatch.setattr(nn.Module, "compile", lambda self, *_, **__: compiled.append(self))
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    model = genzoo.load(folder, device="cpu", compile=True)
    assert compiled == []
    assert torch.equal(model.sample(2).tensor, plain.tensor)
    assert len(compiled) == 1
    assert compiled[0] is not model.layers
    assert isinstance(compiled[0], nn.Sequential)
    model.sample(2)
    assert len(compiled) == 1


def test_a_machine_without_a_compiler_gets_a_line(folder, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setenv("CXX", "g++-99")
    with pytest.raises(
        BadInput, match=r"^compile=True needs the C\+\+ compiler g\+\+-99, .* leave"
    ):
        genzoo.load(folder, device="cpu", compile=True)
    monkeypatch.setattr(devices.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BadInput, match="needs the package triton"):
        devices.check_compiler(torch.device("cuda"))


def test_a_compiler_that_fails_gets_a_line(folder, monkeypatch):
    broken = type("InductorError", (RuntimeError,), {"__module__": "torch._inductor.exc"})

    def fail(*_):
        raise broken("g++: no Python.h\nand a page of text")

    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(nn.Module, "compile", lambda self: self.register_forward_hook(fail))
    model = genzoo.load(folder, device="cpu", compile=True)
    with pytest.raises(OperationFailed, match=r"compiled on this machine.*: g\+\+: no Python.h$"):
        model.sample(1)


def test_compile_without_an_effect_is_refused(conditional, monkeypatch):
    from genzoo.zoo import names

    with pytest.raises(BadInput, match="compile would have no effect: a ToyConditional calls no"):
        names._set_execution(conditional, "float32", True)
    with pytest.raises(BadInput, match="compile must be True or False, got 'yes'"):
        genzoo.load("nothing-of-this-name", compile="yes")


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("family", ["dcgan", "vae"])
@pytest.mark.filterwarnings("ignore")  # of torch's own
def test_a_compiled_model_draws_almost_the_same(tmp_path, family, dtype):
    model = tiny(family)
    folder = genzoo.save(model, tmp_path / "mine", family=family)
    compiled = genzoo.load(folder, device="cpu", dtype=dtype, compile=True)
    apart = (compiled.sample(3).tensor - model.sample(3).tensor).abs().max()
    assert apart < BOUNDS.get(getattr(torch, dtype), 1e-5)
    assert torch.equal(compiled.sample(3).tensor, compiled.sample(3).tensor)
