"""Meshes from OFF files, as found in practice: with the header glued to the counts, comments, colours and normals.

All numbers are read at once and checked at once; a file's lines are read one by one only to name the faulty one. A vertex
or a face a line is the rule; numbers that lie otherwise, as the format allows, are counted off one after the other.
"""

import re
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64

from perceiver_jax.readers import BadFile, polygons
from perceiver_jax.readers.surface import Mesh, unusable
from perceiver_jax.readers.text_lines import Words, is_number, lines_of, shown

MAX_COUNT = 50_000_000  # of vertices, of faces

_HEADER = re.compile(rb"(ST)?(C)?(N)?(4)?(n)?OFF")
_COLOURS = (0, 1, 3, 4)  # numbers that may follow a face: none, a palette's index, RGB, RGBA


class _Body(NamedTuple):
    """The words after the counts, each line a vertex or a face."""

    words: Words
    num_vertices: int

    def check(self, kind: str, fit: Bool[np.ndarray, " rows"], rows: Int64[np.ndarray, " rows"], expected: str) -> None:
        """Raises BadFile(kind) naming the first of `rows`, of lines that are not blank, that is not fit."""
        if not fit.all():
            row = int(rows[np.argmin(fit)])
            raise BadFile(kind, f"line {self.words.number(row)}: {self.words.line(row)}, expected {expected}")


def read_off(data: bytes) -> Mesh:
    """The mesh in the bytes of an OFF file, faces of more corners as triangles; raises BadFile.

    Vertices that no face has may be anything that reads as a number.
    """
    text = lines_of(data)
    if not text.strip():
        raise BadFile("no-vertices", "is blank" if data else "has no bytes")
    if b"\0" in text[:1024]:
        raise BadFile("off-variant", "is binary; OFF is read as text")
    text = re.sub(rb"#[^\n]*", b"", text)
    columns, words = _header(text)
    try:
        return _by_lines(columns, words)
    except BadFile:
        mesh = _counted_off(columns, words)
        if mesh is None:
            raise
        return mesh


def _header(text: bytes) -> tuple[tuple[int, ...], Words]:
    """The numbers that a vertex may have, and the words behind the header."""
    start = len(text) - len(text.lstrip())
    end = text.find(b"\n", start) % (len(text) + 1)
    line = b" ".join(text[start:end].split())
    if not line:
        raise BadFile("no-vertices", "holds nothing but comments")
    matched = _HEADER.match(text[start:end][:16]) or _HEADER.match(text[start:end][:16].upper())
    if not matched:
        beginning = line[:200].lower()
        page = b"<html" in beginning or b"<!doctype" in beginning
        raise BadFile("off-variant", "looks like a web page: the download failed" if page else "does not begin with OFF")
    texture, colour, normal, four, any_dimension = matched.groups()
    rest = line[matched.end() :].split()
    if four or any_dimension:
        raise BadFile("off-variant", f"{matched[0].decode()}: is not three-dimensional")
    if rest and rest[0].upper() == b"BINARY":
        raise BadFile("off-variant", "is binary; OFF is read as text")
    least = 3 + (3 if normal else 0) + (2 if texture else 0)
    words = Words.of(text[start + matched.end() :], text.count(b"\n", 0, start) + 1)
    if not len(words.lines):
        raise BadFile("no-vertices", "ends after its header")
    return ((least + 3, least + 4) if colour else (least,)), words


def _by_lines(columns: tuple[int, ...], words: Words) -> Mesh:
    """The mesh of a file that has a line for the counts, then one for each vertex and face; raises BadFile."""
    behind = words.behind(0)
    counts = words.text[: len(words.text) - len(behind.text)].split()
    num_vertices, num_faces = _counts(counts, words.number(0))
    body = _Body(behind, num_vertices)
    _check_counts(num_vertices, num_faces, body.words)
    expected = " or ".join(map(str, columns)) + " numbers"
    body.check("vertex", np.isin(body.words.widths[:num_vertices], columns), np.arange(num_vertices), expected)
    values, firsts = _numbers(body), body.words.firsts()
    vertices = values[firsts[:num_vertices, None] + np.arange(3)]
    mesh = Mesh(vertices, _triangles(body, values, firsts, vertices))
    body.check("vertex", ~unusable(mesh), np.arange(num_vertices), "finite numbers")
    return mesh


def _counts(words: list[bytes], line: int) -> tuple[int, int]:
    """How many vertices and faces a file claims; nothing is made of that size before there are as many lines."""
    text = shown(b" ".join(words))
    if len(words) not in (2, 3) or not all(re.fullmatch(rb"\+?\d+", word) for word in words):
        raise BadFile("counts", f"line {line}: counts {text}, expected whole numbers of vertices, faces and edges")
    if any(len(word) > 20 or int(word) > MAX_COUNT for word in words[:2]):
        raise BadFile("counts", f"line {line}: counts {text}, at most {MAX_COUNT:,} are read")
    if int(words[0]) == 0:
        raise BadFile("no-vertices", f"line {line}: counts 0 vertices")
    return int(words[0]), int(words[1])


def _check_counts(num_vertices: int, num_faces: int, words: Words) -> None:
    """Raises BadFile where there are fewer or more lines than counted."""
    claimed, there = num_vertices + num_faces, len(words.lines)
    expected = f"expected {num_vertices:,} vertices and {num_faces:,} faces, a line each"
    if there < claimed:
        end = f"line {words.number(-1)}: the last of {there:,}" if there else "ends after its counts"
        raise BadFile("count-mismatch", f"{end}, {expected}")
    if there > claimed:
        raise BadFile("count-mismatch", f"line {words.number(claimed)}: one too many, {expected}")


def _numbers(body: _Body) -> Float64[np.ndarray, " numbers"]:
    """All numbers, in their order; raises BadFile naming the line of the first word that is not one."""
    values = body.words.numbers()
    if values is not None:
        return values
    lines = [line.split() for line in body.words.text.split(b"\n") if line.strip()]
    fit, count = np.array([all(map(is_number, words)) for words in lines]), body.num_vertices
    body.check("vertex", fit[:count], np.arange(count), "numbers")
    body.check("face", fit[count:], np.arange(count, len(lines)), "numbers")
    raise BadFile("off-variant", "is not text")


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
    fit = (corners >= 3) & np.isin(body.words.widths[rows] - 1 - corners, _COLOURS)
    body.check("face", fit, rows, "the number of corners, 3 or more, the corners, and a colour or none")
    found = [np.empty((0, 3), np.int64)]
    for sides in np.unique(corners).astype(np.int64):
        alike = rows[corners == sides]
        indices = values[firsts[alike, None] + 1 + np.arange(sides)]
        fit = (indices >= 0) & (indices < num_vertices) & (indices == np.floor(indices))
        body.check("face", fit.all(axis=1), alike, f"corners from 0 to {num_vertices - 1}")
        found.append(polygons.triangles(vertices, indices.astype(np.int64)).reshape(-1, 3))
    return np.concatenate(found)


def _counted_off(columns: tuple[int, ...], words: Words) -> Mesh | None:
    """The mesh of numbers that lie anyhow on lines, where exactly those are there that the counts ask for.

    The numbers behind a face's corners on its line are its colour; where that does not come out, no face has one.
    """
    values, width = words.numbers(), columns[-1]  # in such files colours have four numbers: no second way to count
    if values is None or len(values) < 3 or not np.isfinite(values[:3]).all() or (values[:3] % 1).any():
        return None
    num_vertices, num_faces = values[:2].astype(np.int64).tolist()
    first = 3 + width * num_vertices
    if num_vertices < 1 or num_faces < 0 or first + 4 * num_faces > len(values):
        return None
    vertices = values[3:first].reshape(num_vertices, width)[:, :3]
    for coloured in (True, False):
        sizes, corners = _counted_faces(values, words.widths, first, num_faces, coloured)
        if sizes is None or ((corners < 0) | (corners >= num_vertices) | (corners % 1 != 0)).any():
            continue
        mesh = Mesh(vertices, polygons.mixed(vertices, sizes, corners.astype(np.int64))[0])
        if not unusable(mesh).any():
            return mesh
    return None


def _counted_faces(
    values: Float64[np.ndarray, " numbers"], widths: Int64[np.ndarray, " lines"], first: int, num_faces: int, coloured: bool
) -> tuple[Int64[np.ndarray, " faces"] | None, Float64[np.ndarray, " corners"]]:
    """The sizes and corners of the faces from number `first` on; no sizes where the last does not end with the numbers."""
    ends = np.repeat(np.cumsum(widths), widths) if coloured else np.empty(0)  # of each number, that of its line
    sizes, kept = np.empty(num_faces, np.int64), np.zeros(len(values), bool)
    for i in range(num_faces):
        if first >= len(values) or not 3 <= values[first] <= len(values) - first - 1 or values[first] % 1:
            return None, values[:0]
        sizes[i] = values[first]
        last = first + 1 + int(sizes[i])
        kept[first + 1 : last] = True
        first = int(ends[last - 1]) if coloured else last
        if first - last not in _COLOURS:
            return None, values[:0]
    return (sizes if first == len(values) else None), values[kept]
