"""Photos to edit: pictures that no model drew, and the codes whose samples are most like them."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypedDict, final

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from genzoo.data.images import read_images
from genzoo.editing.projection import SearchOptions, project
from genzoo.models.abilities import Encoder
from genzoo.models.model import finite_input
from genzoo.models.sampler import Latent
from genzoo.models.samples import Samples

log = logging.getLogger("genzoo")

STEPS = 300  # of a search: the 100 of inpainting leave a sixth more error
PhotoLike = str | Path | Image.Image | np.ndarray | Tensor | Samples


class PhotoSearch(TypedDict, total=False):
    """How the codes of photos are searched; None stands for the default.

    ``search_steps`` of Adam, by default 300: a whole photo takes more than the surroundings of a
    hole. ``restarts`` as in `project`, by default 4.

    Without ``search_steps`` and ``restarts`` a model that has an encoder takes the encoder's codes
    as they are; with them, its searches begin there.
    """

    search_steps: int | None
    restarts: int | None
    search_seed: int | None


@final
@dataclass(frozen=True, eq=False)
class Photo:
    """``values``: ``(*shape)`` in the model's public range. ``name``: for messages.

    ``identity``: the SHA-256 of its file; of its values, in float32, if it has no file.
    """

    values: Tensor
    name: str
    identity: Mapping[str, str]


class CodedSample(NamedTuple):
    """A sample or a photo, and its code ``(code,)``.

    ``address``: of the sample; of a photo, that of the noise that the model draws beside the code.
    ``label``: the number of its class, None if the model has no classes. ``record``: what it is,
    for the record of an image.
    """

    code: Tensor
    address: tuple[int, int]
    label: int | None
    record: Any
    photo: Photo | None = None


def read_photos(model: Latent, given: PhotoLike) -> list[Photo]:
    """The photos in ``given``, as `data.images.read_images` takes them. Raises BadInput."""
    images = read_images(given, model.shape, kind=model.kind, form=model.data_form)
    values = model.to_public(finite_input(model, images.values))
    return [*map(Photo, values, images.names, images.identities)]


def encode_photos(
    model: Latent,
    photos: Sequence[Photo],
    label: int | str | None,
    sampling: Mapping[str, Any],
    search: PhotoSearch,
) -> list[CodedSample]:
    """``photos`` with codes from the model's encoder if it has one, otherwise from a search.

    A search finds the class, too, unless ``label`` gives it. Logs how far the samples of the codes
    are from the photos; the records hold it as ``rmse``, the root of the mean squared difference in
    the public range. Raises BadInput.
    """
    x, seed = torch.stack([photo.values for photo in photos]), search.get("search_seed") or 0
    if can_encode(model, label, search):
        assert isinstance(model, Encoder)
        codes, labels = model.code_law.nearest(model.encode(x)), model.labels_for(label, len(x))
        how: dict[str, Any] = {"by": "encoder"}
        words = "encoded"
    else:
        options = SearchOptions(**{"weight": 0, "steps": STEPS, **_asked(search)})
        result = project(model, x, labels=label, seed=seed, **options)
        codes, labels = result.codes, result.labels
        steps, restarts = len(result.path) - 1, result.losses.shape[1]
        how = {"by": "search", "steps": steps, "restarts": restarts, "seed": seed}
        words = f"projected, {restarts} searches of {steps} steps"
    addresses = [(seed, i) for i in range(len(x))]
    samples = model.decode_codes(codes, labels=labels, seeds=addresses, **sampling).tensor
    errors = (samples - x).square().flatten(1).mean(1).sqrt().tolist()
    classes = [None] * len(x) if labels is None else labels.tolist()
    coded = []
    for i, (photo, error) in enumerate(zip(photos, errors, strict=True)):
        log.warning("%s: %s; error of the reconstruction: %.3f (RMS)", photo.name, words, error)
        record = {**photo.identity, **how, "rmse": round(error, 6)}
        coded.append(CodedSample(codes[i], addresses[i], classes[i], record, photo))
    return coded


def can_encode(model: Latent, label: int | str | None, search: PhotoSearch) -> bool:
    """Whether the encoder alone gives the code: it says no class, and no search is asked for."""
    knows_class = label is not None or not model.num_classes
    return isinstance(model, Encoder) and knows_class and not _asked(search)


def _asked(search: PhotoSearch) -> SearchOptions:
    """The options of the search that are given."""
    options = SearchOptions()
    if (steps := search.get("search_steps")) is not None:
        options["steps"] = steps
    if (restarts := search.get("restarts")) is not None:
        options["restarts"] = restarts
    return options
