"""PLY files: every encoding, any polygons, strips; and what a header that is wrong does."""

import struct

import numpy as np
import pytest

from perceiver_jax.readers import BadFile
from perceiver_jax.readers.ply import read_ply
from tests.readers.battery_binary_meshes import CORNERS, XYZ, header
from tests.readers.mesh_files import ORDERS, area, packed, ply

SQUARE = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)]
NOTCH = [(0, 0, 0), (2, 0, 0), (2, 2, 0), (1, 0.5, 0), (0, 2, 0)]
EACH = pytest.mark.parametrize("encoding", ORDERS)


@EACH
@pytest.mark.parametrize(
    ("vertices", "polygons", "expected"),
    [
        (SQUARE, [(0, 1, 2), (0, 2, 3)], 1),
        (SQUARE, [(0, 1, 2), (0, 1, 2, 3)], 1.5),
        (SQUARE, [(0, 1, 2, 3), (0, 1), (0, 1, 2)], 1.5),
        (NOTCH, [(0, 1, 2, 3, 4)], 2.5),
        ([*SQUARE, (np.nan, 0, 0)], [(0, 1, 2, 3)], 1),
    ],
    ids=["triangles", "mixed", "a line among them", "notch", "unused nan"],
)
def test_a_mesh_has_its_area(vertices, polygons, expected, encoding):
    assert area(read_ply(ply(vertices, polygons, encoding))) == pytest.approx(expected, rel=1e-12)


@EACH
def test_strips_of_triangles_are_read(encoding):
    strips = [(0, 1, 3, 2, -1, 0, 1, 2, -1), (0, 1)]
    order, head = ORDERS[encoding], ["element vertex 4", *XYZ, "element tristrips 2", "property list int int vertex_indices"]
    body = b"".join(packed(order, ("f", vertex)) for vertex in SQUARE)
    body += b"".join(packed(order, ("i", [len(strip), *strip])) for strip in strips)
    if not order:
        body = "".join(" ".join(map(str, row)) + "\n" for row in [*SQUARE, *((len(s), *s) for s in strips)]).encode()
    mesh = read_ply(header(*head, encoding=encoding) + body)
    assert area(mesh) == 1.5
    normals = np.cross(*(np.diff(mesh.vertices[mesh.faces], axis=1).swapaxes(0, 1)))
    assert (normals[:2, 2] > 0).all()


@EACH
def test_vertices_alone_are_points(encoding):
    assert read_ply(ply(SQUARE, [], encoding)).tolist() == [list(map(float, vertex)) for vertex in SQUARE]


BINARY, TEXT = ply(SQUARE, [(0, 1, 2, 3)]), ply(SQUARE, [(0, 1, 2, 3)], "ascii")


@pytest.mark.parametrize(
    ("data", "code", "sentence"),
    [
        (b"plx\n", "header", "does not begin with a line ply"),
        (
            BINARY.replace(b"format binary_little_endian 1.0", b"format binary 1.0"),
            "header",
            "line 2: format binary 1.0, expected",
        ),
        (BINARY.replace(b"property float y", b"property real y"), "header", "line 5: property real y, expected"),
        (BINARY.replace(b"property float y\n", b""), "not-supported", "its vertices have x, z; expected x, y and z"),
        (BINARY.replace(CORNERS.encode(), b"property int n"), "not-supported", "its faces have no list vertex_indices"),
        (BINARY.replace(b"element vertex 4", b"element point 4"), "header", "has no element vertex"),
        (BINARY.replace(b"face 1", b"face 2"), "truncated", "ends in its face 2 of 2"),
        (BINARY.replace(b"vertex 4", b"vertex 40"), "truncated", "ends in its vertex 6 of 40"),
        (
            ply(SQUARE, [(0, 1, 2)] * 3).replace(b"face 3", b"face 1"),
            "count-mismatch",
            "its header says 1 of face, and 26 bytes",
        ),
        (TEXT.replace(b"face 1", b"face 0"), "count-mismatch", "its header says 0 of face, and numbers follow"),
        (TEXT.replace(b"0 1 2 3\n", b"0 1 2 9\n"), "face", "face 0: refers to vertex 9; there are 4, counted from 0"),
        (TEXT.replace(b"0 1 2 3\n", b"0 1 2 -1\n"), "face", "face 0: refers to vertex -1; there are 4"),
        (TEXT.replace(b"0 1 2 3\n", b"0 1 2 1.5\n"), "face", "face 0: refers to vertex 1.5"),
        (TEXT.replace(b"1 1 0", b"1 x 0"), "number", "line 12: 1 x 0, expected numbers"),
        (TEXT.replace(b"1 1 0", b"1 inf 0"), "non-finite", "vertex 2: (1.0, inf, 0.0) is not finite"),
        (
            ply(SQUARE, [(0, 1), (1, 2), (0, 1, 2)], "ascii").replace(b"2 0 1\n2", b"2 0\n1 2"),
            "face",
            "line 14: 2 0, expected",
        ),
        (ply(SQUARE, [(0, 1)]) + b"rest", "face", "has faces of fewer than three corners, and 4 bytes behind the last"),
    ],
)
def test_a_faulty_file_says_what_is_there(data, code, sentence):
    with pytest.raises(BadFile) as bad:
        read_ply(data)
    assert (bad.value.code, sentence in bad.value.sentence) == (code, True), bad.value.sentence


def test_a_count_below_zero_is_refused():
    data = header("element vertex 1", *XYZ, "element face 1", "property list char int vertex_indices")
    with pytest.raises(BadFile, match="face 0: a list of -1 numbers"):
        read_ply(data + bytes(12) + struct.pack("<b", -1))
