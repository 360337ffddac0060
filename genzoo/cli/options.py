"""Options and arguments that commands share: one spelling, one type and one text each.

Where a command must tell "not given" from a value, it takes Annotated[... | None, SEED].
"""

import os
from typing import Annotated, Any

import typer

from genzoo.cli.completing import (
    complete_data,
    complete_field,
    complete_label,
    complete_metrics,
    complete_model,
)

# Panels of a command's options in its help; those of no panel are its own.
PHOTOS = "Photos"
DATA = "Data"
OUTPUT = "Output"
COMPUTING = "Computing"


def option(
    help: str,
    form: str,
    *spellings: str,
    default: str | None = None,
    panel: str | None = None,
    complete: Any = None,
    **checks: Any,
) -> Any:
    """An option with a value of this ``form``, which ``checks`` limit (min, max, parser).

    ``spellings``: --NAME of the parameter unless given. ``default``: what its help says of None.
    """
    return typer.Option(
        *spellings,
        metavar=form,
        help=help,
        show_default=default or True,
        rich_help_panel=panel,
        autocompletion=complete,
        **checks,
    )


def flag(
    spelling: str, help: str, panel: str | None = None, *, short: str = "", default: str = ""
) -> Any:
    """An option without a value, like --A or --A/--no-A."""
    spellings = [spelling, *[short] * bool(short)]
    return typer.Option(*spellings, help=help, show_default=default or True, rich_help_panel=panel)


def argument(help: str, form: str, *, default: str | None = None, complete: Any = None) -> Any:
    """An argument of this ``form``; ``default``: what its help says of None."""
    return typer.Argument(
        metavar=form, help=help, show_default=default or True, autocompletion=complete
    )


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


# ------------------------------------------------------------------- with a text for each command


def out_option(help: str, default: str | None = None, form: str = "FILE") -> Any:
    """``-o/--out``, the output; ``help``: which files a command writes."""
    return option(help, form, "-o", "--out", default=default, panel=OUTPUT)


def count_option(help: str, default: str | None = None, least: int | None = None) -> Any:
    """``-n/--n``, a number of samples or images."""
    return option(help, "N", "-n", "--n", default=default, min=least)


def data_option(default: str) -> Any:
    """``--data``, with what a command takes where it is not given."""
    text = "A data set of genzoo list data, or a folder like ./photos."
    return option(text, "DATA", default=default, panel=DATA, complete=complete_data)


def metrics_option(default: str | None = "those of the data") -> Any:
    """``--metrics``, with those of a command where it is not given."""
    text = "Metrics of genzoo list metrics, separated by commas: fd,recall."
    return option(text, "METRICS", default=default, complete=complete_metrics)


def license_option(default: str) -> Any:
    """``--license``, with that of a command where it is not given."""
    text = "License of the weights: mit, cc-by-4.0, other."
    return option(text, "LICENSE", default=default, panel=OUTPUT)


# ------------------------------------------------------------------------------ the same everywhere

SEED = option(
    "Random seed: the same number gives the same result.",
    "N|random",
    default="0",
    parser=parse_seed,
)
SAMPLE = option(
    "Which samples: 0:3, or 0:16,18,43 of a numbered sheet, or a photo; can be repeated.",
    "SEED:INDEX|FILE",
)
SET = option(
    "A setting; can be repeated. genzoo info FAMILY lists them.",
    "NAME=VALUE",
    "--set",
    complete=complete_field,
)
DEVICE = option(
    "Where to compute: auto, cpu, cuda, cuda:1, mps.", "DEVICE", default="auto", panel=COMPUTING
)
ModelName = Annotated[
    str,
    argument("A model of genzoo list, or a folder like ./mine.", "MODEL", complete=complete_model),
]
ModelOrFamily = Annotated[
    str, argument("A model, a folder or a family.", "MODEL", complete=complete_model)
]
Seed = Annotated[int, SEED]
Sample = Annotated[list[str] | None, SAMPLE]
Settings = Annotated[list[str] | None, SET]
Device = Annotated[str, DEVICE]
Label = Annotated[
    str | None,
    option(
        "Class, by name or number; where several are allowed: 3,5,7.",
        "CLASS",
        complete=complete_label,
    ),
]
Restarts = Annotated[
    int | None,
    option("Random starts of the search for a code.", "N", default="4", panel=PHOTOS, min=1),
]
Features = Annotated[
    str | None,
    option(
        "Features that metrics compare: mnist, inception, inception:FILE, module:object.",
        "FEATURES",
        default="those of the data",
    ),
]
Groups = Annotated[int | None, option("Number of disjoint groups, one estimate each.", "N", min=1)]
Root = Annotated[
    str | None,
    option("The folder of data sets.", "FOLDER", "--data-root", default="GENZOO_DATA", panel=DATA),
]
Scale = Annotated[
    int | None, option("Enlarge each pixel N times.", "N", panel=OUTPUT, min=1, max=64)
]
Force = Annotated[bool, flag("--force", "Replace existing files.", OUTPUT)]
Json = Annotated[bool, flag("--json", "Print one JSON document.", OUTPUT)]
BatchSize = Annotated[
    int,
    option("Number of samples computed at once: less takes less memory.", "N", panel=COMPUTING),
]
