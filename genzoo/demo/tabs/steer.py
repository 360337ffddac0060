"""The tab Steer: a direction in code space, from samples with an attribute and without it."""

import shlex
from typing import Any, final

from genzoo.demo.tabs.tab import Tab
from genzoo.demo.widgets import HALF, LONGEST, integer, label_option, number, own_class
from genzoo.editing import directions
from genzoo.errors import BadInput
from genzoo.models.sampler import Latent

CHOICE = 36  # samples to choose from
ALPHAS = (-2, 2)
FILE = "direction.safetensors"


@final
class SteerTab(Tab):
    name = "Steer"
    sentence = (
        "Choose some samples with an attribute and some without it: their difference, added to "
        "another sample, changes that attribute."
    )
    abilities = (Latent,)
    lacking = "None of these models has a latent code."

    def build(self) -> None:
        gr, ui, first = self.gr, self.ui, self.first()
        example = self.example(first)
        with ui.row():
            with ui.controls():
                name = ui.model(self.names, first)
                label = ui.classes(first, example.label, one=True)
                toward = gr.Textbox(_text(example.toward), label="With", max_length=LONGEST)
                away = gr.Textbox(_text(example.away), label="Without", max_length=LONGEST)
                which = ui.seed(example.which, "Sample to move")
                alpha = gr.Slider(*ALPHAS, 1, step=0.1, label="Steps along the direction")
            with ui.pictures():
                moved, line = ui.picture("Before and after"), ui.command()
                sheet = ui.picture("Samples to choose from")
        inputs, outputs = [name, label, toward, away, which, alpha], [moved, line]
        ui.fill(self.show, [name, label], [sheet])
        ui.fill(self.move, inputs, outputs)
        ui.live([which, alpha], self.move, inputs, outputs)
        ui.live([label], self.show_and_move, inputs, [sheet, *outputs])
        for text in (toward, away):
            text.submit(ui.safe(self.move), inputs, outputs)
            text.blur(ui.safe(self.move), inputs, outputs)
        controls = [label, toward, away, which]
        ui.choose(name, self.choose, controls, self.show_and_move, inputs, [sheet, *outputs])

    def choose(self, name: str) -> tuple[Any, str, str, int]:
        example = self.example(name)
        menu = self.ui.classes(name, example.label, one=True)
        return menu, _text(example.toward), _text(example.away), example.which

    def show(self, name: str, choice: str | None) -> str:
        """The samples to choose from, with their numbers."""
        model = self.models.model(name)
        samples = model.sample(CHOICE, seed=0, labels=own_class(model, choice))
        return self.ui.save(samples, columns=9, numbers=True, wide=HALF)

    def show_and_move(self, name: str, choice: str | None, *values: Any) -> tuple[str, str, str]:
        """`show` and `move`: a direction belongs to one class, as the samples do."""
        return self.show(name, choice), *self.move(name, choice, *values)

    def move(
        self, name: str, choice: str | None, toward: str, away: str, which: int, alpha: float
    ) -> tuple[str, str]:
        """The picture of a sample before and after, and the commands: the direction, the steps."""
        model = self.models.model(name)
        label = own_class(model, choice)
        plus, minus = _parse_numbers(toward or ""), _parse_numbers(away or "")
        direction = directions.direction_from_seeds(model, plus, minus, label=label)
        address, alpha = (0, integer(which, "a sample")), number(alpha, *ALPHAS, "the steps")
        moved = directions.steer(model, direction, [address], alphas=[0, alpha], label=label)
        of = label_option(label)
        line = f"genzoo direction {shlex.quote(name)} --toward 0:{_joined(plus)} --away 0:"
        line += f"{_joined(minus)}{of} -o {FILE}\ngenzoo steer {shlex.quote(name)} {FILE}"
        line += f" --sample 0:{address[1]} --alphas 0,{alpha:g}{of}"
        return self.ui.save(moved, columns=2), line


def _text(numbers: tuple[int, ...]) -> str:
    return ", ".join(map(str, numbers))


def _joined(addresses: list[tuple[int, int]]) -> str:
    return ",".join(str(index) for _, index in addresses)


def _parse_numbers(text: str) -> list[tuple[int, int]]:
    """The samples of seed 0 with these numbers. Raises BadInput."""
    expected = "expected sample numbers, separated by commas, like 3,17"
    if len(text) > LONGEST:
        raise BadInput(f"{expected}, at most {LONGEST} characters, got {len(text)}")
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        raise BadInput(f"{expected}, got {text[:40]!r}") from None
    return [(0, integer(number, "a sample")) for number in numbers]
