"""The contract of a family: each module of checks adds its own, in this order."""

from genzoo.testing import structure_checks  # noqa: F401, I001
from genzoo.testing import sampling_checks  # noqa: F401
from genzoo.testing import ability_checks  # noqa: F401
from genzoo.testing import density_checks  # noqa: F401
from genzoo.testing import training_checks  # noqa: F401
from genzoo.testing import option_checks  # noqa: F401
from genzoo.testing import device_checks  # noqa: F401
from genzoo.testing.family_case import FAMILY, Case

__all__ = ["FAMILY", "Case"]
