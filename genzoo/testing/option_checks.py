"""Checks of options and settings: each does something, alone or beside one that switches it on."""

from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from itertools import count, zip_longest
from typing import Any, final

from torch import Tensor

from genzoo.errors import BadInput
from genzoo.models.model import infer
from genzoo.models.randomness import Noise
from genzoo.models.sampler import Sampler
from genzoo.options import SWITCHES
from genzoo.schemas import Schema
from genzoo.testing.contract import require
from genzoo.testing.family_case import Case, law, outputs
from genzoo.testing.sampling_checks import MODEL, check_values
from genzoo.training import Diverged

# A run reads these itself: the loader, the moving average. The last acts in the core's first steps,
# and the steps tried here come later.
OF_RUNS = {"batch_size", "horizontal_flip", "ema_decay", "discriminator_warmup_steps"}


@law(code='testing.Case.of("NAME").trained(EXAMPLE).model.state_dict()')
def _options_change_the_run(case: Case) -> None:
    """Each option, moved from its default, changes the trained networks, or is refused; with the
    smallest config, or with a field of it moved.
    """

    def moves(**config: Any) -> _Moves:
        def states(options: dict[str, Any]) -> Iterator[Any]:
            model = case.model(**config)
            with suppress(*[Diverged] if config else []):
                for trainer in case.stages(model, (0.25, 0.75), **options):
                    networks = trainer.networks().values()
                    yield [t.numpy().tobytes() for n in networks for t in n.state_dict().values()]

        return _Moves(case.family.options, states, OF_RUNS)

    fields, tiny = moved(case.family.config).items(), moves()
    idle = tiny.idle()
    others = (moves(**{field: value}) for field, values in fields for value in values[:2])
    for other in others if idle else ():
        idle = [name for name in idle if not other.acts_alone(name)]
    _require_none(tiny, idle, "Does the trainer read them?")


@law(Sampler, MODEL + "model.sample(8, EXAMPLE)")
def _settings_change_the_samples(case: Case) -> str | None:
    """Each setting of sampling, moved alone from its default, changes the samples or is refused."""
    model: Any = case.trained().model

    def states(settings: dict[str, Any]) -> Iterator[Any]:
        yield [x.numpy().tobytes() for x in outputs(model, **settings).values()]

    moves = _Moves(model.sampling, states)
    if not moves.values:
        return "has no settings of sampling"
    idle = [name for name in moves.values if not moves.acts_alone(name)]
    _require_none(moves, idle, "Does the model read them? Refuse one that needs another.")
    return None


@law(Sampler, MODEL + "model.sample(8, EXAMPLE).tensor.aminmax()")
def _settings_work_at_their_bounds(case: Case) -> str | None:
    """Each number of sampling at its lowest or highest value gives finite samples in the range,
    or is refused.
    """
    model: Any = case.trained().model
    bounds = dict(_bounds(model.sampling))
    for name, values in bounds.items():
        for value in values:
            with suppress(BadInput):
                check_values(model, _raw(model, {name: value}), f"samples of {name}={value:g}")
    return None if bounds else "has no settings of sampling that are numbers"


def _raw(model: Any, settings: dict[str, Any]) -> Tensor:
    sampling, noise = model.checked_sampling(settings), Noise(5, range(8))
    return infer(model, lambda copy: copy.generate(noise, model.labels_for(None, 8), sampling))


def _bounds(schema: type[Schema]) -> Iterator[tuple[str, list[float]]]:
    """The lowest and the highest value of each number; of whole ones, which may count steps and
    so take long, the lowest alone.
    """
    for name, rule in schema.model_json_schema().get("properties", {}).items():
        for part in rule.get("anyOf", [rule]):
            if part.get("type") in ("integer", "number"):
                ends = ["minimum", "maximum"] if part["type"] == "number" else ["minimum"]
                yield name, [part[end] for end in ends if end in part]


def _require_none(moves: "_Moves", idle: list[str], hint: str) -> None:
    message = f"moving these changes nothing: {', '.join(idle)}. {hint}"
    example = f"{idle[0]}={moves.values[idle[0]][0]!r}" if idle else ""
    require(not idle, message, example)


@final
class _Moves:
    """What a run goes through with some fields of a record moved from their defaults."""

    def __init__(
        self,
        schema: type[Schema],
        states: Callable[[dict[str, Any]], Iterator[Any]],
        others: Collection[str] = (),
    ):
        self.states, self.seen = states, dict[str, _Run]()
        self.values = {n: v for n, v in moved(schema).items() if n not in others}

    def idle(self) -> list[str]:
        """The fields that change nothing, whatever else is moved."""
        return [name for name in self.values if not self._acts(name)]

    def acts_alone(self, name: str) -> bool:
        """Whether moving this field changes something while all others keep their defaults."""
        return any(self._differ({name: value}, {}) for value in self.values[name])

    def _acts(self, name: str) -> bool:
        if self.acts_alone(name) or self._refused(SWITCHES.get(name, "")):
            return True
        for other in sorted(self.values, key=lambda other: self._order(name, other)):
            for switch in self.values[other][:3] if other != name else []:
                base = {other: switch}
                if any(self._differ({**base, name: v}, base) for v in self.values[name][:2]):
                    return True
        return False

    def _refused(self, switch: str) -> bool:
        """Whether the family refuses what would let a field act, such as ``augment`` for sounds."""
        values = self.values.get(switch, [])[:3]
        return bool(values) and not any(True for v in values for _ in self._run({switch: v}))

    def _order(self, name: str, other: str) -> tuple[bool, bool, int]:
        """The likeliest switches of a field come first, as each try is a run: a choice whose name
        shares a word with the field's, or a number that shares two; then other choices.
        """
        alike, is_choice = _alike(name, other), isinstance(self.values[other][0], bool | str)
        return alike < 2 - is_choice, not is_choice, -alike

    def _differ(self, values: dict[str, Any], base: dict[str, Any]) -> bool:
        """Whether two runs differ; a value that is refused does something, too."""
        pairs = zip_longest(self._run(base), self._run(values))
        old, new = next(pairs, (None, None))  # a run that is refused has no state
        return old is not None and (old != new or any(a != b for a, b in pairs))

    def _run(self, values: dict[str, Any]) -> "_Run":
        key = repr(sorted(values.items()))
        return self.seen.setdefault(key, _Run(self.states(values)))


@final
class _Run:
    """The states of a run, each reached when it is first asked for: most runs differ at once."""

    def __init__(self, states: Iterator[Any]):
        self.states, self.known = states, list[int]()

    def __iter__(self) -> Iterator[int]:
        for i in count():
            while i >= len(self.known):
                try:
                    self.known.append(hash(tuple(next(self.states))))
                except (StopIteration, BadInput):  # after either it gives no more
                    return
            yield self.known[i]


def moved(schema: type[Schema]) -> dict[str, list[Any]]:
    """For each field of a record the values beside its default, the plainest first."""
    defaults, found = schema().model_dump(mode="json"), schema.model_json_schema()
    values = {
        name: [*_others(rule, defaults[name], found.get("$defs", {}))]
        for name, rule in found.get("properties", {}).items()
    }
    return {name: v for name, v in values.items() if v}


def _alike(name: str, other: str) -> int:
    """How many words two names share: penalty_weight and penalty."""
    return len({*name.split("_")} & {*other.split("_")})


def _others(rule: dict[str, Any], default: Any, known: dict[str, Any]) -> Iterator[Any]:
    """Values that a field may take beside its default, the plainest first."""
    if "$ref" in rule:
        rule = known[rule["$ref"].rpartition("/")[2]]
    if "anyOf" in rule:
        for part in rule["anyOf"]:
            yield from _others(part, default, known)
    elif "enum" in rule:
        yield from (value for value in rule["enum"] if value != default)
    elif rule.get("type") == "boolean":
        yield not default
    elif rule.get("type") in ("integer", "number"):
        yield from _numbers(rule, default)


def _numbers(rule: dict[str, Any], default: Any) -> Iterator[Any]:
    low = rule.get("minimum", rule.get("exclusiveMinimum", 0))
    high = rule.get("maximum", rule.get("exclusiveMaximum", 1))
    old = default or 0
    tried = [old * 2, old / 2, 0.5, 0.01, low, low + 1, 3]
    if rule["type"] == "integer":
        tried = [old * 2, old // 2, old + 1, old - 1, low, low + 1]
    seen = {default}
    for value in tried:
        inside = low <= value <= high and value not in seen
        open_end = value in (rule.get("exclusiveMinimum"), rule.get("exclusiveMaximum"))
        if inside and not open_end:
            seen.add(value)
            yield value
