"""Softmax cross-entropy."""

import jax
import optax
from jaxtyping import Array, Float, Int


def softmax_cross_entropy(
    logits: Float[Array, "B Y"], labels: Int[Array, " B"], label_smoothing: float
) -> Float[Array, " B"]:
    """The cross-entropy of each example, in nats, against a target of 1 - s on the label and s spread over all classes."""
    targets = optax.smooth_labels(jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype), label_smoothing)
    return optax.softmax_cross_entropy(logits, targets)
