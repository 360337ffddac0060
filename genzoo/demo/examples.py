"""The values that each tab opens with: samples without flaws, chosen by eye (``examples.json``).

A model that is not in the file opens with the defaults of `Example`.
"""

from functools import cache
from pathlib import Path
from typing import Annotated, Any, final

from pydantic import Field

from genzoo.schemas import Count, Name, Schema, checked, read_json
from genzoo.zoo.reader import read_named

FILE, LARGEST = Path(__file__).with_name("examples.json"), 1 << 16
Seed = Annotated[int, Field(ge=0, lt=2**53)]
Numbers = Annotated[tuple[Seed, ...], Field(min_length=1, max_length=36)]
Pair = Annotated[tuple[Seed, Seed], Field()]


@final
class Example(Schema, use_attribute_docstrings=False):
    """Values of a tab's controls, for one model.

    ``seed``, ``other``: of samples; ``count``: how many, 0 for the usual number; ``label``: their
    class; ``toward``, ``away``, ``which``: numbers of samples of seed 0, with an attribute and
    without it, and the one to move; ``box``: the part to fill in, (x, y, width, height), in %.
    """

    model: Name
    seed: Seed = 0
    other: Seed = 1
    count: Seed = 0
    label: Name = ""
    toward: Numbers = (0, 1, 2)
    away: Numbers = (3, 4, 5)
    which: Seed = 0
    dims: Pair | None = None
    box: Annotated[tuple[Seed, ...], Field(min_length=4, max_length=4)] = (0, 50, 100, 50)


@final
class Recipe(Schema, use_attribute_docstrings=False):
    """A training that shows something within two minutes on two cores."""

    family: Name
    title: Name
    steps: Count
    settings: dict[str, Any]


@final
class _Examples(Schema, use_attribute_docstrings=False):
    """By tab, the models in the order of preference; and what the tab of training offers."""

    tabs: dict[Name, tuple[Example, ...]]
    recipes: tuple[Recipe, ...]


@cache
def _examples() -> _Examples:
    return checked(_Examples, read_json(read_named(FILE, LARGEST), FILE.name), FILE.name)


def preferred(tab: str) -> list[str]:
    """The models that a tab shows best, the best first."""
    return [example.model for example in _examples().tabs.get(tab, ())]


def example_of(tab: str, model: str) -> Example:
    """Good values of a tab's controls for a model."""
    known = {example.model: example for example in _examples().tabs.get(tab, ())}
    return known.get(model) or Example(model="")


def recipes() -> tuple[Recipe, ...]:
    """The trainings that the page offers."""
    return _examples().recipes
