"""Small classifiers of the project's own: what they see in an image is what distances compare.

Each comes with what it saw in the real images of its data set, so that nobody needs the data. A
distance in these features compares with no other: not with FID, not with another data set's.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn

from genzoo.errors import BadInput
from genzoo.folding import folded
from genzoo.metrics.distances import Moments, factored

WIDTH = 128
FOLDER = Path(__file__).parent / "references"


@final
class Features(nn.Module):
    """Strided 3x3 convolutions with batch norm and SiLU; a hidden layer of 128: the features."""

    def __init__(self, channels: int, size: int, widths: tuple[int, ...], outputs: int):
        super().__init__()
        self.shape = (channels, size, size)
        layers: list[nn.Module] = []
        for width in widths:
            for inputs, stride in ((channels, 2), (width, 1)):
                layers += [nn.Conv2d(inputs, width, 3, stride, 1, bias=False)]
                layers += [nn.BatchNorm2d(width), nn.SiLU()]
            channels, size = width, (size + 1) // 2
        layers += [nn.Flatten(), nn.Linear(channels * size**2, WIDTH), nn.SiLU()]
        self.layers, self.head = nn.Sequential(*layers), nn.Linear(WIDTH, outputs)

    def forward(self, x: Tensor) -> Tensor:  # (n, C, H, W) in [0, 1] -> (n, outputs), logits
        return self.head(self.layers(x * 2 - 1))


@final
@dataclass(frozen=True, eq=False)
class Reference:
    """A data set as its classifier sees it: the network, and what it saw in the real images.

    ``moments``: of all training images. ``train``, ``test``: float32 (m, 128), of at most 2,000
    images of each split, chosen at random. ``sharpness``: the mean over each split. ``facts``: how
    the network was trained, how good it is, of what data.
    """

    data: str
    network: Features
    moments: Moments
    train: np.ndarray
    test: np.ndarray
    sharpness: dict[str, float]
    facts: dict[str, Any]
    sha256: str

    def features(self, x: Tensor) -> np.ndarray:
        """float32 (n, 128) of images (n, C, H, W) in [0, 1]. Raises BadInput."""
        if tuple(x.shape[1:]) != self.network.shape:
            want = ", ".join(map(str, self.network.shape))
            raise BadInput(f"fd-{self.data} takes images (n, {want}), got {tuple(x.shape)}")
        with torch.no_grad():
            copy = folded(self.network)
            parts = [copy.layers(part.float().cpu() * 2 - 1) for part in x.split(250)]
        return torch.cat(parts).numpy()

    def probabilities(self, x: Tensor) -> Tensor:  # (n, C, H, W) in [0, 1] -> (n, outputs)
        """What the classifier takes each image to be, where its outputs are classes."""
        seen = torch.from_numpy(self.features(x))
        with torch.no_grad():
            return self.network.head(seen).softmax(1)


def names() -> list[str]:
    """The data sets that have a reference."""
    return sorted(path.stem for path in FOLDER.glob("*.safetensors"))


@cache
def reference(data: str) -> Reference:
    """The reference of the data set ``data``. Raises BadInput."""
    from safetensors import safe_open

    path = FOLDER / f"{data}.safetensors"
    if data not in names():
        raise BadInput(f"there are no features for {data}, only for {', '.join(names())}")
    with safe_open(path, "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        facts = json.loads(file.metadata()["facts"])
    network = Features(**facts["network"]).eval()
    prefix = "network."
    state = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    network.load_state_dict(
        {k: v.float() if v.is_floating_point() else v for k, v in state.items()}
    )
    moments = Moments(
        facts["train"], tensors["mean"].numpy(), factored(tensors["covariance"].numpy())
    )
    return Reference(
        data,
        network,
        moments,
        tensors["train"].float().numpy(),
        tensors["test"].float().numpy(),
        facts["sharpness"],
        facts,
        hashlib.sha256(path.read_bytes()).hexdigest(),
    )
