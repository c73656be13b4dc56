"""Meshes from STL files, binary and text.

A file is binary where it is as long as its count of triangles asks for, even if it begins with `solid`. Of the triangles
only the corners count; normals, names and attributes are skipped.
"""

import re

import numpy as np
from jaxtyping import Float64

from perceiver_jax.readers import BadFile
from perceiver_jax.readers.limits import check_mesh
from perceiver_jax.readers.surface import Mesh, check_finite
from perceiver_jax.readers.text_lines import lines_of, numbers, shown

_HEADER, _RECORD = 84, 50  # bytes: any 80 and the count; a triangle
_FAR = 1000  # sizes of a mesh: words read as numbers are farther
_TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attributes", "<u2")])
# Quantifiers that give nothing back: no text takes long.
_FACET = re.compile(
    rb"facet(?:\s++normal\s++\S++\s++\S++\s++\S++)?+\s++outer\s++loop"
    rb"((?:\s++vertex\s++\S++\s++\S++\s++\S++){3})\s++endloop\s++endfacet(?!\S)"
)
_NEWLINE = b"\n"
_NO_BLANK = re.compile(rb"\S")
_NO_NAME = re.compile(rb"(?<!\S)(?:facet\s+(?:normal|outer)|endsolid)(?!\S)")  # on the line of a solid, behind its name


def read_stl(data: bytes) -> Mesh:
    """The triangles of an STL file, each with corners of its own; raises BadFile."""
    count = int.from_bytes(data[_HEADER - 4 : _HEADER], "little") if len(data) >= _HEADER else 0
    if len(data) >= _HEADER and len(data) >= _HEADER + _RECORD * count:
        corners, where = _binary(data, count), "triangle"
        if not count:
            raise BadFile("no-faces", "its header says 0 triangles")
    else:
        text = lines_of(data).lower()
        if b"facet" not in text:
            raise _neither(data, text, count)
        corners, where = _text(text), "facet"
    check_finite(corners, lambda row: f"{where} {row // 3 + 1}")
    return Mesh(corners, np.arange(len(corners)).reshape(-1, 3))


def _binary(data: bytes, count: int) -> Float64[np.ndarray, "corners 3"]:
    """The corners of a binary file's triangles; raises BadFile where it has more of them than it says."""
    check_mesh(3 * count, count)
    corners = np.frombuffer(data, _TRIANGLE, count, _HEADER)["corners"].reshape(-1, 3).astype(np.float64)
    behind = len(data) - _HEADER - _RECORD * count
    if behind >= _RECORD and _goes_on(corners, data[-behind:]):
        there = (len(data) - _HEADER) // _RECORD
        raise BadFile("count-mismatch", f"its header says {count:,} triangles, the file has {there:,}")
    return corners


def _goes_on(corners: Float64[np.ndarray, "corners 3"], behind: bytes) -> bool:
    """Whether bytes behind the last triangle are more of them: one beside this mesh, or whole ones that may be of it."""
    if not len(corners):
        return any(behind)
    following = np.frombuffer(behind, _TRIANGLE, 1)["corners"][0].astype(np.float64)
    low, high = corners.min(axis=0), corners.max(axis=0)
    reach = (high - low).max() * (_FAR if len(behind) % _RECORD == 0 else 1)
    return bool((following != following[0]).any() and ((following >= low - reach) & (following <= high + reach)).all())


def _neither(data: bytes, text: bytes, count: int) -> BadFile:
    """What is wrong with a file that is neither as long as its count asks for nor holds facets in words."""
    if text.lstrip().startswith(b"solid") or len(data) < _HEADER:
        return BadFile("no-faces" if b"endsolid" in text else "truncated", "has no facets")
    there = (len(data) - _HEADER) // _RECORD
    return BadFile("truncated", f"its header says {count:,} triangles, the file has {there:,}")


def _text(text: bytes) -> Float64[np.ndarray, "corners 3"]:
    """The corners of the facets of a text in lower case, whose words may lie on lines as they like; raises BadFile."""
    text = _facets(text)
    check_mesh(text.count(b"vertex"), text.count(b"endfacet"))
    found = _FACET.findall(text)
    values = numbers(b"".join(found).replace(b"vertex", b""), 9 * len(found))
    if values is None or len(found) != text.count(b"endfacet") or 3 * len(found) != text.count(b"vertex"):
        raise _faulty_facet(text)
    return values.reshape(-1, 3)


def _facets(text: bytes) -> bytes:
    """A text without what is not in its solids, and without their names; its lines stay. Raises BadFile."""
    kept, end, inside = [], 0, False
    while (at := text.find(b"solid", end)) >= 0:
        ends = text[at - 3 : at] == b"end"
        between = text[end : at - 3 if ends else at]
        if ends is not inside or (not inside and b"facet" in between):
            fault = "no solid is open" if ends else "the solid before is not ended"
            raise BadFile("truncated", f"line {text.count(_NEWLINE, 0, at) + 1}: {fault}")
        kept.append(between if inside else b"\n" * between.count(b"\n"))
        line_end = text.find(b"\n", at) % (len(text) + 1)
        next_word = _NO_NAME.search(text, at, line_end)
        end, inside = next_word.start() if next_word else line_end, not inside
        if b"endfacet" in text[at:end]:
            raise BadFile(
                "face", f"line {text.count(_NEWLINE, 0, at) + 1}: {shown(text[at:end])}, expected a name and facets"
            )
    if inside or b"facet" in text[end:]:
        raise BadFile("truncated", "ends without endsolid")
    return b"".join(kept)


def _faulty_facet(text: bytes) -> BadFile:
    """What is wrong with facets of which one is not."""
    text += b"."  # so that there always is a next word
    start = _NO_BLANK.search(text).start()
    while facet := _FACET.match(text, start):
        if numbers(facet[1].replace(b"vertex", b""), 9) is None:
            break
        start = _NO_BLANK.search(text, facet.end()).start()
    line = text.count(_NEWLINE, 0, start) + 1
    return BadFile("face", f"line {line}: {shown(text[start : start + 60])}, expected a facet of three vertices")
