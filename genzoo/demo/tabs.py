"""The tabs of the page: each lays out its knobs and pictures, and says what they call.

Each returns None, or why there is nothing to show.
"""

import functools
import html
import io
import random
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps

from genzoo.demo.models import LoadedModels
from genzoo.editing import directions, inpainting, walks
from genzoo.errors import BadInput, GenzooError
from genzoo.models.abilities import Completer, Translator
from genzoo.models.checks import fresh_seed
from genzoo.models.sampler import Latent, Sampler
from genzoo.models.samples import Images
from genzoo.text import printable
from genzoo.zoo import names as model_names

MOST = 64  # pictures that a call draws
PICKED = 36  # samples to choose from
# While one picture is made, of all the places that a slider has passed only the last counts.
DRAGGED = {"show_progress": "hidden", "trigger_mode": "always_last"}
CELL, SIDE = 112, 280  # pixels: of a picture among others, of one alone


def _told(gr: Any, call: Callable[..., Any]) -> Callable[..., Any]:
    """``call``, whose errors are a line on the page."""

    @functools.wraps(call)
    def safe(*values: Any) -> Any:
        try:
            return call(*values)
        except GenzooError as error:
            raise gr.Error(html.escape(str(error)), print_exception=False) from None

    return safe


def _seed(gr: Any, label: str = "Seed", value: int = 0) -> Any:
    return gr.Number(value, label=label, precision=0, minimum=0, maximum=2**53)


def _whole(value: float | None, what: str) -> int:
    """A number field's value, which is None where it was cleared. Raises BadInput."""
    if value is None or value != int(value) or value < 0:
        raise BadInput(f"{what} is a whole number from 0, got {value}")
    return int(value)


def _class(gr: Any, zoo: LoadedModels, name: str) -> Any:
    """The classes to choose from, where the model has some."""
    model = zoo.model(name)
    classes = list(model.class_names) or [str(i) for i in range(model.num_classes)]
    return gr.Dropdown(
        ["all in turn", *classes], value="all in turn", visible=bool(classes), label="Class"
    )


def _label(chosen: str | None) -> str | None:
    return None if chosen in (None, "all in turn") else chosen


def _scale(model: Sampler, side: int) -> int:
    """How large a pixel is shown, for pictures of about so many."""
    return max(1, side // max(model.shape[1:]))


def _shown(gr: Any, label: str, value: str | None = None) -> Any:
    """A picture that the page shows, as the file that it is."""
    told = {"format": "png", "type": "filepath", "buttons": ["download", "fullscreen"]}
    place = "-".join(re.findall(r"\w+", label.lower()))
    return gr.Image(value, label=label, interactive=False, elem_id=place, **told)


def draw(gr: Any, zoo: LoadedModels) -> str | None:
    def call(name: str, chosen: str | None, seed: int, n: int) -> tuple[str, str]:
        label, model = _label(chosen), zoo.model(name)
        picture = model.sample(
            min(MOST, _whole(n, "the number of pictures")),
            seed=_whole(seed, "a seed"),
            labels=label,
        )
        asked = f" --label '{label}'" if label else ""
        line = f"genzoo sample {name} -n {n:.0f} --seed {seed:.0f}{asked}"
        return zoo.saved(picture, _scale(model, CELL)), line

    first = zoo.names[0]
    picture, command = call(first, None, 0, 16)
    with gr.Row():
        with gr.Column(scale=1):
            name = gr.Dropdown(zoo.names, value=first, label="Model")
            chosen = _class(gr, zoo, first)
            seed, n = _seed(gr), gr.Slider(1, MOST, 16, step=1, label="Pictures")
            other, again = gr.Button("Another seed"), gr.Button("Draw", variant="primary")
        with gr.Column(scale=2):
            shown = _shown(gr, "Drawn", picture)
            line = gr.Code(command, label="The same from a terminal", language="shell", lines=1)
    asked, answer = [name, chosen, seed, n], [shown, line]
    name.change(lambda name: _class(gr, zoo, name), name, chosen)
    again.click(_told(gr, call), asked, answer)
    other.click(lambda: fresh_seed(), None, seed).then(_told(gr, call), asked, answer)
    return None


def between(gr: Any, zoo: LoadedModels) -> str | None:
    if not (names := zoo.able(Latent)):
        return "None of these models has a code to walk through."

    def call(name: str, first: int, second: int, share: float) -> str:
        model = walks.latent(zoo.model(name))
        ends, whose, label = walks.places(
            model, [_whole(first, "a seed"), _whole(second, "a seed")], None
        )
        code = walks.between(ends[0], ends[1], torch.tensor([share]))
        # What a model draws beside its code is that of the sample last passed.
        one = model.decode_codes(code, labels=label, seeds=[whose[int(share == 1)]])
        return zoo.saved(one, _scale(model, SIDE))

    with gr.Row():
        with gr.Column(scale=1):
            name = gr.Dropdown(names, value=names[0], label="Model")
            first, second = _seed(gr, "From seed", 3), _seed(gr, "To seed", 17)
            share = gr.Slider(0, 1, 0, step=0.02, label="How far")
        with gr.Column(scale=2):
            shown = _shown(gr, "Between", call(names[0], 3, 17, 0))
    knobs = [name, first, second, share]
    for knob in (name, first, second):
        knob.change(_told(gr, call), knobs, shown)
    share.input(_told(gr, call), knobs, shown, **DRAGGED)
    return None


def directed(gr: Any, zoo: LoadedModels) -> str | None:
    if not (names := zoo.able(Latent)):
        return "None of these models has a code to move."

    def show(name: str) -> str:
        model = zoo.model(name)
        samples = model.sample(PICKED, seed=0, labels=_one_class(model))
        assert isinstance(samples, Images)
        return zoo.saved(samples.png(_scale(model, CELL), numbers=True))

    def move(name: str, toward: str, away: str, which: int, alpha: float) -> str:
        model, label = zoo.model(name), _one_class(zoo.model(name))
        found = directions.of_picks(model, _numbers(toward), _numbers(away), label=label)
        walk = directions.along(
            model, found, [(0, _whole(which, "a sample"))], alphas=[alpha], label=label
        )
        return zoo.saved(walk, _scale(model, SIDE))

    with gr.Row():
        with gr.Column(scale=1):
            name = gr.Dropdown(names, value=names[0], label="Model")
            gr.Markdown("Pick samples by number: some that have what you want, some that have not.")
            toward = gr.Textbox("0, 1, 2", label="With", max_length=200)
            away = gr.Textbox("3, 4, 5", label="Without", max_length=200)
            which = gr.Number(0, label="Move sample", precision=0, minimum=0, maximum=2**53)
            alpha = gr.Slider(-2, 2, 0, step=0.1, label="How far along")
            moved = _shown(gr, "Moved")
        with gr.Column(scale=2):
            sheet = _shown(gr, "Samples of seed 0", show(names[0]))
    knobs = [name, toward, away, which, alpha]
    name.change(_told(gr, show), name, sheet)
    alpha.input(_told(gr, move), knobs, moved, **DRAGGED)
    for knob in (toward, away, which):
        knob.submit(_told(gr, move), knobs, moved)
    return None


def _one_class(model: Sampler) -> int | None:
    """A direction is one within a class."""
    return 0 if model.num_classes else None


def _numbers(text: str) -> list[tuple[int, int]]:
    """The samples of seed 0 with these numbers. Raises BadInput."""
    try:
        found = [int(part) for part in text.split(",")]
    except ValueError:
        raise BadInput(
            f"samples are numbers with commas between, like 3,17, got {text[:40]!r}"
        ) from None
    return [(0, index) for index in found]


def complete(gr: Any, zoo: LoadedModels) -> str | None:
    if not (names := zoo.able(Latent, Completer)):
        return "None of these models fills in what is missing."
    with gr.Row():
        name = gr.Dropdown(names, value=names[0], label="Model")
        seed = _seed(gr, "Start from the sample of seed", 3)
        start = gr.Button("Take that sample")
    gr.Markdown("Or drop a picture of your own. Paint over what is to be filled in.")
    with gr.Row():
        brush = gr.Brush(default_size=24, colors=["#ff3b30"], color_mode="fixed")
        drawn = gr.ImageEditor(
            label="Paint here",
            type="pil",
            image_mode="RGBA",
            brush=brush,
            eraser=gr.Eraser(default_size=24),
            transforms=[],
            sources=["upload"],
            canvas_size=(SIDE, SIDE),
            layers=False,
        )
        shown = _shown(gr, "Completed")
    go = gr.Button("Complete", variant="primary")

    def take(name: str, seed: int) -> Image.Image:
        model = zoo.model(name)
        cell = model.sample(1, seed=_whole(seed, "a seed")).pil()[0]  # type: ignore[attr-defined]
        return cell.convert("RGB").resize((SIDE, SIDE), Image.Resampling.NEAREST)

    def call(name: str, painted: dict[str, Any] | None) -> str:
        model = zoo.model(name)
        x, known = _painted(painted, model.shape)
        made = inpainting.inpaint(name, x, known, device=zoo.device, steps=60).samples
        assert isinstance(made, Images)
        return zoo.saved(made, _scale(model, SIDE))

    start.click(_told(gr, take), [name, seed], drawn)
    go.click(_told(gr, call), [name, drawn], shown)
    return None


def _painted(
    painted: dict[str, Any] | None, shape: Sequence[int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """The picture ``(1, C, H, W)`` in [0, 1] below what was painted, and where nothing was."""
    if not painted or painted.get("background") is None:
        raise BadInput("there is no picture yet: take a sample, or drop one of your own")
    x = _brought(painted["background"], shape)
    paint = np.zeros(x.shape[2:], bool)
    for layer in painted["layers"]:
        alpha = ImageOps.fit(
            layer.getchannel("A"), (paint.shape[1], paint.shape[0]), Image.Resampling.BOX
        )
        paint |= np.array(alpha) > 127
    if not paint.any():
        raise BadInput("nothing is painted over: paint what is to be filled in")
    return x, torch.from_numpy(~paint)


def _brought(picture: Image.Image, shape: Sequence[int]) -> torch.Tensor:
    """A picture's centre square at a model's size and channels: ``(1, C, H, W)`` in [0, 1]."""
    channels, height, width = shape
    flat = Image.new("RGB", picture.size, "white")
    flat.paste(picture, mask=picture.getchannel("A") if picture.mode == "RGBA" else None)
    flat = ImageOps.fit(
        flat.convert("L" if channels == 1 else "RGB"), (width, height), Image.Resampling.BOX
    )
    pixels = np.array(flat, np.float32).reshape(height, width, channels) / 255
    return torch.from_numpy(pixels).permute(2, 0, 1)[None]


def translate(gr: Any, zoo: LoadedModels) -> str | None:
    if not (names := zoo.able(Translator)):
        return "None of these models translates."
    with gr.Row():
        name = gr.Dropdown(names, value=names[0], label="Model")
        to = gr.Radio(list(_domains(zoo, names[0])), value=_domains(zoo, names[0])[1], label="Into")
    with gr.Row():
        given = gr.Image(label="A photo", type="pil", image_mode="RGB", sources=["upload"])
        shown = _shown(gr, "Translated")

    def call(name: str, to: str, given: Image.Image | None) -> str:
        model = zoo.model(name)
        assert isinstance(model, Translator)
        if given is None:
            raise BadInput("there is no photo yet: drop one")
        return zoo.saved(model.translate(_brought(given, model.shape), to), _scale(model, SIDE))

    name.change(
        lambda name: gr.Radio(list(_domains(zoo, name)), value=_domains(zoo, name)[1]), name, to
    )
    gr.Button("Translate", variant="primary").click(_told(gr, call), [name, to, given], shown)
    return None


def _domains(zoo: LoadedModels, name: str) -> tuple[str, str]:
    model = zoo.model(name)
    assert isinstance(model, Translator)
    return model.domains


def beside(gr: Any, zoo: LoadedModels) -> str | None:
    if len(zoo.names) < 2:
        return "It takes two models."
    seed = _seed(gr)
    with gr.Row():
        pairs = [(gr.Dropdown(zoo.names, value=zoo.names[i], label="Model"), i) for i in (0, 1)]
    with gr.Row():
        shown = [_shown(gr, label) for label in ("The first", "The second")]

    def call(one: str, two: str, seed: int) -> list[str]:
        return [
            zoo.saved(zoo.model(name).sample(16, seed=_whole(seed, "a seed")))
            for name in (one, two)
        ]

    knobs = [*(knob for knob, _ in pairs), seed]
    gr.Button("Draw both", variant="primary").click(_told(gr, call), knobs, shown)
    gr.Markdown("Which is better, and how sure that is: `genzoo compare ONE OTHER`.")
    return None


def quiz(gr: Any, zoo: LoadedModels) -> str | None:
    if zoo.quiz is None:
        return "Start it with `--data mnist`, or a folder of pictures, to be asked which are real."
    name = gr.Dropdown(zoo.names, value=zoo.names[0], label="Against")
    shown = _shown(gr, "Real, or made?")
    truth, score = gr.State(None), gr.State((0, 0))
    said = gr.Markdown("Press a button to begin.")
    with gr.Row():
        buttons = [gr.Button("Real"), gr.Button("Made")]

    def answer(
        guess: bool, name: str, truth: bool | None, score: tuple[int, int]
    ) -> tuple[Any, ...]:
        right, asked = score
        told = "Here is the first one."
        if truth is not None:
            right, asked = right + (guess == truth), asked + 1
            was = "real" if truth else f"made by {printable(name)}"
            verdict = "Right" if guess == truth else "Wrong"
            told = f"{verdict}: that one was {was}. {right} of {asked}."
        return (*_asked(zoo, name), (right, asked), told)

    for button, guess in zip(buttons, (True, False), strict=True):
        call = _told(gr, functools.partial(answer, guess))
        button.click(call, [name, truth, score], [shown, truth, score, said])
    return None


def _asked(zoo: LoadedModels, name: str) -> tuple[str, bool]:
    """A picture, and whether it is real."""
    model, real = zoo.model(name), random.random() < 0.5
    scale = _scale(model, SIDE)
    if not real:
        one = model.sample(1, seed=fresh_seed(), labels=_any_label(model))
        return zoo.saved(one, scale), real
    rows = zoo.real(tuple(model.shape))
    x = rows.batch([random.randrange(len(rows))])[0]
    pixels = x.permute(1, 2, 0).mul(255).byte().numpy().repeat(scale, 0).repeat(scale, 1)
    return zoo.saved(_bytes(Image.fromarray(pixels.squeeze()))), real


def _any_label(model: Sampler) -> int | None:
    return random.randrange(model.num_classes) if model.num_classes else None


def _bytes(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def card(gr: Any, zoo: LoadedModels) -> str | None:
    name = gr.Dropdown(zoo.names, value=zoo.names[0], label="Model")

    def call(name: str) -> str:
        text = (model_names.find(name) / "README.md").read_text(encoding="utf-8", errors="replace")
        body = text.split("\n---\n", 1)[-1] if text.startswith("---\n") else text
        # A card is somebody's text: no pictures from elsewhere, no markup.
        lines = [line for line in body.splitlines() if not line.startswith("![")]
        return "\n".join(html.escape(printable(line), quote=False) for line in lines)

    shown = gr.Markdown(call(zoo.names[0]))
    name.change(_told(gr, call), name, shown)
    return None
