"""Sound at another rate, by soxr at its quality VHQ, as fast as the lower ones.

Of a sine the amplitude is right within 0.01 dB up to 0.9 of the lower rate's band, and what would fold, or an image, is
lower by 140 dB. A window equals the same samples of the whole: what is read around it is as long as the filter.
"""

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Float32

from perceiver_jax.readers.optional import package

Samples = Float32[np.ndarray, " samples"]
QUALITY = "VHQ"
MARGIN = 160  # samples of the lower of both rates, on either side: soxr's filter is shorter


def resampled_window(
    read: Callable[[int, int], Samples], stored_rate: int, first: int, count: int, rate: int
) -> Float32[np.ndarray, " at_most_count"]:
    """The samples `first` to `first + count` at `rate` of a sound of which `read(start, end)` gives those that are stored.

    `read` gives fewer samples only where the sound ends. Sample 0 is at one time in both.
    """
    if rate == stored_rate or not count:
        return read(first, first + count)
    common = math.gcd(rate, stored_rate)
    step, stored_step = rate // common, stored_rate // common  # these many samples of either last equally long
    margin = math.ceil(MARGIN * rate / min(rate, stored_rate))
    start = max(0, (first - margin) // step)  # in steps
    stored_start = start * stored_step
    stored_end = math.ceil((first + count + margin) * stored_rate / rate)
    stored = read(stored_start, stored_end)
    made = package("soxr").resample(stored, stored_rate, rate, quality=QUALITY)
    skipped = first - start * step
    there = round(len(stored) * rate / stored_rate) - skipped  # soxr may give one sample more or less
    window = made[skipped : skipped + max(0, min(count, there))]
    missing = max(0, min(count, there)) - len(window)
    return np.pad(window, (0, missing)) if missing > 0 else window
