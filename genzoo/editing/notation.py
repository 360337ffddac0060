"""How samples, sums and numbers are written on the command line. No torch."""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from genzoo.errors import BadInput, argument
from genzoo.files import expanded
from genzoo.models.checks import checked_seed

SampleAddress = tuple[int, int]
EXAMPLE = "0:3,5,9 - 0:1,2,4 + 0:7,8,11"  # of a sum
MASKS = "centre, box:x,y,w,h, random:SHARE, or an image file (white = unknown)"
_ADDRESS = re.compile(r"\s*(?:(\d+)\s*:)?\s*(\d+)\s*")
_BOX = r"\d{1,6}(,\d{1,6}){3}"


def is_list(text: str) -> bool:
    """Whether ``text`` has the signs of a list of samples, such as ``0:3,17``."""
    return re.fullmatch(r"[\d\s:,]*", text) is not None


def check_sample(text: str) -> None:
    """Check that ``text`` names samples, or a file or folder that exists. Raises BadInput."""
    if not is_list(text) and not _exists(text):
        expected = "a list of samples, like 3,17 or 0:3,17 (SEED:INDEX), or a picture file"
        raise BadInput(f"expected {expected}; got {text[:60]!r}")


def check_samples(texts: Sequence[str]) -> None:
    """Check each of ``texts``, an address, several or a file. Raises BadInput."""
    for text in texts:
        check_sample(text)
        if is_list(text):
            parse_addresses(text)


def _exists(text: str) -> bool:
    try:
        return expanded(Path(text)).exists()
    except (OSError, ValueError):  # longer than any name, or with a null character
        return False


def listed(samples: Any) -> Sequence[Any]:
    """``samples``, if they are a list. Raises BadInput."""
    if isinstance(samples, Sequence) and not isinstance(samples, str | bytes | bytearray):
        return samples
    kinds = "a seed, SEED:INDEX, (seed, index), a picture, codes, or a list of them"
    raise BadInput(f"samples are {kinds}, got {samples!r:.60}")


def parse_addresses(samples: str | Sequence[int | str | SampleAddress]) -> list[SampleAddress]:
    """The (seed, index) of each sample in ``samples``; a lone number is a seed.

    In text, ``3,17`` are the first samples of seeds 3 and 17, and ``0:3,17,5:1`` are samples 3 and
    17 of seed 0 and sample 1 of seed 5: a seed before a colon holds until the next, or to the end
    of the text. Raises BadInput.
    """
    addresses: list[SampleAddress] = []
    for one in [samples] if isinstance(samples, str) else listed(samples):
        if isinstance(one, str):
            addresses += _parse_text(one)
        else:
            addresses.append(one if isinstance(one, tuple) else (one, 0))
    if any(len(address) != 2 for address in addresses):
        raise BadInput(f"samples are a seed or (seed, index), got {samples!r:.60}")
    return [(checked_seed(seed), checked_seed(index)) for seed, index in addresses]


def _parse_text(text: str) -> list[SampleAddress]:
    addresses: list[SampleAddress] = []
    seed: int | None = None
    for part in text.split(","):
        if not (match := _ADDRESS.fullmatch(part)):
            expected = "SEED or SEED:INDEX, separated by commas, like 3,17 or 0:3,17"
            raise BadInput(f"expected {expected}, got {text[:60]!r}")
        if match[1] and addresses and seed is None:  # in 3,0:17,5, would 5 be a seed?
            expected = "either seeds alone, like 3,17, or a list that begins with SEED:INDEX"
            raise BadInput(f"expected {expected}, got {text[:60]!r}")
        seed = int(match[1]) if match[1] else seed
        number = int(match[2])
        addresses.append((number, 0) if seed is None else (seed, number))
    return addresses


def parse_sum(text: str) -> list[tuple[int, str]]:
    """The signs and terms of ``0:3,5,9 - 0:1,2,4 + photo.png``. Raises BadInput.

    Where a file is named, only signs between spaces count: names contain others.
    """
    only_addresses = re.fullmatch(r"[\d\s:,+-]*", text) is not None
    sign = re.compile(r"[+-]" if only_addresses else r"(?<!\S)[+-](?!\S)")
    signs, (first, *rest) = sign.findall(text), [part.strip() for part in sign.split(text)]
    if first:
        signs, rest = ["+", *signs], [first, *rest]
    if not rest or not all(rest):
        raise BadInput(f"expected a sum like {EXAMPLE}, got {text[:60]!r}")
    return [(1 if s == "+" else -1, part) for s, part in zip(signs, rest, strict=True)]


def check_values(values: Sequence[float | None]) -> None:
    """Check that there is at least one truncation and none twice; the model's record has their
    bounds. Raises BadInput.
    """
    if not values or len({*values}) != len(values):
        raise BadInput("truncations must be numbers, at least one and none twice")


def parse_values(text: str) -> list[float | None]:
    """Truncations from ``0.5,1,none``; none: no truncation. Raises BadInput."""
    try:
        values = [None if t.strip() == "none" else float(t) for t in text.split(",")]
    except ValueError:
        raise BadInput(f"truncations must be like 0.5,1,2,none, got {text[:40]!r}") from None
    check_values(values)
    return values


def parse_box(text: str) -> list[int]:
    """x, y, w, h of ``box:x,y,w,h``. Raises BadInput."""
    if not re.fullmatch(f"box:{_BOX}", text):
        raise BadInput(f"expected box:x,y,w,h in pixels, like box:7,7,14,14, got {text[:60]!r}")
    return [int(value) for value in text.partition(":")[2].split(",")]


def parse_share(text: str) -> float:
    """The share of ``random:SHARE``. Raises BadInput."""
    try:
        share = float(text.partition(":")[2])
    except ValueError:
        share = math.nan
    if not 0 < share < 1:
        raise BadInput(f"the unknown share must be above 0 and below 1, got {text[:60]!r}")
    return share


def check_mask(text: str) -> None:
    """Check that ``text`` is one of the `MASKS`; of a file, that it exists. Raises BadInput."""
    kind = text.partition(":")[0]
    if kind == "box":
        parse_box(text)
    elif kind == "random":
        parse_share(text)
    elif text != "centre" and not Path(text).is_file():
        meant = f"did you mean box:{text}?" if re.fullmatch(_BOX, text) else f"expected {MASKS}"
        raise BadInput(f"{text[:80]!r} is neither a mask nor a file: {meant}")


def check_alphas(text: str) -> None:
    """Check that ``text`` is numbers like ``-2,0,2``, or ``-2:2``. Raises BadInput."""
    try:
        numbers = [*map(float, text.split(":" if ":" in text else ","))]
    except ValueError:
        numbers = []
    if not numbers or (":" in text and len(numbers) != 2):
        raise BadInput(f"expected alphas like -2,0,2 or -2:2, got {text[:40]!r}")


def check_ways(of: object, toward: object, away: object) -> None:
    """Check that a direction is given one way to compute it. Raises BadInput."""
    if (of is None) == (toward is None) or (toward is None) != (away is None):
        samples = f"{argument('toward')} and {argument('away')}, samples with and without it"
        raise BadInput(f"a direction needs {argument('of', 'ATTRIBUTE')}, or both {samples}")
