"""The format of a shape's bytes where no name tells it: they came through a pipe."""

import re
import struct

_START = 4096  # bytes that are looked at
_MARKS = {b"glTF": ".glb", b"\x93NUMPY": ".npy", b"PK\x03\x04": ".npz", b"ply": ".ply"}
_OFF = re.compile(rb"(ST)?C?N?4?n?OFF\b", re.IGNORECASE)
_OBJ = re.compile(rb"^\s*(v|vn|vt|f|o|g|s|usemtl|mtllib)\s", re.MULTILINE)
_NUMBERS = re.compile(rb"[-+]?\.?\d")
_HEADER, _FACET = 84, 50  # bytes of a binary STL file


def suffix_of(data: bytes) -> str:
    """The suffix that the file should have, or "" where its bytes are of no format that is read."""
    start = data[:_START].removeprefix(b"\xef\xbb\xbf")
    for mark, suffix in _MARKS.items():
        if start.startswith(mark):
            return suffix
    facets = struct.unpack_from("<I", data, _HEADER - 4)[0] if len(data) >= _HEADER else 0
    if 0 < facets <= (len(data) - _HEADER) // _FACET:
        return ".stl"
    lines = [line.strip() for line in start.splitlines() if line.strip() and not line.strip().startswith(b"#")]
    first, second = (*lines[:2], b"", b"")[:2]
    if first.lower().startswith(b"solid"):
        return ".stl"
    if _OFF.match(first):
        return ".off"
    if _OBJ.match(first):
        return ".obj"
    if b"\0" in start:
        return ""
    if first.isdigit() and _NUMBERS.match(second):
        return ".pts"
    if _NUMBERS.match(first):
        return ".xyz"
    return ".csv" if _NUMBERS.match(second.split(b",")[-1].lstrip()) else ""  # a heading before numbers
