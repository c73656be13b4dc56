"""From a decoded frame to pixels: upright, of square pixels, RGB of 8 bits, of one size for a whole film.

Of interlaced frames the upper field is taken, half the rows, so that nothing is seen twice. Colours are converted as the
film says; where it does not, by BT.601, of 720 rows and more by BT.709. HDR is not toned down.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from perceiver_jax.readers.opencv import opencv
from perceiver_jax.readers.optional import package

Pixels = UInt8[np.ndarray, "H W 3"]
_HIGH = 720  # rows
_SMALL = 16  # pixels
_UNSPECIFIED = 2  # FFmpeg's number of a colour space that is not told


class Frame(NamedTuple):
    """A decoded frame."""

    picture: Any
    begin: float  # on the recording's clock
    end: float
    squeeze: float  # how many times as wide as high its pixels are


class Screen:
    """What the frames of a film are shown on: as large as the first one, or with its shorter side reduced."""

    def __init__(self, size: tuple[int, int], first: Frame, shorter_side: int | None):
        width, height = size if min(size) > 0 else (first.picture.width, first.picture.height)
        wide, high = max(1.0, width * first.squeeze), float(height)
        self._turn = _turn(first.picture)
        if self._turn[0]:
            wide, high = high, wide
        scale = 1.0 if shorter_side is None else min(1.0, shorter_side / min(wide, high))
        self.shape = (max(1, round(high * scale)), max(1, round(wide * scale)))  # height, width
        self._reformatter = package("av").video.reformatter.VideoReformatter()

    def shown(self, frame: Frame) -> Pixels:
        """A frame as it is seen; of other proportions than the screen, its middle."""
        swapped, down, across = self._turn
        high, wide = self.shape[::-1] if swapped else self.shape
        stored_wide, stored_high = frame.picture.width * frame.squeeze, frame.picture.height
        scale = max(wide / stored_wide, high / stored_high)
        width, height = round(stored_wide * scale), round(stored_high * scale)
        width, height = (size if size > least + 1 else least for size, least in ((width, wide), (height, high)))
        top, left = (height - high) // 2, (width - wide) // 2
        pixels = self._rgb(frame.picture, width, height)[top : top + high, left : left + wide]
        return (pixels.transpose(1, 0, 2) if swapped else pixels)[::down, ::across]

    def _rgb(self, picture: Any, width: int, height: int) -> Pixels:
        space = "ITU709" if picture.colorspace == _UNSPECIFIED and picture.height >= _HIGH else None
        field = picture.interlaced_frame and picture.height > 1
        size = (picture.width, picture.height) if field else (width, height)
        options = {"src_colorspace": space, "interpolation": "BILINEAR", "threads": 1}
        pixels = self._reformatter.reformat(picture, *size, "rgb24", **options).to_ndarray()
        return opencv().resize(pixels[::2], (width, height), interpolation=opencv().INTER_AREA) if field else pixels


def _turn(picture: Any) -> tuple[bool, int, int]:
    """How a picture is to be seen: whether rows become columns, and then the steps, 1 or -1, down and across."""
    small = picture.reformat(_SMALL, _SMALL, "rgb24", threads=1)  # PyAV keeps what has been asked for this until it collects
    matrix = small.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return False, 1, 1
    a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5].tolist()  # x' = a x + c y, y' = b x + d y
    swapped = abs(a) + abs(d) < abs(b) + abs(c)
    down, across = (b, c) if swapped else (d, a)
    return swapped, -1 if down < 0 else 1, -1 if across < 0 else 1
