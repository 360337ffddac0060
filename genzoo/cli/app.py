"""What commands share: options, tables, progress lines."""

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from genzoo.cli.application import App as App
from genzoo.cli.application import app as app
from genzoo.cli.completing import complete_data, complete_field, complete_label, complete_metrics
from genzoo.cli.completing import complete_family as complete_family
from genzoo.cli.completing import complete_model as complete_model
from genzoo.cli.progress import Ticker as Ticker
from genzoo.files import default_path as default_path
from genzoo.files import last_name as last_name
from genzoo.text import columns, nfc, printable, width


def parse_size(text: str) -> int | str:
    """A side as a number; a text such as 64x48 stays one."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else text


def parse_seed(text: str | int) -> int:
    """A seed as a number; ``random`` gives another each time. Raises typer.BadParameter."""
    if text == "random":
        return int.from_bytes(os.urandom(4), "big")  # short, so that people can type it again
    number = str(text)
    if number.isascii() and number.isdigit() and len(number) < 20 and int(number) < 2**63:
        return int(number)
    instead = ": type --seed random" if number == "-1" else ""
    raise typer.BadParameter(
        f"expected a whole number from 0 to 2**63 - 1 or random, got {number[:40]!r}{instead}"
    )


# Groups of a command's options in its help; those of no group are its own.
PHOTOS = "Photos"
DATA = "Data"
OUTPUT = "Output"
COMPUTING = "Computing"

ModelName = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A model of genzoo list, or a folder like ./mine.",
        autocompletion=complete_model,
    ),
]
ModelOrFamily = Annotated[
    str,
    typer.Argument(
        metavar="MODEL", help="A model, a folder or a family.", autocompletion=complete_model
    ),
]


def out_option(help: str, default: str | None = None, metavar: str = "FILE") -> Any:
    """``-o/--out``, the output; ``help``: which files a command writes."""
    return typer.Option(
        "-o",
        "--out",
        metavar=metavar,
        help=help,
        show_default=default or False,
        rich_help_panel=OUTPUT,
    )


def count_option(help: str, default: str | None = None, least: int | None = None) -> Any:
    """``-n/--n``, a number of samples or images."""
    return typer.Option(
        "-n", "--n", metavar="N", min=least, help=help, show_default=default or True
    )


# An option that several commands have is one object: one spelling, one type and one text. Where a
# command must tell "not given" from a value, it takes Annotated[... | None, SEED].
SEED = typer.Option(
    parser=parse_seed,
    metavar="N|random",
    help="Random seed: the same number gives the same result.",
    show_default="0",
)
SAMPLE = typer.Option(
    metavar="SEED:INDEX|FILE",
    help="Which samples: 0:3, or 0:16,18,43 of a numbered sheet, or a photo; can be repeated.",
)
SET = typer.Option(
    "--set",
    metavar="NAME=VALUE",
    help="A setting; can be repeated. genzoo info FAMILY lists them.",
    autocompletion=complete_field,
)
DEVICE = typer.Option(
    metavar="DEVICE",
    help="Where to compute: auto, cpu, cuda, cuda:1, mps.",
    show_default="auto",
    rich_help_panel=COMPUTING,
)


def data_option(default: str) -> Any:
    """``--data``, with what a command takes where it is not given."""
    return typer.Option(
        metavar="DATA",
        help="A data set of genzoo list data, or a folder like ./photos.",
        autocompletion=complete_data,
        show_default=default,
        rich_help_panel=DATA,
    )


def metrics_option(default: str | bool = "those of the data") -> Any:
    """``--metrics``, with those of a command where it is not given."""
    return typer.Option(
        metavar="METRICS",
        help="Metrics of genzoo list metrics, separated by commas: fd,recall.",
        autocompletion=complete_metrics,
        show_default=default,
    )


def license_option(default: str) -> Any:
    """``--license``, with that of a command where it is not given."""
    return typer.Option(
        metavar="LICENSE",
        help="License of the weights: mit, cc-by-4.0, other.",
        show_default=default,
        rich_help_panel=OUTPUT,
    )


Seed = Annotated[int, SEED]
Sample = Annotated[list[str] | None, SAMPLE]
Settings = Annotated[list[str] | None, SET]
Device = Annotated[str, DEVICE]
# How the codes of photos are searched, in commands that edit.
SearchSteps = Annotated[
    int | None,
    typer.Option(
        min=0,
        metavar="N",
        help="Steps of the search for a photo's code.",
        show_default="300, 0 with an encoder",
        rich_help_panel=PHOTOS,
    ),
]
SearchSeed = Annotated[
    int | None,
    typer.Option(
        parser=parse_seed,
        metavar="N|random",
        help="Random seed of the search for a photo's code.",
        show_default="0",
        rich_help_panel=PHOTOS,
    ),
]
Restarts = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Random starts of the search for a code.",
        show_default="4",
        rich_help_panel=PHOTOS,
    ),
]
Label = Annotated[
    str | None,
    typer.Option(
        metavar="CLASS",
        help="Class, by name or number. genzoo sample and inpaint take several: 3,5,7.",
        autocompletion=complete_label,
    ),
]
Features = Annotated[
    str | None,
    typer.Option(
        metavar="FEATURES",
        help="Features that metrics compare: mnist, inception, inception:FILE, module:object.",
        show_default="those of the data",
    ),
]
Groups = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Number of disjoint groups, one estimate each."),
]
Size = Annotated[
    str | None,
    typer.Option(
        parser=parse_size,
        metavar="SIDE|WxH",
        help="Side, or width x height, of resized images from folders.",
        rich_help_panel=DATA,
    ),
]
Channels = Annotated[
    int | None,
    typer.Option(metavar="1|3", help="Channels of images from folders.", rich_help_panel=DATA),
]
Fit = Annotated[
    str | None,
    typer.Option(
        metavar="crop|pad",
        help="What to do with images of other proportions from folders.",
        show_default="crop",
        rich_help_panel=DATA,
    ),
]
Levels = Annotated[
    str | None,
    typer.Option(
        metavar="LOW:HIGH",
        help="Values in folders that become black and white: 0:4095.",
        rich_help_panel=DATA,
    ),
]
Root = Annotated[
    str | None,
    typer.Option(
        "--data-root",
        metavar="FOLDER",
        help="The folder of data sets.",
        show_default="GENZOO_DATA",
        rich_help_panel=DATA,
    ),
]
Scale = Annotated[
    int | None,
    typer.Option(
        min=1, max=64, metavar="N", help="Enlarge each pixel N times.", rich_help_panel=OUTPUT
    ),
]
Metadata = Annotated[
    bool,
    typer.Option(
        "--metadata/--no-metadata",
        help="Write model and seeds into the metadata.",
        rich_help_panel=OUTPUT,
    ),
]
Force = Annotated[
    bool, typer.Option("--force", help="Replace existing files.", rich_help_panel=OUTPUT)
]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON document.", rich_help_panel=OUTPUT)
]
BatchSize = Annotated[
    int,
    typer.Option(
        metavar="N",
        help="Number of samples computed at once: less takes less memory.",
        rich_help_panel=COMPUTING,
    ),
]


def refuse_broken(*kinds: str) -> None:
    """Refuse to list where a plugin is broken and GENZOO_STRICT_PLUGINS is set."""
    if os.environ.get("GENZOO_STRICT_PLUGINS", "0") not in ("", "0"):
        from genzoo.testing import status  # it imports what every kind of plugin needs

        status.refuse_broken(*kinds)


def parse_settings(pairs: list[str] | None) -> dict[str, Any]:
    """The settings of sampling from ``["steps=20"]``. Raises BadInput."""
    from genzoo.schemas import assignments

    return assignments(pairs or [])


def parse_labels(text: str | None, classes: Sequence[str] = ()) -> list[str] | str | None:
    """One class for all, or those that commas separate; names in ``classes`` may have commas."""
    known = {nfc(name).casefold() for name in classes}
    if text is None or "," not in text or nfc(text.strip()).casefold() in known:
        return text
    parts, labels = text.split(","), []
    while parts:
        ends = range(len(parts), 1, -1)  # the longest name first
        names = {end: ",".join(parts[:end]).strip() for end in ends}
        end = next((end for end in ends if nfc(names[end]).casefold() in known), 1)
        labels.append(names.get(end, parts[0].strip()))
        parts = parts[end:]
    return labels


def as_json(value: Any) -> None:
    """Print the result as one JSON document."""
    print(json.dumps(value, indent=2, default=str))


def print_file(path: Path, record: Mapping[str, Any], json: bool) -> None:
    """Print the path of a command's result, or with ``--json`` also its ``record``."""
    if json:
        as_json({"path": str(path), **record})
    else:
        print(printable(str(path)))


def as_table(rows: Iterable[Sequence[Any]], heads: Sequence[str] = ()) -> None:
    """Print columns: on a terminal within its width, elsewhere each as wide as its entries."""
    rows = [*rows]
    if sys.stdout.isatty():
        _print_table(rows, heads)
        return
    for line in columns([heads, *rows] if heads else rows):
        print(line)


def _print_table(rows: Sequence[Sequence[Any]], heads: Sequence[str]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    fits = max((width(str(row[0])) for row in rows), default=0) <= console.width // 2
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=bool(heads))
    for i, head in enumerate(heads or [""] * max(map(len, rows), default=0)):
        title, style = Text(printable(head), style="bold"), "" if i else "cyan"
        table.add_column(title, style=style, no_wrap=fits and not i, overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(str(cell))) for cell in row))
    console.print(table)
