"""OpenCV, as late as possible."""

import functools
from types import ModuleType


@functools.cache
def opencv() -> ModuleType:
    """OpenCV, imported by the first picture that needs it (0.3 s), without threads of its own: pictures are small."""
    import cv2

    cv2.setNumThreads(0)
    return cv2
