"""Files that cannot be read: found before training, left out as far as a config allows."""

import os
import time

import numpy as np
import pytest

from perceiver_jax.data import checking, class_folders, pipeline
from perceiver_jax.data.sources.image_folder import Config as PicturesConfig
from perceiver_jax.data.sources.point_folder import Config as ShapesConfig
from perceiver_jax.errors import Code, Failure
from perceiver_jax.modalities.points.config import NoAugment
from tests.data.preparation.archives import encoded, photograph
from tests.data.test_image_folder import AUGMENT
from tests.problems import BATCHES, config_of, data_of, take


@pytest.fixture(autouse=True)
def _fresh():
    class_folders.list_folder.cache_clear()


@pytest.fixture
def folder(tmp_path):
    """Twelve pictures, of which none is bad."""
    for i, (split, label) in enumerate((split, label) for split in ("train", "test") for label in "ab" for _ in range(3)):
        path = tmp_path / split / label / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(photograph(i)))
    return tmp_path


def cut(folder, *names):
    """Makes files end half-way."""
    for name in names:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: len(data) // 2])


def pictures(folder, max_bad):
    values = {"kind": "image_folder", "data_dir": str(folder), "image_size": 8, "labels": None, "test_percent": 50.0}
    return PicturesConfig(**values, max_bad=max_bad, **BATCHES)


def task_of(config):
    return config.task_of(config.source().contents().classes)


def check(data, augment=AUGMENT):
    """The files that are left out, how many were checked each time, and what was reported."""
    seen, reported, config = [], [], config_of(data, augment)
    checked = checking.check_files(config.source(), config.modalities, task_of(config), seen.append, reported.append)
    return checked.left_out, seen, reported


def refusal(data):
    with pytest.raises(Failure) as failure:
        check(data)
    assert failure.value.code == Code.DATA
    return str(failure.value).removeprefix("error[3] ")


def test_of_good_files_none_is_left_out(folder):
    assert check(pictures(folder, 0)) == ((), list(range(1, 13)), [])


def test_a_bad_file_is_named_with_the_reason_where_none_may_be_left_out(folder):
    cut(folder, "train/b/4.jpg")
    reported = refusal(pictures(folder, 0))
    assert reported.startswith(f"picture truncated: {folder}/train/b/4.jpg\n  found: ")
    assert reported.endswith("\n  try: replace it with an intact copy, or remove it")


def test_a_bad_file_may_be_left_out_with_a_note(folder):
    cut(folder, "train/b/4.jpg")
    names, _, (note,) = check(pictures(folder, 1))
    assert names == ("train/b/4.jpg",)
    assert note.startswith("left out train/b/4.jpg: picture truncated: ")


def test_what_is_left_out_is_neither_trained_on_nor_evaluated(folder):
    cut(folder, "train/b/4.jpg", "test/a/6.jpg")
    names, *_ = check(pictures(folder, 2))
    data = data_of(pictures(folder, 2), AUGMENT, names)
    pipeline.check(data)
    assert data.sizes == {"train": 5, "test": 5}
    take(pipeline.train_batches(data, 0, 0), 5)
    assert sum(batch["weights"].sum() for batch in take(pipeline.eval_batches(data, "test"))) == 5


def test_too_many_bad_files_are_counted_with_the_way_to_leave_them_out(folder):
    cut(folder, "test/a/7.jpg", "train/b/4.jpg")
    first, *rest = refusal(pictures(folder, 1)).splitlines()
    assert first == f"2 of 12 files cannot be read: {folder}"
    assert rest[0].startswith("  found: train/b/4.jpg: ")
    assert "; test/a/7.jpg: " in rest[0]
    assert rest[1:] == [
        "  expected: at most 1 (data.max_bad)",
        "  try: repair or remove them, or leave them out: --config.data.max_bad=2",
    ]


def test_of_many_bad_files_ten_are_named_and_the_others_counted(folder):
    cut(folder, *[os.path.relpath(path, folder) for path in folder.glob("*/*/*.jpg")])
    _, found, *_ = refusal(pictures(folder, 0)).splitlines()
    assert found.count(".jpg: ") == checking.SHOWN == 10
    assert found.endswith("; and 2 more")


def test_a_file_that_is_gone_is_one_that_cannot_be_read(folder):
    config = config_of(pictures(folder, 1), AUGMENT)
    source, reported = config.source(), []
    source.contents()
    (folder / "train/a/0.jpg").unlink()
    checked = checking.check_files(source, config.modalities, task_of(config), lambda done: None, reported.append)
    assert checked.left_out == ("train/a/0.jpg",)
    assert reported == ["left out train/a/0.jpg: picture unreadable: No such file or directory"]


# Clouds

PLAIN = NoAugment(kind="none", extent=None, half_side=1.0)


def shapes(folder, max_bad=1, few_points="mask", bad=None):
    """Two clouds of eight points in each split, one of them perhaps another."""
    for split in ("train", "test"):
        for i in range(2):
            path = folder / split / "a" / f"{i}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, np.random.default_rng(i).normal(size=(8, 3)))
    if bad is not None:
        np.save(folder / "train/a/1.npy", bad)
    values = {"kind": "point_folder", "data_dir": str(folder), "grid": (4,), "labels": None, "test_percent": 50.0}
    return ShapesConfig(**values, max_bad=max_bad, vertical="z", few_points=few_points, **BATCHES)


MOSTLY_ONE = np.where(np.arange(400)[:, None] == 399, 2.0, np.ones((400, 3)))
BAD = {
    "one point": (np.ones((8, 3)), "all points are equal"),
    "one point among those taken": (MOSTLY_ONE, "all points taken are equal"),
}


@pytest.mark.parametrize(("bad", "found"), BAD.values(), ids=BAD)
def test_a_shape_that_is_one_point_is_left_out_too(bad, found, tmp_path):
    names, _, (note,) = check(shapes(tmp_path, bad=bad), PLAIN)
    assert names == ("train/a/1.npy",)
    assert note == f"left out train/a/1.npy: point cloud degenerate: {found}"


@pytest.mark.parametrize(("bad", "found"), BAD.values(), ids=BAD)
def test_a_shape_that_is_one_point_is_named(bad, found, tmp_path):
    with pytest.raises(Failure) as failure:
        check(shapes(tmp_path, max_bad=0, bad=bad), PLAIN)
    assert failure.value.where.endswith("train/a/1.npy")
    assert failure.value.found == found


def masked(data):
    config = config_of(data, PLAIN)
    return checking.check_files(
        config.source(), config.modalities, task_of(config), lambda done: None, lambda line: None
    ).masked


def test_a_stream_is_masked_where_an_example_has_fewer_inputs_than_the_grid(tmp_path):
    assert masked(shapes(tmp_path, bad=np.eye(3))) == {"points"}


def test_a_stream_whose_examples_are_full_is_not_masked(tmp_path):
    assert masked(shapes(tmp_path)) == set()


def test_a_stream_whose_clouds_repeat_is_not_masked(tmp_path):
    assert masked(shapes(tmp_path, few_points="repeat", bad=np.eye(3))) == set()


def test_where_the_observer_raises_the_other_files_are_not_read(folder, monkeypatch):
    read, config = [], config_of(pictures(folder, 0), AUGMENT)

    def slowly(files, index, modalities):
        read.append(index)
        time.sleep(0.05)
        return set()

    monkeypatch.setattr(checking, "_checked", slowly)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    with pytest.raises(ZeroDivisionError):
        checking.check_files(config.source(), config.modalities, task_of(config), lambda done: 1 // (done - 2), print)
    assert 2 <= len(read) < 8


def test_labels_that_the_task_cannot_learn_are_refused_before_any_file_is_read(folder):
    cut(folder, "train/a/0.jpg")
    rows = [f"{path.relative_to(folder)},{path.parent.name}" for path in sorted(folder.glob("*/*/*.jpg"))]
    rows[5] = rows[5].replace(",", ",a;")
    (folder / "labels.csv").write_text("\n".join(rows))
    data = pictures(folder, 0).model_copy(update={"labels": "labels.csv"})
    assert refusal(data).startswith(f"{rows[5].partition(',')[0]}: 2 labels\n  expected: one")
