"""The features of a model's discriminator, or the codes of its encoder, for images."""

import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from genzoo.devices import usual_torch
from genzoo.errors import BadInput
from genzoo.evaluation.evaluate import find_model
from genzoo.files import check_new, write_whole
from genzoo.metrics.probe_metrics import feature_maps
from genzoo.metrics.statistics.linear_probe import FeatureMaps, pooled
from genzoo.metrics.subjects import ModelSubject
from genzoo.models.abilities import Encoder
from genzoo.models.checks import check_count
from genzoo.models.model import Model, finite_input, image_shape
from genzoo.models.samples import Samples
from genzoo.zoo import installed, manifest
from genzoo.zoo import names as model_names


@usual_torch()
def extract_features(
    model: str | Path | Model,
    images: Samples | Tensor | np.ndarray,
    *,
    batch_size: int = 250,
    device: "str | torch.device" = "auto",
) -> np.ndarray:
    """The model's features, float32 ``(n, d)``, of ``images``, ``(n, *shape)`` in [0, 1].

    The maps of its discriminator, each max-pooled to 4x4, concatenated (Radford et al. 2016,
    section 5.1); without a discriminator the codes of an `Encoder`. A model in memory has no
    discriminator: give its name or folder. Raises BadInput, and as ``load``.
    """
    subject = _subject(model, device)
    x = finite_input(subject.model, images)
    check_count("batch_size", batch_size, 1)
    maps = _feature_maps(subject)
    with torch.no_grad():
        parts = [pooled(maps(part)).float().cpu() for part in x.split(batch_size)]
    return torch.cat(parts).numpy()


def input_shape(
    model: str | Path | Model, device: "str | torch.device" = "auto"
) -> tuple[int, ...]:
    """The shape of image that its features take. Raises BadInput if it takes no images, and as
    ``load``.
    """
    own = _subject(model, device).model
    return image_shape(own, "call genzoo.extract_features with an array")


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
