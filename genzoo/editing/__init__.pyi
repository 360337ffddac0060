# Made from the table in __init__.py: GENZOO_WRITE_STUBS=1 pytest tests/test_public_names.py

from genzoo.editing.directions import Direction as Direction
from genzoo.editing.inpainting import Completion as Completion
from genzoo.editing.inpainting import inpaint as inpaint
from genzoo.editing.projection import Projection as Projection
from genzoo.editing.projection import project as project
from genzoo.editing.walks import interpolate as interpolate
from genzoo.editing.walks import traverse as traverse
