"""Whether samples are sound."""

import numpy as np
from jaxtyping import Float

from perceiver_jax.readers import BadFile

MAX_PEAK = 10


def check_scale(samples: Float[np.ndarray, "..."]) -> None:
    """Raises BadFile for samples that are not finite, or far too large: integers that were taken for floats."""
    low, high = (float(samples.min()), float(samples.max())) if samples.size else (0.0, 0.0)
    if not np.isfinite(low) or not np.isfinite(high):
        raise BadFile("non-finite", "holds samples that are not finite")
    if max(-low, high) > MAX_PEAK:
        raise BadFile("scale", f"holds samples of {max(-low, high):.3g}, where 1 is full scale; at most {MAX_PEAK} is read")
