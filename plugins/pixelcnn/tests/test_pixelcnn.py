"""PixelCNN: masks, exactness, and a sampler that keeps what it knows."""

import itertools
import math

import genzoo_pixelcnn as pixelcnn
import genzoo_pixelcnn_fast
import numpy as np
import pytest
import torch
from PIL import Image

import genzoo
from genzoo import Noise, families
from genzoo.cli import run
from genzoo.schemas import checked

GREY, COLOUR = (1, 6, 5), (3, 5, 4)


def made(shape=GREY, seed=0, **values):
    """A small model whose weights are large enough for every dependence to show."""
    torch.manual_seed(seed)
    asked = {"levels": 4, "layers": 2, "width": 6, "first_kernel": 5, **values}
    model = pixelcnn.PixelCNN(checked(pixelcnn.Config, {"shape": shape, **asked}, "config"))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.4)
    return model.eval()


VARIANTS = {
    "grey": {},
    "colour": {"shape": COLOUR},
    "binary": {"levels": 2, "position_bias": True},
    "uneven": {"shape": COLOUR, "width": 7},  # maps that three channels cannot share equally
    "wide": {"kernel": 5, "first_kernel": 7},
    "classes": {"classes": 3, "conditional": True, "shape": COLOUR, "position_bias": True},
}


@pytest.fixture(params=VARIANTS)
def model(request):
    return made(**VARIANTS[request.param])


def labels_of(model, n):
    return model.labels_for(None, n)


def drawn(model, n=3):
    noise = Noise(1, range(n), "some picture")
    level = (noise.uniform(*model.shape) * model.levels).long()
    return model.value(level)


def test_each_value_depends_on_those_before_it_and_on_no_other(model):
    """By gradients, from every value of the picture: raster order, then R, G, B."""
    x = drawn(model, 1).requires_grad_()
    logits = model.logits(x, labels_of(model, 1))
    channels, height, width = model.shape
    order = torch.arange(height * width * channels).view(height, width, channels).permute(2, 0, 1)
    seen = set()
    for c, i, j in itertools.product(range(channels), range(height), range(width)):
        weight = torch.linspace(-1, 1, model.levels) ** 3
        (slope,) = torch.autograd.grad(logits[0, c, :, i, j] @ weight, x, retain_graph=True)
        found = order[slope[0] != 0]
        assert (found < order[c, i, j]).all(), f"{c, i, j} sees what comes after it"
        seen |= {(c, i, j, int(o)) for o in found}
    # No blind spot: within reach of two layers, all that comes before is seen, to the right too.
    c, i, j = channels - 1, height - 1, width - 3
    near = order[:, i - 2 : i, j - 2 : j + 3].flatten().tolist() + order[:c, i, j].tolist()
    assert {(c, i, j, o) for o in near} <= seen


@pytest.mark.parametrize(("shape", "levels"), [((1, 2, 2), 2), ((3, 1, 2), 2), ((1, 1, 3), 5)])
@pytest.mark.parametrize("conditional", [False, True])
def test_probabilities_of_all_pictures_sum_to_one(shape, levels, conditional):
    model = made(shape, levels=levels, classes=2 * conditional, conditional=conditional)
    values = torch.tensor([*itertools.product(range(levels), repeat=math.prod(shape))])
    images = values.view(-1, *shape) / (levels - 1)
    nats = model.log_prob(images, labels=1 if conditional else None).double()
    assert nats.exp().sum().item() == pytest.approx(1, abs=1e-5)
    assert nats.std() > 0.1


def test_the_fast_sampler_draws_what_the_plain_one_draws(model):
    """Bit for bit, of nothing and of pictures whose upper, lower or random part is known."""
    x, labels = drawn(model, 4), labels_of(model, 4)
    scattered = (Noise(3, range(4)).uniform(*model.shape) < 0.4).float()
    upper = torch.zeros_like(x)
    upper[:, :, :3] = 1
    for mask in (torch.zeros_like(x), upper, 1 - upper, scattered):
        expected = model.complete_slowly(x, mask, Noise(7, range(4)), labels)
        fast = genzoo_pixelcnn_fast.complete(model, x, mask, Noise(7, range(4)), labels)
        assert torch.equal(fast, expected)
        assert torch.equal(
            model.complete(x, mask, Noise(7, range(4)), labels, model.sampling()), expected
        )
        assert len((expected - x)[mask == 0].unique()) > 1
    generated = model.generate(Noise(7, range(4)), labels, model.sampling())
    assert torch.equal(generated, model.complete_slowly(x, 0 * x, Noise(7, range(4)), labels))


def test_the_temperature_divides_the_logits(model):
    n = 4000
    labels = torch.zeros(n, dtype=torch.long) if model.num_classes else None
    mask = torch.ones(n, *model.shape)
    mask[:, :, -1, -1] = 0  # only the last pixel is drawn
    x = drawn(model, 1).expand(n, *model.shape)
    logits = model.logits(x[:1], None if labels is None else labels[:1])[0, 0, :, -1, -1]
    for temperature in (0.3, 1.0, 4.0):
        sampling = model.sampling(temperature=temperature)
        level = model.level(model.complete(x, mask, Noise(7, range(n)), labels, sampling))
        shares = level[:, 0, -1, -1].bincount(minlength=model.levels) / n
        torch.testing.assert_close(shares, (logits / temperature).softmax(0), atol=0.03, rtol=0)


def test_at_temperature_0_all_seeds_draw_the_likeliest(model):
    label = 0 if model.num_classes else None
    one, other = (model.sample(2, seed=s, labels=label, temperature=0.0).tensor for s in (1, 2))
    assert torch.equal(one, other)
    assert torch.equal(one[0], one[1])
    plain = model.complete_slowly(
        torch.zeros(1, *model.shape),
        torch.zeros(1, *model.shape),
        Noise(5, [0]),
        model.labels_for(label, 1),
        0.0,
    )
    assert torch.equal(model.to_public(plain)[0], one[0])


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_it_draws_on_one_thread_and_restores_the_number(two_threads):
    model, seen = made(), []
    model.above.register_forward_hook(lambda *_: seen.append(torch.get_num_threads()))
    generated = model.generate(Noise(0, range(2)), None, model.sampling())
    assert seen == [1] * model.shape[1]
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)
    assert torch.equal(made().generate(Noise(0, range(2)), None, model.sampling()), generated)


def test_it_restores_the_number_of_threads_after_an_exception(two_threads):
    model, seen = made(), []

    def fail(*_):
        seen.append(torch.get_num_threads())
        raise genzoo.OperationFailed("no more")

    model.above.register_forward_hook(fail)
    with pytest.raises(genzoo.OperationFailed, match="no more"):
        model.generate(Noise(0, range(2)), None, model.sampling())
    assert seen == [1]
    assert torch.get_num_threads() == 2


def test_a_finished_sample_chooses_itself():
    """One pass over finished samples must choose every pixel again: then all passes would have."""
    model = made((1, 28, 28), levels=256, layers=7, width=16)
    with torch.no_grad():
        x = model.generate(Noise(0, range(2)), None, model.sampling())
        noise = Noise(0, range(2))
        epsilon = torch.stack([noise.gumbel(28, 1, 256)[:, :, 0] for _ in range(28)], 1)
        chosen = (model.logits(x, None)[:, 0] + epsilon.permute(0, 3, 1, 2)).argmax(1)
    assert torch.equal(chosen, model.level(x)[:, 0])
    assert len(chosen.unique()) > 50


def test_samples_follow_the_model():
    """Frequencies of all 16 pictures of 2 x 2 against their probabilities."""
    model = made((1, 2, 2), levels=2)
    pictures = torch.tensor([*itertools.product([0.0, 1.0], repeat=4)]).view(-1, 1, 2, 2)
    expected = model.log_prob(pictures).exp()
    samples = model.sample(4000, batch_size=4000).tensor
    which = (samples.flatten(1) @ torch.tensor([8.0, 4, 2, 1])).long()
    counts = torch.bincount(which, minlength=16)
    chi2 = ((counts - 4000 * expected).square() / (4000 * expected)).sum()
    assert chi2 < 45  # 15 degrees of freedom: p < 1e-4


def test_completion_keeps_what_is_known_bit_for_bit(model):
    x, labels = drawn(model), labels_of(model, 3)
    mask = torch.zeros_like(x)
    mask[:, :, :3] = 1
    whole = model.complete(x, mask, Noise(5, range(3)), labels, model.sampling())
    assert torch.equal(whole[:, :, :3], x[:, :, :3])
    assert not torch.equal(whole, x)
    other = model.complete(x, mask, Noise(6, range(3)), labels, model.sampling())
    assert not torch.equal(whole, other)
    below = 1 - mask  # what is known below the gap cannot be seen from it, but stays
    assert torch.equal(
        (model.complete(x, below, Noise(5, range(3)), labels, model.sampling()) * below), x * below
    )


def test_the_class_counts():
    model = made(**VARIANTS["classes"])
    one, other = (model.sample(4, labels=k, seed=2).tensor for k in (0, 1))
    assert not torch.equal(one, other)
    x = model.to_public(drawn(model))
    assert not torch.allclose(model.log_prob(x, labels=0), model.log_prob(x, labels=1))


def test_parameters_of_the_reference_network():
    """7 layers of 64 maps, 256 levels: two stacks of 2x3 and 1x2, 1x1 between and behind them."""
    model = pixelcnn.PixelCNN(pixelcnn.Config())
    layer = (64 * 6 + 1) * 128 + (128 + 1) * 128 + (64 * 2 + 1) * 128 + 64 * 64
    ends = (21 + 1) * 64 + (4 + 1) * 64 + (64 + 1) * 64 + (64 + 1) * 256
    assert sum(p.numel() for p in model.parameters()) == 7 * layer + ends


def test_rounding_at_random_keeps_the_mean(monkeypatch):
    model = made((1, 8, 8), levels=256, quantized_levels=2)
    seen = []
    monkeypatch.setattr(
        model, "logits", lambda x, labels: seen.append(x) or torch.zeros(500, 1, 2, 8, 8)
    )
    grey = torch.full((500, 1, 8, 8), 0.3) * 2 - 1
    loss, logs = model.loss(genzoo.Batch(grey))
    assert set(seen[0].unique().tolist()) == {-1.0, 1.0}
    assert seen[0].add(1).div(2).mean().item() == pytest.approx(0.3, abs=0.01)
    assert loss.item() == pytest.approx(math.log(2))
    assert logs["bits/dim"].item() == pytest.approx(1)
    assert logs["nats"].item() == pytest.approx(64 * math.log(2))
    assert model.levels == 2


def test_the_loss_is_minus_the_likelihood(model):
    if model.levels != model.config.levels:
        return
    x, labels = drawn(model), labels_of(model, 3)
    _, logs = model.loss(genzoo.Batch(x, labels))
    with torch.no_grad():
        nats = model.log_weight(x, labels, Noise(0, range(3)))
    assert logs["nats"].item() == pytest.approx(-nats.mean().item(), rel=1e-5)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"shape": (2,)}, "2 to 256 levels"),
        ({"levels": 1}, "2 to 256 levels"),
        ({"quantized_levels": 1}, "2 to 256 levels"),
        ({"conditional": True}, "conditional"),
    ],
)
def test_what_cannot_be_built_is_refused(values, reason):
    with pytest.raises(genzoo.BadInput, match=reason):
        made(**values)


def test_it_learns_which_half_is_bright():
    """Pictures whose lower half repeats the upper: half of the bits are free."""
    model = made((1, 4, 4), levels=2, first_kernel=5, width=16)
    options = checked(pixelcnn.TrainOptions, {"lr": 0.01, "ema_decay": 0.0}, "options")
    learner = families.get("pixelcnn").make_trainer(model, options)
    learner.prepare(genzoo.training.RunSettings())
    for step in range(150):
        noise = Noise(0, range(64), f"{step}")
        half = noise.uniform(1, 2, 4).round() * 2 - 1
        logs = learner.step(genzoo.Batch(torch.cat([half, half], 2), step=step))
    assert logs["model/nats"].item() == pytest.approx(8 * math.log(2), abs=0.25)


def test_watching_a_picture_being_drawn(tmp_path, monkeypatch, capsys):
    """Frame by frame, what is drawn is the sample's, in raster order, and the rest is grey."""
    monkeypatch.chdir(tmp_path)
    genzoo.save(made(levels=2, width=8, shape=(1, 8, 8)), tmp_path / "m", family="pixelcnn")
    assert run(["sample", "./m", "-n", "1", "-o", "one.png", "--watch", "one.gif"]) == 0
    drawn = genzoo.load("./m").sample(1).tensor[0, 0]
    with Image.open("one.gif") as film:
        inside = (2, 2, film.width - 2, film.height - 2)  # without the gaps of the grid
        frames = [np.asarray(f.convert("L").resize((8, 8), 0, inside)) for f in _all(film)]
        assert b"Synthetic" in film.info["comment"]
    assert len(frames) > 20
    known = [(frame != 128) & (frame != 127) for frame in frames]
    for before, after in itertools.pairwise(known):
        assert (before <= after).all(), "a pixel was drawn again"
    for mask in known:
        order = mask.flatten()
        assert not order[int(order.sum()) :].any(), "not in raster order"
    assert known[-1].all()
    assert np.array_equal(frames[-1] > 128, drawn.numpy() > 0.5)
    capsys.readouterr()
    for line, said in [
        (["sample", "vae-mnist", "--watch", "x.gif"], "pixel-by-pixel"),
        (["sample", "./m", "-o", "x.png", "--watch", "x.mp4"], "ending in .gif"),
        (["sample", "./m", "-o", "x.png", "--watch", "one.gif"], "one.gif exists"),
    ]:
        assert run(line) == 2
        assert said in capsys.readouterr().err
        assert not (tmp_path / "x.png").exists()


def _all(film):
    for i in range(film.n_frames):
        film.seek(i)
        yield film
