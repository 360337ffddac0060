"""Features without a trained network: log-mel statistics of signals, coordinates of points."""

import hashlib
import math
import warnings
from collections.abc import Callable
from functools import cached_property
from typing import final

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from genzoo.errors import BadInput, OperationFailed, install_command
from genzoo.features.classifiers import FeatureExtractor

BANDS, PARTS = 32, 3
WINDOW = 0.032  # seconds of sound in a frame, about
# The softest power that counts, 40 dB below a full sine. With a lower one, real sounds with noise
# of 0.01 have a recall of 0: noise too soft to hear fills their empty bands.
FLOOR = 1e-4
BATCH = 250


@final
class LogMel(FeatureExtractor):
    """Statistics of a signal's spectrogram on the mel scale: for each channel and each of 32 bands
    the mean log10 power in each third of the signal, and its standard deviation over time.

    Needs torchaudio, of the extra ``audio``.
    """

    shape, outputs, name = None, 0, "logmel"

    def __init__(self, rate: int):
        self.rate = rate
        self.about = f"log-mel statistics at {rate:,} samples a second"
        facts = f"log10 mel {rate} {self.frame} {BANDS} {PARTS} {FLOOR}"
        self.sha256 = hashlib.sha256(facts.encode()).hexdigest()

    @property
    def frame(self) -> int:
        """Samples in a frame: a power of two."""
        return max(16, 2 ** round(math.log2(self.rate * WINDOW)))

    @cached_property
    def _spectrogram(self) -> Callable[[Tensor], Tensor]:
        try:
            from torchaudio.transforms import MelSpectrogram
        except ImportError:
            todo = install_command("audio")
            raise OperationFailed(
                f"log-mel statistics need torchaudio, which is not installed: {todo}"
            ) from None
        form = {"n_fft": self.frame, "hop_length": self.frame // 4, "n_mels": BANDS}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a narrow band may lie between two frequencies
            return MelSpectrogram(self.rate, **form)

    def __call__(self, x: Tensor) -> np.ndarray:
        if x.ndim != 3:
            raise BadInput(f"{self.about} take signals (n, channels, length), got {tuple(x.shape)}")
        with torch.no_grad():
            parts = [self._statistics(part.float().cpu()) for part in x.split(BATCH)]
        return torch.cat(parts).numpy()

    def _statistics(self, x: Tensor) -> Tensor:  # (n, c, length) -> (n, c * 128)
        x = torch.nn.functional.pad(x, (0, max(0, self.frame - x.shape[2])))
        power = self._spectrogram(x) / (self.frame / 4) ** 2  # 1 for a full sine
        power = (power + FLOOR).log10()  # (n, c, bands, frames)
        means = [part.mean(3) for part in power.tensor_split(PARTS, 3)]
        return rearrange([*means, power.std(3)], "k n c bands -> n (c k bands)")

    def logits(self, features: np.ndarray) -> np.ndarray:
        raise BadInput(f"{self.about} have no classes: leave out metrics that need them")


@final
class Coordinates(FeatureExtractor):
    """Points as they are."""

    shape, outputs, name, about = None, 0, "coordinates", "the points' coordinates"
    sha256 = hashlib.sha256(b"coordinates").hexdigest()

    def __call__(self, x: Tensor) -> np.ndarray:
        if x.ndim != 2:
            raise BadInput(f"{self.about} are those of points (n, d), got {tuple(x.shape)}")
        return x.float().cpu().numpy()

    def logits(self, features: np.ndarray) -> np.ndarray:
        raise BadInput(f"{self.about} have no classes: leave out metrics that need them")
