"""The tab Sample: samples by seed, class and the settings that the model has."""

import json
import shlex
from typing import Any, final

from genzoo.demo.settings import SettingControls
from genzoo.demo.tabs.tab import Tab
from genzoo.demo.widgets import MOST, class_of, integer
from genzoo.models.sampler import Sampler


@final
class SampleTab(Tab):
    name = "Sample"
    sentence = "The same seed always gives the same samples; another seed gives others."
    abilities, kinds = (Sampler,), ("images", "signals", "points")
    lacking = "None of these models draws samples."

    def build(self) -> None:
        ui, first = self.ui, self.first()
        with ui.row():
            with ui.controls():
                name = ui.model(self.names, first)
                label = ui.classes(first)
                seed = ui.seed(self.example(first).seed)
                n = ui.count(first, self.example(first).count)
                self.settings = SettingControls(self.gr, self.models, first)
                draw = ui.button("Draw")
                again = self.gr.Button("Another seed")
            with ui.pictures():
                outputs = [ui.picture("Samples"), ui.sound(), ui.command()]
        inputs = [name, label, seed, n, *self.settings.components]
        ui.fill(self.draw, inputs, outputs)
        ui.press(draw, self.draw, inputs, outputs)
        ui.fresh(again, seed, self.draw, inputs, outputs)
        controls = [label, seed, n, *self.settings.components]
        ui.choose(name, self.choose, controls, self.draw, inputs, outputs)

    def choose(self, name: str) -> list[Any]:
        example = self.example(name)
        menus = [self.ui.classes(name), example.seed, self.ui.count(name, example.count)]
        return [*menus, *self.settings.show(self.gr, name)]

    def draw(
        self, name: str, choice: str | None, seed: int, n: int, *values: Any
    ) -> tuple[str, Any, str]:
        """The picture, the player and the command."""
        label, model = class_of(choice), self.models.model(name)
        count = min(MOST[model.kind], integer(n, "the number of samples"))
        chosen, start = self.settings.settings(name, values), integer(seed, "a seed")
        samples = model.sample(count, seed=start, labels=label, **chosen)
        options = [f"--label {shlex.quote(label)}"] if label else []
        options += [f"--set {key}={shlex.quote(json.dumps(v))}" for key, v in chosen.items()]
        line = " ".join([f"genzoo sample {shlex.quote(name)} -n {count} --seed {start}", *options])
        sound = self.ui.sound(self.models.save_sound(samples))
        return self.ui.save(samples), sound, line
