"""Reading ModelNet40 as it was prepared: clouds, numbers, and what is said where it cannot be read."""

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds

from perceiver_jax.data.examples import example_inputs, file_inputs
from perceiver_jax.data.preparation import modelnet40 as preparation
from perceiver_jax.data.preparation.dataset import Plan, prepare
from perceiver_jax.data.preparation.items import make_units
from perceiver_jax.data.preparation.modelnet40_releases import list_source
from perceiver_jax.data.sources import modelnet40
from perceiver_jax.errors import Code, Failure
from perceiver_jax.modalities.points.config import NoAugment
from tests.data.preparation.shapes import labels, meshes, resampled, write, write_hdf5, write_resampled, write_zip

POINTS = 48


def config_of(data_dir, grid=(POINTS,)):
    return modelnet40.Config(
        source="modelnet40",
        data_dir=str(data_dir),
        grid=grid,
        batch_size=4,
        eval_batch_size=4,
        validation_examples=0,
        num_workers=0,
        prefetch_batches=1,
    )


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


@pytest.fixture(scope="session")
def prepared(once):
    """A data_dir that no test changes."""
    return once("modelnet40", lambda path: prepare_small(write_zip(path / "source"), path / "data")) / "data"


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
        source = modelnet40.load(config_of(prepared), split)
        examples = [source[i] for i in range(len(source))]
        found = {example["name"].partition("(key ")[2].rstrip(")"): example["label"] for example in examples}
        assert found == expected
        for example in examples:
            assert (example["points"].shape, example["points"].dtype) == ((POINTS, 3), np.float32)
            assert np.abs(example["points"]).max() <= 1


def test_tfds_reads_the_same(prepared):
    builder = tfds.builder_from_directory(prepared / "modelnet40/1.0.0")
    for split in ("train", "test"):
        ours, theirs = modelnet40.load(config_of(prepared), split), builder.as_data_source(split)
        assert len(ours) == len(theirs)
        for one, other in zip((ours[i] for i in range(len(ours))), theirs, strict=True):
            assert other["points"].dtype == np.float32
            np.testing.assert_array_equal(one["points"], other["points"])
            assert one["label"] == other["label"]
            assert one["name"].endswith(f"(key {other['name'].decode()})")
    assert builder.info.features["label"].names == list(modelnet40.CLASSES)
    assert builder.info.full_name == "modelnet40/1.0.0"


def test_the_spec_names_the_classes_and_the_grid(tmp_path):
    spec = modelnet40.spec(config_of(tmp_path, grid=(44, 44)))
    assert (spec.modality, spec.shape, spec.num_classes, spec.mean, spec.std) == ("points", (44, 44, 0), 40, (), ())
    assert spec.classes == modelnet40.CLASSES


def test_a_subset_has_its_own_numbers_and_the_whole_the_published(prepared, tmp_path):
    assert modelnet40.spec(config_of(prepared)).num_examples == {"train": 12, "test": 6}
    assert modelnet40.spec(config_of(tmp_path)).num_examples == {"train": 9843, "test": 2468}


def test_the_hdf5_release_has_three_shapes_less(tmp_path):
    prepare_small(write_hdf5(tmp_path / "source"), tmp_path, 2048, partial=False)
    config = config_of(tmp_path)
    assert modelnet40.spec(config).num_examples == {"train": 9840, "test": 2468}
    assert "found: 12 examples\n  expected: 9,840, or a subset" in refusal(modelnet40.load, config, "train")


@pytest.mark.parametrize(
    ("write_release", "files"), [(write_zip, meshes()), (write_resampled, resampled())], ids=["meshes", "text"]
)
def test_a_file_of_a_release_is_read_as_the_example_that_it_became(write_release, files, tmp_path):
    prepare_small(write_release(tmp_path / "source"), tmp_path / "data", num_points=64)
    config = config_of(tmp_path / "data", grid=(64,))
    augment = NoAugment(kind="none", extent=2.0, half_side=1.0)  # a size at which a mesh in its own unit would not do
    paths = {Path(name).stem: write(tmp_path / "mine", {name: data}) / name for name, data in files.items()}
    source = modelnet40.load(config, "train")
    for i in range(len(source)):
        mine = paths[source[i]["name"].partition("(key ")[2].rstrip(")")]
        made, given = file_inputs(config, augment, mine), example_inputs(config, augment, "train", i)
        np.testing.assert_array_equal(made, given)


def test_a_renamed_file_is_read_alike(tmp_path):
    data = meshes()["chair/train/chair_0001.off"]
    one, other = (modelnet40.read_file(config_of(tmp_path), data, name) for name in ("chair_0001.off", "B.OFF"))
    np.testing.assert_array_equal(one, other)


def test_a_file_that_gives_no_shape_is_named(tmp_path):
    assert refusal(modelnet40.read_file, config_of(tmp_path), b"", "mine.off") == (
        "error[3] shape empty-file: mine.off\n  found: has no bytes\n  try: a whole copy of it, or remove it"
    )


def test_a_source_can_be_pickled_for_worker_processes(prepared):
    source = modelnet40.load(config_of(prepared), "train")
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(source))[3]["points"], source[3]["points"])


@pytest.mark.parametrize("grid", [(POINTS + 1,), (7, 7)])
def test_too_few_points_are_told_with_the_command_for_more(prepared, grid):
    message = refusal(modelnet40.load, config_of(prepared, grid), "train")
    assert message == (
        f"error[3] prepared with 48 points, config wants 49: {prepared}/modelnet40/1.0.0\n  try: a smaller data.grid, or "
        f"python -m scripts.prepare_modelnet40 --source=DIR --data_dir={prepared} --num_points=49 with another --data_dir"
    )


def test_fewer_points_than_prepared_can_be_asked_for(prepared):
    assert modelnet40.load(config_of(prepared, (6, 6)), "train")[0]["points"].shape == (POINTS, 3)


def test_what_is_not_there_is_told_with_the_command_that_prepares_it(tmp_path):
    assert refusal(modelnet40.load, config_of(tmp_path), "train") == (
        f"error[3] data set modelnet40, split train: {tmp_path}/modelnet40\n  found: not prepared\n"
        f"  try: python -m scripts.prepare_modelnet40 --source=DIR --data_dir={tmp_path}"
    )


def test_a_number_of_shapes_that_nobody_recorded_as_a_subset_is_refused(tree):
    manifest = json.loads((tree / "preparation.json").read_text())
    (tree / "preparation.json").write_text(json.dumps(manifest | {"partial": False}))
    assert refusal(modelnet40.load, config_of(tree.parents[1]), "test").startswith(
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
    message = refusal(modelnet40.load, config_of(tree.parents[1]), "train")
    assert message.startswith(f"error[3] damaged shard {shard_of(tree).name}: {tree}\n  found: ")
    assert found in message


@pytest.mark.parametrize(
    ("points", "label", "message"),
    [
        (b"x" * 24, 40, "label 40 not in 0..39"),
        (b"x" * 25, 1, "no cloud of points\n  found: 25 bytes\n"),
        (b"", 1, "no cloud of points\n  found: 0 bytes\n"),
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
    manifest["shards"][shard_of(tree).name]["size"] = shard_of(tree).stat().st_size
    (tree / "preparation.json").write_text(json.dumps(manifest))
    source = modelnet40.load(config_of(tree.parents[1]), "train")
    lengths = [int(n) for n in json.loads((tree / "dataset_info.json").read_text())["splits"][1]["shardLengths"]]
    assert refusal(source.__getitem__, lengths[0] + 1).startswith(
        f"error[3] shard 00001 record 1 (key chair_0001): {message}"
    )


def test_the_identity_changes_with_what_the_data_set_holds(tree):
    before = modelnet40.identity(config_of(tree.parents[1]))
    with open(shard_of(tree), "ab") as file:
        file.write(b"x")
    assert modelnet40.identity(config_of(tree.parents[1])) != before
