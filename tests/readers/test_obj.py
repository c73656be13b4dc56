"""OBJ files: the area that they have, whatever is written beside it, or refused with the line."""

import pytest

from perceiver_jax.readers import BadFile
from perceiver_jax.readers.obj import read_obj
from tests.readers.mesh_files import area

SQUARE = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SQUARE + "f 1 2 3 4\n", 1),
        (SQUARE.replace("v ", "v\t") + "f\t1\t2 3 4\n", 1),
        (SQUARE + "f 1 2 3 4 # quad\n", 1),
        (SQUARE + "f 1 2 \\\n3 4\n", 1),
        (SQUARE + "f -4 -3 -2 -1\n", 1),
        ("v 0 0 0\nv 1 0 0\nv 1 1 0\nf -3 -2 -1\nv 10 0 0\nv 11 0 0\nv 11 1 0\nf -3 -2 -1\n", 1),
        ("f 1 2 3 4\n" + SQUARE, 1),
        (SQUARE + "f 1/9 2/9/9 3//9 4/\n", 1),
        (SQUARE + "o a\ng b c\ns off\nusemtl v\nf 1 2 3\ng d\nf 1 3 4\nl 1 2 3\np 1\n", 1),
        (SQUARE.replace("0\n", "0 0.5 0.5 0.5\n") + "f 1 2 3 4\n", 1),
        (SQUARE.replace("0\n", "0 1.0\n") + "f 1 2 3 4\n", 1),
        ("v nan nan nan\n" + SQUARE + "f 2 3 4 5\n", 1),
        (SQUARE + "f 1 2 3 4\nf 1 2\nf 3\nf\n", 1),
        ("v 0 0 0\nv 2 0 0\nv 2 2 0\nv 1 0.5 0\nv 0 2 0\nf 1 2 3 4 5\n", 2.5),
        ("v 0 0 0\nv 2 1 0\nv 0 2 0\nv 1 1 0\nf 1 2 3 4\n", 1),
        ("v 0 0 0\nv 2 1 0\nv 0 2 0\nv 1 1 0\nf 2 3 4 1\n", 1),
    ],
    ids=(
        "plain, tabs, remark behind, continued, counted back, blocks counted back, faces first, slashes, groups, colours, "
        "weights, unused nan, short faces, notch, dart, dart turned"
    ).split(", "),
)
def test_a_mesh_has_its_area(text, expected):
    assert area(read_obj(text.encode())) == pytest.approx(expected, rel=1e-12)


def test_faces_counted_back_begin_with_the_vertices_above_them():
    mesh = read_obj(b"v 0 0 0\nv 1 0 0\nv 1 1 0\nf -3 -2 -1\nv 10 0 0\nv 11 0 0\nv 11 1 0\nf -3 -2 -1\n")
    assert mesh.faces.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_vertices_alone_are_points():
    assert read_obj(SQUARE.encode()).tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]


@pytest.mark.parametrize(
    ("text", "code", "sentence"),
    [
        (SQUARE + "f 1 2 5\n", "face", "line 5: f 1 2 5, expected vertices from 1 to 4"),
        (SQUARE + "f 1 2 -5\n", "face", "line 5: f 1 2 -5, expected vertices from 1 to 4"),
        (SQUARE + "f 0 1 2\n", "face", "line 5: f 0 1 2, expected vertices from 1 to 4"),
        ("v 0 0 0\nf -1 -1 -2\nv 1 1 1\n", "face", "line 2: f -1 -1 -2, expected vertices from 1 to 2"),
        (SQUARE + "f 1 2 x\n", "face", "line 5: f 1 2 x, expected numbers of vertices"),
        (SQUARE + "f 1/x 2 3\n", "face", "line 5: f 1/x 2 3, expected numbers of vertices"),
        (SQUARE + "f 1/1/1/1 2 3\n", "face", "line 5: f 1/1/1/1 2 3, expected numbers of vertices"),
        (SQUARE + "f 1 2 1.5\n", "face", "line 5: f 1 2 1.5, expected vertices from 1"),
        ("v 0 0\n", "vertex", "line 1: v 0 0, expected 3, 4, 6 or 7 numbers"),
        ("# a\n\nv 0 0 x\n", "vertex", "line 3: v 0 0 x, expected numbers"),
        ("v 0 0 inf\n" + SQUARE + "f 1 2 3\n", "non-finite", "line 1: (0.0, 0.0, inf) is not finite"),
        ("v 0 \\\n0 \\\n0\nv 0 1\n", "vertex", "line 4: v 0 1, expected"),
        (SQUARE + "surf 0 1 0 1 1 2 3 4\n", "not-supported", "has free-form surfaces (surf); faces (f) are read"),
        ("call other.obj 1\n", "not-supported", "has shapes of another file (call)"),
    ],
)
def test_a_faulty_file_names_the_line(text, code, sentence):
    with pytest.raises(BadFile) as bad:
        read_obj(text.encode())
    assert (bad.value.code, sentence in bad.value.sentence) == (code, True), bad.value.sentence
