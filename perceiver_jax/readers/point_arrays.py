"""Points from the bytes of arrays and tables: .npy, .npz, and numbers in lines of text.

A point is the first three numbers of its row, or those under x, y and z where a table has a heading; others (normals,
colours, labels) are ignored. Nothing is allocated before the file has been seen to hold it, and nothing in a file is
ever executed.
"""

import io
import itertools
import re
import warnings
import zipfile
import zlib

import numpy as np
from jaxtyping import Float64

from perceiver_jax.errors import printable, some
from perceiver_jax.readers import BadFile
from perceiver_jax.readers.limits import check_numbers
from perceiver_jax.readers.npy import is_pickle, python_objects, read_header, read_values
from perceiver_jax.readers.surface import check_finite
from perceiver_jax.readers.text_lines import lines_of

MAX_COLUMNS = 16  # of a point; a file with more holds its points in columns, or something else
NAMES = ("points", "pos", "xyz")  # of the array of points among the others of an .npz file

# The bytes that an .npz file may unpack to, and more for each byte of the file: real points shrink to a half.
_FREE, _PER_BYTE = 5_000_000, 100
_DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+(?:[eE][-+]?\d+)?")
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError)


def read_npy(data: bytes) -> Float64[np.ndarray, "P 3"]:
    """The points of an .npy file; raises BadFile."""
    return _array(io.BytesIO(data), len(data))


def read_npz(data: bytes) -> Float64[np.ndarray, "P 3"]:
    """The points of an .npz file: its one array, or the one called as in `NAMES`; raises BadFile."""
    if is_pickle(data):
        raise python_objects()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            arrays = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            wanted = list(arrays) if len(arrays) == 1 else [name for name in NAMES if name in arrays]
            if not wanted:
                found = ", ".join(itertools.islice(arrays, 8)) or "none"
                raise BadFile("which-array", f"holds the arrays {found}; expected one, or one of {', '.join(NAMES)}")
            info = arrays[wanted[0]]
            if info.file_size > _FREE + _PER_BYTE * len(data):
                raise BadFile("too-large", f"claims {info.file_size:,} bytes in {len(data):,}")
            with archive.open(info) as stream:
                return _array(stream, info.file_size)
    except _DAMAGE as error:
        raise BadFile("damaged", f"cannot be unpacked: {error or type(error).__name__}") from None


def _array(stream: io.BufferedIOBase, size: int) -> Float64[np.ndarray, "P 3"]:
    """The points in a stream of `size` bytes as numpy writes them."""
    header = read_header(stream)
    shape, _, kind = header
    if len(shape) != 2 or min(shape) < 0 or kind.kind not in "fiu":
        raise BadFile("array-shape", f"expected float32 (n, 3), got {kind.str} {shape}")
    values = read_values(stream, size, header)
    points = _rows(values)[:, :3].astype(np.float64)
    check_finite(points, "row {}".format)
    return points


def _rows(values: np.ndarray) -> np.ndarray:
    """An array with a point a row: as it is, or turned where it can only have a point a column; raises BadFile."""
    length, width = values.shape
    if 3 <= length <= MAX_COLUMNS < width:
        return values.T
    if not 3 <= width <= MAX_COLUMNS:
        raise BadFile("array-shape", f"expected float32 (n, 3), got {values.dtype.str} {values.shape}")
    if length == 3 < width:
        raise BadFile("transposed", f"is (3, {width}): 3 points of {width} numbers, or {width} points, one a column")
    return values


def read_text(data: bytes, has_count: bool = False) -> Float64[np.ndarray, "P 3"]:
    """The points of a file of lines, each of as many numbers, separated by commas, semicolons or blanks.

    `#` opens a comment, a first line of names is a heading, and with `has_count` a first line of one whole number is the
    count of those that follow. Raises BadFile naming the line.
    """
    text = lines_of(data).decode("utf-8", "replace")
    plain = re.sub("#.*", "", text) if "#" in text else text
    separator = next((mark for mark in ";," if mark in plain), None)
    rows = [(number, line) for number, line in enumerate(map(str.strip, plain.split("\n")), 1) if line]
    count = None
    if has_count and rows and re.fullmatch(r"\d{1,20}", rows[0][1]):
        count = int(rows.pop(0)[1])
    names = _heading(rows, separator)
    rows = rows[1:] if names else rows
    if count not in (None, len(rows)):
        raise BadFile("count-mismatch", f"counts {count:,} points, has {len(rows):,}")
    if not rows:
        return np.empty((0, 3))
    columns = len(rows[0][1].split(separator))
    if not 3 <= columns <= MAX_COLUMNS:
        raise BadFile("columns", f"line {rows[0][0]}: {columns} numbers, expected 3 to {MAX_COLUMNS}")
    check_numbers(len(rows) * columns)
    try:
        with warnings.catch_warnings(action="error"):
            values = np.loadtxt([line for _, line in rows], np.float64, comments=None, delimiter=separator, ndmin=2)
    except (ValueError, Warning):
        raise _faulty_line(rows, separator, columns) from None
    points = values[:, _axes(names, columns)]
    check_finite(points, lambda row: f"line {rows[row][0]}")
    return points


def _heading(rows: list[tuple[int, str]], separator: str | None) -> list[str]:
    """The names of the columns where the first row has no numbers, in lower case; none where it is a point."""
    names = [name.strip(" \t\"'/").lower() for name in rows[0][1].split(separator)] if len(rows) > 1 else []
    is_heading = names and len(names) == len(rows[1][1].split(separator)) and not any(map(_is_like_a_number, names))
    return names if is_heading and names.count("") <= 1 else []  # pandas and R leave the name of the rows' numbers out


def _axes(names: list[str], columns: int) -> list[int]:
    """The columns of x, y and z; raises BadFile where a heading leaves that open."""
    if all(names.count(axis) == 1 for axis in "xyz"):
        return [names.index(axis) for axis in "xyz"]
    if names and (columns > 3 or {"x", "y", "z"} & set(names)):
        shown = printable(some(names, 8), 80)
        raise BadFile("columns", f"its columns are called {shown}; expected x, y and z")
    return [0, 1, 2]


def _faulty_line(rows: list[tuple[int, str]], separator: str | None, columns: int) -> BadFile:
    """What is wrong with the first row that is wrong."""
    for number, line in rows:
        words = [word.strip() for word in line.split(separator)]
        if len(words) != columns:
            return BadFile("columns", f"line {number}: {len(words)} numbers, expected {columns} as on the first")
        for word in words:
            if not _is_number(word):
                why = "is not a number (a line starting with # is a comment)"
                why = "has a decimal comma; points are read" if _DECIMAL_COMMA.fullmatch(word) else why
                return BadFile("number", f"line {number}: {word[:40]!a} {why}")
    return BadFile("number", "contains something that is not a number")


def _is_like_a_number(word: str) -> bool:
    return _is_number(word) or _DECIMAL_COMMA.fullmatch(word) is not None


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return "_" not in word  # those Python alone takes
