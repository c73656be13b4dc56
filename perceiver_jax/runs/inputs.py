"""A batch as the model sees it, drawn with its labels."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from perceiver_jax.data.batch import Batch
from perceiver_jax.report.examples import SIDE, Picture, draw_examples, most
from perceiver_jax.runs.problem import Problem


def draw_inputs(problem: Problem, batch: Batch, output: Path, title: str) -> None:
    """Draws the first examples of a training batch; raises OSError where the picture cannot be written."""
    draw_examples(list(itertools.islice(_examples(problem, batch), most(len(problem.streams)))), output, title)


def _examples(problem: Problem, batch: Batch) -> Iterator[tuple[str, list[Picture]]]:
    names = list(problem.modalities)
    for i, label in enumerate(batch["labels"]):
        words = " + ".join(problem.task.decode(np.asarray(label))) or "no class"
        if "portions" in batch:
            other = " + ".join(problem.task.decode(np.asarray(batch["other_labels"][i]))) or "no class"
            portion = batch["portions"][i]
            words = f"{portion:.2f} {words}, {1 - portion:.2f} {other}" if portion < 1 else words
        pictures = []
        for name in names:
            inputs = batch["inputs"][name][i]
            if name in batch["masks"]:
                inputs = inputs.reshape(-1, inputs.shape[-1])[batch["masks"][name][i]]
            there = inputs.size > 0  # otherwise the example has no such stream: a white square
            pictures.append(
                np.asarray(problem.modalities[name].shown(inputs, SIDE))
                if there
                else np.full((SIDE, SIDE, 3), 255, np.uint8)
            )
        yield words, pictures
