"""The features of a model's discriminator, or the codes of its encoder, for images."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from genzoo.data.photo_files import photos
from genzoo.devices import usual_torch
from genzoo.errors import BadInput
from genzoo.evaluation.evaluate import find_model
from genzoo.files import check_new, expanded, write_whole
from genzoo.metrics.probe_metrics import feature_maps
from genzoo.metrics.statistics.linear_probe import FeatureMaps, pooled
from genzoo.metrics.subjects import ModelSubject
from genzoo.models.abilities import Encoder
from genzoo.models.checks import check_count
from genzoo.models.model import Model, finite_input, image_shape
from genzoo.models.samples import Samples
from genzoo.zoo import installed, manifest
from genzoo.zoo import names as model_names

HINT = "call genzoo.extract_features with an array"


@final
class Features(np.ndarray):
    """Features of images: float32 ``(n, d)``. ``files``: of those that were read from files."""

    files: tuple[Path, ...] = ()

    def save(self, path: str | Path) -> Path:
        """Write a ``.safetensors``, which lists the files, or a ``.npy``. Raises BadInput."""
        path = expanded(path)
        write(path, self, self.files, force=True)
        return path


@usual_torch()
def extract_features(
    model: str | Path | Model,
    images: "Samples | Tensor | np.ndarray | str | Path | Sequence[str | Path]",
    *,
    batch_size: int = 250,
    device: "str | torch.device" = "auto",
) -> Features:
    """The model's features, float32 ``(n, d)``, of ``images``, ``(n, *shape)`` in [0, 1], image
    files, or folders of them.

    The maps of its discriminator, each max-pooled to 4x4, concatenated (Radford et al. 2016,
    section 5.1); without a discriminator the codes of an `Encoder`. A model in memory has no
    discriminator: give its name or folder. Raises BadInput, and as ``load``.
    """
    subject = _subject(model, device)
    files: list[Path] = []
    given: Any = [images] if isinstance(images, str | Path) else images
    if isinstance(given, list | tuple) and given and isinstance(given[0], str | Path):
        given, files = photos(given, image_shape(subject.model, HINT))
    x = finite_input(subject.model, given)
    check_count("batch_size", batch_size, 1)
    maps = _feature_maps(subject)
    with torch.no_grad():
        parts = [pooled(maps(part)).float().cpu() for part in x.split(batch_size)]
    features = torch.cat(parts).numpy().view(Features)
    features.files = tuple(files)
    return features


def _subject(model: str | Path | Model, device: "str | torch.device") -> ModelSubject:
    subject = find_model(model, device)
    if isinstance(model, Model) or subject.folder is None:
        return subject
    folder = model_names.with_discriminator(model, subject.folder)
    return ModelSubject(str(model), subject.model, folder)


def _feature_maps(subject: ModelSubject) -> FeatureMaps:
    if not isinstance(subject.model, Encoder):
        try:
            subject.discriminator()
        except BadInput as error:
            every, file = installed.models(), manifest.DISCRIMINATOR
            with_one = {m.name for m in every if (m.folder / file).exists()}
            others = ", ".join(sorted({*with_one, *model_names.able(Encoder)}))
            raise BadInput(f"{error}, and it has no encoder; models with one: {others}") from None
    return feature_maps(subject)


def check_target(path: Path, force: bool = False) -> None:
    """Check that features can be written to ``path``. Raises BadInput."""
    check_new(path, [".safetensors", ".npy"], force)


def write(path: Path, features: np.ndarray, files: Sequence[Path], *, force: bool = False) -> None:
    """Write features ``(n, d)`` as an array; a safetensors file also lists the image ``files``."""
    from safetensors.numpy import save

    check_target(path, force)
    if path.suffix == ".safetensors":
        names = json.dumps([str(file) for file in files])
        write_whole(path, save({"features": np.ascontiguousarray(features)}, {"files": names}))
        return
    buffer = io.BytesIO()
    np.save(buffer, features, allow_pickle=False)
    write_whole(path, buffer.getvalue())
