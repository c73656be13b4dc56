"""The command that prepares ModelNet40: the same bytes however it runs, all bad shapes named, nothing half done."""

import hashlib
import json

import numpy as np
import pytest

from perceiver_jax.data.preparation import modelnet40
from tests import preparing
from tests.data.preparation.shapes import (
    cloud,
    meshes,
    off,
    shape,
    write_hdf5,
    write_resampled,
    write_tree,
    write_zip,
)
from tests.preparing import hashes, wait_for_shards

SHARDS = {"train": 3281, "test": 822}  # three shapes each, so that a run of few can be ended in its middle


@pytest.fixture
def launch(monkeypatch, capsys):
    """Runs the command in this process: its exit code, stdout and stderr."""

    def launch(source, data_dir, *arguments):
        words = ["--source", source, "--data_dir", data_dir, "--num_workers=1", "--num_points=32", *arguments]
        return preparing.launch("modelnet40", words, monkeypatch, capsys)

    return launch


def stored(data_dir, split):
    """The points of each shape by name."""
    import tensorflow_datasets as tfds

    source = tfds.builder_from_directory(data_dir / "modelnet40/1.0.0").as_data_source(split)
    return {example["name"].decode(): example["points"] for example in source}


def test_a_run_that_was_killed_ends_with_the_bytes_of_one_that_was_not(tmp_path, launch, monkeypatch):
    source = write_zip(tmp_path / "source")
    words = ["--source", source, "--data_dir", tmp_path / "killed", "--allow_partial", "--num_workers=1", "--num_points=32"]
    run = preparing.start("modelnet40", "modelnet40", SHARDS, words, tmp_path, LC_ALL="C", TZ="Asia/Tokyo")
    wait_for_shards(tmp_path / "killed/modelnet40/1.0.0.incomplete", 2)
    run.kill()
    run.communicate()
    assert not (tmp_path / "killed/modelnet40/1.0.0").exists()
    monkeypatch.setattr(modelnet40, "SHARDS", SHARDS)
    for name, workers in (("killed", 1), ("quiet", 2)):
        code, _, err = launch(source, tmp_path / name, "--allow_partial", f"--num_workers={workers}")
        assert code == 0, err
    assert len(hashes(tmp_path / "quiet")) == 6 + 6
    assert hashes(tmp_path / "killed") == hashes(tmp_path / "quiet")


def test_the_zip_and_the_unpacked_meshes_give_the_same_shards(tmp_path, launch):
    for name, write in {"zip": write_zip, "tree": write_tree}.items():
        code, _, err = launch(write(tmp_path / name), tmp_path / f"{name}-out", "--allow_partial")
        assert code == 0, err
    of = [hashes(tmp_path / f"{name}-out") for name in ("zip", "tree")]
    shards = [{name: value for name, value in each.items() if "array_record" in name} for each in of]
    assert shards[0] == shards[1] != {}


def test_what_was_found_ignored_and_missing_is_reported(tmp_path, launch):
    code, out, err = launch(write_zip(tmp_path / "source"), tmp_path / "out", "--allow_partial")
    assert (code, out) == (0, f"{tmp_path}/out/modelnet40/1.0.0 is ready: --config.data.data_dir={tmp_path}/out\n")
    assert err.startswith(
        f"listing {tmp_path}/source\nfound the meshes\n"
        "ignored 3 files whose names are not those of shapes: ModelNet40/.DS_Store, ModelNet40/README.txt, __MACOSX/"
    )
    assert "train: 3 of 40 classes, 12 of 9,843 shapes\ntest: 3 of 40 classes, 6 of 2,468 shapes\n" in err
    assert "test lacks airplane, bathtub, bed, " in err


def test_the_text_release_is_thinned(tmp_path, launch):
    code, _, err = launch(write_resampled(tmp_path), tmp_path / "out", "--allow_partial")
    assert code == 0, err
    points = stored(tmp_path / "out", "test")
    assert points.keys() == {f"{name}_{n:04}" for name in ("chair", "night_stand", "vase") for n in (5, 6)}
    every = {tuple(p) for p in cloud("vase", 6, 300).astype(np.float32).tolist()}
    assert points["vase_0006"].shape == (32, 3)
    assert {tuple(p) for p in points["vase_0006"].tolist()} < every


def test_the_hdf5_release_is_taken_as_it_is(tmp_path, launch):
    code, _, err = launch(write_hdf5(tmp_path), tmp_path / "out", "--allow_partial", "--num_points=2048")
    assert code == 0, err
    points = stored(tmp_path / "out", "train")
    assert len(points) == 12
    np.testing.assert_array_equal(points["ply_data_train1/0000"], cloud("night_stand", 2, 2048).astype(np.float32))


def test_the_same_command_again_says_that_all_is_done_and_another_is_refused(tmp_path, launch):
    source = write_zip(tmp_path / "source")
    launch(source, tmp_path / "out", "--allow_partial")
    before = hashes(tmp_path / "out")
    assert launch(source, tmp_path / "out", "--allow_partial")[0] == 0
    for flag, now in (("--num_points=33", "num_points 33, seed 0"), ("--seed=1", "num_points 32, seed 1")):
        code, _, err = launch(source, tmp_path / "out", "--allow_partial", flag)
        assert code == 6
        assert err.endswith(
            f"error[6] {tmp_path}/out/modelnet40/1.0.0 holds a data set made with other settings\n"
            f"  found: release meshes, num_points 32, seed 0\n  expected: release meshes, {now}\n"
            "  try: another --data_dir, or remove that folder\n"
        )
    other = write_zip(tmp_path / "other", {name: data for name, data in meshes().items() if "0001" not in name})
    code, _, err = launch(other, tmp_path / "out", "--allow_partial")
    assert (code, "holds a data set made from another source" in err) == (6, True)
    assert hashes(tmp_path / "out") == before


BAD = {
    "chair_0001": ("no-vertices", "has no bytes"),
    "chair_0002": ("count-mismatch", "line 8: the last of 7, expected 8 vertices and 12 faces, a line each"),
    "chair_0003": ("off-variant", "looks like a web page: the download failed"),
    "vase_0001": ("vertex", "line 3: nan 0 0, expected finite numbers"),
}


def test_bad_shapes_are_all_named_and_then_left_out_by_budget(tmp_path, launch):
    files = meshes()
    files["chair/train/chair_0001.off"] = b""
    files["chair/train/chair_0002.off"] = b"\n".join(off(shape("chair", 2), glued=True).split(b"\n")[:8])
    files["chair/train/chair_0003.off"] = b"<html>404</html>"
    files["vase/train/vase_0001.off"] = b"OFF\n3 1 0\nnan 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"
    files["vase/train/vase_0002.off"] = files["vase/test/vase_0005.off"]
    source = write_zip(tmp_path / "source", files)
    code, out, err = launch(source, tmp_path / "out", "--allow_partial")
    incomplete = tmp_path / "out/modelnet40/1.0.0.incomplete"
    assert (code, out) == (3, "")
    for key, (reason, sentence) in BAD.items():
        assert f"bad item {key}: {reason}: {sentence}\n" in err
    lines = [json.loads(line) for line in (incomplete / "bad_items.jsonl").read_text().splitlines()]
    assert {line["key"]: (line["code"], line["what"]) for line in lines} == BAD
    code, _, err = launch(source, tmp_path / "out", "--allow_partial", "--max_bad=4")
    assert code == 0, err
    assert "warning: 1 items are the same in two splits, byte for byte: " in err
    assert "vase_0005" in err
    assert len(stored(tmp_path / "out", "train")) == 8


@pytest.mark.parametrize("place", ["", "ModelNet40.zip"], ids=["folder", "archive"])
def test_an_archive_is_compared_with_its_checksum(tmp_path, launch, place):
    source = write_zip(tmp_path / "source")
    arguments = source / place, tmp_path / "out", "--allow_partial", f"--checksums={tmp_path}/SHA256SUMS"
    digest = hashlib.sha256((source / "ModelNet40.zip").read_bytes()).hexdigest()
    (tmp_path / "SHA256SUMS").write_text(f"{'0' * 64} *ModelNet40.zip\n")
    code, _, err = launch(*arguments)
    assert (code, (tmp_path / "out").exists()) == (3, False)
    assert err.endswith(
        "error[3] sha256 differs: ModelNet40.zip: the file is complete but altered\n"
        f"  found: {digest}\n  expected: {'0' * 64}\n  try: download it again\n"
    )
    (tmp_path / "SHA256SUMS").write_text(f"{digest} *ModelNet40.zip\n")
    assert launch(*arguments)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 3, "error[3] 3 of 40 classes in train; missing airplane, bathtub, bed, bench, bookshelf, ..."),
        (["--num_points=0"], 2, "error[2] flag --num_points=0: 0 is not a positive integer"),
        (["--seed=-1"], 2, "error[2] flag --seed=-1: -1 is not a non-negative integer"),
        (["--source=nowhere"], 3, "error[3] --source nowhere: does not exist"),
        (["--data_dir={source}/a"], 6, "error[6] --data_dir {source}/a: is in --source"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_done_is_reported(tmp_path, launch, arguments, code, message):
    source = write_zip(tmp_path / "source")
    found, _, err = launch(source, tmp_path / "out", *(word.format(source=source) for word in arguments))
    assert found == code
    assert message.format(source=source) in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("write", "wanted", "title"),
    [
        (write_hdf5, 2049, "the 2,048-point HDF5 release"),
        (write_resampled, 10_001, "the 10,000-point text release"),
    ],
)
def test_more_points_than_a_release_has_are_refused(tmp_path, launch, write, wanted, title):
    source = write(tmp_path)
    code, _, err = launch(source, tmp_path / "out", f"--num_points={wanted}")
    assert code == 3
    assert f"error[3] found {title}: {source}\n  found: --num_points={wanted}\n  expected: at most " in err


def test_a_release_that_lacks_a_listed_file_is_refused(tmp_path, launch):
    source = write_resampled(tmp_path)
    (source / "vase/vase_0001.txt").unlink()
    code, _, err = launch(source, tmp_path / "out")
    assert (code, "error[3] 1 files listed by the release are missing\n  found: no vase/vase_0001.txt" in err) == (
        3,
        True,
    )
