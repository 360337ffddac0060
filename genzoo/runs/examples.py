"""The images that a translator stores with its weights: of its data, or a model's samples."""

import numpy as np
import torch

from genzoo.data.dataset import DataSet
from genzoo.data.transforms import TRANSFORMS, split_name
from genzoo.errors import BadInput
from genzoo.models.abilities import Translator
from genzoo.models.randomness import stream
from genzoo.models.sampler import Sampler
from genzoo.options import Options, TranslatorOptions
from genzoo.zoo.names import load


def fill_examples(model: Translator, dataset: DataSet, options: Options, seed: int) -> None:
    """Store images of the first domain with the model, which ``sample`` translates. Raises BadInput
    if ``options.examples_from`` is no sampler of the model's shape, and as `genzoo.load`.
    """
    if isinstance(options, TranslatorOptions) and options.examples_from:
        pixels = _samples_of(options.examples_from, model)
        if kind := split_name(dataset.name)[1]:
            pixels = TRANSFORMS[kind].change(pixels).astype(np.uint8)
    else:
        order = stream(seed, "examples").permutation(len(dataset))
        rows = np.resize(order, len(model.examples))  # a small set begins again
        pixels = dataset.array[rows]
    model.examples.copy_(torch.from_numpy(pixels))


def _samples_of(name: str, model: Translator) -> np.ndarray:
    """The first samples of the model ``name``: uint8 ``(k, *shape)``, as many as the examples."""
    source = load(name, device="cpu")
    expected, got = ("x".join(map(str, m.shape)) for m in (model, source))
    if not isinstance(source, Sampler) or got != expected:
        got = f"{type(source).__name__} of {got}"
        raise BadInput(f"examples_from: expected a sampler of {expected}, got {got}")
    pixels = source.sample(len(model.examples)).tensor * 255
    return pixels.round().to(torch.uint8).numpy()
