"""Losses, penalties and tricks against their formulas; the update, the trainers and the loop."""

import contextlib
import json
import math
from itertools import count
from typing import get_args

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import affine_transform
from torch import nn

import genzoo
from genzoo import families
from genzoo.errors import BadInput, OperationFailed
from genzoo.models.model import Discriminator, Model
from genzoo.models.randomness import Noise
from genzoo.models.sampler import Latent
from genzoo.options import AdversarialOptions, AugmentationName, Options
from genzoo.training import (
    EMA,
    LOSSES,
    PENALTIES,
    Adversarial,
    Batch,
    Diverged,
    ImageBuffer,
    LossTrainer,
    RunSettings,
    augment,
    batches,
    fit,
    gradient_penalty,
    instance_noise,
    label_flips,
    linear_fade,
    make_player,
    orthogonal_penalty,
    r1_penalty,
    top_k,
)
from genzoo.training.tricks import AugmentationProbability


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


class Weights(Model):
    """Nothing but a vector to learn."""

    shape = (3,)

    def __init__(self, *values):
        super().__init__(None)
        self.w = nn.Parameter(torch.tensor(values or (1.0, -2.0, 3.0)))


class Maker(Latent):
    """A linear generator of 8 x 8 images."""

    latent_dim, shape = 3, (1, 8, 8)

    def __init__(self, config=None):
        super().__init__(config)
        self.layer = nn.Linear(3, 64)

    def decode(self, code, labels=None, noise=None):
        return self.layer(code).tanh().view(-1, 1, 8, 8)


class Judge(Discriminator):
    """A linear discriminator that remembers what it saw and said."""

    def __init__(self, pixels=64):
        super().__init__()
        self.w = nn.Parameter(torch.linspace(-1, 1, pixels))
        self.seen, self.said, self.labels = [], [], []

    def forward(self, x, labels=None):
        self.labels.append(labels)
        logits = x.flatten(1) @ self.w
        self.seen.append(x.detach())
        self.said.append(logits.detach())
        return logits

    def features(self, x):
        return []


def descent(model, loss, **options):
    """A trainer by plain gradient descent at rate 1, where nothing else is said."""
    values = {"optimizer": "sgd", "lr": 1.0, **options}
    return LossTrainer(model, lambda batch: (loss(batch), {}), Options(**values))


def game(**options):
    torch.manual_seed(0)
    return Adversarial(Maker(), Judge(), AdversarialOptions(**options))


def batch_of(n=8, shape=(1, 8, 8), **facts):
    x = Noise(5, range(n), "data").uniform(*shape)
    return Batch(x, indices=tuple(range(n)), **facts)


def kept(module):
    return {k: v.clone() for k, v in module.state_dict().items()}


def same(a, b):
    return all(torch.equal(a[k], b[k]) for k in a.keys() | b.keys())


# ------------------------------------------------------------------------------------------ losses

LOGITS = [-3.0, -0.5, 0.25, 2.0]


def mean(function):
    return sum(map(function, LOGITS)) / len(LOGITS)


def sigma(x):
    return 1 / (1 + math.exp(-x))


CROSS = {
    1.0: mean(lambda x: -math.log(sigma(x))),
    0.0: mean(lambda x: -math.log(1 - sigma(x))),
    0.9: mean(lambda x: -0.9 * math.log(sigma(x)) - 0.1 * math.log(1 - sigma(x))),
}
BY_HAND = {
    "minimax": (CROSS, mean(lambda x: math.log(1 - sigma(x)))),
    "non-saturating": (CROSS, mean(lambda x: -math.log(sigma(x)))),
    "least-squares": (
        {t: mean(lambda x, t=t: (x - t) ** 2 / 2) for t in (0.0, 0.9, 1.0)},
        mean(lambda x: (x - 1) ** 2 / 2),
    ),
    "hinge": (
        {
            1.0: mean(lambda x: max(0, 1 - x)),
            0.0: mean(lambda x: max(0, 1 + x)),
            0.9: mean(lambda x: max(0, 1 - 0.8 * x)),
        },
        mean(lambda x: -x),
    ),
    "wasserstein": (
        {1.0: mean(lambda x: -x), 0.0: mean(lambda x: x), 0.9: mean(lambda x: -0.8 * x)},
        mean(lambda x: -x),
    ),
    "relativistic": (
        {target: loss / 2 for target, loss in CROSS.items()},
        mean(lambda x: -math.log(sigma(x))),
    ),
}


def test_every_loss_has_a_formula():
    assert BY_HAND.keys() == LOSSES.keys()


@pytest.mark.parametrize("target", [1.0, 0.0, 0.9])
@pytest.mark.parametrize("name", BY_HAND)
def test_discriminator_loss(name, target):
    found = LOSSES[name].discriminator(torch.tensor(LOGITS), torch.full((4,), target))
    assert found.item() == pytest.approx(BY_HAND[name][0][target], rel=1e-5)


@pytest.mark.parametrize("name", BY_HAND)
def test_generator_loss(name):
    found = LOSSES[name].generator(torch.tensor(LOGITS))
    assert found.item() == pytest.approx(BY_HAND[name][1], rel=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_losses_stay_finite(name):
    """log(sigmoid(x)) written as it reads is infinite from 104 on."""
    logits = torch.tensor([-1e4, 1e4], requires_grad=True)
    loss = LOSSES[name]
    total = loss.discriminator(logits, torch.tensor([1.0, 0.0])) + loss.generator(logits)
    total.backward()
    assert torch.isfinite(total)
    assert torch.isfinite(logits.grad).all()


# --------------------------------------------------------------------------------------- penalties


def test_gradient_penalty_closed_form():
    judge, real, fake = Judge(), torch.rand(5, 1, 8, 8), torch.rand(5, 1, 8, 8)
    found = gradient_penalty(judge, real, fake, None, Noise(0, range(5)))
    norm = judge.w.norm()
    assert torch.isclose(found, (norm - 1) ** 2, rtol=1e-5)
    (gradient,) = torch.autograd.grad(found, judge.w)
    torch.testing.assert_close(gradient, 2 * (norm - 1) * judge.w.detach() / norm)


def test_gradient_penalty_between():
    """It looks on the lines from each real image to its fake, at the same share of all pixels."""
    judge, real, fake = Judge(), torch.zeros(40, 1, 8, 8), torch.ones(40, 1, 8, 8)
    gradient_penalty(judge, real, fake, None, Noise(0, range(40)))
    (seen,) = judge.seen
    shares = seen[:, 0, 0, 0]
    assert torch.equal(seen, shares.view(-1, 1, 1, 1).expand_as(seen))
    assert shares.min() >= 0
    assert shares.max() < 1
    assert len(shares.unique()) == 40
    assert 0.3 < shares.mean() < 0.7


def test_r1_closed_form():
    judge, real = Judge(), torch.rand(5, 1, 8, 8)
    found = r1_penalty(judge, real, torch.zeros(1), None, Noise(0, range(5)))
    assert torch.isclose(found, judge.w.square().sum() / 2, rtol=1e-5)
    assert torch.equal(judge.seen[0], real)
    (gradient,) = torch.autograd.grad(found, judge.w)
    torch.testing.assert_close(gradient, judge.w.detach())


def test_r1_and_r2_closed_form():
    """Of D(x) = w |x|^2 / 2 the gradient is w x: half of w^2 |x|^2, at data and at fakes."""

    class Bowl(Judge):
        def forward(self, x, labels=None):
            return 3 * x.square().flatten(1).sum(1) / 2

    real, fake = torch.rand(5, 1, 8, 8), 2 * torch.rand(5, 1, 8, 8)
    found = PENALTIES["r1+r2"](Bowl(), real, fake, None, Noise(0, range(5)))
    by_hand = [9 * x.square().flatten(1).sum(1).mean() / 2 for x in (real, fake)]
    torch.testing.assert_close(found, sum(by_hand))


@pytest.mark.parametrize("penalty", [gradient_penalty, r1_penalty])
def test_zero_slope_is_finite(penalty):
    judge = Judge()
    nn.init.zeros_(judge.w)
    real, fake = torch.rand(4, 1, 8, 8), torch.rand(4, 1, 8, 8)
    penalty(judge, real, fake, None, Noise(0, range(4))).backward()
    assert torch.isfinite(judge.w.grad).all()


class Deep(Judge):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(64, 64)

    def forward(self, x, labels=None):
        return super().forward(self.layer(x.flatten(1)).tanh())


@pytest.mark.parametrize("penalty", [gradient_penalty, r1_penalty])
def test_penalties_are_float32(penalty):
    torch.manual_seed(0)
    judge, real, fake = Deep(), torch.rand(4, 1, 8, 8), torch.rand(4, 1, 8, 8)
    exact = penalty(judge, real, fake, None, Noise(0, range(4)))
    with torch.autocast("cpu", torch.bfloat16):
        found = penalty(judge, real, fake.bfloat16().float(), None, Noise(0, range(4)))
    assert found.dtype == torch.float32
    assert judge.said[-1].dtype == torch.float32
    torch.testing.assert_close(found, exact, rtol=1e-3, atol=0)


def test_orthogonal_penalty_by_hand():
    """Products of unlike rows alone; a transposed convolution's outputs are its second side."""
    layers = nn.Sequential(nn.Linear(3, 2), nn.Conv2d(1, 2, 2), nn.ConvTranspose2d(1, 2, 2))
    with torch.no_grad():
        layers[0].weight.copy_(torch.tensor([[1.0, 2, 0], [0, 3, 1]]))  # product 6
        layers[1].weight.copy_(torch.tensor([[1.0, 0, 0, 2], [5, 1, 1, 0]]).view(2, 1, 2, 2))  # 5
        layers[2].weight.copy_(torch.tensor([[1.0, 0, 0, 2], [0, 7, 1, 2]]).view(1, 2, 2, 2))  # 4
    found = orthogonal_penalty(layers)
    assert found.item() == 2 * (6**2 + 5**2 + 4**2)
    with torch.autocast("cpu", torch.bfloat16):
        assert orthogonal_penalty(layers).dtype == torch.float32
    turn = nn.Linear(4, 4)
    nn.init.orthogonal_(turn.weight)
    assert orthogonal_penalty(turn) < 1e-9


def test_orthogonal_penalty_is_the_generators():
    moved = {}
    for weight in (0.0, 1.0):
        trainer = game(orthogonal_weight=weight, lr=0.01, discriminator_lr=0.01)
        trainer.prepare(RunSettings())
        before = orthogonal_penalty(trainer.model).item()
        for step in range(20):
            trainer.step(batch_of(step=step))
        moved[weight] = orthogonal_penalty(trainer.model).item() / before
        judged = trainer.discriminator.w.detach().clone()
    assert moved[1.0] < 0.3 < moved[0.0]
    assert torch.isfinite(judged).all()


# ------------------------------------------------------------------------------------------ tricks


def shift(image, down, right):
    """``image`` with its content moved, zeros coming in, one pixel at a time."""
    moved = torch.zeros_like(image)
    _, height, width = image.shape
    for i in range(height):
        for j in range(width):
            if 0 <= i - down < height and 0 <= j - right < width:
                moved[:, i, j] = image[:, i - down, j - right]
    return moved


def test_translation_only_shifts():
    x = 1 + torch.arange(40 * 2 * 16 * 24.0).view(40, 2, 16, 24)
    found = set()
    for image, after in zip(x, augment(x, "translation", Noise(0, range(40))), strict=True):
        # Where the first row that is not all zeros came from, and likewise the column.
        [first, *_] = after[0].nonzero().tolist()
        value = int(after[0, first[0], first[1]] - image[0, 0, 0])
        down, right = first[0] - value // 24, first[1] - value % 24
        assert torch.equal(after, shift(image, down, right))
        found.add((down, right))
    assert {d for d, _ in found} == {-2, -1, 0, 1, 2}
    assert {r for _, r in found} == {-3, -2, -1, 0, 1, 2, 3}


POLICIES = get_args(AugmentationName)[1:]


@pytest.mark.parametrize("policy", POLICIES)
def test_augment_repeats(policy):
    """The same draws give the same; each image's depend on its own alone."""
    x = torch.rand(6, 3, 16, 16)
    first = augment(x, policy, Noise(3, range(6)))
    assert torch.equal(first, augment(x, policy, Noise(3, range(6))))
    torch.testing.assert_close(first[4:], augment(x[4:], policy, Noise(3, range(4, 6))))
    assert not torch.equal(first, augment(x, policy, Noise(4, range(6))))


@pytest.mark.parametrize("policy", ["translation", "color", "cutout"])
def test_augment_is_differentiable(policy):
    x = torch.rand(6, 3, 16, 16, requires_grad=True)
    augment(x, policy, Noise(3, range(6))).sum().backward()
    if policy != "color":
        assert set(x.grad.unique().tolist()) == {0.0, 1.0}
    else:
        torch.testing.assert_close(x.grad, torch.ones_like(x))


@pytest.mark.parametrize("shape", [(8, 8), (9, 16), (7, 5)])
def test_cutout_zeroes_one_window_of_half_the_sides(shape):
    """Zhao et al.'s code: sides int(n / 2 + 0.5), its centre anywhere, so cut at the borders."""
    found = augment(torch.ones(400, 2, *shape), "cutout", Noise(0, range(400)))
    sizes = [set(), set()]
    for image in found:
        assert torch.equal(image[0], image[1])
        for axis, side in enumerate(shape):
            gone = (image[0] == 0).any(1 - axis).nonzero().flatten()
            assert torch.equal(gone, torch.arange(gone[0], gone[-1] + 1))
            inside = gone[0] > 0 and gone[-1] < side - 1
            assert len(gone) == int(side / 2 + 0.5) or not inside
            sizes[axis].add(len(gone))
        rows, columns = (image[0] == 0).any(1), (image[0] == 0).any(0)
        assert torch.equal(image[0] == 0, rows[:, None] & columns)
    for axis, side in enumerate(shape):
        size = int(side / 2 + 0.5)
        assert sizes[axis] == {*range(size - size // 2, size + 1)}


def test_a_policy_with_cutout_draws_as_before():
    x = torch.rand(6, 3, 16, 16)
    whole = augment(x, "color,translation,cutout", Noise(3, range(6)))
    before = augment(x, "color,translation", Noise(3, range(6)))
    kept = whole != 0
    assert torch.equal(whole[kept], before[kept])
    assert not kept.all()


def test_color_of_grey():
    """One channel: brightness moves the mean, contrast stretches around it, no more."""
    x = torch.rand(50, 1, 8, 8)
    found = augment(x, "color", Noise(0, range(50)))
    moved = (found.mean((1, 2, 3)) - x.mean((1, 2, 3))).abs()
    ratio = (found - found.mean((1, 2, 3), keepdim=True)) / (x - x.mean((1, 2, 3), keepdim=True))
    contrast = ratio.flatten(1).median(1).values
    torch.testing.assert_close(
        ratio, contrast.view(-1, 1, 1, 1).expand_as(ratio), atol=0.05, rtol=0
    )
    assert 0.4 < moved.max() <= 0.5
    assert 0.5 <= contrast.min() < 0.6
    assert 1.4 < contrast.max() <= 1.5


def test_color_saturates():
    """Channels keep their differences from grey up to a factor in (0, 2) times the contrast's."""
    x = torch.rand(50, 3, 8, 8)
    found = augment(x, "color", Noise(0, range(50)))
    grey, after = x.mean(1, keepdim=True), found.mean(1, keepdim=True)
    both = ((found - after) / (x - grey)).flatten(1).median(1).values
    contrast = after.flatten(1).std(1) / grey.flatten(1).std(1)
    share = both / contrast
    assert 0 <= share.min() < 0.2
    assert 1.8 < share.max() < 2.001


def turned(image, angle, scale, stretch):
    """The image whose pixel (r, c) is that of ``image`` at the turned, scaled place, by scipy."""
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])  # (y, x)
    matrix = turn @ np.diag([scale / stretch, scale * stretch])
    middle = (np.array(image.shape[1:]) - 1) / 2
    places = matrix, middle - matrix @ middle
    return np.stack([affine_transform(c, *places, order=1, mode="reflect") for c in image])


@pytest.mark.parametrize("side", [(16, 16), (12, 20)])
def test_geometric_rotates_scales_and_stretches(side):
    x = torch.rand(8, 2, *side)
    noise = Noise(5, range(8))
    angles = 2 * np.pi * noise.uniform().double().numpy()
    factors = 2 ** (0.2 * noise.normal(2).double().numpy())
    found = augment(x, "geometric", Noise(5, range(8)))
    for image, after, angle, pair in zip(x, found, angles, factors, strict=True):
        expected = turned(image.double().numpy(), angle, *pair)
        np.testing.assert_allclose(after.numpy(), expected, atol=2e-5)


class Drawn:
    """Noise that draws given numbers."""

    def __init__(self, share, *normals):
        self.share, self.normals = torch.tensor([share]), torch.tensor([normals])

    def uniform(self):
        return self.share

    def normal(self, numbers):
        return self.normals


@pytest.mark.parametrize(
    ("share", "scale", "stretch", "pixel", "expected"),
    [
        (0.0, 0.0, 0.0, (4, 11), (4, 11)),
        (0.25, 0.0, 0.0, (6, 14), (2, 10)),  # right of the middle; afterwards above it
        (0.25, 0.0, 0.0, (4, 11), (5, 8)),
        (0.75, 0.0, 0.0, (4, 11), (7, 12)),
        (0.0, -2.5, -2.5, (4, 12), (4, 14)),  # twice as wide: 2^(0.2 * -2.5) twice is a half
        (0.0, -2.5, 2.5, (4, 12), (2, 12)),  # twice as high
        (0.25, -2.5, -2.5, (4, 11), (5, 6)),  # turned, then twice as wide
        (0.125, -2.5, 0.0, (6, 13), (3, 13)),
    ],
)
def test_geometric_moves_a_pixel_to_its_place(share, scale, stretch, pixel, expected):
    """In a wide image: an angle turns it against the clock, the stretch acts along its sides."""
    x = torch.zeros(1, 1, 13, 21)
    x[0, 0, *pixel] = 1
    found = augment(x, "geometric", Drawn(share, scale, stretch))[0, 0]
    assert divmod(found.argmax().item(), 21) == expected
    assert found[expected].item() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("policy", POLICIES)
def test_an_augmentation_acts_with_its_probability(policy):
    """On each image alone: it is the image itself, or what always augmenting makes of it."""
    x = torch.rand(200, 3, 16, 16)
    changed = (augment(x, policy, Noise(0, range(200)), 0.3) != x).flatten(1).any(1)
    expected = 1 - 0.7 ** (1 + policy.count(","))
    assert abs(changed.float().mean() - expected) < 0.1
    assert torch.equal(augment(x, policy, Noise(0, range(200)), 0.0), x)
    always = augment(x, policy, Noise(0, range(200)), 1.0)
    assert torch.equal(always, augment(x, policy, Noise(0, range(200))))


def test_an_adaptive_probability_follows_the_mean_sign():
    found = AugmentationProbability(limit=0.5, target=0.6)
    assert found.value == 0
    found.follow(0.7, 20_000)
    assert found.value == pytest.approx(0.2)
    found.follow(0.5, 10_000)
    assert found.value == pytest.approx(0.1)
    again = AugmentationProbability(limit=0.5, target=0.6)
    again.load_state_dict(found.state_dict())
    assert again.value == found.value
    for _ in range(5):
        found.follow(1.0, 20_000)
    assert found.value == 0.5
    for _ in range(5):
        found.follow(-1.0, 20_000)
    assert found.value == 0
    assert AugmentationProbability(limit=0.5, target=0.0).value == 0.5


def test_a_game_adapts_its_augmentation(monkeypatch):
    """The sign is that of the real logits of the update before; later looks use the new value."""
    monkeypatch.setattr("genzoo.training.tricks.ADAPTATION_IMAGES", 100)
    trainer = game(augment="cutout", augment_target=0.2, augment_probability=0.9)
    value = 0.0
    for _, logs in fit(trainer, batches(torch.rand(16, 1, 8, 8), 4, 12), 12):
        sign = logs["discriminator/real sign"].item()
        assert -1 <= sign <= 1
        value = min(0.9, max(0.0, value + (0.04 if sign > 0.2 else -0.04)))
        assert logs["discriminator/augmented"].item() == pytest.approx(value)
    assert value > 0
    assert trainer.parts()["augmentation"].state_dict() == {"value": pytest.approx(value)}


@pytest.mark.parametrize("loss", ["wasserstein", "relativistic"])
def test_an_adaptive_augmentation_needs_logits_of_one_sample(loss):
    with pytest.raises(BadInput, match=f"real from fake: loss={loss} has none"):
        game(augment="cutout", augment_target=0.6, loss=loss)


def test_no_augmentation():
    x = torch.rand(2, 3, 8, 8)
    assert augment(x, "none", Noise(0, range(2))) is x


@pytest.mark.parametrize(
    ("start", "progress", "until", "value"),
    [
        (2, 0, 1, 2),
        (2, 0.25, 1, 1.5),
        (2, 0.25, 0.5, 1),
        (2, 0.5, 0.5, 0),
        (2, 1, 0.5, 0),
        (2, 0, 0, 0),
    ],
)
def test_fading(start, progress, until, value):
    assert linear_fade(start, progress, until) == value


def test_instance_noise():
    x = torch.rand(4, 3, 32, 32)
    noise = instance_noise(x, 0.5, Noise(0, range(4))) - x
    assert noise.std().item() == pytest.approx(0.5, rel=0.05)
    assert noise.mean().item() == pytest.approx(0, abs=0.03)
    assert instance_noise(x, 0.0, Noise(0, range(4))) is x


@pytest.mark.parametrize(("progress", "chosen"), [(0, 8), (0.25, 6), (0.5, 4), (0.75, 4), (1, 4)])
def test_best_narrows(progress, chosen):
    logits = torch.tensor([3.0, -1, 7, 0, 5, -6, 2, 1])
    found = top_k(logits, 0.5, progress)
    assert sorted(found.tolist()) == sorted(logits.tolist())[-chosen:]


def test_best_keeps_one():
    assert top_k(torch.tensor([1.0, 3, 2]), 0.05, 1).tolist() == [3]


def test_best_of_maps():
    maps = torch.tensor([[9.0, -9], [1, 1], [2, 1], [0, 0]]).view(4, 1, 1, 2)
    assert top_k(maps, 0.5, 1).tolist() == [maps[2].tolist(), maps[1].tolist()]


def test_swapped_share():
    found = label_flips(4000, 0.2, Noise(0, range(4000)))
    assert found.dtype == torch.bool
    assert found.shape == (4000,)
    assert abs(found.float().mean().item() - 0.2) < 0.03
    assert not label_flips(100, 0.0, Noise(0, range(100))).any()


# ------------------------------------------------------------------------------------------- batch


def test_split_in_order():
    whole = Batch(
        torch.arange(6.0), torch.arange(6), torch.arange(6) * 2, 7, 0.5, 3, tuple("abcdef")
    )
    first, second = whole.split(2)
    assert first.x.tolist() == [0, 1, 2]
    assert second.x.tolist() == [3, 4, 5]
    assert second.labels.tolist() == [3, 4, 5]
    assert second.second_domain.tolist() == [6, 8, 10]
    assert second.indices == ("d", "e", "f")
    assert (second.step, second.progress, second.seed) == (7, 0.5, 3)


@pytest.mark.parametrize("indices", [(), tuple(range(20, 32))])
def test_draws_survive_splitting(indices):
    whole = Batch(torch.zeros(12, 1), seed=4, step=2, indices=indices)
    expected = whole.noise("code").normal(5)
    parts = [b for part in whole.split(2) for b in part.split(3)]
    assert torch.equal(torch.cat([b.noise("code").normal(5) for b in parts]), expected)


def test_draws_depend_on_all():
    def drawn(purpose="code", **facts):
        return Batch(torch.zeros(3, 1), **facts).noise(purpose).normal(4)

    others = [drawn("noise"), drawn(step=1), drawn(seed=1), drawn(indices=(3, 4, 5))]
    assert torch.equal(drawn(), drawn(progress=0.5))
    assert all(not (drawn() == other).any() for other in others)


# ---------------------------------------------------------------------------------------- optimiser


@pytest.mark.parametrize(
    ("options", "kind", "first", "second"),
    [
        ({"optimizer": "adam", "beta1": 0.5, "beta2": 0.9}, torch.optim.Adam, 0.1, 0.1),
        ({"optimizer": "rmsprop", "rms_decay": 0.96}, torch.optim.RMSprop, 0.5, None),
        ({"optimizer": "sgd"}, torch.optim.SGD, 0.4, 0.4),
        ({"optimizer": "sgd", "momentum": 0.5}, torch.optim.SGD, 0.4, 0.6),
        (
            {"optimizer": "rmsprop", "rms_decay": 0.96, "momentum": 0.5},
            torch.optim.RMSprop,
            0.5,
            None,
        ),
    ],
)
def test_optimizers_by_name(options, kind, first, second):
    """The closed form of each one's first steps along a constant gradient of 4, at rate 0.1."""
    model = Weights(0.0)
    trainer = descent(model, lambda batch: 4 * model.w.sum(), **{**options, "lr": 0.1})
    assert type(trainer.players["model"].optimizer) is kind
    trainer.step(Batch(torch.zeros(1, 3)))
    assert model.w.item() == pytest.approx(-first, rel=1e-4)
    trainer.step(Batch(torch.zeros(1, 3), step=1))
    if second is None:  # the mean square is 1 - beta^2 of the gradient's; momentum adds half
        second = 0.1 / math.sqrt(1 - 0.96**2) + options.get("momentum", 0) * first
    assert model.w.item() == pytest.approx(-first - second, rel=1e-4)


def test_rmsprops_default_is_torchs():
    own = make_player(Weights(), Options(optimizer="rmsprop")).optimizer.defaults["alpha"]
    assert own == torch.optim.RMSprop([torch.zeros(1)]).defaults["alpha"] == 0.99


@pytest.mark.parametrize(
    ("progress", "share"),
    [(0, 0), (0.1, 0.5), (0.2, 1), (0.4, 1), (0.6, 1), (0.8, 0.5), (0.9, 0.25), (1, 0)],
)
def test_schedule(progress, share):
    found = make_player(Weights(), Options(lr=0.5, warmup=0.2, lr_decay_start=0.6))
    found.schedule(progress)
    assert found.optimizer.param_groups[0]["lr"] == pytest.approx(0.5 * share)


def test_rates_decay_by_the_step_as_in_keras():
    trainer = game(
        lr=1e-4, discriminator_lr=2e-4, lr_inverse_decay=3e-8, discriminator_lr_inverse_decay=6e-8
    )
    for step in (0, 1, 10_000_000):
        rates = []
        for name in ("generator", "discriminator"):
            trainer.players[name].schedule(0.0, step)
            rates.append(trainer.players[name].optimizer.param_groups[0]["lr"])
        expected = [1e-4 / (1 + 3e-8 * step), 2e-4 / (1 + 6e-8 * step)]
        assert rates == pytest.approx(expected, rel=1e-12)


def test_no_schedule():
    found = make_player(Weights(), Options(lr=0.5))
    for progress in (0.0, 0.5, 1.0):
        found.schedule(progress)
        assert found.optimizer.param_groups[0]["lr"] == 0.5


def test_update_follows_the_schedule():
    model = Weights(0.0)
    trainer = descent(model, lambda batch: model.w.sum(), warmup=0.5)
    trainer.step(Batch(torch.zeros(1, 3), progress=0.25))
    assert model.w.item() == -0.5


# ------------------------------------------------------------------------------------------ update


@pytest.mark.parametrize("which", ["generator", "discriminator"])
def test_only_the_learner_learns(which):
    family = families.get("dcgan")
    trainer = family.make_trainer(family.model(family.tiny), AdversarialOptions())
    (other,) = trainer.networks().keys() - {which}
    before = {name: kept(network) for name, network in trainer.networks().items()}
    batch = Batch(torch.rand(8, 1, 16, 16))

    def loss(part):
        made = trainer.sampler.generate(part.noise("code"), None, trainer.sampler.sampling())
        return trainer.discriminator(made).sum() + trainer.discriminator(part.x).sum(), {}

    trainer.update(which, loss, batch)
    for name, parameter in trainer.networks()[which].named_parameters():
        assert not torch.equal(parameter, before[which][name]), name
    for name, parameter in trainer.networks()[other].named_parameters():
        assert torch.equal(parameter, before[other][name]), name


def test_others_get_no_gradient():
    trainer = game()
    judge, maker = trainer.discriminator, trainer.sampler
    frozen = []

    def loss(part):
        frozen.append(not judge.w.requires_grad)
        return judge(maker.generate(part.noise("code"), None, maker.sampling())).sum(), {}

    trainer.update("generator", loss, batch_of())
    assert frozen == [True]
    assert judge.w.grad is None
    assert all(p.requires_grad for n in trainer.networks().values() for p in n.parameters())


def test_freezing_is_undone_on_errors():
    trainer = game()

    def loss(part):
        raise KeyError

    with pytest.raises(KeyError):
        trainer.update("generator", loss, batch_of())
    assert trainer.discriminator.w.requires_grad


def test_frozen_stays_frozen():
    trainer = game()
    trainer.discriminator.w.requires_grad_(False)
    trainer.update("generator", lambda b: (trainer.sampler.layer.bias.sum(), {}), batch_of())
    assert not trainer.discriminator.w.requires_grad


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (lambda loss: loss, "got a Tensor"),
        (lambda loss: (loss.expand(3), {}), r"got .*\(3,\)"),
        (lambda loss: (loss, None), "got a tuple"),
        (lambda loss: None, "got a NoneType"),
    ],
)
def test_a_loss_that_returns_something_else_is_told(returned, said):
    trainer = descent(Weights(), None)
    with pytest.raises(OperationFailed, match=f"loss of model .*{said}"):
        trainer.update("model", lambda batch: returned(trainer.model.w.sum()), batch_of())


def test_a_step_that_logs_nothing_is_told(monkeypatch):
    monkeypatch.setattr(LossTrainer, "step", lambda *_: None)
    with pytest.raises(OperationFailed, match=r"LossTrainer\.step .* NoneType"):
        next(fit(descent(Weights(), None), [batch_of()], 1))


def test_stale_gradients_are_dropped():
    model = Weights(0.0)
    model.w.grad = torch.tensor([100.0])
    descent(model, lambda batch: model.w.sum()).step(Batch(torch.zeros(1, 3)))
    assert model.w.item() == -1
    assert model.w.grad is None


@pytest.mark.parametrize(("clip", "length"), [(0.0, 13.0), (2.0, 2.0), (20.0, 13.0)])
def test_clip(clip, length):
    model = Weights(0.0, 0.0, 0.0)
    slope = torch.tensor([3.0, 4.0, 12.0])
    logs = descent(model, lambda batch: model.w @ slope, gradient_clip=clip).step(
        Batch(torch.zeros(1, 3))
    )
    torch.testing.assert_close(model.w.detach(), -slope * length / 13, rtol=1e-5, atol=0)
    assert logs["model/gradient"].item() == pytest.approx(13)


@pytest.mark.parametrize(
    "loss",
    [
        lambda w: w.sum() * float("nan"),
        lambda w: w.sum() * float("inf"),
        lambda w: w.sum() + float("inf"),  # its gradient is fine
        lambda w: (w * 0).sqrt().sum(),  # its value is fine
    ],
)
def test_diverged_changes_nothing(loss):
    model = Weights()
    trainer = descent(model, lambda batch: loss(model.w), optimizer="adam", gradient_clip=1.0)
    before = kept(model)
    with pytest.raises(Diverged, match=r"^model at step 7: loss .*, gradient norm .*$"):
        trainer.step(Batch(torch.zeros(2, 3), step=7))
    assert same(kept(model), before)
    assert not trainer.players["model"].optimizer.state
    assert model.w.grad is None


def test_micro_batches_equal_one():
    """Of the same step: the same draws for each sample, the mean of the same losses."""
    family = families.get("vae")
    results, logs = [], []
    for parts in (1, 2, 4):
        torch.manual_seed(0)
        model = family.model(family.tiny)
        options = family.options(optimizer="sgd", lr=1e-4, ema_decay=0.0)
        trainer = family.make_trainer(model, options)
        trainer.prepare(RunSettings(micro_batches=parts))
        logs.append(trainer.step(batch_of(8, (1, 16, 16), seed=1)))
        results.append(kept(model))
    for other, log in zip(results[1:], logs[1:], strict=True):
        for name, value in results[0].items():
            torch.testing.assert_close(other[name], value, rtol=0, atol=2e-7)
        for name, value in logs[0].items():
            torch.testing.assert_close(log[name], value, rtol=1e-5, atol=0)


def test_micro_batches_of_a_game():
    results = []
    for parts in (1, 2, 4):
        trainer = game(optimizer="sgd", lr=0.01, augment="translation", penalty="gradient")
        trainer.prepare(RunSettings(micro_batches=parts))
        trainer.step(batch_of(seed=2))
        results.append({**kept(trainer.sampler), **kept(trainer.discriminator)})
    for other in results[1:]:
        for name, value in results[0].items():
            torch.testing.assert_close(other[name], value, rtol=0, atol=2e-7)


def test_bf16_runs():
    family, dtypes, losses = families.get("vae"), [], {}
    for precision in ("fp32", "bf16"):
        torch.manual_seed(0)
        model = family.model(family.tiny)
        model.encoder.register_forward_hook(lambda m, x, y: dtypes.append(y.dtype))
        trainer = family.make_trainer(model, family.options(ema_decay=0.0))
        trainer.prepare(RunSettings(precision=precision))
        before = kept(model)
        logs = trainer.step(batch_of(8, (1, 16, 16)))
        losses[precision] = logs["model/loss"].item()
        assert {p.dtype for p in model.parameters()} == {torch.float32}
        assert not same(kept(model), before)
    assert dtypes == [torch.float32, torch.bfloat16]
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.02)


@pytest.mark.parametrize("is_outside", [True, False])
def test_bf16_steps_inside_a_block_of_autocast_use_the_newest_weights(is_outside):
    """The outermost block keeps cast weights until it ends: each step must begin with none."""
    results = []
    for block in (contextlib.nullcontext(), torch.autocast("cpu", torch.bfloat16, is_outside)):
        torch.manual_seed(0)
        trainer = game(optimizer="sgd", lr=0.1, penalty="gradient")
        trainer.prepare(RunSettings(precision="bf16"))
        with block:
            losses = [trainer.step(batch_of(seed=2)) for _ in range(3)]
        results.append((losses, kept(trainer.sampler), kept(trainer.discriminator)))
    assert results[0][0] == results[1][0]
    assert results[0][0][0] != results[0][0][1]
    assert all(same(a, b) for a, b in zip(results[0][1:], results[1][1:], strict=True))


def test_a_run_in_bf16_follows_the_one_in_fp32(tmp_path):
    """Through the one function that trains: what it sets for torch may not hold cast weights."""
    losses = {}
    for precision in ("fp32", "bf16"):
        out = tmp_path / precision
        settings = {"width": 16, "batch_size": 32, "lr": 0.003, "discriminator_steps": 1}
        asked = {"data": "ring8", "steps": 40, "grid_every": 40, "precision": precision}
        genzoo.train("wgan-gp", **asked, settings=settings, out=out)
        lines = (out / "run" / "log.jsonl").read_text().splitlines()
        losses[precision] = [json.loads(line)["discriminator/wasserstein"] for line in lines]
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.05)


class Holes(Model):
    """A mask of dropout in place of a loss."""

    shape = (64,)

    def __init__(self):
        super().__init__(None)
        self.w = nn.Parameter(torch.zeros(64))
        self.masks = []

    def loss(self, batch):
        self.masks.append(F.dropout(torch.ones(64), 0.5) > 0)
        return self.w.sum(), {}


def masks(parts=1, **facts):
    model = Holes()
    trainer = LossTrainer(model, model.loss, Options())
    trainer.prepare(RunSettings(micro_batches=parts))
    trainer.step(Batch(torch.zeros(4, 64), **facts))
    return model.masks


def test_dropout_is_a_function_of_seed_and_step():
    (first,) = masks(seed=1, step=2)
    torch.rand(1)
    assert torch.equal(masks(seed=1, step=2)[0], first)
    assert not torch.equal(masks(seed=2, step=2)[0], first)
    assert not torch.equal(masks(seed=1, step=3)[0], first)


def test_dropout_differs_between_parts():
    """Of a batch, and so between processes, each of which has its own indices."""
    first, second = masks(2, indices=(0, 1, 2, 3))
    assert not torch.equal(first, second)
    assert not torch.equal(masks(indices=(4, 5, 6, 7))[0], first)


def test_update_leaves_torchs_generator_alone():
    before = torch.get_rng_state()
    masks()
    assert torch.equal(torch.get_rng_state(), before)


def test_prepare_trains_all():
    family = families.get("dcgan")
    inner = family.make_trainer(family.model(family.tiny).eval(), AdversarialOptions())
    trainer = EMA(inner, 0.9)
    trainer.average.eval()
    trainer.prepare(RunSettings())
    modules = [*trainer.networks().values(), trainer.average]
    assert all(m.training for m in modules)
    weights = [p for m in modules for p in m.parameters() if p.ndim == 4]
    assert weights
    assert all(w.is_contiguous(memory_format=torch.channels_last) for w in weights)


def test_parts_by_name():
    inner = game()
    found = EMA(inner, 0.9).parts()
    assert found.keys() == {
        "generator",
        "discriminator",
        "generator.optimizer",
        "discriminator.optimizer",
        "average",
    }
    assert found["generator"] is inner.sampler
    assert found["discriminator.optimizer"] is inner.players["discriminator"].optimizer


# ------------------------------------------------------------------------------------- adversarial


def cross_entropy(logits, targets):
    return F.binary_cross_entropy_with_logits(logits, targets)


def test_discriminator_steps_see_other_data():
    trainer, batch = game(discriminator_steps=2), batch_of(8)
    assert trainer.batches_per_step == 2
    trainer.step(batch)
    first, fake, second, other, generated = trainer.discriminator.seen
    assert torch.equal(torch.cat([first, second]), batch.x)
    assert not torch.equal(fake, other)
    assert len(generated) == 4
    assert not torch.equal(generated, other)


def test_fakes_are_shared():
    """Where each player moves once, on one batch; and the generator learns through them."""
    trainer = game(optimizer="sgd", lr=0.1)
    expected = trainer.sampler.generate(
        batch_of().noise("code 0"), None, trainer.sampler.sampling()
    ).detach()
    before = kept(trainer.sampler)
    trainer.step(batch_of())
    _, fake, generated = trainer.discriminator.seen
    assert torch.equal(fake, generated)
    assert torch.equal(fake, expected)
    assert not same(kept(trainer.sampler), before)


@pytest.mark.parametrize(
    ("step", "wanted", "further"),
    [(0, 5, 5), (24, 5, 5), (25, 5, 0), (499, 5, 0), (500, 5, 5), (0, 0, 0), (0, 1, 1)],
)
@pytest.mark.parametrize("own", [1, 2])
def test_the_warmup_of_the_discriminator(step, wanted, further, own, monkeypatch):
    """In the first 25 steps and every 500th: the step's batches again, each with other fakes."""
    trainer = game(discriminator_steps=own, discriminator_warmup_steps=wanted)
    seen, detached = [], Adversarial._detached

    def note(self, fakes, batch):
        found = detached(self, fakes, batch)
        seen.append((batch.x, found.codes))
        return found

    monkeypatch.setattr(Adversarial, "_detached", note)
    whole = batch_of(8, step=step)
    trainer.step(whole)
    assert len(seen) == own + further
    for i, (x, codes) in enumerate(seen):
        assert torch.equal(x, whole.split(own)[i % own].x)
        assert not any(torch.equal(codes, other) for _, other in seen[:i])
    first = game(discriminator_steps=own)
    first.step(whole)
    for (_, codes), (_, other) in zip(seen[:own], seen[-own:], strict=True):
        assert torch.equal(codes, other), "the step's own updates draw as without a warm-up"


@pytest.mark.parametrize("options", [{"generator_steps": 2}, {"discriminator_steps": 2}])
def test_fakes_are_new(options):
    trainer = game(**options)
    trainer.step(batch_of())
    real = options.get("discriminator_steps", 1)
    fakes = trainer.discriminator.seen[1 : 2 * real : 2] + trainer.discriminator.seen[2 * real :]
    assert len(fakes) == 3
    assert all(not torch.equal(a, b) for i, a in enumerate(fakes) for b in fakes[:i])


def test_both_ways_learn_the_same_law():
    """Sharing the fakes saves time; the generator's gradient is that of its own new ones."""
    trainer, batch = game(optimizer="sgd", lr=0.1), batch_of()
    maker, judge = trainer.sampler, trainer.discriminator
    before = maker.layer.bias.detach().clone()
    trainer.step(batch)
    twin = game().sampler
    logits = (
        twin.generate(batch.noise("code 0"), None, twin.sampling()).flatten(1) @ judge.w.detach()
    )
    F.softplus(-logits).mean().backward()
    torch.testing.assert_close(maker.layer.bias.detach(), before - 0.1 * twin.layer.bias.grad)


def test_labels_reach_both():
    """A fake is made for its real neighbour's label, and judged under it."""
    trainer, given = game(discriminator_steps=2, penalty="r1"), []
    decode = Maker.decode
    trainer.sampler.decode = lambda code, labels=None, noise=None: (
        given.append(labels) or decode(trainer.sampler, code)
    )
    labels = torch.arange(8)
    x = torch.rand(8, 1, 8, 8)
    trainer.step(Batch(x, labels))
    halves = [labels[:4].tolist(), labels[4:].tolist()]
    assert [g.tolist() for g in given] == [*halves, halves[1]]
    judged = [found.tolist() for found in trainer.discriminator.labels]
    assert judged == [halves[0]] * 3 + [halves[1]] * 4


def test_smoothing():
    trainer = game(label_smoothing=0.1)
    logs = trainer.step(batch_of())
    real, fake = trainer.discriminator.said[:2]
    expected = cross_entropy(real, torch.full((8,), 0.9)) + cross_entropy(fake, torch.zeros(8))
    torch.testing.assert_close(logs["discriminator/loss"], expected)


def test_label_noise():
    trainer, batch = game(label_noise=0.4), batch_of()
    logs = trainer.step(batch)
    real, fake = trainer.discriminator.said[:2]
    swap = [label_flips(8, 0.4, batch.noise(f"swap {kind}")).float() for kind in ("real", "fake")]
    assert 0 < sum(swap).sum() < 16
    expected = cross_entropy(real, 1 - swap[0]) + cross_entropy(fake, swap[1])
    torch.testing.assert_close(logs["discriminator/loss"], expected)


@pytest.mark.parametrize("penalty", ["r1", "gradient"])
def test_penalty_interval(penalty):
    trainer = game(penalty=penalty, penalty_weight=2.0, penalty_interval=3, lr=1e-6)
    norm = trainer.discriminator.w.detach().norm()
    slope = {"r1": norm**2 / 2, "gradient": (norm - 1) ** 2}[penalty]
    for step in range(4):
        trainer.discriminator.said.clear()
        logs = trainer.step(batch_of(step=step))
        real, fake = trainer.discriminator.said[:2]
        plain = cross_entropy(real, torch.ones(8)) + cross_entropy(fake, torch.zeros(8))
        due = step in (0, 3)
        assert ("discriminator/penalty" in logs) == due
        expected = plain + 2 * 3 * slope * due
        torch.testing.assert_close(logs["discriminator/loss"], expected, rtol=1e-4, atol=0)


@pytest.mark.parametrize(("progress", "deviation"), [(0.0, 0.8), (0.25, 0.4), (0.5, 0), (1, 0)])
def test_instance_noise_fades(progress, deviation):
    trainer = game(instance_noise=0.8, instance_noise_until=0.5)
    batch = batch_of(32, progress=progress)
    clean = trainer.sampler.generate(
        batch.noise("code 0"), None, trainer.sampler.sampling()
    ).detach()
    trainer.step(batch)
    real, fake, generated = trainer.discriminator.seen
    noises = [real - batch.x, fake - clean, generated - clean]
    for noise in noises:
        assert noise.std().item() == pytest.approx(deviation, rel=0.1, abs=1e-6)
    assert deviation == 0 or not any(
        torch.equal(a, b) for a in noises for b in noises if a is not b
    )


def test_instance_noise_fades_over_the_whole_run_by_default():
    trainer = game(instance_noise=0.8)
    batch = batch_of(32, progress=0.75)
    trainer.step(batch)
    noise = trainer.discriminator.seen[0] - batch.x
    assert noise.std().item() == pytest.approx(0.2, rel=0.1)


def test_augmented_alike():
    """Real and fake go through it, each with draws of its own, and the gradient comes back."""
    trainer = game(augment="translation", optimizer="sgd")
    nn.init.zeros_(trainer.sampler.layer.weight)
    nn.init.ones_(trainer.sampler.layer.bias)
    trainer.step(Batch(torch.ones(32, 1, 8, 8)))
    corners = [x[:, 0, [0, 0, -1, -1], [0, -1, 0, -1]] != 0 for x in trainer.discriminator.seen]
    assert all(0.2 < c.float().mean() < 0.8 for c in corners)
    assert not any(torch.equal(a, b) for a in corners for b in corners if a is not b)
    assert trainer.sampler.layer.bias.unique().numel() > 1


def test_a_relativistic_game_compares_each_sample_with_a_fake():
    """Jolicoeur-Martineau 2019: both losses are -log sigma of differences, in opposite directions;
    the logs are of differences, too.
    """
    trainer = game(loss="relativistic", lr=1e-9)
    logs = trainer.step(batch_of())
    real, fake, _, again = trainer.discriminator.said[:4]
    margin = (real - fake).tolist()
    d = sum(-math.log(sigma(m)) for m in margin) / 8
    g = sum(-math.log(sigma(-m)) for m in margin) / 8
    assert logs["discriminator/loss"].item() == pytest.approx(d, rel=1e-5)
    assert logs["generator/loss"].item() == pytest.approx(g, rel=1e-5)
    torch.testing.assert_close(again, real)
    right = sum(m > 0 for m in margin) / 8
    assert logs["discriminator/accuracy"].item() == pytest.approx(right)
    told = sum(map(sigma, margin)) / 8
    assert logs["discriminator/D(x)"].item() == pytest.approx(told, rel=1e-5)
    assert logs["discriminator/D(G(z))"].item() == pytest.approx(1 - told, rel=1e-5)


def test_top_k():
    trainer = game(top_k=0.5)
    logs = trainer.step(batch_of(progress=1.0))
    top = trainer.discriminator.said[2].sort().values[-4:]
    torch.testing.assert_close(logs["generator/loss"], F.softplus(-top).mean())


def test_two_rates():
    assert game(lr=0.1).players["discriminator"].lr == 0.1
    trainer = game(lr=0.1, discriminator_lr=0.4)
    assert [p.lr for p in trainer.players.values()] == [0.1, 0.4]


@pytest.mark.parametrize(
    ("loss", "border"), [("non-saturating", 0), ("hinge", 0), ("least-squares", 0.5)]
)
def test_what_a_game_logs(loss, border):
    """An accuracy is about the middle between the targets: with least squares 0 and 1."""
    trainer = game(loss=loss)
    with torch.no_grad():
        trainer.discriminator.w *= 0.2
    logs = trainer.step(batch_of())
    real, fake = trainer.discriminator.said[:2]
    right, other = (((real > b).sum() + (fake < b).sum()) / 16 for b in (border, 0.5 - border))
    assert right != other
    torch.testing.assert_close(logs["discriminator/accuracy"], right)
    torch.testing.assert_close(logs["discriminator/D(x)"], real.sigmoid().mean())
    torch.testing.assert_close(logs["discriminator/D(G(z))"], fake.sigmoid().mean())
    assert logs["generator/gradient"] > 0
    assert all(value.shape == () and not value.requires_grad for value in logs.values())


# ---------------------------------------------------------------------------------------- averaged


class Counted(Model):
    """A weight, a float buffer and a whole one, which change with each step."""

    shape = (1,)

    def __init__(self):
        super().__init__(None)
        self.w = nn.Parameter(torch.zeros(1))
        self.register_buffer("mean", torch.zeros(1))
        self.register_buffer("count", torch.zeros((), dtype=torch.long))

    def loss(self, batch):
        self.mean.copy_((self.w.detach() - 3) ** 2)
        self.count += 1
        return (batch.step + 1) * self.w.sum(), {}


@pytest.mark.parametrize("decay", [0.9, 0.3, 0.0])
def test_average_closed_form(decay):
    model = Counted()
    trainer = EMA(LossTrainer(model, model.loss, Options(optimizer="sgd", lr=0.1)), decay)
    weight = mean = 0.0
    for step in range(12):
        trainer.step(Batch(torch.zeros(1, 1), step=step))
        kept_share = min(decay, (1 + step) / (10 + step))
        weight = kept_share * weight + (1 - kept_share) * model.w.item()
        mean = kept_share * mean + (1 - kept_share) * model.mean.item()
    assert trainer.model.w.item() == pytest.approx(weight, rel=1e-5)
    assert trainer.model.mean.item() == pytest.approx(mean, rel=1e-5)
    assert trainer.model.count.item() == 12
    assert model.w.item() == pytest.approx(-0.1 * 78, rel=1e-5)


def test_average_stands_aside():
    inner = game()
    trainer = EMA(inner, 0.9)
    assert trainer.model is not inner.model
    assert same(kept(trainer.model), kept(inner.model))
    assert not any(p.requires_grad for p in trainer.model.parameters())
    assert trainer.players is inner.players
    assert trainer.batches_per_step == inner.batches_per_step


def test_average_passes_settings_on():
    inner = game(discriminator_steps=2)
    trainer = EMA(inner, 0.9)
    trainer.prepare(RunSettings(micro_batches=2))
    trainer.step(batch_of(16))
    assert trainer.batches_per_step == 2
    assert [len(x) for x in inner.discriminator.seen[:4]] == [4] * 4


# --------------------------------------------------------------------------------------------- fit


def endless(taken):
    for step in count():
        taken.append(step)
        yield Batch(torch.zeros(1, 3), step=step)


def test_batches_depend_on_seed_and_step_alone():
    x = torch.arange(50.0)[:, None]
    one, longer = list(batches(x, 8, 3)), list(batches(x, 8, 4))
    assert [b.x.shape for b in one] == [(8, 1)] * 3
    assert all(torch.equal(a.x, b.x) for a, b in zip(one, longer, strict=False))
    assert not torch.equal(one[0].x, one[1].x)
    assert not torch.equal(one[0].x, next(batches(x, 8, 3, seed=1)).x)
    assert [(b.step, b.progress, b.seed) for b in longer] == [(k, k / 4, 0) for k in range(4)]
    seen = torch.cat([b.x for b in batches(x, 8, 100)])
    assert len(seen.unique()) == len(x)


def test_fit_is_lazy():
    model, taken = Weights(0.0), []
    steps = fit(descent(model, lambda batch: model.w.sum()), endless(taken), 100)
    assert taken == []
    next(steps)
    batch, logs = next(steps)
    assert batch.step == 1
    assert logs["model/loss"] == -1
    assert taken == [0, 1]
    assert model.w.item() == -2


@pytest.mark.parametrize(("start", "steps", "done"), [(0, 3, 3), (3, 5, 2), (5, 5, 0), (7, 5, 0)])
def test_fit_from_start(start, steps, done):
    model, taken = Weights(0.0), []
    trainer = descent(model, lambda batch: model.w.sum())
    assert len(list(fit(trainer, endless(taken), steps, start))) == done
    assert len(taken) == done
    assert model.w.item() == -done


def test_fit_ends_with_the_data():
    model = Weights(0.0)
    batches = [Batch(torch.zeros(1, 3))] * 2
    assert len(list(fit(descent(model, lambda batch: model.w.sum()), batches, 5))) == 2


# -------------------------------------------------------------------------------------------- pools


def test_a_pool_shows_what_comes_until_it_is_full():
    pool = ImageBuffer(4)
    for step in range(2):
        fakes = torch.full((2, 1), float(step))
        assert torch.equal(pool.swap(fakes, Noise(0, range(2), f"{step}")), fakes)
    assert sorted(pool.images.flatten().tolist()) == [0, 0, 1, 1]


def test_a_full_pool_exchanges_half_and_loses_none():
    pool = ImageBuffer(10)
    pool.swap(torch.arange(10.0)[:, None], Noise(0, range(10), "full"))
    shown = pool.swap(torch.arange(10.0, 410.0)[:, None], Noise(0, range(400), "more")).flatten()
    same = (shown == torch.arange(10.0, 410.0)).float().mean().item()
    assert same == pytest.approx(0.5, abs=0.1)
    assert sorted([*shown.tolist(), *pool.images.flatten().tolist()]) == [*range(410)]


def test_a_pool_comes_back_from_a_checkpoint():
    one, other = ImageBuffer(3), ImageBuffer(3)
    one.swap(torch.arange(5.0)[:, None], Noise(0, range(5), "a"))
    other.load_state_dict(one.state_dict())
    more = torch.arange(5.0, 9.0)[:, None], Noise(0, range(4), "b")
    assert torch.equal(other.swap(more[0], Noise(0, range(4), "b")), one.swap(*more))


def test_no_pool():
    x = torch.arange(3.0)[:, None]
    assert ImageBuffer(0).swap(x, Noise(0, range(3))) is x
