"""CycleGAN: two generators that undo each other, patches, pools, pictures of any size."""

import genzoo_cyclegan as cyclegan
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import genzoo
from genzoo import Noise, families
from genzoo.cli import run
from genzoo.runs import start
from genzoo.schemas import checked
from genzoo.training import RunSettings
from genzoo.zoo import read_manifest

TINY = families.get("cyclegan").tiny


def config(**values):
    return checked(cyclegan.Config, {**TINY.model_dump(mode="json"), **values}, "config")


def made(**values):
    torch.manual_seed(0)
    return cyclegan.CycleGAN(config(**values))


def learner(**options):
    trainer = cyclegan.trainer(made(), checked(cyclegan.TrainOptions, options, "options"))
    trainer.prepare(RunSettings())
    return trainer


def batch_of(n=2, step=0):
    x, other = (Noise(0, range(n), f"{d} {step}").uniform(3, 16, 16) * 2 - 1 for d in "AB")
    return genzoo.Batch(x, None, other, step=step, indices=tuple(range(n)))


def count(module):
    return sum(p.numel() for p in module.parameters())


def test_parameters_of_the_reference_networks():
    """The authors' code prints 11.378 M for nine blocks of 64 maps and 2.765 M for a critic."""
    full = cyclegan.Config(shape=(3, 256, 256), examples=1)
    model, critics = cyclegan.CycleGAN(full), cyclegan.Discriminator(full).critics
    assert count(model.forth) == count(model.back) == 11_378_179
    assert [count(critic) for critic in critics] == [2_764_737] * 2


@pytest.mark.parametrize(("layers", "patch"), [(3, 70), (2, 34), (1, 16)])
def test_a_critic_sees_patches(layers, patch):
    torch.manual_seed(0)
    critic = cyclegan.patches(config(shape=(3, 128, 128), discriminator_layers=layers)).eval()
    for block in critic.blocks:
        block[1] = nn.Identity()  # instance norm sees the whole picture, if only its mean
    x = torch.randn(1, 3, 128, 128, requires_grad=True)
    logits = critic(x)
    middle = logits.shape[2] // 2
    (slope,) = torch.autograd.grad(logits[0, 0, middle, middle], x)
    assert (slope[0].abs().sum(0) > 0).any(0).sum() == patch


class Turn(nn.Module):
    def forward(self, x):
        return -x


def test_generators_that_undo_each_other_have_no_cycle_loss():
    trainer = learner(identity_weight=0.0)
    trainer.pair.forth, trainer.pair.back = Turn(), Turn()
    trainer.critics[0] = trainer.critics[1] = Constant(1.0)
    loss, logs = trainer._generator_loss({}, batch_of())
    assert logs["cycle"] == 0
    assert loss == 0, "critics that believe everything, and no way round that loses anything"
    trainer.pair.back = nn.Identity()
    _, logs = trainer._generator_loss({}, batch_of())
    assert logs["cycle"] > 0.5


class Constant(nn.Module):
    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, x):
        return torch.full((len(x), 1, 2, 2), self.value)


def test_the_losses_by_hand():
    """Equations 1 to 3 with least squares: critics that say 0.25 to everything."""
    trainer = learner(cycle_weight=2.0, identity_weight=0.5)
    trainer.pair.forth, trainer.pair.back = Turn(), nn.Identity()
    trainer.critics[0] = trainer.critics[1] = Constant(0.25)
    batch, fakes = batch_of(), {}
    total, logs = trainer._generator_loss(fakes, batch)
    a, b = batch.x.abs().mean(), batch.second_domain.abs().mean()
    assert logs["adversarial"].item() == pytest.approx(2 * 0.75**2)
    assert logs["cycle"].item() == pytest.approx(2 * (a + b).item(), rel=1e-5)
    assert logs["identity"].item() == pytest.approx(2 * b.item(), rel=1e-5)
    expected = 2 * 0.75**2 + 2.0 * 2 * (a + b) + 2.0 * 0.5 * 2 * b
    assert total.item() == pytest.approx(expected.item(), rel=1e-5)
    judged, _ = trainer._discriminator_loss(fakes, batch)
    assert judged.item() == pytest.approx(0.75**2 + 0.25**2)


def test_the_critics_see_earlier_fakes():
    trainer, seen = learner(buffer_size=4), []
    for step in range(12):
        fakes = {}
        trainer._generator_loss(fakes, batch_of(step=step))
        hook = trainer.critics[1].register_forward_pre_hook(lambda _, x: seen.append(x[0]))
        trainer._discriminator_loss(
            {k: (v[0], v[1] + step) for k, v in fakes.items()}, batch_of(step=step)
        )
        hook.remove()
    shown = [x.mean().round().item() for x in seen[1::2]]  # marked by the step that drew them
    assert any(abs(value - step) > 0.9 for step, value in enumerate(shown))


@pytest.mark.parametrize("size", [(16, 16), (17, 30), (9, 8), (64, 33)])
def test_pictures_of_any_size(size):
    model = made(domains=("day", "night"))
    x = torch.rand(2, 3, *size)
    there, back = (model.translate(x, to).tensor for to in ("night", "day"))
    assert there.shape == back.shape == x.shape
    assert not torch.equal(there, back)


def test_it_learns_from_images_whose_sides_are_no_multiples_of_4():
    torch.manual_seed(0)
    model = made(shape=(3, 17, 9))
    trainer = cyclegan.trainer(model, cyclegan.TrainOptions())
    trainer.prepare(RunSettings())
    logs = trainer.step(genzoo.Batch(torch.rand(2, 3, 17, 9), None, torch.rand(2, 3, 17, 9)))
    assert logs["generators/loss"].isfinite()


def test_samples_are_its_examples_turned():
    model = made(domains=("day", "night"))
    seeds = [model.sample(5, seed=seed).tensor for seed in (0, 1)]
    turned = model.translate(model.examples, "night").tensor
    for drawn in seeds:
        nearest = torch.cdist(drawn.flatten(1), turned.flatten(1))
        assert nearest.amin(1).max() < 1e-4
        assert sorted(nearest.argmin(1).tolist()) == [*range(5)]
    assert not torch.equal(*seeds)


def test_the_first_pictures_are_kept_as_examples():
    trainer = learner()
    batches = [batch_of(step=step) for step in range(3)]
    for batch in batches:
        trainer.step(batch)
    shown = torch.cat([batch.x for batch in batches])[:5]
    assert torch.allclose(trainer.pair.examples / 127.5 - 1, shown, atol=0.005)
    trainer = learner(examples_from="dcgan-celeba")
    before = trainer.pair.examples.clone()
    trainer.step(batch_of())
    assert torch.equal(trainer.pair.examples, before)


@pytest.fixture
def domains(tmp_path, monkeypatch):
    """Dark pictures and light ones."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for domain, low in {"dark": 0, "light": 128}.items():
        (tmp_path / domain).mkdir()
        for i in range(24):
            pixels = random.integers(low, low + 128, (16, 16, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / domain / f"{i}.png")
    return tmp_path


def test_a_discriminator_needs_pixels_for_its_layers():
    config = cyclegan.Config(shape=(3, 16, 16), width=4, residual_blocks=1)
    with pytest.raises(genzoo.BadInput, match=r"layers=3 needs images of 24 pixels .*got 3x16x16$"):
        cyclegan.CycleGAN(config)
    critic = cyclegan.Discriminator(config.model_copy(update={"shape": (3, 24, 24)}))
    assert critic(torch.rand(1, 3, 24, 24)).isfinite().all()


def test_trained_and_used_from_the_command_line(domains, capsys):
    sets = " ".join(
        f"--set {s}"
        for s in ("width=4", "residual_blocks=1", "discriminator_layers=1", "examples=4")
    )
    train = f"train cyclegan --data ./dark,./light --steps 3 --out m {sets} --set batch_size=2"
    assert run(train.split()) == 0
    model = genzoo.load("./m")
    assert model.domains == ("dark", "light")
    assert read_manifest(domains / "m").data == "dark,light"
    Image.new("RGB", (21, 30), "navy").save("photo.jpg")
    assert run(["translate", "./m", "photo.jpg"]) == 0
    with Image.open("photo-light.png") as picture:
        assert picture.size == (38 * 21, 38 * 30)  # enlarged by a whole factor
    assert run(["sample", "./m", "-n", "4", "-o", "four.png"]) == 0
    capsys.readouterr()
    for line, code, said in [
        ("translate ./m photo.jpg", 2, "photo-light.png exists"),
        ("translate ./m photo.jpg --to dusk -o x.png", 2, "no domain is called 'dusk'"),
        ("translate ./m gone.jpg -o x.png", 2, "cannot read gone.jpg"),
        ("translate ./m m/config.json -o x.png", 2, "config.json"),
        ("translate ./m photo.jpg -o x.txt", 2, "ending in .png"),
        ("translate vae-mnist photo.jpg", 2, "does not translate"),
        ("train cyclegan --data ./dark --steps 1", 2, "A,B"),
        ("train vae --data ./dark,./light --steps 1", 2, "dark,"),
    ]:
        assert run(line.split()) == code
        err = capsys.readouterr().err
        assert said in err, err
        assert err.count("\n") == 1


def test_the_second_domain_has_its_own_order(domains):
    plan = {"steps": 40, "device": "cpu"}
    values = {"width": 4, "residual_blocks": 1, "discriminator_layers": 1, "examples": 1}
    made = start("cyclegan", "./dark,./light", domains / "run", values=values, **plan)
    pair = made.dataset
    batches = [batch for batch, _ in zip(made.loader.batches(), range(24), strict=False)]
    for side, dataset in (("x", pair), ("second_domain", pair.second_domain)):
        n = len(dataset)
        rows = torch.cat([getattr(batch, side) for batch in batches[:n]])
        whole = dataset.batch(range(n)) * 2 - 1
        order = torch.cdist(rows.flatten(1), whole.flatten(1)).argmin(1)
        assert sorted(order.tolist()) == [*range(n)], "an epoch has every picture once"
        assert order.tolist() != [*range(n)]
    assert pair.domains == ("dark", "light")
