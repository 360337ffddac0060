"""sample() against the plain eager forward of the same generator in evaluation mode.

And what it takes beyond the forward of its private copy: noise, checks, and the look whether a
weight changed. The networks are those of the models of the zoo, with random weights.
"""

import statistics
from collections.abc import Callable

import torch
from paired import cpu, ratio

from genzoo import families
from genzoo.models.inference import inference_copy

MNIST = {
    "gan": {"generator_units": 800},
    "vae": {"network": "mlp", "width": 320},
    "dcgan": {"channels": 1, "size": 28, "latent_dim": 32, "dense_units": (192, 192, 192, 88)},
}
ROUNDS = {1: 40, 64: 10}  # calls in a row, as one is too short to time


def main() -> None:
    for name, config in MNIST.items():
        measure(f"{name}, 28 px", name, config, (1, 64))
    measure("dcgan, 64 px", "dcgan", {"channels": 3, "size": 64}, (1, 64))
    sagan = {"shape": (3, 32, 32), "classes": 10, "width": 24, "attention_resolution": 16}
    measure("sagan, 32 px", "sagan", sagan, (1, 16))


@torch.no_grad()
def measure(title: str, name: str, config: dict, batches: tuple[int, ...]) -> None:
    family = families.get(name)
    model = family.model(family.config(**config)).eval()
    for n in batches:
        codes, labels = model.codes(n), model.labels_for(None, n)
        repeat = ROUNDS.get(n, 10)
        ours = repeated(lambda n=n: model.sample(n), repeat)
        eager = repeated(lambda c=codes, y=labels: eager_decode(model, c, y), repeat)
        ratio(f"{title}, batch {n}, sample against eager", ours, eager, 15)
        private = inference_copy(model)
        plain = repeated(lambda c=codes, y=labels, p=private: p.decode(c, y), repeat)
        beyond = [1e6 * (cpu(ours) - cpu(plain)) / repeat for _ in range(15)]
        low, high = min(beyond), max(beyond)
        median = statistics.median(beyond)
        print(f"{title}, batch {n}, beyond the decode: {median:.0f} us [{low:.0f}, {high:.0f}]")


@torch.enable_grad()  # as a user's call has it
def eager_decode(model: torch.nn.Module, codes: torch.Tensor, labels: torch.Tensor | None):
    return model.decode(codes, labels)


def repeated(call: Callable[[], object], times: int) -> Callable[[], None]:
    def calls() -> None:
        for _ in range(times):
            call()

    return calls


if __name__ == "__main__":
    main()
