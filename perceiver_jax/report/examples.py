"""Examples as the model sees them, with their labels: what a run is trained on, at a glance."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from perceiver_jax.errors import printable
from perceiver_jax.report import figures

SIDE = 150  # pixels of each stream's picture
COLUMNS, ROWS = 8, 4  # pictures beside and below each other
GAP, WORDS, MARGIN = 10, 18, 14  # pixels: between examples, of a line of words, around the whole
DPI, LETTER = 100, 8  # font size in points
LETTERS = 26  # that fit above a picture
PAPER, INK = 255, "#333333"

Picture = UInt8[np.ndarray, "side side 3"]


def most(num_streams: int) -> int:
    """How many examples fit."""
    return ROWS * _columns(num_streams)


def draw_examples(examples: Sequence[tuple[str, Sequence[Picture]]], output_png: Path, title: str) -> None:
    """Writes a picture of examples, each its words and a picture of every stream, at most as many as fit.

    Raises OSError where it cannot be written.
    """
    from matplotlib.figure import Figure

    streams = len(examples[0][1])
    columns = min(len(examples), _columns(streams))
    cell = streams * SIDE + GAP
    top, rows = MARGIN + 2 * WORDS, math.ceil(len(examples) / columns)
    width, height = 2 * MARGIN + columns * cell - GAP, top + rows * (WORDS + SIDE + GAP) + MARGIN - GAP
    pixels = np.full((height, width, 3), PAPER, np.uint8)
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    figure.text(MARGIN / width, 1 - (MARGIN + WORDS / 2) / height, title, fontsize=LETTER + 2, color=INK, parse_math=False)
    for i, (words, pictures) in enumerate(examples):
        y, x = top + i // columns * (WORDS + SIDE + GAP), MARGIN + i % columns * cell
        shown = printable(words, LETTERS * streams)
        figure.text(x / width, 1 - (y + WORDS - 5) / height, shown, fontsize=LETTER, color=INK, parse_math=False)
        pixels[y + WORDS : y + WORDS + SIDE, x : x + streams * SIDE] = np.concatenate(pictures, axis=1)
    figure.figimage(pixels, resize=False)
    figures.write(figure, output_png)


def _columns(num_streams: int) -> int:
    return max(1, COLUMNS // num_streams)
