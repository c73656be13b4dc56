"""Shards from units: what is written, what an item that hangs or crashes costs, how the last run's work is found."""

import errno
import os

import pytest

from perceiver_jax.data.preparation import shard, workers
from perceiver_jax.data.preparation.imagenet2012 import PRELOAD
from perceiver_jax.data.preparation.items import Files, Item, Unit, make_units, read
from perceiver_jax.errors import Code, Failure
from perceiver_jax.readers import BadFile
from tests.data.preparation import crashing

RECIPE = "test 1"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "out" / shard.RECORDS).mkdir(parents=True)
    return tmp_path / "out"


@pytest.fixture
def unit(tmp_path):
    def unit(*contents, shard="t-train.array_record-00000-of-00001"):
        items = []
        for i, content in enumerate(contents):
            path = tmp_path / f"{shard}-{i}"
            path.write_bytes(content)
            items.append(Item(f"key{i}", i, str(path), 0, len(content), path.stat().st_mtime_ns))
        return Unit(shard, "train", items)

    return unit


def run(folder, *units, num_workers=1, observe=lambda done: None):
    return workers.Pool(folder, RECIPE, crashing.convert, PRELOAD, num_workers).run(units, observe)


def records_of(path):
    from array_record.python.array_record_data_source import ArrayRecordDataSource

    source = ArrayRecordDataSource([str(path)])
    return [source[i] for i in range(len(source))]


def test_a_shard_holds_its_items_in_order_without_the_bad(folder, unit):
    one = unit(b"odd one", b"bad", b"good")
    record = run(folder, one)[one.shard]
    assert records_of(folder / one.shard) == [b"odd one", b"good"]
    assert (record.examples, record.example_bytes) == (2, 11)
    assert record.bad == [("key1", "not-good", "says so itself")]
    assert record.warnings == {"odd": ["key0"]}
    assert [bool(digest) for digest in record.digests] == [True, False, True]


@pytest.mark.parametrize(
    ("content", "code", "sentence"),
    [
        (b"hang", "decode-timeout", "takes more than 1 s to decode"),
        (b"crash", "decoder-crash", "ends its decoder by SIGSEGV"),
    ],
)
def test_an_item_that_ends_its_process_costs_itself_alone(folder, unit, monkeypatch, content, code, sentence):
    monkeypatch.setattr(workers, "DECODE_SECONDS", 1.0)
    monkeypatch.setattr(workers, "POLL_SECONDS", 0.05)
    one = unit(b"first", content, b"last")
    assert run(folder, one)[one.shard].bad == [("key1", code, sentence)]
    assert records_of(folder / one.shard) == [b"first", b"last"]


def test_a_process_that_was_killed_is_reported_and_not_blamed_on_its_item(folder, unit):
    with pytest.raises(Failure) as failure:
        run(folder, unit(b"killed"))
    assert failure.value.code == Code.MEMORY
    assert str(failure.value).startswith("error[7] a worker process was killed (exit code -9)")


def test_a_bug_is_reported_as_ours(folder, unit):
    with pytest.raises(Failure, match=r"(?s)error\[1\] worker of .*ZeroDivisionError"):
        run(folder, unit(b"bug"))


def test_a_source_that_changes_is_refused(folder, unit):
    one = unit(b"first", b"last")
    path = one.items[1].path
    os.utime(path, ns=(0, 1))
    with pytest.raises(Failure) as failure:
        run(folder, one)
    assert str(failure.value).startswith(f"error[3] changed while it was read: {path}\n")
    assert not (folder / one.shard).exists()


def test_a_source_that_vanishes_is_a_bad_item(folder, unit):
    one = unit(b"first", b"last")
    os.unlink(one.items[0].path)
    assert run(folder, one)[one.shard].bad == [("key0", "unreadable", "cannot be read: no such file or directory")]


def test_a_source_without_the_right_to_read_it_is_a_bad_item(folder, unit):
    one = unit(b"first", b"last")
    os.chmod(one.items[0].path, 0)
    if os.access(one.items[0].path, os.R_OK):
        pytest.skip("this user may read everything")
    assert run(folder, one)[one.shard].bad == [("key0", "unreadable", "cannot be read: permission denied")]


def test_a_source_that_the_system_refuses_to_open_is_a_bad_item(unit, monkeypatch):
    def refuse(path, flags):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    (item,) = unit(b"first").items
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(BadFile) as bad, Files() as files:
        read(item, files)
    assert (bad.value.code, bad.value.sentence) == ("unreadable", "cannot be read: permission denied")


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(folder, unit):
    one = unit(b"first")
    os.unlink(one.items[0].path)
    os.mkfifo(one.items[0].path)
    with pytest.raises(Failure, match="changed while it was read"):
        run(folder, one)


def test_a_finished_shard_is_not_written_again(folder, unit):
    one = unit(b"first")
    before = run(folder, one)
    written = (folder / one.shard).stat().st_mtime_ns
    assert run(folder, one) == before
    assert (folder / one.shard).stat().st_mtime_ns == written


@pytest.mark.parametrize("damage", ["a bit", "its end", "its name", "its record", "another source"])
def test_a_shard_that_is_not_what_its_record_says_is_written_again(folder, unit, damage):
    one = unit(b"first", b"last")
    run(folder, one)
    path, good = folder / one.shard, (folder / one.shard).read_bytes()
    record = folder / shard.RECORDS / f"{one.shard}.json"
    if damage == "a bit":
        path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    elif damage == "its end":
        path.write_bytes(good[:-1])
    elif damage == "its name":
        path.unlink()
    elif damage == "its record":
        record.write_bytes(record.read_bytes()[:50])
    else:
        one = unit(b"other", b"last")
    assert shard.finished(one, RECIPE, folder) is None
    run(folder, one)
    assert shard.finished(one, RECIPE, folder) is not None
    assert (path.read_bytes() == good) == (damage != "another source")


def test_progress_counts_every_item_once(folder, unit):
    counts = []
    units = [unit(b"1", b"bad", b"3", shard="a"), unit(b"4", b"5", shard="b")]
    run(folder, *units, num_workers=2, observe=counts.append)
    assert counts == sorted(counts)
    assert counts[-1] == 5


def test_whoever_observes_can_end_all(folder, unit):
    class End(Exception):
        pass

    def end(done):
        raise End

    with pytest.raises(End):
        run(folder, unit(b"hang"), observe=end)
    assert not (folder / "t-train.array_record-00000-of-00001").exists()


def test_order_and_shards_are_those_of_tfds(tmp_path):
    import numpy as np
    from tensorflow_datasets.core import example_serializer, file_adapters, naming, writer
    from tensorflow_datasets.core.features import feature
    from tensorflow_datasets.core.utils import shard_utils

    keys = [f"n01440764_{i}.JPEG" for i in range(50)]
    template = naming.ShardedFileTemplate(
        data_dir=tmp_path, dataset_name="imagenet2012", split="train", filetype_suffix="array_record"
    )
    serializer = example_serializer.ExampleSerializer({"label": feature.TensorInfo(shape=(), dtype=np.int64)})
    theirs = writer.Writer(
        serializer=serializer,
        filename_template=template,
        hash_salt="train",
        disable_shuffling=False,
        example_writer=writer.ExampleWriter(file_format=file_adapters.FileFormat.ARRAY_RECORD),
        shard_config=shard_utils.ShardConfig(num_shards=4),
    )
    for i, key in enumerate(keys):
        theirs.write(key, {"label": i})
    lengths, _ = theirs.finalize()
    units = make_units("imagenet2012", "train", [Item(key, i, "", 0, 1, 0) for i, key in enumerate(keys)], 4)
    assert [len(unit.items) for unit in units] == lengths
    for unit in units:
        records = records_of(tmp_path / unit.shard)
        expected = [serializer.serialize_example({"label": item.label}) for item in unit.items]
        assert records == expected
