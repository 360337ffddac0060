"""What the page shows: models that are loaded when first asked for, pictures for the browser."""

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

KEPT = 64  # pictures on the disk: the last ones


@final
class LoadedModels:
    """The models of the page, each loaded when it is first asked for; one at a time works."""

    def __init__(
        self, names: Sequence[str], quiz: str | None, root: str | Path | None, device: str
    ):
        self.names, self.device = list(names), device
        self.quiz, self.root = quiz, root
        self.folder = tempfile.TemporaryDirectory(prefix="genzoo-demo-")
        atexit.register(self.folder.cleanup)
        self._lock, self._count = threading.Lock(), itertools.count()
        self.model, self.real = cache(self._model), cache(self._real)  # each is loaded once

    def _model(self, name: str) -> Sampler:
        model = model_names.load(name, device=self.device)
        if not isinstance(model, Sampler) or not model.is_images:
            raise BadInput(f"{name} draws no pictures: the page has nothing to show of it")
        return model

    def _real(self, shape: tuple[int, ...]) -> sets.DataSet:
        """The quiz's pictures, held out from training, in the shape of a model's."""
        channels, size, _ = shape
        return sets.open(self.quiz or "", "test", size=size, channels=channels, root=self.root)

    def able(self, *abilities: type[Any]) -> list[str]:
        """The models that have one of these abilities."""
        return [name for name in self.names if isinstance(self.model(name), abilities)]

    def saved(self, picture: Samples | bytes, scale: int | None = None) -> str:
        """Where a picture lies for the browser: a file that says that it is synthetic."""
        content = picture if isinstance(picture, bytes) else _png(picture, scale)
        path = Path(self.folder.name) / f"{next(self._count) % KEPT}.png"
        with self._lock:
            path.write_bytes(content)
        return str(path)


def _png(samples: Samples, scale: int | None) -> bytes:
    assert isinstance(samples, Images)  # Zoo takes no others
    return samples.png(scale)
