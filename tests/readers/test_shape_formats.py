"""Shapes without a name's suffix are read as what they hold."""

import numpy as np
import pytest

from perceiver_jax.readers import BadFile
from perceiver_jax.readers.shape_formats import suffix_of
from perceiver_jax.readers.shapes import SUFFIXES, read_points
from tests.readers import mesh_files
from tests.readers.mesh_files import BOX, SIDES
from tests.readers.test_shapes import npy, npz

POINTS = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
TABLE = "\n".join(" ".join(map(str, row)) for row in POINTS.tolist())
FILES = {
    "off": (".off", mesh_files.off(BOX, SIDES)),
    "off with a remark and counts beside the mark": (
        ".off",
        b"# made by hand\n\n" + mesh_files.off(BOX, SIDES).replace(b"\n", b" ", 1),
    ),
    "obj": (".obj", b"\xef\xbb\xbf# by hand\r\nmtllib a.mtl\r\n" + mesh_files.obj(BOX, SIDES)),
    "ply": (".ply", mesh_files.ply(BOX, SIDES)),
    "ply in words": (".ply", mesh_files.ply(BOX, SIDES, "ascii")),
    "stl": (".stl", mesh_files.stl(BOX, SIDES) + b"\0\0"),
    "stl in words": (".stl", mesh_files.stl_text(BOX, SIDES)),
    "glb": (".glb", mesh_files.glb_mesh(BOX, SIDES)),
    "npy": (".npy", npy(POINTS)),
    "npz": (".npz", npz(points=POINTS)),
    "text": (".xyz", TABLE.encode()),
    "a count": (".pts", b"5\n" + TABLE.encode()),
    "a heading": (".csv", b"x,y,z\n" + TABLE.replace(" ", ",").encode()),
    "a heading behind slashes": (".csv", b"//X Y Z\n" + TABLE.encode()),
    "commas": (".xyz", b"# x,y,z\n" + TABLE.replace(" ", ",").encode()),
}


@pytest.mark.parametrize(("suffix", "data"), FILES.values(), ids=FILES)
def test_a_shape_without_suffix_is_read_as_with_it(suffix, data):
    assert suffix in SUFFIXES
    assert suffix_of(data) == suffix
    np.testing.assert_array_equal(read_points(data, "", 16, "z"), read_points(data, suffix, 16, "z"))


@pytest.mark.parametrize("data", [b"", b"\n\n", b"hello", b"\x89PNG\r\n\x1a\n", bytes(200), b"1\0" * 9, b"#\n"])
def test_what_is_no_shape_has_no_suffix(data):
    assert suffix_of(data) == ""
    with pytest.raises(BadFile):
        read_points(data, "", 16, "z")
