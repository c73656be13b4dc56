"""Two pictures in one: mixup and CutMix."""

import math

import numpy as np
from jaxtyping import Float32

from perceiver_jax.modalities.image.config import MixupCutmix
from perceiver_jax.modalities.image.crop import Box

Picture = Float32[np.ndarray, "H W C"]


def mixed(
    first: Picture, second: Picture, config: MixupCutmix, slot: int, rng: np.random.Generator
) -> tuple[Picture, float]:
    """The picture in a slot of the global batch, and the portion of it that is the first one's."""
    if slot % 2 == 0:
        portion = rng.beta(config.mixup_alpha, config.mixup_alpha)
        return mixup(first, second, portion), portion
    portion = rng.beta(config.cutmix_alpha, config.cutmix_alpha)
    return cutmix(first, second, random_patch(first.shape[:2], 1 - portion, rng))


def mixup(first: Picture, second: Picture, portion: float) -> Picture:
    """The weighted mean of two pictures."""
    weight = np.float32(portion)
    return weight * first + (1 - weight) * second


def cutmix(first: Picture, second: Picture, patch: Box) -> tuple[Picture, float]:
    """The first picture with a part of the second at the same position, and the exact portion that is still the first."""
    rows, columns = slice(patch.top, patch.top + patch.height), slice(patch.left, patch.left + patch.width)
    mixed = first.copy()
    mixed[rows, columns] = second[rows, columns]
    return mixed, 1 - patch.height * patch.width / (first.shape[0] * first.shape[1])


def random_patch(shape: tuple[int, int], area: float, rng: np.random.Generator) -> Box:
    """A rectangle of a picture's (height, width) aspect and of `area` of it about a random pixel, cut off at the edges."""

    def span(length: int) -> tuple[int, int]:
        centre, half = int(rng.integers(length)), round(length * math.sqrt(area)) / 2
        start, stop = max(0, math.floor(centre - half)), min(length, math.floor(centre + half))
        return start, stop - start

    (top, height), (left, width) = span(shape[0]), span(shape[1])
    return Box(top, left, height, width)
