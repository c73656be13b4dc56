"""Reading ImageNet as it was prepared, by us or by TFDS: examples, numbers, and what is said where it cannot be read."""

import json
import pickle
import shutil
import subprocess
import sys

import pytest
import tensorflow_datasets as tfds

from perceiver_jax.data.preparation import imagenet2012 as layout
from perceiver_jax.data.preparation.dataset import Plan, prepare
from perceiver_jax.data.preparation.items import make_units
from perceiver_jax.data.sources import imagenet2012
from perceiver_jax.errors import Code, Failure
from tests.data.preparation.archives import train_pictures, validation_pictures, write_archives
from tests.problems import BATCHES


def config_of(data_dir):
    return imagenet2012.Config(kind="imagenet2012", data_dir=str(data_dir), image_size=32, **BATCHES)


def source_of(data_dir):
    return imagenet2012.ImageNet(config_of(data_dir))


def prepare_small(source, data_dir):
    """Our small ImageNet, prepared in three shards of train and two of validation."""
    listing = layout.list_source(source, layout.validation_synsets())
    shards = {"train": 3, "validation": 2}
    units = [unit for split, items in listing.items.items() for unit in make_units(layout.NAME, split, items, shards[split])]
    plan = Plan(layout.NAME, layout.VERSION, units, layout.convert, layout.PRELOAD, [], True, layout.features, {})
    return prepare(plan, data_dir, 2, 0, lambda done: None, lambda line: None)


def prepare_once(once):
    """A data_dir that no test changes."""
    return once("imagenet", lambda path: prepare_small(write_archives(path / "source"), path / "data")) / "data"


@pytest.fixture(scope="session")
def prepared(once):
    return prepare_once(once)


@pytest.fixture
def tree(prepared, tmp_path):
    """A copy of the data set's folder, to be damaged; its data_dir is `tmp_path`."""
    return shutil.copytree(prepared / "imagenet2012/5.1.0", tmp_path / "imagenet2012/5.1.0")


def refusal(action, *arguments):
    with pytest.raises(Failure) as failure:
        action(*arguments)
    assert failure.value.code == Code.DATA
    return str(failure.value)


def change_info(tree, **changes):
    path = tree / "dataset_info.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_split_holds_the_encoded_pictures_and_their_labels(prepared):
    synsets, numbers = layout.synsets(), layout.validation_synsets()
    train = {data: (synsets.index(name[:9]),) for name, data in train_pictures().items()}
    test = {data: (synsets.index(numbers[i]),) for i, data in enumerate(validation_pictures().values())}
    for split, expected in {"train": train, "test": test}.items():
        source = source_of(prepared).load(split)
        examples = [source[i] for i in range(len(source))]
        assert {example.inputs["image"]: example.labels for example in examples} == expected
        assert len(examples) == len(expected)


def test_pictures_are_read_as_their_pixels_are_stored(prepared):
    (stream,) = source_of(prepared).streams()
    assert not stream.upright


def test_tfds_reads_the_same(prepared):
    builder = tfds.builder_from_directory(prepared / "imagenet2012/5.1.0")
    source = builder.as_data_source("validation", decoders={"image": tfds.decode.SkipDecoding()})
    found = {example["file_name"].decode(): (example["image"], int(example["label"])) for example in source}
    labels = [builder.info.features["label"].str2int(name) for name in layout.validation_synsets()[:9]]
    expected = zip(validation_pictures().items(), labels, strict=True)
    assert found == {name: (data, label) for (name, data), label in expected}
    assert (builder.info.full_name, builder.info.supervised_keys) == ("imagenet2012/5.1.0", None)


def test_a_subset_has_its_own_numbers_and_the_whole_the_published(prepared, tmp_path):
    assert source_of(prepared).contents().num_examples == {"train": 15, "test": 9}
    assert source_of(tmp_path).contents().num_examples == {"train": 1_281_167, "test": 50_000}


def test_a_source_can_be_pickled_for_worker_processes(prepared):
    source = source_of(prepared).load("train")
    before = source[3]
    assert pickle.loads(pickle.dumps(source))[3] == before


def test_reading_does_not_import_tensorflow_or_jax(prepared):
    script = f"""import sys
from tests.data.test_imagenet2012 import source_of
source_of({str(prepared)!r}).load("train")[0]
print([name for name in ("tensorflow", "torch", "jax") if name in sys.modules])"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (result.stdout, result.stderr) == ("[]\n", "")


def test_an_example_is_named_by_shard_record_and_key(prepared):
    source = source_of(prepared).load("train")
    records = tfds.builder_from_directory(prepared / "imagenet2012/5.1.0").as_data_source(
        "train", decoders={"image": tfds.decode.SkipDecoding()}
    )
    assert source[7].name == f"shard 00001 record 2 (key {records[7]['file_name'].decode()})"


@pytest.mark.parametrize("form", ["tfrecord", "riegeli"])
def test_another_file_format_is_reported_with_the_way_to_convert_it(tree, form):
    change_info(tree, fileFormat=form)
    assert refusal(source_of(tree.parents[1]).load, "train") == (
        f"error[3] data set imagenet2012 in another file format: {tree}\n  found: {form}\n  expected: array_record\n"
        f"  try: tfds convert_format --dataset_version_dir={tree} --out_file_format=array_record (it needs TensorFlow), or"
        f" from the archives: python -m scripts.prepare_imagenet --source=DIR --data_dir={tree.parents[1]}"
        " with another --data_dir"
    )


def test_a_tree_converted_in_place_is_read(tree):
    change_info(tree, fileFormat="tfrecord", alternativeFileFormats=["array_record"])
    assert len(source_of(tree.parents[1]).load("train")) == 15


@pytest.mark.parametrize(
    ("folder", "found"),
    [(None, "not prepared"), ("5.1.0", "preparation not finished"), ("5.1.0.incomplete", "preparation not finished")],
)
def test_what_is_not_there_is_reported_with_the_command_that_prepares_it(tmp_path, folder, found):
    if folder:
        (tmp_path / "imagenet2012" / folder).mkdir(parents=True)
    assert refusal(source_of(tmp_path).load, "train") == (
        f"error[3] data set imagenet2012, split train: {tmp_path}/imagenet2012\n  found: {found}\n"
        f"  try: python -m scripts.prepare_imagenet --source=DIR --data_dir={tmp_path}"
    )


def test_a_number_of_examples_that_nobody_recorded_as_a_subset_is_refused(tree):
    (tree / "preparation.json").unlink()
    source = source_of(tree.parents[1])
    assert source.contents().num_examples == imagenet2012.PUBLISHED
    assert refusal(source.load, "train").startswith(
        f"error[3] data set imagenet2012, split train: {tree}\n  found: 15 examples\n"
        "  expected: 1,281,167, or a subset made with --allow_partial\n"
    )


def test_a_split_that_is_missing_is_refused(tree):
    (tree / "preparation.json").unlink()
    splits = json.loads((tree / "dataset_info.json").read_text())["splits"]
    change_info(tree, splits=[split for split in splits if split["name"] == "train"])
    assert "split test" in refusal(source_of(tree.parents[1]).load, "test")


def test_the_newest_version_is_read_and_named_once(tree, capsys):
    shutil.copytree(tree, tree.with_name("5.0.0"))
    (tree.with_name("5.10.0")).mkdir()  # not finished
    source = source_of(tree.parents[1])
    identities = {source.identity() for _ in range(2)}
    assert capsys.readouterr().err == f"several versions in {tree.parent}: using 5.1.0\n"
    shutil.rmtree(tree.with_name("5.0.0"))
    assert identities == {source.identity()}


def shard_of(tree, number=1):
    return tree / f"imagenet2012-train.array_record-0000{number}-of-00003"


def remove(tree):
    shard_of(tree).unlink()


def cut(tree):
    shard_of(tree).write_bytes(shard_of(tree).read_bytes()[:-5])


def empty(tree):
    shard_of(tree).write_bytes(b"")


@pytest.mark.parametrize(("damage", "found"), [(remove, "missing"), (cut, "bytes, recorded"), (empty, "0 bytes, recorded")])
def test_a_shard_that_is_not_as_recorded_is_named(tree, damage, found):
    damage(tree)
    message = refusal(source_of(tree.parents[1]).load, "train")
    assert message.startswith(f"error[3] damaged shard {shard_of(tree).name}: {tree}\n  found: ")
    assert found in message


def test_a_damaged_record_is_named_by_shard_and_number(tree):
    whole = bytearray(shard_of(tree).read_bytes())
    position = whole.index(b"\xff\xd8\xff") + 500  # in the first picture of the shard
    whole[position] ^= 1
    shard_of(tree).write_bytes(whole)
    source = source_of(tree.parents[1]).load("train")
    assert len([source[i] for i in range(15) if i != 5]) == 14
    message = refusal(source.__getitem__, 5)
    assert message.startswith("error[3] shard 00001 record 0 (key unknown): cannot be read: ")
    assert f": {shard_of(tree)}\n" in message


def example(**features):
    from tensorflow_datasets.proto import tf_example_pb2

    made = tf_example_pb2.Example()
    for name, value in features.items():
        kind = made.features.feature[name]
        (kind.int64_list if isinstance(value, int) else kind.bytes_list).value.append(value)
    return made.SerializeToString()


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (example(image=b"x", label=1000, file_name=b"n1/x"), "(key n1/x): label 1000 not in 0..999"),
        (example(image=b"x", label=-1, file_name=b"n1/x"), "(key n1/x): label -1 not in 0..999"),
        (example(label=1, file_name=b"n1/x"), "(key unknown): 0 values of image, expected 1"),
        (example(image=b"x", label=b"1", file_name=b"n1/x"), "(key unknown): no label"),
        (b"\xff\xff\xff", "(key unknown): is not a tf.Example"),
    ],
    ids=["label too high", "label negative", "no image", "label of another type", "no example"],
)
def test_a_record_without_an_example_is_named_by_shard_number_and_key(tree, record, message):
    from array_record.python import array_record_module

    writer = array_record_module.ArrayRecordWriter(str(shard_of(tree)), "group_size:1")
    for _ in range(5):
        writer.write(record)
    writer.close()
    manifest = json.loads((tree / "preparation.json").read_text())
    manifest["shards"][shard_of(tree).name] = {"size": shard_of(tree).stat().st_size}
    (tree / "preparation.json").write_text(json.dumps(manifest))
    source = source_of(tree.parents[1]).load("train")
    assert refusal(source.__getitem__, 6).startswith(f"error[3] shard 00001 record 1 {message}")


@pytest.mark.parametrize("name", ["dataset_info.json", "preparation.json"])
@pytest.mark.parametrize("text", ["", '{"a":\n\n!'])
def test_metadata_that_is_not_json_is_named_with_its_line(tree, name, text):
    (tree / name).write_text(text)
    line = text.count("\n") + 1
    assert refusal(source_of(tree.parents[1]).contents).startswith(f"error[3] {name}: not JSON at line {line}: {tree}\n")


@pytest.mark.parametrize(
    ("name", "change", "found"),
    [
        ("dataset_info.json", [], "input should be a valid dictionary or instance of _info"),
        ("dataset_info.json", {"fileFormat": 3}, "fileFormat: input should be a valid string"),
        ("dataset_info.json", {"splits": None}, "splits: input should be a valid list"),
        (
            "dataset_info.json",
            {"splits": [{"name": "train", "shardLengths": ["-1"]}]},
            "splits.0.shardLengths.0: input should",
        ),
        (
            "dataset_info.json",
            {"splits": [{"name": "train", "shardLengths": ["x"]}]},
            "splits.0.shardLengths.0: input should",
        ),
        ("preparation.json", 3, "input should be a valid dictionary or instance of manifest"),
        ("preparation.json", {"shards": {"a": 3}}, "shards.a: input should be a valid dictionary"),
        ("preparation.json", {"shards": {"a": {"size": None}}}, "shards.a.size: input should be a valid integer"),
        ("preparation.json", {"settings": []}, "settings: input should be a valid dictionary"),
    ],
)
def test_metadata_that_are_not_as_they_were_written_are_named_with_the_field(tree, name, change, found):
    record = json.loads((tree / name).read_text())
    (tree / name).write_text(json.dumps(record | change if isinstance(change, dict) else change))
    message = refusal(source_of(tree.parents[1]).contents)
    assert message.startswith(f"error[3] {name}: is not as it was written: {tree}\n  found: {found}")


@pytest.mark.parametrize("change", [{"": 1}, {"moduleName": []}, {"name": None}])
def test_metadata_that_tfds_does_not_read_are_told(tree, change):
    change_info(tree, **change)
    message = refusal(source_of(tree.parents[1]).load, "train")
    assert message.startswith(f"error[3] dataset_info.json: cannot be read: {tree}\n  found: ")


def test_a_template_of_names_that_is_none_is_told(tree):
    splits = json.loads((tree / "dataset_info.json").read_text())["splits"]
    change_info(tree, splits=[split | {"filepathTemplate": "{DATASET}-{SPLI}-{SHARD_X_OF_Y}"} for split in splits])
    assert "Could not format template" in refusal(source_of(tree.parents[1]).load, "train")


def test_metadata_of_brackets_without_end_are_told(tree):
    (tree / "preparation.json").write_text("[" * 100_000)
    assert refusal(source_of(tree.parents[1]).contents).startswith("error[3] preparation.json: cannot be read: ")


def grow(tree):
    with open(shard_of(tree), "ab") as file:
        file.write(b"x")


def recount(tree):
    change_info(tree, splits=[])


def resum(tree):
    path = tree / "preparation.json"
    text = path.read_text()
    position = text.index('"sha256": "') + 11
    path.write_text(text[:position] + ("0" if text[position] != "0" else "1") + text[position + 1 :])


@pytest.mark.parametrize("change", [remove, grow, recount, resum])
def test_the_identity_changes_with_what_the_data_set_holds(tree, change):
    before = source_of(tree.parents[1]).identity()
    change(tree)
    assert source_of(tree.parents[1]).identity() != before


def test_the_identity_does_not_depend_on_the_place(tree, prepared):
    assert source_of(tree.parents[1]).identity() == source_of(prepared).identity()
