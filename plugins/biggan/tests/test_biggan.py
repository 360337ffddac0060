"""BigGAN against its paper: which part of the code reaches which block, classes, orthogonality."""

import pytest
import torch
from genzoo_biggan import Config, Generator, Norm, TrainOptions, discriminator
from torch import nn

import genzoo

# 4 to 16 pixels: two blocks, three parts of the code.
SMALL = Config(
    shape=(1, 16, 16), classes=3, chunk_dim=2, class_dim=3, width=4, attention_resolution=8
)


def made():
    torch.manual_seed(0)
    return Generator(SMALL).eval().requires_grad_(False)


def test_defaults_are_the_papers():
    """Section 3 and appendix C; the code of 128x128 images has 120 numbers, 20 for each part."""
    options = TrainOptions()
    assert (options.lr, options.discriminator_lr, options.discriminator_steps) == (5e-5, 2e-4, 2)
    assert (options.beta1, options.beta2, options.loss) == (0, 0.999, "hinge")
    assert (options.orthogonal_weight, options.ema_decay) == (1e-4, 0.9999)
    assert Generator(Config(shape=(3, 128, 128), width=1)).latent_dim == 120


@pytest.mark.parametrize(("part", "reached"), [(0, []), (1, [0]), (2, [1])])
def test_each_block_has_its_part_of_the_code(part, reached, monkeypatch):
    """Figure 15a: the first layer has the first part, and block i part i + 1 and the class."""
    model, given = made(), {}
    for i, block in enumerate(model.blocks):
        for norm in (block.first, block.second):
            norm.register_forward_pre_hook(
                lambda _, inputs, i=i: given.setdefault(i, []).append(inputs[1])
            )
    code, labels = torch.randn(1, 6).expand(2, -1).clone(), torch.tensor([1, 1])
    code[1, 2 * part : 2 * part + 2] += 1
    first = model.first(code[:, :2])
    model.decode(code, labels)
    changed = [i for i, each in given.items() for x in each if not torch.equal(x[0], x[1])]
    assert changed == [i for i in reached for _ in range(2)]
    assert torch.equal(first[0], first[1]) == (part != 0)
    for i, each in given.items():
        for x in each:
            assert torch.equal(
                x, torch.cat([model.classes(labels), code[:, 2 * i + 2 : 2 * i + 4]], 1)
            )


def test_all_blocks_share_one_embedding():
    """The class enters by 3 numbers: classes of one embedding draw alike."""
    model, code = made(), torch.randn(1, 6).expand(2, -1)
    labels = torch.tensor([0, 2])
    assert [m for m in model.modules() if isinstance(m, nn.Embedding)] == [model.classes]
    a, b = model.decode(code, labels)
    assert (a - b).abs().max() > 1e-5
    model.classes.weight[2] = model.classes.weight[0]
    a, b = model.decode(code, labels)
    torch.testing.assert_close(a, b)


def test_a_norm_scales_and_shifts_by_what_it_is_given():
    torch.manual_seed(0)
    norm = Norm(4, 5).eval()
    x, given = torch.randn(2, 4, 3, 3), torch.randn(2, 5)
    with torch.no_grad():
        found = norm(x, given)
        for i in range(2):
            for c in range(4):
                scale, shift = (layer.weight[c] @ given[i] for layer in (norm.scale, norm.shift))
                wanted = x[i, c] / (1 + norm.norm.eps) ** 0.5 * (1 + scale) + shift
                torch.testing.assert_close(found[i, c], wanted)


def test_both_networks_start_with_orthogonal_convolutions():
    """Section 3: W W^T is the identity, or W^T W where W is wide; so equation 3 is nearly 0."""
    for network in (made(), discriminator(SMALL)):
        convs = [
            m
            for n, m in network.named_modules()
            if isinstance(m, nn.Conv2d) and "attentions" not in n
        ]
        assert len(convs) > 5
        for layer in convs:
            rows = layer.weight.detach().flatten(1)
            if len(rows) > rows.shape[1]:
                rows = rows.T
            torch.testing.assert_close(rows @ rows.T, torch.eye(len(rows)), atol=1e-3, rtol=0)


def test_truncated_codes_stay_within_the_limit():
    model = made()
    codes = model.codes(40, truncation=0.5)
    assert codes.abs().max() <= 0.5 < model.codes(40).abs().max()
    drawn = model.sample(4, truncation=0.5).tensor
    assert torch.equal(drawn, model.decode_codes(codes[:4]).tensor)


@pytest.mark.parametrize("shape", [(1, 30, 30), (3, 64, 32), (2,)])
def test_it_takes_squares(shape):
    with pytest.raises(genzoo.BadInput, match="x".join(map(str, shape))):
        Generator(Config(shape=shape))
