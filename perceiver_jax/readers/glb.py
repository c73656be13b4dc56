"""Meshes from GLB files (glTF 2.0 in one file): all triangles of its scene where they stand, or its points.

Read are triangles, strips and fans, numbers of every kind, sparse ones, morph targets by their default weights, and the
places of nodes. What a file needs to be shown right and is not read is refused by its name.
"""

import json
import struct
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from perceiver_jax.errors import printable
from perceiver_jax.readers import BadFile, polygons
from perceiver_jax.readers.gltf_arrays import Document, Part
from perceiver_jax.readers.limits import check_numbers
from perceiver_jax.readers.surface import Mesh, check_finite

_JSON, _BINARY = 0x4E4F534A, 0x004E4942
_DRACO = "KHR_draco_mesh_compression"
_NAMES = {
    _DRACO: "is compressed with Draco",
    "EXT_meshopt_compression": "is compressed with meshopt",
    "KHR_meshopt_compression": "is compressed with meshopt",
}
# Extensions that move no vertex, by how their names begin.
_HARMLESS = ("KHR_materials_", "KHR_texture_", "EXT_texture_", "MSFT_texture_", "MSFT_packing_", "ADOBE_materials_")
_HARMLESS += ("KHR_lights_", "EXT_lights_", "KHR_xmp", "KHR_animation_pointer", "KHR_mesh_quantization")
# A scene may show a mesh many times: numbers that any file may give, and per byte of its own.
_FREE, _PER_BYTE = 5_000_000, 50
_POINTS, _TRIANGLES, _STRIP, _FAN = 0, 4, 5, 6
_LINES = (1, 2, 3)


class _Shape(NamedTuple):
    """What a mesh has: its vertices, with faces or without."""

    vertices: Float64[np.ndarray, "V 3"]
    faces: Int64[np.ndarray, "F 3"] | None


def read_glb(data: bytes) -> Mesh | Float64[np.ndarray, "P 3"]:
    """The mesh of a GLB file's scene, y up, or its points if it has no faces; raises BadFile.

    The scene is the file's default, or its first, or all nodes, or all meshes, by what there is.
    """
    document = _document(data)
    required = [name for name in document.root.value("extensionsRequired", list, []) if isinstance(name, str)]
    for name in required:
        if name in _NAMES:
            raise BadFile("compressed", f"{_NAMES[name]} ({name})")
        if not name.startswith(_HARMLESS):
            raise BadFile("not-supported", f"needs the extension {printable(name, 60)}")
    meshes: dict[int, list[_Shape]] = {}
    vertices, faces, clouds, total, count = [], [], [], 0, 0
    for index, matrix in _placed(document):
        if index not in meshes:
            meshes[index] = [shape for part in _primitives(document, index) if (shape := _shape(document, *part))]
        for shape in meshes[index]:
            total += shape.vertices.size + (shape.faces.size if shape.faces is not None else 0)
            if total > _FREE + _PER_BYTE * len(data):
                raise BadFile("too-large", f"shows its meshes so often that they have more than {total:,} numbers")
            check_numbers(total)
            with np.errstate(all="ignore"):
                moved = shape.vertices @ matrix[:3, :3].T + matrix[:3, 3]
            if shape.faces is None:
                clouds.append(moved)
                continue
            check_finite(moved, lambda row, index=index: f"meshes {index}, vertex {row}", shape.faces)
            vertices.append(moved)
            faces.append(shape.faces + count)
            count += len(moved)
    if faces:
        return Mesh(np.concatenate(vertices), np.concatenate(faces))
    points = np.concatenate([np.empty((0, 3)), *clouds])
    check_finite(points, "vertex {}".format)
    return points


def _document(data: bytes) -> Document:
    """The document of a file, and its bytes; raises BadFile."""
    if data[:4] != b"glTF":
        raise BadFile("header", "does not begin with glTF")
    if len(data) < 20:
        raise BadFile("truncated", "ends in its header")
    version, length = struct.unpack_from("<II", data, 4)
    if version != 2:
        raise BadFile("not-supported", f"is glTF {version}; 2 is read")
    if length > len(data):
        raise BadFile("truncated", f"its header says {length:,} bytes, the file has {len(data):,}")
    chunks, place = {}, 12
    while place + 8 <= length:
        size, kind = struct.unpack_from("<II", data, place)
        if place + 8 + size > length:
            raise BadFile("truncated", f"a part of {size:,} bytes begins at byte {place + 8:,} of {length:,}")
        chunks.setdefault(kind, data[place + 8 : place + 8 + size])
        place += 8 + size
    if _JSON not in chunks:
        raise BadFile("damaged", "has no JSON")
    try:
        root = json.loads(chunks[_JSON].rstrip(b"\0 ").decode("utf-8-sig"), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise BadFile("damaged", f"its JSON cannot be read: {printable(str(error) or 'nests too deep', 80)}") from None
    if not isinstance(root, dict):
        raise BadFile("damaged", "its JSON is not an object")
    return Document(Part("the file", root), chunks.get(_BINARY, b""), len(data))


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is not a number of JSON")


def _placed(document: Document) -> Iterator[tuple[int, Float64[np.ndarray, "4 4"]]]:
    """Each mesh of the scene as often as it is shown, and its place; raises BadFile where nodes are not a forest."""
    seen, waiting = set(), [(node, np.eye(4)) for node in reversed(_roots(document))]
    if not waiting and not document.root.value("scenes", list, []) and not document.root.value("nodes", list, []):
        yield from ((index, np.eye(4)) for index in range(len(document.root.value("meshes", list, []))))
    while waiting:
        index, above = waiting.pop()
        node = document.item("nodes", index)
        if index in seen:
            raise node.fault("is in the scene twice")
        seen.add(index)
        with np.errstate(all="ignore"):
            matrix = above @ _matrix(node)
        mesh = node.value("mesh", int, None)
        if mesh is not None:
            yield mesh, matrix
        waiting += [(child, matrix) for child in reversed(_references(node, "children"))]


def _roots(document: Document) -> list[int]:
    """The nodes that the scene begins with."""
    scenes = document.root.value("scenes", list, [])
    if scenes:
        return _references(document.item("scenes", document.root.count("scene", 0)), "nodes")
    nodes = range(len(document.root.value("nodes", list, [])))
    children = {child for node in nodes for child in _references(document.item("nodes", node), "children")}
    return [node for node in nodes if node not in children] or list(nodes)


def _references(part: Part, name: str) -> list[int]:
    values = part.value(name, list, [])
    if not all(isinstance(one, int) and not isinstance(one, bool) for one in values):
        raise part.fault(f"its {name} are not numbers")
    return values


def _matrix(node: Part) -> Float64[np.ndarray, "4 4"]:
    """Where a node stands in the one above it."""
    if node.value("matrix", list, None) is not None:
        return node.numbers("matrix", 16, []).reshape(4, 4).T
    matrix = np.eye(4)
    x, y, z, w = node.numbers("rotation", 4, [0, 0, 0, 1])
    turn = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    matrix[:3, :3] = np.array(turn) * node.numbers("scale", 3, [1, 1, 1])
    matrix[:3, 3] = node.numbers("translation", 3, [0, 0, 0])
    return matrix


def _primitives(document: Document, index: int) -> Iterator[tuple[Part, Float64[np.ndarray, " targets"]]]:
    """The parts of a mesh, and the weights of their morph targets."""
    mesh = document.item("meshes", index)
    weights = mesh.value("weights", list, [])
    for i, values in enumerate(mesh.value("primitives", list, [])):
        if not isinstance(values, dict):
            raise mesh.fault(f"primitive {i} is not an object")
        yield Part(f"{mesh.where}, primitive {i}", values), mesh.numbers("weights", len(weights), [])


def _shape(document: Document, primitive: Part, weights: Float64[np.ndarray, " targets"]) -> _Shape | None:
    """What a part of a mesh has; None for lines."""
    mode = primitive.count("mode", _TRIANGLES)
    if mode in _LINES:
        return None
    if mode not in (_POINTS, _TRIANGLES, _STRIP, _FAN):
        raise primitive.fault(f"its mode is {mode}")
    position = primitive.part("attributes").count("POSITION")
    draco = _DRACO in primitive.part("extensions").values
    if draco and document.item("accessors", position).value("bufferView", int, None) is None:
        raise BadFile("compressed", f"{_NAMES[_DRACO]} ({_DRACO})")
    vertices = document.positions(position) + _morph(document, primitive, weights, document.length(position))
    index = primitive.value("indices", int, None)
    corners = np.arange(len(vertices)) if index is None else document.indices(index)
    if len(corners) and corners.max() >= len(vertices):
        raise BadFile("face", f"{primitive.where}: refers to vertex {corners.max()}; there are {len(vertices):,}")
    if mode == _POINTS:
        return _Shape(vertices[corners], None)
    if mode == _TRIANGLES and len(corners) % 3:
        raise primitive.fault(f"its {len(corners):,} corners are not of triangles")
    faces = corners.reshape(-1, 3) if mode == _TRIANGLES else polygons.strip(corners)
    if mode == _FAN:
        faces = corners[polygons.fan(len(corners))]
    return _Shape(vertices, faces)


def _morph(document: Document, primitive: Part, weights: Float64[np.ndarray, " targets"], count: int) -> np.ndarray:
    """How far morph targets move the vertices by default."""
    moved = np.zeros((1, 3))
    for target, weight in zip(primitive.value("targets", list, []), weights, strict=False):
        if not isinstance(target, dict):
            raise primitive.fault("a target is not an object")
        index = Part(f"{primitive.where}, target", target).value("POSITION", int, None)
        if weight and index is not None:
            if document.length(index) != count:
                raise primitive.fault(f"a target has {document.length(index):,} of {count:,} vertices")
            moved = moved + weight * document.positions(index)
    return moved
