# Made from the table in __init__.py: GENZOO_WRITE_STUBS=1 pytest tests/test_public_names.py

from genzoo.zoo.card import read_metrics as read_metrics
from genzoo.zoo.manifest import Manifest as Manifest
from genzoo.zoo.manifest import Recipe as Recipe
from genzoo.zoo.manifest import read_manifest as read_manifest
from genzoo.zoo.names import find as find
