"""The examples of docs/examples: installed as a reader would have them, held to their papers."""

import importlib
import re
import shlex
import tomllib
from pathlib import Path

import pytest
import torch
from torch import nn

import genzoo
from genzoo import cli, data, families, testing
from genzoo.metrics.real_data import load_features
from genzoo.metrics.statistics import distances
from genzoo.models.randomness import Noise
from genzoo.schemas import checked

FOLDER = Path(__file__).parent.parent / "docs" / "examples"
NAMES = ("vqvae",)


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


def _trainer(name, config=None, **options):
    """A trainer of a small model, from a fixed seed."""
    family = families.get(name)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = family.model(checked(family.config, config, name) if config else family.tiny)
        trainer = family.make_trainer(model, checked(family.options, options, name))
    trainer.prepare(genzoo.training.RunSettings())
    return trainer


def _weights(network):
    return torch.cat([p.detach().flatten().clone() for p in network.parameters()])


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


@pytest.mark.parametrize(("name", "settings"), [("vqvae", "width=4 codebook_size=3")])
def test_command_line_trains_and_samples(name, settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    chosen = [word for pair in settings.split() for word in ("--set", pair)]
    words = ["train", name, "--data", "digits", "--steps", "2", "--out", "mine", *chosen]
    assert cli.run([*words, "--set", "batch_size=4"]) == 0
    model = genzoo.load("./mine")
    assert model.sample(2).tensor.shape == (2, *model.shape)
    assert model.origin.family == name


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vqvae"])
def test_the_training_on_a_page_gives_digits(name, tmp_path, monkeypatch):
    """The Frechet distance to scikit-learn's digits, in the features of genzoo's classifier."""
    monkeypatch.chdir(tmp_path)
    (text,) = re.findall(
        r"<!-- slow: .*\n```bash\n(.*?)```", (FOLDER / f"{name}.md").read_text(), re.S
    )
    for line in text.strip().splitlines():
        assert cli.run(shlex.split(line)[1:]) == 0
    extract = load_features("mnist")
    images = (
        genzoo.load(f"./{name}-digits").sample(500).tensor,
        data.open("digits").batch(range(1500)),
    )
    assert distances.frechet(*(distances.moments(extract(x)) for x in images)) < 20


# ------------------------------------------------------------------------------------------ VQ-VAE

CODES = {"shape": [1, 8, 8], "codebook_size": 3, "code_dim": 3, "width": 6, "prior_layers": 1}


def _vqvae(**config):
    """A model whose prior prefers some codes clearly."""
    model = _model("vqvae", **CODES, **config)
    with torch.no_grad():
        for parameter in model.prior.parameters():
            parameter *= 3
    return model


def test_the_nearest_vector_is_the_nearest():
    model, z = _model("vqvae", **CODES), torch.randn(4, 3, 2, 2)
    distances = torch.cdist(z.permute(0, 2, 3, 1).reshape(-1, 3), model.codebook.weight)
    codes = model.nearest(z)
    assert torch.equal(codes.flatten(), distances.argmin(1))
    assert torch.equal(model.vectors(codes)[0, :, 1, 0], model.codebook.weight[codes[0, 1, 0]])


def _gradients(weight):
    """The VQ-VAE's encoding of some images, with the gradients of its loss and what went in."""
    trainer, seen = _trainer("vqvae", CODES, commitment_weight=weight), {}
    model, x = trainer.vqvae, Noise(0, range(8)).uniform(1, 8, 8) * 2 - 1

    def keep(name, tensor):
        tensor.retain_grad()
        seen[name] = tensor

    model.encoder.register_forward_hook(lambda _, inputs, z: keep("z", z))
    model.decoder.register_forward_pre_hook(lambda _, inputs: keep("input", inputs[0]))
    loss, _ = trainer.autoencoder_loss(genzoo.Batch(x))
    loss.backward()
    return model, seen["z"], seen["input"], loss


def test_the_gradient_goes_straight_through():
    """Without commitment, the encoder gets the gradient of the decoder's input, which is e."""
    model, z, decoded, _ = _gradients(0.0)
    e = model.vectors(model.nearest(z))
    torch.testing.assert_close(decoded, e)
    assert (z - e).abs().max() > 1e-3
    assert torch.equal(z.grad, decoded.grad)
    assert z.grad.abs().max() > 0


def test_the_codebook_learns_from_the_encoder_alone():
    """Equation 3's second term: the gradient of ||sg[z] - e||^2, and none of the reconstruction."""
    model, z, _, _ = _gradients(0.25)
    codes = model.nearest(z)
    e = model.vectors(codes)
    expected = torch.zeros_like(model.codebook.weight)
    pulls = (2 * (e - z) / z.numel()).permute(0, 2, 3, 1).reshape(-1, 3)
    expected.index_add_(0, codes.flatten(), pulls.detach())
    torch.testing.assert_close(model.codebook.weight.grad, expected)


def test_commitment_pulls_the_encoder_to_the_codebook():
    model, z, decoded, loss = _gradients(0.25)
    e = model.vectors(model.nearest(z))
    torch.testing.assert_close(z.grad, decoded.grad + 0.25 * 2 * (z - e) / z.numel())
    _, _, _, without = _gradients(0.0)
    more = 0.25 * (z - e).square().mean()
    assert loss.item() - without.item() == pytest.approx(more.item(), rel=1e-3)


def test_the_prior_sees_only_codes_before():
    """A change at place k moves the logits of later places, and of no other."""
    model = _model("vqvae", **{**CODES, "shape": [1, 16, 16]})
    codes = torch.arange(16).view(1, 4, 4) % 3
    with torch.no_grad():
        logits = model.prior(codes)
        for k in range(16):
            other = codes.clone()
            other.view(-1)[k] = (other.view(-1)[k] + 1) % 3
            moved = (model.prior(other) != logits).any(1).flatten()
            assert not moved[: k + 1].any()
            assert k % 4 == 3 or moved[k + 1]


def test_codes_are_drawn_from_the_prior():
    """All 81 maps of 2 by 2 codes: how often each is drawn, against the product of its factors."""
    model = _vqvae()
    maps = torch.cartesian_prod(*[torch.arange(3)] * 4).view(-1, 2, 2)
    with torch.no_grad():
        log_p = model.prior(maps).log_softmax(1).gather(1, maps[:, None]).sum((1, 2, 3))
        drawn = model.draw(Noise(0, range(20_000)))
    assert log_p.exp().sum().item() == pytest.approx(1, abs=1e-4)
    index = (drawn.flatten(1) * torch.tensor([27, 9, 3, 1])).sum(1)
    shares = torch.bincount(index, minlength=81) / 20_000
    torch.testing.assert_close(shares, log_p.exp(), atol=0.012, rtol=0)
    assert log_p.exp().max() > 0.05


def test_temperature_is_a_setting_of_sampling():
    model = _vqvae()
    sure, usual = model.sample(6, temperature=0.0).tensor, model.sample(6).tensor
    assert (sure == sure[:1]).all()
    assert not (usual == usual[:1]).all()
    assert not torch.equal(usual, model.sample(6, temperature=5.0).tensor)


def test_each_phase_trains_its_own_part():
    trainer = _trainer("vqvae", CODES)
    parts = [trainer.networks()[name] for name in ("autoencoder", "prior")]
    before, changes = [_weights(part) for part in parts], {}
    x = torch.rand(8, 1, 8, 8) * 2 - 1
    batches = (genzoo.Batch(x, step=step, progress=step / 4) for step in range(4))
    for batch, _ in genzoo.fit(trainer, batches, 4):
        now = [_weights(part) for part in parts]
        moved = tuple(not torch.equal(a, b) for a, b in zip(before, now, strict=True))
        changes.setdefault(batch.phase, set()).add(moved)
        before = now
    assert changes == {"autoencoder": {(True, False)}, "prior": {(False, True)}}
    assert set(map(id, trainer.vqvae.parameters())) == {
        id(p) for part in parts for p in part.parameters()
    }


def test_the_prior_s_loss_is_its_log_likelihood():
    trainer = _trainer("vqvae", CODES)
    x = torch.rand(8, 1, 8, 8) * 2 - 1
    with torch.no_grad():
        codes = trainer.vqvae.nearest(trainer.vqvae.encoder(x))
        loss, _ = trainer.prior_loss(genzoo.Batch(x))
        log_p = trainer.vqvae.prior(codes).log_softmax(1)
    one = [log_p[i, codes[i, r, c], r, c] for i in range(8) for r in range(2) for c in range(2)]
    torch.testing.assert_close(loss, -torch.stack(one).mean())


@pytest.mark.parametrize("shape", [[1, 6, 8], [2]])
def test_vqvae_refuses_what_it_cannot_halve(shape):
    with pytest.raises(genzoo.BadInput, match="halve twice"):
        _model("vqvae", shape=shape)
