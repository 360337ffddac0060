"""The hooks that return families, metrics and data sets."""

from typing import Any

import pluggy

from genzoo.families.family import Family

hookspec = pluggy.HookspecMarker("genzoo")
hookimpl = pluggy.HookimplMarker("genzoo")


class Hooks:
    """The hooks of a plugin's module (or object), each marked with ``@genzoo.hookimpl``."""

    @hookspec(firstresult=True)
    def genzoo_family(self, name: str) -> Family:  # type: ignore[empty-body]
        """The family of the entry point ``name``. A plugin of one family may leave ``name`` out."""

    @hookspec(firstresult=True)
    def genzoo_metric(self, name: str) -> Any:
        """The metric of the entry point ``name``: a subclass of `genzoo.metrics.Metric`."""

    @hookspec(firstresult=True)
    def genzoo_dataset(self, name: str) -> Any:
        """The data set of the entry point ``name``: a ``genzoo.data.Source``."""
