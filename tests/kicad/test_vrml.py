"""VRML as KiCad writes it: which triangles it is, and which files are not read as something else."""

import numpy as np
import pytest

from perceiver_jax.readers import BadFile
from scripts.kicad.vrml import read_vrml

HEADER = "#VRML V2.0 utf8\n#made by hand\n"
MATERIAL = "Shape { appearance Appearance {material DEF PIN Material { diffuseColor 0.8 0.7 0.5 } } }\n"


def face_set(points="0 0 0,1 0 0,0 1 0", indices="0,1,2,-1"):
    return (
        f"Shape {{ geometry IndexedFaceSet\n{{ creaseAngle 0.50 coordIndex [{indices}]\n"
        f"coord Coordinate {{ point [{points}]\n}}}} appearance Appearance {{material USE PIN }} }}\n"
    )


def read(*parts):
    return read_vrml((HEADER + "".join(parts)).encode())


def refused(*parts):
    with pytest.raises(BadFile) as bad:
        read(*parts)
    return bad.value.code, bad.value.sentence


def test_the_shapes_of_a_file_are_one_mesh():
    mesh = read(MATERIAL, face_set(), face_set("5 0 0, 6 0 0, 5 1 0, 5 0 1.5e-1", "0 1 2 -1, 3, 1, 0, -1"))
    assert mesh.vertices.tolist()[3:] == [[5, 0, 0], [6, 0, 0], [5, 1, 0], [5, 0, 0.15]]
    assert mesh.faces.tolist() == [[0, 1, 2], [3, 4, 5], [6, 4, 3]]


def test_polygons_are_fans_of_triangles():
    points = ",".join(f"{i} {i * i} 0" for i in range(7))
    mesh = read(face_set(points, "0,1,2,3,-1,6,5,4,3,2,-1,0,1,-1,-1,2,3,4"))
    assert mesh.faces.tolist() == [[0, 1, 2], [0, 2, 3], [6, 5, 4], [6, 4, 3], [6, 3, 2], [2, 3, 4]]


def test_an_unended_polygon_does_not_run_into_the_next_shape():
    assert read(face_set(indices="0,1,2"), face_set(indices="0,1,2")).faces.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_comments_and_strings_hide_what_is_in_them():
    hidden = '# Transform { IndexedFaceSet {\nWorldInfo { title "Transform { \\" # IndexedFaceSet {" }\n'
    assert len(read(hidden, face_set()).faces) == 1


def test_coordinates_of_textures_are_not_points():
    texture = "texCoord TextureCoordinate { point [0 0, 1 0, 0 1] } texCoordIndex [2,1,0,-1]"
    mesh = read(face_set().replace("creaseAngle 0.50", texture))
    assert (mesh.vertices.shape, mesh.faces.tolist()) == ((3, 3), [[0, 1, 2]])


@pytest.mark.parametrize("node", ["Transform", "Switch", "Inline", "PROTO", "LOD", "Billboard", "EXTERNPROTO"])
def test_a_file_whose_nodes_move_or_choose_shapes_is_refused(node):
    code, sentence = refused(f"{node} {{ children [", face_set(), "] }")
    assert (code, sentence.partition(";")[0]) == ("vrml-node", f"has a {node} node")


REFUSED = {
    "coordinates elsewhere": (face_set().replace("Coordinate { point [0 0 0,1 0 0,0 1 0]", "USE { "), "vrml-node"),
    "cut off": (face_set()[:60], "truncated"),
    "no shape": (MATERIAL, "no-faces"),
    "no faces": (face_set(indices=""), "no-faces"),
    "lines alone": (face_set(indices="0,1,-1"), "no-faces"),
    "two numbers": (face_set("0 0 0, 1 0 0, 0 1"), "vertex"),
    "nan": (face_set("0 0 nan, 1 0 0, 0 1 0"), "vertex"),
    "word": (face_set("0 0 zero, 1 0 0, 0 1 0"), "number"),
    "half a corner": (face_set(indices="0,1.5,2,-1"), "number"),
    "corner of no point": (face_set(indices="0,1,3,-1"), "face"),
    "negative corner": (face_set(indices="0,1,-2,-1"), "face"),
    "corner of 10^30": (face_set(indices=f"0,1,{10**30},-1"), "number"),
}


@pytest.mark.parametrize(("text", "code"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_a_mesh_is_refused(text, code):
    assert refused(text)[0] == code


@pytest.mark.parametrize("data", [b"", b"#VRML V1.0 ascii\n", b"OFF\n1 0 0\n"])
def test_another_format_is_refused(data):
    with pytest.raises(BadFile) as bad:
        read_vrml(data)
    assert bad.value.code == "not-vrml"


def test_vertices_are_read_to_the_last_digit():
    numbers = np.random.default_rng(0).normal(size=(3, 3))
    assert (read(face_set(", ".join(" ".join(map(repr, row)) for row in numbers.tolist()))).vertices == numbers).all()
