"""The sharpness of images."""

import torch
import torch.nn.functional as F
from torch import Tensor

LAPLACIAN = ((0.0, 1.0, 0.0), (1.0, -4.0, 1.0), (0.0, 1.0, 0.0))


def sharpness(x: Tensor) -> Tensor:  # (n, C, H, W) in [0, 1] -> (n,)
    """The variance of the Laplacian of the channels' mean (Pech-Pacheco et al. 2000, section 2)."""
    kernel = torch.tensor(LAPLACIAN, device=x.device)[None, None]
    return F.conv2d(x.float().mean(1, keepdim=True), kernel).flatten(1).var(1)
