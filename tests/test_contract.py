"""Every installed family keeps the contract; and the contract notices one that does not."""

import pytest
import torch

from genzoo import families, testing


@pytest.mark.parametrize("check", testing.CHECKS)
@pytest.mark.parametrize("name", families.names())
def test_family_keeps_the_contract(name, check):
    if reason := testing.run(check, name):
        pytest.skip(reason)


def test_enough_is_checked():
    """A contract that skips its checks would be green for ever."""
    for name in families.names():
        ran = [c for c in testing.CHECKS if testing.run(c, name) is None]
        assert len(ran) >= 14, f"{name}: only {ran}"


class _Rude:
    """What a model may do wrong in ``generate``, by name of the check that must notice."""

    @staticmethod
    def keeps_the_seed_rule(generate, draws, labels):
        made = generate(draws, labels)
        return made * 0 + made.mean(0, keepdim=True)

    @staticmethod
    def leaves_no_trace(generate, draws, labels):
        return generate(draws, labels) * torch.rand(())

    @staticmethod
    def samples_in_range(generate, draws, labels):
        return generate(draws, labels) + 2


@pytest.mark.parametrize("check", ["keeps_the_seed_rule", "leaves_no_trace", "samples_in_range"])
def test_contract_notices(check):
    good = families.get("vae")

    class Rude(good.model):
        def generate(self, draws, labels=None):
            return getattr(_Rude, check)(super().generate, draws, labels)

    bad = testing.Case("vae", families.Family(**{**vars(good), "model": Rude}))
    with pytest.raises(AssertionError):
        testing.run(check, bad)
