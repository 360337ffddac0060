"""Seen: what a model's discriminator, or its encoder, sees in images."""

import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from genzoo.errors import BadInput
from genzoo.files import check_new, write_whole
from genzoo.metrics.probe_metrics import seer
from genzoo.metrics.statistics import linear_probe
from genzoo.metrics.subjects import ModelSubject
from genzoo.models.abilities import Encoder
from genzoo.models.model import Model, finite_input
from genzoo.models.samples import Samples
from genzoo.zoo import manifest
from genzoo.zoo import names as model_names


def extract_features(
    model: str | Path | Model,
    images: Samples | Tensor | np.ndarray,
    *,
    batch_size: int = 250,
    device: "str | torch.device" = "auto",
) -> np.ndarray:
    """What the model sees in ``images``, ``(n, *shape)`` in [0, 1]: float32 ``(n, d)``.

    The maps of its discriminator, each max-pooled to 4x4, side by side (Radford et al. 2016,
    section 5.1); where it has none, an `Encoder`'s codes. A model in memory has no discriminator:
    give its name or folder. Raises BadInput, and as ``load``.
    """
    who = _subject(model, device)
    x = finite_input(who.model, images)
    if type(batch_size) is not int or batch_size < 1:
        raise BadInput(f"batch_size must be a whole number of at least 1, got {batch_size!r}")
    sees = _sees(who)
    with torch.no_grad():
        parts = [linear_probe.pooled(sees(part)).float().cpu() for part in x.split(batch_size)]
    return torch.cat(parts).numpy()


def seen_by(model: str | Path | Model, device: "str | torch.device" = "auto") -> tuple[int, ...]:
    """The shape of the images that it sees. Raises as ``features``."""
    return tuple(_subject(model, device).model.shape)


def _subject(model: str | Path | Model, device: "str | torch.device") -> ModelSubject:
    if isinstance(model, Model):
        name = model.origin.model if model.origin else type(model).__name__
        return ModelSubject(name, model)
    loaded, folder = model_names.load(model, device=device), model_names.find(model)
    return ModelSubject(str(model), loaded, model_names.with_discriminator(model, folder))


def _sees(who: ModelSubject) -> linear_probe.Features:
    if not isinstance(who.model, Encoder):
        try:
            who.discriminator()
        except BadInput as error:
            trained = {n for n in model_names.model_names() if _judged(n)} | {
                *model_names.able(Encoder)
            }
            who_does = f"{', '.join(sorted(trained))} do"
            raise BadInput(f"{error}, and it encodes nothing; {who_does}") from None
    return seer(who)


def _judged(name: str) -> bool:
    return (model_names.cards_folder() / name / manifest.DISCRIMINATOR).exists()


def check_target(path: Path, force: bool = False) -> None:
    """Whether features can be written to ``path``. Raises BadInput."""
    check_new(path, [".safetensors", ".npy"], force)


def write(path: Path, found: np.ndarray, files: Sequence[Path], *, force: bool = False) -> None:
    """Write features ``(n, d)`` as an array; safetensors also say of which ``files``."""
    from safetensors.numpy import save

    check_target(path, force)
    if path.suffix == ".safetensors":
        names = json.dumps([str(file) for file in files])
        write_whole(path, save({"features": np.ascontiguousarray(found)}, {"files": names}))
        return
    buffer = io.BytesIO()
    np.save(buffer, found, allow_pickle=False)
    write_whole(path, buffer.getvalue())
