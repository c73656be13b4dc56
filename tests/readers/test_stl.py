"""STL files: binary where they are as long as they say, otherwise whole facets in words."""

import struct

import pytest

from perceiver_jax.readers import BadFile
from perceiver_jax.readers.stl import read_stl
from tests.readers.mesh_files import area, stl, stl_text

SQUARE = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)]
BINARY, TEXT = stl(SQUARE, [(0, 1, 2, 3)]), stl_text(SQUARE, [(0, 1, 2, 3)])


@pytest.mark.parametrize(
    "data",
    [
        BINARY,
        b"solid part".ljust(80) + BINARY[80:],
        BINARY + b"trailer",
        BINARY + bytes(100),
        BINARY + b"exported by hand, " * 9,
        BINARY + b"x" * 50,
        TEXT,
        TEXT.upper(),
        TEXT.replace(b"solid a", b"solid a vertex of facet 1 2 3"),
        TEXT.replace(b"endfacet\nfacet", b"endfacet\nendsolid a\nsolid b\nfacet"),
        b"\xef\xbb\xbf" + TEXT.replace(b"\n", b"\r"),
        TEXT + b"trailer",
    ],
    ids=(
        "binary, solid header, bytes behind, zeros behind, words behind, fifty letters behind, text, upper case, names, "
        "two solids, BOM and CR, text and bytes behind"
    ).split(", "),
)
def test_a_mesh_has_its_area(data):
    assert area(read_stl(data)) == 1


@pytest.mark.parametrize(
    ("data", "code", "sentence"),
    [
        (BINARY[:-1], "truncated", "its header says 2 triangles, the file has 1"),
        (BINARY[:80] + struct.pack("<I", 1) + BINARY[84:], "count-mismatch", "its header says 1 triangles, the file has 2"),
        (BINARY[:80] + struct.pack("<I", 1) + BINARY[84:] + b"abc", "count-mismatch", "its header says 1 triangles"),
        (BINARY[:80] + struct.pack("<I", 2**32 - 1) + BINARY[84:], "truncated", "its header says 4,294,967,295 triangles"),
        (bytes(84), "no-faces", "its header says 0 triangles"),
        (BINARY[:96] + struct.pack("<f", float("nan")) + BINARY[100:], "non-finite", "triangle 1: (nan, 0.0, 0.0) is not"),
        (b"solid a\nendsolid a\n", "no-faces", "has no facets"),
        (TEXT.replace(b"endsolid a", b""), "truncated", "ends without endsolid"),
        (TEXT.replace(b"vertex 0 0 0\n", b"", 1), "face", "line 2: facet normal 0 0 0"),
        (TEXT.replace(b"vertex 1 0 0\n", b"vertex 1 0 0\nvertex 1 0 0\n"), "face", "expected a facet of three vertices"),
        (TEXT.replace(b"1 0 0", b"1 0 x"), "face", "line 2: facet normal 0 0 0"),
        (TEXT.replace(b"1 0 0", b"1 0 inf"), "non-finite", "facet 1: (1.0, 0.0, inf) is not finite"),
        (TEXT + TEXT[8:], "truncated", "no solid is open"),
    ],
)
def test_a_faulty_file_says_what_is_there(data, code, sentence):
    with pytest.raises(BadFile) as bad:
        read_stl(data)
    assert (bad.value.code, sentence in bad.value.sentence) == (code, True), bad.value.sentence
