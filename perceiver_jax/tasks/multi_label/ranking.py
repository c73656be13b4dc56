"""How well scores rank the examples of each class before the others: average precision, the area under the ROC curve, d'."""

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64


class Rankings(NamedTuple):
    """The measures of each class. Examples of equal scores pass a threshold together, so their order does not count."""

    examples: Int64[np.ndarray, " Y"]  # how many are of the class
    others: Int64[np.ndarray, " Y"]  # how many are not
    # The mean of the precision at each threshold, weighted by the recall that it adds; NaN for a class without an example.
    average_precision: Float64[np.ndarray, " Y"]
    # The share of the pairs of an example of the class and another one in which the former's score is higher, pairs of equal
    # scores by half; NaN for a class without a pair.
    auc: Float64[np.ndarray, " Y"]

    @property
    def mean_average_precision(self) -> float:
        """The mean over the classes that have an example; NaN where there is none."""
        return _mean(self.average_precision[self.examples > 0])

    @property
    def mean_auc(self) -> float:
        """The mean over the classes that have a pair; NaN where there is none."""
        return _mean(self.auc[self._pairs > 0])

    @property
    def d_prime(self) -> float:
        """d' = sqrt(2) times the quantile of the standard normal distribution at the mean AUC; NaN where there is none.

        A mean of 1 counts as half of the least error away from it that these examples could show, equal scores in one pair
        of the class that has most of them: so d' is finite, and higher than that of any other mean. A mean of 0 likewise.
        """
        if not self._pairs.any() or math.isnan(self.mean_auc):
            return math.nan
        least = 0.25 / (np.count_nonzero(self._pairs) * self._pairs.max())
        return math.sqrt(2) * NormalDist().inv_cdf(min(max(self.mean_auc, least), 1 - least))

    @property
    def _pairs(self) -> Int64[np.ndarray, " Y"]:
        return self.examples * self.others


def rankings(scores: Float[np.ndarray, "examples Y"], labels: Bool[np.ndarray, "examples Y"]) -> Rankings:
    """The measures as scikit-learn defines them, for each class by itself; NaN also where one of its scores is NaN."""
    examples = labels.sum(axis=0)
    columns = zip(np.ascontiguousarray(scores.T), np.ascontiguousarray(labels.T), strict=True)
    each = np.array([_measures(*column) for column in columns])
    return Rankings(examples, len(labels) - examples, each[:, 0], each[:, 1])


def _measures(scores: Float[np.ndarray, " examples"], labels: Bool[np.ndarray, " examples"]) -> tuple[float, float]:
    """The average precision and the area under the ROC curve of one class."""
    if np.isnan(scores).any() or not labels.any():
        return math.nan, math.nan
    order = np.argsort(scores)[::-1]
    scores, labels = scores[order], labels[order]
    last = np.append(np.flatnonzero(scores[1:] != scores[:-1]), len(scores) - 1)  # of those that share a score
    hits = np.cumsum(labels)[last]
    gained = np.diff(hits, prepend=0)
    precision = float((gained * (hits / (last + 1))).sum() / hits[-1])
    misses = last + 1 - hits
    pairs = float(hits[-1] * misses[-1])
    ordered = (np.diff(misses, prepend=0) * (hits - gained / 2)).sum()
    return precision, float(ordered) / pairs if pairs else math.nan


def _mean(values: Float64[np.ndarray, " classes"]) -> float:
    return float(values.mean()) if values.size else math.nan
