"""What a page says of a run, gathered from its workdir by whoever knows how one is read."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from perceiver_jax.report.log import Log

Row = tuple[str, str]  # what a number is, and the number


class Table(NamedTuple):
    """A table of texts and numbers; a cell that is None is empty."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[Any]]


class Scores(NamedTuple):
    """The metrics of one evaluation of a run."""

    of: str  # when in the run
    split: str
    metrics: Mapping[str, float]


class Change(NamedTuple):
    """A setting that is not as in the config file."""

    name: str  # dotted
    before: str  # in the file, as JSON
    after: str  # of the run
    by: str  # what has changed it


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunFacts:
    """All that a page says of one run."""

    name: str  # no other run of the page has it
    path: str
    state: str  # how far it has come, in words
    finished: bool
    headline: Row | None  # its score, where it has been evaluated
    about: Sequence[Row]  # what it is
    log: Log
    scores: Sequence[Scores]
    baselines: Mapping[str, float]  # of simple models, by the headline metric on the test split
    by_class: Sequence[Table]  # of a split each, with the columns "class", "examples" and metrics
    pictures: Sequence[Path]
    changed_from: str  # the config file that `changes` compare with, or why there is none
    changes: Sequence[Change]
    settings: Mapping[str, str]  # the whole config: JSON by dotted name
    costs: Sequence[Row]  # time, rates, sizes
    parts: Sequence[Table]  # time by part of the model, where it has been measured
    checkpoints: Table
    launches: Table
    faults: Sequence[str]  # what the run has survived
    versions: Sequence[Row]
    command: str  # that repeats it
    repeats: str  # what comes of it, in words
    notes: Sequence[str]  # what is missing from the page, and why
