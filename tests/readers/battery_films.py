"""The battery's records of readers of films: eight small frames that tell their numbers, in every kind of container.

Right, of bytes of which one was changed, are frames of a possible number and size: no container has checksums of pictures.
What was cut is refused, or the first of the frames where the container does not say how many there are.
"""

import struct

import numpy as np

from perceiver_jax.readers.recordings import FileRecording
from tests.readers.battery import LARGE, Reader
from tests.readers.recording_files import film, numbers

FRAMES, SIZE = 8, (32, 32)


def read(data):
    """The frames of a film, the shorter side at most 32."""
    return FileRecording(data).frames(0.0, 100, 25.0, 32)


def same(frames, other):
    """Whether two films show the same numbers."""
    return frames is not None and frames.shape == other.shape and numbers(frames) == numbers(other)


def possible(frames, data=b""):
    """Whether something is a film at all, or none."""
    return frames is None or (frames.dtype == np.uint8 and 0 < min(frames.shape[1:3]) <= 32 and frames.shape[3] == 3)


def first_of(frames):
    """Whether frames are those of the film's beginning; what was to be decoded behind a later one may lack."""
    shown = [] if frames is None else numbers(frames)[:-1]
    return shown == sorted(shown) and all(number <= place for place, number in enumerate(shown))


def once_or_twice(frames):
    """Whether frames are the film, or the film twice."""
    return numbers(frames) in (list(range(FRAMES)), 2 * list(range(FRAMES)))


def made(kind, codec="libx264", **options):
    """The film in a container."""
    return film(kind, codec, frames=FRAMES, size=SIZE, **options)


def claiming(width, height):
    """Pictures that claim a size."""
    data, size = made("mov", "mjpeg", pixels="yuvj420p"), struct.pack(">HH", SIZE[1], SIZE[0])
    return data.replace(size, struct.pack(">HH", height, width))


READERS = [
    Reader(
        "film",
        {
            "plain": made("mp4"),
            "with sound": made("mp4", sound="aac"),
            "fragments": made("mp4", muxer={"movflags": "frag_keyframe+delay_moov"}),
            "JPEG": made("mov", "mjpeg", pixels="yuvj420p"),
            "Matroska": made("matroska"),
            "WebM": made("webm", "libvpx-vp9"),
            "AVI": made("avi", "mpeg4"),
            "MPEG-TS": made("mpegts"),
            "FLV": made("flv"),
        },
        read,
        same,
        possible,
        cut=first_of,
        doubled=once_or_twice,
        hostile={
            "size": claiming(30_000, 30_000),
            "large frames": film(
                "mp4", frames=2, size=(4096, 2304), shown=lambda k, size: np.zeros((size[1], size[0], 3), np.uint8)
            ),
            "boxes": b"\0\0\0\x18ftypisom" + bytes(12) + b"\0\0\0\x08free" * (LARGE // 8 - 9),
            "nested boxes": b"".join(struct.pack(">I4s", LARGE - 8 * i, b"moov") for i in range(LARGE // 8)),
        },
    )
]
