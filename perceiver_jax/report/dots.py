"""Scores of several rows as one picture: a dot for each run, a bar at the mean."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from perceiver_jax.report import figures
from perceiver_jax.report.curves import EVALUATION_COLOURS, GRID, INK, TRAIN_COLOUR

BAR = 0.22  # half the height of a mean's bar, in rows


def draw_dots(rows: Mapping[str, Mapping[str, Sequence[float]]], output_png: Path, label: str) -> None:
    """Writes the scores of each row by the name of their column, the first row on top, with `label` at the axis.

    Raises OSError where the picture cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 0.8 + 0.32 * len(rows)), dpi=120, facecolor="white", layout="constrained")
    axes = figure.add_subplot()
    columns = list(dict.fromkeys(column for by_column in rows.values() for column in by_column))
    others = iter(EVALUATION_COLOURS)
    colours = {column: TRAIN_COLOUR if column == "train" else next(others) for column in columns}
    named = set()
    for height, by_column in enumerate(rows.values()):
        for column, scores in by_column.items():
            if not scores:
                continue
            name = None if column in named else column
            named.add(column)
            mean, colour = statistics.fmean(scores), colours[column]
            axes.plot([mean, mean], [height - BAR, height + BAR], color=colour, lw=2, solid_capstyle="butt", zorder=2)
            axes.scatter(scores, [height] * len(scores), s=22, color=colour, alpha=0.6, lw=0, label=name, zorder=3)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks(range(len(rows)), list(rows), fontsize=8, parse_math=False)
    axes.set_xlabel(label, fontsize=9, color=INK, parse_math=False)
    axes.grid(True, color=GRID, lw=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8, colors=INK)
    if len(columns) > 1:
        axes.legend(frameon=False, fontsize=8, labelcolor=INK, loc="center left", bbox_to_anchor=(1.0, 0.5))
    figures.write(figure, output_png)
