"""The damages that judge features: each grows, and those of the exam are never in training."""

import sys
from itertools import pairwise
from pathlib import Path

import pytest
import torch

sys.path.append(str(Path(__file__).parent / "quality"))
import damage
import damage_network
import exam
import parts_network


@pytest.fixture(scope="module")
def pictures():
    return torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", damage.DAMAGES)
@pytest.mark.parametrize("size", [32, 64])
def test_a_damage_changes_more_with_every_strength_and_repeats(name, size, pictures):
    x = torch.nn.functional.interpolate(pictures, size, mode="bicubic").clamp(0, 1)
    each = [damage.damaged(x, name, strength) for strength in range(1, 6)]
    assert all(y.shape == x.shape and 0 <= y.min() <= y.max() <= 1 for y in each)
    changes = [(y - x).abs().mean().item() for y in each]
    assert changes[0] > 1e-4
    # A swirl of 90 degrees leaves as little in its place as one of 140.
    slack = 0.98 if name == "swirl" else 1
    assert all(slack * before < after for before, after in pairwise(changes)), changes
    assert damage.damaged(x, name, 3).equal(each[2])


def test_the_exam_is_never_in_training():
    """No kind of training has the name of one that is held back, nor calls it."""
    held_back = {damage.DAMAGES[name][0] for name in damage.HELD_BACK}
    assert len(held_back) == 4
    source = "".join(Path(m.__file__).read_text() for m in (damage_network, parts_network))
    for call in ("damage.mouth(", "damage.halves(", "damage.swirl(", "checkerboard(4", "damaged("):
        assert call not in source
    assert not held_back & {*damage_network.KINDS.values()}


@pytest.mark.parametrize("kind", damage_network.KINDS)
def test_training_changes_a_picture_only_where_it_says(kind, pictures):
    torch.manual_seed(0)
    x = torch.nn.functional.interpolate(pictures, 64, mode="bicubic").clamp(0, 1)
    out, where = damage_network.KINDS[kind](x, x.roll(1, 0), 0.9)
    assert out.shape == x.shape
    assert where.shape == (4, 1, 64, 64)
    changed = (out - x).abs().amax(1, keepdim=True) > 0.05
    assert where.max() > 0
    # A bulge is smooth, and ends beyond its place.
    assert not (changed & (where == 0)).float().mean() > (0.15 if kind == "bulge" else 0)


def test_a_row_of_the_exam_knows_what_is_demanded():
    falling = [0.9, 0.85, 0.7, 0.6, 0.3, 0.1]
    assert exam.Row("blur", "precision", falling).failures == []
    assert exam.Row("blur", "fd", falling).failures == ["does not rise with every strength"]
    slow = [0.9, 0.89, 0.88, 0.87, 0.86, 0.86]
    told = exam.Row("blur", "precision", slow).failures
    assert told == ["does not fall with every step", "0.97 of real at strength 3"]


def test_windows_move_with_the_parts_and_show_the_right_eye_in_the_mirror(pictures):
    x = torch.nn.functional.interpolate(pictures, 64, mode="bicubic")
    network = parts_network.network_of(3, 64)
    moved = parts_network.moves(4, network, 64)
    assert moved.min() >= -parts_network.REACH
    assert moved.max() <= parts_network.REACH
    side = network.sides[0]
    seen = network.windows(x, side, moved)
    for image in range(4):
        for part, centre in enumerate(network.centres):
            down, right = (torch.tensor(centre) - side // 2 + moved[image, part]).tolist()
            window = x[image, :, down : down + side, right : right + side]
            assert seen[image, part].equal(window.flip(-1) if part == 1 else window)
    assert network(x).shape == (4, network.OUTPUTS)


def test_half_of_the_faces_get_an_eye_of_another(pictures):
    torch.manual_seed(0)
    x = torch.nn.functional.interpolate(pictures, 64, mode="bicubic").clamp(0, 1)
    out, wrong = parts_network.exchanged(x)
    assert wrong.flatten().tolist() == [0, 0, 1, 1]
    assert out[:2].equal(x[:2])
    assert torch.isfinite(parts_network.loss_of(parts_network.network_of(3, 64), x))
