"""Points from the bytes of a user's file: a mesh, or points as they are.

A mesh is sampled at random, seeded by its bytes: the same file gives the same points. Such a sample has no order, so any
prefix is a uniform sample too. An order in which they are also well spread, `surface.farthest_first`,
would take 0.3 s for 8,192 points, where reading and sampling a mesh takes about 10 ms: `read_well_spread` has it, for the
files of users of a model that was trained on such clouds.
"""

import functools
import io
import re
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32, Float64

from perceiver_jax.errors import Code, Failure
from perceiver_jax.readers import BadFile, point_arrays, surface
from perceiver_jax.readers.off import read_off
from perceiver_jax.readers.surface import Mesh

if TYPE_CHECKING:
    import trimesh

SUFFIXES = (".off", ".obj", ".ply", ".stl", ".glb", ".npy", ".npz", ".xyz", ".txt", ".csv", ".pts")
MAX_BYTES = 1_000_000_000

_FAR = 1000.0  # extents from the origin: beyond, float32 has few digits left for a shape


def read_points(
    data: bytes, suffix: str, num_points: int, density: int = 1, repeat: bool = True
) -> Float32[np.ndarray, "P 3"]:
    """The points of a file; of a mesh `density` times `num_points`, drawn uniformly from its surface.

    Points that a file lists are all kept. More than `num_points` come in a random order, since files list them in that
    of a scan and evaluation takes the first; fewer are repeated in their order, if `repeat`. Raises BadFile for a file
    without any, and Failure(DATA) where trimesh is needed and absent.
    """
    shape, rng = _read(data, suffix.lower()), surface.generator(data, 0)
    if isinstance(shape, Mesh):
        points = surface.sample(shape, density * num_points, rng) * surface.half_side(shape)
        return points.astype(np.float32)
    points = _fitted(shape).astype(np.float32)
    if len(points) > num_points:
        return rng.permutation(points)
    return np.resize(points, (num_points, 3)) if repeat else points


def read_well_spread(data: bytes, suffix: str, num_points: int) -> Float32[np.ndarray, "P 3"]:
    """`num_points` points of a file, every prefix of them well spread; a mesh's are in the unit cube.

    Of points that a file lists at most `OVERSAMPLING` for each that is kept are considered, drawn at random; fewer than
    `num_points` are repeated. Raises as `read_points`.
    """
    shape, rng = _read(data, suffix.lower()), surface.generator(data, 0)
    if isinstance(shape, Mesh):
        return surface.well_spread(shape, num_points, rng).astype(np.float32)
    points, most = _fitted(shape), surface.OVERSAMPLING * num_points
    if len(points) > most:
        points = rng.choice(points, most, replace=False)
    if len(points) > num_points:
        points = surface.farthest_first(points, num_points)
    return np.resize(points.astype(np.float32), (num_points, 3))


def _read(data: bytes, suffix: str) -> Mesh | Float64[np.ndarray, "P 3"]:
    """What a file holds: a mesh, or one point or more."""
    if suffix not in SUFFIXES:
        raise BadFile("format-not-allowed", f"is {suffix or 'without suffix'}; {', '.join(SUFFIXES)} are read")
    if len(data) > MAX_BYTES:
        raise BadFile("too-large", f"has {len(data):,} bytes; at most {MAX_BYTES:,} are read")
    if not data:
        raise BadFile("empty-file", "has no bytes")
    shape = _parsed(data, suffix)
    if not isinstance(shape, Mesh) and not len(shape):
        raise BadFile("no-points", "has no points")
    return shape


def _parsed(data: bytes, suffix: str) -> Mesh | Float64[np.ndarray, "P 3"]:
    """What a reader of the format finds: perhaps no points."""
    match suffix:
        case ".off":
            return read_off(data)
        case ".npy":
            return point_arrays.read_npy(data)
        case ".npz":
            return point_arrays.read_npz(data)
        case ".xyz" | ".txt" | ".csv" | ".pts":
            return point_arrays.read_text(data, has_count=suffix == ".pts")
        case _:
            return _with_trimesh(data, suffix)


def _fitted(points: Float64[np.ndarray, "P 3"]) -> Float64[np.ndarray, "P 3"]:
    """The points, moved and scaled only as far as they would lose their shape as float32."""
    largest = np.abs(points).max()
    if largest > 1e30:
        points = points / largest
    low, high = points.min(axis=0), points.max(axis=0)
    middle = (low + high) / 2
    if np.abs(middle).max() > _FAR * (high - low).max():
        points = points - middle
    return points


def _with_trimesh(data: bytes, suffix: str) -> Mesh | Float64[np.ndarray, "P 3"]:
    """All meshes of a file at their positions in its scene, or its points if it has no faces.

    The bytes come without the name of a file, so there is no folder in which trimesh could look up what they name.
    """
    if suffix == ".ply":
        _check_ply(data)
    library = _trimesh()
    try:
        scene = library.load_scene(io.BytesIO(data), file_type=suffix[1:], skip_materials=True, process=False)
        parts = [scene.graph[node] for node in scene.graph.nodes_geometry]
    except Exception as error:  # noqa: BLE001 a damaged file can raise anything in a reader
        raise BadFile("damaged", f"cannot be read as {suffix[1:]}: {error or type(error).__name__}") from None
    placed = [(scene.geometry[name], matrix) for matrix, name in parts]
    meshes = [(mesh, matrix) for mesh, matrix in placed if isinstance(mesh, library.Trimesh) and len(mesh.faces)]
    if sum(3 * (len(mesh.vertices) + len(mesh.faces)) for mesh, _ in meshes) > point_arrays.MAX_NUMBERS:
        raise BadFile("too-large", f"holds more than {point_arrays.MAX_NUMBERS:,} numbers")
    if meshes:
        return _union(meshes)
    clouds = [_moved(cloud, matrix) for cloud, matrix in placed if isinstance(cloud, library.PointCloud)]
    return np.concatenate([np.empty((0, 3)), *clouds])


def _check_ply(data: bytes) -> None:
    """Raises BadFile where a PLY file of text has fewer lines than its header says: trimesh reads what is there."""
    header, end, body = data.partition(b"end_header")
    if not end:
        raise BadFile("damaged", "has no end_header")
    counts = [int(count) for count in re.findall(rb"^element\s+\S+\s+(\d{1,20})\s*$", header, re.MULTILINE)]
    if max(counts, default=0) > point_arrays.MAX_NUMBERS:
        raise BadFile("too-large", f"claims {max(counts):,} elements; at most {point_arrays.MAX_NUMBERS:,} are read")
    if re.search(rb"^format\s+ascii", header, re.MULTILINE):
        lines = sum(1 for line in body.splitlines() if line.strip())
        if lines < sum(counts):
            raise BadFile("truncated", f"header says {sum(counts):,} lines, file has {lines:,}")


def _union(meshes: list[tuple["trimesh.Trimesh", Float64[np.ndarray, "4 4"]]]) -> Mesh:
    vertices, faces, count = [], [], 0
    for mesh, matrix in meshes:
        corners = np.asarray(mesh.faces, np.int64)
        if corners.min() < 0 or corners.max() >= len(mesh.vertices):
            raise BadFile("face", f"a face refers to a vertex outside the mesh's {len(mesh.vertices):,} vertices")
        vertices.append(_moved(mesh, matrix))
        faces.append(corners + count)
        count += len(mesh.vertices)
    return Mesh(np.concatenate(vertices), np.concatenate(faces))


def _moved(
    geometry: "trimesh.Trimesh | trimesh.PointCloud", matrix: Float64[np.ndarray, "4 4"]
) -> Float64[np.ndarray, "V 3"]:
    """The positions of vertices in the scene."""
    own = np.asarray(geometry.vertices, np.float64)
    with np.errstate(all="ignore"):
        moved = own @ matrix[:3, :3].T + matrix[:3, 3]
    finite = np.isfinite(moved).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        raise BadFile("non-finite", f"vertex {row}: ({', '.join(map(str, own[row]))}) is not finite")
    return moved


@functools.cache
def _trimesh() -> ModuleType:
    """trimesh, imported by the first file that needs it."""
    try:
        import trimesh
    except ImportError:
        what = f"files of {', '.join(SUFFIXES[1:5])} need the package trimesh"
        raise Failure(Code.DATA, what, hint="pip install -e .[points]") from None
    return trimesh
