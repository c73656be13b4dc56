"""Points from the bytes of arrays and tables: .npy, .npz, and numbers in lines of text.

A point is the first three numbers of its row; what follows them (normals, colours, labels) is ignored. Nothing is
allocated before the file has been seen to hold it, and nothing in a file is ever executed.
"""

import io
import itertools
import math
import re
import warnings
import zipfile
import zlib

import numpy as np
from jaxtyping import Float64

from perceiver_jax.readers import BadFile
from perceiver_jax.readers.text_lines import lines_of

MAX_NUMBERS = 50_000_000
MAX_COLUMNS = 16  # of a point; a file with more holds its points in columns, or something else
NAMES = ("points", "pos", "xyz")  # of the array of points among the others of an .npz file

_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError)


def read_npy(data: bytes) -> Float64[np.ndarray, "P 3"]:
    """The points of an .npy file; raises BadFile."""
    return _array(io.BytesIO(data), len(data))


def read_npz(data: bytes) -> Float64[np.ndarray, "P 3"]:
    """The points of an .npz file: its one array, or the one called as in `NAMES`; raises BadFile."""
    if data[:1] == b"\x80":
        raise _objects()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            arrays = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            wanted = list(arrays) if len(arrays) == 1 else [name for name in NAMES if name in arrays]
            if not wanted:
                found = ", ".join(itertools.islice(arrays, 8)) or "none"
                raise BadFile("which-array", f"holds the arrays {found}; expected one, or one of {', '.join(NAMES)}")
            with archive.open(arrays[wanted[0]]) as stream:
                return _array(stream, arrays[wanted[0]].file_size)
    except _DAMAGE as error:
        raise BadFile("damaged", f"cannot be unpacked: {error or type(error).__name__}") from None


def _array(stream: io.BufferedIOBase, size: int) -> Float64[np.ndarray, "P 3"]:
    """The points in a stream of `size` bytes as numpy writes them."""
    start = stream.read(len(np.lib.format.MAGIC_PREFIX) + 2)
    if start[:1] == b"\x80":
        raise _objects()
    version = tuple(start[-2:])
    if not start.startswith(np.lib.format.MAGIC_PREFIX) or version not in _HEADERS:
        raise BadFile("not-an-array", "does not begin as an .npy file of version 1 or 2")
    try:
        shape, fortran, kind = _HEADERS[version](stream)
    except _DAMAGE as error:
        raise BadFile("header", f"its header cannot be read: {str(error).partition(chr(10))[0]}") from None
    if kind.hasobject:
        raise _objects()
    if len(shape) != 2 or kind.kind not in "fiu" or not 3 <= shape[1] <= MAX_COLUMNS:
        raise BadFile("array-shape", f"expected float32 (n, 3), got {kind.str} {shape}")
    claimed = math.prod(shape)
    if claimed > MAX_NUMBERS:
        raise _too_many(claimed)
    left = size - stream.tell()
    if left < claimed * kind.itemsize:
        raise BadFile("truncated", f"header says {claimed * kind.itemsize:,} bytes, file has {left:,}")
    values = np.frombuffer(stream.read(claimed * kind.itemsize), kind, claimed).reshape(shape, order="F" if fortran else "C")
    points = values[:, :3].astype(np.float64)
    _check_finite(points, "row {}", range(len(points)))
    return points


def read_text(data: bytes, has_count: bool) -> Float64[np.ndarray, "P 3"]:
    """The points of a file of lines, each of as many numbers, separated by commas or by blanks; `#` opens a comment.

    With `has_count` a first line of one whole number is the count of those that follow. Raises BadFile naming the line.
    """
    text = lines_of(data).decode("utf-8-sig", "replace")
    separator = "," if "," in re.sub("#.*", "", text) else None
    rows = ((number, line.partition("#")[0].strip()) for number, line in enumerate(text.split("\n"), 1))
    rows = [(number, line) for number, line in rows if line]
    count = None
    if has_count and rows and re.fullmatch(r"\d{1,20}", rows[0][1]):
        count = int(rows.pop(0)[1])
    if count not in (None, len(rows)):
        raise BadFile("count-mismatch", f"counts {count:,} points, has {len(rows):,}")
    if not rows:
        return np.empty((0, 3))
    columns = len(rows[0][1].split(separator))
    if not 3 <= columns <= MAX_COLUMNS:
        raise BadFile("columns", f"line {rows[0][0]}: {columns} numbers, expected 3 to {MAX_COLUMNS}")
    if len(rows) * columns > MAX_NUMBERS:
        raise _too_many(len(rows) * columns)
    try:
        with warnings.catch_warnings(action="error"):
            values = np.loadtxt([line for _, line in rows], np.float64, comments=None, delimiter=separator, ndmin=2)
    except (ValueError, Warning):
        raise _faulty_line(rows, separator, columns) from None
    _check_finite(values[:, :3], "line {}", [number for number, _ in rows])
    return values[:, :3]


def _objects() -> BadFile:
    return BadFile("python-objects", "contains Python objects, which are never loaded")


def _too_many(numbers: int) -> BadFile:
    return BadFile("too-large", f"holds {numbers:,} numbers; at most {MAX_NUMBERS:,} are read")


def _faulty_line(rows: list[tuple[int, str]], separator: str | None, columns: int) -> BadFile:
    """What is wrong with the first row that is wrong."""
    for number, line in rows:
        words = [word.strip() for word in line.split(separator)]
        if len(words) != columns:
            return BadFile("columns", f"line {number}: {len(words)} numbers, expected {columns} as on the first")
        for word in words:
            if not _is_number(word):
                shown = ascii(word[:40])
                return BadFile("number", f"line {number}: {shown} is not a number (a line starting with # is a comment)")
    return BadFile("number", "contains something that is not a number")


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return "_" not in word  # those Python alone takes


def _check_finite(points: Float64[np.ndarray, "P 3"], where: str, numbers: range | list[int]) -> None:
    finite = np.isfinite(points).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        raise BadFile("non-finite", f"{where.format(numbers[row])}: ({', '.join(map(str, points[row]))}) is not finite")
