"""The battery's records of readers of meshes: one solid, in every form that each format allows.

Right, of bytes of which one was changed, is a mesh with as many vertices and triangles in which at most one vertex, and
the triangles of at most one polygon, are others.
"""

from collections import Counter

import numpy as np

from perceiver_jax.readers import shapes
from tests.readers.battery import Reader

VERTICES = [(0, 0, 0), (1.5, 0, 0), (1.5, 2, 0), (0, 2, 0), (0.25, 0.5, 3), (9, 9, 9)]
POLYGONS = [(0, 1, 2, 3), (0, 1, 4), (1, 2, 4), (2, 3, 4), (3, 0, 4), (5, 2, 4)]
MOST = 2  # triangles of a polygon


def triangles(mesh):
    """How often each triangle is there, each with its corners as coordinates from the least on."""
    corners = np.round(mesh.vertices[mesh.faces], 6) + 0.0
    turned = (min(one[i:] + one[:i] for i in range(3)) for one in (list(map(tuple, face)) for face in corners.tolist()))
    return Counter(map(tuple, turned))


def same(mesh, other):
    """Whether two meshes have the same triangles."""
    return triangles(mesh) == triangles(other)


def nearly(mesh, other):
    """Whether one vertex and one polygon at most tell two meshes apart."""
    if mesh.vertices.shape != other.vertices.shape or mesh.faces.shape != other.faces.shape:
        return False
    moved = (mesh.vertices != other.vertices).any(axis=1).sum()
    lost = Counter(map(tuple, other.faces.tolist())) - Counter(map(tuple, mesh.faces.tolist()))
    return bool(moved <= 1 and lost.total() <= MOST and np.isfinite(mesh.vertices[mesh.faces]).all())


def mesh_reader(suffix, forms, **others):
    """A reader of meshes by a suffix."""

    def read(data):
        return shapes.read_shape(data, suffix, "z")

    def changed(mesh, data):
        return nearly(mesh, read(next(iter(forms.values()))))

    return Reader(suffix[1:], forms, read, same, **{"changed": changed} | others)


def rows(numbers, separator=" "):
    """Lines of numbers."""
    return "".join(separator.join(map(str, row)) + "\n" for row in numbers)


def off_forms():
    """OFF, with what programs write around the numbers."""
    vertices, faces = rows(VERTICES), rows((len(face), *face) for face in POLYGONS)
    body, counts = vertices + faces, f"{len(VERTICES)} {len(POLYGONS)} 0"
    text = f"OFF\n{counts}\n{body}"
    coloured = rows((*vertex, 0.5, 0.5, 0.5, 1) for vertex in VERTICES)
    forms = {
        "plain": text,
        "glued": f"OFF{counts}\n{body}",
        "CRLF": text.replace("\n", "\r\n"),
        "CR": text.replace("\n", "\r"),
        "tabs": text.replace(" ", "\t"),
        "BOM": "\ufeff" + text,
        "remarks": "# made by hand\n" + text.replace("\n", " # 1 2\n\n"),
        "numbers anyhow": f"OFF {counts} {vertices.replace(chr(10), ' ', 3)}{faces.replace(' ', chr(10))}",
        "one line": text.replace("\n", " "),
        "a number a line": text.replace(" ", "\n"),
        "zeros behind": text + "\0\0",
        "colours": f"COFF\n{counts}\n{coloured}{faces.replace(chr(10), ' 255 0 0' + chr(10))}",
    }
    return {name: form.encode() for name, form in forms.items()} | {"UTF-16": text.encode("utf-16")}


def polygon(corners):
    """OFF of one polygon that winds inwards and out again, of as many corners as are asked for."""
    half = corners // 2
    angles = np.linspace(0, 20 * np.pi, half)
    outer = np.stack([(1 + angles) * np.cos(angles), (1 + angles) * np.sin(angles)], axis=1)
    points = np.concatenate([outer, outer[::-1] * 0.97]).round(1)
    return f"OFF\n{len(points)} 1 0\n" + "".join(f"{x} {y} 0\n" for x, y in points.tolist()), len(points)


def spiral():
    """A hostile polygon."""
    text, corners = polygon(2800)
    return f"{text}{corners} {' '.join(map(str, range(corners)))}\n".encode()


OFF_HOSTILE = {
    "claims": b"OFF\n49000000 49000000 0\n" + b"0 0 0\n" * 8000,
    "long number": b"OFF\n3 1 0\n" + b"1" * 49_000,
    "spiral": spiral(),
    "repeated corners": b"OFF\n4 1 0\n0 0 0\n1 0 0\n1 1 0\n0.2 0.1 0\n24000 " + b"0 1 2 3 " * 6000,
}

READERS = [mesh_reader(".off", off_forms(), hostile=OFF_HOSTILE)]
