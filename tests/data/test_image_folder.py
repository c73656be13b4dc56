"""Folders of pictures as users have them: layouts, what is left out, what is refused, what is reported."""

import contextlib
import os

import numpy as np
import pytest
from PIL import Image

from perceiver_jax.data import class_folders, pipeline
from perceiver_jax.data.sources.image_folder import Config, ImageFolder
from perceiver_jax.errors import Code, Failure
from perceiver_jax.modalities.image.config import Inception
from tests.data.preparation.archives import encoded, photograph
from tests.problems import BATCHES, data_of, take

AUGMENT = Inception(
    kind="inception",
    crop={"area": (0.5, 1.0), "aspect": (0.75, 1.25), "min_object_covered": 0.0, "attempts": 10},
    flip_probability=0.5,
    randaugment=None,
    evaluation_crop=0.875,
    position_frame="crop",
    mix={"kind": "none"},
)


@pytest.fixture(autouse=True)
def _fresh():
    class_folders.list_folder.cache_clear()


def config_of(folder, **changes):
    values = {"kind": "image_folder", "data_dir": str(folder), "image_size": 8, "labels": None, "test_percent": 50.0}
    return Config(**values | {"max_bad": 0} | BATCHES | changes)


def write(folder, *names, content=b"x"):
    for name in names:
        path = os.path.join(os.fsencode(folder), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)


def listed(config):
    """The names and labels of each split."""
    found = {}
    for split in ("train", "test"):
        files = ImageFolder(config).load(split)
        examples = [files[i] for i in range(len(files))]
        found[split] = [(os.path.relpath(one.name, config.data_dir), *one.labels) for one in examples]
    return found


def test_train_and_test_folders_are_the_splits(tmp_path, capsys):
    write(tmp_path, "train/dog/b.PNG", "train/cat/a.jpg", "train/cat/A b.jpeg", "test/dog/a.jpg", "README.md")
    config = config_of(tmp_path)
    assert {split: sorted(names) for split, names in listed(config).items()} == {
        "train": [("train/cat/A b.jpeg", 0), ("train/cat/a.jpg", 0), ("train/dog/b.PNG", 1)],
        "test": [("test/dog/a.jpg", 1)],
    }
    (stream,), contents = ImageFolder(config).streams(), ImageFolder(config).contents()
    assert (contents.classes, contents.num_examples) == (("cat", "dog"), {"train": 3, "test": 1})
    assert (*stream.grid, stream.channels, stream.upright) == (8, 8, 3, True)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("suffix", "jpg JPEG jpe jfif pjpeg png webp gif bmp".split())
def test_every_suffix_of_a_picture_is_known(suffix, tmp_path):
    write(tmp_path, f"train/cat/1.{suffix}", "train/dog/1.jpg", f"test/cat/1.{suffix}")
    assert len(listed(config_of(tmp_path))["train"]) == 2


def test_a_picture_is_read_by_what_it_holds_and_through_a_link(tmp_path):
    write(tmp_path, "train/cat/1.jpg", "train/dog/1.jpg", "test/dog/1.jpg", content=encoded(photograph(0), "GIF"))
    (tmp_path / "2.png").write_bytes(encoded(photograph(1), "PNG"))
    (tmp_path / "train/cat/2.jpg").symlink_to(tmp_path / "2.png")
    data = data_of(config_of(tmp_path), AUGMENT)
    pipeline.check(data)
    assert len(take(pipeline.train_batches(data, 0, 0), 3)) == 3


def test_the_streams_are_known_before_the_folder_is_there(tmp_path):
    (stream,) = ImageFolder(config_of(tmp_path / "nowhere")).streams()
    assert (stream.name, stream.grid, stream.channels) == ("image", (8, 8), 3)


def test_contents_of_a_folder_that_is_not_there_are_refused(tmp_path):
    with pytest.raises(Failure) as failure:
        ImageFolder(config_of(tmp_path / "nowhere")).contents()
    expected = "train/CLASS/*.jpg with test/CLASS/*.jpg, or CLASS/*.jpg"
    assert str(failure.value) == f"error[3] data.data_dir is not a directory: {tmp_path}/nowhere\n  expected: {expected}"


def test_inputs_may_be_of_another_height_than_width(tmp_path):
    (stream,) = ImageFolder(config_of(tmp_path, image_size=(6, 10))).streams()
    assert stream.grid == (6, 10)


def test_files_left_out_are_in_no_split_and_in_no_number(tmp_path):
    write(tmp_path, *[f"{split}/cat/{i}.jpg" for split in ("train", "test") for i in range(3)])
    source = ImageFolder(config_of(tmp_path), ["train/cat/1.jpg", "test/cat/0.jpg"])
    names = {split: sorted(source.load(split).file(i) for i in range(2)) for split in ("train", "test")}
    assert names == {"train": ["train/cat/0.jpg", "train/cat/2.jpg"], "test": ["test/cat/1.jpg", "test/cat/2.jpg"]}
    assert source.contents().num_examples == {"train": 2, "test": 2}


def test_the_identity_is_of_names_and_sizes(tmp_path):
    write(tmp_path, "train/cat/1.jpg", "test/cat/1.jpg")

    def identity():
        class_folders.list_folder.cache_clear()
        return ImageFolder(config_of(tmp_path)).identity()

    first = identity()
    write(tmp_path, "train/cat/1.jpg", content=b"y")
    assert identity() == first
    write(tmp_path, "train/cat/1.jpg", content=b"xy")
    second = identity()
    os.rename(tmp_path / "train/cat/1.jpg", tmp_path / "train/cat/2.jpg")
    assert len({first, second, identity()}) == 3


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_bad_file_ends_training_with_its_name_and_the_reason(num_workers, tmp_path):
    write(tmp_path, "train/cat/1.jpg", "train/cat/2.jpg", "test/cat/1.jpg", content=b"no picture")
    data = data_of(config_of(tmp_path, num_workers=num_workers), AUGMENT)
    with contextlib.closing(pipeline.train_batches(data, 0, 0)) as batches, pytest.raises(Failure) as failure:
        next(batches)
    assert failure.value.code == Code.DATA
    assert failure.value.what == "picture not-an-image"
    assert failure.value.where.startswith(f"{tmp_path}/train/cat/")


def test_a_file_that_is_gone_is_named(tmp_path):
    write(tmp_path, "train/cat/1.jpg", "test/cat/1.jpg")
    source = ImageFolder(config_of(tmp_path)).load("train")
    os.unlink(tmp_path / "train/cat/1.jpg")
    with pytest.raises(Failure) as failure:
        source[0]
    message = f"error[3] picture unreadable: {tmp_path}/train/cat/1.jpg\n  found: No such file or directory"
    assert str(failure.value) == message


def test_a_file_that_has_become_a_pipe_or_a_device_is_never_waited_for(tmp_path):
    write(tmp_path, "train/cat/1.jpg", "train/cat/2.jpg", "test/cat/1.jpg")
    source = ImageFolder(config_of(tmp_path)).load("train")
    for path in ("1.jpg", "2.jpg"):
        os.unlink(tmp_path / "train/cat" / path)
    os.mkfifo(tmp_path / "train/cat/1.jpg")
    (tmp_path / "train/cat/2.jpg").symlink_to("/dev/zero")
    for i in range(2):
        with pytest.raises(Failure, match=r"picture unreadable: .*\n  found: not a regular file"):
            source[i]


def test_pictures_of_all_sizes_become_batches(tmp_path):
    rng = np.random.default_rng(0)
    for i, size in enumerate([(30, 20), (9, 50), (12, 12), (64, 48)]):
        for split in ("train", "test"):
            path = tmp_path / split / "ab"[i % 2] / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(path)
    data = data_of(config_of(tmp_path), AUGMENT)
    pipeline.check(data)
    for batch in take(pipeline.train_batches(data, 0, 0), 3):
        assert batch["inputs"]["image"].shape == (2, 8, 8, 3)
    assert [batch["labels"].tolist() for batch in take(pipeline.eval_batches(data, "test"))] == [[0, 0], [1, 1]]
