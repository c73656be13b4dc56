"""Digits as clouds: always the same ones, drawn where the ink is, and the forest that is printed beside the Perceiver."""

import hashlib

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from perceiver_jax.data.sources import mnist5k
from perceiver_jax.data.sources.mnist5k_points import Config, Mnist5kPoints
from perceiver_jax.modalities.points import PointCloud
from perceiver_jax.modalities.points.config import NoAugment
from tests.problems import BATCHES

# SHA-256 of the points and labels of each split, in order: a changed draw would silently change every result.
GOLDEN = {
    "train": "34ec59a8843cfa2f45755ebf70701f2e455cdcaa3c54b43d13fde4fb99939553",
    "test": "f41e269233189800069e3c74b9d4721266aa6c66f954e8a84cca333661b925cd",
}


def config(*grid):
    return Config(kind="mnist5k_points", grid=grid or (256,), **BATCHES)


def digits():
    """The same digits as pictures."""
    return mnist5k.Mnist5k(mnist5k.Config(kind="mnist5k", **BATCHES))


@pytest.fixture(scope="module")
def splits():
    """Points and labels of each split."""
    opened = {split: Mnist5kPoints(config()).load(split) for split in GOLDEN}
    examples = {split: [source[i] for i in range(len(source))] for split, source in opened.items()}
    return {
        split: (np.stack([e.inputs["points"] for e in each]), np.array([label for e in each for label in e.labels]))
        for split, each in examples.items()
    }


def test_each_split_holds_what_the_source_says(splits):
    source = Mnist5kPoints(config())
    (stream,), contents = source.streams(), source.contents()
    assert (stream.modality, stream.grid, stream.channels, len(contents.classes)) == ("points", (256,), 0, 10)
    for split, (points, labels) in splits.items():
        assert points.shape == (contents.num_examples[split], 512, 3)
        assert points.dtype == np.float32
        assert sorted(set(labels)) == list(range(10))


@pytest.mark.parametrize("split", GOLDEN)
def test_splits_never_change(splits, split):
    points, labels = splits[split]
    assert hashlib.sha256(points.tobytes() + labels.astype(np.uint8).tobytes()).hexdigest() == GOLDEN[split]


def test_an_example_is_the_same_every_time_in_any_order(splits):
    source = Mnist5kPoints(config()).load("test")
    for index in (7, 3, 7):
        np.testing.assert_array_equal(source[index].inputs["points"], splits["test"][0][index])


def test_points_are_in_pixels_with_ink_as_often_as_these_have_ink(splits):
    pictures = digits().load("test").images[:100, ..., 0].astype(float)
    points = splits["test"][0][:100]
    columns, rows = ((28 * (1 + sign * points[..., axis]) / 2).astype(int) for axis, sign in ((0, 1), (1, -1)))
    counts = np.zeros_like(pictures)
    np.add.at(counts, (np.arange(100)[:, None], rows, columns), 1)
    assert counts[pictures == 0].sum() == 0
    expected = 512 * pictures / pictures.sum((1, 2), keepdims=True)
    within = ((counts - expected) ** 2)[expected > 0] / expected[expected > 0]  # of a Poisson count: 1 on average
    assert abs(within.mean() - 1) < 0.05


def test_points_are_spread_within_their_pixel_and_through_the_slab(splits):
    points = splits["test"][0]
    for axis in (0, 1):
        part = 28 * (1 + points[..., axis]) / 2 % 1
        np.testing.assert_allclose(np.histogram(part, 10, (0, 1))[0] / part.size, 0.1, atol=0.002)
    depth = points[..., 2]
    np.testing.assert_allclose(np.histogram(depth, 10, (-0.05, 0.05))[0] / depth.size, 0.1, atol=0.002)


def test_the_forest_baseline_is_reproduced(splits):
    source = Mnist5kPoints(config())
    modality = PointCloud(*source.streams(), NoAugment(kind="none", extent=None, half_side=1.0))

    def counts(split):
        clouds = (modality.evaluation(cloud, 0) for cloud in splits[split][0])
        return [np.histogram2d(x, y, 12, [[-1, 1], [-1, 1]])[0].ravel() for x, y, _ in (cloud.T for cloud in clouds)]

    forest = RandomForestClassifier(random_state=0, n_jobs=1).fit(counts("train"), splits["train"][1])
    score = forest.score(counts("test"), splits["test"][1])
    assert round(score, 3) == source.contents().baselines["random forest"]


def test_a_grid_with_room_for_more_points_than_a_digit_has_is_refused():
    config(16, 32)
    with pytest.raises(ValueError, match=r"data.grid \(513,\): expected at most the 512 points that a digit has"):
        config(513)


def test_the_identity_is_that_of_the_digits():
    assert Mnist5kPoints(config()).identity() == digits().identity()
