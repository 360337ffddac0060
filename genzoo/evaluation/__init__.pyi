# Made from the table in __init__.py: GENZOO_WRITE_STUBS=1 pytest tests/test_public_names.py

from genzoo.evaluation.comparison import Comparison as Comparison
from genzoo.evaluation.evaluate import Evaluation as Evaluation
from genzoo.evaluation.neighbours import Neighbours as Neighbours
from genzoo.evaluation.outliers import Outliers as Outliers
from genzoo.evaluation.representations import extract_features as extract_features
from genzoo.evaluation.truncation import Curve as Curve
from genzoo.evaluation.truncation import truncate as truncate
