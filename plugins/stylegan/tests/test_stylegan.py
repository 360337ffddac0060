"""StyleGAN against its papers: whose styles the layers have, noise, truncation, path lengths."""

import pytest
import torch
from genzoo_stylegan import (
    CODES,
    Config,
    Generator,
    Styled,
    StyleSampling,
    TrainOptions,
    finish,
    path_lengths,
)

import genzoo
from genzoo import Noise
from genzoo.training import RunSettings

# 4 and 8 pixels: three layers.
SMALL = Config(shape=(1, 8, 8), latent_dim=4, mapping_layers=2, width=4, max_width=8)


def made(strength=0.5):
    """A small model whose noise, unlike that before training, does something."""
    torch.manual_seed(0)
    model = Generator(SMALL).eval().requires_grad_(False)
    for layer in model.layers:
        layer.strength.fill_(strength)
    return model


def test_defaults_are_the_papers():
    """2019, appendix C, and the lazy R1 of 2020."""
    options, config = TrainOptions(), Config()
    assert (options.lr, options.beta1, options.beta2, options.ema_decay) == (2e-3, 0, 0.99, 0.999)
    assert (options.loss, options.penalty, options.penalty_weight) == ("non-saturating", "r1", 10)
    assert (options.penalty_interval, options.mixing_share) == (16, 0.9)
    assert (config.mapping_layers, config.latent_dim) == (8, 512)


def test_the_fine_layers_have_the_other_style():
    """Section 3.1: each layer's style is one code's or the other's; layer 0 is the coarsest."""
    model = made()
    codes = model.codes(3, seed=1)
    other = model.codes(1, seed=5, start=7)
    for start in range(3):
        styles = model.styles(codes).clone()
        styles[:, start:] = model.styles(other)[:, start:]
        wanted = model.images(styles, None).clamp(-1, 1)
        sampling = StyleSampling(mix_index=7, mix_seed=5, mix_from=start)
        torch.testing.assert_close(model.decode(codes, sampling=sampling), wanted)
    itself = model.sample(1, seed=5, start=7, mix_index=7, mix_seed=5, mix_from=1).tensor
    torch.testing.assert_close(itself, model.sample(1, seed=5, start=7).tensor)
    with pytest.raises(genzoo.BadInput, match="mix_from must be 0 to 2, got 3"):
        model.sample(1, mix_index=0, mix_from=3)
    for alone in ({"mix_from": 1}, {"mix_seed": 3}):
        with pytest.raises(genzoo.BadInput, match="only with mix_index, the sample to mix in"):
            model.sample(1, **alone)


def test_fakes_of_training_have_the_styles_of_two_codes(monkeypatch):
    """With a share of 1 each sample turns to its second code after layer 1 or 2; with 0, never."""
    seen = []
    monkeypatch.setattr(
        Generator, "images", lambda g, styles, noise: seen.append(styles) or styles.sum((1, 2))
    )
    for share in (0.0, 1.0):
        trainer = Styled(Generator(SMALL), TrainOptions(mixing_share=share))
        trainer._fakes(genzoo.Batch(torch.zeros(40, 1, 8, 8)), Noise(0, range(40)))
    plain, mixed = ((s[:, 1:] != s[:, :-1]).any(2) for s in seen)
    assert not plain.any()
    assert (mixed.sum(1) == 1).all()
    assert mixed.any(0).all()


def test_noise_changes_the_details_alone():
    model = made()
    code = model.codes(1).expand(2, -1)
    still, moved = model.decode(code), model.decode(code, noise=Noise(0, range(2)))
    assert torch.equal(still[0], still[1])
    assert not torch.equal(moved[0], moved[1])
    without = model.decode(code, noise=Noise(0, range(2)), sampling=StyleSampling(noise=0))
    assert torch.equal(without, still)
    calm = made(0).decode(code, noise=Noise(0, range(2)))
    assert torch.equal(calm, still), "before training its strength is 0"


def test_truncation_goes_to_the_mean_style():
    """Appendix B: w' = mean + psi (w - mean); psi = 0 leaves one image."""
    model = made()
    finish(model, TrainOptions(), [])
    codes = model.codes(3)
    mean = model.styles(model.codes(CODES, seed=9))[:, 0].mean(0)
    spread = model.styles(model.codes(99))[:, 0].std(0)
    assert ((model.mean_style - mean).abs() < 0.1 * spread).all()
    one = model.decode(codes, sampling=StyleSampling(truncation=0))
    torch.testing.assert_close(one, one[:1].expand_as(one))
    half = model.mean_style + 0.5 * (model.styles(codes) - model.mean_style)
    wanted = model.images(half, None).clamp(-1, 1)
    torch.testing.assert_close(model.decode(codes, sampling=StyleSampling(truncation=0.5)), wanted)


def test_path_lengths_are_those_of_the_jacobian():
    """StyleGAN2, equation 4, with J written out: every derivative of every pixel."""
    model = made()
    styles = model.styles(model.codes(2)).requires_grad_()
    lengths = path_lengths(model, styles, Noise(3, range(2)))
    for i in range(2):
        fresh = Noise(3, [i])
        model.images(styles[i : i + 1], fresh)  # reads the layers' noise
        y = fresh.normal(1, 8, 8) / 8

        def image(style, i=i):
            return model.images(style[None], Noise(3, [i]))[0]

        jacobian = torch.autograd.functional.jacobian(image, styles[i].detach())
        product = torch.einsum("chw,chwld->ld", y[0], jacobian)
        assert lengths[i].item() ** 2 == pytest.approx(
            product.square().sum(1).mean().item(), rel=1e-3
        )


def test_the_term_pulls_lengths_to_their_moving_mean():
    logs, weight = {}, 3.0
    for chosen in (0.0, weight):
        torch.manual_seed(0)
        options = TrainOptions(path_length_weight=chosen, path_length_interval=2, penalty="none")
        trainer = Styled(Generator(SMALL), options)
        trainer.prepare(RunSettings())
        logs[chosen] = []
        for step in range(2):
            x = Noise(0, range(6), "data").uniform(*SMALL.shape) * 2 - 1
            logs[chosen].append(trainer.step(genzoo.Batch(x, step=step)))
    (first, second), plain = logs[weight], logs[0.0]
    length = first["generator/path length"].item()
    assert "generator/path length" not in {*second, *plain[0]}
    assert trainer.model.path_length.item() == pytest.approx(0.01 * length, rel=1e-5)
    more = (first["generator/loss"] - plain[0]["generator/loss"]).item()
    assert more >= 2 * weight * length**2 > 0  # the mean of squares, from a first mean of 0


@pytest.mark.parametrize("shape", [(1, 30, 30), (3, 64, 32), (2,)])
def test_it_takes_squares(shape):
    with pytest.raises(genzoo.BadInput, match="x".join(map(str, shape))):
        Generator(Config(shape=shape))
