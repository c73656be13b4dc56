"""Training examples drawn by their classes, so that rare classes are seen as often as frequent ones."""

from collections import Counter
from collections.abc import Collection, Iterable

import numpy as np
from jaxtyping import Float64, Int64

NO_SLOT = 2**32 - 1  # no slot of a step has this number: what is drawn here is not what an example's changes are drawn from


def class_weights(labels: Iterable[Collection[int]]) -> Float64[np.ndarray, " examples"]:
    """How often each example is to be drawn, in proportion, from its classes: the sum of 1 / (examples of the class).

    An example without a class has weight 0; a class that no example has counts for nothing.
    """
    each = [frozenset(classes) for classes in labels]
    sizes = Counter(label for classes in each for label in classes)
    return np.array([sum(1 / sizes[label] for label in sorted(classes)) for classes in each], np.float64)


class Draws:
    """By step, the examples of it, drawn with replacement: a function of the seed and the step alone."""

    def __init__(self, weights: Float64[np.ndarray, " examples"], seed: int, count: int):
        """`weights`, some above 0, are how often each example is drawn, in proportion; `count` are drawn for each step."""
        upto = np.cumsum(weights)
        self._upto, self._seed, self._count = upto / upto[-1], seed, count

    def __call__(self, step: int) -> Int64[np.ndarray, " count"]:
        """The indices of a step's examples, by position."""
        places = np.random.default_rng((self._seed, step, NO_SLOT)).random(self._count)
        return np.searchsorted(self._upto, places, side="right")  # right: never one whose weight is 0
