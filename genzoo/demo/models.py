"""The models of the demo page, each loaded when first used, and their files on disk."""

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
from genzoo.models.kinds import has_picture
from genzoo.models.sampler import Sampler
from genzoo.models.samples import Images, Points, Samples, Signals
from genzoo.runs.plan import form_of
from genzoo.schemas import Kind
from genzoo.zoo import names as model_names

LARGEST_CACHE = 64  # files on disk; older ones are replaced


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
        self._loaded, self.real_images = cache(self._model), cache(self._real_images)

    def model(self, name: str) -> Sampler:
        """The model of this name. Raises BadInput if the page has none, and as ``load``."""
        if name not in self.names:
            raise BadInput(f"this page has no model {name!r:.80}")
        return self._loaded(name)

    def _model(self, name: str) -> Sampler:
        model = model_names.load(name, device=self.device)
        if not isinstance(model, Sampler) or not has_picture(model.kind, model.shape):
            raise BadInput(f"{name} generates nothing that the page can show")
        return model

    def _real_images(self, shape: tuple[int, ...]) -> sets.DataSet:
        """The quiz's images, from the test split, in the shape of a model's."""
        form = form_of("images", {"shape": shape})
        return sets.open(self.quiz or "", "test", **form, root=self.root)

    def with_ability(
        self, *abilities: type[Any], kinds: Sequence[Kind] = ("images", "signals")
    ) -> list[str]:
        """The names of the models of these kinds that have one of these abilities."""
        models = [(name, self.model(name)) for name in self.names]
        return [name for name, m in models if isinstance(m, abilities) and m.kind in kinds]

    def save(
        self, picture: Samples | bytes, scale: int | None = None, numbers: bool = False
    ) -> str:
        """Write a picture for the browser, of samples marked as synthetic; its path.

        Images are enlarged ``scale`` times, and have their seed:index below if ``numbers`` is on;
        spectrograms always have it.
        """
        if isinstance(picture, Images):
            content = picture.png(scale, numbers=numbers)
        elif isinstance(picture, Points | Signals):
            content = picture.png()
        else:
            assert isinstance(picture, bytes)
            content = picture
        return self._write(content, ".png")

    def save_sound(self, samples: Samples) -> str | None:
        """Write signals as a WAV file for the browser; its path, or None for other kinds."""
        return self._write(samples.wav(), ".wav") if isinstance(samples, Signals) else None

    def _write(self, content: bytes, ending: str) -> str:
        path = Path(self.folder.name) / f"{next(self._count) % LARGEST_CACHE}{ending}"
        with self._lock:
            path.write_bytes(content)
        return str(path)
