"""Metrics: sums and counts, divided once at the end, so that batches of unequal size are weighted correctly."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from perceiver_jax.tasks import Sums

TOP = 5  # predictions that a label may be among


def classification_sums(
    logits: Float[Array, "B Y"], labels: Int[Array, " B"], losses: Float[Array, " B"], weights: Float[Array, " B"]
) -> Sums:
    """The sums over one batch of loss and correct predictions, and of those among the best five where classes are more.

    `weight` is how many examples they are of; one of weight 0 is padding and does not count.
    """
    better = _as_likely(logits, labels)
    each = {"loss": losses, "accuracy": better < 1}
    if logits.shape[1] > TOP:  # of fewer classes every example would count
        each[f"top{TOP}"] = better < TOP
    return {name: jnp.sum(jnp.where(weights > 0, value * weights, 0)) for name, value in each.items()} | {
        "weight": jnp.sum(weights)
    }


def confusion(logits: Float[Array, "B Y"], labels: Int[Array, " B"], weights: Float[Array, " B"]) -> Float[Array, "Y Y"]:
    """How many examples of each class (rows) got each prediction (columns).

    The diagonal is exactly the correct predictions of `classification_sums`; any other is the likeliest other class.
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
    # Ties go to the other class, and so do NaNs: a constant model is right nowhere rather than everywhere.
    return jnp.sum(~(logits < label_logits), axis=1) - 1
