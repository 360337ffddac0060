# Made from the table in __init__.py: GENZOO_WRITE_STUBS=1 pytest tests/test_public_names.py

from genzoo.data.arrays import in_memory as in_memory
from genzoo.data.catalogue import attributes as attributes
from genzoo.data.catalogue import check as check
from genzoo.data.catalogue import describe as describe
from genzoo.data.catalogue import having as having
from genzoo.data.catalogue import kind_of as kind_of
from genzoo.data.catalogue import names as names
from genzoo.data.catalogue import open as open
from genzoo.data.catalogue import open_pair as open_pair
from genzoo.data.dataset import DataSet as DataSet
from genzoo.data.dataset import FileSelection as FileSelection
from genzoo.data.dataset import FileTree as FileTree
from genzoo.data.dataset import ImageFiles as ImageFiles
from genzoo.data.dataset import Rows as Rows
from genzoo.data.dataset import SoundFiles as SoundFiles
from genzoo.data.dataset import Source as Source
from genzoo.data.dataset import Summary as Summary
from genzoo.data.dataset import paired as paired
from genzoo.data.photo_files import photos as photos
from genzoo.data.photo_files import picture as picture
from genzoo.data.sheet import DataSheet as DataSheet
from genzoo.data.synthetic import RING as RING
from genzoo.data.transforms import TRANSFORMS as TRANSFORMS
from genzoo.data.viewing import show as show
