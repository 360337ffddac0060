"""The tab Traverse: one sample, two numbers of its code changed."""

import shlex
from functools import cache
from typing import Any, final

from genzoo.demo.tabs.tab import Tab
from genzoo.demo.widgets import Widgets, integer, label_option, own_class
from genzoo.editing import walks
from genzoo.errors import BadInput
from genzoo.models.sampler import Latent

GRID = (9, 9)


@final
class TraverseTab(Tab):
    name = "Traverse"
    sentence = "One sample; from left to right one number of its code changes, downwards another."
    abilities, kinds = (Latent,), ("images",)
    lacking = "None of these models has a latent code and draws images."

    def __init__(self, ui: Widgets):
        super().__init__(ui)
        self.dims = cache(self._dims)

    def build(self) -> None:
        ui, first = self.ui, self.first()
        with ui.row():
            with ui.controls():
                name = ui.model(self.names, first)
                label = ui.classes(first, self.example(first).label, one=True)
                seed = ui.seed(self.example(first).seed)
                dims = [self.dim(first, 0), self.dim(first, 1)]
                again = self.gr.Button("Another seed")
            with ui.pictures():
                outputs = [ui.picture("Traversal"), ui.command()]
        inputs = [name, label, seed, *dims]
        chosen = self.choose, inputs[1:]
        self.connect(self.traverse, inputs, outputs, again=(again, seed), choose=chosen)

    def dim(self, name: str, which: int) -> Any:
        """A slider for a number of the model's code."""
        last = walks.as_latent(self.models.model(name)).latent_dim - 1
        label = ("Downwards: number of the code", "To the right: number of the code")[which]
        return self.gr.Slider(0, last, self.dims(name)[which], step=1, label=label)

    def _dims(self, name: str) -> tuple[int, int]:
        """The numbers that the tab opens with: those that change samples most."""
        try:
            model = walks.as_latent(self.models.model(name))
            return self.example(name).dims or walks.most_active(model)
        except BadInput:  # a code of one number; the traversal says so on the page
            return 0, 0

    def choose(self, name: str) -> list[Any]:
        example = self.example(name)
        menu = self.ui.classes(name, example.label, one=True)
        return [menu, example.seed, self.dim(name, 0), self.dim(name, 1)]

    def traverse(
        self, name: str, choice: str | None, seed: int, down: int, right: int
    ) -> tuple[str, str]:
        """The picture and the command."""
        model = walks.as_latent(self.models.model(name))
        dims = integer(down, "a number of the code"), integer(right, "a number of the code")
        label, start = own_class(model, choice), integer(seed, "a seed")
        samples = walks.traverse(model, dims, grid=GRID, sample=(start,), label=label)
        line = f"genzoo traverse {shlex.quote(name)} --dims {dims[0]},{dims[1]} --sample {start}"
        line += label_option(label)
        return self.ui.save(samples, columns=GRID[1]), line
