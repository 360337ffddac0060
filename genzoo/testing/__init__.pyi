# Made from the table in __init__.py: GENZOO_WRITE_STUBS=1 pytest tests/test_public_names.py

from genzoo.testing.contract import Broken as Broken
from genzoo.testing.contract import Outcome as Outcome
from genzoo.testing.family_case import Case as Case
from genzoo.testing.kit import CHECKS as CHECKS
from genzoo.testing.kit import CONTRACTS as CONTRACTS
from genzoo.testing.kit import checks as checks
from genzoo.testing.kit import outcome as outcome
from genzoo.testing.kit import outcomes as outcomes
from genzoo.testing.kit import run as run
from genzoo.testing.scaffold import new_plugin as new_plugin
