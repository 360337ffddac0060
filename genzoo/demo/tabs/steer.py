"""The tab Steer: a direction in code space, from samples with an attribute and without it."""

import shlex
from typing import final

from genzoo.demo.tabs.tab import Tab
from genzoo.demo.widgets import HALF, LONGEST, integer, number
from genzoo.editing import directions
from genzoo.errors import BadInput
from genzoo.models.sampler import Latent, Sampler

CHOICE = 36  # samples to choose from
ALPHAS = (-2, 2)


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
                toward = gr.Textbox(_text(example.toward), label="With", max_length=LONGEST)
                away = gr.Textbox(_text(example.away), label="Without", max_length=LONGEST)
                which = ui.seed(example.which, "Sample to move")
                alpha = gr.Slider(*ALPHAS, 1, step=0.1, label="Steps along the direction")
            with ui.pictures():
                moved, line = ui.picture("Before and after"), ui.command()
                sheet = ui.picture("Samples to choose from")
        inputs, outputs = [name, toward, away, which, alpha], [moved, line]
        ui.fill(self.show, [name], [sheet])
        ui.fill(self.move, inputs, outputs)
        ui.live([which, alpha], self.move, inputs, outputs)
        for text in (toward, away):
            text.submit(ui.safe(self.move), inputs, outputs)
            text.blur(ui.safe(self.move), inputs, outputs)
        controls = [sheet, toward, away, which]
        ui.choose(name, self.choose, controls, self.move, inputs, outputs)

    def choose(self, name: str) -> tuple[str, str, str, int]:
        example = self.example(name)
        return self.show(name), _text(example.toward), _text(example.away), example.which

    def show(self, name: str) -> str:
        """The samples to choose from, with their numbers."""
        model = self.models.model(name)
        samples = model.sample(CHOICE, seed=0, labels=_one_class(model))
        return self.ui.save(samples, columns=9, numbers=True, wide=HALF)

    def move(self, name: str, toward: str, away: str, which: int, alpha: float) -> tuple[str, str]:
        """The picture of a sample before and after, and the command that computes the direction."""
        model, label = self.models.model(name), _one_class(self.models.model(name))
        plus, minus = _parse_numbers(toward or ""), _parse_numbers(away or "")
        direction = directions.direction_from_seeds(model, plus, minus, label=label)
        address, alpha = (0, integer(which, "a sample")), number(alpha, *ALPHAS, "the steps")
        moved = directions.steer(model, direction, [address], alphas=[0, alpha], label=label)
        line = f"genzoo direction {shlex.quote(name)} --toward 0:{_joined(plus)}"
        return self.ui.save(moved, columns=2), f"{line} --away 0:{_joined(minus)}"


def _one_class(model: Sampler) -> int | None:
    """A direction belongs to one class."""
    return 0 if model.num_classes else None


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
