"""What is odd about a sound: nothing in it, or the looks of samples that were read in another format than they are in."""

import numpy as np
from jaxtyping import Float32

SILENCE = 1e-4  # of full scale: a sound that is nowhere louder
CLIPPED = 0.01  # portion of samples at full scale or above
OFFSET = 0.1  # of full scale: the mean of unsigned bytes that are read as signed, and the like
NOISE_LEVEL, NOISE_FLATNESS = 0.25, 0.3  # integers of another width or order of bytes: loud and white
TORN_LEVEL, TORN_QUIET, TORN_PORTION = 0.4, 0.1, 0.03  # unsigned as signed, floats as integers: loud, and hardly ever quiet
_SIZE = 2048


def oddities(sound: Float32[np.ndarray, " samples"]) -> list[str]:
    """Codes of warnings; `sound` holds at least one sample."""
    low, high, mean = float(sound.min()), float(sound.max()), float(sound.mean(dtype=np.float64))
    if high - low < SILENCE:
        return ["silent" if max(-low, high) < SILENCE else "constant"]
    found = ["silent"] if max(-low, high) < SILENCE else []
    full = np.count_nonzero(np.abs(sound) >= 1 - 2**-15)
    found += ["clipped"] if full > CLIPPED * len(sound) else []
    found += ["above-full-scale"] if max(-low, high) > 1 + 2**-15 else []
    found += ["offset"] if abs(mean) > OFFSET else []
    return found + (["looks-misread"] if _looks_misread(sound - np.float32(mean)) else [])


def _looks_misread(sound: Float32[np.ndarray, " samples"]) -> bool:
    level = float(np.sqrt(np.mean(np.square(sound, dtype=np.float64))))
    is_torn = level > TORN_LEVEL and np.count_nonzero(np.abs(sound) < TORN_QUIET) < TORN_PORTION * len(sound)
    return bool(is_torn or (level > NOISE_LEVEL and _flatness(sound) > NOISE_FLATNESS))


def _flatness(sound: Float32[np.ndarray, " samples"]) -> float:
    """The geometric mean of the mean power spectrum, below its highest frequency in use, over its arithmetic mean."""
    count = len(sound) // _SIZE
    if not count:
        return 0.0
    spectrum = np.abs(np.fft.rfft(sound[: count * _SIZE].reshape(count, _SIZE) * np.hanning(_SIZE))) ** 2
    power = spectrum.mean(axis=0)[1:]
    used = np.flatnonzero(power > power.max() * 1e-4)  # resampled sound has nothing above half its former rate
    power = power[: used[-1] + 1]
    return float(np.exp(np.log(power + 1e-30).mean()) / power.mean())
