# Made from the table in __init__.py: GENZOO_WRITE_STUBS=1 pytest tests/test_public_names.py

from genzoo.families.family import API as API
from genzoo.families.family import BRANCHES as BRANCHES
from genzoo.families.family import Family as Family
from genzoo.families.family import Upgraded as Upgraded
from genzoo.families.hooks import Hooks as Hooks
from genzoo.families.hooks import hookimpl as hookimpl
from genzoo.families.hooks import hookspec as hookspec
from genzoo.families.registry import GROUPS as GROUPS
from genzoo.families.registry import KIND_NAMES as KIND_NAMES
from genzoo.families.registry import LIST_COMMANDS as LIST_COMMANDS
from genzoo.families.registry import Conflict as Conflict
from genzoo.families.registry import Plugin as Plugin
from genzoo.families.registry import disabled as disabled
from genzoo.families.registry import facts_of as facts_of
from genzoo.families.registry import get as get
from genzoo.families.registry import known as known
from genzoo.families.registry import known_facts as known_facts
from genzoo.families.registry import load as load
from genzoo.families.registry import metadata as metadata
from genzoo.families.registry import names as names
from genzoo.families.registry import owner as owner
from genzoo.families.registry import plugins as plugins
from genzoo.families.registry import required_packages as required_packages
