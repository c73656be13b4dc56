"""What is known of the examples of a prepared split without reading them: which streams they have, and their labels."""

import functools
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8, UInt16

from perceiver_jax.errors import Code, Failure
from perceiver_jax.readers import BadFile, npy
from perceiver_jax.system import disk

STREAMS = ("audio", "video")  # a bit each, the first the lowest


class Index:
    """The streams and labels of the examples of a split, in its order."""

    def __init__(
        self, streams: UInt8[np.ndarray, " examples"], ends: Int[np.ndarray, " examples"], labels: UInt16[np.ndarray, " all"]
    ):
        self.streams, self._ends, self._labels = streams, ends, labels

    def __len__(self) -> int:
        return len(self.streams)

    def labels(self, index: int) -> tuple[int, ...]:
        """The classes of an example."""
        first = self._ends[index - 1] if index else 0
        return tuple(self._labels[first : self._ends[index]].tolist())

    def having(self, streams: Sequence[str]) -> Int[np.ndarray, " found"]:
        """The numbers of the examples that have any of these streams."""
        bits = sum(1 << STREAMS.index(stream) for stream in streams)
        return np.flatnonzero(self.streams & bits)


def write(folder: Path, split: str, examples: Iterable[tuple[Sequence[str], Sequence[int]]]) -> None:
    """Writes the streams and labels of each example."""
    rows, labels = [], []
    for streams, own in examples:
        rows.append((sum(1 << STREAMS.index(stream) for stream in streams), len(own)))
        labels += own
    _save(_path(folder, split, "streams"), np.array(rows, np.uint16).reshape(-1, 2))
    _save(_path(folder, split, "labels"), np.array(labels, np.uint16))


def read(folder: Path, split: str, length: int) -> Index:
    """The index of a split of `length` examples; raises Failure(DATA) where it is missing or damaged."""
    paths = _path(folder, split, "streams"), _path(folder, split, "labels")
    try:
        return _read(*paths, length, *(path.stat().st_mtime_ns for path in paths))
    except (OSError, ValueError, BadFile) as error:
        what, hint = f"{paths[0].name}: cannot be read", "restore it from a copy, or prepare the data set again"
        raise Failure(Code.DATA, what, f"{folder}", found=f"{error}", hint=hint) from None


@functools.lru_cache(maxsize=8)
def _read(streams: Path, labels: Path, length: int, *stamps: int) -> Index:
    del stamps  # changed files are another key
    rows, flat = _array(streams, 2), _array(labels, 1)
    ends = np.cumsum(rows[:, 1], dtype=np.int64)
    if len(rows) != length or (ends[-1] if length else 0) != len(flat):
        raise ValueError(f"{len(rows):,} examples with {len(flat):,} labels, the split has {length:,}")
    return Index(rows[:, 0].astype(np.uint8), ends, flat)


def _array(path: Path, num_axes: int) -> UInt16[np.ndarray, "..."]:
    """An array as `_save` writes it, of rows of two numbers or of numbers. Raises OSError, ValueError, BadFile."""
    data = path.read_bytes()
    stream = io.BytesIO(data)
    header = npy.read_header(stream)
    if header.dtype != np.uint16 or len(header.shape) != num_axes or header.shape[1:] not in ((), (2,)):
        raise ValueError(f"an array of {header.dtype} {header.shape} in {path.name}")
    return npy.read_values(stream, len(data), header)


def _path(folder: Path, split: str, what: str) -> Path:
    return folder / f"{split}.{what}.npy"


def _save(path: Path, array: np.ndarray) -> None:
    data = io.BytesIO()
    np.save(data, array)
    disk.write_atomically(path, data.getvalue())
