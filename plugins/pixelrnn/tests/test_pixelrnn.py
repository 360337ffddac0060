"""PixelRNN: what a pixel sees, its recurrence against torch's, and samples that keep states."""

import itertools
import math

import genzoo_pixelrnn as pixelrnn
import pytest
import torch
from torch import nn

import genzoo
from genzoo import Noise
from genzoo.schemas import checked

VARIANTS = {
    "row": {},
    "row, colour": {"shape": (3, 3, 3)},
    "diagonal": {"lstm": "diagonal"},
    "diagonal, colour": {"shape": (3, 3, 3), "lstm": "diagonal"},
}


def build(shape=(1, 4, 5), scale=0.4, **values):
    """A small model whose weights are large enough for every dependence to show."""
    torch.manual_seed(0)
    asked = {"shape": shape, "levels": 3, "layers": 2, "units": 3, **values}
    model = pixelrnn.PixelRNN(checked(pixelrnn.Config, asked, "config"))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, scale)
    return model.eval()


def drawn(model, n=3):
    level = (Noise(1, range(n), "some picture").uniform(*model.shape) * model.levels).long()
    return model.value(level)


@pytest.fixture(params=VARIANTS)
def model(request):
    return build(**VARIANTS[request.param])


def slopes(model):
    """(values, values) in raster order: whether an output's gradient at an input is not 0."""
    x = drawn(model, 12).requires_grad_()
    weight = torch.linspace(-1, 1, model.levels)[:, None, None] ** 3
    outputs = (model.logits(x)[0] * weight).sum((0, 2)).permute(1, 2, 0).flatten()
    rows = [torch.autograd.grad(o, x, retain_graph=True)[0].abs().sum(0) for o in outputs]
    return torch.stack([(row != 0).permute(1, 2, 0).flatten() for row in rows])


def test_each_value_depends_on_earlier_ones_alone(model):
    assert not slopes(model).triu().any()


@pytest.mark.parametrize("shape", [(1, 4, 6), (3, 3, 3)])
def test_a_diagonal_lstm_sees_all_that_comes_before(shape):
    """But for the last pixel of the row above: features at a place know only pixels before it, so
    none but the first layer's window, of 3 to the side, reaches that one from further left.
    """
    seen = slopes(build(shape, lstm="diagonal"))
    expected = torch.ones_like(seen).tril(-1)
    for i, j in itertools.product(range(1, shape[1]), range(max(0, shape[2] - 4))):
        expected[i * shape[2] + j, i * shape[2] - 1] = False
    assert torch.equal(seen, expected)


def test_a_row_lstm_sees_a_triangle():
    """Above a pixel: its window, wider by one to each side with each row (section 3.1)."""
    seen = slopes(build((1, 4, 21), layers=1))[3 * 21 + 10].view(4, 21)
    assert seen[3].tolist() == [6 <= j < 10 for j in range(21)]
    for up in (1, 2, 3):
        assert seen[3 - up].tolist() == [6 - up <= j <= 12 + up for j in range(21)]


def test_a_row_lstm_is_torchs_down_a_column():
    """Of images one pixel wide only the middle of the state's convolution counts."""
    layer = pixelrnn.LSTM(checked(pixelrnn.Config, {"units": 4}, "config"), 2, 3)
    gates, theirs = torch.randn(5, 16, 7, 1), nn.LSTM(16, 4, batch_first=True)
    order = torch.tensor([2, 1, 3, 0])  # theirs are i, f, g, o
    state = layer.state.weight[:, :, 1].unflatten(0, (4, 4))[order].flatten(0, 1)
    with torch.no_grad():
        theirs.weight_ih_l0.copy_(torch.eye(16).unflatten(0, (4, 4))[order].flatten(0, 1))
        theirs.weight_hh_l0.copy_(state)
        theirs.bias_ih_l0.zero_()
        theirs.bias_hh_l0.zero_()
        expected, _ = theirs(gates[..., 0].mT)
        found, (h, _) = layer(gates)
        two, _ = layer(gates[:, :, 4:], layer(gates[:, :, :4])[1])
    assert torch.allclose(found[..., 0].mT, expected, atol=1e-6)
    assert torch.allclose(found[:, :, -1], h)
    assert torch.allclose(two, found[:, :, 4:], atol=1e-6)


def test_skewed_columns_are_diagonals():
    x = torch.arange(12.0).view(1, 1, 3, 4) + 1
    skewed = pixelrnn.skew(x)[0, 0].tolist()
    assert skewed == [[1, 2, 3, 4, 0, 0], [0, 5, 6, 7, 8, 0], [0, 0, 9, 10, 11, 12]]
    assert torch.equal(pixelrnn.unskew(pixelrnn.skew(x)), x)


@pytest.mark.parametrize(("shape", "levels"), [((1, 2, 2), 3), ((3, 1, 2), 2)])
@pytest.mark.parametrize("lstm", ["row", "diagonal"])
def test_probabilities_of_all_images_sum_to_one(lstm, shape, levels):
    model = build(shape, lstm=lstm, levels=levels)
    values = torch.tensor([*itertools.product(range(levels), repeat=math.prod(shape))])
    nats = model.log_prob(values.view(-1, *shape) / (levels - 1), batch_size=100).double()
    assert nats.exp().sum().item() == pytest.approx(1, abs=1e-5)
    assert nats.std() > 0.1


@torch.no_grad()
def completed_slowly(model, x, mask, noise, temperature=1.0):
    """By a pass over the whole image for each value."""
    channels, height, width = model.shape
    image = torch.zeros_like(x)
    for i in range(height):
        epsilon = temperature * noise.gumbel(width, channels, model.levels)
        for j, c in itertools.product(range(width), range(channels)):
            logits = model.logits(image)[0][:, c, :, i, j] + epsilon[:, j, c]
            value = model.value(logits.argmax(1))
            image[:, c, i, j] = torch.where(mask[:, c, i, j] > 0, x[:, c, i, j], value)
    return image


def test_the_states_that_are_kept_change_nothing(model):
    x, n = drawn(model), 3
    mask = (Noise(3, range(n)).uniform(*model.shape) < 0.3).float()
    sampling = model.sampling(temperature=0.7)
    found = model.complete(x, mask, Noise(7, range(n)), None, sampling)
    assert torch.equal(found, completed_slowly(model, x, mask, Noise(7, range(n)), 0.7))
    assert torch.equal(found * mask, x * mask)
    assert not torch.equal(found, x)
    with torch.no_grad():
        generated = model.generate(Noise(7, range(n)), None, sampling)
        nothing = model.complete(x, 0 * mask, Noise(7, range(n)), None, sampling)
    assert torch.equal(generated, nothing)


def test_a_state_saves_rows(monkeypatch):
    """A Row LSTM computes one row for each pixel after the first one; else all rows up to it."""
    for lstm, most in (("row", 1), ("diagonal", 4)):
        model, rows = build(lstm=lstm), []
        head = model.head.register_forward_hook(lambda _, x, y, rows=rows: rows.append(y.shape[2]))
        model.generate(Noise(0, range(2)), None, model.sampling())
        head.remove()
        assert max(rows) == most


def test_samples_follow_the_model():
    """Frequencies of all 16 images of 2 x 2 against their probabilities."""
    model = build((1, 2, 2), scale=0.8, levels=2)
    images = torch.tensor([*itertools.product([0.0, 1.0], repeat=4)]).view(-1, 1, 2, 2)
    expected = 4000 * model.log_prob(images).exp()
    samples = model.sample(4000, batch_size=4000).tensor
    which = (samples.flatten(1) @ torch.tensor([8.0, 4, 2, 1])).round().long()
    chi2 = ((which.bincount(minlength=16) - expected).square() / expected).sum()
    assert chi2 < 45  # 15 degrees of freedom: p < 1e-4


def test_the_loss_is_minus_the_likelihood():
    model = build(quantized_levels=0)
    x = drawn(model)
    loss, logs = model.loss(genzoo.Batch(x))
    expected = -model.log_weight(x, None, Noise(0, range(3))).mean()
    assert loss.item() == pytest.approx(expected.item() / 20, rel=1e-5)
    assert logs["nats"].item() == pytest.approx(expected.item(), rel=1e-5)
    coarse = build(quantized_levels=2)
    assert coarse.levels == 2
    assert coarse.loss(genzoo.Batch(x))[0].isfinite()


def test_points_are_refused():
    with pytest.raises(genzoo.BadInput, match="needs images"):
        build((4,))
