"""The battery's record of the reader of GLB.

Right, of bytes of which one was changed: where the document still says the same, at most one vertex or one face is
another. A document that says something else, such as another place or an attribute of another name, is as whole as before
and no reader can tell: of those the meshes are asked for finite places, and for no more triangles than there are corners.
"""

import base64
import json
import struct

import numpy as np

from perceiver_jax.readers.surface import Mesh
from tests.readers.battery_meshes import POLYGONS, VERTICES, mesh_reader, nearly, triangles
from tests.readers.mesh_files import document, glb, glb_mesh
from tests.readers.mesh_files import triangles as triangles_of

POINTS = np.array([(x, z, -y) for x, y, z in VERTICES], "<f4")  # y up
CORNERS = np.array(triangles_of(POLYGONS), "<u2").ravel()
WEAVE = np.zeros((6, 5), "<f4")
WEAVE[:, :3] = POINTS


def changed_document(**others):
    """The plain document with other values, and its bytes."""
    made, binary = document(POINTS, CORNERS)
    return glb(made | others, binary)


def strided():
    """Vertices with other numbers between."""
    made, _ = document(POINTS, CORNERS)
    made["bufferViews"] = [
        {"buffer": 0, "byteLength": CORNERS.nbytes},
        {"buffer": 0, "byteOffset": CORNERS.nbytes, "byteLength": WEAVE.nbytes - 8, "byteStride": 20},
    ]
    made["accessors"][0]["bufferView"], made["accessors"][1]["bufferView"] = 1, 0
    return glb(made, CORNERS.tobytes() + WEAVE.tobytes())


def sparse(with_view):
    """Vertices of which some are given apart, or all of them."""
    base, rows = POINTS.copy(), np.array([1, 4] if with_view else range(6), "<u1")
    base[rows] = 0
    made, _ = document(base if with_view else POINTS, CORNERS)
    parts = [base.tobytes() if with_view else b"", CORNERS.tobytes(), rows.tobytes().ljust(8, b"\0"), POINTS[rows].tobytes()]
    starts = np.cumsum([0, *map(len, parts)]).tolist()
    made["bufferViews"] = [
        {"buffer": 0, "byteOffset": start, "byteLength": len(part)} for start, part in zip(starts, parts, strict=False)
    ]
    made["accessors"][0]["sparse"] = {
        "count": len(rows),
        "indices": {"bufferView": 2, "componentType": 5121},
        "values": {"bufferView": 3},
    }
    if not with_view:
        del made["accessors"][0]["bufferView"]
    return glb(made, b"".join(parts))


def placed():
    """Half of the faces in a node below a turned and moved one."""
    made, binary = document(POINTS, CORNERS[:15])
    turned = np.stack([-POINTS[:, 2], POINTS[:, 1], POINTS[:, 0]], axis=1)  # by -90 degrees about y
    moved = (turned - np.array((0, 0, 5), "<f4")) / np.float32(2)
    rest = CORNERS[15:]
    made["bufferViews"] += [
        {"buffer": 0, "byteOffset": len(binary) + 2, "byteLength": moved.nbytes},
        {"buffer": 0, "byteOffset": len(binary) + 2 + moved.nbytes, "byteLength": rest.nbytes},
    ]
    made["accessors"] += [
        {"bufferView": 2, "componentType": 5126, "count": 6, "type": "VEC3"},
        {"bufferView": 3, "componentType": 5123, "count": len(rest), "type": "SCALAR"},
    ]
    made["meshes"].append({"primitives": [{"attributes": {"POSITION": 2}, "indices": 3}]})
    half = 0.5**0.5
    matrix = np.diag([2.0, 2, 2, 1])
    matrix[:3, 3] = (0, 0, 5)
    made["nodes"] = [{"mesh": 0, "children": [1]}, {"rotation": [0, half, 0, half], "children": [2]}]
    made["nodes"].append({"matrix": matrix.T.ravel().tolist(), "mesh": 1})
    return glb(made, binary + b"\0\0" + moved.tobytes() + rest.tobytes())


def in_itself():
    """The numbers as text in the document."""
    made, binary = document(POINTS, CORNERS)
    made["buffers"][0]["uri"] = "data:application/octet-stream;base64," + base64.b64encode(binary).decode()
    return glb(made)


def forms():
    """GLB: every kind of number, of place and of scene."""
    plain = glb_mesh(VERTICES, POLYGONS)
    return {
        "plain": plain,
        "corners of one byte": glb(*document(POINTS, CORNERS.astype("<u1"))),
        "corners of four bytes": glb(*document(POINTS, CORNERS.astype("<u4"))),
        "no corners": glb(*document(POINTS[CORNERS])),
        "strided": strided(),
        "sparse": sparse(True),
        "sparse alone": sparse(False),
        "placed": placed(),
        "no scene": changed_document(scene=None),
        "no scenes": changed_document(scene=None, scenes=None),
        "no nodes": changed_document(scene=None, scenes=None, nodes=None),
        "two scenes": changed_document(scene=1, scenes=[{"nodes": []}, {"nodes": [0]}]),
        "in itself": in_itself(),
        "bytes behind": plain + b"trailer",
        "extensions": changed_document(
            extensionsUsed=["KHR_materials_unlit", "A_new"], extensionsRequired=["KHR_materials_unlit"]
        ),
    }


def document_of(data):
    """The document of a file; None where it is not one."""
    try:
        return json.loads(data[20 : 20 + int.from_bytes(data[12:16], "little")].rstrip(b"\0 "))
    except ValueError:
        return None


DOCUMENTS = [document_of(form) for form in forms().values()]


def changed(mesh, data):
    """As the head of this file says."""
    content = GLB.read(GLB.forms["plain"])
    if not isinstance(mesh, Mesh):
        return False
    if document_of(data) in DOCUMENTS:
        return nearly(mesh, content) or one_moved(mesh, content)
    return bool(np.isfinite(mesh.vertices[mesh.faces]).all()) and len(mesh.faces) <= 3 * len(content.faces)


def one_moved(mesh, content):
    """Whether the triangles that are other than the content's all have one place in common, and it lacks one place."""
    new, lost = triangles(mesh) - triangles(content), triangles(content) - triangles(mesh)
    common = [set.intersection(*map(set, some)) if some else {0} for some in (new, lost)]
    return all(common) or (new.total() <= 1 and lost.total() <= 1)


def chain(nodes, **others):
    """A document of some nodes, whose scene is the first."""
    return changed_document(nodes=nodes, **others)


def huge(**accessor):
    """A document whose first accessor claims something else."""
    made, binary = document(POINTS, CORNERS)
    made["accessors"][0] |= accessor
    return glb(made, binary)


DEEP = [{"children": [i + 1]} for i in range(2000)] + [{"mesh": 0}]
DOUBLING = [{"children": [i + 1, i + 1]} for i in range(1000)] + [{"mesh": 0}]
MANY = np.tile(CORNERS, 400)
GLB = mesh_reader(
    ".glb",
    forms(),
    changed=changed,
    hostile={
        "deep document": b"glTF" + struct.pack("<IIII", 2, 40_020, 40_000, 0x4E4F534A) + b"[" * 40_000,
        "long number": b"glTF" + struct.pack("<IIII", 2, 40_020, 40_000, 0x4E4F534A) + b"9" * 40_000,
        "deep nodes": chain(DEEP),
        "doubling nodes": chain(DOUBLING),
        "a circle": chain([{"children": [1]}, {"children": [0], "mesh": 0}]),
        "claims": huge(count=2**40),
        "claims of zeros": huge(count=16_000_000, bufferView=None),
        "claims of a view": huge(count=16_000_000),
        "shown often": glb(*document(POINTS, MANY, nodes=[{"mesh": 0}] * 1500, scenes=[{"nodes": list(range(1500))}])),
    },
)
READERS = [GLB]
