"""GLB files: what stands in the scene, in the place and with the numbers that the document says; the rest by its name."""

import base64

import numpy as np
import pytest

from perceiver_jax.readers import BadFile
from perceiver_jax.readers.glb import read_glb
from perceiver_jax.readers.shapes import read_shape
from tests.readers.mesh_files import area, document, glb

SQUARE = np.array([(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)], "<f4")
TWO = np.array([0, 1, 2, 0, 2, 3], "<u2")


def square(*arrays, accessor=(), **others):
    """A square, or other arrays."""
    made, binary = document(*(arrays or (SQUARE, TWO)), **others)
    made["accessors"][0] |= dict(accessor)
    return glb(made, binary)


@pytest.mark.parametrize(
    ("mode", "corners"), [(4, [0, 1, 2, 0, 2, 3]), (5, [0, 1, 3, 2]), (6, [0, 1, 2, 3])], ids=["triangles", "strip", "fan"]
)
def test_every_kind_of_triangles_has_its_area(mode, corners):
    mesh = read_glb(square(SQUARE, np.array(corners, "<u1"), primitive={"mode": mode}))
    normals = np.cross(*np.diff(mesh.vertices[mesh.faces], axis=1).swapaxes(0, 1))
    assert area(mesh) == 1
    assert (normals[:, 2] > 0).all()


@pytest.mark.parametrize(("mode", "count"), [(4, 2), (5, 4), (6, 4)])
def test_vertices_without_corners_are_taken_in_their_order(mode, count):
    assert len(read_glb(square(SQUARE[TWO], primitive={"mode": mode})).faces) == count


@pytest.mark.parametrize("kind", ["u1", "u2", "i1", "i2"])
def test_quantized_vertices_are_from_0_to_1(kind):
    wide = (np.pad(SQUARE, ((0, 0), (0, 1))) * np.iinfo(kind).max).astype(f"<{kind}")
    made, binary = document(SQUARE, TWO)
    made["bufferViews"][0] |= {"byteStride": wide.itemsize * 4, "byteLength": wide.nbytes}
    made["accessors"][0] |= {"componentType": {"i1": 5120, "u1": 5121, "i2": 5122, "u2": 5123}[kind], "normalized": True}
    required = {"extensionsRequired": ["KHR_mesh_quantization"]}
    mesh = read_glb(glb(made | required, wide.tobytes().ljust(48, b"\0") + binary[48:]))
    assert (area(mesh), mesh.vertices.max()) == (1, 1)
    made["accessors"][0]["normalized"] = False
    assert read_glb(glb(made, wide.tobytes().ljust(48, b"\0") + binary[48:])).vertices.max() == np.iinfo(kind).max


FIRST, BOTH = {"scenes": [{"nodes": [0]}]}, {"scenes": [{"nodes": [0, 1]}]}
SCALED = {"children": [1], "scale": [2, 2, 2]}
BELOW = SCALED | {"children": [0]}
PLACES = {
    "nothing": ({}, 1, 1),
    "twice": ({"nodes": [{"mesh": 0}, {"mesh": 0, "translation": [5, 0, 0], "scale": [2, 2, 2]}]} | BOTH, 5, 7),
    "below another": ({"nodes": [SCALED, {"mesh": 0, "translation": [1, 0, 0]}]} | FIRST, 4, 4),
    "matrix": ({"nodes": [{"mesh": 0, "matrix": [2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 4, 0, 0, 1]}]}, 2, 6),
    "turned": ({"nodes": [{"mesh": 0, "rotation": [0, 0, 1, 0], "translation": [4, 0, 0]}]}, 1, 4),
    "another scene": ({"nodes": [SCALED, {"mesh": 0}], "scenes": [{"nodes": [0]}, {"nodes": [1]}], "scene": 1}, 1, 1),
    "no scene named": ({"nodes": [SCALED, {"mesh": 0}], "scenes": [{"nodes": [0]}, {"nodes": [1]}], "scene": None}, 4, 2),
    "no scenes": ({"nodes": [{"mesh": 0, "scale": [0.5] * 3}, BELOW], "scenes": [], "scene": None}, 1, 1),
    "no nodes": ({"scenes": None, "scene": None, "nodes": None}, 1, 1),
}


@pytest.mark.parametrize(("others", "expected", "right"), PLACES.values(), ids=PLACES)
def test_meshes_stand_where_the_scene_has_them(others, expected, right):
    mesh = read_glb(square(**others))
    assert (area(mesh), mesh.vertices[:, 0].max()) == pytest.approx((expected, right))


def test_y_is_up_whatever_is_up_in_other_files():
    tall = SQUARE * np.array((1, 5, 1), "<f4")
    for vertical in ("z", "y"):
        mesh = read_shape(square(tall, TWO), ".glb", vertical)
        assert np.ptp(mesh.vertices, axis=0).tolist() == [1, 0, 5]


def test_targets_move_vertices_by_their_default_weights():
    moved = np.array([(0, 0, 0)] * 2 + [(2, 0, 0)] * 2, "<f4")
    made, binary = document(SQUARE, TWO, moved, primitive={"targets": [{"POSITION": 2}]})
    assert area(read_glb(glb(made, binary))) == 1
    made["meshes"][0]["weights"] = [0.5]
    assert read_glb(glb(made, binary)).vertices[:, 0].max() == 2


def test_points_without_faces_are_a_cloud_and_beside_faces_nothing():
    primitives = [{"attributes": {"POSITION": 0}, "mode": mode} for mode in (0, 1, 3)]
    assert read_glb(square(meshes=[{"primitives": primitives}])).tolist() == SQUARE.tolist()
    primitives.append({"attributes": {"POSITION": 0}, "indices": 1})
    assert area(read_glb(square(meshes=[{"primitives": primitives}]))) == 1


def test_a_vertex_that_no_face_has_is_anything():
    assert area(read_glb(square(np.pad(SQUARE, ((0, 1), (0, 0)), constant_values=np.nan), TWO))) == 1


def address(text):
    return [{"byteLength": 60, "uri": text}]


DRACO = {"extensions": {"KHR_draco_mesh_compression": {"bufferView": 1, "attributes": {"POSITION": 0}}}}
MESHOPT = {"buffer": 0, "byteLength": 48, "extensions": {"EXT_meshopt_compression": {}}}
VIEWS = [{"buffer": 0, "byteLength": 48}, {"buffer": 0, "byteOffset": 48, "byteLength": 12}]
WHOLE = square()
REFUSED = {
    "draco": (square(primitive=DRACO, accessor={"bufferView": None}), "compressed", "is compressed with Draco (KHR_draco_"),
    "draco needed": (square(extensionsRequired=["KHR_draco_mesh_compression"]), "compressed", "is compressed with Draco"),
    "meshopt needed": (square(extensionsRequired=["EXT_meshopt_compression"]), "compressed", "is compressed with meshopt"),
    "meshopt": (square(bufferViews=[MESHOPT, VIEWS[1]]), "compressed", "is compressed with meshopt"),
    "extension": (square(extensionsRequired=["EXT_other"]), "not-supported", "needs the extension EXT_other"),
    "other file": (
        square(buffers=address("a.bin")),
        "other-file",
        "has its numbers in another file, a.bin",
    ),
    "bad data": (square(buffers=address("data:;base64,???")), "damaged", "buffers 0: its data cannot be decoded"),
    "version 1": (WHOLE[:4] + b"\1" + WHOLE[5:], "not-supported", "is glTF 1; 2 is read"),
    "cut": (WHOLE[:-4], "truncated", "its header says "),
    "two parents": (square(nodes=[{"children": [1, 1]}, {"mesh": 0}]), "damaged", "nodes 1: is in the scene twice"),
    "a circle": (square(nodes=[{"children": [0], "mesh": 0}]), "damaged", "nodes 0: is in the scene twice"),
    "no such node": (square(scenes=[{"nodes": [7]}]), "damaged", "refers to number 7 of its 1 nodes"),
    "no such scene": (square(scene=1), "damaged", "refers to number 1 of its 1 scenes"),
    "mode": (square(primitive={"mode": 9}), "damaged", "meshes 0, primitive 0: its mode is 9"),
    "corner": (square(SQUARE, TWO + 1), "face", "meshes 0, primitive 0: refers to vertex 4; there are 4"),
    "four corners": (square(SQUARE, TWO[:4]), "damaged", "meshes 0, primitive 0: its 4 corners are not of triangles"),
    "signed corners": (square(SQUARE, TWO.astype("<i2")), "damaged", "accessors 1: its componentType is 5122; indices"),
    "nan": (square(SQUARE * np.nan, TWO), "non-finite", "meshes 0, vertex 0: (nan, nan, nan) is not finite"),
    "count": (square(accessor={"count": 5}), "truncated", "accessors 0: its 5 elements are longer than bufferViews 0"),
    "count below 0": (square(accessor={"count": -5}), "damaged", "accessors 0: its count is -5"),
    "count in words": (square(accessor={"count": "4"}), "damaged", "accessors 0: its count is '4'"),
    "type": (square(accessor={"type": "VEC2"}), "damaged", "accessors 0: its type is VEC2, expected VEC3"),
    "view": (square(bufferViews=[VIEWS[0] | {"byteLength": 480}, VIEWS[1]]), "truncated", "bufferViews 0: ends at byte 480"),
    "zeros": (
        square(accessor={"bufferView": None, "count": 10**6}),
        "damaged",
        "accessors 0: has no bufferView, and",
    ),
    "matrix": (square(nodes=[{"mesh": 0, "matrix": [1, 2]}]), "damaged", "nodes 0: its matrix is not 16 numbers"),
}


@pytest.mark.parametrize(("data", "code", "start"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_read_is_refused_by_its_name(data, code, start):
    with pytest.raises(BadFile) as bad:
        read_glb(data)
    assert (bad.value.code, bad.value.sentence[: len(start)]) == (code, start)


def test_numbers_in_the_document_are_read():
    made, binary = document(SQUARE, TWO)
    made["buffers"] = address("data:application/gltf-buffer;base64," + base64.b64encode(binary).decode())
    assert area(read_glb(glb(made))) == 1
