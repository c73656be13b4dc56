"""OpenCV, as late as possible."""

import functools
from types import ModuleType

import numpy as np
from jaxtyping import UInt8


@functools.cache
def opencv() -> ModuleType:
    """OpenCV, imported by the first picture that needs it (0.3 s), without threads of its own: pictures are small."""
    import cv2

    cv2.setNumThreads(0)
    return cv2


def reduced(picture: UInt8[np.ndarray, "H W C"], shorter_side: int | None) -> UInt8[np.ndarray, "h w C"]:
    """The picture with its shorter side as long as asked for, averaged over areas; one that is not longer as it is."""
    height, width = picture.shape[:2]
    if shorter_side is None or min(height, width) <= shorter_side:
        return picture
    scale, cv2 = shorter_side / min(height, width), opencv()
    return cv2.resize(picture, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
