"""The examples of docs/examples: installed as a reader would have them, held to their papers."""

import importlib
import itertools
import math
import tomllib
from pathlib import Path

import pytest
import torch
from torch import nn

import genzoo
from genzoo import cli, families, testing
from genzoo.models.randomness import Noise
from genzoo.schemas import checked

FOLDER = Path(__file__).parent.parent / "docs" / "examples"
NAMES = ("realnvp", "ddpm")


@pytest.fixture(autouse=True)
def installed(tmp_path, monkeypatch):
    """What ``pip install ./docs/examples/NAME`` does: metadata, and the module on the path."""
    for name in NAMES:
        project = tomllib.loads((FOLDER / name / "pyproject.toml").read_text())["project"]
        meta = (
            tmp_path
            / "site"
            / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
        )
        meta.mkdir(parents=True)
        lines = [f"Name: {project['name']}", f"Version: {project['version']}"]
        lines += [f"Summary: {project['description']}"]
        lines += [f"Keywords: {','.join(project['keywords'])}"]
        meta.joinpath("METADATA").write_text("Metadata-Version: 2.1\n" + "\n".join(lines) + "\n")
        ((group, doors),) = project["entry-points"].items()
        doors = "\n".join(f"{door} = {value}" for door, value in doors.items())
        meta.joinpath("entry_points.txt").write_text(f"[{group}]\n{doors}\n")
        monkeypatch.syspath_prepend(FOLDER / name)
    monkeypatch.syspath_prepend(tmp_path / "site")


def _module(name):
    return importlib.import_module(f"genzoo_{name}")


def _model(name, **config):
    """A small model of the family whose weights, unlike those before training, do something."""
    family = families.get(name)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = family.model(checked(family.config, config, name))
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=0.3)
    return model


# -------------------------------------------------------------------------------------------- both


@pytest.mark.parametrize("check", testing.CHECKS)
@pytest.mark.parametrize("name", NAMES)
def test_contract(name, check):
    if why := testing.run(check, name):
        pytest.skip(why)


@pytest.mark.parametrize("name", NAMES)
def test_metadata_say_where_it_stands(name):
    listed = next(p for p in families.plugins() if p.name == name)
    assert listed.branch in families.BRANCHES
    assert listed.year in (FOLDER / f"{name}.md").read_text()


@pytest.mark.parametrize(
    ("name", "data", "settings"),
    [
        ("realnvp", "digits", "width=4 couplings=2"),
        ("realnvp", "ring8", "width=4 couplings=2"),
        ("ddpm", "digits", "width=8 timesteps=3"),
    ],
)
def test_command_line_trains_and_samples(name, data, settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    chosen = [word for pair in settings.split() for word in ("--set", pair)]
    words = ["train", name, "--data", data, "--steps", "2", "--out", "mine", *chosen]
    assert cli.run([*words, "--set", "batch_size=4"]) == 0
    model = genzoo.load("./mine")
    assert model.sample(2).tensor.shape == (2, *model.shape)
    assert (model.origin.family, len(model.shape)) == (name, 1 if data == "ring8" else 3)


# ----------------------------------------------------------------------------------------- RealNVP

POINTS = {"shape": [2], "couplings": 6, "width": 16}
PICTURES = {"shape": [1, 4, 4], "couplings": 2, "width": 5}


@pytest.mark.parametrize("config", [POINTS, {**PICTURES, "shape": [3, 8, 8]}])
def test_flow_is_inverted(config):
    model, x = _model("realnvp", **config), torch.randn(5, *config["shape"])
    with torch.no_grad():
        z, _ = model.flow(x)
        assert (z - x.flatten(1)).abs().max() > 0.1
        torch.testing.assert_close(model.inverse(z), x, atol=1e-4, rtol=0)


@pytest.mark.parametrize("config", [POINTS, PICTURES, {**PICTURES, "scales": 1}])
def test_log_determinant_is_that_of_the_jacobian(config):
    model, sizes = _model("realnvp", **config).double(), []
    for x in torch.randn(3, *config["shape"], dtype=torch.float64):
        jacobian = torch.autograd.functional.jacobian(lambda x: model.flow(x[None])[0][0], x)
        _, expected = torch.linalg.slogdet(jacobian.reshape(model.latent_dim, model.latent_dim))
        torch.testing.assert_close(model.flow(x[None])[1][0], expected)
        sizes.append(abs(expected))
    assert max(sizes) > 1e-2, "some volume changes"


def test_logits_slope_is_their_derivative():
    model = _model("realnvp", **PICTURES, levels=4).double()
    k = torch.randint(4, (1, 1, 4, 4)).double()
    place = torch.full_like(k, 0.3, requires_grad=True)  # levels of width 1: d/dplace
    logits, slope = model.logits(k / 3, place)
    (each,) = torch.autograd.grad(logits.sum(), place)
    torch.testing.assert_close(slope[0], each.log().sum())


def test_density_of_points_integrates_to_one():
    model = _model("realnvp", **POINTS)
    side = torch.linspace(-30, 30, 1201)
    density = model.log_prob(torch.cartesian_prod(side, side), batch_size=100_000).exp()
    assert density.sum().item() * (side[1] - side[0]).item() ** 2 == pytest.approx(1, abs=0.01)


def test_probabilities_of_pictures_sum_to_what_is_drawn_inside():
    """All 16 pictures of 2 by 2 bits: their likelihoods are probabilities, not densities."""
    model = _model("realnvp", shape=[1, 2, 2], scales=1, couplings=2, width=5, levels=2)
    pictures = torch.tensor([*itertools.product([0.0, 1.0], repeat=4)]).view(-1, 1, 2, 2)
    total = model.log_prob(pictures, samples=4000).exp().sum().item()
    with torch.no_grad():
        pixels = model.inverse(Noise(0, range(40_000)).normal(4)).flatten(1).sigmoid()
    margin = _module("realnvp").MARGIN
    inside = ((pixels > margin) & (pixels < 1 - margin)).all(1).float().mean().item()
    assert 0.2 < inside < 0.99
    assert total == pytest.approx(inside, abs=0.02)


def test_likelihood_says_what_it_is():
    pictures, points = _model("realnvp", **PICTURES), _model("realnvp", **POINTS)
    assert (pictures.likelihood_kind, pictures.levels) == ("bound", 256)
    assert (points.likelihood_kind, points.levels) == ("exact", None)


def test_a_picture_comes_back_from_its_code():
    model = _model("realnvp", **PICTURES)
    x = torch.randint(256, (6, 1, 4, 4)) / 255
    with torch.no_grad():
        torch.testing.assert_close(model.decode(model.embed(x)), x, atol=1e-4, rtol=0)


def test_first_masks_are_checkerboards_and_then_turn_over():
    model = _model("realnvp", **PICTURES)
    first, second, halves, _ = (c.mask for c in model.scales[0])
    board = nn.functional.pixel_shuffle(first.expand(4, 2, 2), 2)[0]
    assert torch.equal(board, (torch.arange(4)[:, None] + torch.arange(4) + 1) % 2)
    assert torch.equal(second, 1 - first)
    assert halves.flatten().tolist() == [1, 1, 0, 0]


@pytest.mark.parametrize("shape", [[1, 6, 6], [1], [4, 4]])
def test_realnvp_refuses_what_it_cannot_halve(shape):
    with pytest.raises(genzoo.BadInput, match="whose sides halve 2 times"):
        _model("realnvp", shape=shape)


# -------------------------------------------------------------------------------------------- DDPM

SMALL = {"shape": [1, 4, 4], "width": 8, "timesteps": 100}


def _normal(seed):
    return torch.randn(20_000, 1, 4, 4, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_schedule_is_the_papers(schedule):
    kept = _model("ddpm", **{**SMALL, "timesteps": 1000}, schedule=schedule).alpha_bar.double()
    betas = 1 - kept / torch.cat([torch.ones(1), kept[:-1]])
    if schedule == "linear":
        expected = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
        torch.testing.assert_close(betas, expected, atol=1e-6, rtol=1e-3)
        return
    angles = (torch.arange(1, 990) / 1000 + 0.008) / 1.008 * math.pi / 2
    start = math.cos(0.008 / 1.008 * math.pi / 2) ** 2
    torch.testing.assert_close(kept[:989], angles.double().cos() ** 2 / start, atol=1e-5, rtol=0)
    assert betas[-1].item() == pytest.approx(0.999, abs=1e-3)


def test_forward_process_is_its_steps():
    """Equation 4 against equation 2, one step after another."""
    model, x = _model("ddpm", **SMALL), torch.full((1, 1, 4, 4), 0.7)
    kept = torch.cat([torch.ones(1), model.alpha_bar])
    noisy = x.expand(20_000, -1, -1, -1)
    for step, beta in enumerate((1 - kept[1:] / kept[:-1])[:40]):
        noisy = (1 - beta).sqrt() * noisy + beta.sqrt() * _normal(step)
    at_once = model.diffuse(x, torch.tensor([39]), torch.zeros_like(x)).mean().item()
    assert noisy.mean().item() == pytest.approx(at_once, abs=0.01)
    assert noisy.std().item() == pytest.approx((1 - model.alpha_bar[39]).sqrt().item(), abs=0.01)
    assert 0.2 < at_once < 0.6


@pytest.mark.parametrize("t", [1, 50, 99])
def test_posterior_is_equation_7(t):
    model = _model("ddpm", **SMALL)
    x, epsilon = torch.rand(3, 1, 4, 4) * 2 - 1, torch.randn(3, 1, 4, 4)
    noisy = model.diffuse(x, torch.full((3,), t), epsilon)
    start = model.predict(noisy, t, epsilon)
    torch.testing.assert_close(start, x, atol=1e-3, rtol=0)
    now, then = model.alpha_bar[t].double(), model.alpha_bar[t - 1].double()
    beta = 1 - now / then
    expected = then.sqrt() * beta * x.double() + (1 - beta).sqrt() * (1 - then) * noisy.double()
    mean, deviation = model.posterior(noisy, start, t, t - 1, 1.0)
    torch.testing.assert_close(mean.double(), expected / (1 - now), atol=1e-3, rtol=0)
    torch.testing.assert_close(
        deviation.double() ** 2, (1 - then) / (1 - now) * beta, rtol=1e-3, atol=0
    )


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(("t", "to"), [(99, 20), (60, 59), (30, 0), (25, -1)])
def test_a_step_back_of_any_length_keeps_the_forward_process(eta, t, to):
    """From x_t as the forward process has it, x_to as it has that (DDIM's lemma 1)."""
    model = _model("ddpm", **SMALL)
    x = torch.full((1, 1, 4, 4), -0.6)
    noisy = model.diffuse(x, torch.tensor([t]), _normal(0))
    mean, deviation = model.posterior(noisy, x, t, to, eta)
    back = mean + deviation * _normal(1)
    kept = model.alpha_bar[to].item() if to >= 0 else 1.0
    assert back.mean().item() == pytest.approx(-0.6 * kept**0.5, abs=0.01)
    assert back.std().item() == pytest.approx((1 - kept) ** 0.5, abs=0.01)


def test_the_true_noise_leads_back_to_the_picture(monkeypatch):
    model = _model("ddpm", **SMALL)
    x, asked = torch.rand(1, 1, 4, 4) * 2 - 1, []

    def true_noise(noisy, t):
        asked.append(int(t[0]))
        kept = model.alpha_bar[t[0]]
        return (noisy - kept.sqrt() * x) / (1 - kept).sqrt()

    monkeypatch.setattr(model.network, "forward", true_noise)
    made = model.generate(Noise(0, range(2)), None, model.sampling(steps=7))
    torch.testing.assert_close(made, x.expand(2, -1, -1, -1), atol=1e-3, rtol=0)
    assert asked == [99, 82, 66, 50, 33, 16, 0]  # evenly spaced, from the first to the last


def test_loss_is_the_error_of_the_noise(monkeypatch):
    """Equation 14: a network that says 0 everywhere is wrong by 1, the noise's variance."""
    model = _model("ddpm", **SMALL)
    monkeypatch.setattr(model.network, "forward", lambda x, t: torch.zeros_like(x))
    batch = genzoo.Batch(torch.zeros(2000, 1, 4, 4))
    assert model.loss(batch)[0].item() == pytest.approx(1, abs=0.03)


def test_samples_are_differentiable():
    model = _model("ddpm", **SMALL)
    model.generate(Noise(0, range(2)), None, model.sampling(steps=3)).sum().backward()
    given = [p.grad is not None and bool(p.grad.isfinite().all()) for p in model.parameters()]
    assert all(given)


def test_network_is_told_the_time():
    model, x = _model("ddpm", **SMALL), torch.randn(1, 1, 4, 4).expand(2, -1, -1, -1)
    early, late = model.network(x, torch.tensor([0, 99]))
    assert (early - late).abs().max() > 1e-3


def test_ddpm_refuses_what_it_cannot_do():
    with pytest.raises(genzoo.BadInput, match="halve twice"):
        _model("ddpm", **{**SMALL, "shape": [1, 6, 6]})


def test_ddpm_s_settings_of_sampling():
    model = _model("ddpm", **SMALL)
    one, few, ddim = (
        model.sample(2, **how).tensor for how in ({}, {"steps": 3}, {"steps": 3, "eta": 0.0})
    )
    assert not torch.equal(one, few)
    assert not torch.equal(few, ddim)
    assert torch.equal(model.sample(2, steps=50, eta=1.0).tensor, one), "the defaults"
    assert torch.equal(model.sample(2, steps=4000).tensor, model.sample(2, steps=100).tensor)
