"""The tab Translate: an image into the other domain."""

import shlex
from typing import Any, final

from PIL import Image

from genzoo.demo.tabs.tab import Tab
from genzoo.demo.uploads import fitted, png_bytes, values_png
from genzoo.demo.widgets import HALF, integer
from genzoo.errors import BadInput
from genzoo.models.abilities import Translator
from genzoo.models.samples import Images


@final
class TranslateTab(Tab):
    name = "Translate"
    sentence = "An image of one kind becomes one of the other kind. Drop one of your own, too."
    abilities, kinds = (Translator,), ("images",)
    lacking = "None of these models can translate."

    def build(self) -> None:
        gr, ui, first = self.gr, self.ui, self.first()
        with ui.row():
            with ui.controls():
                name = ui.model(self.names, first)
                to = gr.Radio(**self.targets(first), label="Into")
                which = gr.Slider(1, **self.examples(first), step=1, label="Take example")
                go = ui.button("Translate")
            with ui.pictures():
                with ui.row():
                    photo = gr.Image(
                        label="A photo",
                        type="pil",
                        image_mode="RGB",
                        sources=["upload"],
                        elem_classes=["picture", "high"],
                    )
                    output = ui.picture("Translated")
                line, files = ui.command(), ui.files()
        inputs, outputs = [name, to, photo], [output, line, files]
        ui.fill(self.example_file, [name, which], [photo])
        ui.fill(self.translate_example, [name, to, which], outputs)
        which.input(ui.safe(self.example_file), [name, which], photo).success(
            ui.safe(self.translate), inputs, outputs
        )
        ui.choose(name, self.choose, [to, which, photo], self.translate, inputs, outputs)
        ui.press(go, self.translate, inputs, outputs)
        photo.upload(ui.safe(self.translate), inputs, outputs)
        to.input(ui.safe(self.translate), inputs, outputs)

    def model(self, name: str) -> Translator:
        model = self.models.model(name)
        assert isinstance(model, Translator)
        return model

    def targets(self, name: str) -> dict[str, Any]:
        """The domains that a model translates to, for a choice; the second one is chosen."""
        targets = self.model(name).targets
        return {"choices": [*targets], "value": targets[-1]}

    def examples(self, name: str) -> dict[str, int]:
        """How many images are stored with the model, and the one that the tab opens with."""
        count = len(self.model(name).examples)
        return {"maximum": count, "value": min(count, self.example(name).which + 1)}

    def choose(self, name: str) -> list[Any]:
        which = self.examples(name)
        slider = self.gr.Slider(1, **which, step=1)
        picture = self.example_file(name, which["value"])
        return [self.gr.Radio(**self.targets(name)), slider, picture]

    def example_file(self, name: str, which: int) -> str:
        """The path of `example_image`."""
        return self.models.save(png_bytes(self.example_image(name, which)))

    def example_image(self, name: str, which: int) -> Image.Image:
        """One of the images that are stored with the model, enlarged."""
        examples = self.model(name).examples
        one = Images(examples[(integer(which, "an example") - 1) % len(examples)][None] / 255)
        return one.grid(1, self.ui.scale(one.tensor.shape, wide=HALF), 0).convert("RGB")

    def translate_example(self, name: str, to: str, which: int) -> tuple[str, str, list[str]]:
        return self.translate(name, to, self.example_image(name, which))

    def translate(
        self, name: str, to: str, photo: Image.Image | None
    ) -> tuple[str, str, list[str]]:
        """The picture of the translation, the command, and the file that it reads."""
        model = self.model(name)
        if photo is None:
            raise BadInput("no photo yet: drop one, or take an example")
        x = fitted(photo, model.shape)
        translated = model.translate(x, to)
        line = f"genzoo translate {shlex.quote(name)} photo.png --to {shlex.quote(to)}"
        files = [self.models.save_as("photo.png", values_png(x[0]))]
        return self.ui.save(translated, wide=HALF), line, files
