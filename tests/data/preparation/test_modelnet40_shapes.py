"""From one shape to one record: which points, in which order, and which shapes cannot be converted."""

import numpy as np
import pytest

from perceiver_jax.data.preparation.items import Item
from perceiver_jax.data.preparation.modelnet40 import converter, num_shards
from perceiver_jax.data.sources.modelnet40 import PUBLISHED
from perceiver_jax.readers import BadFile
from tests.data.preparation.shapes import box, off

BOX = off(box((2, 4, 4)))
LINES = [f"{x:.6f},{y:.6f},{z:.6f},0,0,1" for x, y, z in np.random.default_rng(0).random((50, 3)).tolist()]


def text(lines=LINES):
    return "\n".join(lines).encode()


def converted(data, release="meshes", num_points=64, seed=0, key="chair_0001"):
    """The points of the record that a shape becomes; checks the rest of it."""
    from tensorflow_datasets.proto import tf_example_pb2

    example = converter(release, num_points, seed)(Item(key, 8, "", 0, 0, 0), data)
    feature = tf_example_pb2.Example.FromString(example.record).features.feature
    assert feature["label"].int64_list.value == [8]
    assert feature["name"].bytes_list.value == [key.encode()]
    (points,) = feature["points"].bytes_list.value
    return np.frombuffer(points, "<f4").reshape(-1, 3)


@pytest.mark.parametrize("scale", [1, 1e11], ids=["usual", "products outside float32"])
def test_points_of_a_mesh_are_on_its_surface_in_the_unit_cube(scale):
    points = converted(off(box((2 * scale, 4 * scale, 4 * scale))))
    assert points.shape == (64, 3)
    on_side = np.isclose(np.abs(points), (0.5, 1, 1), atol=1e-6)
    assert on_side.any(axis=1).all()
    assert (np.abs(points) <= (0.5 + 1e-6, 1 + 1e-6, 1 + 1e-6)).all()


def test_the_first_points_are_farthest_from_each_other():
    points = converted(BOX).astype(np.float64)
    distances = np.linalg.norm(points[:, None] - points, axis=2)
    nearest_before = [distances[i, :i].min() for i in range(1, len(points))]
    assert (np.diff(nearest_before) <= 1e-6).all()


def test_the_same_file_and_seed_give_the_same_points_and_others_other():
    one = converted(BOX)
    np.testing.assert_array_equal(converted(BOX, key="chair_0002"), one)
    assert not np.array_equal(converted(BOX, seed=1), one)
    assert not np.array_equal(converted(BOX + b"\n"), one)


def test_the_text_release_is_thinned():
    every, points = np.loadtxt(LINES, delimiter=",")[:, :3].astype(np.float32), converted(text(), "resampled", 20)
    assert len(np.unique(points, axis=0)) == 20
    assert {tuple(p) for p in points.tolist()} < {tuple(p) for p in every.tolist()}


@pytest.mark.parametrize(
    "data",
    [text().replace(b"\n", b"\r\n"), text() + b"\n", text([line[:26] for line in LINES])],
    ids=["CR LF", "final newline", "no normals"],
)
def test_text_may_be_written_in_other_ways(data):
    np.testing.assert_array_equal(converted(data, "resampled", 20), converted(text(), "resampled", 20))


def test_arrays_are_taken_as_they_are():
    points = np.random.default_rng(0).random((2048, 3)).astype("<f4")
    np.testing.assert_array_equal(converted(points.tobytes(), "hdf5", 1024), points[:1024])


@pytest.mark.parametrize(
    ("release", "data", "code", "sentence"),
    [
        ("meshes", b"", "no-vertices", "has no bytes"),
        ("meshes", b"OFF\n1 0 0\n0 0 0\n", "no-faces", "has no faces"),
        ("meshes", b"OFF\n3 1 0\n0 0 0\n1 1 1\n2 2 2\n3 0 1 2\n", "degenerate", "all faces have zero area"),
        ("meshes", BOX[:-20], "count-mismatch", "line 20: the last"),
        ("resampled", b"", "no-vertices", "has no bytes"),
        ("resampled", b" \n", "no-vertices", "is blank"),
        ("resampled", text(LINES[:19]), "too-few-points", "has 19 points; 20 are needed"),
        ("resampled", text([*LINES, "nan,0,0,0,0,1"]), "vertex", "line 51: nan,0,0,0,0,1, expected x,y,z or"),
        ("resampled", text([*LINES, "1,2,3,4,5"]), "vertex", "line 51: 1,2,3,4,5, expected"),
        ("resampled", text([*LINES, "1,2,3"]), "vertex", "line 51: 1,2,3, expected"),
        ("resampled", text([*LINES, "1;2;3"]), "vertex", "line 51: 1;2;3, expected"),
        ("resampled", text(["1,2"] * 30), "vertex", "line 1: 1,2, expected"),
        ("resampled", text(["1e39,0,0", "0,0,0"] * 15), "non-finite", "outside the range of float32"),
        ("resampled", text(["1,2,3"] * 30), "degenerate", "all points are equal"),
        ("resampled", text([f"{i},{2 * i},7" for i in range(30)]), "degenerate", "all points are on one line"),
        ("resampled", text([*LINES, "0," * 500_001]), "line-too-long", "line 51: is longer than 1,000,000 bytes"),
        ("hdf5", np.full((2048, 3), np.nan, "<f4").tobytes(), "non-finite", "outside the range of float32"),
        ("hdf5", np.zeros((2048, 3), "<f4").tobytes(), "degenerate", "all points are equal"),
        ("hdf5", np.outer(np.arange(2048), [0.1, 0, 0.7]).astype("<f4").tobytes(), "degenerate", "all points are on one"),
    ],
    ids=range(19),
)
def test_a_shape_that_gives_no_points_is_a_bad_item(release, data, code, sentence):
    with pytest.raises(BadFile) as bad:
        converted(data, release, 20)
    assert (bad.value.code, sentence in bad.value.sentence) == (code, True), bad.value


def test_a_subset_has_its_share_of_the_shards():
    assert {split: num_shards(split, size) for split, size in PUBLISHED.items()} == {"train": 64, "test": 16}
    assert (num_shards("train", 400), num_shards("train", 1)) == (3, 1)
