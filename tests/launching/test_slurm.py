"""Jobs through submitit, by its local executor: as of Slurm, with the options that it is given."""

import os
import signal
import sys
import time

import pytest

from perceiver_jax.errors import Code, Failure, MissingPackage
from perceiver_jax.launch import flags as launching
from perceiver_jax.launch import jobs, slurm
from perceiver_jax.launch.slurm import Options, Slurm
from perceiver_jax.system.signals import StopFlag
from tests.launching.commands import ends, saves
from tests.launching.test_local import SECONDS

submitit = slurm.package()
PLAIN = Options(2, 5, 3, None, None, None, None, None, None, None, {})


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(jobs, "POLL_SECONDS", 0.02)


def test_jobs_end_with_their_code_and_their_last_error(tmp_path):
    found = {}
    given = [ends(tmp_path, "good"), ends(tmp_path, "bad", 3, "error[3] no such file")]
    with StopFlag() as stop:
        launcher = Slurm(tmp_path / "jobs", PLAIN, "local")
        jobs.run(given, launcher, stop, lambda _, ended: found.update({end.job.name: end for end in ended}))
    assert {name: (end.code, end.error) for name, end in found.items()} == {
        "good": (0, ""),
        "bad": (3, "error[3] no such file"),
    }


def test_a_job_that_is_asked_to_stop_saves_and_one_that_slurm_warns_is_taken_up_again(tmp_path):
    stop, codes, warned = StopFlag(), {}, []
    first, second = saves(tmp_path, "a"), saves(tmp_path, "b")
    queue = jobs.Queue(Slurm(tmp_path / "jobs", PLAIN, "local"))
    queue.add(first)
    queue.add(second)
    deadline = time.monotonic() + SECONDS
    while not queue.is_done:
        assert time.monotonic() < deadline
        codes |= {end.job.name: end.code for end in queue.step()}
        if not warned and all((tmp_path / f"{name}.begun").exists() for name in "ab"):
            queue.ask("a")
            queue._at_work["b"][1]._job._process.send_signal(signal.SIGTERM)  # which it passes on; submitit lets it be
            for task in tasks_of(queue._at_work["b"][1]._job._process.pid):
                os.kill(task, signal.SIGUSR2)  # as Slurm's warning
            warned.append(stop)
        time.sleep(0.02)
    assert codes == {"a": 138, "b": 0}
    assert (tmp_path / "a.saved").exists()
    assert (tmp_path / "b.txt").read_text() == "resumed\n"


def tasks_of(pid):
    """The processes that a process has started."""
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return list(map(int, file.read().split()))


class Cluster:
    """What submitit would ask of Slurm: jobs that are still there after whoever submitted them has ended."""

    def __init__(self, monkeypatch):
        self.submitted, self.states = [], {}
        monkeypatch.setattr(slurm.shutil, "which", lambda name: f"/bin/{name}")
        monkeypatch.setattr(submitit.AutoExecutor, "_internal_process_submissions", lambda *given: self.submit(*given))
        monkeypatch.setattr(submitit.SlurmExecutor, "affinity", classmethod(lambda cls: 2))
        monkeypatch.setattr(submitit.SlurmJob, "done", lambda job, force_check=False: self.states[job.job_id] != "RUNNING")
        monkeypatch.setattr(submitit.SlurmJob, "state", property(lambda job: self.states[job.job_id]))
        monkeypatch.setattr(submitit.SlurmJob, "_register_in_watcher", lambda job: None)
        monkeypatch.setattr(submitit.SlurmJob, "result", lambda job: self.result(job))

    def submit(self, executor, submissions):
        numbers = [f"7_{len(self.submitted) + i}" for i in range(len(submissions))]
        self.submitted += [one.function.words for one in submissions]
        self.states |= dict.fromkeys(numbers, "RUNNING")
        return [submitit.SlurmJob(executor.folder, number) for number in numbers]

    def result(self, job):
        if self.states[job.job_id] == "COMPLETED":
            return 0
        raise submitit.core.utils.UncompletedJobError("no result")


def test_jobs_that_are_still_there_are_followed_and_not_submitted_twice(tmp_path, monkeypatch):
    cluster = Cluster(monkeypatch)
    given = [ends(tmp_path, name) for name in "ab"]
    for _ in range(2):  # the first launcher is gone by then
        first, second = Slurm(tmp_path / "jobs", PLAIN).start(given)
        assert (first.poll(), second.poll()) == (None, None)
    assert len(cluster.submitted) == 2
    cluster.states["7_0"] = "COMPLETED"
    assert first.poll() == 0
    Slurm(tmp_path / "jobs", PLAIN).start(given)
    assert len(cluster.submitted) == 3


@pytest.mark.parametrize(("state", "code"), [("TIMEOUT", 143), ("NODE_FAIL", 143), ("CANCELLED by 5", 130)])
def test_a_job_that_ended_without_a_result_was_stopped(tmp_path, monkeypatch, state, code):
    cluster = Cluster(monkeypatch)
    queue = jobs.Queue(Slurm(tmp_path / "jobs", PLAIN))
    queue.add(ends(tmp_path, "a"))
    for restart in range(4):
        assert queue.step() == []
        cluster.states[f"7_{restart}"] = state
        ended = queue.step()
        if ended:
            break
    assert ended[0].code == code
    assert len(cluster.submitted) == (
        1 if code == 130 else 4
    )  # as often as --requeues says, but not what a person took back


@pytest.mark.parametrize(
    ("trace", "code"),
    [("UncompletedJobError: Job not requeued because: timed-out too many times.\n---\nlogs", 130), ("a\nValueError: x", 1)],
)
def test_what_submitit_says_of_a_job_is_shown(tmp_path, monkeypatch, trace, code):
    cluster = Cluster(monkeypatch)

    def fail(job):
        raise submitit.core.utils.FailedJobError(trace)

    cluster.result = fail
    (job,) = Slurm(tmp_path / "jobs", PLAIN).start([ends(tmp_path, "a")])
    cluster.states["7_0"] = "FAILED"
    assert job.poll() == code
    assert job.refused in trace
    assert ("too many times" in job.refused) == (code == 130)


def test_what_slurm_refuses_is_shown(tmp_path, monkeypatch):
    for name in ("sbatch", "srun"):
        (tmp_path / name).write_text("#!/bin/sh\necho 'sbatch: error: invalid partition specified: x' >&2\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(Failure, match=r"Slurm refuses the jobs\n  found: .*invalid partition specified: x"):
        Slurm(tmp_path / "jobs", PLAIN).start([ends(tmp_path, "a")])


def test_a_job_that_was_asked_to_stop_before_it_began_does_not_begin(tmp_path):
    job = ends(tmp_path, "a")
    (tmp_path / "a.txt.stop").touch()
    assert slurm.Command(job.words, str(job.log), str(tmp_path))() == Code.USER_1
    assert not job.log.exists()


def test_options_reach_sbatch(tmp_path, monkeypatch):
    Cluster(monkeypatch)
    asked = {"partition": "gpu", "account": "me", "qos": "long", "constraint": "a100", "mem": "64G"}
    options = Options(4, 90, 3, gpus_per_node=2, cpus_per_task=8, more={"nice": "10", "exclusive": True}, **asked)
    launcher = Slurm(tmp_path / "jobs", options)
    text = launcher._ready()._executor._make_submission_file_text("true", "1")
    for line in (
        *(f"#SBATCH --{name}={value}" for name, value in asked.items()),
        "#SBATCH --time=90",
        "#SBATCH --gpus-per-node=2",
        "#SBATCH --cpus-per-task=8",
        "#SBATCH --nice=10",
        "#SBATCH --exclusive",
        "#SBATCH --signal=USR2@120",
    ):
        assert f"{line}\n" in text
    assert launcher._executor._executor.parameters["array_parallelism"] == 4


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90", 90), ("1:30:00", 90), ("00:05:00", 5), ("2-00", 2880), ("1-12:30", 2190), ("1-00:00:00", 1440), ("0:01:30", 1)],
)
def test_a_limit_of_time_is_read(text, expected):
    assert launching.minutes(text) == expected


@pytest.mark.parametrize("text", ["", "x", "0", "-5", "1:2:3:4", "0:00:30", "1h"])
def test_a_limit_that_is_none_is_refused(text):
    with pytest.raises(Failure, match="--time") as failure:
        launching.minutes(text)
    assert failure.value.code == Code.CONFIG


def test_a_limit_that_could_be_two_things_is_asked_about():
    with pytest.raises(Failure, match="minutes and seconds, or hours and minutes") as failure:
        launching.minutes("1:30")
    assert failure.value.hint == "1:30:00"


def test_slurm_without_slurm_or_submitit_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(slurm.shutil, "which", lambda name: None)
    with pytest.raises(Failure, match="there is no sbatch on this machine\n  try: --launcher local"):
        Slurm(tmp_path, PLAIN)
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(MissingPackage, match=r"submitit is not installed\n  try: pip install -e \.\[slurm\]"):
        Slurm(tmp_path, PLAIN)
    assert list(tmp_path.iterdir()) == []
