"""Scores of classes over the time of a recording, as a picture."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from perceiver_jax.errors import printable
from perceiver_jax.report import figures

MOST = 8  # classes that have a line: those whose highest score is the highest
WIDTH, HEIGHT, DPI = 11, 4, 100  # inches, and dots of each
LETTERS = 40  # of a class's name
INK, GRID = "#333333", "#e4e4e4"


def draw_timeline(
    times: Float[np.ndarray, " parts"],
    scores: Float[np.ndarray, "parts Y"],
    classes: Sequence[str],
    part: float,
    output_png: Path,
    title: str,
) -> None:
    """Writes a picture with a line for each of the likeliest classes; a score stands at the middle of its `part` seconds.

    Raises OSError where it cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, HEIGHT), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    chosen = np.argsort(-scores.max(axis=0), kind="stable")[:MOST]
    for label in chosen:
        marker = "o" if len(times) < WIDTH * 4 else None
        name = printable(classes[label], LETTERS)
        axes.plot(times + part / 2, scores[:, label], label=name, marker=marker, markersize=3, linewidth=1.4)
    axes.set(xlim=(0, times[-1] + part), ylim=(0, 1.02), xlabel="time (s)", ylabel="probability")
    axes.set_title(title, fontsize=11, color=INK, parse_math=False, loc="left")
    axes.grid(color=GRID)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    legend = figure.legend(loc="outside right upper", frameon=False, fontsize=9)
    for text in legend.get_texts():
        text.set_parse_math(False)
    figures.write(figure, output_png)
