"""Pictures of sounds."""

import itertools

import numpy as np
from jaxtyping import Float32

SILENCE, PEAKS, POWER, PAPER = 0.75, 0.6, 0.15, 1.0  # shades of grey


def waveform(samples: Float32[np.ndarray, " n"], width: int, height: int) -> Float32[np.ndarray, "height width 1"]:
    """The waveform, time to the right: each column from its lowest to its highest sample, darker within their RMS."""
    picture = np.full((height, width, 1), PAPER, np.float32)
    picture[height // 2] = SILENCE
    if len(samples) == 0:
        return picture
    ends = np.linspace(0, len(samples), width + 1).astype(int)
    loudest = np.abs(samples).max() or 1
    rows = np.arange(height)
    for x, (first, end) in enumerate(itertools.pairwise(ends)):
        part = samples[min(first, len(samples) - 1) : max(end, first + 1)] / loudest
        power = np.sqrt(np.mean(part**2))
        for top, bottom, shade in ((part.max(), part.min(), PEAKS), (power, -power, POWER)):
            high, low = ((1 - level) / 2 * (height - 1) for level in (top, bottom))
            picture[(rows >= np.floor(high)) & (rows <= np.ceil(low)), x] = shade
    return picture
