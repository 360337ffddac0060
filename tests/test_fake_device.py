"""On a device that is not there: the core's public methods put every tensor where the model is."""

import warnings

import pytest
import torch
from torch import nn

import genzoo
from genzoo import families
from genzoo.testing.fake_device import DEVICE, UNKNOWN, ValueRead, fake_device, move
from genzoo.testing.family_case import Case


@pytest.fixture
def device(monkeypatch):
    # Fake parameters cannot be converted in place; these are in float32 anyway.
    monkeypatch.setattr(nn.Module, "float", lambda module: module)
    with fake_device(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Accessing the data pointer of FakeTensor")
        yield torch.device(DEVICE)


def test_devices_do_not_mix(device):
    there, here = torch.zeros(3, device=device), torch.zeros(3)
    assert (there + 1).device.type == DEVICE
    assert (here + 1).tolist() == [1, 1, 1]  # tensors on the CPU are real
    assert (there + torch.zeros(())).device.type == DEVICE
    with pytest.raises(RuntimeError, match="same device"):
        there + here
    assert (there + here.to(device)).device.type == DEVICE


@pytest.mark.parametrize(
    "ask", [float, bool, lambda x: x.item(), lambda x: x.tolist(), lambda x: 1 if x > 0 else 2]
)
def test_a_value_is_not_read(device, ask):
    with pytest.raises(ValueRead):
        ask(torch.zeros(1, device=device).sum())
    assert ask(torch.zeros(1).sum()) in (0, 2)


def test_gradients_are_zeros_there(device):
    x = torch.zeros(3, device=device, requires_grad=True)
    (gradient,) = torch.autograd.grad(x.square().sum(), x, create_graph=True)
    assert (gradient.device.type, gradient.shape) == (DEVICE, (3,))
    x.sum().backward()


def test_noise_is_there(device):
    noise = genzoo.Noise(0, range(3), device=device)
    for x in (noise.normal(4), noise.uniform(4), noise.gumbel(4), noise.normal(4, limit=1)):
        assert (x.device.type, x.shape) == (DEVICE, (3, 4))


def test_a_module_is_moved_as_to_moves_it(device):
    layer = nn.BatchNorm1d(2)
    layer.plain = torch.zeros(2)
    move(layer)
    assert {t.device.type for t in layer.state_dict().values()} == {DEVICE}
    assert isinstance(layer.weight, nn.Parameter)
    assert layer.plain.device.type == "cpu"


def _shapes(*samples):
    return [tuple(s.tensor.shape) for s in samples]


def test_samples_and_codes(latent, device):
    move(latent)
    shape = (3, *latent.shape)
    codes = latent.codes(3, seed=1)
    assert codes.device.type == DEVICE
    drawn = latent.sample(3, seed=1), latent.sample(3, truncation=0.5), latent.decode_codes(codes)
    assert _shapes(*drawn, latent.decode_codes(torch.zeros(3, 5))) == [shape] * 4
    assert _shapes(*latent.stream(5, batch_size=3)) == [shape, (2, *shape[1:])]
    here = torch.zeros(3, *latent.shape)
    assert latent.encode(here).device.type == latent.encode(here.numpy()).device.type == DEVICE


def test_labels(conditional, device):
    move(conditional)
    for labels in (None, 1, "cat", [0, 1, 2], torch.tensor([0, 1, 2])):
        assert conditional.sample(3, labels=labels).tensor.shape == (3, 2)


def test_translations(translator, device):
    move(translator)
    images = torch.zeros(3, 3, 9, 7)
    assert translator.translate(images, "light", batch_size=2).tensor.shape == images.shape
    assert translator.sample(3).tensor.shape == (3, 3, 8, 8)


def test_densities(density, device):
    move(density)
    for bound in ("elbo", "importance"):
        nats = density.log_prob(torch.zeros(3, 2), samples=2, bound=bound)
        assert (nats.device.type, nats.shape) == (DEVICE, (3,))


@pytest.mark.parametrize("name", families.names())
def test_public_methods_of_every_family(name, device):
    with torch.utils._python_dispatch._disable_current_modes():
        model = Case.of(name).model()
    move(model)
    try:
        assert model.sample(2).tensor.shape == (2, *model.shape)
    except UNKNOWN as error:
        pytest.skip(f"its work depends on values: {error}")
    if isinstance(model, genzoo.Attentive):
        samples, maps = model.attention(2)
        assert samples.tensor.shape == (2, *model.shape)
        assert maps.device.type == DEVICE
    if isinstance(model, genzoo.Encoder):
        assert model.encode(torch.zeros(2, *model.shape)).device.type == DEVICE
    if isinstance(model, genzoo.Latent):
        assert model.decode_codes(torch.zeros(2, model.latent_dim)).tensor.shape[0] == 2
