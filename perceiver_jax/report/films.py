"""Attention maps of a film, drawn after figures 16 to 19 of the paper: a column for each time, its frame on top.

Below the frames (grey frame), in a frame of its colour for each cross-attend, a row for each of some latents: its map at
that time. They are the latents whose logits have the largest standard deviation, whose attention is least uniform, or
those asked for. Each row has one grey scale, from its lowest logit (black) to its highest (white).
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32, UInt8

from perceiver_jax.errors import Code, Failure, some
from perceiver_jax.report import maps as layout

ROWS = 6  # latents of each cross-attend
LEAST_CELL, CELL = 48, 160  # pixels of the longer side of a frame

Picture = UInt8[np.ndarray, "_ _ 3"]


def draw_film_maps(
    frames: Float32[np.ndarray, "T h w 3"],
    maps: Sequence[tuple[str, Float[np.ndarray, "N T H W"]]],
    output_png: str | Path,
    latents: Sequence[int] | None = None,
    overlay: bool = False,
) -> None:
    """Writes the picture of one film's maps; `maps` are (title, logits) of the cross-attends in their order.

    With `overlay` each map is its frame, dark where the latent attends least. Raises Failure(NUMERICS) for a map with NaN,
    OSError where the picture cannot be written.
    """
    layout.write(compose(frames, maps, latents, overlay), output_png)


def compose(
    frames: Float32[np.ndarray, "T h w 3"],
    maps: Sequence[tuple[str, Float[np.ndarray, "N T H W"]]],
    latents: Sequence[int] | None = None,
    overlay: bool = False,
) -> layout.Canvas:
    """The layout, pixel by pixel. Raises Failure(NUMERICS) for a map with NaN."""
    side, longest = min(CELL, max(LEAST_CELL, layout.WIDTH // len(frames))), max(maps[0][1].shape[2:])
    for _ in range(2):  # so that frames stand above their maps; small ones grow by whole numbers alone
        side = max(side // longest, 1) * longest
        side = max(layout.scaled(frames[0], side).shape[:2])
    bands = [("frames", _row(list(frames), side), layout.GREY)]
    for number, (title, logits) in enumerate(maps):
        for latent in np.flatnonzero(np.isnan(logits).any(axis=(1, 2, 3)))[:1]:
            raise Failure(Code.NUMERICS, "attention logits are NaN", f"{title}, latent {latent}")
        chosen = _least_uniform(logits) if latents is None else list(latents)
        rows = [_map_row(logits[latent], frames if overlay else None, side) for latent in chosen]
        title = f"{title}, latents {some([str(latent) for latent in chosen], 12)}"
        bands.append((title, _column(rows), layout.COLOURS[number % len(layout.COLOURS)]))
    return _arranged(bands)


def tiled(frames: Float32[np.ndarray, "T h w 3"], side: int) -> UInt8[np.ndarray, "side side 3"]:
    """Some frames in a square, row by row."""
    across = math.ceil(math.sqrt(len(frames)))
    cell = side // across
    square = np.full((side, side, 3), layout.PAPER, np.uint8)
    for i, frame in enumerate(frames):
        layout.paste(square, layout.squared(frame, cell), i // across * cell, i % across * cell)
    return square


def _least_uniform(logits: Float[np.ndarray, "N T H W"]) -> list[int]:
    finite = np.where(np.isfinite(logits), logits, np.nan).reshape(len(logits), -1)
    return sorted(np.argsort(-np.nanstd(finite, axis=1), kind="stable")[:ROWS].tolist())


def _map_row(logits: Float[np.ndarray, "T H W"], frames: Float32[np.ndarray, "T h w 3"] | None, side: int) -> Picture:
    light = layout.grey(logits)[..., None]
    if frames is None:
        return _row(list(light), side)
    import cv2

    size = light.shape[2], light.shape[1]
    seen = [cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames]
    return _row(list(light * np.stack(seen)), side)


def _row(pictures: Sequence[Float32[np.ndarray, "h w F"]], side: int) -> Picture:
    """Pictures beside each other, each at most `side` long."""
    cells = [layout.rgb(layout.scaled(np.ascontiguousarray(one), side)) for one in pictures]
    height, width = cells[0].shape[:2]
    whole = np.full((height, len(cells) * (width + layout.GAP) - layout.GAP, 3), layout.PAPER, np.uint8)
    for i, cell in enumerate(cells):
        layout.paste(whole, cell, 0, i * (width + layout.GAP))
    return whole


def _column(rows: Sequence[Picture]) -> Picture:
    height, width = rows[0].shape[:2]
    whole = np.full((len(rows) * (height + layout.GAP) - layout.GAP, width, 3), layout.PAPER, np.uint8)
    for i, row in enumerate(rows):
        layout.paste(whole, row, i * (height + layout.GAP), 0)
    return whole


def _arranged(bands: Sequence[tuple[str, Picture, tuple[int, int, int]]]) -> layout.Canvas:
    """Pictures below each other, each framed and under its title."""
    pictures = [layout.framed(picture, colour, 1) for _, picture, colour in bands]
    caption = round(2.1 * layout.LETTER)
    height = sum(picture.shape[0] + caption + layout.SPACE for picture in pictures) + 2 * layout.MARGIN - layout.SPACE
    width = max(picture.shape[1] for picture in pictures) + 2 * layout.MARGIN
    pixels, titles, y = np.full((height, width, 3), layout.PAPER, np.uint8), [], layout.MARGIN
    for (title, _, colour), picture in zip(bands, pictures, strict=True):
        titles.append((layout.MARGIN, y + round(1.4 * layout.LETTER), title, colour))
        layout.paste(pixels, picture, y + caption, layout.MARGIN)
        y += caption + picture.shape[0] + layout.SPACE
    return layout.Canvas(pixels, titles, layout.LETTER)
