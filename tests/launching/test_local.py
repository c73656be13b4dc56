"""Jobs of this machine: each on its own cores, stopped when asked, when the launcher is, and when it is killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from perceiver_jax.errors import Code
from perceiver_jax.launch import jobs, local
from perceiver_jax.launch.local import Local
from perceiver_jax.system.signals import StopFlag
from tests.launching.commands import ends, saves

ROOT = Path(__file__).parents[2]
SECONDS = 30  # after which a test counts as hung


def until(condition):
    """Waits until something is so."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def run(given, launcher, stop=None):
    """The ends of some jobs by name."""
    found = {}
    with StopFlag() as flag:
        jobs.run(given, launcher, stop or flag, lambda _, ended: found.update({end.job.name: end for end in ended}))
    return found


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(jobs, "POLL_SECONDS", 0.01)


def test_jobs_end_with_their_code_and_their_last_error(tmp_path):
    given = [
        ends(tmp_path, "good"),
        ends(tmp_path, "bad", 3, "error[3] first\nerror[3] no such file: x\n  try: y"),
        ends(tmp_path, "none of ours", 9, "Traceback\nValueError: z\n"),
    ]
    found = run(given, Local(2))
    assert {name: end.code for name, end in found.items()} == {"good": 0, "bad": 3, "none of ours": 9}
    assert found["bad"].error == "error[3] no such file: x"
    assert found["good"].error == ""
    run([ends(tmp_path, "good", 4, "error[4] now")], Local(1))
    assert jobs.last_error(tmp_path / "good.txt") == "error[4] now"
    assert (tmp_path / "good.txt").read_text().count("CORES") == 2  # a log keeps what was in it


def test_an_error_of_an_earlier_launch_is_not_shown_again(tmp_path):
    run([ends(tmp_path, "a", 4, "error[4] before")], Local(1))
    assert run([ends(tmp_path, "a", 5, "now")], Local(1))["a"].error.startswith("CORES")


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this platform has no affinity")
def test_jobs_at_a_time_share_the_cores(tmp_path, monkeypatch):
    cores = sorted(os.sched_getaffinity(0))
    monkeypatch.setenv("WAIT", "0.3")
    run([ends(tmp_path, "a"), ends(tmp_path, "b")], Local(2))
    used = [(tmp_path / f"{name}.txt").read_text().split()[1:] for name in "ab"]
    half = len(cores) // 2
    expected = [cores[:half], cores[half:]] if half else [cores, cores]
    assert sorted(used) == sorted([list(map(str, share)) for share in expected])
    run([ends(tmp_path, "c")], Local(1))
    assert (tmp_path / "c.txt").read_text().split()[1:] == list(map(str, cores))


@pytest.mark.parametrize(
    ("things", "places", "expected"),
    [
        ("0123", 2, ["01", "23"]),
        ("01234", 2, ["01", "234"]),
        ("0123", 3, ["0", "1", "23"]),
        ("01", 3, ["0", "1", "0"]),
        ("", 2, ["", ""]),
    ],
)
def test_shares_are_of_neighbours_and_nearly_equal(things, places, expected):
    assert ["".join(local._share(list(things), place, places)) for place in range(places)] == expected


def test_devices_are_shared_too(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    monkeypatch.setenv("JAX_PLATFORMS", "")
    monkeypatch.delenv("XLA_PYTHON_CLIENT_PREALLOCATE", raising=False)
    given = [Local(2)._environment(place) for place in range(2)]
    assert [one["CUDA_VISIBLE_DEVICES"] for one in given] == ["3", "5"]
    assert "XLA_PYTHON_CLIENT_PREALLOCATE" not in given[0]
    crowded = Local(3)._environment(2)
    assert (crowded["CUDA_VISIBLE_DEVICES"], crowded["XLA_PYTHON_CLIENT_PREALLOCATE"]) == ("3", "false")
    assert Local(1)._environment(0) is os.environ


def test_jobs_that_are_asked_to_stop_save_and_the_rest_does_not_begin(tmp_path):
    stop, given = StopFlag(), [saves(tmp_path, name) for name in "abc"]

    def observe(at_work, ended):
        if all((tmp_path / f"{name}.begun").exists() for name in "ab"):
            stop._code = Code.TERMINATED

    jobs.run(given, Local(2), stop, observe)
    assert sorted(path.name for path in tmp_path.glob("*.saved")) == ["a.saved", "b.saved"]
    assert not (tmp_path / "c.txt").exists()


LAUNCH = """
import sys
from pathlib import Path
from perceiver_jax.launch import jobs
from perceiver_jax.launch.local import Local
from perceiver_jax.system.signals import StopFlag
from tests.launching.commands import saves
with StopFlag() as stop:
    jobs.run([saves(Path(sys.argv[1]), name) for name in "ab"], Local(2), stop, lambda *_: None)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent has ended")
def test_jobs_of_a_launcher_that_is_killed_save_and_end(tmp_path):
    launcher = subprocess.Popen([sys.executable, "-c", LAUNCH, tmp_path], cwd=ROOT, start_new_session=True)
    until(lambda: all((tmp_path / f"{name}.begun").exists() for name in "ab"))
    launcher.kill()
    launcher.wait()
    until(lambda: all((tmp_path / f"{name}.saved").exists() for name in "ab"))


def test_a_job_that_is_killed_leaves_the_others_alone(tmp_path):
    first, second = saves(tmp_path, "a"), ends(tmp_path, "b")
    found = {}

    def observe(at_work, ended):
        found.update({end.job.name: end.code for end in ended})
        if (tmp_path / "a.begun").exists() and "a" in at_work:
            (child,) = [int(pid) for pid in children() if str(tmp_path / "a") in words(pid)]
            os.kill(child, signal.SIGKILL)

    with StopFlag() as stop:
        jobs.run([first, second], Local(1), stop, observe)
    assert found == {"a": -signal.SIGKILL, "b": 0}


def children():
    """The processes that this one has started."""
    path = Path(f"/proc/self/task/{os.getpid()}/children")
    return path.read_text().split()


def words(pid):
    """The command line of a process."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")


def test_a_job_whose_log_cannot_be_written_is_refused_and_the_others_run(tmp_path):
    (tmp_path / "file").touch()
    found = run([ends(tmp_path / "file", "a"), ends(tmp_path, "b")], Local(1))
    assert [(end.job.name, end.code, end.error) for end in found.values()] == [
        ("a", 6, f"error[6] {tmp_path}/file: is a file"),
        ("b", 0, ""),
    ]
