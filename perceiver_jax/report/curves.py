"""The curves of a run as one picture: a small panel for each metric that it logged."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from perceiver_jax.report import figures
from perceiver_jax.report.log import LARGEST_STEP, read_metrics

# Metric: (axis label with unit, factor from the logged number, format of the number beside the last evaluation).
PANELS = {
    "loss": ("loss (nats)", 1, "{:.3f}"),
    "accuracy": ("accuracy (%)", 100, "{:.1f} %"),
    "top5": ("top-5 accuracy (%)", 100, "{:.1f} %"),
    "mean_average_precision": ("mean average precision (%)", 100, "{:.1f} %"),
    "learning_rate": ("learning rate", 1, "{:.2g}"),
    "examples_per_second": ("examples per second", 1, "{:.0f}"),
    "data_wait_fraction": ("waiting for data (% of time)", 100, "{:.1f} %"),
}
TRAIN_COLOUR = "#7a8ca3"
EVALUATION_COLOURS = ("#c8501e", "#2a7f62", "#7b4ba0")  # of the other splits, by name
INK, GRID = "#333333", "#e4e4e4"
TRAINING_ALONE = ("examples_per_second", "data_wait_fraction")
NOT_DRAWN = {"step", "split", "seconds", "steps_per_second"}  # the last is examples_per_second over the batch size
FRACTIONS = ("accuracy", "precision", "fraction")  # how the names of other metrics from 0 to 1 end
LEAST_TOP = {"data_wait_fraction": 10}  # of the axis: less waiting than this is not worth showing
LOG_SCALE_FROM = 50  # times the smallest value: where a linear axis would hide the end of the curve

# In inches: a panel with what is around its axes, and the strip for the title.
PANEL, LEFT, RIGHT, ABOVE, BELOW, TITLE = (5.4, 2.7), 0.6, 0.65, 0.25, 0.45, 0.5

Series = tuple[Int[np.ndarray, " S"], Float[np.ndarray, " S"]]


def draw_curves(metrics_path: str | Path, output_png: str | Path, title: str) -> tuple[str, ...]:
    """The metrics that got a panel, having written the picture of them; without any there is no picture.

    Raises Failure(WORKDIR) where there is no file of metrics, OSError where the picture cannot be written.
    """
    panels = series(read_metrics(metrics_path))
    if not panels:
        return ()
    from matplotlib.figure import Figure

    rows = math.ceil(len(panels) / 2)
    columns = min(2, len(panels))
    width, height = PANEL[0] * columns, TITLE + PANEL[1] * rows
    figure = Figure(figsize=(width, height), dpi=120, facecolor="white")
    figure.subplots_adjust(  # by hand: a layout engine draws everything twice
        left=LEFT / width,
        right=1 - RIGHT / width,
        bottom=BELOW / height,
        top=1 - (TITLE + ABOVE) / height,
        wspace=(LEFT + RIGHT) / (PANEL[0] - LEFT - RIGHT),
        hspace=(ABOVE + BELOW) / (PANEL[1] - ABOVE - BELOW),
    )
    title_at = {"x": 0.1 / width, "y": 1 - 0.15 / height, "ha": "left", "va": "top"}
    figure.text(s=title, fontsize=11, fontweight="bold", color=INK, parse_math=False, **title_at)
    for i, (metric, splits) in enumerate(panels.items()):
        axes = figure.add_subplot(rows, columns, i + 1)
        _draw_panel(axes, metric, splits)
        if i + columns >= len(panels):
            axes.set_xlabel("step", fontsize=9, color=INK)
    figures.write(figure, output_png)
    return tuple(panels)


def series(records: Iterable[Mapping[str, Any]], others: bool = False) -> dict[str, dict[str, Series]]:
    """For each metric of `PANELS` that was logged, for each split, training first: the steps and the values.

    With `others` also for every other number that was logged, by name, after those.
    """
    found: dict[str, dict[str, tuple[list, list]]] = {name: {} for name in PANELS}
    for record in records:
        step, split = record["step"], record["split"]
        for name, value in record.items():
            if (name in PANELS or (others and name not in NOT_DRAWN)) and _is_drawn(name, split, value):
                steps, values = found.setdefault(name, {}).setdefault(split, ([], []))
                steps.append(step)
                values.append(value if isinstance(value, float) or abs(value) < LARGEST_STEP else math.inf)
    names = [*PANELS, *sorted(found.keys() - PANELS.keys())]
    first = lambda split: (split != "train", split)  # noqa: E731
    return {
        name: {split: _arrays(*found[name][split]) for split in sorted(found[name], key=first)}
        for name in names
        if found[name]
    }


def panel(metric: str) -> tuple[str, int, str]:
    """What `PANELS` says of a metric, and the like for every other."""
    if metric in PANELS:
        return PANELS[metric]
    words = metric.replace("_", " ")
    return (f"{words} (%)", 100, "{:.1f} %") if metric.endswith(FRACTIONS) else (words, 1, "{:.4g}")


def shown(metric: str, value: int | float) -> str:
    """A value of a metric as people read it."""
    _, factor, number = panel(metric)
    return number.format(value * factor)


def _is_drawn(metric: str, split: str, value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and (split == "train" or metric not in TRAINING_ALONE)


def _arrays(steps: list, values: list) -> Series:
    return np.array(steps), np.array(values, float)


def _draw_panel(axes: Any, metric: str, splits: Mapping[str, Series]) -> None:
    from matplotlib.ticker import EngFormatter, MaxNLocator

    label, factor, number = PANELS[metric]
    evaluations = [split for split in splits if split != "train"]
    for split, (steps, values) in splits.items():
        finite = np.isfinite(values)
        shown = np.where(finite, values * factor, np.nan)
        if split == "train":
            axes.plot(steps, shown, color=TRAIN_COLOUR, lw=1.1, label=split, zorder=2)
        else:
            colour = EVALUATION_COLOURS[evaluations.index(split) % len(EVALUATION_COLOURS)]
            axes.plot(steps, shown, color=colour, lw=1.4, marker="o", ms=3.5, label=split, zorder=3)
            if finite[-1]:
                at = {"xytext": (7, 0), "textcoords": "offset points", "va": "center", "annotation_clip": False}
                axes.annotate(number.format(shown[-1]), (steps[-1], shown[-1]), fontsize=9, color=colour, **at)
        if not finite.all():
            axes.axvline(steps[~finite][0], color="#b00020", lw=1, ls=":", label=f"{split} not finite")
    values = np.concatenate([v[np.isfinite(v)] for _, v in splits.values()])
    if metric == "loss" and values.size and values.min() > 0 and values.max() > LOG_SCALE_FROM * values.min():
        axes.set_yscale("log")
        label += ", log scale"
    elif metric != "loss":
        axes.set_ylim(0, max(axes.get_ylim()[1], LEAST_TOP.get(metric, 0)))
    axes.set_xlim(left=0)
    axes.set_title(label, loc="left", fontsize=9, color=INK)
    axes.grid(True, color=GRID, lw=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8, colors=INK)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    if axes.get_legend_handles_labels()[1] != ["train"]:
        look = {"frameon": False, "fontsize": 8, "labelcolor": INK, "borderaxespad": 0.1}
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=4, **look)
