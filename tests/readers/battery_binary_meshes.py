"""The battery's records of readers of PLY and STL, each in text and in binary."""

import struct

from tests.readers.battery_meshes import POLYGONS, VERTICES, encoded, mesh_reader
from tests.readers.mesh_files import ORDERS, lines, packed, ply, stl, stl_text


def wide_ply(encoding, newline="\n"):
    """PLY with other types, other properties between and behind, and other elements before and behind."""
    order = ORDERS[encoding]
    head = ["ply", f"format {encoding} 1.0", "comment element vertex 99", "obj_info made by hand", "element camera 2"]
    head += ["property int8 a", "property list uint8 float64 more", f"element face {len(POLYGONS)}", "property uchar red"]
    head += ["property list ushort uint vertex_index", "property list uchar float texcoord", "element edge 1"]
    head += ["property int vertex1", f"element vertex {len(VERTICES)}", "property double z", "property float nx"]
    head += ["property float64 x", "property uint8 red", "property double y", "end_header"]
    rows = [[("b", [-1]), ("B", [2]), ("d", [0.5, 7])], [("b", [3]), ("B", [0]), ("d", [])]]
    for i, face in enumerate(POLYGONS):
        rows.append([("B", [9]), ("H", [len(face)]), ("I", face), ("B", [i % 2]), ("f", [0.5] * (i % 2))])
    rows += [[("i", [4])]]
    rows += [[("d", [z]), ("f", [0.5]), ("d", [x]), ("B", [7]), ("d", [y])] for x, y, z in VERTICES]
    if order:
        body = b"".join(packed(order, *row) for row in rows)
    else:
        body = lines([number for _, numbers in row for number in numbers] for row in rows).encode()
    return newline.join([*head, ""]).encode() + body


def ply_forms():
    """PLY: text, both byte orders, other line ends of the header, other elements and properties."""
    text = ply(VERTICES, POLYGONS, "ascii").decode()
    head, end, body = text.partition("end_header\n")
    forms = {f"text, {name}": form for name, form in encoded({"plain": text}).items()}
    plain = ply(VERTICES, POLYGONS)
    return {
        "plain": plain,
        "big endian": ply(VERTICES, POLYGONS, "binary_big_endian"),
        "CRLF": plain.replace(b"\n", b"\r\n", plain.count(b"\n", 0, plain.index(b"end_header") + 11)),
        "bytes behind": plain + b"trailer",
        "blanks behind": plain + b"\r\n\0",
        "other properties": wide_ply("binary_little_endian"),
        "other properties, big endian, CR": wide_ply("binary_big_endian", "\r"),
        "other properties, text": wide_ply("ascii"),
        "words anyhow": (head + end + body.replace("\n", " ").replace(" ", "\n", 9)).encode(),
        **forms,
    }


def header(*elements, encoding="binary_little_endian"):
    """The header of a PLY file."""
    return "\n".join(["ply", f"format {encoding} 1.0", *elements, "end_header", ""]).encode()


XYZ = ("property float x", "property float y", "property float z")
CORNERS = "property list uchar int vertex_indices"
PLY = mesh_reader(
    ".ply",
    ply_forms(),
    hostile={
        "claims": header("element vertex 50000000", *XYZ, "element face 50000000", CORNERS) + bytes(40_000),
        "claims of nothing": header("element a 50000000", "element vertex 50000000", *XYZ, "element face 50000000"),
        "empty faces": header("element vertex 0", *XYZ, "element face 49000000", CORNERS) + bytes(40_000),
        "mixed faces": header("element vertex 1", *XYZ, "element face 5000", CORNERS)
        + bytes(12)
        + (b"\3" + bytes(12) + b"\1" + bytes(4)) * 2500,
        "many elements": header(*["element a 9\nproperty int a"] * 1500, "element vertex 1", *XYZ),
        "many properties": header("element vertex 1", *XYZ, *[f"property int a{i}" for i in range(2300)]),
        "text": header("element vertex 3", *XYZ, "element face 9000", CORNERS, encoding="ascii")
        + b"0 0 0\n" * 3
        + b"3 1\n" * 9000,
    },
)


def stl_forms():
    """STL in binary and in words, which may lie on lines as they like."""
    plain, text = stl(VERTICES, POLYGONS), stl_text(VERTICES, POLYGONS).decode()
    first, *others = text.replace("solid a\n", "").replace("endsolid a\n", "").split("endfacet\n")[:-1]
    two = (
        f"solid one\n{first}endfacet\nendsolid one\nsolid\n{''.join(one + 'endfacet' + chr(10) for one in others)}endsolid\n"
    )
    forms = encoded({"plain": text})
    forms |= {
        "upper case": text.upper().encode(),
        "one line": text.replace("solid a\n", "solid a ").replace("\n", " ").encode(),
        "a word a line": text.replace("facet normal", "facet  normal")
        .replace(" ", "\n")
        .replace("solid\na", "solid a")
        .encode(),
        "names": stl_text(VERTICES, POLYGONS, "vertex of facet 3 solid #1").replace(b"facet normal", b"\tfacet normal"),
        "two solids": two.encode(),
        "no normals": text.replace(" normal 0 0 0", "").encode(),
        "words for normals": text.replace("normal 0 0 0", "normal nan -nan(ind) 0").encode(),
        "text behind": (text + "exported by hand\n").encode(),
    }
    return {
        "plain": plain,
        "solid": b"solid facet vertex".ljust(80) + plain[80:],
        "attributes": plain[:-2] + b"\x12\x34",
        "bytes behind": plain + b"trailer",
        "zeros behind": plain + bytes(50),
        **{f"text, {name}": form for name, form in forms.items()},
    }


FACET = b"facet normal 0 0 0 outer loop vertex 0 0 0 vertex 1 0 0 vertex 0 1 0 "
STL = mesh_reader(
    ".stl",
    stl_forms(),
    hostile={
        "claims": bytes(80) + struct.pack("<I", 2**32 - 1) + bytes(40_000),
        "facets without end": b"solid a\n" + FACET * 600 + b"endsolid",
        "blanks": b"solid a\nfacet" + b" " * 49_000 + b"\nendsolid",
        "blanks before": b"solid a\n" + b" " * 49_000 + b"facet\nendsolid",
        "solids": b"solid a\nendsolid a\n" * 2500 + b"solid\nfacet\nendsolid",
        "words": b"solid a\n" + b"facet " * 8000 + b"endsolid",
    },
)
READERS = [PLY, STL]
