"""The battery's records of readers of meshes of text, OFF and OBJ; and what tells meshes apart.

Right, of bytes of which one was changed, is a mesh with as many vertices and triangles in which at most one vertex, and
the triangles of at most one polygon, are others; in OBJ, whose lines are not counted, one polygon may be missing.
"""

import functools
import re
from collections import Counter

import numpy as np

from perceiver_jax.readers import shapes
from perceiver_jax.readers.surface import Mesh
from tests.readers.battery import Reader
from tests.readers.mesh_files import lines, obj, off
from tests.readers.mesh_files import triangles as triangles_of

VERTICES = [(0, 0, 0), (1.5, 0, 0), (1.5, 2, 0), (0, 2, 0), (0.25, 0.5, 3), (9, 9, 9)]
POLYGONS = [(0, 1, 2, 3), (0, 1, 4), (1, 2, 4), (2, 3, 4), (3, 0, 4), (5, 2, 4)]
MOST = 2  # triangles of a polygon


def triangles(mesh):
    """How often each triangle of three corners is there, each with their coordinates from the least on."""
    corners = np.round(np.clip(mesh.vertices[mesh.faces], -1e99, 1e99), 5) + 0.0
    faces = (list(map(tuple, face)) for face in corners.tolist())
    turned = (min(one[i:] + one[:i] for i in range(3)) for one in faces if len(set(one)) == 3)
    return Counter(map(tuple, turned))


def same(mesh, other):
    """Whether two meshes have the same triangles."""
    return isinstance(mesh, Mesh) and triangles(mesh) == triangles(other)


def nearly(mesh, other):
    """Whether one vertex and one polygon at most tell two meshes apart."""
    if not isinstance(mesh, Mesh) or mesh.vertices.shape != other.vertices.shape or mesh.faces.shape != other.faces.shape:
        return False
    moved = (mesh.vertices != other.vertices).any(axis=1).sum()
    lost = Counter(map(tuple, other.faces.tolist())) - Counter(map(tuple, mesh.faces.tolist()))
    return bool(moved <= 1 and lost.total() <= MOST and np.isfinite(mesh.vertices[mesh.faces]).all())


def part(mesh, other, most=None):
    """Whether a mesh has no triangles but another's, of which at most `most` are missing."""
    if not isinstance(mesh, Mesh):
        return False
    lost = triangles(other) - triangles(mesh)
    return not triangles(mesh) - triangles(other) and (most is None or lost.total() <= most)


def twice(mesh, other):
    """Whether a mesh is another with each triangle once more."""
    return triangles(mesh) == triangles(other) + triangles(other)


def mesh_reader(suffix, forms, **others):
    """A reader of meshes by a suffix."""

    def read(data):
        return shapes.read_shape(data, suffix, "z")

    def changed(mesh, data):
        return nearly(mesh, content())

    @functools.cache
    def content():
        return read(forms["plain"])

    def doubled(mesh):
        return twice(mesh, content())

    return Reader(suffix[1:], forms, read, same, **{"changed": changed, "doubled": doubled} | others)


def encoded(forms):
    """Forms of text as bytes, and what any text may be wrapped in."""
    plain = forms["plain"]
    forms |= {
        "CRLF": plain.replace("\n", "\r\n"),
        "CR": plain.replace("\n", "\r"),
        "tabs": plain.replace(" ", "\t"),
        "blanks": plain.replace(" ", "  ").replace("\n", " \n\n"),
        "BOM": "\ufeff" + plain,
        "zeros behind": plain + "\0\0",
        "control-Z behind": plain + "\x1a",
        "no end": plain.rstrip("\n"),
    }
    return {name: form.encode() for name, form in forms.items()} | {"UTF-16": plain.encode("utf-16")}


def off_forms():
    """OFF, with what programs write around the numbers."""
    text = off(VERTICES, POLYGONS).decode()
    vertices, faces = lines(VERTICES), lines((len(face), *face) for face in POLYGONS)
    counts = f"{len(VERTICES)} {len(POLYGONS)} 0"
    coloured = lines((*vertex, 0.5, 0.5, 0.5, 1) for vertex in VERTICES)
    return encoded(
        {
            "plain": text,
            "glued": text.replace("OFF\n", "OFF"),
            "remarks": "# made by hand\n" + text.replace("\n", " # 1 2\n\n"),
            "numbers anyhow": f"OFF {counts} {vertices.replace(chr(10), ' ', 3)}{faces.replace(' ', chr(10))}",
            "one line": text.replace("\n", " "),
            "a number a line": text.replace(" ", "\n"),
            "colours": f"COFF\n{counts}\n{coloured}{faces.replace(chr(10), ' 255 0 0' + chr(10))}",
        }
    )


def obj_forms():
    """OBJ, with what programs write beside vertices and faces."""
    text, vertices = obj(VERTICES, POLYGONS).decode(), lines(VERTICES, "v ")
    blocks = lines(VERTICES[:5], "v ") + lines(([i - 5 for i in face] for face in POLYGONS[:5]), "f ")
    blocks += lines(VERTICES[5:], "v ") + lines(([i - 6 for i in face] for face in POLYGONS[5:]), "f ")

    def faces(pattern):
        return "".join("f " + " ".join(pattern.format(i + 1) for i in face) + "\n" for face in POLYGONS)

    return encoded(
        {
            "plain": text,
            "remarks": "# C:\\shapes\\\n" + text.replace("\n", " # 1 2\n"),
            "continued": text.replace(" ", " \\\n"),
            "counted back": vertices + lines(([i - 6 for i in face] for face in POLYGONS), "f "),
            "blocks counted back": blocks,
            "textures": vertices + "vt 0 0\n" * 6 + faces("{0}/{0}"),
            "normals": vertices + "vn 0 0 1\n" * 6 + faces("{0}//{0}"),
            "both": vertices + "vn 0 0 1\nvt 0 0\n" * 6 + faces("{0}/{0}/{0}"),
            "groups": "mtllib x.mtl\no v 1\ng f\n" + text.replace("f ", "usemtl vf\ns 1\nf ") + "l 1 2\np 3\n",
            "colours": lines(((*vertex, 0.5, 0.5, 1) for vertex in VERTICES), "v ") + faces("{0}"),
            "weights": vertices.replace("\n", " 1.0\n") + faces("{0}"),
            "faces first": faces("{0}") + vertices,
        }
    )


def obj_cut(value):
    """The first vertices, the last perhaps cut, or the faces that are left."""
    content = OBJ.read(OBJ.forms["plain"])
    if isinstance(value, Mesh):
        return part(value, content)
    return len(value) <= len(VERTICES) and (value[:-1] == np.array(VERTICES)[: len(value) - 1]).all()


def obj_changed(mesh, data):
    """One vertex or polygon is another, or one polygon is missing; or, where a line's first word is, what it then says."""
    content = OBJ.read(OBJ.forms["plain"])
    if nearly(mesh, content) or part(mesh, content, MOST):
        return True
    text = re.sub("#.*", "", data.decode("utf-16" if data[:1] == b"\xff" else "utf-8", "replace")).replace("\\\n", " ")
    vertices, faces = [], []
    for word, *others in filter(None, (line.split() for line in text.replace("\r", "\n").split("\n"))):
        if word == "v":
            vertices.append(tuple(map(float, others[:3])))
        elif word == "f":
            rows = [int(float(one.split("/")[0])) for one in others]
            faces.append([row - 1 if row > 0 else len(vertices) + row for row in rows])
    if (len(vertices), len(faces)) == (len(VERTICES), len(POLYGONS)):
        one_other = sum(set(face) != set(polygon) for face, polygon in zip(faces, POLYGONS, strict=True)) == 1
        return one_other and vertices == [tuple(map(float, vertex)) for vertex in VERTICES]
    said = Mesh(np.array(vertices), np.array(triangles_of([face for face in faces if len(face) > 2])))
    return triangles(mesh) == triangles(said)


def spiral():
    """The corners of a polygon that winds inwards and out again."""
    angles = np.linspace(0, 20 * np.pi, 1400)
    outer = np.stack([(1 + angles) * np.cos(angles), (1 + angles) * np.sin(angles), 0 * angles], axis=1)
    return np.concatenate([outer, outer[::-1] * 0.97]).round(1).tolist()


AGAIN = b" ".join([b"1 2 3 4"] * 6000)
OFF = mesh_reader(
    ".off",
    off_forms(),
    hostile={
        "claims": b"OFF\n49000000 49000000 0\n" + b"0 0 0\n" * 8000,
        "long number": b"OFF\n3 1 0\n" + b"1" * 49_000,
        "spiral": off(spiral(), [range(2800)]).replace(b".0", b"").replace(b" 0\n", b" 0\n"),
        "repeated corners": b"OFF\n5 1 0\n0 0 0\n0 0 0\n1 0 0\n1 1 0\n0.2 0.1 0\n24000 " + AGAIN,
        "bent polygons": b"OFF\n5 4000 0\n0 0 0\n2 0 0\n2 2 0\n1 0.5 0\n0 2 0\n" + b"5 0 1 2 3 4\n" * 4000,
        "numbers anyhow": b"OFF\n3 11000 0 0 0 0 1 0 0 0 1 0\n" + b"3 0\n" * 11000,
    },
)
OBJ = mesh_reader(
    ".obj",
    obj_forms(),
    changed=obj_changed,
    cut=obj_cut,
    hostile={
        "repeated corners": b"v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0.2 0.1 0\nf " + AGAIN,
        "continued": b"v 0 0 0\nf 1 " + b"\\\n" * 24_000,
        "slashes": b"v 0 0 0\nf " + b"/" * 49_000,
        "blanks": b"v" + b" " * 49_000,
        "remarks": b"#" * 49_000,
        "empty faces": b"v 0 0 0\n" + b"f\n" * 24_000,
    },
)
READERS = [OFF, OBJ]
