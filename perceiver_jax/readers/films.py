"""The frames of a film by time: upright, of square pixels, RGB."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

_ROUNDING = 1e-4  # seconds: times in files are rounded, to a millisecond at the worst


@dataclasses.dataclass
class Film:
    """The film of a container."""

    data: bytes | Path
    index: int
    origin: float
    opened: Callable[..., Any]

    def frames(self, start: float, count: int, rate: float, shorter_side: int | None) -> UInt8[np.ndarray, "T H W 3"]:
        """The frames on screen at start + k / rate, fewer where the film ends."""
        times = [start + k / rate for k in range(count)]
        shown, current, end = [], None, 0.0
        with self.opened(self.data) as container:
            for frame in container.decode(container.streams[self.index]):
                at = frame.time - self.origin
                end = at + float((frame.duration or 0) * frame.time_base)
                while len(shown) < count and current is not None and times[len(shown)] < at - _ROUNDING:
                    shown.append(_pixels(current, shorter_side))
                current = frame
                if len(shown) == count:
                    break
            while len(shown) < count and current is not None and times[len(shown)] < end - _ROUNDING:
                shown.append(_pixels(current, shorter_side))
        return np.stack(shown) if shown else np.zeros((0, 1, 1, 3), np.uint8)


def _pixels(frame: Any, shorter_side: int | None) -> UInt8[np.ndarray, "H W 3"]:
    width, height = frame.width, frame.height
    if shorter_side is not None:
        scale = shorter_side / min(width, height)
        width, height = round(width * scale), round(height * scale)
    return frame.to_ndarray(format="rgb24", width=width, height=height)
