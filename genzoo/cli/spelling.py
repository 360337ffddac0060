"""Former spellings of commands and options: each is refused with today's."""

from collections.abc import Sequence

from genzoo.errors import BadInput

COMMANDS = {
    "data": "genzoo list data",
    "metrics": "genzoo list metrics",
    "plugins": "genzoo list plugins",
}
OPTIONS = {"--labels": "--label", "--output": "--out", "--seeds": "--sample"}
# Of one command: its other commands have this option.
OPTIONS_OF = {
    ("attend", "--seed"): "--sample SEED:INDEX",
    ("attend", "--start"): "--sample SEED:INDEX",
    ("families", "--flat"): "genzoo list families",
    ("traverse", "--seed"): "--sample SEED:INDEX",
}


def check_spelling(arguments: Sequence[str]) -> None:
    """Refuse a former spelling in the words of a command line. Raises BadInput."""
    command, *words = [*arguments] or [""]
    # The group of today; with an option it was the listing.
    is_group = command == "data" and words[:1] not in (["--json"], ["--list"])
    if command in COMMANDS and not is_group:
        raise BadInput(f"genzoo {command} is now {COMMANDS[command]}")
    for word in words:
        if word == "--":
            return
        option = word.partition("=")[0]
        if now := OPTIONS_OF.get((command, option)) or OPTIONS.get(option):
            raise BadInput(f"{option} is now {now}. Type genzoo {command} --help.")
