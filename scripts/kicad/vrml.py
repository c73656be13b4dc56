"""The triangles of a VRML 2.0 file, as KiCad's library of electronic parts has them.

Every IndexedFaceSet of the file as written: one whose nodes would move, choose or fetch shapes is refused, not misread.
"""

import re

import numpy as np
from jaxtyping import Float64, Int64

from perceiver_jax.readers import BadFile, polygons
from perceiver_jax.readers.surface import Mesh

HEADER = b"#VRML V2.0 utf8"

_COMMENT = re.compile(rb'"(?:[^"\\]|\\.)*"|#[^\r\n]*')  # strings go with them: they may hold braces, and no numbers
_REFUSED = re.compile(rb"\b(Transform|Switch|LOD|Billboard|Inline|PROTO|EXTERNPROTO)\b")
_FACE_SET = re.compile(rb"\bIndexedFaceSet\s*\{")
_BRACE = re.compile(rb"[{}]")
_COORDINATES = re.compile(rb"\bCoordinate\s*\{\s*point\s*\[([^\[\]{}]*)\]")
_INDICES = re.compile(rb"\bcoordIndex\s*\[([^\[\]{}]*)\]")


def read_vrml(data: bytes) -> Mesh:
    """All triangles of a file in one mesh.

    Raises BadFile, with the code "vrml-node" for a file with nodes that this cannot read.
    """
    if not data.startswith(HEADER):
        raise BadFile("not-vrml", f"does not begin with {HEADER.decode()}")
    text = _COMMENT.sub(b" ", data)
    refused = _REFUSED.search(text)
    if refused:
        raise BadFile("vrml-node", f"has a {refused[1].decode()} node; only untransformed shapes are supported")
    vertices, corners, count = [np.zeros((0, 3))], [np.zeros(0, np.int64)], 0
    for number, start in enumerate(_FACE_SET.finditer(text), 1):
        points, indices = _face_set(text[start.end() : _closing(text, start.end())], number)
        vertices.append(points)
        corners += [np.where(indices < 0, -1, indices + count), [-1]]  # the last polygon need not be ended
        count += len(points)
    mesh = Mesh(np.concatenate(vertices), _triangles(np.concatenate(vertices), np.concatenate(corners)))
    if not len(mesh.faces):
        raise BadFile("no-faces", "has no faces")
    return mesh


def _closing(text: bytes, start: int) -> int:
    """Where the brace that was opened before `start` is closed."""
    depth = 1
    for brace in _BRACE.finditer(text, start):
        depth += 1 if brace[0] == b"{" else -1
        if not depth:
            return brace.start()
    raise BadFile("truncated", "ends inside an IndexedFaceSet")


def _face_set(node: bytes, number: int) -> tuple[Float64[np.ndarray, "V 3"], Int64[np.ndarray, " n"]]:
    """The vertices and the corners, with a -1 between polygons, of an IndexedFaceSet, the `number`th of its file."""
    where = f"IndexedFaceSet {number}"
    points, indices = _COORDINATES.search(node), _INDICES.search(node)
    if not points or not indices:
        raise BadFile("vrml-node", f"{where} has no Coordinate and coordIndex of its own")
    vertices, corners = _numbers(points[1], np.float64, where), _numbers(indices[1], np.int64, where)
    if len(vertices) % 3 or not np.isfinite(vertices).all():
        raise BadFile("vertex", f"{where}: its points are not triples of finite numbers")
    vertices = vertices.reshape(-1, 3)
    if corners.min(initial=-1) < -1 or corners.max(initial=-1) >= len(vertices):
        raise BadFile("face", f"{where}: a face refers to a vertex outside its {len(vertices):,}")
    return vertices, corners


def _numbers(text: bytes, dtype: type, where: str) -> np.ndarray:
    try:
        return np.fromiter(map(int if dtype is np.int64 else float, text.replace(b",", b" ").split()), dtype)
    except (ValueError, OverflowError):
        raise BadFile("number", f"{where}: contains something that is not a number") from None


def _triangles(vertices: Float64[np.ndarray, "V 3"], corners: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, "F 3"]:
    """The triangles of polygons, each of which ends in -1, in their order."""
    ends = np.flatnonzero(corners < 0)
    found, owners = polygons.mixed(vertices, np.diff(ends, prepend=-1) - 1, corners[corners >= 0])
    return found[np.argsort(owners, kind="stable")]
