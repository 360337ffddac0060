"""Features: what is seen in an image, and so what a distance compares.

Distances in the features of one network compare with those in no other's: the name and the hash of
the network stand in the protocol of every number.
"""

import hashlib
import importlib
import json
import sys
from abc import ABC, abstractmethod
from functools import cache
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn

from genzoo.errors import BadInput, OperationFailed, article
from genzoo.models.inference import inference_copy

WIDTH = 128  # of the small classifiers' features
FOLDER = Path(__file__).parent
BATCH = 250


class Features(ABC):
    """A map from images to vectors.

    ``shape``: of the images that it takes, None: any picture. ``sha256``: of its weights, "" where
    that cannot be known. ``outputs``: the classes that it tells apart, 0 where it tells none.
    """

    name: str
    about: str
    sha256: str
    shape: tuple[int, ...] | None
    outputs: int

    @abstractmethod
    def __call__(self, x: Tensor) -> np.ndarray:
        """float32 ``(n, d)`` of images ``(n, C, H, W)`` in [0, 1]. Raises BadInput."""

    @abstractmethod
    def logits(self, features: np.ndarray) -> np.ndarray:
        """``(n, outputs)``, of the classes. Raises BadInput where there are none."""


class Classifier(nn.Module):
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
class Small(Features):
    """A small classifier of the project's own, of one data set, that ships with the package."""

    def __init__(self, name: str):
        kept = shipped(name)
        self.name, self.about = name, f"genzoo's classifier of {name}"
        self.facts, self.sha256 = kept.facts, kept.sha256
        self.network = Classifier(**self.facts["network"]).eval()
        prefix = "network."
        state = {k.removeprefix(prefix): v for k, v in kept.tensors.items() if k.startswith(prefix)}
        self.network.load_state_dict(
            {k: v.float() if v.is_floating_point() else v for k, v in state.items()}
        )
        self.shape = self.network.shape
        # Attributes, of which a face has several, are no classes.
        self.outputs = self.network.head.out_features if self.facts["exclusive"] else 0

    def __call__(self, x: Tensor) -> np.ndarray:
        check_shape(self, x)
        with torch.no_grad():
            copy = inference_copy(self.network)
            parts = [copy.layers(part.float().cpu() * 2 - 1) for part in x.split(BATCH)]
        return torch.cat(parts).numpy()

    def logits(self, features: np.ndarray) -> np.ndarray:
        if not self.outputs:
            raise BadInput(f"{self.about} finds attributes: it tells no classes apart")
        return self.outcomes(features)

    def outcomes(self, features: np.ndarray) -> np.ndarray:
        """float64 ``(n, outputs)``: the logits of classes, or of attributes."""
        with torch.no_grad():
            return self.network.head(torch.from_numpy(features)).double().numpy()


@final
class Channels(Features):
    """The small classifier of one data set, on each channel: the classes are their numbers.

    Three digits make a class of 0 to 999, the first channel's the hundreds.
    """

    def __init__(self, name: str, of: str, channels: int):
        self.one = Small(of)
        self.name, self.about = name, f"{self.one.about}, on each channel"
        self.sha256 = hashlib.sha256(f"{channels} {self.one.sha256}".encode()).hexdigest()
        self.shape = (channels, *(self.one.shape or ())[1:])
        self.outputs = self.one.outputs**channels

    def __call__(self, x: Tensor) -> np.ndarray:
        check_shape(self, x)
        return np.concatenate([self.one(x[:, i : i + 1]) for i in range(x.shape[1])], axis=1)

    def logits(self, features: np.ndarray) -> np.ndarray:
        whole = np.zeros((len(features), 1))
        for part in np.split(features, features.shape[1] // WIDTH, axis=1):
            own = torch.from_numpy(self.one.logits(np.ascontiguousarray(part))).log_softmax(1)
            whole = (whole[:, :, None] + own.numpy()[:, None, :]).reshape(len(features), -1)
        return whole


@final
class CustomFeatures(Features):
    """A network of the user's own, as ``module:object`` names it: their code, at their request.

    The object is a module or a function of images, or a class that makes one without arguments.
    """

    outputs, shape = 0, None

    def __init__(self, path: str):
        self.name, self._path = path.rpartition(":")[2], path
        self.about = f"{path}, given by the user"
        self.network = _imported(path)
        self.sha256 = _code_and_state(path, self.network)

    def __call__(self, x: Tensor) -> np.ndarray:
        with torch.no_grad():
            return np.concatenate([self._seen(part) for part in x.split(BATCH)])

    def _seen(self, x: Tensor) -> np.ndarray:
        try:
            seen = self.network(x)
        except (Exception, SystemExit) as error:
            why = f"{type(error).__name__}: {error}".splitlines()[0][:200]
            raise OperationFailed(
                f"{self._path} failed on images {tuple(x.shape)}: {why}"
            ) from error
        fits = isinstance(seen, Tensor) and not seen.is_complex()
        if not fits or seen.ndim != 2 or len(seen) != len(x):
            got = type(seen).__name__
            if isinstance(seen, Tensor):
                got = f"{tuple(seen.shape)} of {str(seen.dtype).removeprefix('torch.')}"
            raise OperationFailed(
                f"{self._path} must give a tensor ({len(x)}, d) of features, gave {got}"
            )
        return seen.float().cpu().numpy()

    def logits(self, features: np.ndarray) -> np.ndarray:
        raise BadInput(f"{self._path} gives features, no classes: leave class scores out")


def _imported(path: str) -> Any:
    module, _, name = path.partition(":")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)  # as python -m would
    try:
        found = getattr(importlib.import_module(module), name)
        found = found() if isinstance(found, type) else found
    except (Exception, SystemExit) as error:
        why = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        raise BadInput(f"the features {path} cannot be had: {why}") from error
    if not callable(found):
        raise BadInput(f"the features {path} are {article(found)}, no network")
    return found.eval() if isinstance(found, nn.Module) else found


def _code_and_state(path: str, network: Any) -> str:
    """The hash of the file that the network stands in, and of its weights; "" without a file.

    Weights alone do not say what is computed of them, and some networks have none.
    """
    file = getattr(sys.modules[path.partition(":")[0]], "__file__", None)
    if not file or not Path(file).is_file():
        return ""
    found = hashlib.sha256(path.encode() + Path(file).read_bytes())
    state = network.state_dict() if isinstance(network, nn.Module) else {}
    for key, value in state.items():
        found.update(key.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


@final
class Kept:
    """The file of a small classifier, read: its tensors, its facts, its hash."""

    def __init__(self, path: Path):
        from safetensors import safe_open

        with safe_open(path, "pt") as file:
            self.tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            self.facts: dict[str, Any] = json.loads(file.metadata()["facts"])
        self.sha256 = hashlib.sha256(path.read_bytes()).hexdigest()


def names() -> list[str]:
    """The data sets that have a small classifier, and with it what it saw in the real images."""
    return sorted(path.stem for path in FOLDER.glob("*.safetensors"))


@cache
def shipped(data: str) -> Kept:
    """The file of the classifier of ``data``. Raises BadInput."""
    if data not in names():
        raise BadInput(f"there are no features for {data}, only for {', '.join(names())}")
    return Kept(FOLDER / f"{data}.safetensors")


def check_shape(features: Features, x: Tensor) -> None:
    """Whether ``x`` holds images that ``features`` takes. Raises BadInput."""
    if x.ndim != 4 or features.shape not in (None, tuple(x.shape[1:])):
        want = ", ".join(map(str, features.shape or ("C", "H", "W")))
        raise BadInput(f"fd-{features.name} takes images (n, {want}), got {tuple(x.shape)}")
