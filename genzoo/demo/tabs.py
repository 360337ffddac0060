"""The tabs of the demo page: each lays out its controls and images, and what they call.

Each returns None, or the reason why it shows nothing.
"""

import functools
import html
import io
import json
import random
import re
import shlex
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps

from genzoo.demo.models import LoadedModels
from genzoo.demo.settings import SettingControls
from genzoo.editing import directions, inpainting, selection, walks
from genzoo.errors import BadInput, GenzooError
from genzoo.models.abilities import Completer, Translator
from genzoo.models.checks import fresh_seed
from genzoo.models.kinds import SHOWN
from genzoo.models.sampler import Latent, Sampler
from genzoo.schemas import Kind
from genzoo.text import printable
from genzoo.zoo import names as model_names
from genzoo.zoo.manifest import LARGEST_JSON, README
from genzoo.zoo.reader import read_capped

MOST: dict[Kind, int] = {"images": 64, "signals": 64, "points": 10_000}  # samples of one call
CHOICE = 36  # samples to choose from
LARGEST = 2**53  # a whole number that a browser knows exactly
LONGEST = 200  # characters of a list of samples
# While one image is computed, only the last of a slider's positions counts.
SLIDER = {"show_progress": "hidden", "trigger_mode": "always_last"}
CELL, SIDE = 112, 280  # pixels: an image among others, a single one


def _safe(gr: Any, call: Callable[..., Any]) -> Callable[..., Any]:
    """``call``, whose errors become a line on the page."""

    @functools.wraps(call)
    def safe(*values: Any) -> Any:
        try:
            return call(*values)
        except GenzooError as error:
            raise gr.Error(html.escape(str(error)), print_exception=False) from None

    return safe


def _seed(gr: Any, label: str = "Seed", value: int = 0) -> Any:
    return gr.Number(value, label=label, precision=0, minimum=0, maximum=LARGEST)


def _integer(value: Any, what: str) -> int:
    """A number field's value, which is None if it was cleared. Raises BadInput."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= LARGEST or value != int(value):
        got = f"{value!r:.40}"
        raise BadInput(f"{what} must be a whole number of at least 0, got {got}")
    return int(value)


def _number(value: Any, low: float, high: float, what: str) -> float:
    """A slider's value. Raises BadInput."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not low <= value <= high:  # no comparison with NaN holds
        raise BadInput(f"{what} must be a number from {low:g} to {high:g}, got {value!r:.40}")
    return float(value)


def _class_menu(gr: Any, models: LoadedModels, name: str) -> Any:
    """A menu of the model's classes, hidden if it has none."""
    model = models.model(name)
    classes = list(model.class_names) or [str(i) for i in range(model.num_classes)]
    return gr.Dropdown(
        ["all in turn", *classes], value="all in turn", visible=bool(classes), label="Class"
    )


def _label(choice: str | None) -> str | None:
    if not isinstance(choice, str | None):
        raise BadInput(f"a class is one name, got {choice!r:.40}")
    return None if choice in (None, "all in turn") else choice


def _scale(model: Sampler, side: int) -> int:
    """How many times each pixel is enlarged, for an image of about ``side`` pixels."""
    return max(1, side // max(model.shape[1:])) if model.is_images else 1


def _picture(gr: Any, label: str, value: str | None = None) -> Any:
    """An image component; the browser gets the file on disk."""
    options = {"format": "png", "type": "filepath", "buttons": ["download", "fullscreen"]}
    element = "-".join(re.findall(r"\w+", label.lower()))
    return gr.Image(value, label=label, interactive=False, elem_id=element, **options)


def _sound(gr: Any, path: str | None) -> Any:
    """A player, hidden where there is no sound."""
    return gr.Audio(
        path, label="Sound", type="filepath", interactive=False, visible=path is not None
    )


def _count(gr: Any, models: LoadedModels, name: str) -> Any:
    """A slider for the number of samples of the model's kind."""
    kind = models.model(name).kind
    return gr.Slider(1, MOST[kind], SHOWN[kind], step=1, label="Samples")


def sample(gr: Any, models: LoadedModels) -> str | None:
    def call(
        name: str, choice: str | None, seed: int, n: int, *values: Any
    ) -> tuple[str, Any, str]:
        label, model = _label(choice), models.model(name)
        count = min(MOST[model.kind], _integer(n, "the number of samples"))
        chosen, start = controls.settings(name, values), _integer(seed, "a seed")
        samples = model.sample(count, seed=start, labels=label, **chosen)
        options = [f"--label {shlex.quote(label)}"] if label else []
        options += [f"--set {key}={shlex.quote(json.dumps(v))}" for key, v in chosen.items()]
        line = " ".join([f"genzoo sample {shlex.quote(name)} -n {count} --seed {start}", *options])
        sound = _sound(gr, models.save_sound(samples))
        return models.save(samples, _scale(model, CELL)), sound, line

    first = models.names[0]
    n_first = SHOWN[models.model(first).kind]
    with gr.Row():
        with gr.Column(scale=1):
            name = gr.Dropdown(models.names, value=first, label="Model")
            choice = _class_menu(gr, models, first)
            seed, n = _seed(gr), _count(gr, models, first)
            controls = SettingControls(gr, models, first)
            other, again = gr.Button("Another seed"), gr.Button("Draw", variant="primary")
        with gr.Column(scale=2):
            picture, sound, command = call(first, None, 0, n_first, *controls.defaults)
            output = _picture(gr, "Drawn", picture)
            line = gr.Code(command, label="The same from a terminal", language="shell", lines=1)
    inputs = [name, choice, seed, n, *controls.components]
    outputs = [output, sound, line]

    def show(name: str) -> list[Any]:
        return [_class_menu(gr, models, name), _count(gr, models, name), *controls.show(gr, name)]

    name.change(_safe(gr, show), name, [choice, n, *controls.components])
    again.click(_safe(gr, call), inputs, outputs)
    other.click(lambda: fresh_seed(), None, seed).then(_safe(gr, call), inputs, outputs)
    return None


def interpolate(gr: Any, models: LoadedModels) -> str | None:
    if not (names := models.with_ability(Latent)):
        return "None of these models has a latent code."

    def call(name: str, first: int, second: int, share: float) -> tuple[str, Any]:
        model = walks.as_latent(models.model(name))
        seeds = [_integer(first, "a seed"), _integer(second, "a seed")]
        share = _number(share, 0, 1, "how far")
        ends = selection.resolve(model, seeds, None)
        first_code, second_code = ends.codes
        code = model.code_law.between(first_code, second_code, torch.tensor([share]))
        # Random numbers beside the code are those of the sample last passed, as in a walk.
        beside = [ends.addresses[int(share == 1)]]
        between = model.decode_codes(code, labels=ends.label, seeds=beside)
        sound = _sound(gr, models.save_sound(between))
        return models.save(between, _scale(model, SIDE)), sound

    with gr.Row():
        with gr.Column(scale=1):
            name = gr.Dropdown(names, value=names[0], label="Model")
            first, second = _seed(gr, "From seed", 3), _seed(gr, "To seed", 17)
            share = gr.Slider(0, 1, 0, step=0.02, label="How far")
        with gr.Column(scale=2):
            picture, sound = call(names[0], 3, 17, 0)
            outputs = [_picture(gr, "Between", picture), sound]
    inputs = [name, first, second, share]
    for control in (name, first, second):
        control.change(_safe(gr, call), inputs, outputs)
    share.input(_safe(gr, call), inputs, outputs, **SLIDER)
    return None


def steer(gr: Any, models: LoadedModels) -> str | None:
    if not (names := models.with_ability(Latent)):
        return "None of these models has a latent code."

    def show(name: str) -> str:
        model = models.model(name)
        samples = model.sample(CHOICE, seed=0, labels=_one_class(model))
        return models.save(samples, _scale(model, CELL), numbers=True)

    def move(name: str, toward: str, away: str, which: int, alpha: float) -> str:
        model, label = models.model(name), _one_class(models.model(name))
        direction = directions.direction_from_seeds(
            model, _parse_numbers(toward or ""), _parse_numbers(away or ""), label=label
        )
        address, alpha = (0, _integer(which, "a sample")), _number(alpha, -2, 2, "the steps")
        moved = directions.steer(model, direction, [address], alphas=[alpha], label=label)
        return models.save(moved, _scale(model, SIDE))

    with gr.Row():
        with gr.Column(scale=1):
            name = gr.Dropdown(names, value=names[0], label="Model")
            gr.Markdown(
                "Choose samples by number: some with the attribute that you want, some without it."
            )
            toward = gr.Textbox("0, 1, 2", label="With", max_length=LONGEST)
            away = gr.Textbox("3, 4, 5", label="Without", max_length=LONGEST)
            which = gr.Number(0, label="Move sample", precision=0, minimum=0, maximum=LARGEST)
            alpha = gr.Slider(-2, 2, 0, step=0.1, label="Steps along the direction")
            moved = _picture(gr, "Moved")
        with gr.Column(scale=2):
            sheet = _picture(gr, "Samples of seed 0", show(names[0]))
    inputs = [name, toward, away, which, alpha]
    name.change(_safe(gr, show), name, sheet)
    alpha.input(_safe(gr, move), inputs, moved, **SLIDER)
    for control in (toward, away, which):
        control.submit(_safe(gr, move), inputs, moved)
    return None


def _one_class(model: Sampler) -> int | None:
    """A direction belongs to one class."""
    return 0 if model.num_classes else None


def _parse_numbers(text: str) -> list[tuple[int, int]]:
    """The samples of seed 0 with these numbers. Raises BadInput."""
    expected = "expected sample numbers, separated by commas, like 3,17"
    if len(text) > LONGEST:
        raise BadInput(f"{expected}, at most {LONGEST} characters, got {len(text)}")
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        raise BadInput(f"{expected}, got {text[:40]!r}") from None
    return [(0, _integer(number, "a sample")) for number in numbers]


def inpaint(gr: Any, models: LoadedModels) -> str | None:
    if not (names := models.with_ability(Latent, Completer, kinds=["images"])):
        return "None of these models can inpaint."
    with gr.Row():
        name = gr.Dropdown(names, value=names[0], label="Model")
        seed = _seed(gr, "Start from the sample of seed", 3)
        start = gr.Button("Take that sample")
    gr.Markdown("Or drop an image of your own. Paint over the part to fill in.")
    with gr.Row():
        brush = gr.Brush(default_size=24, colors=["#ff3b30"], color_mode="fixed")
        editor = gr.ImageEditor(
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
        output = _picture(gr, "Completed")
    go = gr.Button("Complete", variant="primary")

    def take(name: str, seed: int) -> Image.Image:
        model = models.model(name)
        cell = model.sample(1, seed=_integer(seed, "a seed")).pil()[0]  # type: ignore[attr-defined]
        return cell.convert("RGB").resize((SIDE, SIDE), Image.Resampling.NEAREST)

    def call(name: str, painted: dict[str, Any] | None) -> str:
        model = models.model(name)
        x, known = unpack_painting(painted, model.shape)
        quick: Any = {} if isinstance(model, Completer) else {"steps": 60}
        completion = inpainting.inpaint(name, x, known, device=models.device, **quick)
        return models.save(completion.samples, _scale(model, SIDE))

    start.click(_safe(gr, take), [name, seed], editor)
    go.click(_safe(gr, call), [name, editor], output)
    return None


def unpack_painting(
    painted: dict[str, Any] | None, shape: Sequence[int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """The image ``(1, C, H, W)`` in [0, 1] below the paint, and the mask: False where painted."""
    if not painted or painted.get("background") is None:
        raise BadInput("no image yet: take a sample, or drop one of your own")
    x = _fit_picture(painted["background"], shape)
    paint = np.zeros(x.shape[2:], bool)
    for layer in painted["layers"]:
        alpha = ImageOps.fit(
            layer.getchannel("A"), (paint.shape[1], paint.shape[0]), Image.Resampling.BOX
        )
        paint |= np.array(alpha) > 127
    if not paint.any():
        raise BadInput("nothing is painted over: paint the part to fill in")
    return x, torch.from_numpy(~paint)


def _fit_picture(picture: Image.Image, shape: Sequence[int]) -> torch.Tensor:
    """An image's centre square at a model's size and channels: ``(1, C, H, W)`` in [0, 1]."""
    channels, height, width = shape
    flat = Image.new("RGB", picture.size, "white")
    flat.paste(picture, mask=picture.getchannel("A") if picture.mode == "RGBA" else None)
    flat = ImageOps.fit(
        flat.convert("L" if channels == 1 else "RGB"), (width, height), Image.Resampling.BOX
    )
    pixels = np.array(flat, np.float32).reshape(height, width, channels) / 255
    return torch.from_numpy(pixels).permute(2, 0, 1)[None]


def translate(gr: Any, models: LoadedModels) -> str | None:
    if not (names := models.with_ability(Translator, kinds=["images"])):
        return "None of these models can translate."
    with gr.Row():
        name = gr.Dropdown(names, value=names[0], label="Model")
        to = gr.Radio(**_targets(models, names[0]), label="Into")
    with gr.Row():
        photo = gr.Image(label="A photo", type="pil", image_mode="RGB", sources=["upload"])
        output = _picture(gr, "Translated")

    def call(name: str, to: str, photo: Image.Image | None) -> str:
        model = models.model(name)
        assert isinstance(model, Translator)
        if photo is None:
            raise BadInput("no photo yet: drop one")
        return models.save(
            model.translate(_fit_picture(photo, model.shape), to), _scale(model, SIDE)
        )

    def choose(name: str) -> Any:
        return gr.Radio(**_targets(models, name))

    name.change(_safe(gr, choose), name, to)
    gr.Button("Translate", variant="primary").click(_safe(gr, call), [name, to, photo], output)
    return None


def _targets(models: LoadedModels, name: str) -> dict[str, Any]:
    """The domains that a model translates to, for a choice; the second one is chosen."""
    model = models.model(name)
    assert isinstance(model, Translator)
    return {"choices": [*model.targets], "value": model.targets[-1]}


def compare(gr: Any, models: LoadedModels) -> str | None:
    if len(models.names) < 2:
        return "This tab needs two models."
    seed = _seed(gr)
    with gr.Row():
        menus = [gr.Dropdown(models.names, value=models.names[i], label="Model") for i in (0, 1)]
    with gr.Row():
        output = [_picture(gr, label) for label in ("The first", "The second")]

    def call(first: str, second: str, seed: int) -> list[str]:
        drawn = [models.model(name) for name in (first, second)]
        return [
            models.save(model.sample(SHOWN[model.kind], seed=_integer(seed, "a seed")))
            for model in drawn
        ]

    inputs = [*menus, seed]
    gr.Button("Draw both", variant="primary").click(_safe(gr, call), inputs, output)
    gr.Markdown("Which is better, and how certain is that? `genzoo compare ONE OTHER`.")
    return None


def quiz(gr: Any, models: LoadedModels) -> str | None:
    if models.quiz is None:
        return "For the quiz, start the demo with `--data mnist`, or a folder of images."
    if not (names := models.with_ability(Sampler, kinds=["images"])):
        return "None of these models generates images."
    name = gr.Dropdown(names, value=names[0], label="Against")
    output = _picture(gr, "Real, or generated?")
    truth, score = gr.State(None), gr.State((0, 0))
    verdict = gr.Markdown("Press a button to begin.")
    with gr.Row():
        buttons = [gr.Button("Real"), gr.Button("Generated")]

    def answer(
        guess: bool, name: str, truth: bool | None, score: tuple[int, int]
    ) -> tuple[Any, ...]:
        right, answers = score
        line = "Here is the first one."
        if truth is not None:
            right, answers = right + (guess == truth), answers + 1
            origin = "real" if truth else f"generated by {printable(name)}"
            word = "Right" if guess == truth else "Wrong"
            line = html.escape(f"{word}: that one was {origin}. {right} of {answers}.")
        return (*_question(models, name), (right, answers), line)

    for button, guess in zip(buttons, (True, False), strict=True):
        call = _safe(gr, functools.partial(answer, guess))
        button.click(call, [name, truth, score], [output, truth, score, verdict])
    return None


def _question(models: LoadedModels, name: str) -> tuple[str, bool]:
    """An image, and whether it is real."""
    model, real = models.model(name), random.random() < 0.5
    scale = _scale(model, SIDE)
    if not real:
        samples = model.sample(1, seed=fresh_seed(), labels=_any_label(model))
        return models.save(samples, scale), real
    images = models.real_images(tuple(model.shape))
    x = images.batch([random.randrange(len(images))])[0]
    pixels = x.permute(1, 2, 0).mul(255).byte().numpy().repeat(scale, 0).repeat(scale, 1)
    return models.save(_png_bytes(Image.fromarray(pixels.squeeze()))), real


def _any_label(model: Sampler) -> int | str | None:
    classes: Sequence[int | str] = model.class_names or range(model.num_classes)
    return random.choice(classes) if classes else None


def _png_bytes(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def cards(gr: Any, models: LoadedModels) -> str | None:
    name = gr.Dropdown(models.names, value=models.names[0], label="Model")

    output = gr.Markdown(card_text(models.names[0]))
    name.change(_safe(gr, card_text), name, output)
    return None


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
