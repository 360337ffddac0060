"""Origin: which model drew samples."""

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True)
class Origin:
    """The origin of a model; ``load`` sets it, and image files contain it.

    ``revision``: the commit on the Hub. ``version``: which model of this name it is, by its card.
    """

    model: str
    family: str
    weights_sha256: str
    revision: str | None = None
    version: int = 1
