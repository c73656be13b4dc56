"""Writes meshes of polygons in every format, for tests: `vertices` are triples, `polygons` lists of rows of them."""

import itertools
import json
import struct

import numpy as np

BOX = list(itertools.product((-0.5, 0.5), repeat=3))
SIDES = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}


def lines(rows, before=""):
    """A line for each row of numbers."""
    return "".join(before + " ".join(map(str, row)) + "\n" for row in rows)


def triangles(polygons):
    """The triangles of convex polygons, the fan of the first corner of each."""
    return [(face[0], *pair) for face in polygons for pair in itertools.pairwise(face[1:])]


def off(vertices, polygons):
    """OFF."""
    return f"OFF\n{len(vertices)} {len(polygons)} 0\n{lines(vertices)}{lines((len(p), *p) for p in polygons)}".encode()


def obj(vertices, polygons):
    """OBJ."""
    return (lines(vertices, "v ") + lines([[i + 1 for i in face] for face in polygons], "f ")).encode()


def packed(order, *pairs):
    """Numbers as bytes: pairs of a format of `struct` and its numbers."""
    return b"".join(struct.pack(f"{order or '<'}{len(numbers)}{code}", *numbers) for code, numbers in pairs)


def ply(vertices, polygons, encoding="binary_little_endian"):
    """PLY."""
    order = ORDERS[encoding]
    head = f"ply\nformat {encoding} 1.0\nelement vertex {len(vertices)}\n" + "".join(f"property float {a}\n" for a in "xyz")
    head += (
        f"element face {len(polygons)}\nproperty list uchar int vertex_indices\nend_header\n" if polygons else "end_header\n"
    )
    if not order:
        return (head + lines(vertices) + lines((len(face), *face) for face in polygons)).encode()
    body = [packed(order, ("f", vertex)) for vertex in vertices]
    return head.encode() + b"".join(body + [packed(order, ("B", [len(face)]), ("i", face)) for face in polygons])


def stl(vertices, polygons):
    """Binary STL."""
    faces = triangles(polygons)
    corners = [packed("<", ("f", (0, 0, 0)), *(("f", vertices[i]) for i in face), ("H", [0])) for face in faces]
    return b" " * 80 + struct.pack("<I", len(faces)) + b"".join(corners)


def stl_text(vertices, polygons, name="a"):
    """STL in words."""
    text = f"solid {name}\n"
    for face in triangles(polygons):
        text += "facet normal 0 0 0\nouter loop\n" + lines((vertices[i] for i in face), "vertex ") + "endloop\nendfacet\n"
    return f"{text}endsolid {name}\n".encode()


def glb(document, binary=b""):
    """A GLB file of a document, and a chunk of bytes."""
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    binary += bytes(-len(binary) % 4)
    chunks = struct.pack("<II", len(text), 0x4E4F534A) + text
    chunks += struct.pack("<II", len(binary), 0x004E4942) + binary if binary else b""
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def document(*arrays, primitive=(), **others):
    """A glTF document whose accessors are some arrays, one mesh of the first and the second's indices; and its bytes."""
    codes = {"i1": 5120, "u1": 5121, "i2": 5122, "u2": 5123, "u4": 5125, "f4": 5126}
    views, accessors, binary = [], [], b""
    for i, array in enumerate(arrays):
        kind = {1: "SCALAR", 2: "VEC3"}[array.ndim]
        accessors.append({"bufferView": i, "componentType": codes[array.dtype.str[1:]], "count": len(array), "type": kind})
        binary += bytes(-len(binary) % 4)
        views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": array.nbytes})
        binary += array.tobytes()
    indices = {"indices": 1} if len(arrays) > 1 else {}
    made = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}} | indices | dict(primitive)]}],
        "buffers": [{"byteLength": len(binary)}],
        "bufferViews": views,
        "accessors": accessors,
    }
    return made | others, binary


def glb_mesh(vertices, polygons):
    """GLB, whose y is up where `vertices` have z."""
    turned = np.array([(x, z, -y) for x, y, z in vertices], "<f4")
    return glb(*document(turned, np.array(triangles(polygons), "<u2").ravel()))


WRITERS = {"off": off, "obj": obj, "ply": ply, "stl": stl, "glb": glb_mesh}


def box(kind, size=(1.0, 1.0, 1.0)):
    """A box around the origin in a format."""
    return WRITERS[kind]([tuple(float(a * b) for a, b in zip(corner, size, strict=True)) for corner in BOX], SIDES)


def area(mesh):
    """The area of a mesh's triangles."""
    a, b, c = np.moveaxis(mesh.vertices[mesh.faces], 1, 0)
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)
