"""Arrays of numbers as numpy writes them, from bytes that may be anything: nothing is allocated that is not there.

Python objects in them, which would be programs, are never loaded.
"""

import io
import math
import tokenize
import warnings
from typing import NamedTuple

import numpy as np

from perceiver_jax.errors import printable
from perceiver_jax.readers import BadFile
from perceiver_jax.readers.limits import check_numbers

_VERSIONS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
# What numpy, and Python's own parser that it calls, have raised for damaged headers.
_DAMAGE = (ValueError, SyntaxError, tokenize.TokenError, RecursionError, MemoryError, TypeError, EOFError, OverflowError)
_PICKLE = b"\x80"  # how one begins


class Header(NamedTuple):
    """What an array is."""

    shape: tuple[int, ...]
    columns_first: bool
    dtype: np.dtype


def is_pickle(start: bytes) -> bool:
    """Whether bytes are of Python objects alone."""
    return start[:1] == _PICKLE


def python_objects() -> BadFile:
    """What is said of them."""
    return BadFile("python-objects", "contains Python objects, which are never loaded")


def read_header(stream: io.BufferedIOBase) -> Header:
    """The header of an array of numbers; raises BadFile."""
    start = stream.read(len(np.lib.format.MAGIC_PREFIX) + 2)
    if is_pickle(start):
        raise python_objects()
    version = tuple(start[-2:])
    if not start.startswith(np.lib.format.MAGIC_PREFIX) or version not in _VERSIONS:
        raise BadFile("not-an-array", "does not begin as an .npy file of version 1 or 2")
    try:
        with warnings.catch_warnings(action="ignore"):  # of headers that Python 2 wrote
            header = Header(*_VERSIONS[version](stream))
    except _DAMAGE as error:
        raise BadFile("header", f"its header cannot be read: {printable(str(error), 80) or type(error).__name__}") from None
    if header.dtype.hasobject:
        raise python_objects()
    return header


def read_values(stream: io.BufferedIOBase, size: int, header: Header) -> np.ndarray:
    """The numbers behind a header in a stream of `size` bytes, read-only; raises BadFile where they are not as it says."""
    shape, columns_first, dtype = header
    if min(shape, default=0) < 0 or dtype.kind not in "fiu":
        raise BadFile("array-shape", f"expected an array of numbers, got {dtype.str} {shape}")
    claimed = math.prod(shape)
    check_numbers(claimed)
    left, wanted = size - stream.tell(), claimed * dtype.itemsize
    data = stream.read()
    row = wanted // shape[0] if shape and shape[0] else 0
    if left < wanted or (row and left > wanted and (left - wanted) % row == 0 and any(data[wanted:])):
        raise BadFile("truncated" if left < wanted else "header", f"header says {wanted:,} bytes, file has {left:,}")
    return np.frombuffer(data, dtype, claimed).reshape(shape, order="F" if columns_first else "C")
