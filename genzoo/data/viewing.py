"""`show`: a data set, or one of its splits, as a sheet to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from genzoo.data import catalogue
from genzoo.data.dataset import Source, check_whole
from genzoo.data.forms import Levels, Size
from genzoo.data.sheet import DataSheet, mean_sheet, sheet
from genzoo.errors import refuse_unread
from genzoo.models.arguments import checked_arguments


@checked_arguments
def show(
    name: str | Path | Source,
    n: int | None = None,
    *,
    split: str = "train",
    seed: int | None = None,
    start: int | None = None,
    mean: bool = False,
    size: Size = None,
    channels: int | None = None,
    fit: str | None = None,
    levels: Levels = None,
    root: str | Path | None = None,
) -> DataSheet:
    """The data set ``name``, as `open` takes it, as a sheet; so are the arguments after ``mean``.

    ``n``, ``seed`` (0), ``start``: as of `DataSet.sheet`. ``mean``: only the mean picture, of all
    and of each class. Raises BadInput, UnknownName.
    """
    if mean:
        refuse_unread("the mean shows no single samples", n=n, seed=seed, start=start)
    if start is not None:
        refuse_unread("start chooses the samples", seed=seed)
    form: dict[str, Any] = {"size": size, "channels": channels, "fit": fit, "levels": levels}
    dataset = catalogue.open(name, split, root=root, **form)
    check_whole(dataset)
    return mean_sheet(dataset) if mean else sheet(dataset, n, seed=seed or 0, start=start)
