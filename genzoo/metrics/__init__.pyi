# Made from the table in __init__.py: GENZOO_WRITE_STUBS=1 pytest tests/test_public_names.py

from genzoo.metrics.metric import Metric as Metric
from genzoo.metrics.metric import ModelMetric as ModelMetric
from genzoo.metrics.metric import SampleMetric as SampleMetric
from genzoo.metrics.real_data import RealData as RealData
from genzoo.metrics.real_data import load_features as load_features
from genzoo.metrics.registry import names as names
from genzoo.metrics.score import Estimates as Estimates
from genzoo.metrics.score import Score as Score
from genzoo.metrics.score import verdict as verdict
from genzoo.metrics.subjects import DatasetSubject as DatasetSubject
from genzoo.metrics.subjects import ModelSubject as ModelSubject
from genzoo.metrics.subjects import Subject as Subject
