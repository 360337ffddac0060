"""The data that a model is compared with: its training data, found on this machine, or others."""

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from genzoo.data import register
from genzoo.data.arrays import source_of
from genzoo.data.dataset import Source
from genzoo.errors import BadInput
from genzoo.metrics.subjects import ModelSubject, Subject
from genzoo.runs.plan import form_of, open_dataset, other_form

log = logging.getLogger("genzoo")


@final
@dataclass(frozen=True)
class ReferenceData:
    """``given``: as in `genzoo.data.open`; ``name``: what a card calls it, which holds no path;
    ``form``: how it is opened; ``sha256``: of the training split, where a hash says which it is.
    """

    given: str | Path | Source
    name: str
    form: dict[str, Any] = field(default_factory=dict)
    sha256: str | None = None


def reference_data(
    subject: Subject,
    data: Any = None,
    root: str | Path | None = None,
) -> ReferenceData:
    """``data``, as `genzoo.data.arrays.source_of` takes them, by default what the model was
    trained on.

    A card can be anybody's: of its training data only a named data set is opened, or a folder that
    was used on this machine and has the same hash. Other ``data`` are taken as they are, with a
    warning where they are a folder as the training data are, but not the same. Raises BadInput.
    """
    facts = subject.model.provenance if isinstance(subject, ModelSubject) else {}
    own, sha256 = facts.get("data", ""), facts.get("data_sha256")
    if data is not None:
        return _given(subject, source_of(data), own, sha256, root)
    place = register.training_data(subject.name, own, sha256)
    if isinstance(place, str):
        return ReferenceData(place, place, training_form(subject))
    given = register.to_open(place.data)
    got = _hash_of(subject, given, place.form, root)
    if got is not None:
        register.check_unchanged(place.data, subject.name, sha256, got)
    return ReferenceData(given, own, place.form, sha256)


def _given(
    subject: Subject,
    data: str | Path | Source,
    own: str,
    sha256: str | None,
    root: str | Path | None,
) -> ReferenceData:
    """``data`` that the user chose; ``own``, ``sha256``: the card's training data."""
    name = register.label(data)
    is_set = isinstance(data, str) and data.startswith(register.IMAGES)
    has_hash = isinstance(data, Source) or register.holds_folder(data)
    named = bool(own) and register.is_named(own) and not register.find(sha256)
    if is_set or not has_hash or not sha256 or named:
        return ReferenceData(data, name, training_form(subject) if is_set else {})
    form = training_form(subject, beyond=False)
    got = _hash_of(subject, data, form, root)
    if got is None:
        return ReferenceData(data, name)
    if got == sha256:
        return ReferenceData(data, own, form, got)
    what = f"{name} is not the training data of {subject.name}"
    log.warning("%s (%s): the numbers compare with %s", what, register.hashes(sha256, got), name)
    return ReferenceData(data, name, form, got)


def training_form(subject: Subject, *, beyond: bool = True) -> dict[str, Any]:
    """How a model's training data were opened; with ``beyond`` {} where its config says all."""
    if not isinstance(subject, ModelSubject):
        return {}
    model = subject.model
    how = register.form_of(model.provenance.get("data_sha256"), model.data_form)
    if beyond and not how:
        return {}
    return {**form_of(model.kind, model.config.model_dump(mode="json")), **how}


def warn_of_form(subject: Subject, reference: ReferenceData, given: Mapping[str, Any]) -> None:
    """Warn of the options that open the data otherwise than for the training."""
    if text := other_form(subject.kind, reference.form, given):
        log.warning("the data are opened otherwise than for %s: %s", subject.name, text)


def _hash_of(
    subject: Subject, data: str | Path | Source, form: Mapping[str, Any], root: str | Path | None
) -> str | None:
    """The hash of ``data`` as the model's family opens them, in the ``form`` of the training; None
    if it cannot learn from them.
    """
    if not isinstance(subject, ModelSubject) or subject.model.origin is None:
        return None
    config = subject.model.config.model_dump(mode="json")
    with suppress(BadInput):
        where = None if root is None else Path(root)
        return open_dataset(subject.model.origin.family, data, {**config, **form}, where).sha256
    return None
