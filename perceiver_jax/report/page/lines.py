"""The lines of a page's curves: every number that was logged, thinned where there are more than a screen can show."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from perceiver_jax.report.curves import LOG_SCALE_FROM, PANELS, Series, panel, series
from perceiver_jax.report.log import Log

MOST_POINTS = 2000  # of a line: more than a screen has columns
LEAST_POINTS = 100  # of a line, however many there are
ALL_POINTS = 100_000  # of a page's lines together: about 2 MB
DIGITS = 6  # of a number in the page


class Panels(NamedTuple):
    """The curves of a page, and how many of the logged points they show."""

    panels: list[dict[str, Any]]  # what page.js draws
    shown: int
    logged: int
    most: int  # points of a line


def panels(logs: Mapping[str, Log]) -> Panels:
    """A panel for each metric that a run of these names has logged, with a line for each run and split."""
    every = {name: series(log.records, others=True) for name, log in logs.items()}
    metrics = dict.fromkeys(metric for of_run in every.values() for metric in of_run)
    order = [*(name for name in PANELS if name in metrics), *sorted(metrics.keys() - PANELS.keys())]
    lines = [line for of_run in every.values() for splits in of_run.values() for line in splits.values()]
    most = min(MOST_POINTS, max(LEAST_POINTS, ALL_POINTS // max(1, len(lines))))
    made = [_panel(metric, {run: of[metric] for run, of in every.items() if metric in of}, most) for metric in order]
    shown = sum(len(line["x"]) for panel in made for line in panel["lines"])
    return Panels(made, shown, sum(len(steps) for steps, _ in lines), most)


def _panel(metric: str, runs: Mapping[str, Mapping[str, Series]], most: int) -> dict[str, Any]:
    words, factor, _ = panel(metric)
    lines, low, high = [], math.inf, -math.inf
    for run, splits in runs.items():
        for split, (steps, values) in splits.items():
            finite = np.isfinite(values)
            if finite.any():
                low, high = min(low, values[finite].min()), max(high, values[finite].max())
            kept = thinned(values, most)
            lines.append({
                "run": run,
                "split": split,
                "x": steps[kept].tolist(),
                "y": [_number(value) for value in (values[kept] * factor).tolist()],
                "broken": None if finite.all() else int(steps[~finite][0]),
                "logged": len(steps),
            })  # fmt: skip
    log = metric == "loss" and low > 0 and low * LOG_SCALE_FROM < high < math.inf
    return {"metric": metric, "label": words, "log": bool(log), "lines": lines}


def thinned(values: Float[np.ndarray, " S"], most: int) -> Int[np.ndarray, " K"]:
    """The places of the values to show: all of them, or of each stretch the smallest, the largest and the first not finite.

    The first and last are always among them. They are at most `most`, and up to half as many more where many are not finite.
    """
    if len(values) <= most:
        return np.arange(len(values))
    stretches = (most - 2) // 2
    size = math.ceil(len(values) / stretches)
    padded = np.full(stretches * size, np.nan)
    padded[: len(values)] = values
    grid = padded.reshape(stretches, size)
    finite = np.isfinite(grid)
    kept = np.zeros(grid.shape, bool)
    rows = np.arange(stretches)
    some = finite.any(axis=1)
    kept[rows[some], np.where(finite, grid, math.inf).argmin(axis=1)[some]] = True
    kept[rows[some], np.where(finite, grid, -math.inf).argmax(axis=1)[some]] = True
    broken = _broken(finite, len(values))
    kept[rows[broken.any(axis=1)], broken.argmax(axis=1)[broken.any(axis=1)]] = True
    places = kept.ravel()[: len(values)]
    places[[0, -1]] = True
    return np.flatnonzero(places)


def _broken(finite: Bool[np.ndarray, "stretches size"], count: int) -> Bool[np.ndarray, "stretches size"]:
    """Where a value is not finite; what is beyond the values is not one."""
    there = np.arange(finite.size).reshape(finite.shape) < count
    return ~finite & there


def _number(value: float) -> float | None:
    """A value in few digits; None where there is a gap in the line."""
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
