"""Which classes are confused with which, as one picture: a row for each true class, a column for each prediction."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Num

from perceiver_jax.report import figures

DPI = 120
MOST_NAMED = 60  # classes: names of more would be too small to read
LONGEST_NAME = 32  # characters, beyond which a name is cut
LARGEST_CELL, NAMED_CELL = 0.5, 0.2  # inches: of classes between few and many; at least, with names
LEAST_SIDE, SIDE = 3.5, 8.0  # inches: of the matrix of few classes and of many, where their names allow it
NAME, NUMBER, LEAST_NUMBER = 9.0, 9.0, 5.0  # font sizes in points
CHARACTER = 0.62  # its width, of the font size
INK, GRID, ABSENT = "#333333", "#e4e4e4", "#eeeeee"
COLOURS = "Blues"
GAMMA, UNNAMED_GAMMA = 0.5, 0.3  # below 1, so that a class confused with another once in fifty times is seen, even as a dot
WHITE_FROM = 0.4  # the share of its row from which a cell is so dark that its number is white
SHARES = (0, 0.02, 0.1, 0.25, 0.5, 1)  # on the scale of the colours


def draw_confusion(confusion: Num[np.ndarray, "Y Y"], classes: Sequence[str], output_png: str | Path, title: str) -> None:
    """Writes the picture of how many examples of each class (rows) got each prediction (columns), in order of the labels.

    A cell's colour is its share of its row, grey where a class has no example; its number, the count, is there where
    it can be read. Raises OSError where the picture cannot be written.
    """
    from matplotlib.colors import PowerNorm
    from matplotlib.figure import Figure

    named = len(classes) <= MOST_NAMED
    least = NAMED_CELL if named else 1 / DPI  # unnamed: a pixel
    cell = max(LEAST_SIDE / len(classes), min(LARGEST_CELL, max(SIDE / len(classes), least)))
    side = cell * len(classes)
    figure = Figure(figsize=(side, side), dpi=DPI, facecolor="white")  # the matrix alone; what is around it is added
    axes = figure.add_axes((0, 0, 1, 1))
    norm = PowerNorm(GAMMA if named else UNNAMED_GAMMA, 0, 1)
    image = axes.imshow(row_shares(confusion), cmap=_colours(), norm=norm, interpolation="nearest")
    if named:
        _write_names(axes, classes, cell)
        _write_counts(axes, confusion, cell)
    _draw_scale(figure, image, side)
    axes.set_xlabel("answer", fontsize=10, color=INK)
    axes.set_ylabel("true class", fontsize=10, color=INK)
    axes.tick_params(colors=INK, length=0 if named else 3)
    axes.spines[:].set_color(GRID)
    heading = axes.set_title(title, loc="left", fontsize=11, fontweight="bold", color=INK, pad=10)
    heading.set_parse_math(False)
    figures.write(figure, output_png, bbox_inches="tight", pad_inches=0.15)


def row_shares(confusion: Num[np.ndarray, "Y Y"]) -> Float[np.ndarray, "Y Y"]:
    """Each cell as a share of its row; NaN in the rows of classes without an example."""
    examples = confusion.sum(axis=1, keepdims=True, dtype=np.float64)
    return np.divide(confusion, examples, out=np.full(confusion.shape, np.nan), where=examples > 0)


def number_size(confusion: Num[np.ndarray, "Y Y"], cell: float) -> float:
    """The font size, in points, in which the largest count fits a cell of this many inches."""
    digits = len(str(int(confusion.max())))
    return min(NUMBER, 72 * cell * 0.6, 72 * cell * 0.9 / (CHARACTER * digits))


def _colours() -> Any:
    import matplotlib as mpl

    return mpl.colormaps[COLOURS].with_extremes(bad=ABSENT)


def _write_names(axes: Any, classes: Sequence[str], cell: float) -> None:
    names = [name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 3] + "..." for name in classes]
    size = min(NAME, 72 * cell * 0.7)
    upright = max(map(len, names)) * size * CHARACTER > 72 * cell * 0.9  # they would run into each other
    axes.set_xticks(range(len(names)), names, fontsize=size, rotation=90 if upright else 0)
    axes.set_yticks(range(len(names)), names, fontsize=size)
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_parse_math(False)
    between = np.arange(len(names) - 1) + 0.5
    axes.hlines(between, -0.5, len(names) - 0.5, color=GRID, lw=0.5)
    axes.vlines(between, -0.5, len(names) - 0.5, color=GRID, lw=0.5)


def _write_counts(axes: Any, confusion: Num[np.ndarray, "Y Y"], cell: float) -> None:
    size = number_size(confusion, cell)
    if size < LEAST_NUMBER:
        return
    dark = row_shares(confusion) >= WHITE_FROM
    for row, column in np.argwhere(confusion > 0):
        look = {"color": "white" if dark[row, column] else INK, "fontsize": size, "ha": "center", "va": "center"}
        axes.text(column, row, f"{confusion[row, column]:.0f}", **look)


def _draw_scale(figure: Any, image: Any, side: float) -> None:
    """Draws beside a matrix of this many inches what its colours mean."""
    bar = figure.colorbar(image, cax=figure.add_axes((1 + 0.15 / side, 0, 0.12 / side, 1)))
    bar.set_ticks(SHARES, labels=[f"{100 * share:.0f} %" for share in SHARES], fontsize=8, color=INK)
    bar.ax.tick_params(length=2, color=INK)
    bar.set_label("share of the true class", fontsize=9, color=INK)
    bar.outline.set_edgecolor(GRID)
