"""Attention maps, drawn as in Fig. 3 of the paper: logits of the cross-attends before the softmax, in grey.

On top the input (grey frame) and one enlarged map of each cross-attend, each with its colour; below, in frames of the
same colours, many small maps of each: up to 4 rows of 25 of the first cross-attend, 2 rows of each later one. The small
maps are those of the first latents, or of those asked for; the enlarged one is of the latent whose logits have the largest
standard deviation, the one whose attention is least uniform. Each map has its own grey scale, from its lowest logit
(black) to its highest (white); as an overlay it is the input that is shown in this light.
"""

import functools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from perceiver_jax.errors import Code, Failure
from perceiver_jax.system.disk import write_atomically

COLUMNS, FIRST_ROWS, LATER_ROWS = 25, 4, 2
LEAST_COLUMNS = 8  # few latents are in fewer, wider columns
GREY, PAPER = (120, 120, 120), (255, 255, 255)
BLUE, GREEN, ORANGE, PURPLE = (31, 95, 180), (44, 140, 60), (230, 126, 34), (123, 75, 160)
COLOURS = (BLUE, GREEN, ORANGE, PURPLE, (190, 40, 50), (110, 80, 60), (200, 90, 160), (20, 150, 160))
WIDTH, GROWN = 1400, 112  # pixels that small maps together grow to fill, but none beyond the second number
LARGEST = 224  # pixels, the side beyond which small maps are reduced: reducing turns the paper's fine plaids into flat grey
LEAST_ENLARGED, LEAST_SIDE = 240, 16  # pixels: room for an enlarged map with its title; the short side of any map
# In pixels, for each WIDTH of the picture's width: frames, lines between small maps, between panels, around the whole.
FRAME, GAP, SPACE, MARGIN = 4, 1, 10, 14
DPI, LETTER = 100, 11  # font size in points, likewise for each WIDTH

Picture = UInt8[np.ndarray, "_ _ 3"]
Maps = Float[np.ndarray, "N H W"]


class Canvas(NamedTuple):
    """The picture without its words, and the words: (x, y of the baseline, text, colour)."""

    pixels: Picture
    titles: list[tuple[int, int, str, tuple[int, int, int]]]
    letter: float  # font size in points


class Drawing(NamedTuple):
    """How an example and its maps become pixels."""

    example: Callable[[int], Picture] | None  # of a side; None leaves it out
    enlarged: Callable[[Float[np.ndarray, " *grid"], int], Picture]  # one map, of a side
    panel: Callable[[Float[np.ndarray, "N *grid"], int, int], Picture]  # small maps, in columns and rows


def draw_attention_maps(
    image: Float[np.ndarray, "Y_in X_in F"] | None,
    maps: Sequence[tuple[str, Maps]],
    output_png: str | Path,
    latents: Sequence[int] | None = None,
    overlay: bool = False,
) -> None:
    """Writes the picture of one example's maps; `maps` are (title, logits) of the cross-attends in their order.

    The image has one or three channels in 0..1; None leaves out the input. `latents` are those shown, None
    as many as fit. Raises Failure(NUMERICS) for a map with NaN (minus infinity, a masked input, is
    black), OSError where the picture cannot be written.
    """
    write(compose(image, maps, latents, overlay), output_png)


def compose(
    image: Float[np.ndarray, "Y_in X_in F"] | None,
    maps: Sequence[tuple[str, Maps]],
    latents: Sequence[int] | None = None,
    overlay: bool = False,
) -> Canvas:
    """The layout, pixel by pixel. Raises Failure(NUMERICS) for a map with NaN."""
    lit = image if overlay else None
    drawing = Drawing(
        example=None if image is None else lambda side: rgb(scaled(np.asarray(image, np.float32), side)),
        enlarged=lambda logits, side: rgb(scaled(_shown(logits, lit), side)),
        panel=lambda logits, columns, rows: _grid(logits, columns, rows, lit),
    )
    return arranged(drawing, maps, latents)


def arranged(
    drawing: Drawing, maps: Sequence[tuple[str, Float[np.ndarray, "N *grid"]]], latents: Sequence[int] | None
) -> Canvas:
    """The layout of maps of any kind. Raises Failure(NUMERICS) for a map with NaN."""
    names = range(len(maps[0][1])) if latents is None else latents
    maps = [(title, logits[list(names)]) for title, logits in maps]
    for title, logits in maps:
        for latent in np.flatnonzero(np.isnan(logits.reshape(len(logits), -1)).any(axis=1))[:1]:
            raise Failure(Code.NUMERICS, "attention logits are NaN", f"{title}, latent {names[latent]}")
    columns = columns_of(len(names))
    most = [FIRST_ROWS, *[LATER_ROWS] * (len(maps) - 1)] if latents is None else [len(names)] * len(maps)
    rows = [min(count, math.ceil(len(names) / columns)) for count in most]
    grids = [drawing.panel(logits, columns, count) for (_, logits), count in zip(maps, rows, strict=True)]
    unit = max(1, round(max(grid.shape[1] for grid in grids) / WIDTH))
    space, margin = SPACE * unit, MARGIN * unit
    colours = [COLOURS[i % len(COLOURS)] for i in range(len(maps))]
    panels = [framed(grid, colour, unit) for grid, colour in zip(grids, colours, strict=True)]

    pictures = [] if drawing.example is None else [("input", drawing.example, GREY)]
    for (title, logits), colour in zip(maps, colours, strict=True):
        finite = np.where(np.isfinite(logits), logits, np.nan).reshape(len(logits), -1)
        latent = int(np.argmax(np.nanstd(finite, axis=1)))
        pictures.append((f"{title}, latent {names[latent]}", functools.partial(drawing.enlarged, logits[latent]), colour))
    width = max(*(panel.shape[1] for panel in panels), len(pictures) * (LEAST_ENLARGED + space) - space)
    side = (width + space) // len(pictures) - space - 2 * FRAME * unit
    top = [framed(picture(side), colour, unit) for _, picture, colour in pictures]

    letter = LETTER * unit  # about 1.4 pixels a point high, with what hangs below the line
    baseline, caption = margin + round(1.4 * letter), round(2.1 * letter)
    heights = [max(picture.shape[0] for picture in top), *(panel.shape[0] for panel in panels)]
    widest = max(LEAST_ENLARGED, *(picture.shape[1] for picture in top))
    lefts = [margin + round(i * (width - widest) / max(1, len(top) - 1)) for i in range(len(top))]
    shape = (2 * margin + caption + sum(heights) + space * len(panels), 2 * margin + width, 3)
    pixels = np.full(shape, PAPER, np.uint8)
    for left, picture in zip(lefts, top, strict=True):
        paste(pixels, picture, margin + caption, left)
    for i, panel in enumerate(panels):
        paste(pixels, panel, margin + caption + sum(heights[: i + 1]) + space * (i + 1), margin)
    titles = [(left, baseline, title, colour) for left, (title, _, colour) in zip(lefts, pictures, strict=True)]
    return Canvas(pixels, titles, letter)


def write(canvas: Canvas, output_png: str | Path) -> None:
    """Writes a layout and its words as a PNG file; raises OSError where it cannot be written."""
    import cv2

    _write_titles(canvas)
    small_file = [cv2.IMWRITE_PNG_COMPRESSION, 6, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_DEFAULT]
    _, png = cv2.imencode(".png", canvas.pixels[..., ::-1], small_file)  # OpenCV's order is blue, green, red
    write_atomically(Path(output_png), png.tobytes())


def _write_titles(canvas: Canvas) -> None:
    """Draws the words onto the pixels, line by line, by matplotlib in strips as high as a line, where it takes no time."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    width, letter = canvas.pixels.shape[1], canvas.letter
    for baseline in sorted({y for _, y, _, _ in canvas.titles}):
        top = max(0, baseline - round(1.5 * letter))
        height = baseline - top + round(letter / 2)
        figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
        for x, y, text, colour in canvas.titles:
            if y == baseline:
                look = {"fontsize": letter, "color": np.array(colour) / 255, "parse_math": False}
                figure.text(x / width, 1 - (y - top) / height, text, **look)
        agg = FigureCanvasAgg(figure)
        agg.draw()
        strip = np.asarray(agg.buffer_rgba())[..., :3]
        paste(canvas.pixels, strip[:height, :width], top, 0)


def columns_of(num_latents: int) -> int:
    """How many small maps are in a row: 25 as in the paper, fewer where the latents would not fill the rows."""
    return min(COLUMNS, max(LEAST_COLUMNS, math.ceil(num_latents / FIRST_ROWS)), num_latents)


def grey(logits: Float[np.ndarray, " *grid"]) -> Float[np.ndarray, " *grid"]:
    """One map from 0 (its lowest finite logit) to 1 (its highest); 0.5 all over where it is constant."""
    finite = logits[np.isfinite(logits)].astype(np.float32)
    low, high = (finite.min(), finite.max()) if finite.size else (np.float32(0), np.float32(0))
    if low == high:
        return np.where(np.isfinite(logits), 0.5, logits > low).astype(np.float32)
    return ((np.clip(logits.astype(np.float32), low, high) - low) / (high - low)).astype(np.float32)


def _shown(logits: Float[np.ndarray, "H W"], lit: Float[np.ndarray, "Y_in X_in F"] | None) -> Float[np.ndarray, "H W F"]:
    """One map in grey, or as the light in which an image is seen."""
    light = grey(logits)[..., None]
    if lit is None:
        return light
    import cv2

    image = cv2.resize(np.asarray(lit, np.float32), light.shape[1::-1], interpolation=cv2.INTER_AREA)
    return light * image.reshape(*light.shape[:2], -1)


def _grid(logits: Maps, columns: int, rows: int, lit: Float[np.ndarray, "Y_in X_in F"] | None) -> Picture:
    """The first latents' maps, row by row, with thin white lines between them."""
    side = min(max(*logits.shape[1:], min(WIDTH // columns, GROWN)), LARGEST)
    tiles = [rgb(scaled(_shown(one, lit), side)) for one in logits[: rows * columns]]
    height, width = tiles[0].shape[:2]
    gap = gap_of(columns, width)
    pixels = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), PAPER, np.uint8)
    for i, tile in enumerate(tiles):
        paste(pixels, tile, i // columns * (height + gap), i % columns * (width + gap))
    return pixels


def gap_of(columns: int, width: int) -> int:
    """The lines between small maps of a width, in pixels."""
    return GAP * max(1, round(columns * width / WIDTH))


def scaled(picture: Float[np.ndarray, "H W F"], side: int) -> Float[np.ndarray, "Y X F"]:
    """The picture with its longer side within `side`: copies of every pixel, or means of areas where it is larger.

    Where the short side would be too thin to see (sound: H = 1), its pixels are stretched.
    """
    height, width, channels = picture.shape
    factor = side // max(height, width)
    if factor == 0:
        import cv2

        size = [max(1, round(length * side / max(height, width))) for length in (width, height)]
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).reshape(size[1], size[0], channels)
    for axis in (0, 1):
        least = math.ceil(LEAST_SIDE / picture.shape[axis])
        picture = picture.repeat(max(factor, least), axis)
    return picture


def squared(picture: Float[np.ndarray, "H W F"], side: int) -> UInt8[np.ndarray, "side side 3"]:
    """A picture in 0..1 of one or three channels, scaled to fit a square and put into its middle."""
    fitting = rgb(scaled(np.asarray(picture, np.float32), side))[:side, :side]
    square = np.full((side, side, 3), PAPER, np.uint8)
    paste(square, fitting, (side - fitting.shape[0]) // 2, (side - fitting.shape[1]) // 2)
    return square


def rgb(picture: Float[np.ndarray, "Y X F"]) -> Picture:
    """A picture in 0..1 of one or three channels as bytes."""
    levels = np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    return np.broadcast_to(levels, (*levels.shape[:2], 3))


def framed(picture: Picture, colour: tuple[int, int, int], unit: int) -> Picture:
    """A picture in a frame of a colour; `unit` is the width of the whole in `WIDTH`."""
    frame = FRAME * unit
    whole = np.full((picture.shape[0] + 2 * frame, picture.shape[1] + 2 * frame, 3), colour, np.uint8)
    paste(whole, picture, frame, frame)
    return whole


def paste(onto: Picture, picture: Picture, y: int, x: int) -> None:
    """Puts a picture into a larger one, its upper left corner at (y, x)."""
    onto[y : y + picture.shape[0], x : x + picture.shape[1]] = picture
