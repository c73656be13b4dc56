"""Jobs as those of Slurm, through submitit: an array of them, taken up again after time limits and preemption."""

import contextlib
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from perceiver_jax.errors import Code, Failure, MissingPackage
from perceiver_jax.launch.jobs import Job
from perceiver_jax.launch.local import child_words
from perceiver_jax.system import disk

ROOM = 100_000  # jobs at a time: how many are at work is for Slurm to decide
RECORD = "jobs.json"  # beside submitit's files: the number of each job
LOG_LEVEL = "SUBMITIT_LOG_LEVEL"  # a variable that submitit reads as it is imported
NO_MORE = "Job not requeued because"  # submitit's words for a job that has come to its limit too often
SAVE_SECONDS = 600  # that a job may take to save, once it is asked to
SIGNAL_SECONDS = 120  # before the time limit, at which Slurm warns
POLL_SECONDS = 0.5


@dataclasses.dataclass(frozen=True)
class Options:
    """What is asked of Slurm; None leaves a matter to it."""

    processes: int  # jobs of the array that are at work at a time
    minutes: int  # of a job, until Slurm ends it
    requeues: int  # how often a job goes on after its time limit
    partition: str | None
    account: str | None
    qos: str | None
    constraint: str | None
    mem: str | None  # as sbatch has it: 64G
    gpus_per_node: int | None
    cpus_per_task: int | None
    more: Mapping[str, str | bool]  # other options of sbatch, by their long names


class Slurm:
    """Submits jobs, all that there are as one array.

    Jobs outlive whoever submitted them. Submitted again, those that are still there are followed, not doubled.
    """

    def __init__(self, folder: Path, options: Options, cluster: str = "slurm"):
        """`folder` is for submitit's files, on a disk that all machines share; `cluster` "local" needs no Slurm.

        Raises MissingPackage without submitit, Failure(CONFIG) without Slurm or with options that it cannot have.
        """
        submitit = package()
        if cluster == "slurm" and not (shutil.which("sbatch") and shutil.which("srun")):
            hint = "--launcher local, or a machine from which jobs are submitted"
            raise Failure(Code.CONFIG, "--launcher slurm", "there is no sbatch on this machine", hint=hint)
        self.room = ROOM if cluster == "slurm" else options.processes
        self.processes, self.restarts, self.cores = options.processes, options.requeues, options.cpus_per_task
        self._folder, self._options, self._cluster = folder, options, cluster
        self._submitit, self._errors, self._executor = submitit, submitit.core.utils, None

    def start(self, jobs: Sequence[Job]) -> list["_Submitted"]:
        """Submits jobs, but for those that were submitted before and have not ended. Raises Failure where Slurm refuses."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._ready()
            before = self._recorded()
            found = {job.name: self._submitted(before[job.name]) for job in jobs if job.name in before}
            found = {name: job for name, job in found.items() if not job.done(force_check=True)}
            new = [job for job in jobs if job.name not in found]
            for job in new:
                job.log.parent.mkdir(parents=True, exist_ok=True)
                _stop_file(job.log).unlink(missing_ok=True)
            found |= self._submit(new)
            numbers = before | {name: job.job_id for name, job in found.items()}
            disk.write_atomically(self._folder / RECORD, json.dumps(numbers, indent=2).encode())
        except (self._errors.FailedJobError, self._errors.FailedSubmissionError) as error:
            raise Failure(Code.CONFIG, "Slurm refuses the jobs", found=_last_line(error), hint="other options") from None
        except OSError as error:
            raise disk.unusable(f"folder {self._folder}", self._folder, error) from error
        return [_Submitted(found[job.name], job.log, self._errors) for job in jobs]

    def _submit(self, jobs: Sequence[Job]) -> dict[str, Any]:
        """The jobs as submitit has them, submitted together, by name."""
        if not jobs:
            return {}
        with self._executor.batch():
            handles = [self._executor.submit(Command(job.words, str(job.log), os.getcwd())) for job in jobs]
        return {job.name: handle for job, handle in zip(jobs, handles, strict=True)}

    def _ready(self) -> Any:
        """The executor, with its options; made late: it makes its folder."""
        if self._executor is None:
            timeouts = {f"{self._cluster}_max_num_timeout": self._options.requeues}
            self._executor = self._submitit.AutoExecutor(self._folder, cluster=self._cluster, **timeouts)
            asked = parameters(self._options) if self._cluster == "slurm" else {"timeout_min": self._options.minutes}
            self._executor.update_parameters(**asked)
        return self._executor

    def _submitted(self, number: str) -> Any:
        return self._executor._executor.job_class(folder=self._executor.folder, job_id=number)

    def _recorded(self) -> dict[str, str]:
        """The numbers of jobs that were submitted before, by name."""
        try:
            return dict(json.loads((self._folder / RECORD).read_bytes()))
        except (OSError, ValueError, TypeError):
            return {}


def package() -> Any:
    """The module submitit; raises MissingPackage where it is not installed."""
    given = LOG_LEVEL in os.environ
    os.environ.setdefault(LOG_LEVEL, "NOCONFIG")  # otherwise its import would close the handlers that others log to
    try:
        import submitit
    except ImportError:
        hint = "pip install -e .[slurm]"
        raise MissingPackage(Code.CONFIG, "--launcher slurm: submitit is not installed", hint=hint) from None
    finally:
        if not given:
            del os.environ[LOG_LEVEL]
    return submitit


def parameters(options: Options) -> dict[str, Any]:
    """The options as submitit has them."""
    named = ("partition", "account", "qos", "constraint", "mem")
    return {
        "timeout_min": options.minutes,
        "gpus_per_node": options.gpus_per_node,
        "cpus_per_task": options.cpus_per_task,
        "slurm_array_parallelism": options.processes,
        "slurm_signal_delay_s": SIGNAL_SECONDS,
        "slurm_job_name": "perceiver_jax",
        "slurm_additional_parameters": dict(options.more) or None,
        **{f"slurm_{name}": getattr(options, name) for name in named},
    }


class Command:
    """What a job does: a command in a process of its own; its exit code."""

    def __init__(self, words: Sequence[str], log: str, cwd: str):
        self.words, self.log, self.cwd = tuple(words), log, cwd

    def __call__(self) -> int:
        """Runs it, asking it to save and stop where whoever submitted it says so."""
        if _stop_file(Path(self.log)).exists():  # by the time that Slurm has room for it
            return Code.USER_1
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # of its siblings: the command gets it too
        with open(self.log, "ab") as log:
            _at_work.append(
                subprocess.Popen(
                    child_words(self.words),
                    cwd=self.cwd,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            )
        process, asked = _at_work[-1], False
        while (code := process.poll()) is None:
            if not asked and _stop_file(Path(self.log)).exists():
                process.send_signal(signal.SIGUSR1)
                asked = True
            time.sleep(POLL_SECONDS)
        return code

    def checkpoint(self) -> Any:
        """Submitit's hook, called as Slurm warns of the time limit or of preemption: saved, it is submitted again."""
        import submitit

        for process in _at_work:
            process.send_signal(signal.SIGUSR1)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(SAVE_SECONDS)
        return submitit.helpers.DelayedSubmission(Command(self.words, self.log, self.cwd))


_at_work: list[subprocess.Popen] = []  # of this process's job; a Command is pickled, and a process cannot be


class _Submitted:
    """A job that Slurm has."""

    refused = ""

    def __init__(self, job: Any, log: Path, errors: Any):
        self._job, self._log, self._errors = job, log, errors

    def poll(self) -> int | None:
        """As `AtWork.poll`; one that Slurm ended without a result counts as stopped, by somebody if it was taken back."""
        if not self._job.done():
            return None
        taken_back = self._job.state.startswith("CANCELLED")
        if taken_back and not self._job.paths.result_pickle.exists():  # for which `result` would wait
            return Code.INTERRUPTED
        try:
            return self._job.result()
        except self._errors.FailedJobError as error:  # of submitit around the command
            self.refused = next((line for line in str(error).splitlines() if NO_MORE in line), _last_line(error))
            return Code.INTERRUPTED if NO_MORE in self.refused else Code.FAULT
        except self._errors.UncompletedJobError:
            return Code.TERMINATED

    def ask(self) -> None:
        """As `AtWork.ask`; one that has not begun is taken back."""
        _stop_file(self._log).touch()
        if self._job.state == "PENDING":
            self._job.cancel(check=False)


def _stop_file(log: Path) -> Path:
    """The file that asks a job to stop: a signal through Slurm would reach submitit too."""
    return log.with_name(f"{log.name}.stop")


def _last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
