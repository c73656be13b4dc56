"""The rows of a study, filled: what is counted, what the runs below a directory came to, and what is missing."""

import dataclasses
import math
import re
import statistics
from collections.abc import Callable, Mapping, Sequence

from experiments.reproduction.costs import Cost
from experiments.reproduction.points import Made
from experiments.reproduction.survey import Finished, Survey
from experiments.tables import Row, Study
from perceiver_jax import tasks
from perceiver_jax.members import member

UNITS = {"M": 1e6, "B": 1e9}  # of the paper's counts


@dataclasses.dataclass(frozen=True)
class Filled:
    """A row with all that is known of it."""

    row: Row
    made: Made | None = None
    cost: Cost | None = None
    runs: tuple[Finished, ...] = ()  # a seed each, whose score is a number
    scores: tuple[float, ...] = ()  # percent, of those runs, at their last step
    best_scores: tuple[float, ...] = ()  # percent, at the step that is best on the test split, where the paper has that
    begun: tuple[str, ...] = ()  # runs that have not come to their end, in words
    missing: tuple[int, ...] = ()  # seeds of which there is no finished run

    @property
    def checks(self) -> dict[str, bool]:
        """Whether what is counted is what the paper prints, of those counts that it prints."""
        counted = {} if self.cost is None else {"parameters": self.cost.parameters, "flops": self.cost.flops}
        printed = {name: getattr(self.row, name) for name in counted}
        return {name: agrees(counted[name], text) for name, text in printed.items() if text}

    @property
    def num_of_other_code(self) -> int:
        """How many of the runs another version of the package trained, or one that is not known."""
        return sum(run.is_of_other_code for run in self.runs)

    def share(self, split: str) -> tuple[int, int | None] | None:
        """The examples of a split of the runs' data, and how many there are as published, where that is known."""
        if not self.runs:
            return None
        published = None if self.made.problem is None else self.made.problem.num_examples[split]
        return self.runs[0].problem.num_examples[split], published

    @property
    def epochs(self) -> float | None:
        """How often the runs saw each of their training examples."""
        return self.runs[0].examples / self.runs[0].problem.num_examples["train"] if self.runs else None

    @property
    def seconds(self) -> float | None:
        """How long a run took, on whatever machine it was."""
        known = [run.seconds for run in self.runs if run.seconds is not None]
        return statistics.fmean(known) if known else None


def mean(scores: Sequence[float]) -> float | None:
    """The mean of some scores; None where there is none."""
    return statistics.fmean(scores) if scores else None


def spread(scores: Sequence[float]) -> float | None:
    """The standard deviation of two scores or more."""
    return statistics.stdev(scores) if len(scores) > 1 else None


def agrees(count: int, printed: str) -> bool:
    """Whether a count rounds to what the paper prints, as 44.9M or 707.2B."""
    number, unit = re.fullmatch(r"(\d+(?:\.\d+)?)([MB])", printed).groups()
    digits = len(number.partition(".")[2])
    return f"{count / UNITS[unit]:.{digits}f}" == number


def fill(
    study: Study, points: Mapping[str, Made], costs: Mapping[str, Cost | None], found: Survey, note: Callable[[str], None]
) -> list[Filled]:
    """The rows of a study. `points` and `costs` are by the points' `name`; scores that are no numbers go to `note`."""
    filled = []
    for row in study.rows:
        if row.point is None:
            filled.append(Filled(row))
            continue
        made = points[row.point.name]
        metric = member(tasks, made.config.task.kind, "task.kind").headline
        runs = [run for run in found.finished[made.key] if _is_number(run, row.split, metric, note)]
        best = [run.best_by_test for run in runs if run.best_by_test is not None] if study.best_by_test else []
        for run in runs if study.best_by_test else ():
            if run.best_by_test is None:
                note(f"note: {run.path} has no number as its best of the test split, and no part in that mean")
        seeds = {run.seed for run in runs}
        filled.append(
            Filled(
                row,
                made,
                costs[row.point.name],
                runs=tuple(runs),
                scores=tuple(100 * run.metrics[row.split][metric] for run in runs),
                best_scores=tuple(100 * score for score in best),
                begun=tuple(words for seed, words in found.begun[made.key] if seed not in seeds),
                missing=tuple(seed for seed in study.seeds if seed not in seeds),
            )
        )
    return filled


def _is_number(run: Finished, split: str, metric: str, note: Callable[[str], None]) -> bool:
    """Whether a run has a finite score."""
    score = run.metrics[split][metric] if split in run.metrics and metric in run.metrics[split] else None
    if isinstance(score, int | float) and math.isfinite(score):
        return True
    note(f"note: left out {run.path}: its {metric} of split {split} is {'absent' if score is None else score}")
    return False
