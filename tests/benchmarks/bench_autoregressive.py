"""A PixelCNN's sample() in full forward passes of the same batch: a naive sampler takes 784.

Seven layers of 64 maps, 28 x 28 pixels, 256 levels, random weights; noise is in the sampler's time.
"""

import statistics
import time

import torch

from genzoo import families
from genzoo.models.inference import inference_copy
from genzoo.models.randomness import Noise

ROUNDS = {1: 9, 16: 5, 64: 5}


def main() -> None:
    torch.set_num_threads(1)
    family = families.get("pixelcnn")
    model = inference_copy(family.model(family.config()).eval())
    for n, rounds in ROUNDS.items():
        x = Noise(0, range(n)).uniform(*model.shape) * 2 - 1
        found = []
        for _ in range(rounds):
            # Several passes, as one of them is too short to time.
            passes = max(1, 16 // n)
            forward = _cpu(lambda x=x, k=passes: [model.logits(x, None) for _ in range(k)]) / passes
            found.append(
                _cpu(lambda n=n: model.generate(Noise(0, range(n)), None, model.sampling()))
                / forward
            )
        low, high = min(found), max(found)
        median = statistics.median(found)
        print(f"batch {n}: {median:.2f} [{low:.2f}, {high:.2f}] forward passes, naive 784")


@torch.no_grad()
def _cpu(call) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began


if __name__ == "__main__":
    main()
