"""Reading ModelNet40 as it was prepared: clouds, numbers, and what is said where it cannot be read."""

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds

from perceiver_jax.data.preparation import modelnet40 as preparation
from perceiver_jax.data.preparation.dataset import Plan, prepare
from perceiver_jax.data.preparation.items import make_units
from perceiver_jax.data.preparation.modelnet40_releases import list_source
from perceiver_jax.data.sources import modelnet40
from perceiver_jax.errors import Code, Failure
from perceiver_jax.modalities.points import PointCloud
from perceiver_jax.modalities.points.config import NoAugment
from perceiver_jax.runs.load import TrainedRun
from perceiver_jax.runs.workdir import Workdir
from tests.data.preparation.shapes import labels, meshes, resampled, write, write_hdf5, write_resampled, write_zip
from tests.problems import BATCHES, problem_of

POINTS = 48


def config_of(data_dir, grid=(POINTS,)):
    return modelnet40.Config(kind="modelnet40", data_dir=str(data_dir), grid=grid, **BATCHES)


def source_of(data_dir, grid=(POINTS,)):
    return modelnet40.ModelNet40(config_of(data_dir, grid))


def modality_of(data_dir):
    return PointCloud(*source_of(data_dir).streams(), NoAugment(kind="none", extent=None, half_side=1.0))


def prepare_small(source, data_dir, num_points=POINTS, partial=True):
    """Our small ModelNet40, prepared in three shards of train and two of test."""
    release, listing = list_source(source)
    units = [
        unit
        for split, items in listing.items.items()
        for unit in make_units("modelnet40", split, items, 2 + (split == "train"))
    ]
    settings = {"release": release, "num_points": num_points, "seed": 0}
    convert = preparation.converter(release, num_points, 0)
    plan = Plan(
        "modelnet40",
        "1.0.0",
        units,
        convert,
        preparation.PRELOAD,
        [],
        partial,
        preparation.features,
        {},
        settings,
        12 * num_points,
    )
    return prepare(plan, data_dir, 1, 0, lambda done: None, lambda line: None)


def prepare_once(once):
    """A data_dir that no test changes."""
    return once("modelnet40", lambda path: prepare_small(write_zip(path / "source"), path / "data")) / "data"


@pytest.fixture(scope="session")
def prepared(once):
    return prepare_once(once)


@pytest.fixture
def tree(prepared, tmp_path):
    """A copy of the data set's folder, to be damaged; its data_dir is `tmp_path`."""
    return shutil.copytree(prepared / "modelnet40/1.0.0", tmp_path / "modelnet40/1.0.0")


def refusal(action, *arguments):
    with pytest.raises(Failure) as failure:
        action(*arguments)
    assert failure.value.code == Code.DATA
    return str(failure.value)


def test_a_split_holds_its_shapes_and_their_labels(prepared):
    for split, expected in labels().items():
        source = source_of(prepared).load(split)
        examples = [source[i] for i in range(len(source))]
        found = {example.name.partition("(key ")[2].rstrip(")"): example.labels for example in examples}
        assert found == {key: (label,) for key, label in expected.items()}
        for example in examples:
            assert (example.inputs["points"].shape, example.inputs["points"].dtype) == ((POINTS, 3), np.float32)
            assert np.abs(example.inputs["points"]).max() <= 1


def test_tfds_reads_the_same(prepared):
    builder = tfds.builder_from_directory(prepared / "modelnet40/1.0.0")
    for split in ("train", "test"):
        ours, theirs = source_of(prepared).load(split), builder.as_data_source(split)
        assert len(ours) == len(theirs)
        for one, other in zip((ours[i] for i in range(len(ours))), theirs, strict=True):
            assert other["points"].dtype == np.float32
            np.testing.assert_array_equal(one.inputs["points"], other["points"])
            assert one.labels == (other["label"],)
            assert one.name.endswith(f"(key {other['name'].decode()})")
    assert builder.info.features["label"].names == list(modelnet40.CLASSES)
    assert builder.info.full_name == "modelnet40/1.0.0"


def test_the_source_names_the_classes_and_the_grid(tmp_path):
    source = source_of(tmp_path, grid=(44, 44))
    (stream,) = source.streams()
    assert (stream.modality, stream.grid, stream.channels, stream.masked) == ("points", (44, 44), 0, False)
    assert source.contents().classes == modelnet40.CLASSES
    assert len(modelnet40.CLASSES) == 40


def test_a_subset_has_its_own_numbers_and_the_whole_the_published(prepared, tmp_path):
    assert source_of(prepared).contents().num_examples == {"train": 12, "test": 6}
    assert source_of(tmp_path).contents().num_examples == {"train": 9843, "test": 2468}


def test_the_hdf5_release_has_three_shapes_less(tmp_path):
    prepare_small(write_hdf5(tmp_path / "source"), tmp_path, 2048, partial=False)
    source = source_of(tmp_path)
    assert source.contents().num_examples == {"train": 9840, "test": 2468}
    assert "found: 12 examples\n  expected: 9,840, or a subset" in refusal(source.load, "train")


@pytest.mark.parametrize(
    ("write_release", "files"), [(write_zip, meshes()), (write_resampled, resampled())], ids=["meshes", "text"]
)
def test_a_file_of_a_release_is_read_as_the_example_that_it_became(write_release, files, tmp_path):
    prepare_small(write_release(tmp_path / "source"), tmp_path / "data", num_points=64)
    augment = NoAugment(kind="none", extent=2.0, half_side=1.0)  # a size at which a mesh in its own unit would not do
    paths = {Path(name).stem: write(tmp_path / "mine", {name: data}) / name for name, data in files.items()}
    problem = problem_of(config_of(tmp_path / "data", grid=(64,)), augment)
    run, examples = TrainedRun(Workdir(tmp_path), problem, 0), source_of(tmp_path / "data").load("train")
    for i in range(len(examples)):
        mine = paths[examples[i].name.partition("(key ")[2].rstrip(")")]
        (made, _), (given, _) = run.inputs_of(mine), problem.data.example("train", i)
        np.testing.assert_array_equal(made["points"], given["points"])


def test_a_renamed_file_is_read_alike(tmp_path):
    data = meshes()["chair/train/chair_0001.off"]
    one, other = (modality_of(tmp_path).read_file(data, name) for name in ("chair_0001.off", "B.OFF"))
    np.testing.assert_array_equal(one, other)


def test_a_file_that_gives_no_shape_is_named(tmp_path):
    assert refusal(modality_of(tmp_path).read_file, b"", "mine.off") == (
        "error[3] shape empty-file: mine.off\n  found: has no bytes\n  try: replace it with an intact copy, or remove it"
    )


def test_a_source_can_be_pickled_for_worker_processes(prepared):
    source = source_of(prepared).load("train")
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(source))[3].inputs["points"], source[3].inputs["points"])


@pytest.mark.parametrize("grid", [(POINTS + 1,), (7, 7)])
def test_too_few_points_are_reported_with_the_command_for_more(prepared, grid):
    message = refusal(source_of(prepared, grid).load, "train")
    assert message == (
        f"error[3] prepared with 48 points, config needs 49: {prepared}/modelnet40/1.0.0\n  try: a smaller data.grid, or "
        f"python -m scripts.prepare_modelnet40 --source=DIR --data_dir={prepared} --num_points=49 with another --data_dir"
    )


def test_fewer_points_than_prepared_can_be_asked_for(prepared):
    assert source_of(prepared, (6, 6)).load("train")[0].inputs["points"].shape == (POINTS, 3)


def test_what_is_not_there_is_reported_with_the_command_that_prepares_it(tmp_path):
    assert refusal(source_of(tmp_path).load, "train") == (
        f"error[3] data set modelnet40, split train: {tmp_path}/modelnet40\n  found: not prepared\n"
        f"  try: python -m scripts.prepare_modelnet40 --source=DIR --data_dir={tmp_path}"
    )


def test_a_number_of_shapes_that_nobody_recorded_as_a_subset_is_refused(tree):
    manifest = json.loads((tree / "preparation.json").read_text())
    (tree / "preparation.json").write_text(json.dumps(manifest | {"partial": False}))
    assert refusal(source_of(tree.parents[1]).load, "test").startswith(
        f"error[3] data set modelnet40, split test: {tree}\n  found: 6 examples\n  expected: 2,468, or a subset made with"
    )


def shard_of(tree):
    return tree / "modelnet40-train.array_record-00001-of-00003"


@pytest.mark.parametrize(("size", "found"), [(None, "missing"), (-5, "bytes, recorded"), (0, "0 bytes, recorded")])
def test_a_shard_that_is_not_as_recorded_is_named(tree, size, found):
    data = shard_of(tree).read_bytes()
    if size is None:
        shard_of(tree).unlink()
    else:
        shard_of(tree).write_bytes(data[:size])
    message = refusal(source_of(tree.parents[1]).load, "train")
    assert message.startswith(f"error[3] damaged shard {shard_of(tree).name}: {tree}\n  found: ")
    assert found in message


def test_shards_of_one_size_that_have_each_others_names_are_found_and_those_without_recorded_heads_are_read(tree):
    one, other = shard_of(tree), shard_of(tree).with_name("modelnet40-train.array_record-00002-of-00003")
    assert one.stat().st_size == other.stat().st_size  # shards come in blocks
    first, identity = one.read_bytes(), source_of(tree.parents[1]).identity()
    one.write_bytes(other.read_bytes())
    other.write_bytes(first)
    message = refusal(source_of(tree.parents[1]).load, "train")
    assert message.startswith(f"error[3] damaged shard {one.name}: {tree}\n  found: another first record than recorded")
    manifest = json.loads((tree / "preparation.json").read_text())
    for shard in manifest["shards"].values():
        del shard["head"]
    (tree / "preparation.json").write_text(json.dumps(manifest))  # as data were prepared before
    assert len(source_of(tree.parents[1]).load("train")) > 0
    assert source_of(tree.parents[1]).identity() == identity


@pytest.mark.parametrize(
    ("points", "label", "message"),
    [
        (b"x" * 24, 40, "label 40 not in 0..39"),
        (b"x" * 25, 1, "not a point cloud\n  found: 25 bytes\n"),
        (b"", 1, "not a point cloud\n  found: 0 bytes\n"),
    ],
)
def test_a_record_without_a_cloud_is_named_by_shard_number_and_key(tree, points, label, message):
    from array_record.python import array_record_module
    from tensorflow_datasets.proto import tf_example_pb2

    example = tf_example_pb2.Example()
    example.features.feature["points"].bytes_list.value.append(points)
    example.features.feature["label"].int64_list.value.append(label)
    example.features.feature["name"].bytes_list.value.append(b"chair_0001")
    writer = array_record_module.ArrayRecordWriter(str(shard_of(tree)), "group_size:1")
    for _ in range(4):
        writer.write(example.SerializeToString())
    writer.close()
    manifest = json.loads((tree / "preparation.json").read_text())
    manifest["shards"][shard_of(tree).name] = {"size": shard_of(tree).stat().st_size}
    (tree / "preparation.json").write_text(json.dumps(manifest))
    source = source_of(tree.parents[1]).load("train")
    lengths = [int(n) for n in json.loads((tree / "dataset_info.json").read_text())["splits"][1]["shardLengths"]]
    assert refusal(source.__getitem__, lengths[0] + 1).startswith(
        f"error[3] shard 00001 record 1 (key chair_0001): {message}"
    )


def test_the_identity_changes_with_what_the_data_set_holds(tree):
    before = source_of(tree.parents[1]).identity()
    with open(shard_of(tree), "ab") as file:
        file.write(b"x")
    assert source_of(tree.parents[1]).identity() != before
