"""One of several classes for each example: softmax cross-entropy, accuracy."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float, Int, Int32, Num

from perceiver_jax.errors import Code, Failure
from perceiver_jax.section import Fraction
from perceiver_jax.tasks import Answer, Evaluation, Sums, TaskConfig, Traced, likeliest, means


class Config(TaskConfig):
    """How confident the model is trained to be."""

    kind: Literal["single_label"]
    label_smoothing: Fraction  # of the target in training, spread over all classes; evaluation has the plain loss


class SingleLabel:
    """The classes of which each example has one: a Task."""

    Config, headline = Config, "accuracy"

    def __init__(self, config: Config, classes: Sequence[str]):
        self.config, self.classes = config, tuple(classes)

    @property
    def num_outputs(self) -> int:
        """A logit for each class."""
        return len(self.classes)

    def encode(self, labels: Sequence[int], name: str) -> Int32[np.ndarray, ""]:
        """The number of its class; raises Failure(DATA) for an example without exactly one class."""
        if len(labels) != 1:
            hint = 'task.kind "multi_label" learns any number of them'
            raise Failure(Code.DATA, f"{name}: {len(labels)} labels", expected="one", hint=hint)
        check_labels(labels, len(self.classes), name)
        return np.array(labels[0], np.int32)

    def blank(self) -> Int32[np.ndarray, ""]:
        """The first class."""
        return np.array(0, np.int32)

    def losses(self, logits: Float[Traced, "B Y"], labels: Int[Traced, " B"]) -> Float[Traced, " B"]:
        """The cross-entropy with smoothed targets, in nats."""
        from perceiver_jax.tasks.single_label.losses import softmax_cross_entropy

        return softmax_cross_entropy(logits, labels, self.config.label_smoothing)

    def training_sums(self, logits: Float[Traced, "B Y"], labels: Int[Traced, " B"], losses: Float[Traced, " B"]) -> Sums:
        """Loss, correct predictions and predictions among the best five."""
        import jax.numpy as jnp

        from perceiver_jax.tasks.single_label.metrics import classification_sums

        return classification_sums(logits, labels, losses, jnp.ones_like(losses))

    def evaluation(
        self, logits: Float[Traced, "B Y"], labels: Int[Traced, " B"], weights: Float[Traced, " B"]
    ) -> Evaluation:
        """The same sums with the plain loss, and how classes were confused."""
        from perceiver_jax.tasks.single_label.losses import softmax_cross_entropy
        from perceiver_jax.tasks.single_label.metrics import classification_sums, confusion

        losses = softmax_cross_entropy(logits, labels, 0.0)
        sums = classification_sums(logits, labels, losses, weights)
        return Evaluation(sums | {"confusion": confusion(logits, labels, weights)}, {})

    def scores(self, logits: Float[Traced, "B Y"]) -> Float[Traced, "B Y"]:
        """The softmax."""
        import jax

        return jax.nn.softmax(logits)

    def averaged(self, views: Float[Traced, "views B Y"]) -> Float[Traced, "B Y"]:
        """The logarithms of the mean scores, from those of the scores, so that none is too small for its type."""
        import jax
        import jax.numpy as jnp

        return jax.nn.logsumexp(jax.nn.log_softmax(views), axis=0) - jnp.log(float(len(views)))

    def finish(self, evaluation: Evaluation) -> dict[str, float]:
        """Means over all examples, and of the accuracy also the mean over the classes that have any."""
        columns = self.by_class(evaluation)
        of_classes = columns["accuracy"][columns["examples"] > 0]
        return means(evaluation.sums) | {"mean_class_accuracy": float(np.mean(of_classes))}

    def by_class(self, evaluation: Evaluation) -> Mapping[str, Num[np.ndarray, " Y"]]:
        """The accuracy."""
        matrix = np.asarray(evaluation.sums["confusion"], np.float64)
        examples = matrix.sum(axis=1)
        accuracy = np.divide(np.diag(matrix), examples, out=np.full(len(matrix), np.nan), where=examples > 0)
        return {"examples": examples.round().astype(np.int64), "accuracy": accuracy}

    def decode(self, label: Int32[np.ndarray, ""]) -> tuple[str, ...]:
        """The name of its class."""
        return (self.classes[int(label)],)

    def answers(self, scores: Float[np.ndarray, " Y"], count: int) -> list[Answer]:
        """The likeliest classes; the scores of all sum to one."""
        return likeliest(self.classes, scores, count)


def check_labels(labels: Sequence[int], num_classes: int, name: str) -> None:
    """Raises Failure(DATA), naming the example, for a label that is not a class."""
    for label in labels:
        if not 0 <= label < num_classes:
            raise Failure(Code.DATA, f"{name}: label {label}", expected=f"0 to {num_classes - 1}")


MEMBER = SingleLabel
