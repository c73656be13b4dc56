"""Jobs: commands of their own, run as many at a time as a launcher has room for; one that fails leaves the others alone."""

import collections
import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from perceiver_jax.errors import STOPPED, Code, Failure, some
from perceiver_jax.system.signals import StopFlag

POLL_SECONDS = 0.2
SHOWN = 5  # names of jobs in a message
TAIL_BYTES = 65_536  # of a log, in which its last error is looked for


@dataclasses.dataclass(frozen=True)
class Job:
    """A command, its words, and the file to which what it prints is appended."""

    name: str
    words: tuple[str, ...]
    log: Path


@runtime_checkable
class AtWork(Protocol):
    """A job that has been started, or whose start was refused."""

    refused: str  # why; "" for one that began

    def poll(self) -> int | None:
        """Its exit code, once it has ended; negative: the signal that killed it."""

    def ask(self) -> None:
        """Asks it to save and stop; it may take its time."""


@runtime_checkable
class Launcher(Protocol):
    """Where jobs are run."""

    room: int  # jobs that it takes at a time
    processes: int  # jobs that are at work at a time
    cores: int | None  # of each job; None: not known here
    restarts: int  # how often a job that was stopped from outside is taken up again

    def start(self, jobs: Sequence[Job]) -> list[AtWork]:
        """Starts jobs, at most as many as there is room for. Raises Failure where that is impossible."""


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a job ended: its exit code (negative: the signal that killed it), its last error, its seconds."""

    job: Job
    code: int
    error: str
    seconds: float


class Queue:
    """Jobs that wait and jobs at work."""

    def __init__(self, launcher: Launcher):
        self._launcher = launcher
        self._waiting: collections.deque[Job] = collections.deque()
        self._at_work: dict[str, tuple[Job, AtWork, float, int]] = {}  # with the time of the start, and the log's size then
        self._restarts: collections.Counter[str] = collections.Counter()
        self._asked: set[str] = set()

    def add(self, job: Job) -> None:
        """Puts a job behind those that wait."""
        self._waiting.append(job)

    @property
    def at_work(self) -> list[str]:
        """The names of the jobs at work."""
        return list(self._at_work)

    @property
    def names(self) -> set[str]:
        """The names of all jobs that have not ended."""
        return {*self._at_work, *(job.name for job in self._waiting)}

    @property
    def is_done(self) -> bool:
        """Whether no job is left."""
        return not self._waiting and not self._at_work

    def stop(self) -> list[Job]:
        """Asks every job at work to save and stop; returns those that will not be started."""
        left = list(self._waiting)
        self._waiting.clear()
        for name in self._at_work:
            self.ask(name)
        return left

    def ask(self, name: str) -> None:
        """Asks one job to save and stop; once is enough: a second signal could cost what it is saving."""
        if name not in self._asked:
            self._asked.add(name)
            self._at_work[name][1].ask()

    def step(self) -> list[Ended]:
        """Starts the jobs for which there is room; returns those that have ended since."""
        count = min(len(self._waiting), self._launcher.room - len(self._at_work))
        jobs = [self._waiting.popleft() for _ in range(count)]
        if jobs:
            sizes = [_size(job.log) for job in jobs]
            for job, at_work, size in zip(jobs, self._launcher.start(jobs), sizes, strict=True):
                self._at_work[job.name] = (job, at_work, time.monotonic(), size)
        ended = []
        for name, (job, at_work, since, size) in list(self._at_work.items()):
            code = at_work.poll()
            if code is None:
                continue
            del self._at_work[name]
            if self._goes_on(name, code):
                self._restarts[name] += 1
                self._waiting.append(job)
                continue
            self._asked.discard(name)
            error = at_work.refused or (last_error(job.log, size) if code else "")
            ended.append(Ended(job, code, error, time.monotonic() - since))
        return ended

    def _goes_on(self, name: str, code: int) -> bool:
        """Whether a job that has ended is to be started again: stopped from outside, and not by a person."""
        meant = name in self._asked or code == Code.INTERRUPTED
        return was_stopped(code) and not meant and self._restarts[name] < self._launcher.restarts


def run(jobs: Sequence[Job], launcher: Launcher, stop: StopFlag, observe: Callable[[list[str], list[Ended]], None]) -> None:
    """Runs jobs to their ends; `observe` is told several times a second who is at work and who has ended.

    Where a signal asks for it, the jobs at work save and stop, and no other begins.
    """
    queue = Queue(launcher)
    for job in jobs:
        queue.add(job)
    while not queue.is_done:
        if stop.should_stop is not None:
            queue.stop()
        ended = queue.step()
        observe(queue.at_work, ended)
        if not ended:
            time.sleep(POLL_SECONDS)


def was_stopped(code: int) -> bool:
    """Whether an exit code is that of a command which somebody stopped or killed."""
    return code in STOPPED or code < 0


def check(bad: Sequence[Ended], total: int, waiting: int, stop: StopFlag, noun: str) -> None:
    """Raises Failure where jobs have not ended well: stopped on request, failed (with the code of the first), or killed.

    `bad` are those that ended otherwise than well, of `total`; `waiting` have not begun. `noun` says what they are.
    """
    stopped, resumes = [end for end in bad if was_stopped(end.code)], "the same command resumes"
    failed = [end for end in bad if end not in stopped]
    if stop.should_stop is not None and (stopped or waiting):
        what = f"stopped with {len(stopped) + waiting} of {total} {noun} to go"
        raise Failure(stop.should_stop, what, hint=resumes)
    for ends, verb in ((failed, "failed"), (stopped, "were stopped")):
        if ends:
            first = ends[0]
            known = Code(first.code) if first.code in set(Code) else Code.FAULT
            names = some([end.job.name for end in ends], SHOWN, f"and {len(ends) - SHOWN} more")
            found = f"{first.error or f'exit code {first.code}'} (see {first.job.log})"
            code = known if ends is failed else Code.INTERRUPTED
            raise Failure(code, f"{len(ends)} of {total} {noun} {verb}", names, found=found, hint=resumes)


def last_error(log: Path, begin: int = 0) -> str:
    """The last `error[CODE]` line of a log behind its first `begin` bytes, else its last line; "" where there is none."""
    try:
        with open(log, "rb") as file:
            file.seek(max(begin, _size(log) - TAIL_BYTES))
            lines = [line.strip() for line in file.read().decode(errors="replace").splitlines()]
    except OSError:
        return ""
    errors = [line for line in lines if line.startswith("error[")]
    return (errors or list(filter(None, lines)) or [""])[-1]


def _size(log: Path) -> int:
    try:
        return log.stat().st_size
    except OSError:
        return 0
