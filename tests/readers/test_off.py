"""OFF files: read as they are found, refused by line."""

import time

import numpy as np
import pytest

from perceiver_jax.readers import BadFile
from perceiver_jax.readers.off import read_off
from perceiver_jax.readers.text_lines import MAX_LINE_BYTES

VERTICES = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
FACES = [(0, 1, 2), (0, 1, 3), (0, 2, 3), (1, 2, 3)]
LINES = [" ".join(map(str, v)) for v in VERTICES] + [" ".join(map(str, (3, *f))) for f in FACES]
BODY = "\n".join(LINES) + "\n"
PLAIN = "OFF\n4 4 0\n" + BODY


def replaced(line, text):
    """The plain file with another text in one of its lines, counted from 1."""
    lines = PLAIN.splitlines()
    lines[line - 1] = text
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        "OFF4 4 0\n" + BODY,
        "OFF 4 4 0\n" + BODY,
        "OFF\n4 4\n" + BODY,
        PLAIN.rstrip("\n"),
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("\n", "\r"),
        PLAIN.replace(" ", "\t"),
        PLAIN.replace("\n", "  \n"),
        PLAIN.replace("\n", "\n\n"),
        PLAIN.replace("\n", " # a remark, 1 2 3\n"),
        "# made by hand\n\n" + PLAIN.replace("\n", "\n# 5 5 5\n"),
        "\ufeff" + PLAIN,
        PLAIN.lower(),
        PLAIN.replace("1", "1.0e0").replace("3 0", "3.0 0"),
    ],
    ids=(
        "plain, glued header, counts behind the header, no edges, no final newline, CR LF, CR, tabs, trailing blanks, "
        "blank lines, remarks, lines of remarks, BOM, lower case, exponents"
    ).split(", "),
)
def test_every_way_of_writing_a_mesh_is_read_alike(text):
    mesh = read_off(text.encode())
    np.testing.assert_array_equal(mesh.vertices, np.array(VERTICES, float))
    np.testing.assert_array_equal(mesh.faces, FACES)


@pytest.mark.parametrize(
    ("header", "rest"),
    [
        ("COFF", " 255 0 0"),
        ("COFF", " 0.5 0.5 0.5 1"),
        ("NOFF", " 0 0 1"),
        ("CNOFF", " 0 0 1 9 9 9 9"),
        ("STOFF", " 0.5 0.5"),
        ("coff", " 1 2 3"),
    ],
)
def test_colours_normals_and_texture_are_skipped(header, rest):
    vertices = "".join(f"{line}{rest}\n" for line in LINES[:4])
    mesh = read_off((f"{header}\n4 4 0\n{vertices}" + "\n".join(LINES[4:])).encode())
    np.testing.assert_array_equal(mesh.vertices, np.array(VERTICES, float))
    np.testing.assert_array_equal(mesh.faces, FACES)


@pytest.mark.parametrize("colour", [" 7", " 255 0 0", " 0.1 0.2 0.3 1"])
def test_colours_of_faces_are_skipped(colour):
    text = "OFF\n4 4 0\n" + "\n".join(LINES[:4] + [line + colour for line in LINES[4:]])
    np.testing.assert_array_equal(read_off(text.encode()).faces, FACES)


def test_polygons_become_fans():
    text = "OFF\n5 2 0\n" + "0 0 0\n1 0 0\n1 1 0\n0 1 0\n0 0 9\n" + "5 0 1 2 3 4\n3 4 3 2\n"
    assert read_off(text.encode()).faces.tolist() == [[4, 3, 2], [0, 1, 2], [0, 2, 3], [0, 3, 4]]


def test_a_face_of_a_thousand_corners_is_read():
    vertices = "".join(f"{np.cos(a)} {np.sin(a)} 0\n" for a in np.linspace(0, 6, 1000))
    text = f"OFF\n1000 1 0\n{vertices}1000 {' '.join(map(str, range(1000)))}\n"
    assert read_off(text.encode()).faces.shape == (998, 3)


def test_a_mesh_without_faces_is_read():
    assert read_off(b"OFF 2 0 0\n0 0 0\n1 1 1\n").faces.shape == (0, 3)


@pytest.mark.parametrize("value", ["1e11", "-1e11", "1e30", "1e-30", "1e-320"])
def test_large_and_small_coordinates_are_read_exactly(value):
    assert read_off(replaced(4, f"{value} 0 0").encode()).vertices[1, 0] == float(value)


@pytest.mark.parametrize(
    ("text", "code", "sentence"),
    [
        ("", "no-vertices", "has no bytes"),
        (" \n\n", "no-vertices", "is blank"),
        ("# nothing\n", "no-vertices", "holds nothing but comments"),
        ("OFF\n", "no-vertices", "ends after its header"),
        ("OFF\n0 0 0\n", "no-vertices", "line 2: counts 0 vertices"),
        ("4OFF\n4 4 0\n", "off-variant", "4OFF: is not three-dimensional"),
        ("nOFF\n3\n4 4 0\n", "off-variant", "nOFF: is not three-dimensional"),
        ("OFF BINARY\n4 4 0\n", "off-variant", "is binary"),
        ("OFF\n\0\0\0\4\0\0\0\4", "off-variant", "is binary"),
        ("ply\nformat ascii 1.0\n", "off-variant", "does not begin with OFF"),
        ("<!DOCTYPE html><html>404", "off-variant", "looks like a web page: the download failed"),
        (replaced(2, "-4 4 0"), "counts", "line 2: counts -4 4 0, expected whole numbers"),
        (replaced(2, "4.5 4 0"), "counts", "line 2: counts 4.5 4 0, expected whole numbers"),
        (replaced(2, "4"), "counts", "line 2: counts 4, expected whole numbers"),
        (replaced(2, "4 4 0 0"), "counts", "line 2: counts 4 4 0 0, expected whole numbers"),
        (replaced(2, "1000000000000 4 0"), "counts", "line 2: counts 1000000000000 4 0, at most 50,000,000 are read"),
        (replaced(2, "4 50000001 0"), "counts", "at most 50,000,000 are read"),
        (replaced(2, f"4 {'9' * 5000} 0"), "counts", "at most 50,000,000 are read"),
        (replaced(2, "5 4 0"), "count-mismatch", "line 10: the last of 8, expected 5 vertices and 4 faces"),
        (replaced(2, "50000000 4 0"), "count-mismatch", "line 10: the last of 8, expected 50,000,000 vertices"),
        ("OFF\n4 4 0\n", "count-mismatch", "ends after its counts"),
        (PLAIN + "\n3 0 1 2\n", "count-mismatch", "line 12: one too many, expected 4 vertices and 4 faces"),
        (replaced(2, "3 5 0"), "face", "line 6: 0 0 1, expected the number of corners"),
        (replaced(4, "nan 0 0"), "vertex", "line 4: nan 0 0, expected finite numbers"),
        (replaced(4, "0 -inf 0"), "vertex", "line 4: 0 -inf 0, expected finite numbers"),
        (replaced(4, "0 0 1e400"), "vertex", "line 4: 0 0 1e400, expected finite numbers"),
        (replaced(4, "1,5 0 0"), "vertex", "line 4: 1,5 0 0, expected numbers"),
        (replaced(4, "1_5 0 0"), "vertex", "line 4: 1_5 0 0, expected numbers"),
        (replaced(4, "0 0"), "vertex", "line 4: 0 0, expected 3 numbers"),
        (replaced(4, "0 0 0 0 0"), "vertex", "line 4: 0 0 0 0 0, expected 3 numbers"),
        (replaced(7, "3 0 1 -1"), "face", "line 7: 3 0 1 -1, expected corners from 0 to 3"),
        (replaced(7, "3 0 1 4"), "face", "line 7: 3 0 1 4, expected corners from 0 to 3"),
        (replaced(7, "3 0 1 1000000000"), "face", "line 7: 3 0 1 1000000000, expected corners from 0 to 3"),
        (replaced(7, "3 0 1 1.5"), "face", "line 7: 3 0 1 1.5, expected corners from 0 to 3"),
        (replaced(7, "3 0 1 nan"), "face", "line 7: 3 0 1 nan, expected corners from 0 to 3"),
        (replaced(7, "3 0 1 x"), "face", "line 7: 3 0 1 x, expected numbers"),
        (replaced(7, "2 0 1"), "face", "line 7: 2 0 1, expected the number of corners, 3 or more"),
        (replaced(7, "4 0 1 2"), "face", "line 7: 4 0 1 2, expected the number of corners"),
        (replaced(7, "1000 0 1 2"), "face", "line 7: 1000 0 1 2, expected the number of corners"),
        (replaced(7, "1e300 0 1 2"), "face", "line 7: 1e300 0 1 2, expected the number of corners"),
        (replaced(7, "nan 0 1 2"), "face", "line 7: nan 0 1 2, expected the number of corners"),
        (replaced(7, "3 0 1"), "face", "line 7: 3 0 1, expected the number of corners"),
        (replaced(4, "0 0 \x1b[31m"), "vertex", r"line 4: 0 0 \x1b[31m, expected numbers"),
        (replaced(4, "0" * (MAX_LINE_BYTES + 1)), "line-too-long", "line 4: is longer than 1,000,000 bytes"),
        ("0" * (MAX_LINE_BYTES + 1), "line-too-long", "line 1: is longer than 1,000,000 bytes"),
    ],
    ids=range(45),
)
def test_a_faulty_file_has_a_code_and_names_the_line(text, code, sentence):
    with pytest.raises(BadFile) as bad:
        read_off(text.encode())
    assert (bad.value.code, sentence in bad.value.sentence) == (code, True), bad.value.sentence


@pytest.mark.parametrize("unused", ["nan nan nan", "inf 0 0", "1e400 0 0"])
def test_a_vertex_that_no_face_has_is_anything(unused):
    text = f"OFF\n5 4 0\n{unused}\n" + "\n".join(LINES[:4]) + "\n3 1 2 3\n3 1 2 4\n3 1 3 4\n3 2 3 4\n"
    np.testing.assert_array_equal(read_off(text.encode()).vertices[1:], np.array(VERTICES, float))


@pytest.mark.parametrize(
    "text",
    [
        "OFF 4 4 0 " + BODY.replace("\n", " "),
        "OFF\n4\n4\n0\n" + BODY.replace(" ", "\n"),
        PLAIN.replace("0 0 0\n1", "0 0 0 1").replace("1 3\n3", "1 3 3"),
        "OFF 4 4 0\n" + " ".join(LINES[:4]) + "\n" + "\n".join(f"{line} 9 9 9" for line in LINES[4:]),
        "OFF 4 4 0\n" + " ".join(LINES[:4]) + "\n" + "\n".join(line.replace(" ", "\n", 1) + " 7" for line in LINES[4:]),
    ],
    ids=["one line", "a number a line", "two a line", "vertices on a line, colours", "faces on two lines, colours"],
)
def test_numbers_lie_on_lines_as_they_like(text):
    mesh = read_off(text.encode())
    np.testing.assert_array_equal(mesh.vertices, np.array(VERTICES, float))
    np.testing.assert_array_equal(mesh.faces, FACES)


def test_lines_are_counted_with_those_that_are_blank_or_remarks():
    text = replaced(4, "nan 0 0").replace("OFF\n", "# remark\n\nOFF\n# another\n")
    with pytest.raises(BadFile, match=r"^line 7: nan 0 0"):
        read_off(text.encode())


def test_cut_anywhere_a_file_is_refused_or_says_the_same():
    data = PLAIN.encode()
    for end in range(len(data) - len("3\n")):
        with pytest.raises(BadFile):
            read_off(data[:end])


def test_damage_anywhere_is_not_another_error():
    rng = np.random.default_rng(0)
    for _ in range(400):
        data = bytearray(PLAIN.encode())
        for place in rng.integers(len(data), size=3):
            data[place] = rng.integers(256)
        try:
            mesh = read_off(bytes(data))
        except BadFile:
            continue
        assert np.isfinite(mesh.vertices).all()
        assert mesh.faces.size == 0 or (mesh.faces.min() >= 0 and mesh.faces.max() < len(mesh.vertices))


def test_a_large_file_is_read_in_seconds():
    rng = np.random.default_rng(0)
    vertices = "".join(f"{x:.5f} {y:.5f} {z:.5f}\n" for x, y, z in rng.normal(size=(100_000, 3)).tolist())
    faces = "".join(f"3 {a} {b} {c}\n" for a, b, c in rng.integers(100_000, size=(100_000, 3)).tolist())
    data = f"OFF100000 100000 0\n{vertices}{faces}".encode()
    start = time.perf_counter()
    mesh = read_off(data)
    assert time.perf_counter() - start < 10  # 0.3 s on an idle core
    assert mesh.vertices.shape == mesh.faces.shape == (100_000, 3)
