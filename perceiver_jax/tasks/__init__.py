"""What is learned from an example: its labels, the loss, the metrics, and the form of predictions.

A task is a file or folder here whose MEMBER is a class with what `Task` lists. Importing one needs no JAX: what is traced
imports it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Num

from perceiver_jax.section import Section

Traced = Any  # an array of a traced program; its own type would import JAX
Sums = dict[str, Any]  # by metric, a sum over examples, and `weight`, how many they are


class TaskConfig(Section):
    """A task's settings; its own module extends them."""

    kind: str


class Evaluation(NamedTuple):
    """What is known of some examples: to be merged with that of others, and finished once."""

    sums: Mapping[str, Any]  # added: by metric, and `weight`; a matrix `confusion` where a task has one
    examples: Mapping[str, Any]  # put one after the other: for metrics that are not means over examples


class Answer(NamedTuple):
    """One class that an example may be of."""

    name: str
    score: float  # a probability


@runtime_checkable
class Task(Protocol):
    """What is learned: an object for its settings and the classes there are."""

    Config: ClassVar[type[TaskConfig]]
    headline: ClassVar[str]  # the headline metric of a run

    def __init__(self, config: Any, classes: Sequence[str]): ...

    @property
    def num_outputs(self) -> int:
        """How many logits the model computes for an example."""

    def encode(self, labels: Sequence[int], name: str) -> Num[np.ndarray, "..."]:
        """An example's classes as a batch holds them; raises Failure(DATA), naming it, for what the task cannot learn."""

    def blank(self) -> Num[np.ndarray, "..."]:
        """What `encode` would return for the padding of a batch."""

    def losses(self, logits: Float[Traced, "B Y"], labels: Num[Traced, "B *label"]) -> Float[Traced, " B"]:
        """The loss of each example; linear in the target, so that mixup and CutMix examples weigh two of them."""

    def training_sums(
        self, logits: Float[Traced, "B Y"], labels: Num[Traced, "B *label"], losses: Float[Traced, " B"]
    ) -> Sums:
        """The sums that training logs, over one batch."""

    def evaluation(
        self, logits: Float[Traced, "B Y"], labels: Num[Traced, "B *label"], weights: Float[Traced, " B"]
    ) -> Evaluation:
        """What is known of one batch, its plain loss included; weight 0 marks padding."""

    def scores(self, logits: Float[Traced, "B Y"]) -> Float[Traced, "B Y"]:
        """The probability of each class."""

    def averaged(self, views: Float[Traced, "views B Y"]) -> Float[Traced, "B Y"]:
        """Logits whose `scores` are the mean of those of several views of each example, from the views' logits."""

    def finish(self, evaluation: Evaluation) -> dict[str, float]:
        """The metrics of a whole split, `loss` and the headline among them."""

    def by_class(self, evaluation: Evaluation) -> Mapping[str, Num[np.ndarray, " Y"]]:
        """Of each class of a split how many `examples` it has, and its metrics, the chief first; NaN where it has none."""

    def decode(self, label: Num[np.ndarray, "*label"]) -> tuple[str, ...]:
        """The names of an example's classes, from what `encode` gave."""

    def answers(self, scores: Float[np.ndarray, " Y"], count: int) -> list[Answer]:
        """The `count` likeliest classes of one example, likeliest first."""


def means(sums: Mapping[str, Any]) -> dict[str, float]:
    """The mean of each metric over the examples that count."""
    numbers = {name: float(value) / float(sums["weight"]) for name, value in sums.items() if np.ndim(value) == 0}
    del numbers["weight"]
    return numbers


def likeliest(classes: Sequence[str], scores: Float[np.ndarray, " Y"], count: int) -> list[Answer]:
    """The `count` classes with the highest scores, highest first; of equal ones the first."""
    order = np.argsort(-scores, kind="stable")[:count]
    return [Answer(classes[label], float(scores[label])) for label in order]
