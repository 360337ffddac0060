"""The typer application: loads a command's file when it is used; prints the help of genzoo."""

import contextlib
import functools
import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast, final

import typer
import typer.core
import typer.main

from genzoo.cli.commands import COMMANDS
from genzoo.files import expanded
from genzoo.version import VERSION

_Function = TypeVar("_Function", bound=Callable[..., Any])


@final
class Ended(Exception):
    """A signal to stop, or a closed pipe, under a name that typer does not handle silently."""


@contextlib.contextmanager
def _ended() -> Iterator[None]:
    try:
        yield
    except (KeyboardInterrupt, BrokenPipeError) as error:
        raise Ended from error


@final
class _Command(typer.core.TyperCommand):
    def format_help(self, ctx: Any, formatter: Any) -> None:
        from genzoo.cli import help

        formatter.write(str(help.command_page(self, ctx)))


@final
class _Group(typer.core.TyperGroup):
    def format_help(self, ctx: Any, formatter: Any) -> None:
        from genzoo.cli import help

        rows = [help.Row(name, "", help.paragraphs(c)[0]) for name, c in self.commands.items()]
        formatter.write(str(help.group_page(self, ctx, {"Commands": rows})))


@final
class _Root(typer.core.TyperGroup):
    """The commands of the table; the file of each is imported when the command is used."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = cast(Any, _Table())

    def list_commands(self, ctx: Any) -> list[str]:
        return [*self.commands]

    def make_context(self, *args: Any, **settings: Any) -> Any:  # prints the help of genzoo, too
        with _ended():
            return super().make_context(*args, **settings)

    def invoke(self, ctx: Any) -> Any:
        with _ended():
            return super().invoke(ctx)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        from genzoo.cli import help

        panels: dict[str, list[help.Row]] = {}
        for name, entry in COMMANDS.items():
            panels.setdefault(entry.panel, []).append(help.Row(name, "", entry.sentence))
        formatter.write(str(help.group_page(self, ctx, panels)))


@final
class _Table(Mapping[str, Any]):
    """Typer's command of each name."""

    def __getitem__(self, name: str) -> Any:
        importlib.import_module(f"genzoo.cli.{COMMANDS[name].module}")
        return _command(name)

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


@functools.cache
def _command(name: str) -> Any:
    command = typer.main.get_command(app.parts[name])
    command.name = name
    return command


@final
class App(typer.Typer):
    """Typer's application, with the help of genzoo.

    Commands get every path with ~ replaced: the shell leaves --out=~/x as it is.
    """

    def __init__(self, *, examples: Sequence[str] = (), **settings: Any) -> None:
        plain = {"pretty_exceptions_enable": False, "rich_markup_mode": None}
        group = {"cls": _Group, "no_args_is_help": True, "add_completion": False}
        super().__init__(**{**group, **plain, "epilog": "\n".join(examples), **settings})
        self.parts: dict[str, typer.Typer] = {}

    def command(
        self, name: str | None = None, *, examples: Sequence[str] = (), **settings: Any
    ) -> Callable[[_Function], _Function]:
        """Add a command; its help ends with the ``examples``, which a test runs.

        A parameter whose type is a dataclass stands for the options that are its fields.
        """
        settings = {"cls": _Command, "epilog": "\n".join(examples), **settings}

        def add(function: _Function) -> _Function:
            options, groups = _options(function)

            @functools.wraps(function)
            def command(**given: Any) -> Any:
                from genzoo.cli import early  # only for a command that runs

                values = {name: _at_home(value) for name, value in given.items()}
                early.check(called, values)
                return function(**_grouped(values, groups))

            called = name or function.__name__.replace("_", "-")
            command.__dict__["__signature__"] = inspect.Signature(options)  # which typer reads
            command.__annotations__ = {option.name: option.annotation for option in options}
            typer.Typer.command(self._home(called), called, **settings)(command)
            return function

        return add

    def add_typer(self, typer_instance: typer.Typer, *args: Any, **settings: Any) -> None:
        """Add a group of commands to ``app``, by ``name``."""
        self.parts[settings["name"]] = typer_instance

    def _home(self, name: str) -> typer.Typer:
        """Where typer keeps a command: those of ``app`` are built one by one."""
        if self is not app:
            return self
        return self.parts.setdefault(name, typer.Typer(add_completion=False))


def _options(
    function: Callable[..., Any],
) -> tuple[list[inspect.Parameter], dict[str, type]]:
    """The parameters of a command with the fields of each group in its place, and the groups."""
    options: list[inspect.Parameter] = []
    groups = {}
    for name, parameter in inspect.signature(function).parameters.items():
        group = parameter.annotation
        for field in getattr(group, "__dataclass_fields__", {}).values():
            groups[name] = group
            option = parameter.replace(name=field.name, default=field.default)
            options.append(option.replace(annotation=field.type))
        if name not in groups:
            options.append(parameter)
    return [option.replace(kind=option.KEYWORD_ONLY) for option in options], groups


def _grouped(values: dict[str, Any], groups: Mapping[str, type]) -> dict[str, Any]:
    """The arguments of a command's function from the ``values`` of its options."""
    values, made = {**values}, {}
    for name, group in groups.items():
        made[name] = group(**{key: values.pop(key) for key in vars(group)["__dataclass_fields__"]})
    return {**values, **made}


def ungrouped(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a command's options from the arguments of its function."""
    parts = [vars(v) if hasattr(v, "__dataclass_fields__") else {k: v} for k, v in values.items()]
    return {name: value for part in parts for name, value in part.items()}


def _at_home(value: Any) -> Any:
    """``value``, a path or several with ~ replaced. Raises BadInput if that user does not exist."""
    if isinstance(value, list):
        return [*map(_at_home, value)]
    return expanded(value) if isinstance(value, Path) else value


app = App(
    name="genzoo",
    cls=_Root,
    add_completion=True,
    examples=["genzoo sample dcgan-celeba", "genzoo sample --help"],
)


def _version(value: bool) -> None:
    if value:
        print(f"genzoo {VERSION}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """A zoo of generative models with one interface."""
