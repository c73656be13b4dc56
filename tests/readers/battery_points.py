"""The battery's records of readers of points: arrays, archives of arrays, and tables of text.

Right, of bytes of which one was changed, are as many points of which at most one is another, or one fewer; of an .npy
file also what numpy itself reads: its header says of what type all numbers are.
"""

import contextlib
import io
import struct
import zipfile

import numpy as np

from perceiver_jax.readers import shapes
from tests.readers.battery import Reader
from tests.readers.battery_meshes import encoded
from tests.readers.mesh_files import lines

POINTS = np.array([(0.5, 0, 0), (1.5, 0, 0), (1.5, 2, 0), (0, 2.25, 0), (0.25, 0.5, 3), (9, 9, 9), (-1, 0.125, 7)])
LEFT = 6  # points, where one is missing


def same(points, others):
    """Whether all are equal."""
    return isinstance(points, np.ndarray) and points.shape == others.shape and bool((points == others).all())


def nearly(points, data):
    """Whether at most one is another, or missing."""
    if not isinstance(points, np.ndarray) or not np.isfinite(points).all():
        return False
    if len(points) == len(POINTS):
        return bool((points != POINTS).any(axis=1).sum() <= 1)
    left = [np.delete(POINTS, i, axis=0) for i in range(len(POINTS))]
    return any(same(points, others) for others in left)


def first(points):
    """Whether there are no others than the first, and the last is perhaps cut."""
    return len(points) <= len(POINTS) and bool((points[:-1] == POINTS[: len(points) - 1]).all())


def twice(points):
    """Whether each is there once more."""
    return same(points, np.concatenate([POINTS, POINTS]))


def reader(suffix, forms, **others):
    """A reader of points by a suffix."""
    return Reader(suffix[1:], forms, lambda data: shapes.read_shape(data, suffix, "z"), same, **{"changed": nearly} | others)


def table(separator=" ", extra=(), end="\n", start=""):
    """Lines of points, and of other numbers behind them."""
    return start + "".join(separator.join(map(str, (*row, *extra))) + end for row in POINTS.tolist())


def text_forms():
    """Tables with blanks between."""
    named = "nx ny nz z y x\n" + lines((0, 0, 1, z, y, x) for x, y, z in POINTS.tolist())
    return encoded(
        {
            "plain": table(),
            "exponents": "".join(" ".join(f"{one:.6e}" for one in row) + "\n" for row in POINTS.tolist()),
            "remarks": "# x y z\n\n" + table().replace("\n", "  # 1 2\n"),
            "more columns": table(extra=(0.5, 255)),
            "commas": table(","),
            "semicolons": table(";"),
            "commas and blanks": table(" , "),
            "heading": "X Y Z\n" + table(),
            "heading of columns": named,
            "heading, slashes": "//X Y Z R\n" + table(extra=(3,)),
        }
    )


def csv_forms():
    """Tables with commas between."""
    named = "id,x,y,z\n" + "".join(f"{i},{x},{y},{z}\n" for i, (x, y, z) in enumerate(POINTS.tolist()))
    quoted = '"x","y","z"\n' + table(",")
    return encoded({"plain": table(","), "heading": "x,y,z\n" + table(","), "columns": named, "quoted": quoted})


def pts_forms():
    """Tables with a count."""
    return encoded({"plain": f"{len(POINTS)}\n" + table(), "colours": f"# a scan\n{len(POINTS)}\n" + table(extra=(9, 8))})


def npy(array, version=None):
    """An .npy file."""
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version)
    return file.getvalue()


def with_header(text, body):
    """An .npy file of version 1 whose header is some text."""
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + body


def npz(save=np.savez, **arrays):
    """An .npz file."""
    file = io.BytesIO()
    save(file, **arrays)
    return file.getvalue()


def read_by_numpy(points, data):
    """Whether numpy reads the same, a point a row or a column."""
    if nearly(points, data):
        return True
    with contextlib.suppress(ValueError), np.errstate(all="ignore"):
        array = np.load(io.BytesIO(data)).astype(float)
        return any(same(points, one[:, :3]) for one in (array, array.T) if one.ndim == 2)
    return False


WIDE = np.pad(np.tile(POINTS, (1, 1)), ((0, 0), (0, 3)))
NPY_FORMS = {
    "plain": npy(POINTS.astype("<f4")),
    "float64": npy(POINTS),
    "big endian": npy(POINTS.astype(">f8")),
    "half": npy(POINTS.astype("<f2")),
    "by columns": npy(np.asfortranarray(POINTS)),
    "normals too": npy(WIDE),
    "version 2": npy(POINTS, (2, 0)),
    "bytes behind": npy(POINTS.astype("<f4")) + b"trailer",
    "an array behind": npy(POINTS.astype("<f4")) + npy(WIDE),
}
NPZ_FORMS = {
    "plain": npz(points=POINTS),
    "packed": npz(np.savez_compressed, points=POINTS),
    "another name": npz(arr_0=POINTS),
    "bytes behind": npz(points=POINTS) + b"trailer",
    "among others": npz(labels=np.zeros(9), pos=POINTS.astype("<f4"), normals=WIDE),
}


def bomb():
    """A small archive of a large array."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("points.npy", npy(np.zeros((12_000_000, 3), "u1")), compresslevel=9)
    return file.getvalue()


HEADER = b"{'descr': '<f4', 'fortran_order': False, 'shape': "
READERS = [
    reader(
        ".npy",
        NPY_FORMS,
        changed=read_by_numpy,
        hostile={
            "claims": with_header(HEADER + b"(16000000, 3)}\n", bytes(40_000)),
            "deep header": with_header(HEADER + b"(" * 9000, b""),
            "signs in a header": with_header(HEADER + b"-" * 9000 + b"1}", b""),
            "long header": with_header(b" " * 48_000, b""),
        },
    ),
    reader(".npz", NPZ_FORMS, hostile={"bomb": bomb()}),
    reader(
        ".xyz",
        text_forms(),
        cut=first,
        doubled=twice,
        hostile={
            "remarks": b"#" * 49_000,
            "empty remarks": b"#\n" * 24_000,
            "commas": b"," * 49_000,
            "one line": b"1 " * 24_000,
            "points": b"1 2 3\n" * 8_000,
        },
    ),
    reader(".csv", csv_forms(), cut=first, doubled=twice),
    reader(".pts", pts_forms(), hostile={"long count": b"9" * 49_000}),
]
