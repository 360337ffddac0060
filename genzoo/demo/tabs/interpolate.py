"""The tab Interpolate: from one sample to another."""

import shlex
from typing import Any, final

import torch

from genzoo.demo.tabs.tab import Tab
from genzoo.demo.widgets import integer, label_option, number, own_class
from genzoo.editing import selection, walks
from genzoo.models.sampler import Latent


@final
class InterpolateTab(Tab):
    name = "Interpolate"
    sentence = "Between the codes of two samples lie the codes of samples between them."
    abilities = (Latent,)
    lacking = "None of these models has a latent code."

    def build(self) -> None:
        ui, first = self.ui, self.first()
        example = self.example(first)
        with ui.row():
            with ui.controls():
                name = ui.model(self.names, first)
                label = ui.classes(first, example.label, one=True)
                ends = [ui.seed(example.seed, "From seed"), ui.seed(example.other, "To seed")]
                share = self.gr.Slider(0, 1, 0.5, step=0.02, label="How far")
                again = self.gr.Button("Another goal")
            with ui.pictures():
                outputs = [
                    ui.picture("Start, between, goal"),
                    ui.sound(),
                    ui.command("The whole walk"),
                ]
        inputs = [name, label, *ends, share]
        chosen = self.choose, [label, *ends]
        self.connect(self.walk, inputs, outputs, again=(again, ends[1]), choose=chosen)

    def choose(self, name: str) -> list[Any]:
        example = self.example(name)
        return [self.ui.classes(name, example.label, one=True), example.seed, example.other]

    def walk(
        self, name: str, choice: str | None, first: int, second: int, share: float
    ) -> tuple[str, Any, str]:
        """The picture of both ends and of the sample between, its player, and the command."""
        model = walks.as_latent(self.models.model(name))
        seeds = [integer(first, "a seed"), integer(second, "a seed")]
        share, label = number(share, 0, 1, "how far"), own_class(model, choice)
        ends = selection.resolve(model, seeds, label)
        start, goal = ends.codes
        code = model.code_law.between(start, goal, torch.tensor([share]))
        # Random numbers beside the code are those of the sample last passed, as in a walk.
        own = [ends.addresses[i] for i in (0, int(share == 1), 1)]
        codes = torch.cat([ends.codes[:1], code, ends.codes[1:]])
        samples = model.decode_codes(codes, labels=ends.label, seeds=own)
        sound = self.ui.sound(self.models.save_sound(samples[1]))
        line = f"genzoo interpolate {shlex.quote(name)} --sample {seeds[0]},{seeds[1]}"
        line += label_option(label)
        return self.ui.save(samples, columns=3), sound, line
