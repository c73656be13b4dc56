"""What is measured: sums and counts, divided once at the end, so that batches of unequal size average right."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

Sums = dict[str, Float[Array | np.ndarray, ""] | Float[Array | np.ndarray, "Y Y"]]  # the matrix: `confusion`


def classification_sums(
    logits: Float[Array, "B Y"], labels: Int[Array, " B"], losses: Float[Array, " B"], weights: Float[Array, " B"]
) -> Sums:
    """The sums over one batch of loss, correct answers and answers among the best five, and `weight`, their count.

    An example of weight 0 is padding and counts nowhere.
    """
    better = _as_likely(logits, labels)
    each = {"loss": losses, "accuracy": better < 1, "top5": better < 5}
    return {name: jnp.sum(jnp.where(weights > 0, value * weights, 0)) for name, value in each.items()} | {
        "weight": jnp.sum(weights)
    }


def confusion(logits: Float[Array, "B Y"], labels: Int[Array, " B"], weights: Float[Array, " B"]) -> Float[Array, "Y Y"]:
    """How many examples of each class (rows) got which answer (columns).

    The diagonal are exactly the correct answers of `classification_sums`; any other answer is the likeliest other class.
    """
    count = logits.shape[1]
    others = (labels[:, None] + jnp.arange(1, max(count, 2))) % count  # so that no tie and no NaN can choose the label
    likeliest = jnp.argmax(jnp.take_along_axis(logits, others, axis=1), axis=1)
    wrong = jnp.take_along_axis(others, likeliest[:, None], axis=1)[:, 0]
    answers = jnp.where(_as_likely(logits, labels) < 1, labels, wrong)
    return jnp.zeros((count, count), weights.dtype).at[labels, answers].add(weights)


def _as_likely(logits: Float[Array, "B Y"], labels: Int[Array, " B"]) -> Int[Array, " B"]:
    """How many other classes are at least as likely as an example's own."""
    label_logits = jnp.take_along_axis(logits, labels[:, None], axis=1)
    # Ties go to the other class, and so does what is no number: a constant model is right nowhere rather than everywhere.
    return jnp.sum(~(logits < label_logits), axis=1) - 1


def means(sums: Mapping[str, ArrayLike]) -> dict[str, float]:
    """The mean of each metric; with a confusion matrix among the sums also the mean over the classes of their accuracies.

    Classes without an example have no accuracy and are left out.
    """
    numbers = {name: float(value) / float(sums["weight"]) for name, value in sums.items() if np.ndim(value) == 0}
    del numbers["weight"]
    if "confusion" in sums:
        matrix = np.asarray(sums["confusion"], np.float64)
        examples = matrix.sum(axis=1)
        numbers["mean_class_accuracy"] = float(np.mean(np.diag(matrix)[examples > 0] / examples[examples > 0]))
    return numbers


def add(a: Sums | None, b: Sums) -> Sums:
    """The sums over both."""
    return b if a is None else jax.tree.map(jnp.add, a, b)
