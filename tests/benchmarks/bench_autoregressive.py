"""A PixelCNN's sample() in full forward passes of the same batch: one a value is what is naive.

Seven layers of 64 maps, 256 levels, 28 x 28 pixels or 32 x 32 in colour, random weights; noise is
in the sampler's time.
"""

import math
import statistics
import time

import torch

from genzoo import families
from genzoo.models.inference import inference_copy
from genzoo.models.randomness import Noise

GREY, COLOUR = (1, 28, 28), (3, 32, 32)
ROUNDS = {(GREY, 1): 9, (GREY, 16): 5, (GREY, 64): 5, (COLOUR, 1): 5, (COLOUR, 16): 5}


def main() -> None:
    torch.set_num_threads(1)
    family = families.get("pixelcnn")
    for (shape, n), rounds in ROUNDS.items():
        model = inference_copy(family.model(family.config(shape=shape)).eval())
        x = Noise(0, range(n)).uniform(*model.shape) * 2 - 1
        found = []
        for _ in range(rounds):
            # Several passes, as one of them is too short to time.
            passes = max(1, 16 // n)
            each = [x] * passes
            forward = _cpu(lambda m=model, xs=each: [m.logits(x, None) for x in xs]) / passes
            noise = Noise(0, range(n))
            found.append(_cpu(lambda m=model, z=noise: m.generate(z, None, m.sampling())) / forward)
        low, high = min(found), max(found)
        median = statistics.median(found)
        what = f"{'x'.join(map(str, shape))}, batch {n}"
        naive = math.prod(shape)
        print(f"{what}: {median:.2f} [{low:.2f}, {high:.2f}] forward passes, naive {naive:,}")


@torch.no_grad()
def _cpu(call) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began


if __name__ == "__main__":
    main()
