"""The Inception network of the original FID (Heusel et al. 2017), for comparable numbers.

The network is torch-fidelity's port; that package and the weights are loaded only when used.
"""

import hashlib
import io
import os
import sys
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, final
from urllib.parse import urlparse

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from genzoo.errors import BadInput, NetworkError, OperationFailed, install_command
from genzoo.features.classifiers import FeatureExtractor
from genzoo.files import expanded
from genzoo.models.inference import channels_last
from genzoo.models.threads import LARGE, suited

if TYPE_CHECKING:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3


VARIABLE = "GENZOO_INCEPTION"
# Below 16 images torch chooses slower convolutions. The true file has 95 MB, so 1 GiB is a limit.
_BATCH, _LARGEST = 16, 2**30
_SIZE = 299
_BLOCKS = """
Conv2d_1a_3x3 Conv2d_2a_3x3 Conv2d_2b_3x3 MaxPool_1 Conv2d_3b_1x1 Conv2d_4a_3x3 MaxPool_2
Mixed_5b Mixed_5c Mixed_5d Mixed_6a Mixed_6b Mixed_6c Mixed_6d Mixed_6e Mixed_7a Mixed_7b Mixed_7c
AvgPool
"""


@final
class Inception(FeatureExtractor):
    """The features of FID, KID, precision and recall, and the logits of the Inception score.

    ``path``: the weights, .pth or .safetensors; by default the file in $GENZOO_INCEPTION, else the
    one in torch hub's folder, downloaded once. ``sha256``: of that file. Raises BadInput,
    NetworkError, and OperationFailed where torch-fidelity is missing.
    """

    name, about, shape, outputs = "inception", "Inception of the original FID", None, 1008
    width = 2048

    def __init__(self, path: str | Path | None = None):
        try:
            from torch_fidelity import feature_extractor_inceptionv3 as fidelity
        except ImportError:
            todo = install_command("metrics")
            raise OperationFailed(f"Inception needs torch-fidelity: {todo}") from None
        file = _file(path, fidelity.URL_INCEPTION_V3)
        content = _content(file)
        self.sha256 = hashlib.sha256(content).hexdigest()
        safe = io.BytesIO()
        torch.save(_state(file, content), safe)
        safe.seek(0)
        try:
            # torch-fidelity unpickles any file, so it gets a copy that holds only tensors.
            with torch.random.fork_rng(devices=[]):
                network = fidelity.FeatureExtractorInceptionV3(self.name, ["2048"], safe)
        except RuntimeError:
            raise _invalid(file, "its tensors do not fit") from None
        network = _folded(network)
        self._layers = nn.Sequential(*(getattr(network, name) for name in _BLOCKS.split()))
        self._head = network.fc.weight

    @torch.no_grad()
    def __call__(self, x: Tensor) -> np.ndarray:
        """float32 (n, 2048) of images (n, 1 or 3, H, W) in [0, 1]. Raises BadInput.

        Grey is repeated for red, green and blue. As in the original FID, pixels are rounded to 8
        bits and resized to 299 x 299 like TensorFlow 1.
        """
        if x.ndim != 4 or x.shape[1] not in (1, 3) or not x.numel():
            raise BadInput(f"Inception takes images (n, 1 or 3, H, W), got {tuple(x.shape)}")
        if not (x.is_floating_point() and bool(x.isfinite().all())):
            raise BadInput(f"Inception takes images of finite floats in [0, 1], got {x.dtype}")
        with suited(LARGE):
            parts = [self._layers((_resized(_pixels(p)) - 128) / 128) for p in x.split(_BATCH)]
        return torch.cat(parts).flatten(1).numpy()

    @torch.no_grad()
    def logits(self, features: np.ndarray) -> np.ndarray:
        """float32 (n, 1008) of features (n, 2048), without the bias as in the Inception score."""
        if features.ndim != 2 or features.shape[1] != self.width:
            raise BadInput(f"expected features (n, {self.width}), got {features.shape}")
        x = torch.as_tensor(features, dtype=torch.float32)
        return (x @ self._head.T).numpy()


def _pixels(x: Tensor) -> Tensor:  # (n, 1 or 3, H, W) in [0, 1] -> (n, 3, H, W), 0 to 255
    x = x.detach().cpu().float().clamp(0, 1).mul(255).round().expand(-1, 3, -1, -1)
    return x.contiguous(memory_format=torch.channels_last)


def _resized(x: Tensor) -> Tensor:  # (n, C, H, W) -> (n, C, 299, 299)
    """TensorFlow 1's bilinear resizing: pixels are aligned at their corners, without averaging.

    The width first: so each row is resized once.
    """
    for axis in (3, 2):
        if (size := x.shape[axis]) == _SIZE:
            continue
        place = torch.arange(_SIZE) * torch.tensor(size / _SIZE, dtype=torch.float32)
        first = place.long()
        share = (place - first).view(-1, *[1] * (3 - axis))
        low, high = (x.index_select(axis, i) for i in (first, (first + 1).clamp(max=size - 1)))
        x = low + (high - low) * share
    return x


def _folded(network: "FeatureExtractorInceptionV3") -> "FeatureExtractorInceptionV3":
    """The same network, faster: batch norms folded into the convolutions, channels last."""
    for block in [m for m in network.modules() if isinstance(getattr(m, "bn", None), nn.Module)]:
        block.conv, block.bn = fuse_conv_bn_eval(block.conv, block.bn), nn.Identity()
    return channels_last(network)


def _file(path: str | Path | None, url: str) -> Path:
    """The path of the weights: as given, from the environment, or in torch hub's folder."""
    if name := path or os.environ.get(VARIABLE):
        if not (file := expanded(name)).is_file():
            raise BadInput(f"{'' if path else VARIABLE + ': '}no such file: {file}")
        return file
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    file = folder / Path(urlparse(url).path).name
    if not file.is_file():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(file), progress=sys.stderr.isatty())
        except (OSError, HTTPException) as error:
            todo = f"put {file.name} into {folder}, or set {VARIABLE} to its path"
            raise NetworkError(f"cannot download {url} ({error}): {todo}") from None
    return file


def _content(file: Path) -> bytes:
    try:
        if file.stat().st_size > _LARGEST:
            raise _invalid(file, "it is too large")
        return file.read_bytes()
    except OSError as error:
        raise BadInput(f"cannot read {file}: {error.strerror or error}") from None


def _state(file: Path, content: bytes) -> dict[str, Tensor]:
    """The tensors of the file, unchecked; runs no code from it. Raises BadInput."""
    from safetensors.torch import load

    try:
        if file.suffix == ".safetensors":
            state = load(content)
        else:
            state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged archive raises nearly anything
        raise _invalid(file, type(error).__name__) from None
    if not isinstance(state, dict) or not all(isinstance(t, Tensor) for t in state.values()):
        raise _invalid(file, "it is not a dictionary of tensors")
    if not all(bool(t.isfinite().all()) for t in state.values()):
        raise _invalid(file, "not all numbers are finite")
    return dict(state)


def _invalid(file: Path, why: str) -> BadInput:
    todo = "delete it or name another file"
    return BadInput(f"{file} is not the weights of FID's Inception ({why}): {todo}")
