"""From the stored samples of some channels to one: their mean, full scale 1, and whether that is sound at all."""

import numpy as np
from jaxtyping import Float, Float32, Num

from perceiver_jax.readers import BadFile

MAX_PEAK = 10  # of floats; 1 is full scale, and what is a little above is kept
_FEW = 8  # channels that are added one by one, which is faster


def mono(channels: Num[np.ndarray, "channels samples"], checked: bool = True) -> Float32[np.ndarray, " samples"]:
    """The mean of channels of floats or whole numbers; raises BadFile for floats that are no sound, if `checked`."""
    if channels.dtype.kind != "f":
        middle = 128 if channels.dtype == np.uint8 else 0
        full = 128 if middle else -float(np.iinfo(channels.dtype).min)
        kind = np.float32 if channels.dtype.itemsize <= 2 else np.float64
        channels = (channels.astype(kind) - kind(middle)) * kind(1 / full)
    elif checked:
        check_scale(channels)
    if len(channels) > _FEW:
        return channels.mean(axis=0, dtype=np.float64).astype(np.float32)
    mixed = channels[0].astype(channels.dtype)
    for channel in channels[1:]:
        mixed += channel
    return (mixed / len(channels) if len(channels) > 1 else mixed).astype(np.float32, copy=False)


def check_scale(samples: Float[np.ndarray, "..."]) -> None:
    """Raises BadFile for samples that are not finite, or far too large: integers that were taken for floats."""
    low, high = (float(samples.min()), float(samples.max())) if samples.size else (0.0, 0.0)
    if not np.isfinite(low) or not np.isfinite(high):
        raise BadFile("non-finite", "holds samples that are not finite")
    if max(-low, high) > MAX_PEAK:
        raise BadFile("scale", f"holds samples of {max(-low, high):.3g}, where 1 is full scale; at most {MAX_PEAK} is read")
