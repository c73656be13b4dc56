"""Which of a run's evaluations represent it: that at the end, and those of the steps that one split or the other prefers."""

from collections.abc import Iterable, Mapping
from typing import Any

Records = Mapping[tuple[int, str], Mapping[str, float]]  # the metrics of a run, by (step, split)


def best_evaluations(records: Records, metric: str) -> dict[str, dict[str, Any]]:
    """What result.json says of the steps that are best by a metric.

    Of each {"step": its number, split: the metrics of that split then, ...}.

    `best_by_validation`, where there is a validation split, is honest: test examples do not affect it.
    `best_by_test` is how table 4 of the paper was selected; a run of a single evaluation had nothing to select.
    """
    found = {}
    for split, least in (("validation", 1), ("test", 2)):
        scores = {step: numbers[metric] for (step, of), numbers in records.items() if of == split}
        if len(scores) >= least:
            best = min(scores, key=lambda step: (-scores[step], step))  # the earliest of equal ones
            evaluated = {of: dict(numbers) for (step, of), numbers in records.items() if step == best and of != "train"}
            found[f"best_by_{split}"] = {"step": best, **evaluated}
    return found


def reported_split(splits: Iterable[str]) -> str:
    """The split whose score is reported for a run: test where it was evaluated."""
    evaluated = [split for split in splits if split != "train"]
    return "test" if "test" in evaluated else evaluated[0]
