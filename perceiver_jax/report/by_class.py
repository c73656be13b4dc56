"""The metrics of a split class by class: a table for other programs, and a picture of bars, the best class first."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Num

from perceiver_jax.errors import printable
from perceiver_jax.report import figures
from perceiver_jax.system.disk import write_atomically

DPI = 120
MOST_ROWS = 90  # classes below each other: of more, some are beside them
ROW, LEAST_ROW, FEW = 0.26, 0.135, 30  # inches: of each class of at most FEW, of each of many
NAME, LETTER, HEADING = 6.5, 9.0, 11.0  # font sizes in points, of many classes and of few; of the title
LONGEST_NAME = 34  # characters, beyond which a name is cut
CHARACTER, BOLD = 0.6, 0.7  # the width of one, of the font size
BAR, NUMBERS = 1.5, 0.75  # inches: of the longest bar, and for the numbers beside it
TITLE, BELOW, MARGIN = 0.75, 0.3, 0.15  # inches
INK, PALE, GRID, COLOUR = "#333333", "#8a8a8a", "#e4e4e4", "#3b75af"


def write_table(columns: Mapping[str, Num[np.ndarray, " Y"]], classes: Sequence[str], output_csv: Path) -> None:
    """Writes a CSV file with a line for each class in order of the labels; what is NaN is left empty.

    Raises OSError where it cannot be written.
    """
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["class", *columns])
    for name, *values in zip(classes, *(column.tolist() for column in columns.values()), strict=True):
        table.writerow([name, *("" if math.isnan(value) else value for value in values)])
    write_atomically(output_csv, text.getvalue().encode())


def draw_by_class(
    values: Float[np.ndarray, " Y"],
    examples: Int[np.ndarray, " Y"],
    classes: Sequence[str],
    output_png: Path,
    title: str,
) -> None:
    """Writes the picture of a metric of each class, from 0 to 1, as bars with their percentages and numbers of examples.

    The best class stands first, on top of the next ones; those without a value come last, without a bar. A line marks the
    mean. Raises OSError where the picture cannot be written.
    """
    from matplotlib.figure import Figure

    order = np.lexsort((np.arange(len(values)), -np.nan_to_num(values, nan=-1)))  # of equal ones the first
    columns = math.ceil(len(order) / MOST_ROWS)
    rows = math.ceil(len(order) / columns)
    names = [printable(name, LONGEST_NAME) for name in classes]
    row, letter = (ROW, LETTER) if len(order) <= FEW else (LEAST_ROW, NAME)
    left = max(map(len, names)) * letter * CHARACTER / 72 + MARGIN
    width = left + BAR + NUMBERS
    heading = max(map(len, title.splitlines())) * HEADING * BOLD / 72 + 2 * MARGIN
    size = max(columns * width + MARGIN, heading), TITLE + rows * row + BELOW
    figure = Figure(figsize=size, dpi=DPI, facecolor="white")
    mean = np.nanmean(values) if np.isfinite(values).any() else math.nan
    for i in range(columns):
        place = ((i * width + left) / size[0], BELOW / size[1], BAR / size[0], rows * row / size[1])
        axes = figure.add_axes(place)
        shown = order[i * rows : (i + 1) * rows]
        _draw_bars(axes, values[shown], examples[shown], [names[k] for k in shown], letter)
        axes.axvline(mean, color=INK, lw=0.8, ls=":")
        axes.set_ylim(rows - 0.5, -0.5)
    at = {"x": MARGIN / size[0], "y": 1 - 0.12 / size[1], "ha": "left", "va": "top"}
    figure.text(s=title, fontsize=HEADING, fontweight="bold", color=INK, parse_math=False, **at)
    legend = {"x": MARGIN / size[0], "y": 1 - 0.5 / size[1], "ha": "left", "va": "top"}
    figure.text(s="% (examples); dotted: the mean", fontsize=NAME + 1, color=PALE, **legend)
    figures.write(figure, output_png)


def _draw_bars(
    axes: Any, values: Float[np.ndarray, " rows"], examples: Int[np.ndarray, " rows"], names: Sequence[str], letter: float
) -> None:
    """Draws one column of classes."""
    places = np.arange(len(values))
    axes.barh(places, np.nan_to_num(values), color=COLOUR, height=0.72)
    axes.set_yticks([])
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.5, 1], ["0", "50 %", "100 %"], fontsize=7)
    axes.grid(True, axis="x", color=GRID, lw=0.7)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    axes.tick_params(colors=INK, length=0)
    look = {"va": "center", "parse_math": False}
    for place, name, value, count in zip(places, names, values, examples.tolist(), strict=True):
        axes.text(-0.03, place, name, fontsize=letter, color=INK, ha="right", **look)
        text, colour = ("no example", PALE) if math.isnan(value) else (f"{100 * value:.1f}  ({count:,})", INK)
        axes.text(1.03, place, text, fontsize=letter - 0.5, color=colour, **look)
