"""Any number of classes for each example: sigmoid cross-entropy, mean average precision (section 4.2)."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float, Float32, Num

from perceiver_jax.tasks import Answer, Evaluation, Sums, TaskConfig, Traced, likeliest, means
from perceiver_jax.tasks.multi_label.ranking import Rankings, rankings
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

    def averaged(self, views: Float[Traced, "views B Y"]) -> Float[Traced, "B Y"]:
        """The logarithms of the odds of the mean scores, from sums of scores and of what they lack to 1, as logarithms.

        So large logits, whose scores are all 1 when rounded, keep their order.
        """
        import jax

        total = lambda x: jax.nn.logsumexp(jax.nn.log_sigmoid(x), axis=0)  # noqa: E731
        return total(views) - total(-views)

    def finish(self, evaluation: Evaluation) -> dict[str, float]:
        """The loss; the mean average precision over the classes that have an example, and how many those are; AUC and d'.

        The AUC is the mean over the classes that some but not all examples are of. What no class has is NaN.
        """
        ranked = _ranked(evaluation)
        return means(evaluation.sums) | {
            "mean_average_precision": ranked.mean_average_precision,
            "mean_auc": ranked.mean_auc,
            "d_prime": ranked.d_prime,
            "classes_with_examples": float(np.count_nonzero(ranked.examples)),
        }

    def by_class(self, evaluation: Evaluation) -> Mapping[str, Num[np.ndarray, " Y"]]:
        """The average precision, and the area under the ROC curve."""
        ranked = _ranked(evaluation)
        return {"examples": ranked.examples, "average_precision": ranked.average_precision, "auc": ranked.auc}

    def decode(self, label: Float32[np.ndarray, " Y"]) -> tuple[str, ...]:
        """The names of its classes, perhaps none."""
        return tuple(self.classes[number] for number in np.flatnonzero(label))

    def answers(self, scores: Float[np.ndarray, " Y"], count: int) -> list[Answer]:
        """The likeliest classes, each with a probability of its own."""
        return likeliest(self.classes, scores, count)


def _ranked(evaluation: Evaluation) -> Rankings:
    """By the logits: the sigmoids of large ones would be equal."""
    seen = np.asarray(evaluation.examples["weights"]) > 0
    logits, labels = (np.asarray(evaluation.examples[name])[seen] for name in ("logits", "labels"))
    return rankings(logits, labels > 0)


MEMBER = MultiLabel
