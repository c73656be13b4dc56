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
_TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attributes", "<u2")])
# Quantifiers that give nothing back: no text takes long.
_FACET = re.compile(
    rb"\s*+facet(?:\s++normal\s++\S++\s++\S++\s++\S++)?+\s++outer\s++loop"
    rb"((?:\s++vertex\s++\S++\s++\S++\s++\S++){3})\s++endloop\s++endfacet(?!\S)"
)
_NO_NAME = re.compile(rb"(?<!\S)(?:facet\s+(?:normal|outer)|endsolid)(?!\S)")  # on the line of a solid, behind its name
_FACET = re.compile(
    rb"\s*facet(?:\s+normal(?:\s+\S+){3})?\s+outer\s+loop((?:\s+vertex(?:\s+\S+){3}){3})\s+endloop\s+endfacet\s*"
)


def read_stl(data: bytes) -> Mesh:
    """The triangles of an STL file, each with corners of its own; raises BadFile."""
    count = int.from_bytes(data[_HEADER - 4 : _HEADER], "little") if len(data) >= _HEADER else 0
    if len(data) >= _HEADER and len(data) >= _HEADER + _RECORD * count:
        corners, where = _binary(data, count), "triangle"
    else:
        text = lines_of(data).lower()
        if b"facet" not in text:
            raise _neither(data, text, count)
        corners, where = _text(text), "facet"
    check_finite(corners, lambda row: f"{where} {row // 3 + 1}")
    return Mesh(corners, np.arange(len(corners)).reshape(-1, 3))


def _binary(data: bytes, count: int) -> Float64[np.ndarray, "corners 3"]:
    behind = len(data) - _HEADER - _RECORD * count
    if behind and behind % _RECORD == 0 and any(data[-behind:]):
        there = (len(data) - _HEADER) // _RECORD
        raise BadFile("count-mismatch", f"its header says {count:,} triangles, the file has {there:,}")
    check_mesh(3 * count, count)
    triangles = np.frombuffer(data, _TRIANGLE, count, _HEADER)
    return triangles["corners"].reshape(-1, 3).astype(np.float64)


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
            line = text.count(b"\n", 0, at) + 1
            raise BadFile("truncated", f"line {line}: {fault}")
        kept.append(between if inside else b"\n" * between.count(b"\n"))
        line_end = text.find(b"\n", at) % (len(text) + 1)
        next_word = _NO_NAME.search(text, at, line_end)
        end, inside = next_word.start() if next_word else line_end, not inside
    if inside or b"facet" in text[end:]:
        raise BadFile("truncated", "ends without endsolid")
    return b"".join(kept)


def _faulty_facet(text: bytes) -> BadFile:
    """What is wrong with facets of which one is not."""
    end = 0
    while facet := _FACET.match(text, end):
        if numbers(facet[1].replace(b"vertex", b""), 9) is None:
            break
        end = facet.end()
    start = len(text) - len(text[end:].lstrip())
    line = text.count(b"\n", 0, start) + 1
    return BadFile("face", f"line {line}: {shown(text[start : start + 60])}, expected a facet of three vertices")
