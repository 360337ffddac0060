"""Contracts of families, data sets and metrics. Authors of plugins run them as genzoo's tests do:

    @pytest.mark.parametrize("check", testing.CHECKS)
    def test_contract(check):
        if reason := testing.run(check, "my-family"):
            pytest.skip(reason)

    def test_enough_checks_apply():
        assert len(testing.outcome("my-family").held) >= 24

`CHECKS` are those of families. `checks("metric")` and `checks("dataset")` give the others; `run`
and `outcome` take the kind as their last argument. ``genzoo plugin check NAME`` does the same.
"""

from genzoo import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "kit": ("CHECKS", "CONTRACTS", "checks", "outcome", "outcomes", "run"),
        "contract": ("Broken", "Outcome"),
        "family_case": ("Case",),
        "scaffold": ("new_plugin",),
    },
)
