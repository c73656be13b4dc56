"""A disk that cannot hold a run's checkpoints is found before the first step; one that fills up costs what it must."""

import errno
import json
import os
import runpy
import shutil
import subprocess
import sys
from types import SimpleNamespace

import grain  # noqa: F401 - it defines flags once a process: before they are made fresh
import jax
import numpy as np
import pytest

from perceiver_jax import command
from perceiver_jax.errors import Code, Failure
from perceiver_jax.report import figures
from perceiver_jax.runs import workdir
from perceiver_jax.training import arrays, checkpoint
from tests.door import fresh_flags
from tests.launch import SMALL, problem_of

SETTINGS = [
    *SMALL,
    "--config.train.duration=6 steps",
    "--config.train.eval_every=6 steps",
    "--config.train.checkpoint_every=4 steps",
    "--config.train.keep_checkpoints=1",
]
ARRAYS = {"a": jax.ShapeDtypeStruct((1000, 25), np.float32), "b": jax.ShapeDtypeStruct((), np.int32)}
SIZE = 100_004 + 2 * checkpoint.BYTES_BESIDE


@pytest.fixture
def free(monkeypatch):
    """Sets how many bytes the disk has left."""

    def free(count, total=1 << 40):
        monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(total=total, free=count))

    return free


@pytest.mark.parametrize(
    ("saves", "keep", "there", "count"),
    [(0, 2, 0, 0), (1, 2, 0, 1), (2, 2, 0, 2), (9, 2, 0, 3), (9, 2, 1, 2), (9, 2, 2, 1), (9, 2, 5, 1), (9, 1, 0, 2)],
)
def test_room_is_needed_for_what_is_kept_and_one_more_while_it_is_written(tmp_path, free, saves, keep, there, count):
    for step in range(there):
        (tmp_path / str(step)).mkdir()
    free(count * SIZE)
    checkpoint.check_room(tmp_path, ARRAYS, saves, keep)
    if count:
        free(count * SIZE - 1)
        with pytest.raises(Failure) as caught:
            checkpoint.check_room(tmp_path, ARRAYS, saves, keep)
        assert caught.value.code == Code.WORKDIR
        assert caught.value.found == f"{count * SIZE - 1:,} bytes free"
        assert caught.value.expected.startswith(f"{count * SIZE:,} bytes")


def test_fewer_checkpoints_are_a_way_out_where_they_fit(tmp_path, free):
    free(2 * SIZE)
    with pytest.raises(Failure) as caught:
        checkpoint.check_room(tmp_path, ARRAYS, 9, 2)
    assert str(caught.value) == (
        f"error[6] no room for the checkpoints of this run: {tmp_path}\n"
        f"  found: {2 * SIZE:,} bytes free\n"
        f"  expected: {3 * SIZE:,} bytes: 3 x {SIZE:,}, as the newest is written before the oldest of 2 is removed\n"
        "  try: free some space, --config.train.keep_checkpoints=1, or another --workdir"
    )
    free(SIZE)
    with pytest.raises(Failure) as caught:
        checkpoint.check_room(tmp_path, ARRAYS, 9, 2)
    assert caught.value.hint == "free some space, or another --workdir"


def test_a_file_system_that_does_not_say_what_is_free_is_tried(tmp_path, free):
    free(0, total=0)
    checkpoint.check_room(tmp_path, ARRAYS, 9, 2)


@pytest.mark.parametrize("count", [1, 40])
def test_a_checkpoint_is_no_larger_than_is_reckoned_with(tmp_path, count):
    arrays = {f"layer {i}/kernel/value": np.random.default_rng(i).bytes(40_000) for i in range(count)}
    state = {name: jax.numpy.asarray(np.frombuffer(data, np.uint32)) for name, data in arrays.items()}
    checkpoint.save(tmp_path, 1, state, {"config": "", "data": "", "code": "", "numerics": ""}, 1)
    size = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert 40_000 * count < size < (40_000 + checkpoint.BYTES_BESIDE) * count + 4_000


def test_a_disk_without_room_is_refused_before_the_first_step(launcher, tmp_path):
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "none", tmp_path], capture_output=True).returncode:
        pytest.skip("may not mount")
    try:
        run = launcher.train(tmp_path / "run", *SETTINGS)
        assert run.wait() == Code.WORKDIR
        assert run.stderr.startswith(f"error[6] no room for the checkpoints of this run: {tmp_path}/run/checkpoints\n")
        assert "step" not in run.stderr
        assert not (tmp_path / "run" / "metrics.jsonl").exists()
        assert list((tmp_path / "run" / "checkpoints").iterdir()) == []
    finally:
        subprocess.run(["umount", tmp_path], check=True)


@pytest.fixture
def train(monkeypatch, capsys):
    """Runs `experiments.train` in this process: its `finished`, its exit code, what it prints on stdout and on stderr."""

    def train(path):
        words = ["train", "--config", "configs/digits.py", "--workdir", str(path), *settings()]
        monkeypatch.setattr(sys, "argv", words)
        with fresh_flags():
            program = runpy.run_module("experiments.train", run_name="train_under_test")
            with pytest.raises(SystemExit) as end:
                command.run(program["main"])
        return program["finished"], end.value.code, *capsys.readouterr()

    return train


def settings():
    """Of two that set the same the later one."""
    return {setting.partition("=")[0]: setting for setting in SETTINGS}.values()


def refusing(call, condition):
    """A function that writes, on a disk that is full where `condition` of its arguments says so."""

    def refuse(*arguments, **named):
        if condition(*arguments):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return call(*arguments, **named)

    return refuse


def test_a_disk_that_is_full_at_the_end_costs_what_does_not_fit_and_no_more(train, tmp_path, monkeypatch):
    """The run is evaluated, its result printed and written. It is not done: a launch with room saves the rest."""
    path = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(arrays, "write", refusing(arrays.write, lambda path, _: "6" in path.parts[-2]))
        patch.setattr(
            figures, "write_atomically", refusing(figures.write_atomically, lambda file, _: file.name == "curves.png")
        )
        finished, code, out, err = train(path)
    assert code == Code.WORKDIR
    first = json.loads((path / "result.json").read_text())
    assert first["unwritten"] == ["checkpoints/6", "plots/curves.png"]
    assert f"state_sha256 {first['state_sha256']}\n" in out
    assert "Perceiver (this run)" in out
    assert "step 6: test  accuracy " in err
    assert f"checkpoint not saved; the run is evaluated all the same: error[6] checkpoint {path}/checkpoints/6" in err
    assert f"error[6] {path}/plots/curves.png was not written: no space left on device" in err
    last = err[err.rindex("error[6]") :].splitlines()
    assert last[0] == f"error[6] checkpoint {path}/checkpoints/6 was not saved: no space left on device"
    assert sorted(one.name for one in (path / "checkpoints").iterdir()) == ["4"]
    problem = problem_of(*settings())
    assert finished(workdir.Workdir(path), problem) is None
    (path / "result.json").write_text(json.dumps({name: first[name] for name in first if name != "unwritten"}))
    assert finished(workdir.Workdir(path), problem)["step"] == 6
