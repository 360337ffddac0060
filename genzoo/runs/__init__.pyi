# Made from the table in __init__.py: GENZOO_WRITE_STUBS=1 pytest tests/test_public_names.py

from genzoo.runs.launch import Estimate as Estimate
from genzoo.runs.launch import estimate as estimate
from genzoo.runs.launch import resume as resume
from genzoo.runs.launch import start as start
from genzoo.runs.plan import Plan as Plan
from genzoo.runs.run import Interrupted as Interrupted
from genzoo.runs.run import Run as Run
from genzoo.runs.run import RunStatus as RunStatus
