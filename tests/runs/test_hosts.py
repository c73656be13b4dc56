"""Two processes train one run as a single one does, and whatever befalls one of them ends both, in words.

Those marked `hosts` take minutes: `pytest -m hosts -n0 tests/runs/test_hosts.py`.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from perceiver_jax.report.log import read_metrics
from perceiver_jax.training import manifest
from scripts.faults.pairs import Pair, free_port
from tests.launch import Launcher, on_devices
from tests.runs import test_resume
from tests.runs.test_resume import SETTINGS, begun, learned, state_sha256

EVEN = [*SETTINGS, "--config.data.eval_batch_size=448"]  # divisible by 8 devices
quiet = test_resume.quiet  # a run of one process on one device, a fixture
UNKNOWN = "error[2] --distributed: no cluster is known here\n  found: no "
FIRST = ["--num_processes=2", "--process_id=0"]
HEARTBEAT = 10  # seconds, of the pairs of these tests


def assert_near(path, other, steps):
    """That two runs learned the same but for rounding, up to a step."""
    ours, theirs = learned(path), learned(other)
    assert ours.keys() >= {key for key in theirs if key[0] <= steps}
    for key in ours:
        assert ours[key] == pytest.approx(theirs[key], rel=1e-4, abs=1e-6), key


def test_a_signal_to_one_process_stops_both_at_one_step_and_a_single_one_goes_on(launcher, quiet, tmp_path):
    pair = Pair(launcher, tmp_path / "a", *SETTINGS).until("step 7/")
    os.kill(pair.runs[1].pid, signal.SIGTERM)
    assert pair.wait() == [143, 143]
    step = max(begun(tmp_path / "a"))
    assert step >= 7
    assert [said.splitlines()[-1] for said in pair.said] == [f"stopped at step {step}; the same command resumes"] * 2
    assert "step 7/" not in pair.said[1]  # process 0 alone tells how it goes
    assert_near(tmp_path / "a", quiet, step)
    manifest.verify(tmp_path / "a/checkpoints", step)

    launcher.finish(tmp_path / "a", *SETTINGS)
    assert_near(tmp_path / "a", quiet, test_resume.STEPS)


def test_a_failure_of_one_process_is_told_by_both(launcher, tmp_path):
    pair = Pair(launcher, tmp_path / "a", *SETTINGS, faults={1: "fails:3"})
    assert pair.wait() == [3, 3]
    message = "error[3] record 7 is damaged: shard 3"
    assert pair.said[1].endswith(f"{message}\n")
    assert f"error[3] process 1 on {os.uname().nodename} has ended the run\n  found: {message}\n" in pair.said[0]


def test_processes_with_other_settings_are_refused_before_anything_is_written(launcher, tmp_path):
    pair = Pair(launcher, tmp_path / "a", *SETTINGS, extra={1: ["--config.seed=5"]})
    assert pair.wait() == [2, 2]
    assert "process 1 was not launched as process 0\n  found: config.seed 5\n  expected: config.seed 0\n" in pair.said[1]
    assert "process 1 was not launched as process 0" in pair.said[0]
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("given", "code", "message"),
    [
        ([], 2, f"{UNKNOWN}--coordinator, --num_processes, --process_id"),
        (["--coordinator=here"], 2, f"{UNKNOWN}--num_processes, --process_id"),
        (["--coordinator=here", *FIRST], 2, "error[2] --coordinator here\n  expected: HOST:PORT"),
        (["--coordinator=a:80", "--num_processes=2", "--process_id=2"], 2, "error[2] --process_id 2\n  expected: 0 to 1"),
        (
            ["--coordinator=localhost:{port}", "--num_processes=2", "--process_id=1", "--arrival_seconds=1"],
            70,
            "error[70] process 1 of 2: process 0, or not all others, came within 1 s: at localhost:",
        ),
    ],
)
def test_processes_that_cannot_meet_say_so(launcher, tmp_path, given, code, message):
    given = [flag.format(port=free_port()) for flag in given]
    run = launcher.train(tmp_path / "a", "--distributed", *given)
    assert run.wait() == code
    assert message in run.stderr


def test_flags_of_many_processes_are_for_many_processes(launcher, tmp_path):
    run = launcher.train(tmp_path / "a", "--process_id=1")
    assert run.wait() == 2
    assert run.stderr == "error[2] --process_id says nothing without --distributed\n  try: --distributed\n"


# From here on what takes minutes.


@pytest.fixture(scope="module")
def pair_of(tmp_path_factory):
    """Makes pairs whose processes have a number of devices each: pair_of(devices, workdir, ...)."""
    launchers = {}

    def make(devices, workdir, *settings, bare=False, **how):
        if devices not in launchers:
            launchers[devices] = Launcher(tmp_path_factory.mktemp("hosts"))
            launchers[devices].environment = on_devices(devices)
            launchers[devices].__enter__()
        return Pair(launchers[devices], workdir, *([] if bare else EVEN), *settings, **how)

    make.launcher = lambda devices: launchers[devices]
    yield make
    for one in launchers.values():
        one.__exit__()


@pytest.fixture(scope="module")
def undisturbed(pair_of, tmp_path_factory):
    """A run of two processes with a device each."""
    path = tmp_path_factory.mktemp("undisturbed") / "a"
    assert pair_of(1, path).wait() == [0, 0]
    return path


@pytest.mark.hosts
def test_two_processes_are_as_one_with_two_devices(pair_of, undisturbed, tmp_path):
    pair_of(2, tmp_path / "b").wait()
    pair_of.launcher(2).finish(tmp_path / "a", *EVEN)
    assert state_sha256(tmp_path / "a") == state_sha256(undisturbed)
    assert learned(tmp_path / "a") == learned(undisturbed)


@pytest.mark.hosts
def test_metrics_of_ranks_are_exact_over_processes(pair_of, tmp_path):
    few = ["--config.task={'kind': 'multi_label'}", "--config.train.duration=10 steps", "--config.data.eval_batch_size=64"]
    assert pair_of(1, tmp_path / "a", *few).wait() == [0, 0]
    pair_of(2, tmp_path / "b", *few).wait()
    pair_of.launcher(2).finish(tmp_path / "c", *EVEN, *few)
    ours, theirs = (read_metrics(tmp_path / name / "metrics.jsonl")[-1] for name in "ac")
    assert ours["split"] == "test"
    assert 0 < ours["mean_average_precision"] < 1
    assert ours == theirs

    pair = pair_of(1, tmp_path / "a", command="experiments.evaluate", bare=True)
    assert pair.wait() == [0, 0]
    alone = pair_of.launcher(2).start("experiments.evaluate", "--workdir", tmp_path / "c")
    assert alone.wait() == 0
    assert pair.runs[0].stdout.splitlines()[:3] == alone.stdout.splitlines()[:3]
    assert "mean_average_precision" in alone.stdout
    assert pair.runs[1].stdout == ""


@pytest.mark.hosts
@pytest.mark.parametrize("devices", [1, 4])
@pytest.mark.parametrize("settings", [[], ["--config.mesh.model=2"]])
def test_a_killed_pair_resumes_as_a_pair_and_as_one(pair_of, tmp_path, devices, settings):
    pair_of(devices, tmp_path / "a", *settings).wait()
    killed = pair_of(devices, tmp_path / "b", *settings).until("step 12/")
    os.kill(killed.runs[0].pid, signal.SIGKILL)
    assert killed.wait() == [-9, 70]
    shutil.copytree(tmp_path / "b", tmp_path / "c")
    resumed = pair_of(devices, tmp_path / "b", *settings)
    assert resumed.wait() == [0, 0]
    assert resumed.runs[0].stdout.count("state_sha256") == resumed.runs[1].stdout.count("state_sha256") == 1
    assert state_sha256(tmp_path / "b") in resumed.runs[1].stdout
    assert state_sha256(tmp_path / "b") == state_sha256(tmp_path / "a")

    pair_of.launcher(devices).finish(tmp_path / "c", *EVEN)
    assert_near(tmp_path / "c", tmp_path / "a", test_resume.STEPS)


@pytest.mark.hosts
@pytest.mark.parametrize("victim", [0, 1])
@pytest.mark.parametrize(
    ("fault", "code", "other"),
    [
        ("raises", 1, 1),
        ("fails", 3, 3),
        ("nan", 5, 5),
        ("memory", 7, 7),
        ("leaves", 1, 1),
        ("quits", 3, 70),
        ("sleeps", 70, 70),
        ("spins", 70, 70),
        ("kill", -9, 70),
    ],
)
def test_whatever_ends_one_ends_both(pair_of, undisturbed, tmp_path, victim, fault, code, other):
    inside = {} if fault == "kill" else {"faults": {victim: f"{fault}:8"}}
    pair = pair_of(1, tmp_path / "a", "--stalled_seconds=5", **inside).until("step 7/")
    if fault == "kill":
        os.kill(pair.runs[victim].pid, signal.SIGKILL)
    seconds = pair.seconds()
    codes = pair.wait()
    assert (codes[victim], codes[1 - victim]) == (code, other)
    assert seconds < 1.5 * HEARTBEAT
    if fault in ("sleeps", "spins"):
        assert any("at_step.py" in said and "has not ended in" in said for said in pair.said)
    assert begun(tmp_path / "a") == [5]
    assert pair_of(1, tmp_path / "a").wait() == [0, 0]
    assert state_sha256(tmp_path / "a") == state_sha256(undisturbed)


@pytest.mark.hosts
@pytest.mark.parametrize("victim", [0, 1])
def test_one_that_is_stopped_is_lost_and_ends_once_it_goes_on(pair_of, tmp_path, victim):
    pair = pair_of(1, tmp_path / "a").until("step 7/")
    os.kill(pair.runs[victim].pid, signal.SIGSTOP)
    began = time.monotonic()
    assert pair.runs[1 - victim].wait() == 70
    assert time.monotonic() - began < 1.5 * HEARTBEAT
    os.kill(pair.runs[victim].pid, signal.SIGCONT)
    assert pair.runs[victim].wait() == 70


@pytest.mark.hosts
@pytest.mark.parametrize("victim", [0, 1])
def test_a_signal_before_training_has_begun_stops_both(pair_of, tmp_path, victim):
    pair = pair_of(1, tmp_path / "a").until("Gloo")
    os.kill(pair.runs[victim].pid, signal.SIGINT)
    assert pair.wait() == [130, 130]


@pytest.mark.hosts
def test_a_workdir_that_is_not_shared_is_refused(pair_of, tmp_path):
    pair = pair_of(1, tmp_path / "a", extra={1: [f"--workdir={tmp_path / 'b'}"]})
    assert pair.wait() == [6, 6]
    assert "config.json is not the file that process 0 has written\n  found: nothing there\n" in pair.said[1]


NAMES = ["a", "b"]


@pytest.fixture
def hosts():
    """Two network namespaces, joined by a link: `ip netns exec perceiver-a`, whose address is 10.77.0.1, and so on."""
    ip = shutil.which("ip")
    if ip is None or os.geteuid():
        pytest.skip("network namespaces need root and iproute2")

    def make(*words):
        return subprocess.run([ip, *words], check=True, capture_output=True)

    for name in NAMES:  # of tests that were killed
        subprocess.run([ip, "netns", "delete", f"perceiver-{name}"], capture_output=True)
    try:
        make("link", "add", "perceiver-a", "type", "veth", "peer", "name", "perceiver-b")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespaces: {error.stderr.decode().strip()}")
    for number, name in enumerate(NAMES, 1):
        known = Path("/etc/netns", f"perceiver-{name}", "hosts")  # gloo listens where the host's name leads
        known.parent.mkdir(parents=True, exist_ok=True)
        known.write_text(f"127.0.0.1 localhost\n10.77.0.{number} {os.uname().nodename}\n")
        make("netns", "add", f"perceiver-{name}")
        make("link", "set", f"perceiver-{name}", "netns", f"perceiver-{name}")
        make("-n", f"perceiver-{name}", "addr", "add", f"10.77.0.{number}/24", "dev", f"perceiver-{name}")
        for device in (f"perceiver-{name}", "lo"):
            make("-n", f"perceiver-{name}", "link", "set", device, "up")
    yield make
    for name in NAMES:
        make("netns", "delete", f"perceiver-{name}")
        shutil.rmtree(f"/etc/netns/perceiver-{name}")


@pytest.mark.hosts
def test_a_link_that_breaks_ends_both(hosts, tmp_path):
    def start(index, name):
        command = [sys.executable, "-m", "experiments.train", "--config", "configs/digits.py", "--workdir", tmp_path / "a"]
        place = ["--distributed", "--coordinator=10.77.0.1:5555", "--num_processes=2", f"--process_id={index}"]
        long = [setting for setting in SETTINGS if "duration" not in setting]
        given = [*command, *long, "--config.train.duration=100000 steps", "--lost_seconds=10", *place]
        with open(tmp_path / f"{name}.err", "w") as err:
            return subprocess.Popen(["ip", "netns", "exec", f"perceiver-{name}", *map(str, given)], stderr=err)

    with start(0, "a") as first, start(1, "b") as second:
        while "step 7/" not in (tmp_path / "a.err").read_text():
            assert first.poll() is second.poll() is None, (tmp_path / "a.err").read_text()
            time.sleep(0.1)
        hosts("-n", "perceiver-b", "link", "set", "perceiver-b", "down")
        began = time.monotonic()
        assert [first.wait(), second.wait()] == [70, 70]
    assert time.monotonic() - began < 2 * HEARTBEAT
    assert "process 1 on" in (tmp_path / "a.err").read_text()
    assert json.loads((tmp_path / "a/metrics.jsonl").read_text().splitlines()[0])["step"] == 1
