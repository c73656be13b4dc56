"""One run, one directory, one trainer."""

import errno
import json
import os
import re
import resource
import subprocess
import sys
import time

import pytest

from perceiver_jax.errors import Code, Failure
from perceiver_jax.runs import workdir
from perceiver_jax.settings import config as config_lib
from perceiver_jax.system import disk, locks
from tests.launch import SMALL, config_of

CONFIG = config_of()
HOLD = """
import json, sys
from perceiver_jax.runs import workdir
from perceiver_jax.errors import Failure
from tests.launch import config_of
config = config_of()
sys.stdin.readline()
try:
    with workdir.claim(sys.argv[1], config, ["train"]):
        print("won", flush=True)
        sys.stdin.readline()
except Failure as failure:
    print(failure, flush=True)
    sys.exit(int(failure.code))
"""


def launch(path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    return process


def go(process):
    process.stdin.write("\n")
    process.stdin.flush()


def fail(path, config=CONFIG):
    """The failure that a claim ends with."""
    with pytest.raises(Failure) as caught, workdir.claim(str(path), config, ["train"]):
        pass
    return caught.value


def claim(path, config=CONFIG, command=("train",)):
    with workdir.claim(str(path), config, list(command)) as claimed:
        return claimed


def test_a_claim_makes_the_directory_and_records_config_and_command(tmp_path):
    claimed = claim(tmp_path / "runs" / "a", command=["train", "--tiny"])
    assert json.loads(claimed.config.read_text()) == {"config": config_lib.dump(CONFIG), "command": ["train", "--tiny"]}
    assert claimed.checkpoints.is_dir()
    assert claimed.plots.is_dir()
    assert workdir.read_config(str(tmp_path / "runs" / "a")) == CONFIG


@pytest.mark.parametrize("name", ["with space", "ünïcodé", "x" * 255, "trailing/"])
def test_unusual_names_work(tmp_path, name):
    assert claim(f"{tmp_path}/{name}").config.is_file()


def test_a_relative_path_stays_the_same_place_after_chdir(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with workdir.claim("run", CONFIG, []) as claimed:
        os.chdir("/")
        assert claimed.config.is_file()
        assert claimed.config.parent == tmp_path / "run"


def test_a_symlinked_workdir_works(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    claim(tmp_path / "link")
    assert (tmp_path / "real" / "config.json").is_file()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("", "error[6] workdir '': is not a path"),
        ("a\0b", r"error[6] workdir 'a\x00b': is not a path"),
        ("/", "error[6] workdir /: is the root of the file system"),
        ("//..", "error[6] workdir //..: is the root of the file system"),
        ("/tmp/" + "x" * 5000, "error[6] workdir /tmp/" + "x" * 192 + "...: file name too long"),
        ("/proc/no", "error[6] workdir /proc/no: no such file or directory"),
    ],
)
def test_a_path_that_cannot_be_a_workdir_is_refused(path, message):
    assert str(fail(path)).splitlines()[0] == message


def test_a_file_is_refused(tmp_path):
    (tmp_path / "f").write_text("x")
    assert str(fail(tmp_path / "f")) == f"error[6] workdir {tmp_path}/f: is a file"
    assert str(fail(tmp_path / "f" / "g")) == f"error[6] workdir {tmp_path}/f/g: its parent {tmp_path}/f is a file"


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EIO])
def test_a_directory_that_refuses_writes_is_named_with_the_reason(tmp_path, monkeypatch, number):
    def refuse(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(locks, "open", refuse, raising=False)
    assert str(fail(tmp_path / "a")) == f"error[6] workdir {tmp_path}/a: {os.strerror(number).lower()}"


def test_a_read_only_file_system_is_refused_even_to_root(tmp_path):
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", tmp_path], capture_output=True).returncode:
        pytest.skip("may not mount")
    try:
        assert str(fail(tmp_path)) == f"error[6] workdir {tmp_path}: read-only file system"
        assert str(fail(tmp_path / "a")) == f"error[6] workdir {tmp_path}/a: read-only file system"
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_a_full_disk_is_refused_with_the_free_bytes(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        failure = fail(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert failure.code == Code.WORKDIR
    assert failure.where == "file too large"
    assert re.fullmatch(r"[\d,]+ bytes free", failure.found)


def begin(path):
    """A workdir whose run has come to a first step."""
    claim(path).metrics.touch()


def test_settings_may_change_until_there_is_a_first_step(tmp_path):
    claim(tmp_path).problem.write_text("of other settings")
    other = config_of(*SMALL, "--config.data.batch_size=16")
    assert claim(tmp_path, other).is_untrained
    assert workdir.read_config(str(tmp_path)) == other
    for begun in ("metrics.jsonl", "result.json", "checkpoints/3"):
        (tmp_path / begun).mkdir()
        assert "holds a run with other settings" in str(fail(tmp_path, CONFIG))
        (tmp_path / begun).rmdir()


def test_another_config_is_refused_with_every_change(tmp_path):
    begin(tmp_path)
    schedule = "{'kind': 'steps', 'milestones': (0.5,), 'factor': 0.1}"
    changes = ["model.num_latents=32", "optim.clip_norm=None", f"optim.schedule={schedule}"]
    other = config_of(*(f"--config.{change}" for change in changes))
    assert str(fail(tmp_path, other)) == (
        f"error[2] workdir {tmp_path} holds a run with other settings\n"
        '  found: model.num_latents 16 -> 32; optim.schedule.kind "flat_cosine" -> "steps"; '
        "optim.schedule.flat_fraction 0.5 -> (none); optim.clip_norm 10.0 -> null; "
        "optim.schedule.milestones (none) -> [0.5]; optim.schedule.factor (none) -> 0.1\n"
        "  try: a new --workdir"
    )
    assert workdir.read_config(str(tmp_path)) == CONFIG


def test_a_long_list_of_changes_is_cut_after_ten(tmp_path):
    begin(tmp_path)
    changes = fail(tmp_path, config_of(*SMALL, "--config.seed=1")).found.split("; ")
    old, new = config_lib.lasting(CONFIG), config_lib.lasting(config_of(*SMALL, "--config.seed=1"))
    count = sum(old[name] != new[name] for name in old)
    assert count > 10
    assert (len(changes), changes[-1]) == (11, f"and {count - 10} more")


def test_harmless_settings_may_change_and_the_latest_are_recorded(tmp_path):
    claim(tmp_path)
    new = config_of("--config.train.log_every=1 epochs")
    claim(tmp_path, new, ["again"])
    assert json.loads((tmp_path / "config.json").read_text()) == {"config": config_lib.dump(new), "command": ["again"]}


def test_harmless_settings_are_those_of_reading_logging_and_saving():
    values = config_lib.dump(CONFIG)
    names = {f"{section}.{name}" for section in ("data", "views", "train") for name in values[section]}
    harmless = {name for name in names if name not in config_lib.lasting(CONFIG)}
    assert harmless == {
        "data.eval_batch_size",
        "data.num_workers",
        "data.prefetch_batches",
        "views.num_evaluation",
        "train.log_every",
        "train.eval_every",
        "train.checkpoint_every",
        "train.keep_checkpoints",
    }


@pytest.mark.parametrize("text", ["", "{", "[]", '{"config": 3}', "{}", "[" * 100_000, "\x00\xff"])
def test_a_damaged_config_json_is_named_with_the_remedy(tmp_path, text):
    claim(tmp_path)
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(Failure) as caught:
        workdir.read_config(str(tmp_path))
    for failure in (fail(tmp_path), caught.value):
        assert str(failure).startswith(f"error[4] {tmp_path}/config.json: is damaged\n  found: no")
        assert "delete it and launch training" in failure.hint
    assert (tmp_path / "config.json").read_text() == text


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"command": 3}, "no command that a run has: input should be a valid array"),
        ({"command": ["a", 3]}, "no command.1 that a run has: input should be a valid string"),
        (
            {"earlier_durations": ["3 weeks"]},
            "no earlier_durations.0 that a run has: value error, expected a length above 0",
        ),
        ({"init_from": {"run": "a", "step": 3}}, "no init_from.state_sha256 that a run has: field required"),
        (
            {"init_from": {"run": "a", "step": 3, "state_{sha256": ""}},
            "no init_from.state_sha256 that a run has: field required",
        ),
    ],
)
def test_a_config_json_of_another_form_is_named_with_the_field(tmp_path, change, found):
    claim(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(Failure) as failure:
        workdir.read_config(str(tmp_path))
    assert (failure.value.code, failure.value.where) == (Code.CHECKPOINT, "is damaged")
    assert failure.value.found.startswith(found)


def test_no_run_is_reported_with_what_is_there_and_what_is_near(tmp_path):
    for name in ("a", "refused"):
        claim(tmp_path / "runs" / name)
    (tmp_path / "runs/a/problem.json").touch()  # the other has not begun
    near = f"--workdir {tmp_path}/runs/a"
    for path, found, hint in [
        ("runs/b", "nothing there", near),
        ("runs", "a directory that holds a, refused", near),
        ("runs/a/checkpoints", "a directory that holds nothing", near),
        ("runs/a/config.json", "a file", near),
        ("elsewhere/x", "nothing there", ""),
    ]:
        with pytest.raises(Failure) as caught:
            workdir.read_config(f"{tmp_path}/{path}")
        expected = Failure(Code.CHECKPOINT, f"no run at {tmp_path}/{path}", found=found, hint=hint)
        assert str(caught.value) == str(expected)


def test_what_a_dead_run_left_unfinished_is_removed_and_named(tmp_path, capsys):
    claimed = claim(tmp_path)
    (claimed.checkpoints / ".tmp-5" / "arrays").mkdir(parents=True)
    (tmp_path / ".tmp-config.json").write_text("{")
    capsys.readouterr()
    claim(tmp_path)
    assert list(claimed.checkpoints.iterdir()) == []
    assert not (tmp_path / ".tmp-config.json").exists()
    assert f"{claimed.checkpoints}/.tmp-5" in capsys.readouterr().err


def test_a_second_trainer_is_refused_in_a_second_and_reported_by_whom(tmp_path):
    first = launch(tmp_path)
    go(first)
    assert first.stdout.readline() == "won\n"
    start = time.monotonic()
    failure = fail(tmp_path)
    assert time.monotonic() - start < 1
    assert failure.code == Code.WORKDIR
    assert re.fullmatch(rf"in use by pid {first.pid} on \S+ since \d\d:\d\d UTC", failure.where)
    first.kill()
    first.communicate()
    claim(tmp_path)  # the lock went with its process


def test_of_racing_trainers_exactly_one_wins(tmp_path):
    racers = [launch(tmp_path) for _ in range(4)]
    for process in racers:
        go(process)
    lines = [process.stdout.readline() for process in racers]
    for process in racers:
        process.communicate("\n")
    winners = [process for process, line in zip(racers, lines, strict=True) if line == "won\n"]
    assert len(winners) == 1
    assert sorted(process.returncode for process in racers) == [0, 6, 6, 6]
    assert sum(f"in use by pid {winners[0].pid} on " in line for line in lines) == 3


def test_the_lock_is_gone_after_the_block(tmp_path):
    claim(tmp_path)
    process = launch(tmp_path)
    go(process)
    assert process.communicate("\n")[0] == "won\n"


@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, call):
    path = tmp_path / "result.json"
    disk.write_atomically(path, b"old")

    def refuse(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, refuse)
    with pytest.raises(OSError, match="No space left"):
        disk.write_atomically(path, b"new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["result.json"]
    assert path.read_bytes() == b"old"


def test_the_claim_needs_no_jax():
    code = "import sys; from perceiver_jax.runs import begin, load, workdir; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
