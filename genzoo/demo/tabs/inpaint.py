"""The tab Inpaint: paint over a part of an image, and a model fills it in."""

import shlex
from typing import Any, final

from PIL import Image

from genzoo.demo.tabs.tab import Tab
from genzoo.demo.uploads import png_bytes, unpack_painting, values_png
from genzoo.demo.widgets import HALF, class_of, integer, label_option
from genzoo.editing import inpainting
from genzoo.models.abilities import Completer
from genzoo.models.sampler import Latent
from genzoo.models.samples import Images

HIGH = 430  # pixels of the editor, with its tools
PAINT = "#ff3b30"
BRUSH = 36
STEPS = 60  # of a search for a code: a visitor waits


@final
class InpaintTab(Tab):
    name = "Inpaint"
    sentence = "Paint over a part of a sample, or of an image of your own: the model fills it in."
    abilities, kinds = (Latent, Completer), ("images",)
    lacking = "None of these models can inpaint."

    def build(self) -> None:
        gr, ui, first = self.gr, self.ui, self.first()
        with ui.row():
            with ui.controls():
                name = ui.model(self.names, first)
                label = self.classes(first)
                seed = ui.seed(self.example(first).seed, "Seed of the sample")
                take = gr.Button("Take the sample")
                go = ui.button("Complete")
            with ui.pictures():
                with ui.row():
                    editor, output = self.editor(), ui.picture("Completed")
                line, files = ui.command(), ui.files()
        inputs, outputs = [name, editor, label], [output, line, files]
        ui.fill(self.painted, [name], [editor])
        ui.fill(self.complete_example, [name], outputs)
        ui.press(take, self.take, [name, seed], [editor])
        ui.press(go, self.complete, inputs, outputs)
        controls = [label, seed, editor]
        ui.choose(name, self.choose, controls, self.complete_example, [name], outputs)

    def editor(self) -> Any:
        gr = self.gr
        return gr.ImageEditor(
            label="Paint here",
            type="pil",
            image_mode="RGBA",
            brush=gr.Brush(default_size=BRUSH, colors=[PAINT], color_mode="fixed"),
            eraser=gr.Eraser(default_size=BRUSH),
            transforms=[],
            sources=["upload"],
            canvas_size=(HALF, HALF),
            height=HIGH,
            layers=False,
            format="png",
            elem_id="paint-here",
        )

    def choose(self, name: str) -> tuple[Any, int, dict[str, Any]]:
        return self.classes(name), self.example(name).seed, self.painted(name)

    def classes(self, name: str) -> Any:
        """The menu of a model that draws pixels of a class; a search finds the class itself."""
        if isinstance(self.models.model(name), Completer):
            return self.ui.classes(name, self.example(name).label, one=True)
        return self.gr.Dropdown([], value=None, visible=False, label="Class")

    def take(self, name: str, seed: int) -> str:
        """The path of a sample, enlarged."""
        samples = self.models.model(name).sample(1, seed=integer(seed, "a seed"))
        return self.ui.save(samples, wide=HALF)

    def painted(self, name: str) -> dict[str, Any]:
        """The paths of a sample, of the paint over its example's part, and of both."""
        parts = self.painting(name)
        files = {key: self.models.save(png_bytes(part)) for key, part in parts.items()}
        return {**files, "layers": [files["layers"]]}

    def painting(self, name: str) -> dict[str, Image.Image]:
        """What `painted` writes."""
        example = self.example(name)
        one = self.models.model(name).sample(1, seed=example.seed)
        assert isinstance(one, Images)
        image = one.grid(1, self.ui.scale(one.tensor.shape, wide=HALF), 0).convert("RGBA")
        sides = image.size * 2
        x, y, wide, high = (n * side // 100 for n, side in zip(example.box, sides, strict=True))
        paint = Image.new("RGBA", image.size)
        paint.paste(PAINT, (x, y, x + wide, y + high))
        whole = Image.alpha_composite(image, paint)
        return {"background": image, "layers": paint, "composite": whole}

    def complete_example(self, name: str) -> tuple[str, str, list[str]]:
        parts: dict[str, Any] = self.painting(name)
        choice = self.example(name).label or next(iter(self.models.classes(name)), None)
        return self.complete(name, {**parts, "layers": [parts["layers"]]}, choice)

    def complete(
        self, name: str, painted: dict[str, Any] | None, choice: str | None
    ) -> tuple[str, str, list[str]]:
        """The picture of the completed image, the command, and the files that it reads."""
        model = self.models.model(name)
        label = class_of(choice) if isinstance(model, Completer) and model.num_classes else None
        x, known = unpack_painting(painted, model.shape)
        quick: Any = {} if isinstance(model, Completer) else {"steps": STEPS}
        completion = inpainting.inpaint(name, x, known, labels=label, device=model.device, **quick)
        line = f"genzoo inpaint {shlex.quote(name)} photo.png --mask mask.png"
        line += label_option(label) + "".join(f" --{key} {value}" for key, value in quick.items())
        parts = {"photo.png": x[0], "mask.png": (~known).float()[None]}
        files = [self.models.save_as(file, values_png(part)) for file, part in parts.items()]
        return self.ui.save(completion.samples, wide=HALF), line, files
