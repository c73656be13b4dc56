"""What a run says of a long recording, part after part."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float

from perceiver_jax.errors import Code, Failure
from perceiver_jax.readers import named
from perceiver_jax.runs.load import Given, TrainedRun


def seconds_of(run: TrainedRun) -> float:
    """The length of the part that a run is given; raises Failure(CONFIG) for a run that is not of recordings."""
    lengths = [modality.seconds for modality in run.problem.modalities.values()]
    if None in lengths:
        streams = ", ".join(run.problem.modalities)
        raise Failure(Code.CONFIG, f"--every: the run's streams are {streams}", expected="sound or film, which have times")
    return max(lengths)


def starts(length: float, part: float, every: float) -> list[float]:
    """When the whole parts of a recording begin, `every` so many seconds; all in seconds. There always is a first one."""
    return [number * every for number in range(int(max(0.0, length - part) / every + 1e-6) + 1)]


def timeline(run: TrainedRun, given: Given, every: float) -> Iterator[tuple[float, Float[np.ndarray, " Y"]]]:
    """The second at which each part of a recording begins, and the probability of each class in that part alone.

    Raises Failure(DATA), naming the file, where it cannot be read.
    """
    opened, part = run.opened(given), seconds_of(run)
    length = _length(opened)
    for start in starts(length, part, every):
        moment = min(1.0, start / (length - part)) if length > part else 0.0
        yield start, run.scores_of([run.inputs_at(opened, moment)], given)


def _length(opened: dict[str, tuple[Any, str]]) -> float:
    lengths = []
    for recording, name in opened.values():
        with named("recording", name):
            lengths.append(recording.seconds)
    return max(lengths)
