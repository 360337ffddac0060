"""The tab Attend: where places of a sample look."""

import shlex
from dataclasses import replace
from typing import Any, final

from genzoo.demo.tabs.tab import Tab
from genzoo.demo.widgets import HALF, integer, label_option, own_class
from genzoo.editing import attention
from genzoo.errors import BadInput
from genzoo.models.abilities import Attentive
from genzoo.models.picture_files import encode

Place = tuple[int, int]  # (row, column) of a pixel


@final
class AttendTab(Tab):
    name = "Attend"
    sentence = (
        "Each picture shows in colour where one point of the sample looks. Click on the sample to "
        "choose a point."
    )
    abilities, kinds = (Attentive,), ("images",)
    lacking = "None of these models has attention."

    def build(self) -> None:
        gr, ui, first = self.gr, self.ui, self.first()
        example = self.example(first)
        with ui.row():
            with ui.controls():
                name = ui.model(self.names, first)
                with gr.Row():  # beside each other, so that the sample is on the first screen
                    label = ui.classes(first, example.label, one=True)
                    seed = ui.seed(example.seed)
                again = gr.Button("Another seed")
                sample = ui.picture("Sample: click on it")
            with ui.pictures():
                maps, note, line = ui.picture("Attention"), gr.Markdown(), ui.command()
        place = gr.State(None)
        inputs, outputs = [name, label, seed, place], [sample, maps, note, line]
        chosen, live = (self.choose, [label, seed, place]), [label, seed]
        self.connect(self.attend, inputs, outputs, again=(again, seed), choose=chosen, live=live)

        def click(name: str, event: Any) -> Place:
            return self.place(name, event.index)

        click.__annotations__ = {"event": gr.SelectData}  # by which gradio passes the click
        clicked = sample.select(ui.safe(click), name, place, show_progress="hidden")
        clicked.success(ui.safe(self.attend), inputs, outputs, show_progress="hidden")

    def choose(self, name: str) -> tuple[Any, int, None]:
        example = self.example(name)
        return self.ui.classes(name, example.label, one=True), example.seed, None

    def place(self, name: str, at: Any) -> Place:
        """The pixel of the model at (x, y) of its enlarged picture."""
        if not isinstance(at, list | tuple) or len(at) != 2:
            raise BadInput(f"a click is on a place, got {at!r:.40}")
        shape = self.models.model(name).shape
        scale = self.ui.scale(shape, wide=HALF)
        x, y = (integer(int(value), "a place") // scale for value in at)
        return min(y, shape[1] - 1), min(x, shape[2] - 1)

    def attend(
        self, name: str, choice: str | None, seed: int, place: Place | None
    ) -> tuple[str, str, str, str]:
        """The sample, where ``place`` looks (by default five points), the layer's weight in words,
        and the command.
        """
        model, start = self.models.model(name), integer(seed, "a seed")
        label, at = own_class(model, choice), None if place is None else [place]
        maps = attention.attention(model, at, sample=start, label=label)
        # The weight is text of the page: on a telephone that of a picture is too small.
        picture = encode(replace(maps, weight=None).picture(), record=maps.samples.record())
        line = f"genzoo attend {shlex.quote(name)} --sample {start}"
        line += f" --at {place[0]},{place[1]}" if place else ""
        line += label_option(label)
        sample = self.ui.save(maps.samples, wide=HALF)
        return sample, self.models.save(picture), _sentence(maps.note), line


def _sentence(note: str) -> str:
    return f"{note[0].upper()}{note[1:]}." if note else ""
