"""info: what a model is and how it was trained, or a family and its fields."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from genzoo import families
from genzoo.errors import argument, command, either
from genzoo.families.family import DATA
from genzoo.files import written
from genzoo.models.arguments import checked_arguments
from genzoo.runs.plan import data_summary
from genzoo.runs.recipe_command import train_command
from genzoo.schemas import Schema
from genzoo.schemas import fields as fields_of
from genzoo.text import columns, html_table, printable
from genzoo.zoo import card, names, readme
from genzoo.zoo.installed import is_installed
from genzoo.zoo.manifest import WEIGHTS, Manifest, Measured
from genzoo.zoo.weights import read_header

if TYPE_CHECKING:
    from genzoo.models.model import Model


@final
@dataclass(frozen=True, repr=False)
class ModelInfo:
    """A model by its card. ``data``: its data set as the run read it, in lines; ``shapes``: those
    of its weights, by name.
    """

    folder: Path
    manifest: Manifest
    scores: tuple[Measured, ...]
    data: tuple[str, ...]
    shapes: dict[str, tuple[int, ...]]

    def record(self) -> dict[str, Any]:
        """For JSON."""
        scores = card.metrics_of(self.folder).record().get("scores", [])
        summary = {"summary": self.data} if self.data else {}
        return {**self.manifest.model_dump(mode="json"), "scores": scores, **summary}

    @property
    def head(self) -> str:
        return printable(f"{self.manifest.name}  ({self.folder})")

    @property
    def rows(self) -> list[tuple[str, str]]:
        """What is known, line by line: name and value."""
        manifest = self.manifest
        numbers = sum(map(math.prod, self.shapes.values()))
        return [
            *readme.facts(manifest).items(),
            ("weights", f"{numbers:,} values in {len(self.shapes)} tensors"),
            *[("data as read" if i == 0 else "", line) for i, line in enumerate(self.data)],
            *[(readme.score_name(score), readme.score_value(score)) for score in self.scores],
            ("terms", self._terms),
        ]

    @property
    def _terms(self) -> str:
        """Its license, or what says it of a model that was adopted; the terms of its data."""
        license, terms = self.manifest.license, self.manifest.terms
        if license == "unknown" and self.manifest.adopted:
            license = f"license unknown: {argument('license')} of {command('adopt')} says it"
        return f"{license}. {terms}" if terms else license

    @property
    def foot(self) -> list[str]:
        """The command of the training, which a table would break; and where the settings are
        listed: the family's file has them, which imports torch.
        """
        call, trained = command("info", self.manifest.family), []
        if known := train_command(self.manifest):
            place = written(self.folder)
            again = command(
                "train", recipe=self.folder.name if is_installed(self.folder) else place
            )
            trained = ["It was trained by", printable(known), f"which {again} repeats", ""]
        return [*trained, f"{call} lists the settings of sampling and training"]

    def __repr__(self) -> str:
        return "\n".join([self.head, *columns(self.rows), "", *self.foot])

    def _repr_html_(self) -> str:
        return html_table(self.rows, title=[self.head], notes=self.foot)


@final
@dataclass(frozen=True, repr=False)
class FamilyInfo:
    """A family. ``fields``: the fields of its ``config``, its ``options`` and its ``sampling``,
    each with its name, default, bounds and meaning.
    """

    name: str
    summary: str
    facts: dict[str, str]
    fields: dict[str, list[dict[str, Any]]]

    def record(self) -> dict[str, Any]:
        """For JSON."""
        kind = {"data": families.get(self.name).data}
        return {"name": self.name, "summary": self.summary, **self.facts, **kind, **self.fields}

    @property
    def tables(self) -> dict[str, list[tuple[str, str, str, str]]]:
        """The fields of each kind, by what it is and how it is given."""
        how = {
            "sampling": either("--set NAME=VALUE of genzoo sample", "sample(NAME=VALUE)"),
            "": either("--set NAME=VALUE of genzoo train", "train(settings={NAME: VALUE})"),
        }
        return {
            f"{kind} ({how.get(kind, how[''])})": [
                (r["name"], _default(r["default"]), r["allowed"], r["about"]) for r in rows
            ]
            for kind, rows in self.fields.items()
        }

    def __repr__(self) -> str:
        lines = [printable(f"{self.name}  {self.summary}"), *columns(self.facts.items())]
        for head, rows in self.tables.items():
            lines += ["", head, *columns(rows)]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        facts = html_table(self.facts.items(), title=[f"{self.name}  {self.summary}"])
        tables = (html_table(rows, title=[head]) for head, rows in self.tables.items())
        return "".join([facts, *tables])


@checked_arguments
def info(name: "str | Path | Model") -> ModelInfo | FamilyInfo:
    """What a model, by its name or loaded, is and how it was trained; of a family's name, its
    fields: without torch.

    Raises as ``load``.
    """
    name = names.named(name)
    if name in families.names():
        return _family(str(name))
    folder, manifest = names.resolve(name)
    metrics, tensors = card.metrics_of(folder), read_header(folder / WEIGHTS)
    shapes = {key: tuple(shape) for key, (_, shape) in tensors.items()}
    return ModelInfo(folder, manifest, tuple(metrics.scores or ()), data_summary(folder), shapes)


def _family(name: str) -> FamilyInfo:
    family, plugin = families.get(name), families.metadata(name)
    schemas: dict[str, type[Schema]] = {"config": family.config, "options": family.options}
    fields = {kind: fields_of(schema) for kind, schema in schemas.items()}
    fields |= {"sampling": fields_of(family.sampling)} if family.sampling.model_fields else {}
    facts = {
        "branch": plugin.branch,
        "year": plugin.year,
        "paper": family.paper,
        "package": f"{plugin.package} {plugin.version}",
        "data": DATA[family.data],
    }
    return FamilyInfo(name, plugin.summary, facts, fields)


def _default(value: Any) -> str:
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)
