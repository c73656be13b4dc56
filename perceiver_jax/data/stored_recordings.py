"""Recordings as prepared data sets keep them: sound as FLAC of 16 bits at 48 kHz, mono; film as JPEGs, 25 a second."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, UInt8

from perceiver_jax.errors import Code, Failure
from perceiver_jax.readers.opencv import opencv
from perceiver_jax.readers.recordings import FileRecording

SOUND_RATE = 48_000  # samples a second
FRAME_RATE = 25
JPEG_QUALITY = 90
_FULL = 2**15  # of 16 bits
_ROUNDING = 1e-6  # of a frame


def encode_sound(samples: Float32[np.ndarray, " samples"]) -> bytes:
    """Sound at SOUND_RATE; what is above full scale is cut off at it."""
    import io

    import soundfile

    whole = np.clip(np.rint(samples.astype(np.float64) * _FULL), -_FULL, _FULL - 1).astype(np.int16)
    data = io.BytesIO()
    soundfile.write(data, whole, SOUND_RATE, format="FLAC", subtype="PCM_16")
    return data.getvalue()


def encode_frame(frame: UInt8[np.ndarray, "H W 3"]) -> bytes:
    """One frame of a film."""
    cv2 = opencv()
    _, data = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return data.tobytes()


class StoredRecording:
    """A `Recording` of what `encode_sound` and `encode_frame` made; a stream that it lacks is empty."""

    def __init__(self, sound: bytes, film: Sequence[bytes], seconds: float, name: str):
        self._sound, self._film, self.seconds, self._name = sound, film, seconds, name

    def sound(self, start: float, seconds: float, rate: int) -> Float32[np.ndarray, " samples"] | None:
        """As `Recording` has it."""
        return FileRecording(self._sound).sound(start, seconds, rate) if self._sound else None

    def frames(self, start: float, count: int, rate: float, shorter_side: int | None) -> UInt8[np.ndarray, "T H W 3"] | None:
        """As `Recording` has it; no frame is decoded but these, and none twice."""
        if not self._film:
            return None
        numbers = [math.floor((start + k / rate) * FRAME_RATE + _ROUNDING) for k in range(count)]
        numbers = [number for number in numbers if number < len(self._film)]
        decoded = {number: self._decode(number, shorter_side) for number in set(numbers)}
        return np.stack([decoded[number] for number in numbers]) if numbers else np.zeros((0, 1, 1, 3), np.uint8)

    def _decode(self, number: int, shorter_side: int | None) -> UInt8[np.ndarray, "H W 3"]:
        cv2 = opencv()
        frame = cv2.imdecode(np.frombuffer(self._film[number], np.uint8), cv2.IMREAD_COLOR_RGB)
        if frame is None:
            raise Failure(Code.DATA, f"{self._name}: frame {number} is damaged", hint="prepare the data set again")
        if shorter_side is None or min(frame.shape[:2]) == shorter_side:
            return frame
        height, width = frame.shape[:2]
        scale = shorter_side / min(height, width)
        smaller = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        return cv2.resize(frame, (round(width * scale), round(height * scale)), interpolation=smaller)
