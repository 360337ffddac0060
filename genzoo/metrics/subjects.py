"""Subjects: what is measured, a model or the images of a folder."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from genzoo.data.dataset import DataSet
from genzoo.errors import BadInput, DataMissing, OperationFailed, article
from genzoo.metrics.real_data import rows_of
from genzoo.models.model import Discriminator, Model
from genzoo.models.randomness import Noise
from genzoo.models.sampler import Sampler
from genzoo.zoo import folder as folders
from genzoo.zoo import manifest

BATCH = 250


class Subject(ABC):
    """Something that images come from; each call of ``stream`` gives the same ones."""

    name: str

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Of an image."""

    @abstractmethod
    def stream(self, n: int, seed: int) -> Iterator[Tensor]:
        """``n`` images in 256 levels, in batches ``(k, C, H, W)`` in [0, 1]. Raises BadInput."""

    @abstractmethod
    def told(self, seed: int) -> dict[str, Any]:
        """What its images depend on, for a protocol."""


@final
class ModelSubject(Subject):
    """What a model draws. ``folder``: where it was loaded from, and its discriminator is.

    ``truncation``: as ``sample`` takes it.
    """

    def __init__(
        self, name: str, model: Model, folder: Path | None = None, truncation: float | None = None
    ):
        self.name, self.model, self.folder = name, model, folder
        self.truncation = truncation

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.model.shape)

    def stream(self, n: int, seed: int) -> Iterator[Tensor]:
        model = self.sampler
        labels = classes_for(model, n, seed)
        told: Any = {"seed": seed, "truncation": self.truncation, "batch_size": BATCH}
        for samples in model.stream(n, labels=labels, **told):
            x = samples.tensor.cpu()
            if not torch.isfinite(x).all():
                first = samples.seeds[int((~torch.isfinite(x)).flatten(1).any(1).nonzero()[0])]
                raise OperationFailed(
                    f"{self.name} drew values that are not finite: (seed, index) {first}"
                )
            yield x.clamp(0, 1).mul(255).round().div(255)

    def told(self, seed: int) -> dict[str, Any]:
        truncated = {"truncation": self.truncation} if self.truncation else {}
        return {"seed": seed, "pixels": "8 bits", **truncated}

    @property
    def sampler(self) -> Sampler:
        """Raises BadInput."""
        if not isinstance(self.model, Sampler):
            raise BadInput(f"{self.name} does not sample: it is {article(self.model)}")
        if not self.model.is_images:
            shape = "x".join(map(str, self.model.shape))
            raise BadInput(f"{self.name} draws {shape}, which are no images")
        return self.model

    def discriminator(self) -> Discriminator:
        """The other player, from the model's folder. Raises BadInput where there is none."""
        if self.folder is None:
            raise BadInput(
                f"{self.name} was not loaded from a folder: its discriminator is unknown"
            )
        told = manifest.read_manifest(self.folder).discriminator_sha256
        if told and not (self.folder / manifest.DISCRIMINATOR).exists():
            where = "it is in the model's repository, not in the package"
            raise DataMissing(f"{self.name}'s discriminator is not here: {where}")
        network = folders.load_discriminator(self.folder, self.model.device)
        assert isinstance(network, Discriminator)
        return network


@final
class DatasetSubject(Subject):
    """The images of a data set, in an order that the seed chooses."""

    def __init__(self, name: str, dataset: DataSet):
        self.name, self.dataset = name, dataset

    @property
    def shape(self) -> tuple[int, ...]:
        return self.dataset.shape

    def stream(self, n: int, seed: int) -> Iterator[Tensor]:
        there = len(self.dataset)
        if n > there:
            raise BadInput(f"{self.name} holds {there:,} images, got n {n:,}: -n {there} takes all")
        order = torch.randperm(there, generator=torch.Generator().manual_seed(seed))[:n]
        yield from rows_of(self.dataset, order.numpy())

    def told(self, seed: int) -> dict[str, Any]:
        return {"seed": seed, "pixels": "8 bits"}


def classes_for(model: Sampler, n: int, seed: int) -> Tensor | None:
    """``(n,)`` classes at random, for a model that takes them: in turn, samples would not be
    independent, and distances less than a real sample's."""
    if not model.num_classes:
        return None
    return (Noise(seed, range(n), "classes").uniform() * model.num_classes).long()
