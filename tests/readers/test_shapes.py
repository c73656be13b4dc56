"""Users' shapes: every format is read as points, and every file without any is refused with the reason."""

import io
import os
import pickle
import sys
import zipfile

import numpy as np
import pytest

from perceiver_jax.readers import BadFile, limits, shapes
from perceiver_jax.readers.shapes import SUFFIXES, read_points, read_well_spread
from perceiver_jax.readers.text_lines import MAX_LINE_BYTES
from tests.readers import mesh_files
from tests.readers.mesh_files import BOX, SIDES, box, glb

POINTS = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
SQUARE = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\n"
MESHES = ("off", "obj", "ply", "stl", "glb")


def npy(array, **options):
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def npz(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def header(shape, dtype="<f4"):
    """An .npy file that ends after its header."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"shape": shape, "fortran_order": False, "descr": dtype})
    return file.getvalue()


def nearest(points):
    """Of each point the distance to the nearest other one."""
    distances = np.linalg.norm(points[:, None] - points, axis=2)
    return np.where(np.eye(len(points)), np.inf, distances).min(axis=1)


def refused(data, suffix):
    with pytest.raises(BadFile) as bad:
        read_points(data, suffix, 4, "z")
    return bad.value.code, bad.value.sentence


@pytest.mark.parametrize("kind", MESHES)
def test_points_of_a_mesh_are_on_its_surface_all_over(kind):
    points = read_points(box(kind, (4, 4, 4)), f".{kind}", 2000, "z")
    assert (points.shape, points.dtype) == ((2000, 3), np.float32)
    on_side = np.isclose(np.abs(points), 2, atol=1e-6)  # their size is kept, their middle is the origin
    assert on_side.any(axis=1).all()
    sides = [(on_side[:, axis] & (points[:, axis] * sign > 0)).sum() for axis in range(3) for sign in (-1, 1)]
    assert min(sides) > 2000 / 6 * 0.8


@pytest.mark.parametrize("kind", MESHES)
def test_the_same_file_gives_the_same_points_and_another_others(kind):
    data = box(kind)
    other = box(kind, (1, 1, 1.001))
    assert (read_points(data, f".{kind}", 50, "z") == read_points(data, f".{kind.upper()}", 50, "z")).all()
    assert (read_points(data, f".{kind}", 50, "z") != read_points(other, f".{kind}", 50, "z")).any()


def test_the_first_points_of_a_mesh_are_a_uniform_sample_too():
    flat = np.array([0.0, 1, 1]) * read_points(box("stl"), ".stl", 512, "z", density=16)
    assert len(flat) == 16 * 512
    assert np.abs(flat[:512].mean(axis=0) - flat.mean(axis=0)).max() < 4 * flat.std() / 512**0.5


def test_well_spread_points_fill_the_unit_cube_without_holes_or_heaps():
    data = box("stl", (4, 4, 4))
    spread, uniform = read_well_spread(data, ".STL", 256, "z"), read_points(data, ".stl", 256, "z") / 2
    assert (spread.shape, spread.dtype) == ((256, 3), np.float32)
    assert np.isclose(np.abs(spread).max(axis=1), 1).all()
    assert nearest(spread).min() > 10 * nearest(uniform).min()
    np.testing.assert_array_equal(read_well_spread(data, ".stl", 256, "z"), spread)


@pytest.mark.parametrize(("count", "distinct"), [(5, 5), (63, 63), (65, 64), (320, 64), (5000, 64)])
def test_points_of_a_file_are_thinned_or_repeated(count, distinct):
    given = np.random.default_rng(0).normal(size=(count, 3)).astype(np.float32)
    points = read_well_spread(npy(given), ".npy", 64, "z")
    assert points.shape == (64, 3)
    assert len(np.unique(points, axis=0)) == distinct
    assert {tuple(point) for point in points.tolist()} <= {tuple(point) for point in given.tolist()}


def test_a_scene_is_the_union_of_its_meshes_where_they_stand():
    arrays = np.array(BOX, "<f4"), np.array(mesh_files.triangles(SIDES), "<u2").ravel()
    nodes = [{"mesh": 0, "translation": [9, 0, 0]}, {"mesh": 0}]
    made = mesh_files.document(*arrays, nodes=nodes, scenes=[{"nodes": [0, 1]}])
    points = read_points(glb(*made), ".glb", 1000, "z")
    assert np.abs(points[:, 0]).max() > 0.99
    assert np.abs(points[:, 0]).min() > 0.79  # ten long, with nothing between two boxes of one
    assert 400 < (points[:, 0] > 0).sum() < 600


def test_polygons_are_whole():
    points = read_points(f"{SQUARE}f 1 2 3 4\n".encode(), ".obj", 1000, "z")
    quadrants = np.unique(np.sign(points[:, 0] - points[:, 1]), return_counts=True)[1]
    assert min(quadrants) > 400


@pytest.mark.parametrize("encoding", mesh_files.ORDERS)
def test_a_ply_file_without_faces_is_a_cloud(encoding):
    data = mesh_files.ply(POINTS.tolist(), [], encoding)
    np.testing.assert_allclose(read_points(data, ".ply", 5, "z"), POINTS, atol=1e-6)


TEXTS = {
    "blanks": (".xyz", " ", ""),
    "tabs": (".txt", "\t", ""),
    "commas": (".csv", ",", ""),
    "commas and blanks": (".txt", " , ", ""),
    "comments": (".xyz", " ", "# x y z, made by hand\n\n"),
    "count": (".pts", " ", "5\n"),
    "comment and count": (".pts", " ", "# five\n5\n"),
    "no count": (".pts", " ", ""),
}


@pytest.mark.parametrize(("suffix", "separator", "start"), TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
def test_lines_of_text_are_points(suffix, separator, start, end):
    rows = [separator.join(map(repr, (*row, 0.5, 255))) + "  # a point" for row in POINTS.astype(float).tolist()]
    text = "\ufeff" + start + "\n".join(rows)
    assert (read_points(text.replace("\n", end).encode(), suffix, 5, "z") == POINTS).all()


ARRAYS = {
    "float32": npy(POINTS),
    "float64": npy(POINTS.astype(np.float64)),
    "big endian": npy(POINTS.astype(">f8")),
    "Fortran order": npy(np.asfortranarray(POINTS)),
    "normals too": npy(np.hstack([POINTS, POINTS])),
}


@pytest.mark.parametrize("data", ARRAYS.values(), ids=ARRAYS)
def test_an_array_of_any_layout_is_its_points(data):
    assert (read_points(data, ".npy", 5, "z") == POINTS).all()


@pytest.mark.parametrize("rows", [3, 6])
def test_an_array_with_a_point_a_column_is_turned(rows):
    points = np.random.default_rng(0).normal(size=(2048, rows)).astype(np.float32)
    for array in (points.T, np.asfortranarray(points.T)):
        found = read_points(npy(array), ".npy", 2048, "z")
        np.testing.assert_array_equal(found, points[:, :3])


@pytest.mark.parametrize(
    ("suffix", "heading", "columns"),
    [
        (".csv", "x,y,z", "xyz"),
        (".csv", "X , Y , Z", "xyz"),
        (".csv", '"label","z","y","x"', "lzyx"),
        (".csv", "nx,ny,nz,x,y,z", "lllxyz"),
        (".csv", ",x,y,z", "lxyz"),
        (".csv", '"","z","y","x"', "lzyx"),
        (".txt", "//X Y Z", "xyz"),
        (".xyz", "a b c", "xyz"),
        (".csv", "x;y;z", "xyz"),
    ],
)
def test_a_heading_says_which_columns_are_the_point(suffix, heading, columns):
    separator = next((mark for mark in ",;" if mark in heading), " ")
    rows = [dict(zip("xyz", map(repr, row), strict=True)) | {"l": "7"} for row in POINTS.astype(float).tolist()]
    text = "\n".join([heading, *(separator.join(row[column] for column in columns) for row in rows)])
    assert (read_points(text.encode(), suffix, 5, "z") == POINTS).all()


@pytest.mark.parametrize("suffix", [".obj", ".ply", ".stl", ".npy", ".xyz"])
def test_what_is_up_in_other_files_is_up_here(suffix):
    high = [(0, 0, 0), (1, 0, 0), (1, 5, -2), (0, 5, -2)]
    writers = {
        ".npy": lambda: npy(np.array(high, float)),
        ".xyz": lambda: mesh_files.lines(high).encode(),
    } | {f".{kind}": lambda write=write: write(high, [(0, 1, 2, 3)]) for kind, write in mesh_files.WRITERS.items()}
    found = {vertical: shapes.read_shape(writers[suffix](), suffix, vertical) for vertical in ("z", "y")}
    as_it_is, turned = (getattr(shape, "vertices", shape) for shape in found.values())
    assert np.ptp(as_it_is, axis=0).tolist() == [1, 5, 2]
    assert np.ptp(turned, axis=0).tolist() == [1, 2, 5]
    np.testing.assert_array_equal(turned, as_it_is @ [[1, 0, 0], [0, 0, 1], [0, -1, 0]])  # turned, not mirrored


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"<!DOCTYPE html><html>404", "web-page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "pointer"),
        (b"../../more/box.ply", "stored-link"),
        (b"box 2.obj\n", "stored-link"),
    ],
)
def test_what_stands_for_a_file_is_told_as_that(data, code, suffix):
    assert refused(data, suffix)[0] == code


@pytest.mark.parametrize("names", [("anything",), ("normals", "points"), ("labels", "pos"), ("colours", "xyz")])
def test_the_points_among_other_arrays_are_found_by_name(names):
    arrays = {name: np.zeros(7) for name in names[:-1]} | {names[-1]: POINTS}
    assert (read_points(npz(**arrays), ".npz", 5, "z") == POINTS).all()


def test_too_few_points_are_repeated_in_their_order():
    assert (read_points(npy(POINTS), ".npy", 12, "z") == POINTS[[0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1]]).all()


def test_of_many_points_all_are_kept_and_the_first_are_of_everywhere():
    line = np.linspace(0, 1, 1000)[:, None] * np.ones(3)
    points = read_points(npy(line), ".npy", 100, "z")
    assert (np.sort(points[:, 0]) == line[:, 0].astype(np.float32)).all()
    assert abs(points[:100].mean() - 0.5) < 0.1
    assert (points == read_points(npy(line), ".npy", 50, "z")).all()


@pytest.mark.parametrize("shift", [1e8, -1e15, 1e300])
def test_a_shape_far_away_keeps_its_form(shift):
    far = POINTS.astype(np.float64) * 1e-6 * abs(shift) + shift
    points = read_points(npy(far), ".npy", 5, "z")
    spread = np.ptp(POINTS, axis=0)
    np.testing.assert_allclose(np.ptp(points, axis=0) / np.ptp(points), spread / np.ptp(POINTS), rtol=0.2)
    assert np.isfinite(points).all()


class Evil:
    def __reduce__(self):
        return os.mkdir, ("was_executed",)


def with_member(data):
    """A zip file of one file."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("points.npy", data)
    return file.getvalue()


OBJECTS = npy(np.array([Evil()], object), allow_pickle=True)
PICKLES = {
    "npy with objects": (".npy", OBJECTS),
    "npz with objects": (".npz", with_member(OBJECTS)),
    "pickle named npy": (".npy", pickle.dumps(Evil())),
    "pickle named npz": (".npz", pickle.dumps(Evil())),
}


@pytest.mark.parametrize(("suffix", "data"), PICKLES.values(), ids=PICKLES)
def test_python_objects_are_never_loaded(suffix, data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert refused(data, suffix) == ("python-objects", "contains Python objects, which are never loaded")
    assert os.listdir(tmp_path) == []


def test_a_header_that_claims_more_than_there_is_allocates_nothing(monkeypatch):
    claim = (4_000_000, 3)
    assert refused(header(claim) + b"12345678", ".npy") == ("truncated", "header says 48,000,000 bytes, file has 8")
    assert refused(with_member(header(claim) + b"12345678"), ".npz")[1] == "header says 48,000,000 bytes, file has 8"
    sentence = "holds 200,000,000,001 numbers; at most 50,000,000 are read"
    assert refused(header((66_666_666_667, 3)) + b"12345678", ".npy") == ("too-large", sentence)


PLY = "ply\nformat {} 1.0\nelement vertex {}\nproperty float x\nproperty float y\nproperty float z\nend_header\n"
NO_BUFFER = glb({"asset": {"version": "2.0"}, "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}]})
REFUSED = {
    "decimal commas": (".csv", b"1,5;2,5;3\n4,5;1;2\n", "number", "line 1: '1,5' has a decimal comma; points are read"),
    "a heading of two axes": (".csv", b"id,x,y\n1,2,3\n", "columns", "its columns are called id, x, y; expected x, y and z"),
    "no suffix": ("", b"hello", "format-not-allowed", "is without suffix; .off, .obj, .ply, "),
    "gltf": (".gltf", b"{}", "format-not-allowed", "is .gltf; "),
    "npy perhaps transposed": (".npy", npy(np.zeros((3, 5))), "transposed", "is (3, 5): 3 points of 5 numbers, or 5 points"),
    "npy of wide rows": (".npy", npy(np.zeros((20, 2048))), "array-shape", "expected float32 (n, 3), got <f8 (20, 2048)"),
    "npy longer": (".npy", npy(POINTS) + b"\1" * 24, "header", "header says 60 bytes, file has 84"),
    "npy of three axes": (".npy", npy(np.zeros((1, 9, 3))), "array-shape", "expected float32 (n, 3), got <f8 (1, 9, 3)"),
    "npy of two columns": (".npy", npy(np.zeros((9, 2))), "array-shape", "expected float32 (n, 3), got <f8 (9, 2)"),
    "npy complex": (".npy", npy(np.zeros((9, 3), complex)), "array-shape", "expected float32 (n, 3), got <c16 (9, 3)"),
    "npy of words": (".npy", npy(np.full((9, 3), "a")), "array-shape", "expected float32 (n, 3), got <U1 (9, 3)"),
    "npy without points": (".npy", npy(np.zeros((0, 3))), "no-points", "has no points"),
    "npy header cut": (".npy", npy(POINTS)[:40], "header", "its header cannot be read"),
    "npy body cut": (".npy", npy(POINTS)[:-1], "truncated", "header says 60 bytes, file has 59"),
    "npy nan": (".npy", npy(np.diag([1, np.nan, 1])), "non-finite", "row 1: (0.0, nan, 0.0) is not finite"),
    "npy is text": (".npy", b"1 2 3\n", "not-an-array", "does not begin as an .npy file"),
    "npz with no name": (".npz", npz(a=POINTS, b=POINTS), "which-array", "holds the arrays a, b; expected one, or one of"),
    "npz without arrays": (".npz", with_member(b"")[-22:].replace(b"\1", b"\0"), "damaged", "cannot be unpacked"),
    "npz cut": (".npz", npz(points=POINTS)[:-30], "damaged", "cannot be unpacked"),
    "npz flipped": (
        ".npz",
        npz(points=POINTS).replace(POINTS.tobytes(), bytes(60)),
        "damaged",
        "cannot be unpacked: Bad CRC",
    ),
    "text of two columns": (".xyz", b"1 2\n3 4\n", "columns", "line 1: 2 numbers, expected 3 to 16"),
    "text of many columns": (".xyz", b"1 " * 99, "columns", "line 1: 99 numbers, expected 3 to 16"),
    "text ragged": (".xyz", b"1 2 3\n\n4 5 6 7\n", "columns", "line 3: 4 numbers, expected 3 as on the first"),
    "text with a name": (".csv", b"1,2,3\n1,z,3\n", "number", "line 2: 'z' is not a number (a line starting"),
    "text of names": (".csv", b"x,y,z\n", "number", "line 1: 'x' is not a number (a line starting"),
    "text of other names": (
        ".csv",
        b"i,px,py,pz\n1,2,3,4\n",
        "columns",
        "its columns are called i, px, py, pz;",
    ),
    "text of decimal commas": (".txt", b"1,5 2,5 3,5\n", "number", "line 1: '5 2' is not a number"),
    "text with a hole": (".csv", b"1,2,3\n1,,2\n", "number", "line 2: '' is not a number"),
    "text with nan": (".xyz", b"# a\n1 2 3\n4 nan 6\n", "non-finite", "line 3: (4.0, nan, 6.0) is not finite"),
    "text of 1e400": (".xyz", b"1 2 3\n4 5 1e400\n", "non-finite", "line 2: (4.0, 5.0, inf) is not finite"),
    "text is binary": (".xyz", bytes(range(256)), "columns", "line 1: "),
    "text of comments": (".xyz", b"# nothing\n\n", "no-points", "has no points"),
    "pts count": (".pts", b"3\n1 2 3\n4 5 6\n", "count-mismatch", "counts 3 points, has 2"),
    "pts of none": (".pts", b"0\n", "no-points", "has no points"),
    "xyz with a count": (".xyz", b"2\n1 2 3\n4 5 6\n", "columns", "line 1: 1 numbers, expected 3 to 16"),
    "ply cut": (".ply", f"{PLY.format('ascii', 3)}1 2 3\n".encode(), "truncated", "ends in its vertex 2 of 3"),
    "ply cut, binary": (
        ".ply",
        f"{PLY.format('binary_little_endian', 3)}1 2 3\n".encode(),
        "truncated",
        "ends in its vertex 1 of 3",
    ),
    "ply of 10^12": (".ply", PLY.format("ascii", 10**12).encode(), "too-large", "holds 1,000,000,000,000 numbers"),
    "ply header": (".ply", b"ply\n", "truncated", "has no end_header"),
    "stl of noise": (".stl", bytes(range(200)), "truncated", "its header says 1,397,903,696 triangles, the file has 2"),
    "obj corner": (".obj", f"{SQUARE}f 1 2 9\n".encode(), "face", "line 5: f 1 2 9, expected vertices from 1 to 4"),
    "obj nan": (".obj", f"v 0 0 nan\n{SQUARE}f 1 2 3\n".encode(), "non-finite", "line 1: (0.0, 0.0, nan) is not finite"),
    "obj of a line": (".obj", b"v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n", "degenerate", "all faces have zero area"),
    "glb cut": (".glb", box("glb")[:-40], "truncated", "its header says "),
    "glb without its buffer": (".glb", NO_BUFFER, "damaged", "refers to number 0 of its 0 accessors"),
    "off": (".off", b"OFF\n1 0 0\n0 0 0\n", "no-faces", "has no faces"),
}


@pytest.mark.parametrize(("suffix", "data", "code", "start"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_a_shape_is_refused_with_the_reason(suffix, data, code, start):
    found, sentence = refused(data, suffix)
    assert (found, sentence[: len(start)]) == (code, start)


@pytest.mark.parametrize("suffix", [".xyz", ".txt", ".csv", ".pts"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
def test_a_line_of_text_has_a_length_that_can_be_kept(suffix, end):
    fits = end.join(["1 2 3", "#".ljust(MAX_LINE_BYTES), "4 5 6"]).encode()
    assert len(read_points(fits, suffix, 2, "z")) == 2
    too_long = end.join(["1 2 3", "4,5," * (MAX_LINE_BYTES // 4) + "6", "7 8 9"]).encode()
    assert refused(too_long, suffix) == ("line-too-long", "line 2: is longer than 1,000,000 bytes")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_without_bytes_is_refused(suffix):
    assert refused(b"", suffix)[0] == "empty-file"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_noise_is_refused_in_words(suffix):
    for seed in range(20):
        assert refused(np.random.default_rng(seed).bytes(seed * 13 + 1), suffix)[1]


def test_a_file_beyond_the_size_that_is_read_is_refused_unread(monkeypatch):
    monkeypatch.setattr(shapes, "MAX_BYTES", 10)
    assert refused(b"1 2 3\n4 5 6\n", ".xyz") == ("too-large", "has 12 bytes; at most 10 are read")


@pytest.mark.parametrize(("suffix", "data"), [(".xyz", b"1 2 3\n4 5 6\n"), (".npy", npy(POINTS)), (".obj", b"")])
def test_more_numbers_than_are_read_are_refused(suffix, data, monkeypatch):
    monkeypatch.setattr(limits, "MAX_NUMBERS", 5)
    assert refused(data or box("obj"), suffix)[0] == "too-large"


CORNERS = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], "<f4").tobytes() + np.array([0, 1, 2], "<u4").tobytes()
TRIANGLE = {
    "asset": {"version": "2.0"},
    "scenes": [{"nodes": [0]}],
    "nodes": [{"mesh": 0}],
    "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1, "material": 0}]}],
    "materials": [{"normalTexture": {"index": 0}}],
    "textures": [{"source": 0}],
    "images": [{"uri": "../x.png"}],
    "buffers": [{"byteLength": 48}],
    "bufferViews": [{"buffer": 0, "byteLength": 36}, {"buffer": 0, "byteOffset": 36, "byteLength": 12}],
    "accessors": [
        {"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3"},
        {"bufferView": 1, "componentType": 5125, "count": 3, "type": "SCALAR"},
    ],
}
REFERENCES = {
    "obj": (".obj", f"mtllib ../x\nmtllib x.mtl\nusemtl a\n{SQUARE}f 1 2 3\n".encode()),
    "glb image": (".glb", glb(TRIANGLE, CORNERS)),
}


@pytest.fixture
def opened(tmp_path, monkeypatch):
    """The paths that are opened, in a folder with what files could refer to."""
    for name in ("x", "x.mtl", "x.png", "x.bin"):
        (tmp_path / name).write_bytes(CORNERS)
        (tmp_path / "inner").mkdir(exist_ok=True)
        (tmp_path / "inner" / name).write_bytes(CORNERS)
    monkeypatch.chdir(tmp_path / "inner")
    read_points(f"{SQUARE}f 1 2 3\n".encode(), ".obj", 4, "z")  # imports what it needs
    read_points(box("glb"), ".glb", 4, "z")
    paths, watching = [], [True]

    def hook(event, arguments):
        if event == "open" and watching:
            paths.append(arguments[0])

    sys.addaudithook(hook)
    open("x").close()
    assert paths == ["x"]
    paths.clear()
    yield paths
    watching.clear()


@pytest.mark.parametrize(("suffix", "data"), REFERENCES.values(), ids=REFERENCES)
def test_files_that_a_file_names_are_not_read(suffix, data, opened):
    assert len(read_points(data, suffix, 4, "z")) == 4
    assert opened == []


def test_a_buffer_in_another_file_is_not_read(opened):
    assert refused(glb(TRIANGLE | {"buffers": [{"byteLength": 48, "uri": "../x.bin"}]}), ".glb")[0] == "other-file"
    assert opened == []
