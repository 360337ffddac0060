"""The tab Attend: where a place of a sample looks."""

import shlex
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor

from genzoo.demo.tabs.tab import Tab
from genzoo.demo.widgets import HALF, integer, own_class
from genzoo.errors import BadInput
from genzoo.models.abilities import Attentive
from genzoo.models.samples import Images

Place = tuple[int, int]  # (row, column) of a pixel


@final
class AttendTab(Tab):
    name = "Attend"
    sentence = "Click on the sample: the other picture is bright where that place looks."
    abilities, kinds = (Attentive,), ("images",)
    lacking = "None of these models has attention."

    def build(self) -> None:
        gr, ui, first = self.gr, self.ui, self.first()
        example = self.example(first)
        with ui.row():
            with ui.controls():
                name = ui.model(self.names, first)
                label = ui.classes(first, example.label, one=True)
                seed = ui.seed(example.seed)
                again = gr.Button("Another seed")
            with ui.pictures():
                with ui.row():
                    sample, maps = ui.picture("Sample: click on it"), ui.picture("Attention")
                line = ui.command()
        place = gr.State(None)
        inputs, outputs = [name, label, seed, place], [sample, maps, line]
        ui.fill(self.attend, inputs, outputs)
        ui.live([label, seed], self.attend, inputs, outputs)
        ui.fresh(again, seed, self.attend, inputs, outputs)
        ui.choose(name, self.choose, [label, seed, place], self.attend, inputs, outputs)

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
    ) -> tuple[str, str, str]:
        """The sample, where ``place`` looks (by default the middle), and the command."""
        model, start = self.models.model(name), integer(seed, "a seed")
        assert isinstance(model, Attentive)
        label, (_, height, width) = own_class(model, choice), model.shape
        row, column = place or (height // 2, width // 2)
        samples, maps = model.attention(1, labels=label, seed=start)
        assert isinstance(samples, Images)
        cells = _lit(samples, maps[0], (row, column))
        line = f"genzoo attend {shlex.quote(name)} --sample {start} --at {row},{column}"
        line += f" --label {shlex.quote(label)}" if label else ""
        pictures = [self.ui.save(cells[i], wide=HALF) for i in (0, 1)]
        return pictures[0], pictures[1], line


def _lit(samples: Images, maps: Tensor, place: Place) -> Images:
    """The sample with ``place`` marked, and as bright as the attention ``(h, w, h, w)`` of it."""
    picture = samples.tensor[0].cpu().expand(3, -1, -1)
    (row, column), (height, width), (h, w) = place, picture.shape[1:], maps.shape[:2]
    attention = maps[row * h // height, column * w // width].cpu()
    light = F.interpolate((attention / attention.max())[None, None], (height, width))[0]
    marked = picture.clone()
    marked[:, row, column] = torch.tensor([1.0, 0.0, 0.0])
    cells = torch.stack([marked, picture * (0.15 + 0.85 * light)])
    call = {"method": "attention", "places": [[row, column]]}
    return Images(cells, None, samples.seeds * 2, samples.origin, call=call)
