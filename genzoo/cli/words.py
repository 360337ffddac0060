"""What an error says on the command line: the right words for the wrong ones."""

import difflib
import re
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from genzoo.cli import early, synonyms
from genzoo.errors import GenzooError, UnknownName, similar, unknown
from genzoo.files import is_folder
from genzoo.metrics.metric_names import BUILT_IN, INCEPTION
from genzoo.text import printable


def explain(error: Any, words: Sequence[str]) -> str:
    """What is wrong with ``words``, those of a command line, by typer's ``error``."""
    context = getattr(error, "ctx", None)
    where = context.command_path if context else "genzoo"
    kind, text = type(error).__name__, error.format_message().rstrip(".")
    if context and kind == "NoSuchOption":
        return f"{_no_option(error.option_name, context, words)} Type {where} --help."
    if context and kind == "MissingParameter" and error.param is not None:
        return f"{_missing(error.param, context, words)} Type {where} --help."
    if kind == "BadParameter" and error.param is not None:
        text = _wrong_value(error, words)
        return f"{text}{'' if text.endswith('?') else '.'} Type {where} --help."
    if context and (match := re.match(r"Got unexpected extra argument\S* \((.*)\)$", text)):
        return f"{_too_many(match[1].split(), context, words)} Type {where} --help."
    if (match := re.match("Option '(.*?)' requires an argument", text)) and words:
        form = match[1].strip("-").replace("-", "_").upper()
        return f"genzoo {words[0]} needs a value: {match[1]} {form}. Type genzoo {words[0]} --help."
    if context and (match := re.match("No such command '(.*?)'", text)):
        return _no_command(match[1], context)
    return f"{text}{'' if text.endswith('?') else '.'} Type {where} --help."


def unknown_command(word: str, commands: Iterable[str]) -> GenzooError:
    """The error for ``word`` in place of a command."""
    hint = "Type genzoo --help to see all commands."
    if word == "help":
        return UnknownName("help is an option: type genzoo --help, or genzoo sample --help")
    if ours := synonyms.read(synonyms.COMMANDS, word.lower()):
        names = " or ".join(f"genzoo {name}" for name in ours)
        return UnknownName(f"no command is called {word!r}: did you mean {names}? {hint}")
    if what := early.of_other_kind(word):
        return UnknownName(f"no command is called {word!r}. {what}")
    return unknown("command", word, commands, hint)


# ---------------------------------------------------------------------------------- typer's errors


def _no_command(word: str, context: Any) -> str:
    """The error for a command of a group, such as plugin."""
    where, known = context.command_path, context.command.commands
    if context.info_name == "data" and word.lower() in ("list", "ls", "all", "names"):
        return f"{where} has no command {printable(word)}: did you mean genzoo list data?"
    if context.info_name == "data" and (is_folder(word) or word in early.data_sets()):
        return f"{where} has no command {printable(word)}: did you mean {where} show {word}?"
    ours = synonyms.read(synonyms.COMMANDS, word.lower())
    if meant := [name for name in ours if name.partition(" ")[2] in known and " " in name]:
        return f"{where} has no command {printable(word)}: did you mean genzoo {meant[0]}?"
    return str(unknown(f"command of {where}", word, known, f"Type {where} --help."))


def _no_option(option: str, context: Any, words: Sequence[str]) -> str:
    """Which option, or which field of --set, somebody meant by ``option``."""
    what = f"{context.command_path} has no option {printable(option)}:"
    plain = "".join(filter(str.isalnum, option.lower()))
    own = [name for param in context.command.params for name in param.opts if name[0] == "-"]
    if "--set" in own and (field := _field(option.strip("-"), context.info_name, words)):
        return f"{what} type --set {field}={_value_of(option, words)}."
    if option.strip("-").replace("-", "_") in early.COUNTED and "--minutes" in own:
        return f"{what} training is counted in steps; type --steps N, or --minutes N."
    if argument := _argument(plain, context):
        form = " ".join([context.command_path, *map(_metavar, _arguments(context.command))])
        return f"{what} {argument} is written without one: {form}."
    if "--metrics" in own and plain in [*BUILT_IN, *INCEPTION]:
        return f"{what} type --metrics {plain}."
    if plain == "format" and "--out" in own and (ending := _value_of(option, words)) != "json":
        return f"{what} the name of the file decides; type -o NAME.{ending.strip('.')}."
    if plain in ("verbose", "debug", "traceback") and f"--{plain}" not in own:
        return f"{what} with the variable GENZOO_DEBUG=1, an error prints its traceback."
    ours = [name for name in synonyms.read(synonyms.OPTIONS, plain) if name in own]
    same = [name for name in own if "".join(filter(str.isalnum, name)) == plain]
    if not (same or ours) and (elsewhere := _elsewhere(option, context, words)):
        return f"{what} {elsewhere}."
    near = difflib.get_close_matches(option, own, n=2)
    if not (meant := same[:1] or ours[:1] or near):
        return what.rstrip(":") + "."
    return f"{what} did you mean {' or '.join(meant)}{_given(option, meant, context, words)}?"


def _elsewhere(option: str, context: Any, words: Sequence[str]) -> str:
    """What to type in place of an ``option`` that only other commands have; "" if none has it."""
    if context.info_name == "show" and option in ("--label", "--class"):
        return f"a part of the data is written DATA:{_value_of(option, words)}"
    root = context.find_root().command.commands
    others = [n for n in root if option in [o for p in root[n].params for o in p.opts]]
    if not others:
        return ""
    if option in ("-o", "--out"):
        own = [name for param in context.command.params for name in param.opts]
        file = _value_of(option, words)
        how = f"type --json > {file}" if file.endswith(".json") else "--json prints all of it"
        return f"its result is printed; {how}" if "--json" in own else "it writes no file"
    names = f"{', '.join(others[:-1])} and {others[-1]} have" if others[1:] else f"{others[0]} has"
    return f"it is an option of others: genzoo {names} it"


def _given(option: str, meant: Sequence[str], context: Any, words: Sequence[str]) -> str:
    """The value that was given to ``option``, if the one that was ``meant`` takes it."""
    flags = {o for p in context.command.params if getattr(p, "is_flag", False) for o in p.opts}
    if len(meant) > 1 or meant[0] in flags:
        return ""
    name, value = option.strip("-"), _value_of(option, words)
    if meant == ["--device"] and name in ("cpu", "cuda"):
        return f" {name}"
    return "" if value in ("true", "...") else f" {value}"


_FILES = ("photo", "photos", "image", "images", "img", "picture", "input", "file")


def _argument(plain: str, context: Any) -> str:
    """The argument of the command that somebody took for an option; "" if there is none."""
    arguments = _arguments(context.command)
    forms = {param.name: _metavar(param) for param in arguments}
    is_model = plain in ("model", "modelname", "models")
    is_model = is_model or (plain == "name" and context.info_name != "train")
    if is_model and forms:
        return next(iter(forms.values()))
    same = [form for name, form in forms.items() if plain in (name, form.lower())]
    files = [form for form in forms.values() if form == "PHOTO" and plain in _FILES]
    return next(iter([*same, *files]), "")


def _field(name: str, command: str, words: Sequence[str]) -> str:
    """The field of --set that ``name`` is, or means elsewhere; "" if there is none."""
    from genzoo.options import ours

    known = fields(command, words)
    if name.replace("-", "_") in known:
        return name.replace("-", "_")
    return ours(name, known)


def fields(command: str, words: Sequence[str]) -> list[str]:
    """The fields that --set takes after ``words``, as far as they are known without torch."""
    from genzoo import families, options

    if command == "train":
        family = next((word for word in words if word in families.names()), "")
        facts = families.known_facts(family).get(family)
        opened = ["size", "channels", "fit", "levels", "length", "rate"]
        if facts:
            return [*facts.config, *facts.options, *opened]
        return [*options.AdversarialOptions.model_fields, *opened, "latent_dim", "width"]
    facts = _facts_of_model(next((word for word in words[1:] if word[:1] != "-"), ""))
    if facts and facts.sampling is not None:
        return [*facts.sampling]
    return [*options.LatentSampling.model_fields]


def _facts_of_model(word: str) -> Any:
    from genzoo import families
    from genzoo.zoo import installed

    try:
        if not (is_folder(word) or word in installed.names() or word in families.names()):
            return None  # the Hub is not asked
        family = manifest.family if (manifest := early.manifest_of(word)) else ""
        return families.known_facts(family).get(family)
    except GenzooError:
        return None


def _value_of(option: str, words: Sequence[str]) -> str:
    """The value that stands behind ``option``; true for a flag."""
    for word, after in zip(words, [*words[1:], ""], strict=True):
        if word.startswith(f"{option}="):
            return printable(word.partition("=")[2])
        if word == option:
            return printable(after) if after and not after.startswith("--") else "true"
    return "..."


def _missing(param: Any, context: Any, words: Sequence[str]) -> str:
    """What an argument or an option that is missing is for."""
    about = (getattr(param, "help", "") or "").rstrip(".")
    about = about if about[1:2].isupper() else f"{about[:1].lower()}{about[1:]}"
    where, is_option = context.command_path, param.param_type_name == "option"
    name = max(param.opts, key=len) if is_option else _metavar(param)
    given = _given_arguments(context.command, words)
    if line := _without_model(context, given, name if is_option else ""):
        return f"{where} needs MODEL: {line}."
    extra = given[len(_arguments(context.command)) :]
    if name == "--sample":
        extra = [re.sub(r"(?<=\d)-(?=\d)", ",", word) for word in extra]
    if is_option and extra and (name != "--sample" or all(map(_is_sample, extra))):
        return f"{where} needs {name}: did you mean {name} {','.join(extra)}?"
    return f"{where} needs {name}{f': {about}' if about else ''}."


def _is_sample(word: str) -> bool:
    return re.fullmatch(r"[\d:,]+", word) is not None or Path(word).is_file()


def _without_model(context: Any, given: Sequence[str], option: str) -> str:
    """The whole line, if a file is ``given`` where the model should be; "" if none is."""
    first = [*map(_metavar, _arguments(context.command))][:1]
    if first != ["MODEL"] or not given or not Path(given[0]).is_file():
        return ""
    files = [word for name in map(shlex.quote, given) for word in (option, name) if word]
    line, able = " ".join([context.command_path, "MODEL", *files]), ""
    if context.info_name in early.ABILITIES:
        from genzoo.zoo import names

        able = ", ".join(names.able_by_name(*early.ABILITIES[context.info_name][0]))
    return f"{line}{f' (one of {able})' if able else ''}"


def _arguments(command: Any) -> list[Any]:
    return [param for param in command.params if param.param_type_name == "argument"]


def _metavar(param: Any) -> str:
    return (param.metavar or param.name.upper()).strip("[].")


def _given_arguments(command: Any, words: Sequence[str]) -> list[str]:
    """The words that are neither options of ``command`` nor their values."""
    flags = {o for p in command.params if getattr(p, "is_flag", False) for o in p.opts}
    rest, before = [], ""
    for word in words[1:]:
        is_value = before.startswith("-") and "=" not in before and before not in flags
        if not word.startswith("-") and not is_value:
            rest.append(printable(word))
        before = "" if is_value else word
    return rest


# What typer says of a value (by click, and since 0.27 by pydantic), and what genzoo says.
_MUST = (
    (r"(?P<got>\S+) is not in the range (?P<low>[^x]+)<=x.*", "must be at least {low}"),
    (r".* greater than or equal to (?P<low>\S+)", "must be at least {low}"),
    (r".* less than or equal to (?P<high>\S+)", "must be at most {high}"),
    (r"(?:Value error, )?(?P<got>'.*') is not one of (?P<of>.*)", "must be one of {of}"),
    (r"(?P<got>.*) is not a valid int\w*( range)?|.* valid integer.*", "must be a whole number"),
    (r"(?P<got>.*) is not a valid float( range)?|.* valid number.*", "must be a number"),
)


def _wrong_value(error: Any, words: Sequence[str]) -> str:
    """What a value must be, and what was given."""
    param, text = error.param, error.message.rstrip(".")
    used = [o for o in param.opts if any(w == o or w.startswith(f"{o}=") for w in words)]
    name = (used or param.opts)[-1] if param.param_type_name == "option" else _metavar(param)
    for pattern, rule in _MUST:
        if match := re.fullmatch(pattern, text):
            groups = match.groupdict()
            got = groups.get("got") or (_value_of(used[-1], words) if used else "")
            rule = rule.format(**groups)
            word = got.strip("'")
            what = early.of_other_kind(word) if not used and got else ""
            what = f". {what}" if what else ""
            if not what and not used and "of" in groups:
                where = context.command_path if (context := error.ctx) else "genzoo"
                what = _choice(word, re.findall("'(.*?)'", groups["of"]), where)
            return f"{name} {rule}" + (f", got {got}" if got else "") + what
    return f"{name}: {text}"


def _choice(word: str, choices: Sequence[str], where: str) -> str:
    """Which of ``choices`` the ``word`` means; "" if none is like it."""
    ours = [name.rpartition(" ")[2] for name in synonyms.read(synonyms.COMMANDS, word.lower())]
    meant = [name for name in ours if name in choices] or similar(word, choices)[:1]
    return f": did you mean {where} {meant[0]}?" if meant else ""


def _too_many(extra: Sequence[str], context: Any, words: Sequence[str]) -> str:
    """What the words that are too many may have been meant for."""
    what = f"{context.command_path} has no place for {' '.join(map(printable, extra))}"
    own = [name for param in context.command.params for name in param.opts]
    first, n = extra[0], len(extra)
    places = [i for i in range(len(words)) if [*words[i : i + n]] == [*extra]]
    before = ["", *words[: places[-1]]] if places else [""]
    if context.info_name == "search":
        return f"{what}: did you mean genzoo search '{' '.join([before[-1], *extra])}'?"
    is_model = context.info_name != "train"
    if is_model and (whole := _joined(before[-1], first)):
        return f"{what}: did you mean {whole}?"
    option = before[-2] if len(before) > 1 else ""
    if option == "--set" and "=" not in before[-1]:
        return f"{what}: did you mean --set {before[-1]}={first}?"
    if option in own and (value := _one_value(option, before[-1], extra)):
        return f"{what}: did you mean {value}?"
    if context.info_name == "evaluate" and early.of_other_kind(first, but=("data", "metric")):
        return f"{what}: did you mean genzoo compare {' '.join([before[-1], *extra])}?"
    return f"{what}{_place(first, own)}"


# Options of several values in one word, and of texts that may have spaces.
_LISTS = ("--sample", "--dims", "--at", "--label", "--alphas", "--values", "--toward", "--away")
_TEXTS = ("-o", "--out", "--of", "--label", "--to")


def _one_value(option: str, value: str, extra: Sequence[str]) -> str:
    """``option`` with its value and the ``extra`` words as one; "" if they belong elsewhere."""
    whole = [value, *map(printable, extra)]
    if option == "--sample" and any(Path(word).is_file() for word in whole):
        return " ".join(f"--sample {shlex.quote(word)}" for word in whole)
    if option == "--metrics" or (
        option in _LISTS and all(re.fullmatch(r"[-\d.:,]+", word) for word in whole)
    ):
        return f"{option} {','.join(word.strip(',') for word in whole)}"
    return f"{option} {shlex.quote(' '.join(whole))}" if option in _TEXTS else ""


def _joined(name: str, word: str) -> str:
    """The model or family of which both words are the name; "" if there is none."""
    from genzoo import families
    from genzoo.zoo import installed

    known = {*installed.names(), *families.names()}
    return next((whole for whole in (f"{name}-{word}", f"{name}{word}") if whole in known), "")


def _place(word: str, own: Sequence[str]) -> str:
    """The option that takes ``word``."""
    from genzoo.data import catalogue

    if "--set" in own and re.match(r"\w+=", word):
        return f": a setting is written --set {word}."
    for option in ("--against", "--data"):
        if option in own and (word in catalogue.names() or is_folder(word)):
            return f": did you mean {option} {word}?"
    if "-n" in own and "--sample" not in own and word.isdecimal():
        return f": did you mean -n {word}?"
    if "--sample" in own and re.fullmatch(r"[\d:,]+", word):
        return f": samples are named by --sample {word}."
    for option in ("--of", "--values", "--to"):
        if option in own:
            return f": did you mean {option} {word}?"
    what = early.of_other_kind(word)
    return f". {what}." if what else "."


# --------------------------------------------------------------------------------- genzoo's errors


def with_models(message: str, words: Sequence[str]) -> str:
    """``message``; of a class for a model that has none, also the models that have some."""
    if not message.startswith("this model is unconditional"):
        return message
    name = next((word for word in words[1:] if not word.startswith("-")), "this model")
    return early.without_classes(name)
