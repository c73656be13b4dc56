"""Any number of classes for each example: sigmoid cross-entropy, mean average precision (section 4.2)."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float, Float32

from perceiver_jax.tasks import Answer, Evaluation, Sums, TaskConfig, Traced, likeliest, means
from perceiver_jax.tasks.multi_label.average_precision import average_precisions
from perceiver_jax.tasks.single_label import check_labels


class Config(TaskConfig):
    """The task has no settings of its own."""

    kind: Literal["multi_label"]


class MultiLabel:
    """The classes of which each example has any number, none included: a Task."""

    Config, headline = Config, "mean_average_precision"

    def __init__(self, config: Config, classes: Sequence[str]):
        self.config, self.classes = config, tuple(classes)

    @property
    def num_outputs(self) -> int:
        """A logit for each class."""
        return len(self.classes)

    def encode(self, labels: Sequence[int], name: str) -> Float32[np.ndarray, " Y"]:
        """1 for each class that the example has, otherwise 0; raises Failure(DATA) for a label that is not a class."""
        check_labels(labels, len(self.classes), name)
        encoded = self.blank()
        encoded[list(labels)] = 1
        return encoded

    def blank(self) -> Float32[np.ndarray, " Y"]:
        """No class."""
        return np.zeros(len(self.classes), np.float32)

    def losses(self, logits: Float[Traced, "B Y"], labels: Float[Traced, "B Y"]) -> Float[Traced, " B"]:
        """The sigmoid cross-entropy, in nats, the mean over the classes."""
        import optax

        return optax.sigmoid_binary_cross_entropy(logits, labels).mean(axis=-1)

    def training_sums(self, logits: Float[Traced, "B Y"], labels: Float[Traced, "B Y"], losses: Float[Traced, " B"]) -> Sums:
        """The loss."""
        import jax.numpy as jnp

        return {"loss": losses.sum(), "weight": jnp.ones_like(losses).sum()}

    def evaluation(
        self, logits: Float[Traced, "B Y"], labels: Float[Traced, "B Y"], weights: Float[Traced, " B"]
    ) -> Evaluation:
        """The loss, and every example's logits and labels: the precision of one depends on the scores of all."""
        import jax.numpy as jnp

        losses = jnp.where(weights > 0, self.losses(logits, labels) * weights, 0)
        sums = {"loss": losses.sum(), "weight": weights.sum()}
        return Evaluation(sums, {"logits": logits, "labels": labels, "weights": weights})

    def scores(self, logits: Float[Traced, "B Y"]) -> Float[Traced, "B Y"]:
        """The sigmoid of each logit."""
        import jax

        return jax.nn.sigmoid(logits)

    def logits(self, scores: Float[Traced, "B Y"]) -> Float[Traced, "B Y"]:
        """The logarithms of their odds, finite also where a score has been rounded to 0 or 1, so that the loss is."""
        import jax.numpy as jnp

        limits = jnp.finfo(scores.dtype)
        scores = jnp.clip(scores, limits.tiny, 1 - limits.epsneg)
        return jnp.log(scores) - jnp.log1p(-scores)

    def finish(self, evaluation: Evaluation) -> dict[str, float]:
        """The loss, and the mean average precision over the classes that have an example, and how many those are."""
        seen = np.asarray(evaluation.examples["weights"]) > 0
        logits, labels = (np.asarray(evaluation.examples[name])[seen] for name in ("logits", "labels"))
        precisions = average_precisions(logits, labels > 0)
        counted = precisions[~np.isnan(precisions)]
        return means(evaluation.sums) | {
            "mean_average_precision": float(counted.mean()) if counted.size else float("nan"),
            "classes_with_examples": float(counted.size),
        }

    def decode(self, label: Float32[np.ndarray, " Y"]) -> tuple[str, ...]:
        """The names of its classes, perhaps none."""
        return tuple(self.classes[number] for number in np.flatnonzero(label))

    def answers(self, scores: Float[np.ndarray, " Y"], count: int) -> list[Answer]:
        """The likeliest classes, each with a probability of its own."""
        return likeliest(self.classes, scores, count)


MEMBER = MultiLabel
