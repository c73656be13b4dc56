"""Meshes and points from PLY files: text and both byte orders, elements and properties in any order.

Read are the element `vertex` (x, y and z) and lists of the vertices of a face or of a strip of triangles; whatever else
there is is counted off. The numbers of a text are read at once and then walked as bytes are.
"""

import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from perceiver_jax.errors import printable
from perceiver_jax.readers import BadFile, polygons
from perceiver_jax.readers.limits import check_mesh
from perceiver_jax.readers.ply_header import CORNERS, Element, read_header
from perceiver_jax.readers.surface import Mesh, check_finite
from perceiver_jax.readers.text_lines import Words

_NOTHING = b" \t\r\n\0"  # behind a file
_WORD = 8  # bytes of a number of a text


class _Lists(NamedTuple):
    """A list of each row: where the row and its list begin in the body, and how long the list is."""

    rows: Int64[np.ndarray, " rows"]
    starts: Int64[np.ndarray, " rows"]
    sizes: Int64[np.ndarray, " rows"]


def read_ply(data: bytes) -> Mesh | Float64[np.ndarray, "P 3"]:
    """The mesh of a PLY file, faces of more corners as triangles, or its points if it has no faces; raises BadFile."""
    elements, body, words = read_header(data)
    if not elements:
        raise BadFile("header", "has no elements")
    vertices, lists, place = None, [], 0
    for element in elements:
        wanted, start = element.corners(), place
        if element.name == "vertex":
            vertices, place = _points(body, start, element)
        elif wanted is None:
            place = _skip(body, start, element)
        else:
            found, place = _walk(body, start, element, wanted)
            lists.append((element, element.properties[wanted].kind, found))
        if element.name == "face" and element.count and wanted is None:
            raise BadFile("not-supported", f"its faces have no list {CORNERS[0]}")
    if vertices is None:
        raise BadFile("header", "has no element vertex")
    _check_behind(body, place, elements[-1], len(vertices), words is not None)
    if any((found.sizes < 3).any() for _, _, found in lists):
        _check_rows(elements, lists, words, body[place:])
    if not any(len(found.sizes) for _, _, found in lists):
        check_finite(vertices, "vertex {}".format)
        return vertices
    faces = [_faces(body, vertices, element, kind, found) for element, kind, found in lists]
    mesh = Mesh(vertices, np.concatenate(faces))
    check_finite(vertices, "vertex {}".format, mesh.faces)
    return mesh


def _single(body: bytes, start: int, element: Element) -> tuple[np.ndarray, int]:
    """The rows of an element without lists, and where they end; raises BadFile."""
    kind = np.dtype([(f"{i}", one.kind) for i, one in enumerate(element.properties)])
    if kind.itemsize and (len(body) - start) // kind.itemsize < element.count:
        raise _ends(element, (len(body) - start) // kind.itemsize)
    end = start + element.count * kind.itemsize
    return np.frombuffer(body[start:end], kind) if kind.itemsize else np.empty(0, kind), end


def _skip(body: bytes, start: int, element: Element) -> int:
    """Where the rows of an element end; raises BadFile."""
    lists = any(one.count_kind for one in element.properties)
    return (_walk(body, start, element, None) if lists else _single(body, start, element))[1]


def _points(body: bytes, start: int, element: Element) -> tuple[Float64[np.ndarray, "V 3"], int]:
    """The coordinates of the vertices, and where they end; raises BadFile."""
    names = [one.name for one in element.properties]
    if any(one.count_kind for one in element.properties) or any(names.count(axis) != 1 for axis in "xyz"):
        raise BadFile("not-supported", f"its vertices have {printable(', '.join(names))}; expected x, y and z, and no lists")
    rows, end = _single(body, start, element)
    points = np.empty((len(rows), 3))
    for axis, name in enumerate("xyz"):
        points[:, axis] = rows[str(names.index(name))]
    return points, end


def _walk(body: bytes, start: int, element: Element, wanted: int | None) -> tuple[_Lists, int]:
    """The lists of property `wanted` of each row, and where the rows end; raises BadFile."""
    return _alike(body, start, element, wanted) or _one_by_one(body, start, element, wanted)


def _alike(body: bytes, start: int, element: Element, wanted: int | None) -> tuple[_Lists, int] | None:
    """As `_walk` where all rows have lists as long as the first; None where they do not."""
    if not element.count:
        return _Lists(*np.empty((3, 0), np.int64)), start
    offset, counts, first = start, [], (0, 0)
    for i, one in enumerate(element.properties):
        size, count = np.dtype(one.kind).itemsize, 1
        if one.count_kind:
            kind = np.dtype(one.count_kind)
            if offset + kind.itemsize > len(body):
                return None
            count = np.frombuffer(body, kind, 1, offset)[0]
            if not 0 <= count <= len(body) or count % 1:
                return None
            counts.append((offset, kind, count))
            offset += kind.itemsize
        if i == wanted:
            first = offset, int(count)
        offset += size * int(count)
    width = offset - start
    if width * element.count > len(body) - start:
        return None
    rows = np.frombuffer(body, np.uint8, width * element.count, start).reshape(element.count, width)
    for at, kind, count in counts:
        if (rows[:, at - start : at - start + kind.itemsize].copy().view(kind) != count).any():
            return None
    steps = width * np.arange(element.count)
    found = _Lists(start + steps, first[0] + steps, np.full(element.count, first[1]))
    return found, start + width * element.count


def _one_by_one(body: bytes, start: int, element: Element, wanted: int | None) -> tuple[_Lists, int]:
    """As `_walk`, a row after the other."""
    counters = [struct.Struct(_code(one.count_kind)) if one.count_kind else None for one in element.properties]
    sizes = [np.dtype(one.kind).itemsize for one in element.properties]
    rows, starts, counts, place, last = [], [], [], start, len(body)
    for row in range(element.count):
        rows.append(place)
        for i, (counter, size) in enumerate(zip(counters, sizes, strict=True)):
            count = 1
            if counter:
                if place + counter.size > last:
                    raise _ends(element, row)
                (count,) = counter.unpack_from(body, place)
                if not 0 <= count <= last or count % 1:
                    raise BadFile("face", f"{element.name} {row}: a list of {count} numbers")
                place += counter.size
            if i == wanted:
                starts.append(place)
                counts.append(int(count))
            place += size * int(count)
        if place > last:
            raise _ends(element, row)
    return _Lists(*(np.array(found, np.int64) for found in (rows, starts, counts))), place


def _code(kind: str) -> str:
    """A numpy name of a type as `struct` writes it."""
    return kind[0] + np.dtype(kind).char


def _ends(element: Element, row: int) -> BadFile:
    return BadFile("truncated", f"ends in its {element.name} {row + 1:,} of {element.count:,}")


def _faces(
    body: bytes, vertices: Float64[np.ndarray, "V 3"], element: Element, kind: str, found: _Lists
) -> Int64[np.ndarray, "F 3"]:
    """The triangles of an element's lists, those of fewer corners first; raises BadFile."""
    check_mesh(len(vertices), int(np.maximum(found.sizes - 2, 0).sum()))
    faces = [np.empty((0, 3), np.int64)]
    for count, alike, corners in _by_size(body, kind, found):
        strips = element.name == "tristrips"
        _check_corners(corners, -1 if strips else 0, len(vertices), lambda row, alike=alike: f"{element.name} {alike[row]}")
        corners = corners.astype(np.int64)
        if strips:
            parts = [part for row in corners for part in np.split(row, np.flatnonzero(row < 0))]
            faces += [polygons.strip(part[part >= 0]) for part in parts]
        elif count > 2:
            faces.append(polygons.triangles(vertices, corners).reshape(-1, 3))
    return np.concatenate(faces)


def _by_size(body: bytes, kind: str, found: _Lists) -> Iterator[tuple[int, Int64[np.ndarray, " rows"], np.ndarray]]:
    """The lists of each length above none: the length, their rows, and their numbers."""
    starts, sizes, width = found.starts, found.sizes, np.dtype(kind).itemsize
    step = starts[1] - starts[0] if len(starts) > 1 else 0
    if len(sizes) and sizes[0] and (sizes == sizes[0]).all() and (np.diff(starts) == step).all():  # nearly all files
        shape, strides = (len(sizes), int(sizes[0])), (int(step), width)
        yield int(sizes[0]), np.arange(len(sizes)), np.ndarray(shape, kind, body, int(starts[0]), strides)
        return
    raw = np.frombuffer(body, np.uint8)
    for count in np.unique(sizes[sizes > 0]).tolist():
        alike = np.flatnonzero(sizes == count)
        yield count, alike, raw[starts[alike, None] + np.arange(count * width)].view(kind)


def _check_corners(corners: np.ndarray, least: int, count: int, where: Callable[[int], str]) -> None:
    """Raises BadFile naming the first list that refers to no vertex."""
    if corners.min() >= least and corners.max() < count and (corners.dtype.kind != "f" or not (corners % 1).any()):
        return
    with np.errstate(invalid="ignore"):
        row, column = (int(place[0]) for place in np.nonzero(~((corners >= least) & (corners < count) & (corners % 1 == 0))))
    raise BadFile("face", f"{where(row)}: refers to vertex {corners[row, column]:g}; there are {count:,}, counted from 0")


def _check_behind(body: bytes, place: int, element: Element, count: int, is_text: bool) -> None:
    """Raises BadFile where what is behind the last element is more of it: its count is wrong. Other bytes are ignored.

    `count` is the number of vertices, to which a row of corners refers.
    """
    wanted, rest = element.corners(), body[place:]
    more = bool(rest) if is_text else bool(rest.strip(_NOTHING))
    if more and not is_text:
        row = element._replace(count=1)
        try:
            found, end = _walk(body, place, row, wanted) if wanted is not None else (None, _skip(body, place, row))
            more = end > place and len(rest) % (end - place) == 0
            if found:
                kind = element.properties[wanted].kind
                more = all((part >= 0).all() and (part < count).all() for _, _, part in _by_size(body, kind, found))
        except BadFile:
            more = False
    if more:
        what = "numbers" if is_text else f"{len(rest):,} bytes"
        raise BadFile("count-mismatch", f"its header says {element.count:,} of {element.name}, and {what} follow")


def _check_rows(elements: list[Element], lists: list[tuple[Element, str, _Lists]], words: Words | None, rest: bytes) -> None:
    """Raises BadFile where lists of fewer than three corners are what a wrong number has made of others.

    Every row begins a line, or nothing is behind the last: otherwise all from one row on may have been read amiss.
    """
    if words is None:
        if rest.strip(_NOTHING):
            raise BadFile("face", f"has faces of fewer than three corners, and {len(rest):,} bytes behind the last")
        return
    line = 0
    for element in elements:
        for other, _, found in lists:
            if other is element:
                wrong = found.rows // _WORD != np.resize(words.firsts()[line:], element.count)
                if wrong.any():
                    row = line + max(int(np.argmax(wrong)) - 1, 0)
                    expected = "expected the number of corners, 3 or more, and the corners"
                    raise BadFile("face", f"line {words.number(row)}: {words.line(row)}, {expected}")
        line += element.count
