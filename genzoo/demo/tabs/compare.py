"""The tab Compare: two models, the same seed."""

import shlex
from typing import final

from genzoo.demo.tabs.tab import Tab
from genzoo.demo.widgets import HALF, integer
from genzoo.models.kinds import SHOWN
from genzoo.models.sampler import Sampler


@final
class CompareTab(Tab):
    name = "Compare"
    sentence = "Two models, the same seed: which one is better?"
    abilities, kinds = (Sampler,), ("images", "signals", "points")
    lacking = "This tab needs two models."

    def missing(self) -> str:
        return "" if len(self.names) > 1 else self.lacking

    def build(self) -> None:
        ui, first = self.ui, self.first()
        other = self.models.best(self.name, [n for n in self.names if n != first])
        with ui.row():
            with ui.controls():
                pair = [
                    ui.model(self.names, first, "First model"),
                    ui.model(self.names, other, "Second model"),
                ]
                seed = ui.seed(self.example(first).seed)
                go, again = ui.button("Draw both"), self.gr.Button("Another seed")
            with ui.pictures():
                with ui.row():
                    outputs = [ui.picture("The first"), ui.picture("The second")]
                outputs.append(ui.command())
        inputs = [*pair, seed]
        ui.fill(self.draw, inputs, outputs)
        ui.press(go, self.draw, inputs, outputs)
        ui.live(inputs, self.draw, inputs, outputs)
        ui.fresh(again, seed, self.draw, inputs, outputs)

    def draw(self, first: str, second: str, seed: int) -> tuple[str, str, str]:
        """Both pictures, and the command that says which is better, and how certain that is."""
        start, paths = integer(seed, "a seed"), []
        for name in (first, second):
            model = self.models.model(name)
            paths.append(self.ui.save(model.sample(SHOWN[model.kind], seed=start), wide=HALF))
        return *paths, f"genzoo compare {shlex.quote(first)} {shlex.quote(second)}"  # type: ignore[return-value]
