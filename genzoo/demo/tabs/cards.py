"""The tab Cards: what each model is."""

import html
import shlex
from typing import final

from genzoo.demo.tabs.tab import Tab
from genzoo.demo.widgets import HALF
from genzoo.errors import GenzooError
from genzoo.models.kinds import SHOWN
from genzoo.models.sampler import Sampler
from genzoo.text import printable
from genzoo.zoo import names as model_names
from genzoo.zoo.manifest import LARGEST_JSON, README
from genzoo.zoo.reader import read_capped


@final
class CardsTab(Tab):
    name = "Cards"
    sentence = "What a model learnt from, how it was trained, its scores and its terms."
    abilities, kinds = (Sampler,), ("images", "signals", "points")
    lacking = "There is no model."

    def build(self) -> None:
        ui, first = self.ui, self.first()
        with ui.row():
            with ui.controls():
                name = ui.model(self.names, first)
                picture, line = ui.picture("Samples of seed 0"), ui.command()
            with ui.pictures():
                text = self.gr.Markdown()
        outputs = [text, picture, line]
        ui.fill(self.show, [name], outputs)
        ui.live([name], self.show, [name], outputs)

    def show(self, name: str) -> tuple[str, str, str]:
        """The card, samples, and the command."""
        model = self.models.model(name)
        text, samples = card_text(name), model.sample(SHOWN[model.kind])
        return text, self.ui.save(samples, wide=HALF), f"genzoo info {shlex.quote(name)}"


def card_text(name: str) -> str:
    """The README.md of a model as Markdown that loads nothing and marks nothing up as HTML."""
    try:
        text = read_capped(model_names.find(name) / README, LARGEST_JSON).decode(errors="replace")
    except GenzooError as error:
        text = str(error)
    body = text.split("\n---\n", 1)[-1] if text.startswith("---\n") else text
    # Anybody may have written a card: a picture in it could be loaded from anywhere.
    lines = [line for line in body.splitlines() if not line.startswith("![samples of seed 0")]
    safe = [html.escape(printable(line), quote=False).replace("![", "!\\[") for line in lines]
    return "\n".join(safe)
