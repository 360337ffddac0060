"""Images that a visitor drops or paints on, in the form that a model takes, and as files."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps

from genzoo.errors import BadInput


def unpack_painting(
    painted: dict[str, Any] | None, shape: Sequence[int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """The image ``(1, C, H, W)`` in [0, 1] below the paint, and the mask: False where painted.

    Raises BadInput.
    """
    if not painted or painted.get("background") is None:
        raise BadInput("no image yet: take a sample, or drop one of your own")
    x = fitted(painted["background"], shape)
    paint = np.zeros(x.shape[2:], bool)
    for layer in painted["layers"]:
        alpha = ImageOps.fit(
            layer.getchannel("A"), (paint.shape[1], paint.shape[0]), Image.Resampling.BOX
        )
        paint |= np.array(alpha) > 127
    if not paint.any():
        raise BadInput("nothing is painted over: paint the part to fill in")
    return x, torch.from_numpy(~paint)


def fitted(picture: Image.Image, shape: Sequence[int]) -> torch.Tensor:
    """An image's centre square at a model's size and channels: ``(1, C, H, W)`` in [0, 1]."""
    channels, height, width = shape
    flat = Image.new("RGB", picture.size, "white")
    flat.paste(picture, mask=picture.getchannel("A") if picture.mode == "RGBA" else None)
    flat = ImageOps.fit(
        flat.convert("L" if channels == 1 else "RGB"), (width, height), Image.Resampling.BOX
    )
    pixels = np.array(flat, np.float32).reshape(height, width, channels) / 255
    return torch.from_numpy(pixels).permute(2, 0, 1)[None]


def values_png(values: torch.Tensor) -> bytes:
    """An image ``(C, H, W)`` in [0, 1] as a PNG without a record."""
    pixels = (values * 255).round().byte().permute(1, 2, 0).numpy()
    return png_bytes(Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels))


def png_bytes(picture: Image.Image) -> bytes:
    """A picture that is no sample, as a PNG without a record.

    The page gets files, not pictures: gradio would write a picture anew at each visit, into the
    file that it sends to another visitor.
    """
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()
