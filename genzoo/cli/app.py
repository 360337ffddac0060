"""What commands share: the application, settings and classes as texts, tables, progress lines."""

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from genzoo.cli.application import App as App
from genzoo.cli.application import app as app
from genzoo.cli.application import ungrouped as ungrouped
from genzoo.cli.labels import parse_labels as parse_labels
from genzoo.cli.progress import Ticker as Ticker
from genzoo.devices import process_count
from genzoo.files import default_path as default_path
from genzoo.text import columns, printable, width


def refuse_broken(*kinds: str) -> None:
    """Refuse to list where a plugin is broken and GENZOO_STRICT_PLUGINS is set."""
    if os.environ.get("GENZOO_STRICT_PLUGINS", "0") not in ("", "0"):
        from genzoo.testing import status  # it imports what every kind of plugin needs

        status.refuse_broken(*kinds)


def parse_settings(pairs: list[str] | None) -> dict[str, Any]:
    """The settings of sampling from ``["steps=20"]``. Raises BadInput."""
    from genzoo.schemas import assignments

    return assignments(pairs or [])


def agreed(seed: int) -> int:
    """The ``seed`` of the first of several processes: a random one is the same for all."""
    if process_count() == 1:
        return seed
    from genzoo.training import parallel

    return parallel.from_first(seed)


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
