"""A tab of the demo page: its name, one sentence, and what it lays out."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from genzoo.demo.examples import Example, example_of
from genzoo.demo.widgets import Widgets
from genzoo.schemas import Kind


class Tab(ABC):
    """A tab. ``build`` lays it out; the functions behind its buttons are its other methods.

    ``abilities``: of its models, at least one each; ``kinds``: of their samples. ``lacking``: what
    the tab says if the page has no such model.
    """

    name: ClassVar[str]
    sentence: ClassVar[str]
    abilities: ClassVar[tuple[type[Any], ...]]
    kinds: ClassVar[Sequence[Kind]] = ("images", "signals")
    lacking: ClassVar[str]

    def __init__(self, ui: Widgets):
        self.ui, self.gr, self.models = ui, ui.gr, ui.models
        self.names = ui.models.with_ability(*self.abilities, kinds=self.kinds)

    def missing(self) -> str:
        """Why the tab can show nothing; "" if it can."""
        return "" if self.names else self.lacking

    @abstractmethod
    def build(self) -> None:
        """Lay out the controls on the left and the pictures on the right."""

    def example(self, name: str) -> Example:
        """Good values of the controls for a model."""
        return example_of(self.name, name)

    def connect(
        self,
        call: Callable[..., Any],
        inputs: Sequence[Any],
        outputs: Sequence[Any],
        *,
        again: tuple[Any, Any],
        choose: tuple[Callable[..., Any], Sequence[Any]],
        live: Sequence[Any] = (),
    ) -> None:
        """Show what ``call`` returns for the first ``inputs``, and again whenever one changes.

        The first input is the menu of models: for another, ``choose`` gives other values to the
        controls that stand with it. ``again``: a button, and the seed that it changes. ``live``:
        what the visitor changes, by default all inputs but the menu.
        """
        self.ui.fill(call, inputs, outputs)
        self.ui.live(live or inputs[1:], call, inputs, outputs)
        self.ui.fresh(*again, call, inputs, outputs)
        self.ui.choose(inputs[0], *choose, call, inputs, outputs)

    def first(self) -> str:
        """The model that the tab opens with."""
        return self.models.best(self.name, self.names)
