# Made from the table in __init__.py: GENZOO_WRITE_STUBS=1 pytest tests/test_public_names.py

from genzoo.editing.arithmetic import Combination as Combination
from genzoo.editing.directions import Direction as Direction
from genzoo.editing.directions import direction as direction
from genzoo.editing.directions import direction_from_data as direction_from_data
from genzoo.editing.directions import direction_from_samples as direction_from_samples
from genzoo.editing.directions import direction_from_seeds as direction_from_seeds
from genzoo.editing.directions import read_direction as read_direction
from genzoo.editing.directions import steer as steer
from genzoo.editing.inpainting import Completion as Completion
from genzoo.editing.inpainting import inpaint as inpaint
from genzoo.editing.photos import PhotoSearch as PhotoSearch
from genzoo.editing.projection import Adversary as Adversary
from genzoo.editing.projection import Projection as Projection
from genzoo.editing.projection import SearchOptions as SearchOptions
from genzoo.editing.projection import project as project
from genzoo.editing.walks import interpolate as interpolate
from genzoo.editing.walks import samples_at as samples_at
from genzoo.editing.walks import traverse as traverse
