"""Attention maps of a point cloud, drawn after Fig. 3 of the paper: points coloured by their attention logits.

The layout is that of `maps`: on top the cloud itself (grey frame) and one enlarged map of each cross-attend, each with its
colour; below, in frames of the same colours, many small maps of each. The enlarged one is of the latent whose logits have
the largest standard deviation. Each map has its own scale, from its lowest logit (dark violet) to its highest (yellow).

A flat cloud is seen along its thinnest axis; any other as in an isometric drawing, z upwards.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from perceiver_jax.report import maps as layout

SIDE = 112  # pixels of a small map
MARGIN = 0.05  # around a cloud, of the side
DOT, LEAST_DOT = 0.5, 1.8  # diameter, of the distance between points if they filled the picture evenly; in pixels
FLAT = 0.25  # thickness, of the largest extent, below which a cloud is seen from its flat side
COLOUR_MAP = "viridis"
BACKGROUND, FAR, NEAR = 0, 0.35, 1.0  # grey of the paper, and of the farthest and nearest point of the cloud itself

Picture = UInt8[np.ndarray, "_ _ 3"]
ISOMETRIC = np.array([[1, 1, 0], [-1, 1, 2], [1, -1, 1]]) / np.sqrt([[2], [6], [3]])
# Rows: to the right, upwards, towards the eye; by the axis that is thinnest.
ALONG = np.array([[[0, 1, 0], [0, 0, 1], [1, 0, 0]], [[1, 0, 0], [0, 0, 1], [0, -1, 0]], [[1, 0, 0], [0, 1, 0], [0, 0, 1]]])


class View(NamedTuple):
    """A cloud as it is seen."""

    positions: Float[np.ndarray, "M 2"]  # from the left and from the top, 0 to 1
    nearness: Float[np.ndarray, " M"]  # 0 the farthest, 1 the nearest; of a flat cloud all 1


def draw_attention_clouds(
    points: Float[np.ndarray, "M 3"],
    maps: Sequence[tuple[str, Float[np.ndarray, "N M"]]],
    output_png: str | Path,
    latents: Sequence[int] | None = None,
) -> None:
    """Writes the picture of one cloud's maps; `maps` are (title, logits) of the cross-attends in their order.

    `latents` are those shown, None as many as fit. Raises Failure(NUMERICS) for a map with NaN, OSError
    where the picture cannot be written.
    """
    layout.write(compose(points, maps, latents), output_png)


def compose(
    points: Float[np.ndarray, "M 3"],
    maps: Sequence[tuple[str, Float[np.ndarray, "N M"]]],
    latents: Sequence[int] | None = None,
) -> layout.Canvas:
    """The layout, pixel by pixel. Raises Failure(NUMERICS) for a map with NaN."""
    seen = view(points)
    drawing = layout.Drawing(
        example=lambda side: _in_grey(seen, side),
        enlarged=lambda logits, side: dots(seen, _colours(logits[None]), side, 1, 1),
        panel=lambda logits, columns, rows: dots(seen, _colours(logits[: columns * rows]), SIDE, columns, rows),
    )
    return layout.arranged(drawing, maps, latents)


def cloud(points: Float[np.ndarray, "M 3"], side: int) -> UInt8[np.ndarray, "side side 3"]:
    """The cloud itself, in grey: a picture of `side` pixels."""
    return _in_grey(view(points), side)


def _in_grey(seen: "View", side: int) -> Picture:
    greys = np.repeat(FAR + (NEAR - FAR) * seen.nearness[:, None], 3, axis=1)
    return dots(seen, greys[None], side, 1, 1)


def view(points: Float[np.ndarray, "M 3"]) -> View:
    """The cloud from the side that shows most of it."""
    extents = np.ptp(points, axis=0)
    thinnest = int(np.argmin(extents))
    flat = extents[thinnest] < FLAT * extents.max()
    right, up, near = (ALONG[thinnest] if flat else ISOMETRIC) @ np.asarray(points, np.float64).T
    positions = np.stack([right - (right.min() + right.max()) / 2, (up.min() + up.max()) / 2 - up], axis=1)
    positions *= (0.5 - MARGIN) / (np.abs(positions).max() or 1)
    nearness = np.ones_like(near) if flat else (near - near.min()) / (np.ptp(near) or 1)
    return View(positions + 0.5, nearness)


def dots(seen: View, colours: Float[np.ndarray, "tiles M 3"], side: int, columns: int, rows: int) -> Picture:
    """The cloud once for each row of colours, nearer points over farther ones; tiles row by row, white lines between."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    gap, order = layout.gap_of(columns, side), np.argsort(seen.nearness)
    width, height = (count * (side + gap) - gap for count in (columns, rows))
    tiles = np.arange(len(colours))
    corners = np.stack([tiles % columns, tiles // columns], axis=1) * (side + gap)
    positions = (corners[:, None] + side * seen.positions[order]).reshape(-1, 2)
    diameter = max(LEAST_DOT, DOT * side / np.sqrt(len(order)))
    figure = Figure(figsize=(width / layout.DPI, height / layout.DPI), dpi=layout.DPI, facecolor=str(BACKGROUND))
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    size = (diameter * 72 / layout.DPI) ** 2  # in points
    axes.scatter(*positions.T, s=size, c=colours[:, order].reshape(-1, 3), linewidths=0)
    agg = FigureCanvasAgg(figure)
    agg.draw()
    pixels = np.asarray(agg.buffer_rgba())[:height, :width, :3].copy()
    for start in range(side, max(width, height), side + gap):
        pixels[start : start + gap] = pixels[:, start : start + gap] = layout.PAPER
    for tile in range(len(colours), rows * columns):
        y, x = tile // columns * (side + gap), tile % columns * (side + gap)
        pixels[y : y + side, x : x + side] = layout.PAPER
    return pixels


def _colours(logits: Float[np.ndarray, "tiles M"]) -> Float[np.ndarray, "tiles M 3"]:
    """Each map from the darkest colour to the brightest."""
    from matplotlib import colormaps

    return colormaps[COLOUR_MAP](np.stack([layout.grey(one) for one in logits]))[..., :3]
