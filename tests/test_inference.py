"""The private copy that infers: the same function, kept as long as nothing changes."""

import copy
import gc
import pickle
import threading
import types
import weakref

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized, register_parametrization

from genzoo.models.inference import inference_copy


def lived(model, *shape):
    """``model`` in evaluation mode, after its norms have seen something."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) / 2)
        for _ in range(3):
            model(torch.randn(shape) * 2 + 1)
    return model.eval()


def agree(model, *shape):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected, got = model(x), inference_copy(model)(x)
    assert got.shape == expected.shape
    assert (got - expected).abs().max() <= 1e-5 * max(1, expected.abs().max())


def layers(model):
    return [type(m).__name__ for m in inference_copy(model).modules()]


PAIRS = {
    "conv": (nn.Sequential(nn.Conv2d(2, 5, 3, 2, 1), nn.BatchNorm2d(5)), (4, 2, 7, 7)),
    "conv without bias": (
        nn.Sequential(nn.Conv2d(2, 5, 3, bias=False), nn.BatchNorm2d(5), nn.ReLU()),
        (4, 2, 7, 7),
    ),
    "conv of groups": (
        nn.Sequential(nn.Conv2d(4, 6, 3, groups=2), nn.BatchNorm2d(6)),
        (4, 4, 7, 7),
    ),
    "conv with reflected edges": (
        nn.Sequential(nn.Conv2d(2, 5, 3, padding=1, padding_mode="reflect"), nn.BatchNorm2d(5)),
        (4, 2, 7, 7),
    ),
    "norm without gain": (
        nn.Sequential(nn.Conv2d(2, 5, 3), nn.BatchNorm2d(5, affine=False)),
        (4, 2, 7, 7),
    ),
    "transposed": (
        nn.Sequential(nn.ConvTranspose2d(3, 5, 4, 2, 1), nn.BatchNorm2d(5)),
        (4, 3, 5, 5),
    ),
    "transposed with dilation": (
        nn.Sequential(nn.ConvTranspose2d(3, 5, 3, 2, 1, 1, dilation=2), nn.BatchNorm2d(5)),
        (4, 3, 5, 5),
    ),
    "transposed groups": (
        nn.Sequential(nn.ConvTranspose2d(4, 6, 4, 2, 1, groups=2), nn.BatchNorm2d(6)),
        (4, 4, 5, 5),
    ),
    "linear": (nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6), nn.ReLU()), (8, 5)),
    "linear without bias": (nn.Sequential(nn.Linear(5, 6, bias=False), nn.BatchNorm1d(6)), (8, 5)),
    "linear before a norm without gain": (
        nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6, affine=False)),
        (8, 5),
    ),
    "linear on sequences": (nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(3)), (8, 3, 5)),
    "linear on square sequences": (nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6)), (8, 6, 5)),
    "norm without statistics": (
        nn.Sequential(nn.Conv2d(2, 5, 3), nn.BatchNorm2d(5, track_running_stats=False)),
        (4, 2, 7, 7),
    ),
    "norm first": (nn.Sequential(nn.BatchNorm2d(2), nn.Conv2d(2, 5, 3)), (4, 2, 7, 7)),
    "two norms": (
        nn.Sequential(nn.Conv2d(2, 5, 3), nn.BatchNorm2d(5), nn.BatchNorm2d(5)),
        (4, 2, 7, 7),
    ),
    "norm after an activation": (
        nn.Sequential(nn.Conv2d(2, 5, 3), nn.ReLU(), nn.BatchNorm2d(5)),
        (4, 2, 7, 7),
    ),
    "nested": (
        nn.Sequential(
            nn.Sequential(nn.Conv2d(2, 5, 3), nn.BatchNorm2d(5)),
            nn.Sequential(nn.Conv2d(5, 3, 1), nn.BatchNorm2d(3)),
        ),
        (4, 2, 7, 7),
    ),
    "from one pixel": (
        nn.Sequential(nn.ConvTranspose2d(6, 5, 4, bias=False), nn.BatchNorm2d(5)),
        (4, 6, 1, 1),
    ),
    "from one pixel with bias": (nn.Sequential(nn.ConvTranspose2d(6, 5, 4)), (4, 6, 1, 1)),
    "from more pixels": (nn.Sequential(nn.ConvTranspose2d(6, 5, 4)), (4, 6, 3, 2)),
    "few maps": (nn.Sequential(nn.ConvTranspose2d(6, 3, 4, 2, 1), nn.Tanh()), (4, 6, 5, 3)),
    "few maps without bias": (
        nn.Sequential(nn.ConvTranspose2d(6, 1, 4, 2, 1, bias=False)),
        (4, 6, 4, 4),
    ),
    "three dimensions": (nn.Sequential(nn.Conv3d(1, 2, 3), nn.BatchNorm3d(2)), (4, 1, 5, 5, 5)),
}


@pytest.mark.parametrize("name", PAIRS)
def test_a_folded_copy_computes_the_same(name):
    model, shape = PAIRS[name]
    agree(lived(model, *shape), *shape)


@pytest.mark.parametrize("name", ["conv", "transposed", "linear"])
def test_norms_are_folded_away(name):
    model, _ = PAIRS[name]
    assert isinstance(inference_copy(model)[1], nn.Identity)


class Doubled(nn.ConvTranspose2d):
    def forward(self, x):
        return 2 * super().forward(x)


def hooked():
    conv = nn.Conv2d(2, 5, 3)
    conv.register_forward_hook(lambda module, given, out: out.relu())
    return nn.Sequential(conv, nn.BatchNorm2d(5))


UNUSUAL = {
    "a subclass": (lambda: nn.Sequential(Doubled(2, 3, 4, 2, 1)), (4, 2, 5, 5)),
    "a hook": (hooked, (4, 2, 5, 5)),
    "spectral norm": (
        lambda: nn.Sequential(
            nn.utils.parametrizations.spectral_norm(nn.Linear(5, 6)), nn.BatchNorm1d(6)
        ),
        (8, 5),
    ),
    "spectral norm on a convolution": (
        lambda: nn.Sequential(
            nn.utils.parametrizations.spectral_norm(nn.Conv2d(2, 5, 3)), nn.BatchNorm2d(5)
        ),
        (4, 2, 5, 5),
    ),
    "weight norm": (
        lambda: nn.Sequential(
            nn.utils.parametrizations.weight_norm(nn.ConvTranspose2d(2, 3, 4, 2, 1))
        ),
        (4, 2, 5, 5),
    ),
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_what_is_not_torchs_own_layer_is_left_as_it_is(name):
    build, shape = UNUSUAL[name]
    agree(lived(build(), *shape), *shape)


def test_the_model_itself_stays_as_it_is(latent):
    before = copy.deepcopy(latent.state_dict())
    strides = [p.stride() for p in latent.parameters()]
    inference_copy(latent.train())
    assert latent.training
    assert all(m.training for m in latent.modules())
    assert isinstance(latent.layers[1], nn.BatchNorm2d)
    assert all(torch.equal(t, before[k]) for k, t in latent.state_dict().items())
    assert [p.stride() for p in latent.parameters()] == strides
    assert all(p.requires_grad for p in latent.parameters())


def test_folding_draws_nothing(latent):
    state = torch.get_rng_state()
    inference_copy(latent)
    assert torch.equal(state, torch.get_rng_state())


def test_the_copy_is_in_evaluation_mode_and_needs_no_gradient(latent):
    model = inference_copy(latent.train())
    assert not any(m.training for m in model.modules())
    assert not any(p.requires_grad for p in model.parameters())


# ------------------------------------------------------------------------------------ keeping


def test_the_copy_is_kept(latent):
    kept = inference_copy(latent)
    latent.sample(3)
    latent.train()
    assert inference_copy(latent) is kept


def by_optimizer(model):
    model.layers[0].weight.grad = torch.ones_like(model.layers[0].weight)
    torch.optim.Adam([model.layers[0].weight], fused=True).step()


def by_data(model):
    model.layers[3].bias.data[0] += 0.01


def by_order(model):
    model.layers[3].bias.data.copy_(model.layers[3].bias.data.flip(0))


def by_buffer(model):
    model.layers[1].running_var[0] *= 1.1


def by_training(model):
    model.train().decode(torch.ones(2, 5))


def by_assignment(model):
    state = {k: v * 1.01 if v.is_floating_point() else v for k, v in model.state_dict().items()}
    model.load_state_dict(state, assign=True)


def by_loading(model):
    model.load_state_dict({k: v * 2 for k, v in model.state_dict().items()})


def by_exchange(model):
    model.layers[3] = nn.ConvTranspose2d(6, 3, 4, 2, 1)


@pytest.mark.parametrize(
    "change",
    [
        by_optimizer,
        by_data,
        by_order,
        by_buffer,
        by_training,
        by_assignment,
        by_loading,
        by_exchange,
    ],
)
def test_a_change_makes_a_new_copy(latent, change):
    kept, before = inference_copy(latent), latent.sample(2).tensor
    change(latent)
    assert inference_copy(latent) is not kept
    assert not torch.equal(latent.sample(2).tensor, before)
    code = torch.randn(2, 5)
    with torch.no_grad():
        expected = latent.eval().decode(code)
        assert torch.allclose(inference_copy(latent).decode(code), expected, atol=1e-5)


def by_setting(model):
    model.gain = 3.0


def by_setting_on_a_layer(model):
    model.layers[2].gain = 3.0


def by_a_list(model):
    model.gains[1] = 3.0


def by_a_dict(model):
    model.table["gain"] = 3.0


def by_a_plain_tensor(model):
    model.scale.mul_(3)


def by_an_array(model):
    model.array[0] = 3


def by_an_object(model):
    model.object.gain = 3.0


@pytest.mark.parametrize(
    "change",
    [
        by_setting,
        by_setting_on_a_layer,
        by_a_list,
        by_a_dict,
        by_a_plain_tensor,
        by_an_array,
        by_an_object,
    ],
)
def test_a_plain_attribute_that_changes_is_seen_by_the_next_sample(latent, change):
    class Plain(type(latent)):
        def decode(self, code, labels=None):
            gain = self.gain * self.layers[2].gain * self.gains[1] * self.table["gain"]
            gain = gain * self.scale * float(self.array[0]) * self.object.gain
            return super().decode(code) * gain / 10

    latent.__class__, latent.gain, latent.gains, latent.table = Plain, 1.0, [0, 1.0], {"gain": 1.0}
    latent.scale, latent.array, latent.object = torch.ones(()), np.ones(2), types.SimpleNamespace()
    latent.layers[2].gain = latent.object.gain = 1.0
    latent.object.owner = [latent.object]  # a circle
    before = latent.sample(2).tensor
    assert inference_copy(latent) is inference_copy(latent)
    change(latent)
    after = latent.sample(2).tensor
    assert torch.allclose(after - 0.5, 3 * (before - 0.5), atol=1e-5)


def test_an_attribute_that_holds_the_model_does_not_keep_it_alive():
    model = nn.Sequential(nn.Linear(2, 2))
    model.own, model.call = [model], model.forward
    alive = weakref.ref(model)
    inference_copy(model)
    del model
    gc.collect()
    assert alive() is None


LARGE = 60  # a side of weights too many to be compared one by one


def linear():
    return nn.Sequential(nn.Linear(LARGE, LARGE, bias=False))


def tied():
    """Its weight is folded into a norm, and used as it is, too."""
    first, last = nn.Linear(LARGE, LARGE), nn.Linear(LARGE, LARGE)
    last.weight = first.weight
    return nn.Sequential(first, nn.BatchNorm1d(LARGE), last)


def spectral():
    layer = nn.utils.parametrizations.spectral_norm(nn.Linear(LARGE, LARGE))
    return nn.Sequential(layer)


def weight_of(model):
    layer = model[0]
    return layer.parametrizations.weight.original if is_parametrized(layer) else layer.weight


@pytest.mark.parametrize("build", [linear, tied, spectral])
def test_writes_behind_torchs_back_are_seen(build):
    model, x = lived(build(), 8, LARGE), torch.ones(4, LARGE)
    before = inference_copy(model)(x)
    weight_of(model).data[:5] += 1.0
    with torch.no_grad():
        expected = model(x)
    assert torch.allclose(inference_copy(model)(x), expected, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(before, expected, atol=0.1)


def test_weights_that_stay_as_they_are_stand_in_memory_once():
    model = linear()
    private = inference_copy(model)[0].weight
    assert private.data_ptr() == model[0].weight.data_ptr()
    version = model[0].weight._version
    assert not private.requires_grad
    assert inference_copy(model)(torch.ones(1, LARGE)).shape == (1, LARGE)
    assert model[0].weight._version == version
    assert model[0].weight.requires_grad


@pytest.mark.parametrize(
    "norm", [nn.utils.parametrizations.spectral_norm, nn.utils.parametrizations.weight_norm]
)
def test_weights_that_a_norm_computes_are_computed_once(norm):
    model = lived(nn.Sequential(norm(nn.Conv2d(2, 5, 3)), nn.BatchNorm2d(5)), 4, 2, 5, 5)
    assert layers(model)[1:] == ["Conv2d", "Identity"]
    agree(model, 4, 2, 5, 5)
    assert is_parametrized(model[0])
    agree(model.train().eval(), 4, 2, 5, 5)
    model.train()(torch.ones(4, 2, 5, 5)).sum().backward()


class Halved(nn.Module):
    def forward(self, weight):
        return weight / 2


def test_a_parametrization_of_others_is_left_as_it_is():
    model = nn.Sequential(nn.Linear(2, 2))
    register_parametrization(model[0], "weight", Halved())
    agree(model, 4, 2)
    assert is_parametrized(inference_copy(model)[0])


def test_a_stream_is_of_the_weights_at_its_first_batch(latent):
    whole, stream = latent.sample(4).tensor, latent.stream(4, batch_size=2)
    first = next(stream).tensor
    by_buffer(latent)
    assert torch.allclose(torch.cat([first, next(stream).tensor]), whole, atol=1e-6)
    assert not torch.allclose(latent.sample(4).tensor, whole)


@pytest.mark.parametrize("assign", [True, False])  # False: copied into the same memory
def test_exchanged_weights_of_the_same_sum_are_noticed(assign):
    model = nn.Sequential(nn.Linear(2, 1, bias=False))
    for first in (1.0, 2.0):
        weight = torch.tensor([[first, 3 - first]])
        model.load_state_dict({"0.weight": weight}, assign=assign)
        assert inference_copy(model)(torch.tensor([[1.0, 0.0]])).item() == first


def test_other_models_have_other_copies(latent):
    twin = copy.deepcopy(latent)
    assert inference_copy(twin) is not inference_copy(latent)


def test_neither_copies_nor_files_carry_it(latent):
    before = vars(latent).copy()
    size = len(pickle.dumps(latent.layers))
    inference_copy(latent)
    inference_copy(latent.layers)
    assert vars(latent) == before
    assert len(pickle.dumps(latent.layers)) == size
    assert copy.deepcopy(latent).layers[1].__class__ is nn.BatchNorm2d


def test_the_copy_goes_when_the_model_goes():
    model = nn.Sequential(nn.Linear(2, 2))
    kept = weakref.ref(inference_copy(model))
    del model
    gc.collect()
    assert kept() is None


def test_threads_share_one_copy(latent):
    found, start = [], threading.Barrier(4)

    def fold():
        start.wait()
        found.append(inference_copy(latent))

    threads = [threading.Thread(target=fold) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len({id(f) for f in found}) == 1


def test_a_model_without_tensors():
    assert inference_copy(nn.Sequential(nn.Tanh()))(torch.zeros(1)).item() == 0


def test_weights_that_are_not_finite_are_copied_once():
    model = nn.Sequential(nn.Linear(2, 2))
    model[0].weight.data.fill_(float("nan"))
    assert inference_copy(model) is inference_copy(model)


def test_models_made_in_inference_mode(latent):
    with torch.inference_mode():
        twin = type(latent)(latent.config)
        twin.load_state_dict(latent.state_dict())
        assert inference_copy(twin) is inference_copy(twin)
    assert torch.equal(twin.sample(2).tensor, latent.sample(2).tensor)
