"""MADE: its masks by gradients, its probabilities by brute force, its samples by counting."""

import itertools
import math

import genzoo_made as made
import pytest
import torch

import genzoo
from genzoo import Noise, families
from genzoo.schemas import checked

VARIANTS = {
    "raster": {},
    "deep": {"layers": 3},
    "random": {"order": "random", "layers": 2, "masks": 2},
    "many": {"order": "many", "masks": 3},
}


def build(shape=(1, 3, 3), seed=0, **values):
    """A small model whose weights are large enough for every dependence to show."""
    torch.manual_seed(seed)
    asked = {"shape": shape, "units": 40, **values}
    model = made.MADE(checked(made.Config, asked, "config"))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.7)
    return model.eval()


@pytest.fixture(params=VARIANTS)
def model(request):
    return build(**VARIANTS[request.param])


def every(shape=(1, 3, 3)):
    """All black and white images of a shape."""
    pixels = itertools.product([0.0, 1.0], repeat=math.prod(shape))
    return torch.tensor([*pixels]).view(-1, *shape)


def places(model, i):
    return model.degrees[i, : math.prod(model.shape)]


def test_an_output_depends_on_earlier_pixels_and_on_all_of_them(model):
    """By the Jacobian at 200 places: its entries that are not 0 are those of the order."""
    for i in range(model.config.masks):
        x = (3 * Noise(0, range(200)).normal(9)).requires_grad_()
        outputs = model.logits(x, i).sum(0)
        slopes = [torch.autograd.grad(o, x, retain_graph=True)[0] for o in outputs]
        seen = (torch.stack(slopes) != 0).any(1)  # (out, in)
        order = places(model, i)
        assert torch.equal(seen, order[:, None] > order), i


def test_orders():
    pixels = torch.arange(1, 10)
    assert torch.equal(places(build(masks=2), 1), pixels.int())
    one, other = (places(build(order="random", masks=2), i) for i in (0, 1))
    assert torch.equal(one, other)
    one, other = (places(build(order="many", masks=2), i) for i in (0, 1))
    assert not torch.equal(one, other)
    for order in (one, other):
        assert torch.equal(order.sort().values, pixels.int())
    assert [build(order=o).in_raster_order for o in ("raster", "random", "many")] == [1, 0, 0]
    assert not build((3, 2, 2)).in_raster_order, "channels come one after the other"


def test_degrees_reach_from_the_least_below_to_the_last_but_one():
    """Section 4.2; each number is as likely as the others."""
    torch.manual_seed(0)
    first, second = made.draw_degrees([9000, 3], torch.arange(1.0, 6))[5:].split([9000, 3])
    assert torch.allclose(first.long().bincount() / 9000, torch.tensor([0, *[0.25] * 4]), atol=0.03)
    assert second.min() >= first.min()
    high = made.draw_degrees([1, 50], torch.arange(1.0, 6))[5:]
    assert high[1:].min() >= high[0]


@pytest.mark.parametrize("shape", [(1, 3, 3), (3, 1, 2), (1, 1, 1)])
def test_probabilities_of_all_images_sum_to_one(shape):
    for values in VARIANTS.values():
        nats = build(shape, **values).log_prob(every(shape)).double()
        assert nats.exp().sum().item() == pytest.approx(1, abs=1e-5)
        assert not torch.isclose(nats[:-1], nats[1:]).all()


def test_the_likelihood_is_the_product_of_conditionals():
    """Of one mask set, pixel by pixel from sums over all images."""
    model = build(layers=2, order="random")
    x, p = every().flatten(1), model.log_prob(every()).double().exp()
    order = places(model, 0).argsort()
    for row in (3, 200, 511):
        for k in range(9):
            same = (x[:, order[:k]] == x[row, order[:k]]).all(1)
            expected = p[same & (x[:, order[k]] == 1)].sum() / p[same].sum()
            found = model.logits(x[row : row + 1], 0)[0, order[k]].sigmoid().item()
            assert found == pytest.approx(expected.item(), abs=1e-4)


def test_samples_follow_the_model(model):
    """Frequencies of all 16 images of 2 x 2 against their probabilities, whatever the masks."""
    model = build((1, 2, 2), **{k: v for k, v in model.config.model_dump().items() if k in VARIED})
    expected = 8000 * model.log_prob(every((1, 2, 2))).exp()
    samples = model.sample(8000, batch_size=8000).tensor
    which = (samples.flatten(1) @ torch.tensor([8.0, 4, 2, 1])).long()
    chi2 = ((which.bincount(minlength=16) - expected).square() / expected).sum()
    assert chi2 < 45  # 15 degrees of freedom: p < 1e-4


VARIED = ("layers", "order", "masks")


def drawn_slowly(model, x, known, noise, temperature=1.0):
    """By a pass of the whole network for each pixel."""
    part, uniform = (noise.uniform() * model.config.masks).long(), noise.uniform(9)
    x = x.flatten(1).clone()
    for row, i in enumerate(part.tolist()):
        for d in places(model, i).argsort().tolist():
            p = (model.logits(x[row : row + 1], i)[0, d] / temperature).sigmoid()
            if not known.flatten(1)[row, d]:
                x[row, d] = float(uniform[row, d] < p)
    return x.view(-1, *model.shape)


@torch.no_grad()
def test_the_fast_sampler_draws_what_the_plain_one_draws(model):
    n = 12
    x = Noise(1, range(n)).uniform(1, 3, 3).round()
    scattered = (Noise(3, range(n)).uniform(1, 3, 3) < 0.4).float()
    upper = torch.zeros_like(x)
    upper[:, :, :2] = 1
    for mask in (0 * x, upper, 1 - upper, scattered):
        for heat in (1.0, 0.3):
            sampling = model.sampling(temperature=heat)
            fast = model.complete(x, mask, Noise(7, range(n)), None, sampling)
            assert torch.equal(fast, drawn_slowly(model, x, mask, Noise(7, range(n)), heat))
            assert torch.equal(fast * mask, x * mask)
    assert not torch.equal(fast, x)
    generated = model.generate(Noise(7, range(n)), None, model.sampling())
    assert torch.equal(generated, drawn_slowly(model, x, 0 * x, Noise(7, range(n))))


def test_at_temperature_0_a_set_of_masks_draws_one_image():
    one = build(layers=2).sample(8, seed=1, temperature=0.0).tensor
    assert torch.equal(one, one[:1].expand_as(one))


def test_the_loss_is_minus_the_likelihood_of_the_set_whose_turn_it_is():
    model = build(masks=2, order="many", levels=2)
    x = every()[::50]
    for step in (0, 1, 2):
        loss, logs = model.loss(genzoo.Batch(x, step=step))
        expected = -model.log_p(x.flatten(1), step % 2).mean()
        assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
        assert logs["bits/dim"].item() == pytest.approx(expected.item() / 9 / math.log(2))
    assert not torch.isclose(model.log_p(x.flatten(1), 0), model.log_p(x.flatten(1), 1)).any()


def test_grey_pixels_are_drawn_black_or_white(monkeypatch):
    model, seen = build(), []
    monkeypatch.setattr(model, "log_p", lambda x, i: seen.append(x) or x.sum(1))
    model.loss(genzoo.Batch(torch.full((3000, 1, 3, 3), 0.3)))
    assert set(seen[0].unique().tolist()) == {0.0, 1.0}
    assert seen[0].mean().item() == pytest.approx(0.3, abs=0.02)


def test_it_learns_a_distribution():
    """Two pixels that agree and seven that are free: the entropy is 8 ln 2."""
    model = build(levels=2, units=100)
    options = checked(made.TrainOptions, {"lr": 0.01, "ema_decay": 0.0}, "options")
    learner = families.get("made").make_trainer(model, options)
    learner.prepare(genzoo.training.RunSettings())
    for step in range(100):
        x = Noise(0, range(100), f"{step}").uniform(1, 3, 3).round()
        x[:, 0, 2, 2] = x[:, 0, 0, 1]
        learner.step(genzoo.Batch(x, step=step))
    nats = model.log_prob(every()).double()
    agree = every()[:, 0, 2, 2] == every()[:, 0, 0, 1]
    assert -nats[agree].mean().item() == pytest.approx(8 * math.log(2), abs=0.2)
    assert nats.exp()[agree].sum() > 0.97


def test_points_are_refused():
    with pytest.raises(genzoo.BadInput, match="needs images"):
        build((4,))
