"""The tab Train: two networks learn to draw digits while everybody watches."""

import html
import shlex
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any, final, get_args

from genzoo import data as sets
from genzoo import families
from genzoo.demo.curves import curves
from genzoo.demo.examples import Recipe, recipes
from genzoo.demo.tabs.tab import Tab
from genzoo.demo.training import LiveTraining
from genzoo.demo.widgets import HALF, Widgets, integer, number
from genzoo.errors import BadInput, GenzooError
from genzoo.options import GanLossName

DATA = "digits"
SHORTEST, LONGEST = 50, 2000  # steps
LOWEST, HIGHEST = 1e-5, 1e-2  # learning rates
# Panels of the chart: the curves of each, by the name of the log.
PANELS = {
    "Losses": {"generator": "generator/loss", "discriminator": "discriminator/loss"},
    "The discriminator: 1 real, 0 generated": {
        "of digits": "discriminator/D(x)",
        "of samples": "discriminator/D(G(z))",
    },
}
View = tuple[str, str, str]


@final
class TrainTab(Tab):
    name = "Train"
    sentence = (
        "A generator learns to draw digits that a discriminator takes for real ones. The sixteen "
        "codes stay the same."
    )
    abilities = ()
    lacking = "No family that the page can train is installed: genzoo families lists them."

    def __init__(self, ui: Widgets):
        self.ui, self.gr, self.models = ui, ui.gr, ui.models
        self.recipes = {r.title: r for r in recipes() if r.family in families.names()}
        self.names = [*self.recipes]
        self.lock = threading.Lock()
        self.training: LiveTraining | None = None
        self.owner = ""  # the session of the page that started it

    def missing(self) -> str:
        if find_spec("sklearn") is None:
            try:
                sets.open(DATA)  # an earlier training may have left them in the cache
            except GenzooError as error:
                return str(error)
        return super().missing()

    def build(self) -> None:
        gr, ui, first = self.gr, self.ui, self.recipes[self.names[0]]
        with ui.row():
            with ui.controls():
                title = gr.Radio(self.names, value=first.title, label="Networks")
                loss = gr.Dropdown(get_args(GanLossName), value="non-saturating", label="Loss")
                rate = gr.Number(
                    self.rate(first),
                    label="Learning rate",
                    minimum=LOWEST,
                    maximum=HIGHEST,
                    step=1e-4,
                )
                steps = gr.Slider(SHORTEST, LONGEST, first.steps, step=50, label="Steps")
                start, stop = ui.button("Start"), gr.Button("Stop")
                text = gr.Markdown()
            with ui.pictures():
                with ui.row():
                    grid = ui.picture("Samples while it learns")
                    with ui.half():
                        chart = gr.HTML()
                line = ui.command()
        inputs, outputs = [title, loss, rate, steps], [grid, chart, text]
        ui.fill(self.untrained, [title], outputs)
        ui.fill(self.command, inputs, [line])
        ui.live(inputs[1:], self.command, inputs, [line])
        ui.choose(title, self.choose, [rate, steps], self.command, inputs, [line])

        def watch(request: Any, *values: Any) -> Iterator[View]:
            yield from self.watch(request.session_hash, *values)

        def halt(request: Any) -> None:
            self.halt(request.session_hash)

        for call in (watch, halt):
            call.__annotations__ = {"request": gr.Request}  # by which gradio passes it
        many = {"show_progress": "hidden", "concurrency_limit": 8}  # a second one gets its answer
        start.click(ui.safe_stream(watch), inputs, outputs, **many)
        stop.click(ui.safe(halt), None, None, **many)

    def recipe(self, title: str) -> Recipe:
        if title not in self.recipes:
            raise BadInput(f"this page trains no {title!r:.80}")
        return self.recipes[title]

    def rate(self, recipe: Recipe) -> float:
        """The learning rate of a recipe: its own, or the family's."""
        default = families.get(recipe.family).options.model_fields["lr"].get_default()
        return float(recipe.settings.get("lr", default))

    def choose(self, title: str) -> tuple[float, int]:
        recipe = self.recipe(title)
        return self.rate(recipe), recipe.steps

    def settings(self, title: str, loss: str, rate: float) -> dict[str, Any]:
        """All settings of a training, as after ``--set``."""
        rate = number(rate, LOWEST, HIGHEST, "the learning rate")
        return {**self.recipe(title).settings, "lr": rate, "loss": loss}

    def command(self, title: str, loss: str, rate: float, steps: int) -> str:
        """The line that trains the same in a terminal."""
        settings, count = self.settings(title, loss, rate), integer(steps, "the number of steps")
        words = [f"--set {shlex.quote(f'{key}={value}')}" for key, value in settings.items()]
        start = f"genzoo train {self.recipe(title).family} --data {DATA} --steps {count}"
        return " ".join([start, *words, "--out my-digits"])

    def untrained(self, title: str) -> View:
        """What a training begins with."""
        settings, steps = self.settings(title, "non-saturating", 1e-3), self.recipe(title).steps
        training = self.new(title, settings, steps)
        return self.view(training)

    def new(self, title: str, settings: dict[str, Any], steps: int) -> LiveTraining:
        return LiveTraining(self.recipe(title).family, DATA, settings, steps, self.models.device)

    def watch(self, owner: str, title: str, loss: str, rate: float, steps: int) -> Iterator[View]:
        """Train, and give a view after each look; ends with the page that looks."""
        count = min(LONGEST, max(1, integer(steps, "the number of steps")))
        settings = self.settings(title, loss, rate)
        with self.lock:
            if self.training and self.training.is_running:
                raise BadInput("a training is under way on another page: wait until it ends")
            training = self.training = self.new(title, settings, count)
            self.owner = owner
            training.start()
        try:
            while training.wait():
                yield self.view(training)
            yield self.view(training)
            if training.error:
                raise BadInput(training.error)
        finally:
            training.stop()

    def halt(self, owner: str) -> None:
        """Stop the training of this page."""
        if not (self.training and self.training.is_running):
            raise BadInput("no training is under way: press Start")
        if owner != self.owner:
            raise BadInput("this training belongs to another page, which can stop it")
        self.training.stop()

    def view(self, training: LiveTraining) -> View:
        """The samples, the curves, and how far it is."""
        logs = {name: list(values) for name, values in training.logs.copy().items()}
        panels = {
            title: {label: logs.get(name, []) for label, name in lines.items()}
            for title, lines in PANELS.items()
        }
        lines = [training.status(), *(f"⚠ {text}" for text in training.warnings[-1:])]
        grid = self.ui.save(training.samples(), wide=HALF)
        return grid, curves(panels, training.steps), html.escape("\n\n".join(lines))
