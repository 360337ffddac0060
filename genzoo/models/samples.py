"""Samples: the images, signals or points that a model generated, with their seeds."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Self, final

import numpy as np
import torch
from einops import rearrange
from PIL import Image
from torch import Tensor

from genzoo.errors import BadInput
from genzoo.files import (
    check_ending,
    expanded,
    npy,
    write_whole,
)
from genzoo.models import film, panels, sounds, viewer
from genzoo.models.captions import Captions, labelled
from genzoo.models.kinds import PICTURES
from genzoo.models.origin import Origin
from genzoo.models.panels import MOST_POINTS
from genzoo.models.picture_files import COMPOSITE, XMP, encode
from genzoo.models.pictures import band_height, check_sheet, draw_grid, pil_image, write_seed
from genzoo.models.rows import rows_of
from genzoo.models.sample_folders import check_folder, write_folder
from genzoo.version import VERSION

ALONE = 192  # pixels a side, about, of a single image in a notebook


class Samples(ABC):
    """The result of one call: ``tensor`` is ``(n, *shape)``, ``labels`` ``(n,)`` or None.

    ``seeds`` holds each sample's (seed, index). ``call`` is the method that made the samples, and
    its arguments: if it is ``sample``, ``model.sample(1, seed=seed, start=index)`` draws one again.
    Behaves as a sequence, and as an array for ``torch.as_tensor`` and ``np.asarray``.
    """

    def __init__(
        self,
        tensor: Tensor,
        labels: Tensor | None = None,
        seeds: Sequence[tuple[int, int]] = (),
        origin: Origin | None = None,
        class_names: Sequence[str] = (),
        call: Mapping[str, Any] | None = None,
    ):
        self.tensor, self.labels, self.seeds = tensor, labels, tuple(seeds)
        self.origin, self.class_names, self.call = origin, tuple(class_names), call
        # Of its picture: the function that drew it says.
        self.columns: int | None = None
        self.film: tuple[int, int] | None = None  # its columns, and those that stand still
        self.captions: Captions | None = None

    @abstractmethod
    def save(self, path: str | Path, *, metadata: bool = True) -> Path:
        """Write to ``path``, whole or not at all. Raises BadInput, OperationFailed."""

    @final
    def __len__(self) -> int:
        return len(self.tensor)

    @final
    def __getitem__(self, key: Any) -> Self:
        """Some of the samples, with their labels and seeds: ``key`` as NumPy takes it for the first
        axis. Raises IndexError, TypeError.
        """
        rows = rows_of(key, len(self), self.tensor.ndim)
        labels = None if self.labels is None else self.labels[rows]
        if isinstance(rows, slice):
            seeds = self.seeds[rows]
        else:
            seeds = tuple(self.seeds[i] for i in rows) if self.seeds else ()
        return self._with(self.tensor[rows], labels, seeds)

    @final
    def __iter__(self) -> Iterator[Self]:
        return (self[i] for i in range(len(self)))

    @final
    def __add__(self, other: Any) -> Self:
        """These samples and then the ``other`` ones, of the same kind and shape.

        If they come from two kinds of call, the result names none; from two models: BadInput.
        """
        if not isinstance(other, Samples):
            return NotImplemented
        mine, theirs = (f"{type(s).__name__} of {_sizes(s)}" for s in (self, other))
        if mine != theirs:
            raise BadInput(f"expected samples of one kind and shape, got {mine} and {theirs}")
        if (self.labels is None) != (other.labels is None):
            raise BadInput("only one of the two has labels: set its labels to None, or label both")
        if self.labels is not None and self.class_names != other.class_names:
            raise BadInput("the two have labels of other classes: set the labels of both to None")
        if self.origin and other.origin and self.origin != other.origin:
            one, two = (f"{o.model} ({o.weights_sha256[:8]})" for o in (self.origin, other.origin))
            raise BadInput(f"samples of two models, {one} and {two}: keep them apart")
        both = self.join([self, other._on(self.tensor.device)])
        same = (self.origin, self.call) == (other.origin, other.call)
        both.origin, both.call = (self.origin, self.call) if same else (None, None)
        return both

    @final
    def show(self) -> None:
        """Show them inline in a notebook, else in the system's viewer of pictures.

        Without a screen it prints the path of the picture. Raises BadInput if there is none.
        """
        viewer.show(self, self.display_png)

    @abstractmethod
    def png(self, *, metadata: bool = True) -> bytes:
        """A picture of the samples as the bytes of a PNG file. Raises BadInput."""

    def display_png(self) -> bytes:
        """``png``, in a size to look at. Raises BadInput."""
        return self.png()

    @final
    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.tensor.detach().cpu().numpy(), dtype, copy=copy)

    @final
    def __dlpack__(self, **options: Any) -> Any:
        return self.tensor.detach().__dlpack__(**options)

    @final
    def __dlpack_device__(self) -> Any:
        return self.tensor.__dlpack_device__()

    @final
    def __repr__(self) -> str:
        low, high = (f"{v:.3g}" for v in torch.aminmax(self.tensor)) if len(self) else ("-", "-")
        seed = ", ".join(dict.fromkeys(str(seed) for seed, _ in self.seeds)) or "none"
        shape = "x".join(map(str, self.tensor.shape))
        return f"<{type(self).__name__} {shape} in [{low}, {high}], seed {seed}>"

    @final
    @classmethod
    def join(cls, parts: "Sequence[Samples]") -> Self:
        """Concatenate, as if one call had made them all."""
        first = parts[0]
        assert isinstance(first, cls)
        all_labels = [p.labels for p in parts if p.labels is not None]
        assert len(all_labels) in (0, len(parts))
        labels = torch.cat(all_labels) if all_labels else None
        seeds = [seed for part in parts for seed in part.seeds]
        tensor = torch.cat([p.tensor for p in parts])
        return first._with(tensor, labels, seeds)

    def _with(
        self, tensor: Tensor, labels: Tensor | None, seeds: Sequence[tuple[int, int]]
    ) -> Self:
        """A copy that holds these samples."""
        other = copy.copy(self)
        other.tensor, other.labels, other.seeds = tensor, labels, tuple(seeds)
        other.columns = other.captions = other.film = None  # of other samples
        return other

    def _on(self, device: torch.device) -> Self:
        labels = None if self.labels is None else self.labels.to(device)
        return self._with(self.tensor.to(device), labels, self.seeds)

    @final
    def record(self) -> dict[str, Any]:
        """All that is needed to draw these again, for JSON."""
        return {
            "genzoo": VERSION,
            "origin": None if self.origin is None else vars(self.origin),
            "call": None if self.call is None else dict(self.call),
            "seeds": self.seeds,
            "labels": None if self.labels is None else self.labels.tolist(),
        }

    ending: ClassVar[str] = ".npy"
    """of the file of one sample, in a folder"""

    def file_of_one(self, metadata: bool) -> bytes:
        """One sample as a file of a folder: as data for others."""
        return self._npy()

    @final
    def _file(
        self,
        picture: Image.Image,
        ending: str,
        metadata: bool = True,
        more: Mapping[str, Any] = MappingProxyType({}),
    ) -> bytes:
        """A file of ``picture``, which shows these; ``more``: arguments of ``call``."""
        record = self.record()
        if more and self.call is not None:
            record["call"] = {**self.call, **more}
        return encode(picture, ending, record if metadata else None, xmp=self.xmp)

    @final
    @property
    def xmp(self) -> str:
        """Whether all is a model's work, or photos had a part in it: IPTC's terms, for a file."""
        call = self.call or {}
        is_composite = call.get("method") == "inpaint" or call.get("photos")
        return COMPOSITE if is_composite else XMP

    def _npy(self) -> bytes:
        return npy(np.asarray(self))


@final
class Points(Samples):
    """Points, or any other arrays: ``tensor`` is ``(n, *shape)``, unbounded."""

    def save(self, path: str | Path, *, metadata: bool = True) -> Path:
        """Write a scatter of points ``(n, d)`` as ``.png``, ``.jpg``, ``.webp`` or ``.pdf``, or the
        numbers as ``.npy``, float32.

        Without ``metadata`` a picture only says that it is synthetic. Raises BadInput,
        OperationFailed.
        """
        path = check_ending(expanded(path), (*PICTURES, ".npy"))
        ending = path.suffix.lower()
        write_whole(path, self._npy() if ending == ".npy" else self._scatter(ending, metadata))
        return path

    def png(self, *, metadata: bool = True) -> bytes:
        """The scatter as the bytes of a PNG file: the first two coordinates, coloured by class."""
        return self._scatter(".png", metadata)

    def _scatter(self, ending: str, metadata: bool) -> bytes:
        panels.check_points(len(self), self.tensor.shape[1:])
        labels = None if self.labels is None else self.labels.cpu().numpy()
        picture = panels.scatter(np.asarray(self), labels, self.class_names)
        return self._file(picture, ending, metadata)

    def _repr_png_(self) -> bytes | None:
        """The scatter; None, so that a notebook shows the text, where there is none."""
        return self.png() if self.tensor.ndim == 2 and 0 < len(self) <= MOST_POINTS else None


@final
class Signals(Samples):
    """Signals: ``tensor`` is ``(n, channels, length)`` in [-1, 1], at ``rate`` samples a second."""

    ending = ".wav"

    def __init__(
        self,
        tensor: Tensor,
        labels: Tensor | None = None,
        seeds: Sequence[tuple[int, int]] = (),
        origin: Origin | None = None,
        class_names: Sequence[str] = (),
        call: Mapping[str, Any] | None = None,
        *,
        rate: int = 16_000,
    ):
        super().__init__(tensor, labels, seeds, origin, class_names, call)
        self.rate = rate

    def save(self, path: str | Path, *, metadata: bool = True) -> Path:
        """Write all one after the other as ``.wav``, as spectrograms in a ``.png``, ``.jpg``,
        ``.webp`` or ``.pdf``, or as ``.npy``.

        A name without an ending is a folder, of a WAV file each. Sounds and pictures contain the
        record of the samples; without ``metadata`` they only say that they are synthetic. Raises
        BadInput, OperationFailed.
        """
        path = expanded(path)
        if path.suffix == "":
            check_folder(path)
            write_folder(iter([self]), path, metadata)
            return path
        check_ending(path, (".wav", *PICTURES, ".npy"))
        match path.suffix.lower():
            case ".wav":
                content = self.wav(metadata=metadata)
            case ".npy":
                content = self._npy()
            case ending:
                content = self._spectrograms(ending, metadata)
        write_whole(path, content)
        return path

    def wav(self, *, metadata: bool = True) -> bytes:
        """All signals, with short pauses, as the bytes of a WAV file of 16 bits."""
        self._check_any()
        sounds.check_length(len(self), self.tensor.shape[1:], self.rate)
        signal = sounds.join(np.asarray(self), self.rate)
        return sounds.wav(signal, self.rate, self.record() if metadata else None, self.xmp)

    def file_of_one(self, metadata: bool) -> bytes:
        """One signal as a WAV file."""
        return self.wav(metadata=metadata)

    def png(self, *, metadata: bool = True) -> bytes:
        """A spectrogram of each signal, as the bytes of a PNG file."""
        return self._spectrograms(".png", metadata)

    def _spectrograms(self, ending: str, metadata: bool) -> bytes:
        self._check_any()
        picture = panels.spectrograms(self.tensor, self.rate, self._titles())
        return self._file(picture, ending, metadata)

    def _check_any(self) -> None:
        if not len(self):
            raise BadInput("a file of signals needs at least one, got none")

    def _titles(self) -> list[str]:
        """Seed:index of each, and its class."""
        titles = [f"{seed}:{index}" for seed, index in self.seeds]
        if self.labels is None or not self.class_names:
            return titles
        names = [self.class_names[label] for label in self.labels.tolist()]
        return [f"{title} {name}" for title, name in zip(titles, names, strict=True)]

    def _repr_html_(self) -> str | None:
        """The spectrograms, and a player for each of the first signals."""
        if not len(self):
            return None
        few = self[: sounds.most_players(self.tensor.shape[1:])]
        titles = few._titles() or [str(i) for i in range(len(few))]
        files = [(title, one.wav()) for title, one in zip(titles, few, strict=True)]
        return sounds.players(few.png(), files, len(self))


@final
class Images(Samples):
    """Images: ``tensor`` is ``(n, C, H, W)`` in [0, 1], C is 1 or 3."""

    ending = ".png"

    def file_of_one(self, metadata: bool) -> bytes:
        """One image in its own size."""
        record = self.record() if metadata else None
        return encode(self.pil()[0], self.ending, record, xmp=self.xmp, smallest=False)

    def pil(self) -> list[Image.Image]:
        """Each image as a Pillow image, in its own size."""
        return [pil_image(cell) for cell in self._bytes()]

    def grid(
        self,
        columns: int | None = None,
        scale: int | None = None,
        gap: int = 2,
        numbers: bool = False,
    ) -> Image.Image:
        """All images in rows, enlarged ``scale`` times, or so that it is about 800 pixels wide.

        ``columns``: by default as the call has them, a walk in one row. With ``numbers`` each has
        its seed:index below it, as other functions take it. Raises BadInput.
        """
        if not len(self):
            raise BadInput("a grid needs at least one image, got none")
        shape, columns = self.tensor.shape[1:], self.columns if columns is None else columns
        scale, columns, _ = check_sheet(len(self), shape, scale, columns, gap)
        band = band_height(scale * shape[-1]) if numbers else 0
        _, _, size = check_sheet(len(self), shape, scale, columns, gap, band)
        picture = draw_grid(self._bytes(), columns, scale, size, gap, band)
        wide, high = scale * shape[-1], scale * shape[-2] + gap + band
        for i, pair in enumerate(self.seeds if numbers else ()):
            middle = gap + i % columns * (wide + gap) + wide / 2
            write_seed(picture, pair, (middle, (i // columns + 1) * high), wide)
        return picture

    def save(
        self,
        path: str | Path,
        scale: int | None = None,
        *,
        metadata: bool = True,
        columns: int | None = None,
        numbers: bool = False,
    ) -> Path:
        """Write the grid as ``.png``, ``.jpg``, ``.webp`` or ``.pdf``, whose metadata name the
        model and the seeds, or the numbers as ``.npy``, float32. Only ``.jpg`` loses detail. A
        ``.gif`` is a film of its columns, a name without an ending a folder of a PNG file each.

        ``scale``: by how much each pixel is enlarged; without it the picture becomes about 800
        pixels wide. Without ``metadata`` it only says that it is synthetic. Raises BadInput,
        OperationFailed.
        """
        path = expanded(path)
        if path.suffix == "":
            check_folder(path)
            write_folder(iter([self]), path, metadata)
            return path
        check_ending(path, (*PICTURES, ".npy", ".gif"))
        if (ending := path.suffix.lower()) == ".gif":
            film.write(self, path, scale, metadata, columns)
        elif ending == ".npy":
            if scale is not None:
                raise BadInput(f"scale enlarges pictures, and {path} holds numbers: leave it out")
            write_whole(path, self._npy())
        else:
            write_whole(path, self._sheet(ending, scale, metadata, columns, numbers))
        return path

    def png(
        self,
        scale: int | None = None,
        *,
        metadata: bool = True,
        columns: int | None = None,
        numbers: bool = False,
    ) -> bytes:
        """The grid as the bytes of a PNG file."""
        return self._sheet(".png", scale, metadata, columns, numbers)

    def _sheet(
        self, ending: str, scale: int | None, metadata: bool, columns: int | None, numbers: bool
    ) -> bytes:
        if self.captions and not numbers and columns in (None, self.columns):
            picture = labelled(self.pil(), self.captions, self.columns, scale)
        else:
            picture = self.grid(columns, scale, 0 if len(self) == 1 and not numbers else 2, numbers)
        return self._file(picture, ending, metadata, {"numbers": True} if numbers else {})

    def display_png(self) -> bytes:
        """The grid; a single image enlarged."""
        alone = max(1, round(ALONE / max(self.tensor.shape[2:])))
        return self.png(alone if len(self) == 1 else None)

    def _repr_png_(self) -> bytes | None:
        """The grid, a single image larger; None, so that a notebook shows the text, where there is
        none.
        """
        try:
            return self.display_png()
        except BadInput:  # none, or too many for one picture
            return None

    def _bytes(self) -> np.ndarray:  # (n, C, H, W) -> (n, H, W, C) uint8
        pixels = self.tensor.detach().clamp(0, 1).mul(255).round().to(torch.uint8)
        return rearrange(pixels, "n c h w -> n h w c").cpu().numpy()


def _sizes(samples: Samples) -> str:
    """The shape of one sample, for a message; of signals also the rate."""
    rate = f" at {samples.rate} Hz" if isinstance(samples, Signals) else ""
    return "x".join(map(str, samples.tensor.shape[1:])) + rate
