"""Pictures of sounds."""

import numpy as np
from jaxtyping import Float32

AXIS, INK, PAPER = 0.75, 0.15, 1.0  # shades of grey: of the line of silence, of the sound, of what is around it


def waveform(samples: Float32[np.ndarray, " n"], width: int, height: int) -> Float32[np.ndarray, "height width 1"]:
    """The waveform, time to the right: each column is from the lowest to the highest of its samples."""
    picture = np.full((height, width, 1), PAPER, np.float32)
    picture[height // 2] = AXIS
    if len(samples) == 0:
        return picture
    ends = np.linspace(0, len(samples), width + 1).astype(int)
    loudest = np.abs(samples).max() or 1
    rows = np.arange(height)
    for x, (first, end) in enumerate(zip(ends[:-1], np.maximum(ends[1:], ends[:-1] + 1), strict=True)):
        part = samples[min(first, len(samples) - 1) : end] / loudest
        top, bottom = ((1 - level) / 2 * (height - 1) for level in (part.max(), part.min()))
        picture[(rows >= np.floor(top)) & (rows <= np.ceil(bottom)), x] = INK
    return picture
