"""Similarity inside a mask against other implementations; inpainting through the metrics' door."""

import functools

import numpy as np
import pytest
import torch
from scipy import ndimage

import genzoo
from genzoo.errors import BadInput
from genzoo.metrics import inpainting_metrics, registry
from genzoo.metrics.real_data import RealData
from genzoo.metrics.statistics.similarity import psnr, ssim
from genzoo.metrics.subjects import ModelSubject


@pytest.fixture
def pair():
    source = torch.Generator().manual_seed(0)
    x = torch.rand(3, 2, 24, 20, generator=source)
    return x, (x + 0.2 * torch.randn(x.shape, generator=source)).clamp(0, 1)


def theirs(x, y):
    """Wang et al. 2004, equation 13, by scipy's Gaussian filter: the map of one channel."""
    x, y = x.double().numpy(), y.double().numpy()

    def blur(v):
        return ndimage.gaussian_filter(v, 1.5, radius=5)

    mx, my = blur(x), blur(y)
    sx, sy, sxy = blur(x * x) - mx * mx, blur(y * y) - my * my, blur(x * y) - mx * my
    c1, c2 = 0.01**2, 0.03**2
    return (2 * mx * my + c1) * (2 * sxy + c2) / ((mx**2 + my**2 + c1) * (sx + sy + c2))


def test_ssim_is_what_scipy_makes_of_the_formula(pair):
    x, y = pair
    where = torch.zeros_like(x, dtype=torch.bool)
    where[..., 5:-5, 5:-5] = True  # whole windows: how others fill the rest up differs
    maps = [[theirs(a, b)[5:-5, 5:-5].mean() for a, b in zip(p, q, strict=True)]
            for p, q in zip(x, y, strict=True)]  # fmt: skip
    assert np.allclose(ssim(x, y, where), np.mean(maps, 1), atol=1e-10)


def test_psnr_has_its_closed_form(pair):
    x, y = pair
    squares = (x.double() - y).square().flatten(1).mean(1)
    assert torch.allclose(psnr(x, y), 10 * (1 / squares).log10(), atol=1e-6)
    level = torch.full_like(x, 0.5)
    assert psnr(level, level + 0.1).tolist() == pytest.approx([20] * 3, abs=1e-5)
    assert psnr(x, x).tolist() == pytest.approx([58.92] * 3, abs=0.01)


def test_equal_images_are_like_and_more_noise_is_less_like(pair):
    x, y = pair
    assert torch.allclose(ssim(x, x), torch.ones(3, dtype=torch.float64))
    assert (ssim(x, y) < 1).all()
    assert (ssim(x, x.flip(3)) < ssim(x, y)).all()
    assert torch.allclose(ssim(x, y), ssim(y, x))


def test_only_what_is_inside_counts(pair):
    x, y = pair
    where = torch.zeros_like(x, dtype=torch.bool)
    where[..., 8:12, 8:12] = True
    far = y.clone()
    far[..., :2, :2] = 0
    assert torch.equal(psnr(x, y, where), psnr(x, far, where))
    assert torch.equal(ssim(x, y, where), ssim(x, far, where))
    with pytest.raises(BadInput, match="empty"):
        psnr(x, y, torch.zeros_like(where))
    with pytest.raises(BadInput, match="shape"):
        ssim(x, y[:1])


def test_images_smaller_than_the_window_have_a_likeness():
    x = torch.rand(2, 1, 4, 4)
    assert torch.allclose(ssim(x, x), torch.ones(2, dtype=torch.float64))


# ------------------------------------------------------------------------------------- as a metric


@pytest.fixture
def real():
    return RealData("digits", size=28)


SEARCH = {"steps": 100, "restarts": 4, "weight": 0, "window": 0}


def test_models_are_filled_in_side_by_side(real, monkeypatch):
    """One fill serves both metrics; protocols of unlike models agree."""
    asked, asked_of, whole = [], [], inpainting_metrics.inpainting.inpaint

    @functools.wraps(whole)  # which reads its own signature
    def inpaint(model, *rest, **how):
        asked.append(model)
        asked_of.append({key: how.get(key) for key in (*SEARCH, "blend")})
        few = {} if isinstance(model, genzoo.Completer) else {"steps": 2}  # of the search
        return whole(model, *rest, **{**how, **few})

    monkeypatch.setattr(inpainting_metrics.inpainting, "inpaint", inpaint)
    ratio, structure = registry.create(["inpainting_psnr", "inpainting_ssim"], real)
    found = {}
    for name in ("vae-mnist", "pixelcnn-mnist"):
        who = ModelSubject(name, genzoo.load(name, device="cpu"))
        found[name] = [m.score(who, 4, 0) for m in (ratio, structure)]
    assert len(asked) == 2
    # The protocol of scores that are on cards already, whatever the defaults of inpainting become.
    assert asked_of[0] == {**SEARCH, "blend": False}
    (one, _), (other, like) = found.values()
    assert one.protocol == other.protocol
    assert (one.details["by"], other.details["by"]) == ("projection", "conditional sampling")
    assert one.metric == "inpainting_psnr-digits"
    assert len(one.parts) == 4
    assert 0 < one.value < 40
    assert -1 <= like.value <= 1


def test_a_model_that_does_not_fill_in_is_told(real, density, latent):
    (metric,) = registry.create(["inpainting_ssim"], real)
    assert "cannot fill in" in metric.unsupported_reason(ModelSubject("toy", density))
    assert "3x8x8 images, but digits is 1x28x28" in metric.unsupported_reason(
        ModelSubject("toy", latent)
    )
