"""Laws of codes: transforms of normal numbers, and what editing can do with each."""

import pytest
import torch
from torch import nn

import genzoo
from genzoo.editing import arithmetic, directions, walks
from genzoo.errors import BadInput, OperationFailed
from genzoo.evaluation import truncation
from genzoo.models.laws import Categorical, CodeLaw, Normal, Uniform
from genzoo.models.randomness import Noise

MANY = 3000


class Shown(genzoo.Latent):
    """A sample is the code itself, so that each test sees it."""

    value_range, kind, parts = None, "points", (Normal(2), Categorical(3), Uniform(1, 0, 4))

    def __init__(self, config=None):
        super().__init__(config)
        self.latent_dim = sum(part.dim for part in self.parts)
        self.shape = (self.latent_dim,)
        self.gain = nn.Parameter(torch.ones(()))

    def law(self):
        return self.parts

    def decode(self, code, labels=None):
        return code * self.gain


def shown(*parts):
    return type("Shown", (Shown,), {"parts": parts})()


def test_each_law_transforms_the_stream_as_it_is():
    z = Noise(7, range(5)).normal(6)
    codes = Shown().codes(5, seed=7)
    assert torch.equal(codes[:, :2], z[:, :2])
    assert torch.equal(codes[:, 2:5].argmax(1), z[:, 2:5].argmax(1))
    assert torch.allclose(codes[:, 5], 4 * torch.special.ndtr(z[:, 5]))
    assert torch.equal(Shown().sample(5, seed=7).tensor, codes)
    assert torch.equal(Shown().sample(2, seed=7, start=3).tensor, codes[3:])


def test_the_laws_are_what_their_names_say():
    codes = Shown().codes(MANY)
    assert codes[:, :2].mean().item() == pytest.approx(0, abs=0.05)
    assert codes[:, :2].std().item() == pytest.approx(1, abs=0.05)
    assert codes[:, 2:5].sum(1).eq(1).all()
    assert codes[:, 2:5].mean(0).tolist() == pytest.approx([1 / 3] * 3, abs=0.03)
    quarters = codes[:, 5].histc(4, 0, 4) / MANY
    assert quarters.tolist() == pytest.approx([0.25] * 4, abs=0.03)


@pytest.mark.parametrize(
    ("position", "value", "named"),
    [(5, 4.1, r"5 to 5 .*\[0, 4\]"), (2, 0.5, "2 to 4 .*one 1"), (5, -0.1, r"\[0, 4\]")],
)
def test_a_code_that_no_law_draws_is_refused(position, value, named):
    model = Shown()
    codes = model.codes(3)
    codes[1, position] = value
    with pytest.raises(BadInput, match=named):
        model.decode_codes(codes)


def test_a_law_of_another_width_is_a_fault_of_the_family():
    model = Shown()
    model.latent_dim = 7
    with pytest.raises(OperationFailed, match=r"law has 6 numbers, latent_dim is 7"):
        model.codes(1)
    model.law = lambda: Normal(7)
    with pytest.raises(OperationFailed, match="must return a tuple of laws"):
        model.codes(1)


def test_a_walk_turns_goes_straight_and_switches():
    model = Shown()
    ends = model.codes(2, seed=1)
    assert ends[0, 2:5].argmax() != ends[1, 2:5].argmax()
    way = walks.interpolate(model, "1:0,1", steps=4).tensor
    assert torch.equal(way[[0, -1]], ends)
    t = torch.arange(5)[:, None] / 4
    assert torch.allclose(way[:, 5:], (1 - t) * ends[0, 5:] + t * ends[1, 5:], atol=1e-5)
    assert (
        way[:, 2:5].argmax(1).tolist() == [ends[0, 2:5].argmax()] * 2 + [ends[1, 2:5].argmax()] * 3
    )
    assert torch.allclose(way[:, :2], Normal(2).between(*ends[:, :2], t[:, 0]))
    lerp = walks.interpolate(model, "1:0,1", steps=4, how="lerp").tensor
    assert torch.allclose(lerp[:, :2], (1 - t) * ends[0, :2] + t * ends[1, :2], atol=1e-6)


def test_a_traversal_takes_the_quantiles_of_each_law_and_all_classes():
    drawn = walks.traverse(Shown(), (3, 5), grid=(3, 4))
    grid = drawn.tensor.view(3, 4, 6)
    assert torch.equal(grid[:, 0, 2:5], torch.eye(3))
    assert [*drawn.captions.rows] == ["category 0", "category 1", "category 2"]
    assert grid[0, :, 5].tolist() == pytest.approx([0.5, 1.5, 2.5, 3.5])
    assert torch.equal(grid[..., :2], Shown().codes(1)[0, :2].expand(3, 4, 2))
    with pytest.raises(BadInput, match="2 and 4 are of one category"):
        walks.traverse(Shown(), (2, 4))


def test_truncation_is_for_the_normal_part():
    model = Shown()
    cut, free = model.codes(MANY, truncation=0.5), model.codes(MANY)
    assert cut[:, :2].abs().max() <= 0.5
    assert cut[:, 2:5].mean(0).tolist() == pytest.approx([1 / 3] * 3, abs=0.03)
    assert cut[:, 5].max() > 3.9
    assert not torch.equal(cut, free)
    with pytest.raises(BadInput, match="code is uniform"):
        shown(Uniform(3)).sample(1, truncation=0.5)


def test_temperature_multiplies_the_normal_part_and_no_other():
    model = Shown()
    free, cold = model.codes(9), model.codes(9, temperature=0.5)
    assert torch.equal(cold[:, :2], free[:, :2] / 2)
    assert torch.equal(cold[:, 2:], free[:, 2:])
    assert torch.equal(model.sample(9, temperature=0.5).tensor, cold)
    both = model.codes(MANY, truncation=0.5, temperature=0.5)[:, :2]
    assert 0.24 < both.abs().max() <= 0.25
    assert not model.codes(9, temperature=0)[:, :2].any()
    with pytest.raises(BadInput, match=r"temperature needs normal values.*uniform"):
        shown(Uniform(3)).sample(1, temperature=0.5)


def test_a_model_s_own_temperature_is_for_samples_and_not_for_training():
    model, free = Shown(), Shown().codes(9)
    model.temperature = 0.5
    assert torch.equal(model.codes(9)[:, :2], free[:, :2] / 2)
    assert torch.equal(model.codes(9, temperature=1)[:, :2], free[:, :2])
    drawn = model.sample(9)
    assert torch.equal(drawn.tensor, model.codes(9))
    assert drawn.call["sampling"] == {"truncation": None, "temperature": 0.5}
    learnt = model.draw_code(Noise(0, range(9)), model.sampling())
    assert torch.equal(learnt, free)
    with_uniform = shown(Uniform(3))
    with_uniform.temperature = 0.5
    with pytest.raises(BadInput, match="temperature needs normal values"):
        with_uniform.sample(1, temperature=0.5)


def test_the_curve_of_truncation_is_refused_before_anything_is_measured(monkeypatch):
    monkeypatch.setattr(truncation, "measure", None)
    monkeypatch.setattr(truncation, "reference_data", None)
    with pytest.raises(BadInput, match="code is uniform"):
        truncation.truncate(shown(Uniform(3)), (None, 0.5))


def test_classes_are_not_added():
    model = Shown()
    with pytest.raises(BadInput, match=r"arithmetic.*2 to 4 of the code are a category"):
        arithmetic.arithmetic(model, "0:1 + 0:2")
    with pytest.raises(BadInput, match=r"directions.*2 to 4 of the code are a category"):
        directions.direction_from_seeds(model, "0:1", "0:2")
    with pytest.raises(BadInput, match=r"gradients.*2 to 4 of the code are a category"):
        genzoo.project(model, model.sample(1))


def test_uniform_sums_stay_in_their_range():
    model = shown(Normal(1), Uniform(2))
    sums = arithmetic.arithmetic(model, "0:1,2 + 0:3,4 + 0:5,6")
    around = sums.around.tensor
    assert around[:, 1:].abs().max() <= 1
    direction = directions.direction_from_seeds(model, "0:1", "0:2")
    moved = directions.steer(model, direction, "0:3", alphas=[-40, 40]).tensor
    assert set(moved[:, 1:].abs().flatten().tolist()) == {1.0}
    assert moved[:, 0].abs().max() > 1


def test_a_uniform_code_is_found_within_its_range():
    model = shown(Uniform(2))
    target = torch.tensor([[0.5, -0.25], [3.0, 0.0]])
    found = genzoo.project(model, target, steps=60).codes
    assert torch.allclose(found, torch.tensor([[0.5, -0.25], [1.0, 0.0]]), atol=0.05)
    assert found.abs().max() <= 1


def test_a_uniform_law_needs_a_range():
    for low, high in ((1, 1), (2, 1), (0, float("inf"))):
        with pytest.raises(BadInput, match="low < high"):
            Uniform(2, low, high)


def test_the_nearest_code():
    law = CodeLaw((Normal(1), Categorical(3), Uniform(1)))
    code = torch.tensor([[5.0, 0.1, 0.7, 0.4, -3.0]])
    assert law.nearest(code).tolist() == [[5.0, 0.0, 1.0, 0.0, -1.0]]
    law.check(law.nearest(code))
