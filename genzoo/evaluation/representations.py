"""The features of a model's discriminator, or the codes of its encoder, for images."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
import torch

from genzoo.data.images import GivenImages, read_images
from genzoo.devices import usual_torch
from genzoo.editing.projection import ImagesLike
from genzoo.errors import BadInput
from genzoo.evaluation.evaluate import find_model
from genzoo.features import classifiers
from genzoo.files import check_new, expanded, npy, write_whole
from genzoo.metrics.probe_metrics import feature_maps
from genzoo.metrics.statistics.linear_probe import FeatureMaps, pooled
from genzoo.metrics.subjects import ModelSubject
from genzoo.models.abilities import Encoder
from genzoo.models.arguments import checked_arguments
from genzoo.models.checks import check_count, check_finite
from genzoo.models.model import Discriminator, Model, finite_input, image_shape
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


@checked_arguments
@usual_torch()
def extract_features(
    model: str | Path | Model,
    images: ImagesLike,
    *,
    batch_size: int = 250,
    device: "str | torch.device" = "auto",
) -> Features:
    """The model's features, float32 ``(n, d)``, of ``images``, ``(n, *shape)`` in [0, 1], or
    files, folders of them, Pillow images, samples, or a list of these.

    The maps of its discriminator, each max-pooled to 4x4, concatenated (Radford et al. 2016,
    section 5.1); without a discriminator the codes of an `Encoder`. A model in memory has no
    discriminator: give its name or folder. The name of a classifier that genzoo ships, like
    ``mnist``, gives its features. Raises BadInput, and as ``load``.
    """
    check_count("batch_size", batch_size, 1)
    given = given_images(model, images, device)
    if is_classifier(model):
        rows = classifiers.DatasetClassifier(str(model))(given.values)
    else:
        subject = subject_of(model, device)
        x, maps = finite_input(subject.model, given.values), _feature_maps(subject)
        with torch.no_grad():
            parts = [pooled(maps(part)).float().cpu() for part in x.split(batch_size)]
        rows = torch.cat(parts).numpy()
    features = rows.view(Features)
    features.files = given.files
    return features


def input_shape(
    model: str | Path | Model, device: "str | torch.device" = "auto"
) -> tuple[int, ...]:
    """The shape of image that its features take. Raises BadInput if it takes no images, and as
    ``load``.
    """
    if is_classifier(model):
        return classifiers.shape_of(str(model))
    return image_shape(subject_of(model, device).model, HINT)


def given_images(
    model: str | Path | Model, images: ImagesLike, device: "str | torch.device"
) -> GivenImages:
    """``images`` for the network of ``model``, a classifier's in [0, 1]. Raises BadInput."""
    if not is_classifier(model):
        own = subject_of(model, device).model
        return read_images(images, own.shape, kind=own.kind, form=own.data_form)
    given = read_images(images, classifiers.shape_of(str(model)))
    x = given.values.float()
    check_finite("images", x)
    if x.numel() and not (x.min() >= 0 and x.max() <= 1):
        raise BadInput(f"expected images in [0, 1], got [{x.min():.3g}, {x.max():.3g}]")
    return given._replace(values=x)


def is_classifier(model: Any) -> bool:
    """Whether ``model`` is the name of a classifier that genzoo ships."""
    return isinstance(model, str) and model in classifiers.names()


def subject_of(model: str | Path | Model, device: "str | torch.device") -> ModelSubject:
    """The model, with the folder of its discriminator. Raises as ``load``."""
    subject = find_model(model, device)
    if isinstance(model, Model) or subject.folder is None:
        return subject
    folder = model_names.with_discriminator(model, subject.folder)
    return ModelSubject(str(model), subject.model, folder)


def network_of(subject: ModelSubject) -> Discriminator | Encoder:
    """The network whose features are a model's: its discriminator, else itself, an `Encoder`.

    Raises BadInput, which lists the models that have one.
    """
    if not isinstance(subject.model, Encoder):
        try:
            subject.discriminator()
        except BadInput as error:
            every, file = installed.models(), manifest.DISCRIMINATOR
            with_one = {m.name for m in every if (m.folder / file).exists()}
            others = ", ".join(sorted({*with_one, *model_names.able(Encoder)}))
            raise BadInput(f"{error}, and it has no encoder; models with one: {others}") from None
    try:
        return subject.discriminator()
    except BadInput:
        assert isinstance(subject.model, Encoder)
        return subject.model


def _feature_maps(subject: ModelSubject) -> FeatureMaps:
    network_of(subject)  # raises
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
    write_whole(path, npy(features))
