"""What scores of runs depend on, as pictures: lines along one setting, a grid of two, parallel coordinates of more."""

import dataclasses
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from perceiver_jax.report import figures
from perceiver_jax.report.curves import EVALUATION_COLOURS, GRID, INK

LOG_FROM = 8  # times the smallest value: where equal steps of a setting are factors
ASIDE = 0.16  # between the marks of two splits at one word
WORDS = 14  # characters of a value at a tick
Place = tuple[int, ...]  # along each axis, the number of a value


@dataclasses.dataclass(frozen=True)
class Axis:
    """A setting that runs differ in, and its values in their order."""

    name: str
    values: tuple[Any, ...]
    with_it: tuple[str, ...] = ()  # settings that change wherever it does

    @property
    def is_number(self) -> bool:
        """Whether all values are numbers."""
        return all(isinstance(value, int | float) and not isinstance(value, bool) for value in self.values)

    @property
    def texts(self) -> list[str]:
        """The values in words."""
        return list(map(text_of, self.values))

    @property
    def label(self) -> str:
        """Its name without the sections that it is in, and those of what changes with it; of a kind what it is a kind of."""
        return ", ".join(map(_spoken, (self.name, *self.with_it)))

    @property
    def is_log(self) -> bool:
        """Whether its values are best seen on a logarithmic scale."""
        return self.is_number and min(self.values) > 0 and max(self.values) >= LOG_FROM * min(self.values)


def _spoken(name: str) -> str:
    *sections, leaf = name.split(".")
    return " ".join([*(sections[-1:] if leaf == "kind" else []), leaf]).replace("_", " ")


def text_of(value: Any) -> str:
    """A value in words; of a section its kind."""
    if isinstance(value, Mapping) and "kind" in value:
        return str(value["kind"])
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return " x ".join(map(text_of, value)) or "none"
    return json.dumps(value) if isinstance(value, Mapping) else str(value)


def mean_and_spread(scores: Sequence[float]) -> tuple[float, float]:
    """The mean of scores and their standard deviation, as of a sample; nan where there are too few or one is not finite."""
    if not scores or not all(map(math.isfinite, scores)):
        return math.nan, math.nan
    return statistics.fmean(scores), statistics.stdev(scores) if len(scores) > 1 else math.nan


def draw_lines(
    panels: Sequence[tuple[Axis, Mapping[str, Sequence[Sequence[float]]]]], output_png: Path, title: str, metric: str
) -> None:
    """Writes a panel for each axis: along it the mean of each split's scores, their spread, and every run as a dot.

    A panel has, by split, the scores at each value of its axis. Raises OSError where the picture cannot be written.
    """
    from matplotlib.figure import Figure

    columns = min(3, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = Figure(figsize=(max(4.6, 4.2 * columns), 3.3 * rows + 0.4), dpi=120, facecolor="white", layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold", color=INK, parse_math=False)
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for axes in grid.flat[len(panels) :]:
        axes.remove()
    for number, (axis, by_split) in enumerate(panels):
        axes = grid.flat[number]
        x = list(map(float, axis.values if axis.is_number else range(len(axis.values))))
        for place, (split, scores) in enumerate(by_split.items()):
            colour = EVALUATION_COLOURS[place % len(EVALUATION_COLOURS)]
            if axis.is_number:
                _line(axes, x, scores, colour, split)
            else:  # there is nothing between two words
                aside = ASIDE * (place - (len(by_split) - 1) / 2)
                _marks(axes, [at + aside for at in x], scores, colour, split)
        _scale(axes, axis, x)
        if number % columns == 0:
            axes.set_ylabel(metric if len(by_split) > 1 else f"{next(iter(by_split))} {metric}", fontsize=9, color=INK)
        if len(by_split) > 1 and number == 0:
            axes.legend(frameon=False, fontsize=8, labelcolor=INK)
    figures.write(figure, output_png)


def _line(axes: Any, x: Sequence[float], scores: Sequence[Sequence[float]], colour: str, split: str) -> None:
    means, spreads = zip(*map(mean_and_spread, scores), strict=True)
    low = [mean - spread for mean, spread in zip(means, spreads, strict=True)]
    high = [mean + spread for mean, spread in zip(means, spreads, strict=True)]
    axes.plot(x, means, color=colour, lw=1.5, marker="o", ms=4, label=split, zorder=3)
    axes.fill_between(x, low, high, color=colour, alpha=0.15, lw=0, zorder=1)
    _dots(axes, x, scores, colour)


def _marks(axes: Any, x: Sequence[float], scores: Sequence[Sequence[float]], colour: str, split: str) -> None:
    means, spreads = zip(*map(mean_and_spread, scores), strict=True)
    around = [0 if math.isnan(spread) else spread for spread in spreads]
    axes.errorbar(x, means, around, color=colour, lw=0, elinewidth=1.2, capsize=3, marker="o", ms=4, label=split, zorder=3)
    _dots(axes, x, scores, colour)


def _dots(axes: Any, x: Sequence[float], scores: Sequence[Sequence[float]], colour: str) -> None:
    """Every run of several at a place."""
    dots = [(at, score) for at, ones in zip(x, scores, strict=True) for score in ones if len(ones) > 1]
    if dots:
        axes.scatter(*zip(*dots, strict=True), s=8, color=colour, alpha=0.5, lw=0, zorder=2)


def _scale(axes: Any, axis: Axis, x: Sequence[float]) -> None:
    """Ticks at the values."""
    axes.set_title(axis.label, loc="left", fontsize=9, color=INK, parse_math=False)
    if axis.is_log:
        axes.set_xscale("log")
        axes.minorticks_off()
    turned = sum(len(_short(text)) for text in axis.texts) > 30
    look = {"rotation": 30, "ha": "right"} if turned else {}
    axes.set_xticks(x, list(map(_short, axis.texts)), fontsize=8, parse_math=False, **look)
    if not axis.is_number:
        axes.set_xlim(-0.5, len(x) - 0.5)
    axes.grid(True, color=GRID, lw=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8, colors=INK)


def draw_grid(x: Axis, y: Axis, scores: Mapping[Place, Sequence[float]], output_png: Path, title: str, metric: str) -> None:
    """Writes a grid of two axes: in each cell the mean of its scores and their spread; a cell without runs is left blank.

    Raises OSError where the picture cannot be written.
    """
    import numpy as np
    from matplotlib.figure import Figure

    cells = np.full((len(y.values), len(x.values)), np.nan)
    for (column, row), ones in scores.items():
        cells[row, column] = mean_and_spread(ones)[0]
    size = (max(4.6, 1.6 + 0.95 * len(x.values)), max(2.6, 1.5 + 0.55 * len(y.values)))
    figure = Figure(figsize=size, dpi=120, facecolor="white", layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold", color=INK, parse_math=False)
    axes = figure.add_subplot()
    image = axes.imshow(cells, cmap="viridis", aspect="auto", origin="lower")
    finite = cells[np.isfinite(cells)]
    middle = (finite.min() + finite.max()) / 2 if finite.size else 0.0
    for (column, row), ones in scores.items():
        mean, spread = mean_and_spread(ones)
        words = "not finite" if ones and math.isnan(mean) else f"{mean:.3f}" if ones else ""
        words += f"\n± {spread:.3f}" if math.isfinite(spread) else ""
        light = math.isfinite(mean) and mean < middle
        axes.text(column, row, words, ha="center", va="center", fontsize=7.5, color="white" if light else INK)
    for axis, set_ticks, set_label in ((x, axes.set_xticks, axes.set_xlabel), (y, axes.set_yticks, axes.set_ylabel)):
        set_ticks(range(len(axis.values)), list(map(_short, axis.texts)), fontsize=8, parse_math=False)
        set_label(axis.label, fontsize=9, color=INK, parse_math=False)
    bar = figure.colorbar(image, ax=axes)
    bar.set_label(metric, fontsize=9, color=INK)
    bar.ax.tick_params(labelsize=8, colors=INK)
    figures.write(figure, output_png)


def draw_parallel(
    axes: Sequence[Axis], scores: Mapping[Place, Sequence[float]], output_png: Path, title: str, metric: str
) -> None:
    """Writes parallel coordinates: an axis for each setting and one for the score, a line for each place, best in front.

    Raises OSError where the picture cannot be written.
    """
    import matplotlib
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

    means = {place: mean_and_spread(ones)[0] for place, ones in scores.items()}
    means = {place: mean for place, mean in means.items() if math.isfinite(mean)}
    low, high = (min(means.values()), max(means.values())) if means else (0.0, 1.0)
    norm, colours = (
        Normalize(low, high if high > low else low + 1e-9),
        matplotlib.colormaps["viridis_r"],
    )  # the best are dark
    figure = Figure(figsize=(1.6 + 1.5 * len(axes), 4.0), dpi=120, facecolor="white", layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold", color=INK, parse_math=False)
    panel = figure.add_subplot()
    for place, mean in sorted(means.items(), key=lambda item: item[1]):
        heights = [_height(axis, number) for axis, number in zip(axes, place, strict=True)] + [float(norm(mean))]
        panel.plot(range(len(heights)), heights, color=colours(norm(mean)), lw=1.4, alpha=0.85)
    behind = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.8}
    look = {"fontsize": 7.5, "va": "center", "color": INK, "bbox": behind}
    for number, axis in enumerate(axes):
        panel.axvline(number, color=INK, lw=0.8)
        for at in _ticks(axis):
            words = _short(axis.texts[at])
            panel.text(number + 0.04, _height(axis, at), words, parse_math=False, **look)
    panel.axvline(len(axes), color=INK, lw=0.8)
    for part in (0, 0.5, 1):
        panel.text(len(axes) + 0.04, part, f"{low + part * (high - low):.3f}", **look)
    labels = [*(axis.label for axis in axes), metric]
    panel.set_xticks(range(len(labels)), labels, fontsize=8, parse_math=False)
    panel.set_xlim(-0.1, len(axes) + 0.45)
    panel.set_ylim(-0.05, 1.05)
    panel.yaxis.set_visible(False)
    panel.spines[:].set_visible(False)
    panel.tick_params(length=0, colors=INK)
    figures.write(figure, output_png)


def _height(axis: Axis, number: int) -> float:
    """Where a value is along its axis, 0 to 1: a number by its size, another by its place in the list."""
    if not axis.is_number:
        return number / max(1, len(axis.values) - 1)
    size = math.log if axis.is_log else float
    low, high = size(min(axis.values)), size(max(axis.values))
    return (size(axis.values[number]) - low) / (high - low) if high > low else 0.5


def _ticks(axis: Axis, most: int = 8) -> list[int]:
    """The numbers of the values that are written at an axis: all, or some of many."""
    count = len(axis.values)
    return list(range(count)) if count <= most else sorted({round(i * (count - 1) / (most - 1)) for i in range(most)})


def _short(text: str) -> str:
    return text if len(text) <= WORDS else f"{text[: WORDS - 1]}…"
