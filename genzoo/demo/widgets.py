"""The controls and pictures of the demo page, the same in each tab, and checks of their values."""

import contextlib
import functools
import html
import random
import re
import shlex
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, final

from genzoo.demo.models import KEPT, LoadedModels
from genzoo.errors import BadInput, GenzooError
from genzoo.models.kinds import SHOWN
from genzoo.models.pictures import usual_columns
from genzoo.models.sampler import Sampler
from genzoo.models.samples import Images, Samples
from genzoo.schemas import Kind

MOST: dict[Kind, int] = {"images": 64, "signals": 64, "points": 10_000}  # samples of one call
LARGEST = 2**53  # a whole number that a browser knows exactly
FRESH = 1_000_000  # seeds below it are short enough to write down
LONGEST = 200  # characters of a list of samples
ALL = "all in turn"
# Pixels of a picture that fills its column on a screen of 1,280, or half of it. On a wider screen
# the browser enlarges it further, by nearest neighbour too.
WIDE, HALF = 800, 400
# While one image is computed, only the last of a slider's positions counts.
LAST = {"show_progress": "hidden", "trigger_mode": "always_last"}
# Without a frame around each group, the pictures get its width.
CSS = """
.prose td:first-child { white-space: nowrap }
.gradio-container { padding: 0 12px !important }
.picture img { width: 100%; object-fit: contain; image-rendering: pixelated }
.picture .image-frame, .picture .image-container { width: 100%; height: auto }
.picture .image-container { padding-top: 34px }
.picture.high img { max-height: 82vh }
.files .label-clear-button { display: none }
"""


@final
class Widgets:
    """Makes what tabs are made of. ``page``: the ``gr.Blocks``. ``firsts``: what fills the tabs."""

    def __init__(self, gr: Any, page: Any, models: LoadedModels):
        self.gr, self.page, self.models = gr, page, models
        self.firsts: list[Callable[[], Any]] = []

    # ------------------------------------------------------------------------------------- layout
    def row(self) -> Any:
        return self.gr.Row(equal_height=False)

    def controls(self) -> Any:
        """The left column; on a telephone it is above the other one."""
        return self.gr.Column(scale=1, min_width=300)

    def pictures(self) -> Any:
        """The right column."""
        return self.gr.Column(scale=2, min_width=320)

    def half(self) -> Any:
        """A half of the right column; on a telephone as wide as it."""
        return self.gr.Column(min_width=300)

    # ----------------------------------------------------------------------------------- controls
    def model(self, names: Sequence[str], value: str, label: str = "Model") -> Any:
        return self.gr.Dropdown(names, value=value, label=label)

    def seed(self, value: int = 0, label: str = "Seed") -> Any:
        return self.gr.Number(value, label=label, precision=0, minimum=0, maximum=LARGEST)

    def classes(self, name: str, value: str = "", one: bool = False) -> Any:
        """A menu of the model's classes, hidden if it has none; ``one``: one must be chosen."""
        known = self.models.classes(name)
        choices = known if one and known else [ALL, *known]
        chosen = value if value in known else choices[0]
        return self.gr.Dropdown(choices, value=chosen, visible=bool(known), label="Class")

    def count(self, name: str, value: int = 0) -> Any:
        """A slider for the number of samples of the model's kind."""
        kind = self.models.manifest(name).kind
        return self.gr.Slider(1, MOST[kind], value or SHOWN[kind], step=1, label="Samples")

    def button(self, label: str) -> Any:
        """The button that a tab is about."""
        return self.gr.Button(label, variant="primary")

    # ----------------------------------------------------------------------------------- pictures
    def picture(self, label: str, high: bool = True, **more: Any) -> Any:
        """A picture as wide as its column; ``high``: at most as high as the window. The browser
        gets the file on disk.
        """
        options: dict[str, Any] = {"format": "png", "type": "filepath", "interactive": False}
        options["buttons"] = ["download", "fullscreen"]
        options["elem_classes"] = ["picture", *["high"] * high]
        element = "-".join(re.findall(r"\w+", label.lower()))
        return self.gr.Image(label=label, elem_id=element, **options, **more)

    def sound(self, path: str | None = None) -> Any:
        """A player, hidden where there is no sound."""
        return self.gr.Audio(
            path, label="Sound", type="filepath", interactive=False, visible=path is not None
        )

    def command(self, what: str = "The same") -> Any:
        """The line that does it in a terminal."""
        label = f"{what} from a terminal"
        return self.gr.Code(label=label, language="shell", lines=1, wrap_lines=True)

    def files(self) -> Any:
        """The files that the line of `command` names, to download."""
        options: dict[str, Any] = {"interactive": False, "elem_classes": ["files"]}
        return self.gr.File(label="Its files", file_count="multiple", **options)

    @staticmethod
    def scale(shape: Sequence[int], columns: int = 1, wide: int = WIDE) -> int:
        """How many times a pixel is enlarged, for a picture of about ``wide`` pixels."""
        return max(1, wide // (columns * max(shape[-2:])))

    def save(
        self,
        samples: Samples,
        columns: int | None = None,
        numbers: bool = False,
        wide: int = WIDE,
    ) -> str:
        """The path of a picture of about ``wide`` pixels."""
        if not isinstance(samples, Images):  # points and signals have a size of their own
            return self.models.save(samples)
        across = columns or samples.columns or usual_columns(len(samples))
        scale = self.scale(samples.tensor.shape, across, wide)
        # Without captions: the tab says what is where, and browsers shrink text until it is jagged.
        return self.models.save(samples[:], scale, numbers=numbers, columns=across)

    # ------------------------------------------------------------------------------------- events
    def fill(self, call: Callable[..., Any], inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        """Show what ``call`` returns for the first values of ``inputs`` when the page opens.

        It is computed once, and all who open the page see it.
        """
        first = _Once(functools.partial(call, *(control.value for control in inputs)))
        self.firsts.append(first)
        self.page.load(self.safe(first), None, outputs, show_progress="hidden")

    def live(
        self,
        controls: Sequence[Any],
        call: Callable[..., Any],
        inputs: Sequence[Any],
        outputs: Sequence[Any],
    ) -> None:
        """``call`` whenever the visitor changes one of ``controls``, but for a number just cleared
        to type another one.
        """

        def changed(*values: Any) -> Any:
            empty = [i for i in inputs if isinstance(i, self.gr.Number)]
            cleared = any(v is None for i, v in zip(inputs, values, strict=True) if i in empty)
            return tuple(self.gr.skip() for _ in outputs) if cleared else call(*values)

        safe = self.safe(functools.wraps(call)(changed))
        for control in controls:
            control.input(safe, inputs, outputs, **LAST)

    def press(
        self, button: Any, call: Callable[..., Any], inputs: Sequence[Any], outputs: Sequence[Any]
    ) -> None:
        """``call`` when ``button`` is pressed."""
        button.click(self.safe(call), inputs, outputs)

    def fresh(
        self,
        button: Any,
        seed: Any,
        call: Callable[..., Any],
        inputs: Sequence[Any],
        outputs: Sequence[Any],
    ) -> None:
        """Take another seed when ``button`` is pressed, and then ``call``."""
        taken = button.click(lambda: random.randrange(FRESH), None, seed, show_progress="hidden")
        taken.then(self.safe(call), inputs, outputs)

    def choose(
        self,
        name: Any,
        choose: Callable[..., Any],
        controls: Sequence[Any],
        call: Callable[..., Any],
        inputs: Sequence[Any],
        outputs: Sequence[Any],
    ) -> None:
        """When another model is chosen, set ``controls`` to what ``choose`` returns for it, and
        then ``call``.
        """
        chosen = name.input(self.safe(choose), name, controls, show_progress="hidden")
        chosen.success(self.safe(call), inputs, outputs)

    def safe(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """``call``, whose errors become a line on the page, and nothing in the terminal."""

        @functools.wraps(call)
        def safe(*values: Any) -> Any:
            with self._shown_errors():
                return call(*values)

        return safe

    def safe_stream(self, call: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        """As `safe`, for a call that yields what to show."""

        @functools.wraps(call)
        def safe(*values: Any) -> Iterator[Any]:
            with self._shown_errors():
                yield from call(*values)

        return safe

    @contextlib.contextmanager
    def _shown_errors(self) -> Iterator[None]:
        try:
            yield
        except GenzooError as error:
            text = str(error)
        except Exception as error:  # a fault of a family, or of ours: the page goes on
            text = " ".join(f"{type(error).__name__}: {error}".split())
        else:
            return
        raise self.gr.Error(html.escape(text[:300]), print_exception=False)


@final
class _Once:
    """A call that is made once, whoever asks, or again after an error; its files are kept."""

    def __init__(self, call: Callable[[], Any]):
        self.call, self.lock = call, threading.Lock()
        self.__name__ = "first"

    def __call__(self) -> Any:
        with self.lock:
            if not hasattr(self, "result"):
                token = KEPT.set(True)
                try:
                    self.result = self.call()
                finally:
                    KEPT.reset(token)
        return self.result


# ------------------------------------------------------------------------------------------ checks
def integer(value: Any, what: str) -> int:
    """A number field's value, which is None if it was cleared. Raises BadInput."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= LARGEST or value != int(value):
        got = f"{value!r:.40}"
        raise BadInput(f"{what} must be a whole number of at least 0, got {got}")
    return int(value)


def number(value: Any, low: float, high: float, what: str) -> float:
    """A slider's value. Raises BadInput."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not low <= value <= high:  # no comparison with NaN holds
        raise BadInput(f"{what} must be a number from {low:g} to {high:g}, got {value!r:.40}")
    return float(value)


def class_of(choice: Any) -> str | None:
    """The class chosen in a menu; None for all in turn. Raises BadInput."""
    if not isinstance(choice, str | None):
        raise BadInput(f"a class is one name, got {choice!r:.40}")
    return None if choice in (None, "", ALL) else choice


def own_class(model: Sampler, choice: Any) -> str | None:
    """The class chosen for a model; None if it has no classes. Raises BadInput."""
    return class_of(choice) if model.num_classes else None


def label_option(label: str | None) -> str:
    """The option of a command that chooses this class."""
    return f" --label {shlex.quote(label)}" if label else ""
