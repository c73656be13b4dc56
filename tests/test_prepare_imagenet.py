"""The command that prepares ImageNet: the same bytes however it runs, all bad pictures named, nothing half done."""

import contextlib
import hashlib
import json
import os
import signal
import time

import pytest

from perceiver_jax.data.preparation import findings, imagenet2012
from tests import preparing
from tests.data.preparation.archives import (
    encoded,
    photograph,
    tar,
    train_pictures,
    validation_pictures,
    write_archives,
    write_folders,
)
from tests.preparing import hashes, wait_for_shards

INCOMPLETE = "imagenet2012/5.1.0.incomplete"


@pytest.fixture
def launch(monkeypatch, capsys):
    """Runs the command in this process: its exit code, stdout and stderr."""

    def launch(source, data_dir, *arguments):
        words = ["--source", source, "--data_dir", data_dir, "--num_workers=1", *arguments]
        return preparing.launch("imagenet", words, monkeypatch, capsys)

    return launch


@pytest.fixture
def start(tmp_path):
    """Starts the command in a process of its own, with a shard for each picture."""

    def start(source, data_dir, *arguments, **environment):
        words = ["--source", source, "--data_dir", data_dir, "--allow_partial", *arguments]
        return preparing.start("imagenet", "imagenet2012", dict(imagenet2012.PUBLISHED), words, tmp_path, **environment)

    return start


def test_a_run_that_was_killed_ends_with_the_bytes_of_one_that_was_not(tmp_path, start, launch, monkeypatch):
    source = write_archives(tmp_path / "source")
    for number, count in ((signal.SIGKILL, 3), (signal.SIGTERM, 6)):
        run = start(source, tmp_path / "killed", "--num_workers=1", LC_ALL="C", TZ="Asia/Tokyo")
        wait_for_shards(tmp_path / "killed" / INCOMPLETE, count)
        os.killpg(run.pid, number)  # as a terminal or a scheduler does
        _, err = run.communicate()
        assert run.returncode == (-signal.SIGKILL if number == signal.SIGKILL else 143), err
        assert not (tmp_path / "killed/imagenet2012/5.1.0").exists()
    monkeypatch.setattr(imagenet2012, "SHARDS", imagenet2012.PUBLISHED)
    for name, workers in (("killed", 1), ("quiet", 2)):
        code, _, err = launch(source, tmp_path / name, "--allow_partial", f"--num_workers={workers}")
        assert code == 0, err
    assert len(hashes(tmp_path / "quiet")) == 24 + 6
    assert hashes(tmp_path / "killed") == hashes(tmp_path / "quiet")


def test_workers_end_with_the_run_that_was_killed(tmp_path, start):
    source = write_archives(tmp_path / "source")
    run = start(source, tmp_path / "out", "--num_workers=1")
    wait_for_shards(tmp_path / "out" / INCOMPLETE, 3)
    run.kill()
    run.communicate()
    time.sleep(0.5)
    count = len(hashes(tmp_path / "out"))
    time.sleep(0.5)
    assert len(hashes(tmp_path / "out")) == count < 24


def test_archives_and_folders_give_the_same_shards(tmp_path, launch):
    for name, write in {"archives": write_archives, "folders": write_folders}.items():
        code, _, err = launch(write(tmp_path / name), tmp_path / f"{name}-out", "--allow_partial")
        assert code == 0, err
    of = [hashes(tmp_path / f"{name}-out") for name in ("archives", "folders")]
    shards = [{name: value for name, value in each.items() if "array_record" in name} for each in of]
    assert shards[0] == shards[1] != {}


def test_the_same_command_again_says_that_all_is_done(tmp_path, launch):
    source = write_archives(tmp_path / "source")
    launch(source, tmp_path / "out", "--allow_partial")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    code, out, err = launch(source, tmp_path / "out", "--allow_partial")
    assert (code, out) == (0, f"{tmp_path}/out/imagenet2012/5.1.0 is ready: --config.data.data_dir={tmp_path}/out\n")
    assert "train: 3 of 1,000 classes, 15 of 1,281,167 pictures\nvalidation: 9 of 1,000 classes" in err
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == before


def test_verifying_names_every_shard_that_is_not_what_was_written(tmp_path, launch):
    source = write_archives(tmp_path / "source")
    arguments = source, tmp_path / "out", "--allow_partial", "--verify"
    assert launch(*arguments)[0] == 0
    folder = tmp_path / "out/imagenet2012/5.1.0"
    damaged = next(iter(sorted(folder.glob("*train.array_record*"))))
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 1  # of the same size: `load` cannot detect it
    damaged.write_bytes(data)
    code, _, err = launch(*arguments)
    assert code == 3
    assert err.endswith(
        f"error[3] 1 of 2 shards are not what was written: {folder}\n  found: {damaged.name}\n"
        f"  try: restore them from a copy, or remove {folder} and prepare again\n"
    )


def test_an_archive_whose_checksum_differs_is_reported_before_anything_is_written(tmp_path, launch):
    source = write_archives(tmp_path / "source")
    names = ("ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar")
    lines = "".join(f"{hashlib.md5((source / name).read_bytes()).hexdigest()}  {name}\n" for name in names)
    (tmp_path / "MD5SUMS").write_text(lines)
    arguments = source, tmp_path / "out", "--allow_partial", f"--checksums={tmp_path}/MD5SUMS"
    data = bytearray((source / names[1]).read_bytes())
    good, data[800] = bytes(data), data[800] ^ 1  # a pixel or so of the first picture
    (source / names[1]).write_bytes(data)
    code, _, err = launch(*arguments)
    assert code == 3
    assert f"error[3] md5 differs: {names[1]}: the file is complete but altered\n  found: " in err
    assert not (tmp_path / "out").exists()
    (source / names[1]).write_bytes(good[:5000])  # what the headers show is reported without reading all
    assert f"error[3] {names[1]}: ends early at " in launch(*arguments)[2]
    (source / names[1]).write_bytes(good)
    code, _, err = launch(*arguments)
    assert (code, "comparing 2 files, 0 MB, with their checksums\n" in err) == (0, True)


def spoiled():
    """The train pictures, some of them bad or unusual."""
    pictures = train_pictures()
    changes = {
        "n01440764_0.JPEG": b"",
        "n01440764_1.JPEG": pictures["n01440764_1.JPEG"][:900],
        "n01440764_2.JPEG": b"<html>404</html>",
        "n01443537_0.JPEG": encoded(photograph(1), "GIF"),
        "n01443537_1.JPEG": encoded(photograph(1), "PNG"),
        "n01443537_2.JPEG": encoded(photograph(1).convert("CMYK")),
        "n01443537_3.JPEG": pictures["n01443537_3.JPEG"][:-2],
        "n01443537_4.JPEG": validation_pictures()["ILSVRC2012_val_00000004.JPEG"],
    }
    return pictures | changes


BAD = {
    "n01440764_0.JPEG": ("empty-file", "has no bytes"),
    "n01440764_1.JPEG": ("truncated", "ends before its last pixel"),
    "n01440764_2.JPEG": ("not-an-image", "looks like a web page: the download failed"),
    "n01443537_0.JPEG": ("format-not-allowed", "is GIF; JPEG and PNG are read"),
}


def test_bad_pictures_are_all_named_and_then_left_out_by_budget(tmp_path, launch):
    source = write_archives(tmp_path / "source", train=spoiled())
    code, out, err = launch(source, tmp_path / "out", "--allow_partial")
    incomplete = tmp_path / "out/imagenet2012/5.1.0.incomplete"
    assert (code, out) == (3, "")
    for key, (reason, sentence) in BAD.items():
        assert f"bad item {key}: {reason}: {sentence}\n" in err
    assert err.endswith(
        f"error[3] 4 bad items: all in {incomplete}/bad_items.jsonl\n  expected: at most 0 (--max_bad)\n"
        "  try: repair the source and run the command again, or skip them: --max_bad=4\n"
    )
    lines = [json.loads(line) for line in (incomplete / "bad_items.jsonl").read_text().splitlines()]
    assert {line["key"]: (line["code"], line["what"]) for line in lines} == BAD
    code, _, err = launch(source, tmp_path / "out", "--allow_partial", "--max_bad=4")
    assert code == 0, err
    info = json.loads((tmp_path / "out/imagenet2012/5.1.0/dataset_info.json").read_text())
    assert [(split["name"], split["shardLengths"]) for split in info["splits"]] == [("train", ["11"]), ("validation", ["9"])]


def test_unusual_pictures_and_those_in_both_splits_are_counted(tmp_path, launch):
    source = write_archives(tmp_path / "source", train={name: data for name, data in spoiled().items() if name not in BAD})
    _, _, err = launch(source, tmp_path / "out", "--allow_partial")
    assert "warning: 1 items cmyk: n01443537_2.JPEG\n" in err
    assert "warning: 1 items format-mismatch: n01443537_1.JPEG\n" in err
    assert "warning: 1 items no-end-marker: n01443537_3.JPEG\n" in err
    assert (
        "warning: 1 items are the same in two splits, byte for byte: ILSVRC2012_val_00000004.JPEG = n01443537_4.JPEG\n"
        in err
        or "byte for byte: n01443537_4.JPEG = ILSVRC2012_val_00000004.JPEG\n" in err
    )


def warnings_of(data_dir):
    lines = (data_dir / "imagenet2012/5.1.0/warnings.jsonl").read_text().splitlines()
    return [tuple(json.loads(line).values()) for line in lines]


def test_what_is_unusual_and_what_was_ignored_is_listed_whole(tmp_path, launch, monkeypatch):
    monkeypatch.setattr(findings, "SHOWN", 1)
    train = {name: data for name, data in spoiled().items() if name not in BAD}
    source = write_archives(tmp_path / "source", train | {"n01440764_3.JPEG": train["n01443537_2.JPEG"]})
    (source / "ILSVRC2012_img_val.tar").write_bytes(tar(validation_pictures() | {"Thumbs.db": b"", "readme": b""}))
    for name, workers in (("one", 1), ("two", 2)):
        code, _, err = launch(source, tmp_path / name, "--allow_partial", f"--num_workers={workers}")
        assert code == 0, err
        assert "ignored 2 files whose names are not those of pictures: Thumbs.db, ... (all in warnings.jsonl)\n" in err
        assert "warning: 2 items cmyk: n01440764_3.JPEG, ... (all in warnings.jsonl)\n" in err
        assert "warning: 1 items format-mismatch: n01443537_1.JPEG\n" in err
    assert hashes(tmp_path / "one") == hashes(tmp_path / "two")
    found = warnings_of(tmp_path / "one")
    assert found == sorted(found)
    assert {row for row in found if row[1] != "in-two-splits"} == {
        ("Thumbs.db", "ignored"),
        ("readme", "ignored"),
        ("n01440764_3.JPEG", "cmyk", "train"),
        ("n01443537_1.JPEG", "format-mismatch", "train"),
        ("n01443537_2.JPEG", "cmyk", "train"),
        ("n01443537_3.JPEG", "no-end-marker", "train"),
    }
    (twice,) = (row for row in found if row[1] == "in-two-splits")
    assert {twice[0], twice[3]} == {"n01443537_4.JPEG", "ILSVRC2012_val_00000004.JPEG"}


def test_ordinary_pictures_are_stored_as_they_came(tmp_path, launch):
    import tensorflow_datasets as tfds

    launch(write_archives(tmp_path / "source", train=spoiled()), tmp_path / "out", "--allow_partial", "--max_bad=4")
    builder = tfds.builder_from_directory(tmp_path / "out/imagenet2012/5.1.0")
    records = builder.as_data_source("train", decoders={"image": tfds.decode.SkipDecoding()})
    stored = {record["file_name"].decode(): record["image"] for record in records}
    assert stored.keys() == spoiled().keys() - BAD.keys()
    changed = {name for name, data in stored.items() if data != spoiled()[name]}
    assert changed == {"n01443537_1.JPEG", "n01443537_2.JPEG", "n01443537_3.JPEG"}
    assert all(data.startswith(b"\xff\xd8\xff") for data in stored.values())


def test_a_repaired_picture_is_read_again(tmp_path, launch):
    source = write_folders(tmp_path / "source")
    path = source / "train/n01440764/n01440764_0.JPEG"
    good = path.read_bytes()
    path.write_bytes(b"")
    assert launch(source, tmp_path / "out", "--allow_partial")[0] == 3
    path.write_bytes(good)
    assert launch(source, tmp_path / "out", "--allow_partial")[0] == 0
    launch(source, tmp_path / "other", "--allow_partial")
    assert hashes(tmp_path / "out") == hashes(tmp_path / "other")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 3, "error[3] 3 of 1000 classes in train; missing n01491361"),
        (["--num_workers=0"], 2, "error[2] flag --num_workers=0: 0 is not a positive integer"),
        (["--max_bad=-1"], 2, "error[2] flag --max_bad=-1: -1 is not a non-negative integer"),
        (["--allow_partial", "--validation_labels=nowhere"], 3, "error[3] validation labels nowhere: cannot be read"),
        (["--source=nowhere"], 3, "error[3] --source nowhere: is not a directory"),
        (["--source=nowhere", "--checksums=nowhere"], 3, "error[3] --source nowhere: is not a directory"),
        (["--checksums=nowhere"], 3, "error[3] checksums nowhere: cannot be read"),
        (["--data_dir={source}"], 6, "error[6] --data_dir {source}: is in --source"),
        (["--data_dir={source}/a"], 6, "error[6] --data_dir {source}/a: is in --source"),
        (["--data_dir={source}-loop", "--allow_partial"], 6, "error[6] cannot write to {source}-loop/imagenet2012/5.1.0."),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_done_is_reported(tmp_path, launch, arguments, code, message):
    source = write_archives(tmp_path / "source")
    (tmp_path / "source-loop").symlink_to(tmp_path / "source-loop")
    found, _, err = launch(source, tmp_path / "out", *(word.format(source=source) for word in arguments))
    assert found == code
    assert message.format(source=source) in err
    assert not (tmp_path / "out/imagenet2012/5.1.0").exists()


def test_a_data_set_of_others_is_not_touched(tmp_path, launch):
    (tmp_path / "out/imagenet2012/5.1.0").mkdir(parents=True)
    code, _, err = launch(write_archives(tmp_path / "source"), tmp_path / "out", "--allow_partial")
    assert code == 6
    assert f"error[6] output is not empty: {tmp_path}/out/imagenet2012/5.1.0\n  try: another --data_dir" in err


def test_a_data_set_from_another_source_is_not_touched(tmp_path, launch):
    launch(write_archives(tmp_path / "source"), tmp_path / "out", "--allow_partial")
    before = hashes(tmp_path / "out")
    other = write_archives(tmp_path / "other", train=dict(list(train_pictures().items())[:9]))
    code, _, err = launch(other, tmp_path / "out", "--allow_partial")
    assert (code, hashes(tmp_path / "out")) == (6, before)
    assert "holds a data set made from another source" in err


def test_two_runs_do_not_write_into_one_folder(tmp_path, start, launch):
    source = write_archives(tmp_path / "source")
    run = start(source, tmp_path / "out", "--num_workers=1")
    wait_for_shards(tmp_path / "out" / INCOMPLETE, 1)
    run.send_signal(signal.SIGSTOP)
    with contextlib.ExitStack() as stack:
        stack.callback(run.communicate)
        stack.callback(run.kill)
        code, _, err = launch(source, tmp_path / "out", "--allow_partial")
    assert code == 6
    assert f"error[6] {tmp_path}/out/imagenet2012/5.1.0.incomplete is in use by another process\n" in err


def test_too_little_space_is_reported_before_anything_is_read(tmp_path, launch, monkeypatch):
    import shutil

    class Usage:
        free = 1000

    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage)
    code, _, err = launch(write_archives(tmp_path / "source"), tmp_path / "out", "--allow_partial")
    assert code == 6
    assert "error[6] not enough space at " in err
    assert "\n  found: 1,000 bytes free\n  expected: " in err


def test_a_full_disk_is_reported_and_leaves_nothing_half_written(tmp_path, start):
    source = write_archives(tmp_path / "source")
    run = start(source, tmp_path / "out", "--num_workers=1", LARGEST_FILE="20000")
    _, err = run.communicate()
    assert run.returncode == 6
    assert f"error[6] cannot write {tmp_path}/out/imagenet2012/5.1.0.incomplete/imagenet2012-train.array_record-" in err
    assert "\n  try: free some space; the same command resumes\n" in err
    assert not [name for name in hashes(tmp_path / "out") if "array_record" in name]
