"""Meshes from OFF files, as found in practice: with the header glued to the counts, comments, colours and normals.

All numbers are read at once and checked at once; a file's lines are read one by one only to name the faulty one.
"""

import itertools
import re
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64

from perceiver_jax.errors import printable
from perceiver_jax.readers import BadFile, polygons
from perceiver_jax.readers.surface import Mesh
from perceiver_jax.readers.text_lines import lines_of

MAX_COUNT = 50_000_000  # of vertices, of faces
_HEADER = re.compile(rb"(ST)?(C)?(N)?(4)?(n)?OFF")
_BLANKS = np.isin(np.arange(256), list(b" \t\n\v\f\r"))
_COLOURS = (0, 1, 3, 4)  # numbers that may follow a face: none, a palette's index, RGB, RGBA


class _Body(NamedTuple):
    """The numbers after the counts, and their lines."""

    text: bytes
    lines: Int64[np.ndarray, " lines"]  # of those that are not blank, the number in the file, from 1
    widths: Int64[np.ndarray, " lines"]  # the numbers on each

    def check(self, kind: str, fit: Bool[np.ndarray, " rows"], rows: Int64[np.ndarray, " rows"], expected: str) -> None:
        """Raises BadFile(kind) naming the first of `rows`, of lines that are not blank, that is not fit."""
        if not fit.all():
            row = int(rows[np.argmin(fit)])
            filled = (line for line in self.text.split(b"\n") if line.strip())
            line = next(itertools.islice(filled, row, None))
            raise BadFile(kind, f"line {self.lines[row]}: {_shown(line)}, expected {expected}")


def read_off(data: bytes) -> Mesh:
    """The mesh in the bytes of an OFF file, faces of more corners as triangles; raises BadFile."""
    text = data.removeprefix(b"\xef\xbb\xbf")
    if not text.strip():
        raise BadFile("no-vertices", "has no bytes" if not data else "is blank")
    if b"\0" in text[:1024]:
        raise BadFile("off-variant", "is binary; OFF is read as text")
    text = re.sub(rb"#[^\n]*", b"", lines_of(text))
    columns, counts, body = _split(text)
    num_vertices, num_faces = counts
    _check_counts(num_vertices, num_faces, body)
    expected = " or ".join(map(str, columns)) + " numbers"
    body.check("vertex", np.isin(body.widths[:num_vertices], columns), np.arange(num_vertices), expected)
    values = _numbers(body, num_vertices)
    firsts = np.cumsum(body.widths) - body.widths  # of each line, the index of its first number
    vertices = values[firsts[:num_vertices, None] + np.arange(3)]
    body.check("vertex", np.isfinite(vertices).all(axis=1), np.arange(num_vertices), "finite numbers")
    return Mesh(vertices, _triangles(body, values, firsts, vertices))


def _split(text: bytes) -> tuple[tuple[int, ...], tuple[int, int], _Body]:
    """The numbers that a vertex may have, the counts of vertices and faces, and what is behind them."""
    characters = np.frombuffer(text, np.uint8)
    blank = _BLANKS[characters]
    starts = np.flatnonzero(~blank & np.append(True, blank[:-1]))  # of words
    ends = np.append(np.flatnonzero(characters == ord("\n")), len(text))  # of lines
    widths = np.diff(np.searchsorted(starts, ends), prepend=0)
    filled = np.flatnonzero(widths)
    if not len(filled):
        raise BadFile("no-vertices", "holds nothing but comments")

    def words(row: int) -> list[bytes]:
        return text[ends[filled[row] - 1] + 1 if filled[row] else 0 : ends[filled[row]]].split()

    columns, rest = _header(words(0))
    used = 1
    if not rest:
        if len(filled) == 1:
            raise BadFile("no-vertices", "ends after its header")
        rest, used = words(1), 2
    counts = _counts(rest, int(filled[used - 1]) + 1)
    body = text[ends[filled[used - 1]] :]
    return columns, counts, _Body(body, filled[used:] + 1, widths[filled[used:]])


def _header(words: list[bytes]) -> tuple[tuple[int, ...], list[bytes]]:
    """The numbers that a vertex may have, and what else is on the header's line."""
    line = b" ".join(words)
    matched = _HEADER.match(line[:16]) or _HEADER.match(line[:16].upper())
    if not matched:
        start = line[:200].lower()
        page = b"<html" in start or b"<!doctype" in start
        raise BadFile("off-variant", "looks like a web page: the download failed" if page else "does not begin with OFF")
    texture, colour, normal, four, any_dimension = matched.groups()
    rest = line[matched.end() :].split()
    if four or any_dimension:
        raise BadFile("off-variant", f"{matched[0].decode()}: is not three-dimensional")
    if rest and rest[0].upper() == b"BINARY":
        raise BadFile("off-variant", "is binary; OFF is read as text")
    least = 3 + (3 if normal else 0) + (2 if texture else 0)
    return ((least + 3, least + 4) if colour else (least,)), rest


def _counts(words: list[bytes], line: int) -> tuple[int, int]:
    """How many vertices and faces a file claims; nothing is made of that size before there are as many lines."""
    shown = _shown(b" ".join(words))
    if len(words) not in (2, 3) or not all(re.fullmatch(rb"\+?\d+", word) for word in words):
        raise BadFile("counts", f"line {line}: counts {shown}, expected whole numbers of vertices, faces and edges")
    if any(len(word) > 20 or int(word) > MAX_COUNT for word in words[:2]):
        raise BadFile("counts", f"line {line}: counts {shown}, at most {MAX_COUNT:,} are read")
    if int(words[0]) == 0:
        raise BadFile("no-vertices", f"line {line}: counts 0 vertices")
    return int(words[0]), int(words[1])


def _check_counts(num_vertices: int, num_faces: int, body: _Body) -> None:
    """Raises BadFile where there are fewer or more lines than counted."""
    claimed, there = num_vertices + num_faces, len(body.lines)
    expected = f"expected {num_vertices:,} vertices and {num_faces:,} faces, a line each"
    if there < claimed:
        end = f"line {body.lines[-1]}: the last of {there:,}" if there else "ends after its counts"
        raise BadFile("count-mismatch", f"{end}, {expected}")
    if there > claimed:
        raise BadFile("count-mismatch", f"line {body.lines[claimed]}: one too many, {expected}")


def _numbers(body: _Body, num_vertices: int) -> Float64[np.ndarray, " numbers"]:
    """All numbers, in their order; raises BadFile naming the line of the first word that is not one."""
    try:
        values = np.fromstring(body.text, sep=" ")  # of text: five times as fast as float() of each word
    except ValueError:
        values = np.empty(0)
    if len(values) == body.widths.sum():
        return values
    lines = [line.split() for line in body.text.split(b"\n") if line.strip()]
    fit = np.array([all(map(_is_number, words)) for words in lines])
    body.check("vertex", fit[:num_vertices], np.arange(num_vertices), "numbers")
    body.check("face", fit[num_vertices:], np.arange(num_vertices, len(lines)), "numbers")
    raise BadFile("off-variant", "is not text")


def _is_number(word: bytes) -> bool:
    try:
        return len(np.fromstring(word, sep=" ")) == 1
    except ValueError:
        return False


def _triangles(
    body: _Body,
    values: Float64[np.ndarray, " numbers"],
    firsts: Int64[np.ndarray, " lines"],
    vertices: Float64[np.ndarray, "V 3"],
) -> Int64[np.ndarray, "faces 3"]:
    """The triangles of all faces, those of fewer corners first; raises BadFile."""
    num_vertices = len(vertices)
    rows = np.arange(num_vertices, len(firsts))
    corners = values[firsts[rows]]  # how many, as the file says
    fit = (corners >= 3) & np.isin(body.widths[rows] - 1 - corners, _COLOURS)
    body.check("face", fit, rows, "the number of corners, 3 or more, the corners, and a colour or none")
    found = [np.empty((0, 3), np.int64)]
    for sides in np.unique(corners).astype(np.int64):
        alike = rows[corners == sides]
        indices = values[firsts[alike, None] + 1 + np.arange(sides)]
        fit = (indices >= 0) & (indices < num_vertices) & (indices == np.floor(indices))
        body.check("face", fit.all(axis=1), alike, f"corners from 0 to {num_vertices - 1}")
        found.append(polygons.triangles(vertices, indices.astype(np.int64)).reshape(-1, 3))
    return np.concatenate(found)


def _shown(line: bytes) -> str:
    return printable(line.strip()[:200].decode("utf-8", "backslashreplace"), 80)
