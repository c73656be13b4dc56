"""Folders of pictures as users have them: layouts, what is left out, what is refused, what is reported."""

import contextlib
import os
import time

import numpy as np
import pytest
from PIL import Image

from perceiver_jax.data import class_folders, pipeline
from perceiver_jax.data.sources.image_folder import Config, ImageFolder
from perceiver_jax.errors import Code, Failure
from perceiver_jax.modalities.image.config import Inception
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


def refusal(config):
    with pytest.raises(Failure) as failure:
        ImageFolder(config).load("train")
    assert failure.value.code == Code.DATA
    return str(failure.value).removeprefix("error[3] ")


@pytest.mark.parametrize("test", ["test", "val", "validation"])
def test_train_and_test_folders_are_the_splits(test, tmp_path, capsys):
    write(tmp_path, "train/dog/b.PNG", "train/cat/a.jpg", "train/cat/A b.jpeg", f"{test}/dog/a.jpg", "README.md")
    config = config_of(tmp_path)
    assert {split: sorted(names) for split, names in listed(config).items()} == {
        "train": [("train/cat/A b.jpeg", 0), ("train/cat/a.jpg", 0), ("train/dog/b.PNG", 1)],
        "test": [(f"{test}/dog/a.jpg", 1)],
    }
    (stream,), contents = ImageFolder(config).streams(), ImageFolder(config).contents()
    assert (contents.classes, contents.num_examples) == (("cat", "dog"), {"train": 3, "test": 1})
    assert (*stream.grid, stream.channels) == (8, 8, 3)
    assert capsys.readouterr().err == ""


def test_plain_class_folders_are_split_by_each_name_alone(tmp_path):
    names = [f"{label}/{i}.jpg" for label in ("cat", "dog") for i in range(200)]
    write(tmp_path, *names)
    before = listed(config_of(tmp_path, test_percent=25.0))
    assert sorted(name for split in before.values() for name, _ in split) == sorted(names)
    assert 70 < len(before["test"]) < 130
    write(tmp_path, *[f"cat/more{i}.jpg" for i in range(50)])
    class_folders.list_folder.cache_clear()
    after = listed(config_of(tmp_path, test_percent=25.0))
    assert all(set(before[split]) < set(after[split]) for split in before)
    more = listed(config_of(tmp_path, test_percent=50.0))
    assert set(after["test"]) < set(more["test"])


def test_what_is_held_out_for_validation_has_all_classes(tmp_path):
    write(tmp_path, *[f"{split}/{label}/{i}.jpg" for split in ("train", "test") for label in "abcd" for i in range(50)])
    last = listed(config_of(tmp_path))["train"][-40:]
    assert min(sum(label == one for _, label in last) for one in range(4)) >= 4


def test_a_class_may_be_called_train(tmp_path):
    write(tmp_path, *[f"{label}/{i}.jpg" for label in ("train", "car") for i in range(20)])
    assert {label for _, label in listed(config_of(tmp_path))["train"]} == {0, 1}


def test_what_is_not_a_picture_is_left_out_counted_and_reported_once(tmp_path, capsys):
    write(tmp_path, "train/cat/1.jpg", "test/cat/1.jpg", "train/cat/Thumbs.db", "train/cat/._1.jpg", "train/.DS_Store")
    write(
        tmp_path, "train/cat/notes.txt", "train/cat/2.gif", "train/cat/more/3.jpg", "train/list.csv", b"train/cat/\xff.jpg"
    )
    (tmp_path / "train/cat/4.jpg").symlink_to(tmp_path / "train/cat/1.jpg")
    (tmp_path / "train/loop").symlink_to(tmp_path / "train")
    os.mkfifo(tmp_path / "train/cat/5.jpg")
    config = config_of(tmp_path)
    for _ in range(2):
        assert listed(config)["train"] == [("train/cat/1.jpg", 0)]
    assert capsys.readouterr().err == (
        f"{tmp_path}: left out 1 folders inside a class, 2 format-not-allowed, 3 hidden, 1 name-not-utf8,"
        " 2 not in a class folder, 2 not-a-regular-file\n"
    )


def test_further_split_folders_are_left_out_and_reported(tmp_path, capsys):
    write(tmp_path, "train/cat/1.jpg", "val/cat/2.jpg", "test/cat/3.jpg")
    assert listed(config_of(tmp_path))["test"] == [("test/cat/3.jpg", 0)]
    assert capsys.readouterr().err == f"{tmp_path}: left out 1 folders beside test\n"


EXPECTED = "\n  expected: train/CLASS/*.jpg with test/CLASS/*.jpg, or CLASS/*.jpg"
REFUSED = {
    "absent": ([], "data.data_dir is not a directory: {root}" + EXPECTED),
    "empty": (["x.txt"], "has no pictures: {root}" + EXPECTED),
    "no test": (["train/cat/1.jpg"], "found train but no test, val or validation: {root}" + EXPECTED),
    "no train": (["val/cat/1.jpg"], "found val but no train: {root}" + EXPECTED),
    "empty class": (
        ["train/cat/1.txt", "test/cat/1.jpg"],
        "class cat has no pictures: {root}/train/cat\n  expected: JPEG or PNG files",
    ),
    "unknown class": (["train/cat/1.jpg", "test/dog/1.jpg"], "class dog is in test, but not in train: {root}"),
    "classes by case": (["Cat/1.jpg", "cat/1.jpg"], "names differ only in case: Cat, cat: {root}"),
    "files by case": (["cat/1.jpg", "cat/1.JPG"], "names differ only in case: 1.JPG, 1.jpg: {root}/cat"),
}


@pytest.mark.parametrize(("names", "message"), REFUSED.values(), ids=REFUSED)
def test_a_folder_that_is_not_a_data_set_is_refused(names, message, tmp_path):
    root = tmp_path / "pictures"
    write(root, *names)
    assert refusal(config_of(root)) == message.format(root=root)


def test_the_streams_are_known_before_the_folder_is_there(tmp_path):
    (stream,) = ImageFolder(config_of(tmp_path / "nowhere")).streams()
    assert (stream.name, stream.grid, stream.channels) == ("image", (8, 8), 3)


def test_contents_of_a_folder_that_is_not_there_are_refused(tmp_path):
    with pytest.raises(Failure) as failure:
        ImageFolder(config_of(tmp_path / "nowhere")).contents()
    assert str(failure.value) == f"error[3] data.data_dir is not a directory: {tmp_path}/nowhere{EXPECTED}"


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


def test_many_files_are_listed_quickly(tmp_path):
    for label in range(10):
        (tmp_path / str(label)).mkdir()
        for i in range(1000):
            os.close(os.open(tmp_path / str(label) / f"{i}.jpg", os.O_CREAT))
    start = time.process_time()
    assert sum(ImageFolder(config_of(tmp_path)).contents().num_examples.values()) == 10_000
    assert time.process_time() - start < 2  # 1e5 files take ten times what this does, about a second
