"""Metrics: numbers about samples and models, each with an interval and a protocol."""

from genzoo import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "score": ("Score", "Estimates", "verdict"),
        "metric": ("Metric", "ModelMetric", "SampleMetric"),
        "registry": ("names",),
        "real_data": ("RealData", "load_features"),
        "subjects": ("DatasetSubject", "ModelSubject", "Subject"),
    },
)
