"""Meshes: OFF, OBJ, PLY, STL and GLB, as folders of shapes and predictions read them."""

import contextlib
import json
import struct
from pathlib import Path

import numpy as np

from perceiver_jax.readers import BadFile, shapes
from scripts.fuzz.parser import Parser

_CORNERS = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)  # of a tetrahedron
_FACES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.int32)


class Meshes(Parser):
    """A tetrahedron in each form."""

    what = "meshes"
    packages = ()

    def make(self) -> dict[str, bytes]:
        """Files of some hundred bytes."""
        points = "".join("{:g} {:g} {:g}\n".format(*corner) for corner in _CORNERS)
        faces = "".join("3 {} {} {}\n".format(*face) for face in _FACES)
        coloured = "".join("3 {} {} {} 255 0 0\n".format(*face) for face in _FACES)
        return {
            "plain.off": f"OFF\n4 4 6\n{points}{faces}".encode(),
            "joined.off": f"OFF4 4 0\n# corners\n{points}{coloured}".encode(),
            "more.off": ("COFF\n4 2 0\n" + points.replace("\n", " 0 0 255 255\n") + "4 0 1 2 3\n3 0 1 3\n").encode(),
            "plain.obj": _obj(points),
            "ascii.ply": _ply("ascii 1.0") + f"{points}{faces}".encode(),
            "little.ply": _ply("binary_little_endian 1.0") + _binary("<"),
            "big.ply": _ply("binary_big_endian 1.0") + _binary(">"),
            "points.ply": _ply("ascii 1.0").partition(b"element face")[0] + b"end_header\n" + points.encode(),
            "ascii.stl": _stl_text(),
            "binary.stl": _stl(),
            "plain.glb": _glb(),
        }

    def read(self, name: str, data: bytes, folder: Path) -> None:
        """Sampled as for training, with the format by the name, and as from a pipe, by the bytes."""
        with contextlib.suppress(BadFile):
            shapes.read_points(data, "", 32, "y")
        shapes.read_points(data, Path(name).suffix, 32, "y", density=2)


def _obj(points: str) -> bytes:
    corners = "".join(f"v {line}\n" for line in points.splitlines())
    faces = "".join("f {}/1/1 {}/1/1 {}/1/1\n".format(*(face + 1)) for face in _FACES[:3])
    return f"# a shape\no a\n{corners}vt 0 0\nvn 0 0 1\nusemtl b\n{faces}f -3 -2 \\\n-1\n".encode()


def _ply(form: str) -> bytes:
    return (
        f"ply\nformat {form}\ncomment made\nelement vertex 4\nproperty float x\nproperty float y\nproperty float z\n"
        "element face 4\nproperty list uchar int vertex_indices\nend_header\n"
    ).encode()


def _binary(order: str) -> bytes:
    faces = b"".join(struct.pack(f"{order}B3i", 3, *face.tolist()) for face in _FACES)
    return _CORNERS.astype(f"{order}f4").tobytes() + faces


def _stl() -> bytes:
    facets = b"".join(struct.pack("<12fH", 0, 0, 0, *_CORNERS[face].ravel().tolist(), 0) for face in _FACES)
    return b"binary".ljust(80) + struct.pack("<I", len(_FACES)) + facets


def _stl_text() -> bytes:
    corners = ["".join("vertex {:g} {:g} {:g}\n".format(*corner) for corner in _CORNERS[face]) for face in _FACES]
    facets = "".join(f"facet normal 0 0 0\nouter loop\n{each}endloop\nendfacet\n" for each in corners)
    return f"solid a\n{facets}endsolid a\n".encode()


def _glb() -> bytes:
    binary = _CORNERS.tobytes() + _FACES.astype("<u2").tobytes()
    views = [{"buffer": 0, "byteOffset": 0, "byteLength": 48}, {"buffer": 0, "byteOffset": 48, "byteLength": 24}]
    accessors = [
        {"bufferView": 0, "componentType": 5126, "count": 4, "type": "VEC3", "min": [0, 0, 0], "max": [1, 1, 1]},
        {"bufferView": 1, "componentType": 5123, "count": 12, "type": "SCALAR", "byteOffset": 0},
    ]
    scene = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"children": [1], "scale": [2, 1, 1]}, {"mesh": 0, "rotation": [0, 0, 0, 1], "translation": [0, 1, 0]}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1, "mode": 4}]}],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": len(binary)}],
    }
    text = json.dumps(scene).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(binary), b"BIN\0") + binary
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


MEMBER = Meshes
