"""From a shape of ModelNet40, in whichever release, to a record: points, in an order whose prefixes are well spread.

Meshes are sampled on their surface, with more points than are needed, which are then thinned, as the authors of PointNet
did for the clouds that most results are on: their users have reported 3 points of accuracy less for points drawn one by one.
"""

import functools
import io
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64

from perceiver_jax.data.preparation.items import Convert, Example, Item, record
from perceiver_jax.data.preparation.listing import share
from perceiver_jax.data.sources.modelnet40 import CLASSES, PUBLISHED
from perceiver_jax.readers import BadFile
from perceiver_jax.readers.off import read_off
from perceiver_jax.readers.surface import check_spread, farthest_first, generator, well_spread
from perceiver_jax.readers.text_lines import lines_of

NAME, VERSION, NOUN = "modelnet40", "1.0.0", "shapes"
SHARDS = {"train": 64, "test": 16}  # of the whole data set: a run that is stopped loses one for each worker
PRELOAD = (__name__, "tensorflow_datasets.proto.tf_example_pb2", "numpy.ma")  # numpy.ma: np.unique imports it


def converter(release: str, num_points: int, seed: int) -> Convert:
    """What makes records of a release's items; nothing of it depends on the order in which they are made."""
    return functools.partial(_convert, release=release, num_points=num_points, seed=seed)


def num_shards(split: str, num_shapes: int) -> int:
    """How many shards a split has; of a subset its share."""
    return share(SHARDS[split], num_shapes, PUBLISHED[split])


def features() -> Any:
    """How TFDS reads the records."""
    import tensorflow_datasets as tfds

    return tfds.features.FeaturesDict(
        {
            "points": tfds.features.Tensor(shape=(None, 3), dtype=np.float32, encoding="bytes"),
            "label": tfds.features.ClassLabel(names=CLASSES),
            "name": tfds.features.Text(),
        }
    )


def _convert(item: Item, data: bytes, release: str, num_points: int, seed: int) -> Example:
    """The record of one shape; raises BadFile."""
    points = _rounded(_points(data, release, num_points, seed))
    return Example(record({"points": points.tobytes(), "label": item.label, "name": item.key.encode()}), ())


def _points(data: bytes, release: str, num_points: int, seed: int) -> Float64[np.ndarray, "points 3"]:
    """The points of a shape in their order; raises BadFile."""
    if release == "meshes":
        return well_spread(read_off(data), num_points, generator(data, seed))
    cloud = np.frombuffer(data, "<f4").astype(np.float64).reshape(-1, 3) if release == "hdf5" else _rows(lines_of(data))
    if len(cloud) < num_points:
        raise BadFile("too-few-points", f"has {len(cloud):,} points; {num_points:,} are needed")
    check_spread(_rounded(cloud))  # of meshes `sample` has asked for a surface
    return cloud[:num_points] if release == "hdf5" else farthest_first(cloud, num_points)  # arrays are in a good order


def _rounded(points: Float64[np.ndarray, "points 3"]) -> Float32[np.ndarray, "points 3"]:
    """The points as they are kept; raises BadFile."""
    with np.errstate(over="ignore"):  # becomes infinite
        rounded = points.astype("<f4")
    if not np.isfinite(rounded).all():
        raise BadFile("non-finite", "has a coordinate outside the range of float32")
    return rounded


def _rows(text: bytes) -> Float64[np.ndarray, "lines 3"]:
    """The points of a text of lines `x,y,z` or `x,y,z,nx,ny,nz`; raises BadFile."""
    if not text.strip():
        raise BadFile("no-vertices", "has no bytes" if not text else "is blank")
    try:
        rows = np.loadtxt(io.BytesIO(text), delimiter=",", comments=None, ndmin=2)
    except ValueError:
        raise _faulty_line(text) from None
    infinite = ~np.isfinite(rows[:, :3]).all(axis=1)
    if rows.shape[1] not in (3, 6) or infinite.any():
        raise _faulty_line(text)
    return rows[:, :3]


def _faulty_line(text: bytes) -> BadFile:
    """What is wrong with a text that is not a table of finite numbers."""
    columns = 0
    for number, line in enumerate(text.split(b"\n"), 1):
        words = line.split(b",")
        if not line.strip():
            continue
        try:
            fit = np.isfinite([float(word) for word in words[:3]]).all() and len(list(map(float, words))) in (3, 6)
        except ValueError:
            fit = False
        columns = columns or len(words)
        if not fit or len(words) != columns:
            shown = line[:80].decode("utf-8", "backslashreplace")
            return BadFile("vertex", f"line {number}: {shown}, expected x,y,z or x,y,z,nx,ny,nz")
    return BadFile("vertex", "is not a table of numbers")
