"""The models of the demo page, each loaded when first used, and their files on disk."""

import atexit
import itertools
import tempfile
import threading
from collections.abc import Sequence
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any, final

from genzoo import data as sets
from genzoo import families
from genzoo.data import register
from genzoo.demo.examples import preferred
from genzoo.errors import BadInput
from genzoo.models.kinds import has_picture
from genzoo.models.sampler import Sampler
from genzoo.models.samples import Images, Points, Samples, Signals
from genzoo.options import Sampling
from genzoo.runs.plan import form_of
from genzoo.schemas import Kind
from genzoo.zoo import names as model_names
from genzoo.zoo.manifest import Manifest

LARGEST_CACHE = 64  # files on disk; older ones are replaced
# Whether a file is kept as long as the page: those that a tab opens with.
KEPT: ContextVar[bool] = ContextVar("kept", default=False)


@final
class LoadedModels:
    """The models of the page, each loaded once, when it is first used.

    ``chosen``: whether the user named them, so that their order counts.
    """

    def __init__(
        self,
        names: Sequence[str],
        quiz: str | None = None,
        root: str | Path | None = None,
        device: str = "auto",
        chosen: bool = True,
    ):
        self.names, self.device, self.chosen = list(names), device, chosen
        self.quiz, self.root = quiz, root
        self.folder = tempfile.TemporaryDirectory(prefix="genzoo-demo-")
        atexit.register(self.folder.cleanup)
        self._lock, self._count, self._kept = threading.Lock(), itertools.count(), itertools.count()
        self._loaded, self.real_images = cache(self._model), cache(self._real_images)
        self._class_of, self.manifest = cache(self._model_class), cache(self._manifest)
        self._loading = threading.Lock()

    def model(self, name: str) -> Sampler:
        """The model of this name. Raises BadInput if the page has none, and as ``load``."""
        self._check(name)
        with self._loading:  # two tabs that open at once load it once
            return self._loaded(name)

    def _check(self, name: str) -> None:
        if name not in self.names:
            raise BadInput(f"this page has no model {name!r:.80}")

    def _model(self, name: str) -> Sampler:
        model = model_names.load(name, device=self.device)
        if not isinstance(model, Sampler) or not has_picture(model.kind, model.shape):
            raise BadInput(f"{name} generates nothing that the page can show")
        return model

    def _manifest(self, name: str) -> Manifest:
        return model_names.resolve(name)[1]

    def _model_class(self, name: str) -> type[Any]:
        """The class of a model: its family's, without a look at the weights."""
        build = families.get(self.manifest(name).family).model
        return build if isinstance(build, type) else type(self.model(name))

    def sampling(self, name: str) -> type[Sampling]:
        """The class of the settings with which a model samples."""
        self._check(name)
        record: type[Sampling] = self._class_of(name).sampling
        return record

    def classes(self, name: str) -> list[str]:
        """The classes of a model, by name or by number."""
        self._check(name)
        if known := self.manifest(name).class_names:
            return [*known]
        return [str(i) for i in range(self.model(name).num_classes)]

    def _real_images(self, name: str) -> sets.DataSet:
        """The quiz's images, from the test split, in a model's shape and as for its training."""
        model, data = self.model(name), self.quiz or ""
        form = {**form_of("images", {"shape": model.shape}), **register.form_for(model, data)}
        return sets.open(data, "test", **form, root=self.root)

    def with_ability(
        self, *abilities: type[Any], kinds: Sequence[Kind] = ("images", "signals")
    ) -> list[str]:
        """The names of the models of these kinds that have one of these abilities."""
        of_kinds = [name for name in self.names if self.manifest(name).kind in kinds]
        return [name for name in of_kinds if issubclass(self._class_of(name), abilities)]

    def best(self, tab: str, names: Sequence[str]) -> str:
        """The one of ``names`` that a tab opens with: the user's first, else the best example."""
        ranked = [] if self.chosen else [name for name in preferred(tab) if name in names]
        return [*ranked, *names][0]

    def save(
        self,
        picture: Samples | bytes,
        scale: int | None = None,
        numbers: bool = False,
        columns: int | None = None,
    ) -> str:
        """Write a picture for the browser, of samples marked as synthetic; its path.

        Images are enlarged ``scale`` times, and have their seed:index below if ``numbers`` is on;
        spectrograms always have it.
        """
        if isinstance(picture, Images):
            content = picture.png(scale, numbers=numbers, columns=columns)
        elif isinstance(picture, Points | Signals):
            content = picture.png()
        else:
            assert isinstance(picture, bytes)
            content = picture
        return self._write(content, ".png")

    def save_sound(self, samples: Samples) -> str | None:
        """Write signals as a WAV file for the browser; its path, or None for other kinds."""
        return self._write(samples.wav(), ".wav") if isinstance(samples, Signals) else None

    def save_as(self, name: str, content: bytes) -> str:
        """Write a file that a visitor downloads under this ``name``; its path."""
        return self._write(content, f"/{name}")

    def _write(self, content: bytes, ending: str) -> str:
        """Write a file with a number and ``ending``, or in a folder of that number; its path."""
        with self._lock:
            if KEPT.get():
                number = f"kept-{next(self._kept)}"
            else:
                number = str(next(self._count) % LARGEST_CACHE)
            path = Path(self.folder.name) / f"{number}{ending}"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        return str(path)
