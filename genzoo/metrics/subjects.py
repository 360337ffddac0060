"""What a metric measures: the samples of a model, or the images of a folder."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
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
    """A source of images; each call of ``stream`` yields the same ones."""

    name: str

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """The shape of one image."""

    @abstractmethod
    def stream(self, n: int, seed: int) -> Iterator[Tensor]:
        """Batches ``(k, C, H, W)`` of ``n`` images in 256 levels of [0, 1]. Raises BadInput."""

    @abstractmethod
    def protocol(self, seed: int) -> dict[str, Any]:
        """What its images depend on, for the protocol of a score."""


@final
class ModelSubject(Subject):
    """The samples of a model. ``folder``: the one that it was loaded from, with its discriminator.

    ``sampling``: settings of ``sample``, such as ``{"truncation": 0.7}``.
    """

    def __init__(
        self,
        name: str,
        model: Model,
        folder: Path | None = None,
        sampling: Mapping[str, Any] | None = None,
    ):
        self.name, self.model, self.folder = name, model, folder
        self.sampling = {**(sampling or {})}

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.model.shape)

    def stream(self, n: int, seed: int) -> Iterator[Tensor]:
        model = self.sampler
        labels = random_classes(model, n, seed)
        how: Any = {"seed": seed, "batch_size": BATCH}
        for samples in model.stream(n, labels=labels, **how, **self.sampling):
            x = samples.tensor.cpu()
            if not torch.isfinite(x).all():
                first = samples.seeds[int((~torch.isfinite(x)).flatten(1).any(1).nonzero()[0])]
                raise OperationFailed(
                    f"{self.name} generated values that are not finite: (seed, index) {first}"
                )
            yield x.clamp(0, 1).mul(255).round().div(255)

    def protocol(self, seed: int) -> dict[str, Any]:
        return {"seed": seed, "pixels": "8 bits", **self.sampling}

    @property
    def sampler(self) -> Sampler:
        """Raises BadInput."""
        if not isinstance(self.model, Sampler):
            raise BadInput(f"{self.name} does not sample: it is {article(self.model)}")
        if not self.model.is_images:
            shape = "x".join(map(str, self.model.shape))
            raise BadInput(f"{self.name} generates {shape}, which are not images")
        return self.model

    def discriminator(self) -> Discriminator:
        """The discriminator from the model's folder. Raises BadInput if there is none."""
        if self.folder is None:
            raise BadInput(f"{self.name} was not loaded from a folder, so it has no discriminator")
        sha256 = manifest.read_manifest(self.folder).discriminator_sha256
        if sha256 and not (self.folder / manifest.DISCRIMINATOR).exists():
            raise DataMissing(
                f"the discriminator of {self.name} is missing: it is in the model's repository, "
                f"not in the package"
            )
        network = folders.load_discriminator(self.folder, self.model.device)
        assert isinstance(network, Discriminator)
        return network


@final
class DatasetSubject(Subject):
    """The images of a data set, in random order."""

    def __init__(self, name: str, dataset: DataSet):
        self.name, self.dataset = name, dataset

    @property
    def shape(self) -> tuple[int, ...]:
        return self.dataset.shape

    def stream(self, n: int, seed: int) -> Iterator[Tensor]:
        count = len(self.dataset)
        if n > count:
            raise BadInput(f"{self.name} has {count:,} images, got n {n:,}: -n {count} takes all")
        order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))[:n]
        yield from rows_of(self.dataset, order.numpy())

    def protocol(self, seed: int) -> dict[str, Any]:
        return {"seed": seed, "pixels": "8 bits"}


def random_classes(model: Sampler, n: int, seed: int) -> Tensor | None:
    """``(n,)`` random classes for a class-conditional model, else None.

    Classes in turn would make samples dependent, and distances smaller than those of real samples.
    """
    if not model.num_classes:
        return None
    return (Noise(seed, range(n), "classes").uniform() * model.num_classes).long()
