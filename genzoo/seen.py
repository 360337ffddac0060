"""Seen: what a model's discriminator, or its encoder, sees in images."""

import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from genzoo import cards, completing, store
from genzoo.errors import BadInput
from genzoo.files import check_new, write_whole
from genzoo.metrics import probing
from genzoo.metrics.representation import seer
from genzoo.metrics.subjects import Drawn
from genzoo.models import Encoder, Model
from genzoo.samples import Samples


def features(
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
    x = completing.checked(who.model, images)
    if type(batch_size) is not int or batch_size < 1:
        raise BadInput(f"batch_size must be a whole number of at least 1, got {batch_size!r}")
    sees = _sees(who)
    with torch.no_grad():
        parts = [probing.pooled(sees(part)).float().cpu() for part in x.split(batch_size)]
    return torch.cat(parts).numpy()


def seen_by(model: str | Path | Model, device: "str | torch.device" = "auto") -> tuple[int, ...]:
    """The shape of the images that it sees. Raises as ``features``."""
    return tuple(_subject(model, device).model.shape)


def _subject(model: str | Path | Model, device: "str | torch.device") -> Drawn:
    if isinstance(model, Model):
        name = model.origin.model if model.origin else type(model).__name__
        return Drawn(name, model)
    loaded, folder = cards.load(model, device=device), cards.find(model)
    return Drawn(str(model), loaded, completing.with_discriminator(model, folder))


def _sees(who: Drawn) -> probing.Features:
    if not isinstance(who.model, Encoder):
        try:
            who.discriminator()
        except BadInput as error:
            trained = {n for n in cards.names() if _judged(n)} | {*cards.able(Encoder)}
            who_does = f"{', '.join(sorted(trained))} do"
            raise BadInput(f"{error}, and it encodes nothing; {who_does}") from None
    return seer(who)


def _judged(name: str) -> bool:
    return (cards.home() / name / store.DISCRIMINATOR).exists()


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
