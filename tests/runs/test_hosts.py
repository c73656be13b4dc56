"""Two processes train one run as a single one does; tests/test_faults.py does faults to one of them.

Those marked `hosts` take minutes: `pytest -m hosts -n0 tests/runs/test_hosts.py`.
"""

import contextlib
import functools
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from perceiver_jax.report.log import read_metrics
from perceiver_jax.runs.programs import Programs
from perceiver_jax.training import checkpoint, manifest
from scripts.faults.campaign import learned
from scripts.faults.pairs import LOST_SECONDS, Pair, free_port
from scripts.faults.processes import FreshLauncher
from scripts.faults.tiny import SAVE_EVERY, STEPS, TINY, problem_of
from tests.launch import Launcher, on_devices
from tests.runs.test_resume import state_sha256

EVEN = "--config.data.eval_batch_size=448"  # divisible by 8 devices
DIVIDED, STRICT = "--config.mesh.model=2", "--config.mesh.virtual_shards=8"
UNKNOWN = "error[2] --distributed: no cluster is known here\n  found: no "
FIRST = ["--num_processes=2", "--process_id=0"]


def assert_near(path, other, steps):
    """That two runs learned the same but for rounding, up to a step."""
    ours, theirs = learned(path), learned(other)
    assert ours.keys() >= {key for key in theirs if key[0] <= steps}
    for key in ours:
        assert ours[key] == pytest.approx(theirs[key], rel=1e-4, abs=1e-6), key


@pytest.mark.hosts
def test_a_signal_to_one_process_stops_both_at_one_step_and_a_single_one_goes_on(launcher, undisturbed, tmp_path):
    pair = Pair([launcher] * 2, tmp_path / "a").until("step 7/")
    os.kill(pair.runs[1].pid, signal.SIGTERM)
    assert pair.wait() == [143, 143]
    step = manifest.steps(tmp_path / "a/checkpoints")[-1]
    assert step >= 7
    assert [said.splitlines()[-1] for said in pair.said] == [f"stopped at step {step}; the same command resumes"] * 2
    assert "step 7/" not in pair.said[1]  # process 0 alone tells how it goes
    assert_near(tmp_path / "a", undisturbed, step)
    manifest.verify(tmp_path / "a/checkpoints", step)

    launcher.finish(tmp_path / "a", *TINY)
    assert_near(tmp_path / "a", undisturbed, STEPS)


def test_processes_with_other_settings_are_refused_before_anything_is_written(launcher, tmp_path):
    pair = Pair([launcher] * 2, tmp_path / "a", extra={1: ["--config.seed=5"]})
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
            "error[70] process 1 of 2: process 0, or some others, did not come within 1 s: at localhost:",
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
def launcher_of(tmp_path_factory):
    """A launcher of processes with a number of devices each."""
    with contextlib.ExitStack() as stack:

        @functools.cache
        def make(devices):
            launcher = Launcher(tmp_path_factory.mktemp("hosts"))
            launcher.environment = on_devices(devices)
            return stack.enter_context(launcher)

        yield make


@pytest.fixture(scope="module")
def pair_of(launcher_of):
    """Makes pairs whose processes have a number of devices each: pair_of(devices, workdir, ...)."""
    return lambda devices, workdir, *settings, **how: Pair([launcher_of(devices)] * 2, workdir, EVEN, *settings, **how)


@pytest.mark.hosts
def test_two_processes_are_as_one_with_two_devices(pair_of, launcher_of, tmp_path):
    assert pair_of(1, tmp_path / "a").wait() == [0, 0]
    launcher_of(2).finish(tmp_path / "c", *TINY, EVEN)
    assert state_sha256(tmp_path / "a") == state_sha256(tmp_path / "c")
    assert learned(tmp_path / "a") == learned(tmp_path / "c")


@pytest.mark.hosts
def test_metrics_of_ranks_are_exact_over_processes(pair_of, launcher_of, tmp_path):
    few = ["--config.task={'kind': 'multi_label'}", "--config.train.duration=10 steps", "--config.data.eval_batch_size=64"]
    assert pair_of(1, tmp_path / "a", *few).wait() == [0, 0]
    launcher_of(2).finish(tmp_path / "c", *TINY, EVEN, *few)
    ours, theirs = (read_metrics(tmp_path / name / "metrics.jsonl")[-1] for name in "ac")
    assert ours["split"] == "test"
    assert 0 < ours["mean_average_precision"] < 1
    assert ours == theirs

    place = [f"--coordinator=localhost:{free_port()}", "--num_processes=2", "--distributed", "--workdir", tmp_path / "a"]
    pair = [launcher_of(1).start("experiments.evaluate", *place, f"--process_id={index}") for index in (0, 1)]
    assert [run.wait() for run in pair] == [0, 0]
    alone = launcher_of(2).start("experiments.evaluate", "--workdir", tmp_path / "c")
    assert alone.wait() == 0
    assert pair[0].stdout.splitlines()[:3] == alone.stdout.splitlines()[:3]
    assert "mean_average_precision" in alone.stdout
    assert pair[1].stdout == ""


@pytest.mark.hosts
@pytest.mark.parametrize("devices", [1, 4])
@pytest.mark.parametrize("settings", [[], [DIVIDED], [STRICT], [DIVIDED, STRICT]])
def test_a_killed_pair_resumes_as_a_pair_and_as_one(pair_of, launcher_of, tmp_path, devices, settings):
    assert pair_of(devices, tmp_path / "a", *settings).wait() == [0, 0]
    killed = pair_of(devices, tmp_path / "b", *settings).until("step 12/")
    os.kill(killed.runs[0].pid, signal.SIGKILL)
    assert killed.wait() == [-9, 70]
    for name in "cd":
        shutil.copytree(tmp_path / "b", tmp_path / name)
    resumed = pair_of(devices, tmp_path / "b", *settings)
    assert resumed.wait() == [0, 0]
    assert resumed.runs[0].stdout.count("state_sha256") == resumed.runs[1].stdout.count("state_sha256") == 1
    assert state_sha256(tmp_path / "b") in resumed.runs[1].stdout
    assert state_sha256(tmp_path / "b") == state_sha256(tmp_path / "a")

    for name, count in (("c", 2 * devices), ("d", 1)):
        undivided = ["--config.mesh.model=1"] if count == 1 else []
        launcher_of(count).finish(tmp_path / name, *TINY, EVEN, *settings, *undivided)
        if STRICT in settings or count == 2:  # others: sums of several in another order
            assert state_sha256(tmp_path / name) == state_sha256(tmp_path / "a")
        assert_near(tmp_path / name, tmp_path / "a", STEPS)


@pytest.mark.hosts
def test_a_pair_becomes_longer(pair_of, launcher_of, tmp_path):
    """Process 0 alone looks whether it may, and needs the devices of both for that."""
    constant, longer = "--config.optim.schedule={'kind': 'constant'}", f"--config.train.duration={STEPS + SAVE_EVERY} steps"
    assert pair_of(1, tmp_path / "a", constant).wait() == [0, 0]
    assert pair_of(1, tmp_path / "a", constant, longer).wait() == [0, 0]
    launcher_of(2).finish(tmp_path / "b", *TINY, EVEN, constant, longer)
    assert state_sha256(tmp_path / "a") == state_sha256(tmp_path / "b")


@pytest.mark.hosts
def test_devices_that_do_not_fit_leave_nothing(pair_of, tmp_path):
    pair = pair_of(1, tmp_path / "a", "--config.mesh.model=3")
    assert pair.wait() == [2, 2]
    assert "error[2] mesh.model 3 does not divide 2 devices; try 1\n" in pair.said[0]
    assert not (tmp_path / "a").exists()


@pytest.mark.hosts
def test_a_pair_trains_on_while_it_saves(pair_of, tmp_path):
    assert pair_of(1, tmp_path / "a").wait() == [0, 0]
    every = "--config.train.keep_checkpoints=100"
    pair = pair_of(1, tmp_path / "b", every, layers={0: ["slow", 0.1]}).until(f"step {SAVE_EVERY + 1}/")
    checkpoints = tmp_path / "b" / "checkpoints"
    assert manifest.steps(checkpoints) == []
    assert pair.wait() == [0, 0]
    assert state_sha256(tmp_path / "b") == state_sha256(tmp_path / "a")
    state = Programs(problem_of(*TINY, EVEN)).abstract_state
    for step in manifest.steps(checkpoints):  # what was written is what was hashed
        saved = checkpoint.state_sha256(checkpoint.restore(checkpoints, step, state))
        assert saved == manifest.verify(checkpoints, step).state_sha256


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
    (tmp_path / "logs").mkdir()
    made = [FreshLauncher(tmp_path / "logs", ["ip", "netns", "exec", f"perceiver-{name}"]) for name in NAMES]
    with made[0] as first, made[1] as second:
        long = "--config.train.duration=100000 steps"
        pair = Pair([first, second], tmp_path / "a", long, host="10.77.0.1").until("step 7/")
        hosts("-n", "perceiver-b", "link", "set", "perceiver-b", "down")
        began = time.monotonic()
        assert pair.wait() == [70, 70]
    assert time.monotonic() - began < 2 * LOST_SECONDS
    assert "process 1 on" in pair.said[0]
    assert json.loads((tmp_path / "a/metrics.jsonl").read_text().splitlines()[0])["step"] == 1
