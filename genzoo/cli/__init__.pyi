# Made from the table in __init__.py: GENZOO_WRITE_STUBS=1 pytest tests/test_public_names.py

from genzoo.cli.entry import main as main
from genzoo.cli.entry import run as run
