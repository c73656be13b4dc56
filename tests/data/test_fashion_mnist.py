"""The reader of Fashion-MNIST on small files of the real layout, and on the real ones where they are installed."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from perceiver_jax.data import pipeline
from perceiver_jax.data.sources import fashion_mnist
from perceiver_jax.data.sources.fashion_mnist import Config, FashionMnist
from perceiver_jax.errors import Code, Failure
from perceiver_jax.modalities.image.config import NoAugment
from tests.problems import BATCHES, data_of

INSTALLED = Path("/usr/share/datasets/fashion-mnist")
TRAIN, TEST = "train-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte.gz"


def config_of(folder):
    return Config(kind="fashion_mnist", data_dir=str(folder), **BATCHES)


def idx(array, magic=0x0800):
    return struct.pack(f">{1 + array.ndim}I", magic | array.ndim, *array.shape) + array.tobytes()


def write(folder, count=5):
    rng = np.random.default_rng(0)
    for name in ("train", "t10k"):
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = rng.integers(0, 10, count, dtype=np.uint8)
        (folder / f"{name}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
        (folder / f"{name}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels)))
    return images, labels


def test_examples_are_those_of_the_files(tmp_path):
    images, labels = write(tmp_path)
    source = FashionMnist(config_of(tmp_path)).load("test")
    assert len(source) == 5
    np.testing.assert_array_equal(np.stack([source[i].inputs["image"] for i in range(5)]), images[..., None])
    assert [source[i].labels for i in range(5)] == [(label,) for label in labels.tolist()]


def test_the_identity_is_of_the_bytes_of_all_four_files(tmp_path):
    write(tmp_path)
    identities = {FashionMnist(config_of(tmp_path)).identity()}
    for path in sorted(tmp_path.iterdir()):
        path.write_bytes(path.read_bytes() + b"!")
        identities.add(FashionMnist(config_of(tmp_path)).identity())
    assert len(identities) == 5


def test_a_file_that_unpacks_to_more_than_any_is_refused_before_it_has(tmp_path, monkeypatch):
    monkeypatch.setattr(fashion_mnist, "MAX_BYTES", 10_000)
    write(tmp_path)
    (tmp_path / TEST).write_bytes(gzip.compress(bytes(10_001)))
    with pytest.raises(Failure) as failure:
        FashionMnist(config_of(tmp_path)).load("test")
    assert str(failure.value).startswith(
        f"error[3] unpacks to too much: {tmp_path / TEST}\n  expected: at most 10,000 bytes\n"
    )


@pytest.mark.parametrize("ask", [FashionMnist.identity, lambda source: source.load("train")])
def test_absent_files_are_named_with_their_package(ask, tmp_path):
    with pytest.raises(Failure) as failure:
        ask(FashionMnist(config_of(tmp_path)))
    assert str(failure.value) == (
        f"error[3] data set fashion_mnist not found: {tmp_path / TRAIN}\n"
        "  try: apt-get install dataset-fashion-mnist, or its files in another data.data_dir"
    )


PICTURES = np.zeros((5, 28, 28), np.uint8)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(idx(PICTURES))[:-9], "cannot read"),
        (idx(PICTURES), "cannot read"),
        (
            gzip.compress(idx(PICTURES)[:-1]),
            "has the wrong length: {path}\n  found: 3,935 bytes\n  expected: 3,936, as its header",
        ),
        (gzip.compress(idx(PICTURES) + b"!"), "has the wrong length"),
        (
            gzip.compress(idx(PICTURES[0])),
            "is not an IDX file of this kind: {path}\n  found: 0x00000802\n  expected: 0x00000803",
        ),
        (gzip.compress(idx(PICTURES, magic=0x0900)), "is not an IDX file of this kind"),
        (gzip.compress(b""), "is not an IDX file of this kind"),
        (gzip.compress(idx(PICTURES[:4])), "4 pictures and 5 labels"),
        (gzip.compress(idx(PICTURES[:, 1:])), "is not Fashion-MNIST: {path}\n  found: pictures of 27 x 28"),
    ],
    ids=["cut off", "not gzip", "short", "long", "two axes", "signed", "empty", "count", "size"],
)
def test_a_file_that_holds_anything_else_is_refused(content, message, tmp_path):
    write(tmp_path)
    (tmp_path / TRAIN).write_bytes(content)
    with pytest.raises(Failure) as failure:
        FashionMnist(config_of(tmp_path)).load("train")
    assert failure.value.code == Code.DATA
    assert str(failure.value).startswith("error[3] " + message.format(path=tmp_path / TRAIN))


@pytest.fixture
def installed():
    if not INSTALLED.is_dir():
        pytest.skip("Debian's package dataset-fashion-mnist is not installed")
    return config_of(INSTALLED)


def test_the_package_holds_what_the_source_says(installed):
    pipeline.check(data_of(installed, NoAugment(kind="none")))
    source = FashionMnist(installed)
    (stream,), train = source.streams(), source.load("train")
    assert (round(train.images.mean(), 3), round(train.images.std(), 3)) == (*stream.mean, *stream.std)
    assert np.bincount([train.labels(i)[0] for i in range(len(train))]).tolist() == [6000] * 10
