"""What a run says of a long recording, part after part."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from perceiver_jax.errors import Code, Failure
from perceiver_jax.readers import named
from perceiver_jax.runs.load import Given, TrainedRun


class Timeline(NamedTuple):
    """A recording that has been opened, and when its parts begin, in seconds."""

    opened: dict[str, tuple[Any, str]]
    length: float  # seconds
    starts: list[float]


def seconds_of(run: TrainedRun) -> float:
    """The length of the part that a run is given; raises Failure(CONFIG) for a run that is not of recordings."""
    lengths = [modality.seconds for modality in run.problem.modalities.values()]
    if None in lengths:
        streams = ", ".join(run.problem.modalities)
        raise Failure(Code.CONFIG, f"--every: the run's streams are {streams}", expected="sound or film, which have times")
    return max(lengths)


def starts(length: float, part: float, every: float) -> list[float]:
    """When the parts of a recording begin, one in each `every` seconds; all in seconds.

    The last one ends where the recording does; of a recording that is shorter than a part there is one.
    """
    last = max(0.0, length - part)
    found = [number * every for number in range(int(last / every + 1e-6) + 1)]
    return found if last - found[-1] < 1e-3 else [*found, last]


def timeline(run: TrainedRun, given: Given, every: float) -> Timeline:
    """The parts of a recording; raises Failure(DATA), naming the file, where it cannot be read."""
    opened, lengths = run.opened(given), []
    for recording, name in opened.values():
        with named("recording", name):
            lengths.append(recording.seconds)
    return Timeline(opened, max(lengths), starts(max(lengths), seconds_of(run), every))


def scores(run: TrainedRun, parts: Timeline) -> Iterator[tuple[float, Float[np.ndarray, " Y"]]]:
    """The second at which each part begins, and the probability of each class in that part alone; raises as `timeline`."""
    room, name = parts.length - seconds_of(run), ", ".join(dict.fromkeys(name for _, name in parts.opened.values()))
    for start in parts.starts:
        moment = min(1.0, start / room) if room > 0 else 0.0
        yield start, run.scores_of([run.inputs_at(parts.opened, moment)], name)
