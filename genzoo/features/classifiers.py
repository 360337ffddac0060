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
from genzoo.features.networks import WIDTH, ClassifierNetwork, DamageNetwork, PartsNetwork
from genzoo.models.inference import inference_copy
from genzoo.models.threads import LARGE, suited
from genzoo.zoo import installed

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


@final
class DatasetClassifier(FeatureExtractor):
    """The small classifier of one data set, which ships beside genzoo's models.

    Its features are its hidden layer; where the file has networks that notice damage, a
    projection of the hidden layer, which keeps the classes, and what those networks say.
    """

    def __init__(self, name: str):
        file = shipped(name)
        self.facts, self.sha256 = file.facts, file.sha256
        noticed = " that notices damage" if "damage" in self.facts else ""
        self.name, self.about = name, f"genzoo's classifier of {name}{noticed}"
        self.network = ClassifierNetwork(**self.facts["network"]).eval()
        self.network.load_state_dict(file.state("network."))
        self._damage = Damage(file) if noticed else None
        self.shape = self.network.shape
        # Attributes are not classes: a face has several.
        self.outputs = self.network.head.out_features if self.facts["exclusive"] else 0

    def __call__(self, x: Tensor) -> np.ndarray:
        check_shape(self, x)
        with torch.no_grad(), suited(LARGE):
            return torch.cat(
                [self._features(part.float().cpu()) for part in x.split(BATCH)]
            ).numpy()

    def _features(self, x: Tensor) -> Tensor:  # (n, C, H, W) -> (n, d)
        hidden = inference_copy(self.network).layers(x * 2 - 1)
        return self._damage.features(x, hidden) if self._damage else hidden

    def logits(self, features: np.ndarray) -> np.ndarray:
        if not self.outputs:
            raise BadInput(f"{self.about} has attributes, not classes")
        return self.all_logits(features)

    def all_logits(self, features: np.ndarray) -> np.ndarray:
        """The logits of all classes or attributes, float64 ``(n, K)``."""
        with torch.no_grad():
            hidden = torch.from_numpy(features)
            if self._damage:
                hidden = self._damage.hidden(hidden)
            return self.network.head(hidden).double().numpy()


@final
class Damage:
    """The part of a classifier's file that notices damage: networks, and how features are made.

    ``projection``: (p, 128), of the hidden layer around its ``centre``; it spans what the classes
    depend on. ``scales``: of what the networks say. Only faces have a network of their parts.
    """

    def __init__(self, file: "ClassifierFile"):
        seen, about = file.facts["network"], file.facts["damage"]
        sizes = about["widths"], len(about["kinds"]), about["hidden"]
        networks: dict[str, nn.Module] = {
            "damage": DamageNetwork(seen["channels"], seen["size"], *sizes)
        }
        if "parts" in file.facts:
            networks["parts"] = PartsNetwork(seen["channels"], **file.facts["parts"])
        for name, network in networks.items():
            network.eval().load_state_dict(file.state(f"{name}."))
        self.networks = [*networks.values()]
        parts = [file.tensors[name].float() for name in ("centre", "projection", "scales")]
        self.centre, self.projection, self.scales = parts

    def features(self, x: Tensor, hidden: Tensor) -> Tensor:
        """(n, d) of images in [0, 1] and their hidden layers (n, 128)."""
        content = (hidden - self.centre) @ self.projection.T
        found = [inference_copy(network)(x) for network in self.networks]
        return torch.cat([content, torch.cat(found, 1) * self.scales], 1)

    def hidden(self, features: Tensor) -> Tensor:
        """(n, 128): hidden layers with the classes, or attributes, of ``features``."""
        content = features[:, : len(self.projection)]
        return content @ torch.linalg.pinv(self.projection).T + self.centre


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
        with torch.no_grad(), suited(LARGE):
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
        if not isinstance(value, Tensor):  # of get_extra_state
            digest.update(key.encode() + repr(value).encode())
            continue
        # As bytes, since NumPy has no bfloat16.
        content = value.detach().cpu().contiguous().flatten().view(torch.uint8)
        digest.update(key.encode() + content.numpy().tobytes())
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

    def state(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names begin with ``prefix``, without it, in float32."""
        own = {k.removeprefix(prefix): v for k, v in self.tensors.items() if k.startswith(prefix)}
        return {k: v.float() if v.is_floating_point() else v for k, v in own.items()}


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
