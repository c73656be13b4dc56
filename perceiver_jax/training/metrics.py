"""What is measured: sums and counts, divided once at the end, so that batches of unequal size average right."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

Sums = dict[str, Float[Array, ""]]


def classification_sums(
    logits: Float[Array, "B Y"], labels: Int[Array, " B"], losses: Float[Array, " B"], weights: Float[Array, " B"]
) -> Sums:
    """The sums over one batch of loss, correct answers and answers among the best five, and `weight`, their count.

    An example of weight 0 is padding and counts nowhere.
    """
    label_logits = jnp.take_along_axis(logits, labels[:, None], axis=1)
    # Ties go to the other class: a constant model is right nowhere rather than everywhere.
    better = jnp.sum(logits >= label_logits, axis=1) - 1
    each = {"loss": losses, "accuracy": better < 1, "top5": better < 5}
    return {name: jnp.sum(jnp.where(weights > 0, value * weights, 0)) for name, value in each.items()} | {
        "weight": jnp.sum(weights)
    }


def means(sums: Mapping[str, ArrayLike]) -> dict[str, float]:
    """The mean of each metric."""
    return {name: float(value) / float(sums["weight"]) for name, value in sums.items() if name != "weight"}


def add(a: Sums | None, b: Sums) -> Sums:
    """The sums over both."""
    return b if a is None else jax.tree.map(jnp.add, a, b)
