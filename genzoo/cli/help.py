"""The text of --help: panels on a terminal; elsewhere plain lines that nothing wraps or cuts."""

import inspect
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from rich.console import RenderableType

ORDER = ("Arguments", "Options", "Photos", "Data", "Output", "Computing")
WIDEST = 100  # columns: longer lines are hard to read


class Row(NamedTuple):
    """A command, an argument or an option: name, form of its value, text, and default."""

    name: str
    form: str = ""
    text: str = ""
    note: str = ""

    @property
    def left(self) -> str:
        return f"{self.name} {self.form}".rstrip()


class Page(NamedTuple):
    """A help page: how to call the command, paragraphs, sections of rows, examples."""

    usage: str
    paragraphs: list[str]
    sections: dict[str, list[Row]]
    examples: list[str]
    of_commands: Sequence[str] = ()  # the sections that list commands

    def width(self, title: str) -> int:
        """The width of the names in a section: one for all options, one for all commands."""
        is_same = [name for name in self.sections if self._lists(name) == self._lists(title)]
        return max(len(row.left) for name in is_same for row in self.sections[name])

    def _lists(self, title: str) -> bool:
        return title in self.of_commands

    def __str__(self) -> str:
        return _on_terminal(self) if sys.stdout.isatty() else _plain(self)


# --------------------------------------------------------------------------- from typer's commands


def command_page(command: Any, context: Any) -> Page:
    """The page of one command."""
    return _page(command, context, command.params, {})


def group_page(group: Any, context: Any, panels: dict[str, list[Row]]) -> Page:
    """The page of a group: its commands by panel, and its options."""
    return _page(group, context, group.get_params(context), panels)


def _page(command: Any, context: Any, params: Any, panels: dict[str, list[Row]]) -> Page:
    sections: dict[str, list[Row]] = {title: [] for title in ORDER}
    are_short = any(len(name) == 2 for param in params for name in param.opts)
    for param in params:
        if param.param_type_name == "argument":
            row = Row(_argument(param), "", param.help or "", _note(param))
            sections["Arguments"].append(row)
        else:
            form = "" if param.is_flag else param.metavar
            row = Row(_names(param, are_short), form, param.help or "", _note(param))
            sections.setdefault(param.rich_help_panel or "Options", []).append(row)
    sections = {**panels, **{title: rows for title, rows in sections.items() if rows}}
    examples = (command.epilog or "").splitlines()
    return Page(_usage(command, context), paragraphs(command), sections, examples, [*panels])


def paragraphs(command: Any) -> list[str]:
    """The paragraphs of a command's help, one line each; the first is one sentence."""
    parts = inspect.cleandoc(command.help or "").split("\n\n")
    return [" ".join(part.split()) for part in parts]


def _usage(command: Any, context: Any) -> str:
    """How to call a command: its name, arguments and required options."""
    if hasattr(command, "commands"):
        return f"{context.command_path} COMMAND [OPTIONS]"
    arguments = [_argument(p) for p in command.params if p.param_type_name == "argument"]
    needed = [p for p in command.params if p.param_type_name == "option" and p.required]
    options = [f"{max(p.opts, key=len)} {p.metavar}" for p in needed]
    return " ".join([context.command_path, *arguments, *options, "[OPTIONS]"])


def _argument(param: Any) -> str:
    """An argument as a usage line has it: MODEL, [MODEL], MODEL..."""
    form = f"{param.metavar}{'...' if param.nargs != 1 else ''}"
    return form if param.required else f"[{form}]"


def _names(param: Any, are_short: bool) -> str:
    """The spellings of an option, the short one first: ``-n, --n``, below each other."""
    names = sorted(param.opts, key=len)
    indent = "    " if are_short and names[0].startswith("--") else ""
    return "/".join([indent + ", ".join(names), *param.secondary_opts])


def _note(param: Any) -> str:
    """That a parameter is required, or its default."""
    if param.required:
        return "[required]"
    if isinstance(param.default, int | float | str) and not isinstance(param.default, bool):
        return f"[default: {param.default}]"
    is_text = param.default is None and isinstance(param.show_default, str)
    return f"[default: {param.show_default}]" if is_text else ""


# ----------------------------------------------------------------------------------------- as text


def _plain(page: Page) -> str:
    """One line for each row, however long: for files, pipes and notebooks."""
    lines = [f"Usage: {page.usage}", ""]
    for paragraph in page.paragraphs:
        lines += [paragraph, ""]
    for title, rows in page.sections.items():
        width = page.width(title)
        right = [f"{row.text} {row.note}".rstrip() for row in rows]
        lines += [
            f"{title}:",
            *(f"  {r.left:{width}}  {t}" for r, t in zip(rows, right, strict=True)),
        ]
        lines.append("")
    if page.examples:
        lines += ["Examples:", *(f"  {line}" for line in page.examples), ""]
    return "\n".join(lines[:-1])


def _on_terminal(page: Page) -> str:
    """Panels by rich, as wide as the terminal, but not wider than WIDEST."""
    from rich.console import Console

    console = Console(highlight=False)
    console.width = min(console.width, WIDEST)
    with console.capture() as capture:
        for part in _parts(page):
            console.print(part)
    return capture.get().rstrip("\n")


def _parts(page: Page) -> "Iterator[RenderableType]":
    from rich.padding import Padding
    from rich.text import Text

    yield Padding(Text.assemble(("Usage: ", "yellow"), (page.usage, "bold")), (1, 1, 0, 1))
    for paragraph in page.paragraphs:
        yield Padding(Text(paragraph), (1, 1, 0, 1))
    yield Text()
    for title in page.sections:
        yield _panel(page, title)
    if page.examples:
        yield Padding(Text("Examples", style="bold"), (1, 1, 0, 1))
    for line in page.examples:
        yield Padding(Text(line, style="green", no_wrap=True, overflow="ignore"), (0, 1, 0, 3))


def _panel(page: Page, title: str) -> "RenderableType":
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(width=page.width(title), overflow="fold")
    table.add_column()
    for row in page.sections[title]:
        name = Text.assemble((row.name, "bold cyan"), (f" {row.form}".rstrip(), "yellow"))
        table.add_row(name, Text.assemble(row.text, (f" {row.note}".rstrip(), "dim")))
    heading = Text(title, style="bold")
    return Panel(table, title=heading, title_align="left", border_style="dim")
