"""Average precision: the mean of the precision at each threshold, weighted by the recall that it adds."""

import numpy as np
from jaxtyping import Bool, Float


def average_precisions(scores: Float[np.ndarray, "examples Y"], labels: Bool[np.ndarray, "examples Y"]) -> np.ndarray:
    """The average precision of each class, as scikit-learn defines it; NaN for a class without an example.

    Examples of equal scores pass a threshold together, so their order does not count.
    """
    return np.array([_average_precision(scores[:, i], labels[:, i]) for i in range(labels.shape[1])])


def _average_precision(scores: Float[np.ndarray, " examples"], labels: Bool[np.ndarray, " examples"]) -> float:
    if not labels.any():
        return float("nan")
    order = np.argsort(-scores.astype(np.float64), kind="stable")
    scores, labels = scores[order], labels[order]
    last = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)  # of those that share a score
    hits = np.cumsum(labels, dtype=np.float64)[last]
    precision, recall = hits / (last + 1), hits / hits[-1]
    return float(np.sum(np.diff(recall, prepend=0) * precision))
