"""The models of the demo page, each loaded when first used, and their images on disk."""

import atexit
import itertools
import tempfile
import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, final

from genzoo import data as sets
from genzoo.errors import BadInput
from genzoo.models.sampler import Sampler
from genzoo.models.samples import Images, Samples
from genzoo.zoo import names as model_names

LARGEST_CACHE = 64  # images on disk; older ones are replaced


@final
class LoadedModels:
    """The models of the page, each loaded once, when it is first used."""

    def __init__(
        self, names: Sequence[str], quiz: str | None, root: str | Path | None, device: str
    ):
        self.names, self.device = list(names), device
        self.quiz, self.root = quiz, root
        self.folder = tempfile.TemporaryDirectory(prefix="genzoo-demo-")
        atexit.register(self.folder.cleanup)
        self._lock, self._count = threading.Lock(), itertools.count()
        self.model, self.real_images = cache(self._model), cache(self._real_images)

    def _model(self, name: str) -> Sampler:
        model = model_names.load(name, device=self.device)
        if not isinstance(model, Sampler) or not model.is_images:
            raise BadInput(f"{name} does not generate images: the page cannot show it")
        return model

    def _real_images(self, shape: tuple[int, ...]) -> sets.DataSet:
        """The quiz's images, from the test split, in the shape of a model's."""
        channels, size, _ = shape
        return sets.open(self.quiz or "", "test", size=size, channels=channels, root=self.root)

    def with_ability(self, *abilities: type[Any]) -> list[str]:
        """The names of the models that have one of these abilities."""
        return [name for name in self.names if isinstance(self.model(name), abilities)]

    def save(self, picture: Samples | bytes, scale: int | None = None) -> str:
        """Write an image file for the browser, samples marked as synthetic; its path."""
        content = picture if isinstance(picture, bytes) else _png(picture, scale)
        path = Path(self.folder.name) / f"{next(self._count) % LARGEST_CACHE}.png"
        with self._lock:
            path.write_bytes(content)
        return str(path)


def _png(samples: Samples, scale: int | None) -> bytes:
    assert isinstance(samples, Images)  # _model refuses others
    return samples.png(scale)
