"""What a metric measures: the samples of a model, or those of a data set."""

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
from genzoo.models.ranges import PUBLIC
from genzoo.models.sampler import Labels, Sampler
from genzoo.models.samples import Samples
from genzoo.schemas import Kind
from genzoo.zoo import folder as folders
from genzoo.zoo import manifest

BATCH = 250


class Subject(ABC):
    """A source of samples; each call of ``stream`` yields the same ones."""

    name: str

    @property
    @abstractmethod
    def kind(self) -> Kind:
        """The kind of its samples."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample."""

    @property
    @abstractmethod
    def rate(self) -> int:
        """Samples a second of its signals; 0 for other kinds."""

    @final
    @property
    def form(self) -> dict[str, int]:
        """How real signals are opened to be compared with its own; {} for other kinds."""
        if self.kind != "signals":
            return {}
        channels, length = self.shape
        return {"channels": channels, "length": length, "rate": self.rate}

    @abstractmethod
    def stream(self, n: int, seed: int) -> Iterator[Tensor]:
        """``n`` samples in batches ``(k, *shape)``: images in 256 levels of [0, 1], signals in the
        16 bits of files. Raises BadInput.
        """

    @abstractmethod
    def protocol(self, seed: int) -> dict[str, Any]:
        """What its samples depend on, for the protocol of a score."""


@final
class ModelSubject(Subject):
    """The samples of a model. ``folder``: the one that it was loaded from, with its discriminator.

    ``sampling``: settings of ``sample``, such as ``{"truncation": 0.7}``; only those that differ
    from the model's defaults stay. ``has_sampled``: whether a metric has asked for samples, which
    these settings change. Raises BadInput.
    """

    def __init__(
        self,
        name: str,
        model: Model,
        folder: Path | None = None,
        sampling: Mapping[str, Any] | None = None,
    ):
        self.name, self.model, self.folder = name, model, folder
        self.sampling, self.has_sampled = _settings(self, sampling or {}), False

    @property
    def kind(self) -> Kind:
        return self.model.kind

    @property
    def rate(self) -> int:
        return self.model.rate if self.kind == "signals" else 0

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.model.shape)

    def stream(self, n: int, seed: int) -> Iterator[Tensor]:
        for samples in self.samples(n, seed, random_classes(self.sampler, n, seed)):
            yield _stored(self.kind, samples.tensor.cpu())

    def samples(self, n: int, seed: int, labels: Labels = None) -> Iterator[Samples]:
        """Batches of ``n`` samples, with this subject's settings. Raises BadInput, and
        OperationFailed for values that are not finite.
        """
        self.has_sampled = True
        how: Any = {"seed": seed, "batch_size": BATCH, **self.sampling}
        return map(self.checked, self.sampler.stream(n, labels=labels, **how))

    def checked(self, samples: Samples) -> Samples:
        """``samples``, which the model gave. Raises OperationFailed for values not finite."""
        if len(wrong := (~torch.isfinite(samples.tensor)).flatten(1).any(1).nonzero()):
            first = samples.seeds[int(wrong[0])]
            raise OperationFailed(
                f"{self.name} generated values that are not finite: (seed, index) {first}"
            )
        return samples

    def protocol(self, seed: int) -> dict[str, Any]:
        # Only what is unusual of the execution, so that other scores compare with older ones.
        unusual = {f"model {key}": value for key, value in self.model.execution.record().items()}
        return {"seed": seed, **_precision(self.kind), **unusual}

    @property
    def sampler(self) -> Sampler:
        """Raises BadInput."""
        if not isinstance(self.model, Sampler):
            raise BadInput(f"{self.name} does not sample: it is {article(self.model)}")
        return self.model

    def discriminator(self) -> Discriminator:
        """The discriminator from the model's folder. Raises BadInput if there is none."""
        if self.folder is None:
            how = "is a model in memory, without a discriminator (give its name or folder)"
            raise BadInput(f"{self.name} {how}")
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
    """The samples of a data set, in random order."""

    def __init__(self, name: str, dataset: DataSet):
        self.name, self.dataset = name, dataset

    @property
    def kind(self) -> Kind:
        return self.dataset.kind

    @property
    def rate(self) -> int:
        return self.dataset.rate

    @property
    def shape(self) -> tuple[int, ...]:
        return self.dataset.shape

    def stream(self, n: int, seed: int) -> Iterator[Tensor]:
        count = len(self.dataset)
        if n > count:
            raise BadInput(
                f"{self.name} has {count:,} {self.kind}, got n {n:,}: -n {count} takes all"
            )
        order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))[:n]
        yield from rows_of(self.dataset, order.numpy())

    def protocol(self, seed: int) -> dict[str, Any]:
        return {"seed": seed, **_precision(self.kind)}


def _stored(kind: Kind, x: Tensor) -> Tensor:
    """Samples as files hold them."""
    if kind == "points":
        return x
    levels = 255 if kind == "images" else 32767
    low, high = PUBLIC[kind] or (0.0, 0.0)
    return x.clamp(low, high).mul(levels).round().div(levels)


def _precision(kind: Kind) -> dict[str, str]:
    """What ``_stored`` does, for a protocol."""
    return {"images": {"pixels": "8 bits"}, "signals": {"amplitudes": "16 bits"}}.get(kind, {})


def _settings(subject: ModelSubject, sampling: Mapping[str, Any]) -> dict[str, Any]:
    """Those of ``sampling`` that differ from the model's defaults, checked. Raises BadInput."""
    if not sampling:
        return {}
    record = subject.sampler.checked_sampling(sampling)
    return record.model_dump(mode="json", exclude_defaults=True)


def random_classes(model: Sampler, n: int, seed: int) -> Tensor | None:
    """``(n,)`` random classes for a class-conditional model, else None.

    Classes in turn would make samples dependent, and distances smaller than those of real samples.
    """
    if not model.num_classes:
        return None
    return (Noise(seed, range(n), "classes").uniform() * model.num_classes).long()
