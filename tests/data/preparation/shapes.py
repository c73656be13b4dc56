"""Small ModelNet40s in the layouts of the true releases, made of boxes, cylinders and spheres."""

import io
import zipfile
from pathlib import Path

import numpy as np

from perceiver_jax.data.sources.modelnet40 import CLASSES
from perceiver_jax.readers.surface import Mesh, sample

KINDS = ("chair", "night_stand", "vase")
TRAIN, TEST = 4, 2  # of each class; numbers continue from train to test, as in the true one
SYSTEM_FILES = {
    "README.txt": b"ModelNet40",
    ".DS_Store": b"\0",
    "__MACOSX/ModelNet40/chair/train/._chair_0001.off": b"\0\5\x16\7",
}


def box(size) -> Mesh:
    """A box of 12 triangles."""
    corners = np.array([(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)], np.float64)
    sides = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    return Mesh(corners * size, np.array([t for a, b, c, d in sides for t in ((a, b, c), (a, c, d))]))


def tube(radii, heights, sides=12) -> Mesh:
    """Rings of these radii at these heights, joined: a cylinder, or nearly a sphere."""
    angles = np.arange(sides) * 2 * np.pi / sides
    rings = [
        np.stack([r * np.cos(angles), r * np.sin(angles), np.full(sides, h)], axis=1)
        for r, h in zip(radii, heights, strict=True)
    ]
    faces = []
    for ring in range(len(rings) - 1):
        for i in range(sides):
            a, b = ring * sides + i, ring * sides + (i + 1) % sides
            faces += [(a, b, a + sides), (b, b + sides, a + sides)]
    return Mesh(np.concatenate(rings), np.array(faces))


def shape(label: str, number: int) -> Mesh:
    """A shape of a class, another for each number."""
    rng = np.random.default_rng((CLASSES.index(label), number))
    if label == "chair":
        return box(rng.uniform(1, 5, 3))
    if label == "night_stand":
        return tube([rng.uniform(1, 3)] * 2, [0, rng.uniform(1, 5)])
    angles, radius = np.linspace(-1.5, 1.5, 7), rng.uniform(1, 5)
    return tube(radius * np.cos(angles), radius * np.sin(angles))


def off(mesh: Mesh, glued: bool = False) -> bytes:
    """The bytes of an OFF file; with the header glued to the counts, as in many of the true ones."""
    vertices = "".join(f"{x:.6f} {y:.6f} {z:.6f}\n" for x, y, z in mesh.vertices.tolist())
    faces = "".join(f"3 {a} {b} {c}\n" for a, b, c in mesh.faces.tolist())
    return f"OFF{'' if glued else chr(10)}{len(mesh.vertices)} {len(mesh.faces)} 0\n{vertices}{faces}".encode()


def ids() -> dict[str, list[tuple[str, str, int]]]:
    """Of each split its shapes: name, class and number."""
    numbers = {"train": range(1, TRAIN + 1), "test": range(TRAIN + 1, TRAIN + TEST + 1)}
    return {split: [(f"{k}_{n:04}", k, n) for k in KINDS for n in numbers[split]] for split in numbers}


def labels() -> dict[str, dict[str, int]]:
    """Of each split the label of each shape."""
    return {split: {key: CLASSES.index(label) for key, label, _ in found} for split, found in ids().items()}


def meshes() -> dict[str, bytes]:
    """The OFF files by path."""
    return {
        f"{label}/{split}/{key}.off": off(shape(label, number), glued=number % 2 == 0)
        for split, found in ids().items()
        for key, label, number in found
    }


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip archive of files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2015, 3, 27, 0, 0, 0)), data, method)
    return buffer.getvalue()


def write(folder: Path, files: dict[str, bytes]) -> Path:
    """A folder with these files."""
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def write_zip(folder: Path, files: dict[str, bytes] | None = None) -> Path:
    """The folder that ModelNet40.zip was downloaded to."""
    members = {f"ModelNet40/{name}": data for name, data in (files or meshes()).items()}
    system = {name if name.startswith("__") else f"ModelNet40/{name}": data for name, data in SYSTEM_FILES.items()}
    return write(folder, {"ModelNet40.zip": zipped({"ModelNet40/chair/": b"", **members, **system})})


def write_tree(folder: Path, files: dict[str, bytes] | None = None) -> Path:
    """The same, unpacked."""
    return write(folder, (files or meshes()) | SYSTEM_FILES)


def cloud(label: str, number: int, count: int):
    """Points on a shape, six decimals each, as the text release has them."""
    return sample(shape(label, number), count, np.random.default_rng(number)).round(6)


def resampled(count: int = 300) -> dict[str, bytes]:
    """The text release by path, of fewer points than the true one."""
    files = {"modelnet40_shape_names.txt": "\n".join(CLASSES).encode(), "filelist.txt": b""}
    for split, found in ids().items():
        files[f"modelnet40_{split}.txt"] = "".join(f"{key}\n" for key, _, _ in found).encode()
        for key, label, number in found:
            points = cloud(label, number, count).tolist()
            lines = "".join(f"{x:.6f},{y:.6f},{z:.6f},0.000000,0.000000,1.000000\n" for x, y, z in points)
            files[f"{label}/{key}.txt"] = lines.encode()
    return files


def write_resampled(folder: Path) -> Path:
    """The text release."""
    return write(folder / "modelnet40_normal_resampled", resampled())


def write_arrays(path: Path, found: list[tuple[str, str, int]], count: int = 2048, **changes) -> None:
    """One file of the HDF5 release."""
    import h5py

    arrays = {
        "data": np.array([cloud(label, number, count) for _, label, number in found], np.float32),
        "label": np.array([[CLASSES.index(label)] for _, label, _ in found], np.uint8),
        "normal": np.zeros((len(found), count, 3), np.float32),
        "faceId": np.zeros((len(found), count), np.int32),
    }
    with h5py.File(path, "w") as file:
        for name, array in (arrays | changes).items():
            if array is not None:
                file.create_dataset(name, data=array, compression="gzip")


def write_hdf5(folder: Path) -> Path:
    """The HDF5 release: two files of train and one of test."""
    folder = folder / "modelnet40_ply_hdf5_2048"
    of = ids()
    parts = {"train0": of["train"][:5], "train1": of["train"][5:], "test0": of["test"]}
    lists = {
        f"{split}_files.txt": "".join(f"data/modelnet40_ply_hdf5_2048/ply_data_{p}.h5\n" for p in parts if split in p)
        for split in of
    }
    write(folder, {"shape_names.txt": "\n".join(CLASSES).encode()} | {name: text.encode() for name, text in lists.items()})
    for part, found in parts.items():
        write_arrays(folder / f"ply_data_{part}.h5", found)
    return folder
