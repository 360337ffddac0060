"""Options that belong together: a command that takes a group has the options of its fields."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, final

from genzoo.cli.app import parse_labels, parse_settings
from genzoo.cli.options import (
    DATA,
    PHOTOS,
    Label,
    Restarts,
    Root,
    Settings,
    option,
    parse_seed,
    parse_size,
)


@final
@dataclass(frozen=True)
class Sampling:
    """What samples are drawn: of which class, with which settings."""

    label: Label = None
    settings: Settings = None

    @property
    def values(self) -> dict[str, Any]:
        """The settings by name. Raises BadInput."""
        return parse_settings(self.settings)

    def labels(self, classes: Sequence[str]) -> list[str] | str | None:
        """The class for all samples, or one for each, by turns."""
        return parse_labels(self.label, classes)

    def arguments(self) -> dict[str, Any]:
        """Those of a function that takes one class. Raises BadInput."""
        return {"label": self.label, "sampling": self.values}


@final
@dataclass(frozen=True)
class CodeSearch:
    """How the codes of photos are searched, in commands that edit."""

    search_steps: Annotated[
        int | None,
        option(
            "Steps of the search for a photo's code.",
            "N",
            default="300, 0 with an encoder",
            panel=PHOTOS,
            min=0,
        ),
    ] = None
    restarts: Restarts = None
    search_seed: Annotated[
        int | None,
        option(
            "Random seed of the search for a photo's code.",
            "N|random",
            default="0",
            panel=PHOTOS,
            parser=parse_seed,
        ),
    ] = None


@final
@dataclass(frozen=True)
class DataForm:
    """Where data sets are, and how images of folders are opened."""

    size: Annotated[
        str | None,
        option(
            "Side, or width x height, of resized images from folders.",
            "SIDE|WxH",
            panel=DATA,
            parser=parse_size,
        ),
    ] = None
    channels: Annotated[
        int | None, option("Channels of images from folders.", "1|3", panel=DATA)
    ] = None
    fit: Annotated[
        str | None,
        option(
            "What to do with images of other proportions from folders.",
            "crop|pad",
            default="crop",
            panel=DATA,
        ),
    ] = None
    levels: Annotated[
        str | None,
        option("Values in folders that become black and white: 0:4095.", "LOW:HIGH", panel=DATA),
    ] = None
    root: Root = None
