"""Feature extractors: the small classifiers that ship beside the models, and networks of the user.

Distances in the features of two networks do not compare: the name and the hash of the network are
in the protocol of every score.
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

from genzoo.errors import BadInput, OperationFailed, argument, article
from genzoo.families.registry import others_code, reason_of
from genzoo.models.inference import inference_copy
from genzoo.zoo import installed

WIDTH = 128  # of the features of the small classifiers
BATCH = 250


class FeatureExtractor(ABC):
    """A map from samples to vectors.

    ``shape``: of the images that it takes; None: any. ``sha256``: of its weights; "" if unknown.
    ``outputs``: the number of its classes; 0 without classes.
    """

    name: str
    about: str
    sha256: str
    shape: tuple[int, ...] | None
    outputs: int

    @abstractmethod
    def __call__(self, x: Tensor) -> np.ndarray:
        """float32 ``(n, d)`` of samples ``(n, *shape)``: images in [0, 1], signals in [-1, 1].

        Raises BadInput.
        """

    @abstractmethod
    def logits(self, features: np.ndarray) -> np.ndarray:
        """Class logits ``(n, outputs)`` of features ``(n, d)``. Raises BadInput without classes."""


class ClassifierNetwork(nn.Module):
    """Strided 3x3 convolutions with batch norm and SiLU; the features are a hidden layer of 128."""

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
class DatasetClassifier(FeatureExtractor):
    """The small classifier of one data set, which ships beside genzoo's models."""

    def __init__(self, name: str):
        file = shipped(name)
        self.name, self.about = name, f"genzoo's classifier of {name}"
        self.facts, self.sha256 = file.facts, file.sha256
        self.network = ClassifierNetwork(**self.facts["network"]).eval()
        prefix = "network."
        state = {k.removeprefix(prefix): v for k, v in file.tensors.items() if k.startswith(prefix)}
        self.network.load_state_dict(
            {k: v.float() if v.is_floating_point() else v for k, v in state.items()}
        )
        self.shape = self.network.shape
        # Attributes are not classes: a face has several.
        self.outputs = self.network.head.out_features if self.facts["exclusive"] else 0

    def __call__(self, x: Tensor) -> np.ndarray:
        check_shape(self, x)
        with torch.no_grad():
            copy = inference_copy(self.network)
            parts = [copy.layers(part.float().cpu() * 2 - 1) for part in x.split(BATCH)]
        return torch.cat(parts).numpy()

    def logits(self, features: np.ndarray) -> np.ndarray:
        if not self.outputs:
            raise BadInput(f"{self.about} has attributes, not classes")
        return self.all_logits(features)

    def all_logits(self, features: np.ndarray) -> np.ndarray:
        """The logits of all classes or attributes, float64 ``(n, K)``."""
        with torch.no_grad():
            return self.network.head(torch.from_numpy(features)).double().numpy()


@final
class ChannelClassifier(FeatureExtractor):
    """The small classifier of one data set on each channel; a class is the tuple of the channels'.

    Three digits make a class from 0 to 999, with the hundreds in the first channel.
    """

    def __init__(self, name: str, of: str, channels: int):
        self.one = DatasetClassifier(of)
        self.name, self.about = name, f"{self.one.about}, on each channel"
        self.sha256 = hashlib.sha256(f"{channels} {self.one.sha256}".encode()).hexdigest()
        self.shape = (channels, *(self.one.shape or ())[1:])
        self.outputs = self.one.outputs**channels

    def __call__(self, x: Tensor) -> np.ndarray:
        check_shape(self, x)
        return np.concatenate([self.one(x[:, i : i + 1]) for i in range(x.shape[1])], axis=1)

    def logits(self, features: np.ndarray) -> np.ndarray:
        joint = np.zeros((len(features), 1))
        for part in np.split(features, features.shape[1] // WIDTH, axis=1):
            own = torch.from_numpy(self.one.logits(np.ascontiguousarray(part))).log_softmax(1)
            joint = (joint[:, :, None] + own.numpy()[:, None, :]).reshape(len(features), -1)
        return joint


@final
class CustomFeatures(FeatureExtractor):
    """The user's own network, named ``module:object``. This runs the user's code.

    The object is a module, a function of samples, or a class whose call without arguments is one.
    """

    outputs, shape = 0, None

    def __init__(self, path: str):
        self.name, self._path = path.rpartition(":")[2], path
        self.about = f"{path}, given by the user"
        self.network = _imported(path)
        self.sha256 = _code_and_state(path, self.network)

    def __call__(self, x: Tensor) -> np.ndarray:
        with torch.no_grad():
            return np.concatenate([self._extract(part) for part in x.split(BATCH)])

    def _extract(self, x: Tensor) -> np.ndarray:
        try:
            with others_code():
                features = self.network(x)
        except Exception as error:
            why = reason_of(error)[:200]
            raise OperationFailed(
                f"{self._path} failed on samples {tuple(x.shape)}: {why}"
            ) from error
        is_real = isinstance(features, Tensor) and not features.is_complex()
        if not is_real or features.ndim != 2 or len(features) != len(x):
            got = type(features).__name__
            if isinstance(features, Tensor):
                got = f"{tuple(features.shape)} of {str(features.dtype).removeprefix('torch.')}"
            raise OperationFailed(
                f"{self._path} must return a tensor ({len(x)}, d) of features, got {got}"
            )
        return features.float().cpu().numpy()

    def logits(self, features: np.ndarray) -> np.ndarray:
        raise BadInput(f"{self._path} has no classes: leave out metrics that need them")


def _imported(path: str) -> Any:
    module, _, name = path.partition(":")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)  # like python -m
    try:
        with others_code():
            network = getattr(importlib.import_module(module), name)
            network = network() if isinstance(network, type) else network
    except Exception as error:
        why = reason_of(error)[:200]
        raise BadInput(f"cannot load the features {path}: {why}") from error
    if not callable(network):
        raise BadInput(
            f"the features {path} must be a network or a function, got {article(network)}"
        )
    return network.eval() if isinstance(network, nn.Module) else network


def _code_and_state(path: str, network: Any) -> str:
    """The hash of the file that defines the network, and of its weights; "" without a file.

    The file counts, because weights do not determine what is computed, and some networks have none.
    """
    file = getattr(sys.modules[path.partition(":")[0]], "__file__", None)
    if not file or not Path(file).is_file():
        return ""
    digest = hashlib.sha256(path.encode() + Path(file).read_bytes())
    state = network.state_dict() if isinstance(network, nn.Module) else {}
    for key, value in state.items():
        digest.update(key.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


@final
class ClassifierFile:
    """The content of a small classifier's file: tensors, facts, hash."""

    def __init__(self, path: Path):
        from safetensors import safe_open

        with safe_open(path, "pt") as file:
            self.tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            self.facts: dict[str, Any] = json.loads(file.metadata()["facts"])
        self.sha256 = hashlib.sha256(path.read_bytes()).hexdigest()


def names() -> list[str]:
    """The data sets that have a small classifier, whose file holds their reference, too."""
    return sorted(installed.features())


@cache
def shipped(data: str) -> ClassifierFile:
    """The file of the classifier of ``data``. Raises BadInput."""
    found = installed.features()
    if data not in found:
        raise none_for(data, f"give {argument('features', 'MODULE:OBJECT')}")
    return ClassifierFile(found[data])


def none_for(data: str, advice: str) -> BadInput:
    """The error for ``data`` without a classifier; ``advice``: what to do."""
    known = ", ".join(names()) or "none"
    return BadInput(installed.hint(f"no classifier for {data} (available: {known}): {advice}"))


def shape_of(data: str) -> tuple[int, ...]:
    """The shape of images that the classifier of ``data`` takes. Raises BadInput."""
    network = shipped(data).facts["network"]
    return network["channels"], network["size"], network["size"]


def check_shape(features: FeatureExtractor, x: Tensor) -> None:
    """Check that ``features`` accepts the images ``x``. Raises BadInput."""
    if x.ndim != 4 or features.shape not in (None, tuple(x.shape[1:])):
        expected = ", ".join(map(str, features.shape or ("C", "H", "W")))
        raise BadInput(f"{features.about} takes images (n, {expected}), got {tuple(x.shape)}")
