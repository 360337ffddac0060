"""Which samples to edit: samples by their addresses, photos, or codes.

A sample has an address, ``SEED`` or ``SEED:INDEX``: 3 is what ``sample(1, seed=3)`` draws, 0:17
what ``sample(1, seed=0, start=17)`` draws. Numbered sheets print these addresses.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Union, final

import torch
from torch import Tensor

from genzoo.editing.notation import SampleAddress, check_sample, is_list, listed, parse_addresses
from genzoo.editing.photos import (
    CodedSample,
    Photo,
    PhotoLike,
    PhotoSearch,
    can_encode,
    encode_photos,
    read_photos,
)
from genzoo.errors import BadInput, argument
from genzoo.models.checks import shape_text
from genzoo.models.sampler import Latent
from genzoo.models.samples import Samples

SampleLike = Union[
    int, str, PhotoLike, "Selection", Sequence[int | SampleAddress | str | PhotoLike]
]
ROUNDING = 8 / 255  # by which a model's results differ at most from one dtype to another
RECONSTRUCTION = "reconstruction"  # the caption of a sample of a photo's code


@final
@dataclass(frozen=True, eq=False)
class Selection:
    """What to edit: addresses and photos, in their order, or else ``codes`` ``(k, code)``."""

    entries: tuple[SampleAddress | Photo | CodedSample, ...]
    codes: Tensor | None = None

    def __len__(self) -> int:
        return len(self.entries if self.codes is None else self.codes)

    @property
    def photos(self) -> list[Photo]:
        return [entry for entry in self.entries if isinstance(entry, Photo)]


def select(model: Latent, sample: SampleLike) -> Selection:
    """What ``sample`` names: addresses, photos, a list of both, or codes ``(k, code)``.

    Text is a list of addresses, such as ``0:3,17``, or a file or a folder of pictures. Files are
    read, but their codes are not yet computed. Samples that the model drew have the codes of their
    seeds; other samples are photos. Raises BadInput.
    """
    if isinstance(sample, Selection):
        return sample
    if isinstance(sample, Tensor) and sample.ndim < 3:
        return Selection((), _checked_codes(model, sample))
    entries: list[SampleAddress | Photo | CodedSample] = []
    for one in [sample] if isinstance(sample, int | str | PhotoLike) else listed(sample):
        if isinstance(one, str):
            check_sample(one)
        if isinstance(one, str) and is_list(one):
            entries += parse_addresses(one)
        elif isinstance(one, Samples) and (own := drawn_by(model, one)):
            entries += own
        elif isinstance(one, str | PhotoLike):
            entries += read_photos(model, one)
        else:
            entries += parse_addresses([one])
    if not entries:
        raise BadInput("no samples given: expected seeds like 3,17 or 0:3,17, or a picture")
    return Selection(tuple(entries))


def drawn_by(model: Latent, samples: Samples) -> list[CodedSample]:
    """``samples`` with the codes that the model drew them from; [] if it is not found to have
    drawn them: it draws them again, and compares.
    """
    call, seeds = samples.call or {}, samples.seeds
    if call.get("method") != "sample" or len(seeds) != len(samples) or not seeds:
        return []
    if samples.origin != model.origin or samples.tensor.shape[1:] != tuple(model.shape):
        return []
    settings = dict(call.get("sampling") or {})
    try:
        codes = torch.cat([model.codes(1, seed=s, start=i, **settings) for s, i in seeds])
        again = model.decode_codes(codes, labels=samples.labels, seeds=seeds, **settings).tensor
    except BadInput:  # of another model: other settings, other classes
        return []
    if (again - samples.tensor.to(again)).abs().max() > ROUNDING:
        return []
    labels = [None] * len(seeds) if samples.labels is None else samples.labels.tolist()
    changed = settings != model.checked_sampling({}).model_dump(mode="json")
    records: list[Any] = [[*pair, settings] if changed else [*pair] for pair in seeds]
    return [*map(CodedSample, codes, seeds, labels, records)]


def _checked_codes(model: Latent, codes: Tensor) -> Tensor:
    if codes.ndim != 2 or codes.shape[1] != model.latent_dim:
        expected = f"expected codes of shape {shape_text([model.latent_dim], 'n')}"
        raise BadInput(f"{expected}, got {shape_text(codes.shape)}")
    return codes.to(model.device, torch.float32)


@final
@dataclass(frozen=True, eq=False)
class Resolved:
    """What to edit: codes ``(k, code)``, their addresses, and the label that all have.

    ``record``: what they are, for the record of an image. ``photos``: which of them are photos.
    """

    codes: Tensor
    addresses: list[SampleAddress]
    label: int | str | None
    record: Any
    photos: Mapping[int, Photo]

    @property
    def names(self) -> list[str]:
        """What each is called in a picture: no file's name, which may tell too much."""
        if self.record == "codes":
            return [f"code {i + 1}" for i in range(len(self.codes))]
        several, named = len(self.photos) > 1, []
        for i, address in enumerate(self.addresses):
            number = f" {[*self.photos].index(i) + 1}" if several and i in self.photos else ""
            named.append(f"photo{number}" if i in self.photos else "{}:{}".format(*address))
        return named

    def recorded(self, key: str) -> dict[str, Any]:
        """The record under ``key``, and the number of photos, if there are any."""
        count = {"photos": len(self.photos)} if self.photos else {}
        return {key: self.record, **count}

    def pairs(self, model: Latent, sampling: Mapping[str, Any] | None) -> Tensor:
        """``(k, 2, *shape)``: each photo and its reconstruction; a sample stands for both."""
        drawn = model.decode_codes(
            self.codes, labels=self.label, seeds=self.addresses, **(sampling or {})
        ).tensor
        originals = drawn.clone()
        for row, photo in self.photos.items():
            originals[row] = photo.values
        return torch.stack([originals, drawn], 1)


def resolve(
    model: Latent,
    samples: SampleLike,
    label: int | str | None,
    sampling: Mapping[str, Any] | None = None,
    search: PhotoSearch | None = None,
) -> Resolved:
    """The codes of ``samples``, which are as `select` takes them, and the label of all of them.

    Codes have the addresses of seed 0. ``sampling``: the settings of the samples. ``search``: how
    the codes of photos are searched. Raises BadInput.
    """
    chosen, how, search = select(model, samples), sampling or {}, search or {}
    if label is not None or not model.num_classes:
        model.labels_for(label, 1)  # raises if the label is wrong
    check_search(model, [chosen], label, search)
    if chosen.codes is not None:
        addresses = [(0, i) for i in range(len(chosen))]
        common = _common_class(model, label, [_own_label(model, i) for _, i in addresses])
        return Resolved(chosen.codes, addresses, common, "codes", {})
    photos = chosen.photos
    encoded = iter(encode_photos(model, photos, label, how, search) if photos else [])
    coded = [
        next(encoded) if isinstance(entry, Photo) else _drawn(model, entry, how)
        for entry in chosen.entries
    ]
    return Resolved(
        torch.stack([one.code for one in coded]),
        [one.address for one in coded],
        _common_class(model, label, [one.label for one in coded]),
        [one.record for one in coded],
        {i: one.photo for i, one in enumerate(coded) if one.photo},
    )


def _drawn(
    model: Latent, sample: SampleAddress | CodedSample, sampling: Mapping[str, Any]
) -> CodedSample:
    if isinstance(sample, CodedSample):
        return sample
    seed, index = address = sample
    code = model.codes(1, seed=seed, start=index, **sampling)[0]
    return CodedSample(code, address, _own_label(model, index), [*address])


def _own_label(model: Latent, index: int) -> int | None:
    """The class that ``sample`` gives to a sample."""
    return index % model.num_classes if model.num_classes else None


def check_search(
    model: Latent, chosen: Sequence[Selection], label: int | str | None, search: PhotoSearch
) -> None:
    """Refuse options of a search where there is none. Raises BadInput."""
    given = [key for key, value in search.items() if value is not None]
    if given and not any(selection.photos for selection in chosen):
        names = " and ".join(map(argument, given))
        raise BadInput(f"{names} would have no effect: there is no photo whose code is searched")
    if given == ["search_seed"] and can_encode(model, label, search):
        raise BadInput(
            f"{argument('search_seed')} would have no effect: the encoder gives the codes of "
            f"photos; with {argument('search_steps')} a search begins there"
        )


def _common_class(
    model: Latent, label: int | str | None, own: Sequence[int | None]
) -> int | str | None:
    """``label``, or the class of all with the numbers ``own``. Raises BadInput if they differ."""
    given = None if label is None else model.labels_for(label, 1)
    numbers = own if given is None else given.tolist()
    # By their names: a number may be the name of another class.
    names = model.class_names
    return common_label([k if k is None or not names else names[k] for k in numbers])


def common_label(labels: Sequence[int | str | None]) -> int | str | None:
    """The label that all have. Raises BadInput if they differ."""
    if len(distinct := list(dict.fromkeys(labels))) < 2:
        return next(iter(distinct), None)
    classes = " and ".join(map(str, distinct))
    raise BadInput(f"these samples are of classes {classes}: choose one with {argument('label')}")
