import json
import logging
import math
import os
import struct
import subprocess
import sys

import pytest
from tensorboardX.proto.event_pb2 import Event

from perceiver_jax.errors import Code, Failure
from perceiver_jax.report import log
from perceiver_jax.report.log import MetricsLog, read_log, read_metrics


def train(workdir, resume_step, last_step, loss=1.0, every=10):
    with MetricsLog(workdir, resume_step) as metrics_log:
        for step in range(resume_step + every, last_step + 1, every):
            metrics_log.write(step, "train", {"loss": loss})
            if step % 20 == 0:
                metrics_log.write(step, "test", {"loss": loss, "accuracy": 0.5})


def keys(workdir):
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    return [(record["step"], record["split"]) for record in map(json.loads, lines)]


def events(workdir):
    """Every event of the TensorBoard files, oldest file first."""
    found = []
    for path in sorted((workdir / "tensorboard").iterdir()):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            found.append(Event.FromString(data[12 : 12 + length]))
            data = data[12 + length + 4 :]
    return found


def test_a_line_holds_step_and_split_and_then_the_metrics(tmp_path):
    with MetricsLog(tmp_path, 0) as metrics_log:
        metrics_log.write(10, "train", {"loss": 0.25, "learning_rate": 0.004})
    text = (tmp_path / "metrics.jsonl").read_text()
    assert text == '{"step": 10, "split": "train", "loss": 0.25, "learning_rate": 0.004}\n'


def test_each_line_is_on_disk_as_soon_as_it_is_written(tmp_path):
    with MetricsLog(tmp_path, 0) as metrics_log:
        metrics_log.write(10, "train", {"loss": 0.25})
        assert keys(tmp_path) == [(10, "train")]


def test_a_sync_waits_for_the_lines_and_for_the_name_of_a_new_file(tmp_path, monkeypatch):
    waited, real = [], os.fsync

    def fsync(descriptor):
        waited.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        real(descriptor)

    with MetricsLog(tmp_path, 0) as metrics_log:
        metrics_log.write(10, "train", {"loss": 0.25})
        monkeypatch.setattr(os, "fsync", fsync)
        metrics_log.sync()
    assert {str(tmp_path / "metrics.jsonl"), str(tmp_path)} <= set(waited)


@pytest.mark.parametrize("resume_step", [0, 20, 25, 40])
def test_a_run_killed_and_resumed_holds_each_record_once(tmp_path, resume_step):
    train(tmp_path, 0, 40, loss=1.0)
    train(tmp_path, resume_step, 60, loss=2.0, every=5)
    assert len(set(keys(tmp_path))) == len(keys(tmp_path))
    losses = {record["step"]: record["loss"] for record in read_metrics(tmp_path / "metrics.jsonl")}
    assert losses == {step: 1.0 for step in (10, 20, 30, 40) if step <= resume_step} | dict.fromkeys(
        range(resume_step + 5, 61, 5), 2.0
    )


def test_resuming_drops_a_half_last_line_and_keeps_the_other_bytes(tmp_path):
    train(tmp_path, 0, 40)
    whole = (tmp_path / "metrics.jsonl").read_bytes()
    (tmp_path / "metrics.jsonl").write_bytes(whole + b'{"step": 40, "spl')
    train(tmp_path, 40, 40)
    assert (tmp_path / "metrics.jsonl").read_bytes() == whole


def test_resuming_without_anything_to_drop_leaves_the_file_alone(tmp_path):
    train(tmp_path, 0, 40)
    before = (tmp_path / "metrics.jsonl").stat()
    train(tmp_path, 40, 40)
    after = (tmp_path / "metrics.jsonl").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_a_record_written_again_replaces_the_earlier_one(tmp_path):
    train(tmp_path, 0, 20)
    with MetricsLog(tmp_path, 20) as metrics_log:
        metrics_log.write(20, "test", {"loss": 7.0})
        metrics_log.write(30, "train", {"loss": 8.0})
    assert keys(tmp_path) == [(10, "train"), (20, "train"), (20, "test"), (30, "train")]
    assert read_metrics(tmp_path / "metrics.jsonl")[2]["loss"] == 7.0


def test_a_rewrite_that_fails_leaves_the_old_file_and_the_run_alone(tmp_path, monkeypatch):
    train(tmp_path, 0, 40)
    before = (tmp_path / "metrics.jsonl").read_bytes()

    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(log, "write_atomically", full)
    train(tmp_path, 10, 40)
    assert (tmp_path / "metrics.jsonl").read_bytes() == before


def test_a_record_that_cannot_be_replaced_waits_with_what_follows_until_it_can(tmp_path, monkeypatch):
    def full(path, content):
        raise OSError(28, "No space left on device")

    with MetricsLog(tmp_path, 0) as metrics_log:
        metrics_log.write(10, "train", {"loss": 1.0})
        with monkeypatch.context() as patch:
            patch.setattr(log, "write_atomically", full)
            metrics_log.write(10, "train", {"loss": 2.0})
            metrics_log.write(20, "train", {"loss": 3.0})
            assert [record["loss"] for record in read_metrics(tmp_path / "metrics.jsonl")] == [1.0]
        metrics_log.write(30, "train", {"loss": 4.0})
    assert [record["loss"] for record in read_metrics(tmp_path / "metrics.jsonl")] == [2.0, 3.0, 4.0]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_stay_valid_json_and_come_back(tmp_path, value):
    def refuse(constant):
        raise AssertionError(constant)

    with MetricsLog(tmp_path, 0) as metrics_log:
        metrics_log.write(1, "train", {"loss": value})
    json.loads((tmp_path / "metrics.jsonl").read_text(), parse_constant=refuse)
    assert repr(read_metrics(tmp_path / "metrics.jsonl")[0]["loss"]) == repr(value)


def test_the_reader_skips_damage_keeps_the_newest_and_says_so_once(tmp_path, caplog):
    path = tmp_path / "metrics.jsonl"
    lines = [
        '{"step": 20, "split": "train", "loss": 1.0}',
        '{"step": 10, "split": "train", "loss": 2.0}',
        '["no", "record"]',
        '{"step": 10, "split": "train", "loss": 3.0}',
        '{"step": "x", "split": "train"}',
        f'{{"step": {2**53}, "split": "train"}}',
        "[" * 100_000,
        '{"step": 30, "split": "tra',
    ]
    path.write_text("\n".join(lines))
    with caplog.at_level(logging.WARNING):
        records = read_metrics(path)
    assert records == [
        {"step": 10, "split": "train", "loss": 3.0},
        {"step": 20, "split": "train", "loss": 1.0},
    ]
    (message,) = [record.getMessage() for record in caplog.records]
    assert "skipped 5 damaged line(s), left out 1 record(s)" in message
    assert read_log(path) == (records, 5, 1)


def test_the_reader_says_nothing_of_a_sound_file(tmp_path, caplog):
    train(tmp_path, 0, 40)
    assert len(read_metrics(tmp_path / "metrics.jsonl")) == 6
    assert not caplog.records


def test_reading_metrics_that_are_not_there_is_a_failure_of_the_workdir(tmp_path):
    with pytest.raises(Failure) as failure:
        read_metrics(tmp_path / "metrics.jsonl")
    assert failure.value.code == Code.WORKDIR


def test_tensorboard_gets_the_same_numbers_under_split_and_name(tmp_path):
    train(tmp_path, 0, 20)
    scalars = [(e.step, v.tag, v.simple_value) for e in events(tmp_path) for v in e.summary.value]
    assert scalars == [
        (10, "train/loss", 1.0),
        (20, "train/loss", 1.0),
        (20, "test/loss", 1.0),
        (20, "test/accuracy", 0.5),
    ]


def test_resuming_makes_tensorboard_hide_later_steps(tmp_path):
    train(tmp_path, 0, 40)
    train(tmp_path, 20, 40)
    starts = [event.step for event in events(tmp_path) if event.HasField("session_log")]
    assert starts == [1, 21]
    assert len(list((tmp_path / "tensorboard").iterdir())) == 2


@pytest.mark.parametrize("returns", ["at a checkpoint", "at the end", "never"])
def test_on_a_full_disk_records_wait_with_one_warning_until_there_is_room(returns, tmp_path, caplog, monkeypatch):
    attempts = []

    def full(self, *record):
        attempts.append(record)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, MetricsLog(tmp_path, 0) as metrics_log:
        patch.setattr(log._JsonLines, "write", full)
        for step in range(1, 10):
            metrics_log.write(step, "train", {"loss": 1.0})
        assert len(attempts) == log.MAX_FAULTS
        if returns != "never":
            patch.undo()
        if returns == "at a checkpoint":
            metrics_log.sync()
            assert len(keys(tmp_path)) == 9
            metrics_log.write(10, "train", {"loss": 1.0})
            assert len(keys(tmp_path)) == 10
    assert len(keys(tmp_path)) == {"at a checkpoint": 10, "at the end": 9, "never": 0}[returns]
    message, *last = [record.getMessage() for record in caplog.records]
    assert message.startswith("metrics.jsonl not written, 3 faults in a row; what is logged waits in memory")
    assert "No space left on device" in message
    assert last == (["metrics.jsonl lacks the last 9 record(s), which could not be written"] if returns == "never" else [])
    assert len([event for event in events(tmp_path) if event.summary.value]) == 9 + (returns == "at a checkpoint")


@pytest.mark.parametrize("shrinks", [True, False])
def test_of_a_line_that_does_not_fit_nothing_stays_and_it_is_written_later(shrinks, tmp_path, caplog):
    with MetricsLog(tmp_path, 0) as metrics_log:
        metrics_log.write(10, "train", {"loss": 1.0})
        lines = metrics_log._writers[0]._writer
        whole, lines._file = lines._file, HalfFull(lines._file, shrinks)
        metrics_log.write(20, "train", {"loss": 1.0})
        lines._file = whole
        metrics_log.write(30, "train", {"loss": 1.0})
    assert [record["step"] for record in read_metrics(tmp_path / "metrics.jsonl")] == [10, 20, 30]
    assert ("skipped 1 damaged" in caplog.text) == (not shrinks)


class HalfFull:
    """A raw file on a disk that takes half of what it is given, and perhaps cannot take that back."""

    def __init__(self, file, shrinks):
        self._file, self._shrinks, self.fileno = file, shrinks, file.fileno

    def write(self, data):
        return self._file.write(data[: len(data) // 2])

    def truncate(self, size):
        if not self._shrinks:
            raise OSError(5, "Input/output error")
        self._file.truncate(size)


def test_a_workdir_that_is_not_there_does_not_stop_the_run(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    train(tmp_path / "file", 0, 60)
    assert [record.args[0] for record in caplog.records] == ["metrics.jsonl", "tensorboard"] * 2


def test_importing_the_report_loads_neither_jax_nor_a_slow_package():
    code = (
        "import sys; from perceiver_jax.report import curves, log, maps, progress, tables;"
        "print([m for m in ('jax', 'matplotlib', 'tensorboardX', 'rich', 'cv2') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
