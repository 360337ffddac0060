"""The networks behind genzoo's own features: classifiers, and judges of damage."""

import torch
from einops import rearrange
from torch import Tensor, nn

WIDTH = 128  # of the features of the small classifiers
# Of features that notice damage: dimensions of the content, and the places, a grid of 4 x 4.
CONTENT, CELLS = 48, 4


def convolutions(channels: int, widths: tuple[int, ...], first: int) -> list[nn.Module]:
    """For each width two 3x3 convolutions, one of stride 2, with batch norm and SiLU.

    ``first``: the stride of the first of the two, 2 or 1.
    """
    layers: list[nn.Module] = []
    for width in widths:
        for inputs, stride in ((channels, first), (width, 3 - first)):
            layers += [nn.Conv2d(inputs, width, 3, stride, 1, bias=False)]
            layers += [nn.BatchNorm2d(width), nn.SiLU()]
        channels = width
    return layers


def halved(size: int, times: int) -> int:
    """The size of a map after as many convolutions of stride 2."""
    for _ in range(times):
        size = (size + 1) // 2
    return size


class ClassifierNetwork(nn.Module):
    """Strided 3x3 convolutions with batch norm and SiLU; the features are a hidden layer of 128."""

    def __init__(self, channels: int, size: int, widths: tuple[int, ...], outputs: int):
        super().__init__()
        self.shape = (channels, size, size)
        layers = convolutions(channels, widths, first=2)
        inputs = widths[-1] * halved(size, len(widths)) ** 2
        layers += [nn.Flatten(), nn.Linear(inputs, WIDTH), nn.SiLU()]
        self.layers, self.head = nn.Sequential(*layers), nn.Linear(WIDTH, outputs)

    def forward(self, x: Tensor) -> Tensor:  # (n, C, H, W) in [0, 1] -> (n, outputs), logits
        return self.head(self.layers(x * 2 - 1))


class DamageNetwork(nn.Module):
    """Estimates how strong each kind of damage is, and in each of 4 x 4 cells how strong any is.

    Strided convolutions as the classifier's, of an image and its mirror image: the halves of a face
    resemble each other. The last map is seen whole, as faces have their parts in fixed places, and
    the mean of each map, which shows a texture.
    """

    def __init__(self, channels: int, size: int, widths: tuple[int, ...], kinds: int, hidden: int):
        super().__init__()
        inputs = (2 * channels, *widths[:-1])
        stages = [convolutions(i, (w,), first=2) for i, w in zip(inputs, widths, strict=True)]
        self.stages = nn.ModuleList(nn.Sequential(*layers) for layers in stages)
        flat = widths[-1] * halved(size, len(widths)) ** 2
        self.hidden = nn.Linear(flat + sum(widths), hidden)
        self.head = nn.Linear(hidden, kinds + CELLS**2)

    def forward(self, x: Tensor) -> Tensor:  # (n, C, H, W) in [0, 1] -> (n, kinds + 16)
        x, seen = torch.cat([x, x.flip(3)], 1) * 2 - 1, []
        for stage in self.stages:
            x = stage(x)
            seen.append(nn.functional.adaptive_avg_pool2d(x, 1).flatten(1))
        return self.head(nn.functional.silu(self.hidden(torch.cat([x.flatten(1), *seen], 1))))


class PartsNetwork(nn.Module):
    """Where the parts of a face are, how surely, and whether its eyes belong together.

    It looks through a window at the usual place of each part, the right eye's mirrored, and tells
    how far from there the part is. Wider windows show it both eyes.

    ``centres``: of the windows, down and right, in pixels: of the left eye, the right eye, the
    nose, the mouth. ``sides``: of the windows of a part, and of the eyes.
    """

    OUTPUTS = 13  # three numbers for each part, one for the eyes
    KINDS = (0, 0, 1, 2)  # of the four parts: both eyes are one kind

    def __init__(
        self,
        channels: int,
        centres: list[tuple[int, int]],
        sides: tuple[int, int],
        widths: tuple[int, ...],
    ):
        super().__init__()
        self.centres, self.sides = centres, sides
        of_part, of_eye = (widths[-1] * halved(side, len(widths)) ** 2 for side in sides)
        self.trunk = nn.Sequential(*convolutions(channels, widths, first=1), nn.Flatten())
        self.heads = nn.ModuleList(head(of_part, 24, 3) for _ in set(self.KINDS))
        eyes = convolutions(2 * channels, widths, first=1)
        self.eyes = nn.Sequential(*eyes, nn.Flatten(), *head(of_eye, 32, 1))

    def windows(self, x: Tensor, side: int, moved: Tensor | None = None) -> Tensor:
        """(n, C, H, W) -> (n, p, C, side, side): windows of the first p parts, ``moved`` (n, p, 2).

        Of all four parts, in their places, if none is moved.
        """
        moved = torch.zeros(len(x), 4, 2, dtype=torch.long) if moved is None else moved
        corners = torch.tensor(self.centres[: moved.shape[1]]) - side // 2 + moved
        steps = torch.arange(side)
        down, right = (corners[..., axis, None] + steps for axis in (0, 1))  # (n, p, side)
        image = torch.arange(len(x))[:, None, None, None]
        seen = x.permute(0, 2, 3, 1)[image, down[..., :, None], right[..., None, :]]
        seen = rearrange(seen, "n parts down right c -> n parts c down right")
        left, mirrored, *others = seen.unbind(1)
        return torch.stack([left, mirrored.flip(-1), *others], 1)

    def places(self, x: Tensor, moved: Tensor | None = None) -> Tensor:
        """(n, C, H, W) -> (n, 4, 3): how far down and right each part is from its window's middle,
        in pixels, and the logarithm of the error that it expects.

        Of the right eye, as the mirror shows it.
        """
        windows = self.windows(x, self.sides[0], moved)
        maps = self.trunk(windows.flatten(0, 1) * 2 - 1).unflatten(0, (len(x), 4))
        found = [self.heads[kind](maps[:, part]) for part, kind in enumerate(self.KINDS)]
        return torch.stack(found, 1)

    def pair(self, x: Tensor, moved: Tensor | None = None) -> Tensor:
        """(n, C, H, W), ``moved`` (n, 2, 2) -> (n, 1): a logit, high for the eyes of two faces."""
        moved = torch.zeros(len(x), 2, 2, dtype=torch.long) if moved is None else moved
        return self.eyes(self.windows(x, self.sides[1], moved).flatten(1, 2) * 2 - 1)

    def forward(self, x: Tensor) -> Tensor:  # (n, C, H, W) in [0, 1] -> (n, 13)
        return torch.cat([self.places(x).flatten(1), self.pair(x)], 1)


def head(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """One hidden layer."""
    return nn.Sequential(nn.Linear(inputs, hidden), nn.SiLU(), nn.Linear(hidden, outputs))
