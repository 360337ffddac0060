"""The tab Truncate: the same seed with truncated codes and with whole ones."""

import shlex
from typing import final

import torch

from genzoo.demo.tabs.tab import Tab
from genzoo.demo.widgets import HALF, class_of, integer, label_option, number
from genzoo.models.sampler import Latent
from genzoo.models.samples import Samples
from genzoo.options import LatentSampling

LOW, HIGH = 0.1, 3.0
SHOWN = 16
MEASURED = 128  # samples whose distances say how much they vary


@final
class TruncateTab(Tab):
    name = "Truncate"
    sentence = (
        "Values of a code beyond the limit are drawn again: the samples become more alike. Of some "
        "models fewer samples fail then, of others more."
    )
    abilities, kinds = (Latent,), ("images",)
    lacking = "None of these models has a latent code and draws images."

    def build(self) -> None:
        ui, first = self.ui, self.first()
        example = self.example(first)
        with ui.row():
            with ui.controls():
                name = ui.model(self.names, first)
                label = ui.classes(first, example.label)
                seed = ui.seed(example.seed)
                limit = self.gr.Slider(LOW, HIGH, 0.5, step=0.05, label="Limit")
                again = self.gr.Button("Another seed")
                text = self.gr.Markdown()
            with ui.pictures():
                with ui.row():
                    cut, whole = ui.picture("Truncated"), ui.picture("Whole")
                line = ui.command()
        inputs, outputs = [name, label, seed, limit], [cut, whole, text, line]
        chosen = self.choose, [label, seed]
        self.connect(self.truncate, inputs, outputs, again=(again, seed), choose=chosen)

    def missing(self) -> str:
        able = [n for n in self.names if issubclass(self.models.sampling(n), LatentSampling)]
        self.names = able
        return super().missing()

    def choose(self, name: str) -> list[object]:
        example = self.example(name)
        return [self.ui.classes(name, example.label), example.seed]

    def truncate(
        self, name: str, choice: str | None, seed: int, limit: float
    ) -> tuple[str, str, str, str]:
        """Both pictures, how much the samples vary, and the command."""
        model, label = self.models.model(name), class_of(choice)
        start, limit = integer(seed, "a seed"), number(limit, LOW, HIGH, "the limit")
        cut = model.sample(MEASURED, seed=start, labels=label, truncation=limit)
        whole = model.sample(MEASURED, seed=start, labels=label)
        shares = [_spread(samples) for samples in (cut, whole)]
        share = shares[0] / max(shares[1], 1e-9)
        text = f"With this limit the samples are **{share:.0%}** as far apart as without."
        line = f"genzoo sample {shlex.quote(name)} --seed {start} --set truncation={limit:g}"
        line += label_option(label)
        pictures = [self.ui.save(samples[:SHOWN], wide=HALF) for samples in (cut, whole)]
        return pictures[0], pictures[1], text, line


def _spread(samples: Samples) -> float:
    """How far samples of one class are apart: the root of the variance of their values."""
    x = samples.tensor.flatten(1)
    classes = torch.zeros(len(x)) if samples.labels is None else samples.labels.cpu()
    own = [x[classes == k] for k in classes.unique() if (classes == k).sum() > 1] or [x]
    return float(torch.stack([part.var(0).sum() for part in own]).mean()) ** 0.5
