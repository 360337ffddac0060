"""Attributes of samples: how strongly each shows a class or an attribute of a data set."""

from typing import final

import numpy as np
from torch import Tensor

from genzoo import data as sets
from genzoo.errors import unknown
from genzoo.features import classifiers


@final
class AttributeClassifier:
    """Scores how strongly a sample shows one class or attribute of ``data``, by its classifier.

    Raises UnknownName, and BadInput if genzoo ships no classifier of ``data``.
    """

    def __init__(self, data: str, attribute: str):
        self.network = classifiers.DatasetClassifier(data)
        source = sets.describe(data)
        known = source.classes or source.attributes
        if attribute not in known:
            what = "class" if source.classes else "attribute"
            raise unknown(f"{what} of {data}", attribute, known, "")
        self.data, self.attribute, self.index = data, attribute, known.index(attribute)

    def __call__(self, x: Tensor) -> np.ndarray:
        """``(n,)`` scores of images ``(n, C, H, W)`` in [0, 1]: above 0 they have the attribute.

        The attribute's logit; for a class, its logit minus the highest other one.
        """
        logits = self.network.all_logits(self.network(x.cpu()))
        own = logits[:, self.index]
        if not self.network.outputs:
            return own
        return own - np.delete(logits, self.index, axis=1).max(1)
