"""Runs the points of a sweep, or of anything else that is a list of runs: what is finished is skipped, the rest goes on."""

import contextlib
import dataclasses
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.sweeping import record
from experiments.sweeping.axes import CONFIG, Changes
from experiments.sweeping.names import overrides
from experiments.sweeping.points import Base, Point, points_of
from perceiver_jax.errors import Code, Failure, printable
from perceiver_jax.launch import jobs
from perceiver_jax.launch.jobs import POLL_SECONDS, Ended, Job, Launcher
from perceiver_jax.launch.local import Local
from perceiver_jax.report import board as boards
from perceiver_jax.report.board import Board, Row
from perceiver_jax.report.log import read_latest
from perceiver_jax.report.progress import note
from perceiver_jax.runs.workdir import read_problem
from perceiver_jax.settings.overrides import Override
from perceiver_jax.system import locks
from perceiver_jax.system.signals import StopFlag

ORPHAN_SECONDS = 60.0  # for which runs that another launcher has left are waited for
REFRESH_SECONDS = 1.0  # between two looks at the metrics of a run at work


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a point came to."""

    point: Point
    state: str  # as in report.board: done, failed, stopped, pruned, or waiting, which was not begun
    code: int | None = None  # of its launch; None where there was none
    error: str = ""  # the last error of that launch
    result: dict[str, Any] | None = None  # what result.json holds

    @property
    def score(self) -> float | None:
        """Its headline metric on the split that it is judged by, at its end."""
        if self.result is None:
            return None
        return self.result["metrics"][self.point.judged_split][self.point.headline]


def run_points(
    points: Sequence[tuple[str, Changes]],
    workdir: Path,
    launcher: Launcher,
    stop: StopFlag,
    origin: str,
    given: Mapping[str, Override],
    tiny: bool,
    names: Sequence[str] | None = None,
) -> list[Outcome]:
    """The outcomes of runs, each FILE.py[:VARIANT] with what it changes, in a directory of their own below `workdir`.

    Their directories have these `names`; without them, names that say what they change.

    Finished ones are not run again, others go on; one that fails leaves the rest alone. `origin` is whatever the list is
    made from, by which a directory of another one is refused; `given` changes all of them. `check` raises how they ended.
    Raises Failure for points that cannot begin: CONFIG for a wrong setting, WORKDIR for a directory that cannot be used.
    """
    settings = [{CONFIG: spec, **changes} for spec, changes in points]
    return run(Base(origin, given, tiny), settings, workdir, launcher, stop, names)


def run(
    base: Base,
    settings: Sequence[Changes],
    workdir: Path,
    launcher: Launcher,
    stop: StopFlag,
    names: Sequence[str] | None = None,
) -> list[Outcome]:
    """The outcomes of a sweep, whose points have these settings. As `run_points`."""
    with record.claimed(workdir):
        before = record.check(workdir, base)
        points = points_of(base, settings, workdir, note, before, names=names)
        record.write(workdir, base, record.compare(before, points, note))
        return list(launched(points, base, launcher, stop).values())


def launched(points: Sequence[Point], base: Base, launcher: Launcher, stop: StopFlag) -> dict[str, Outcome]:
    """The outcomes by name, once every point has ended or was stopped."""
    outcomes = {point.name: finished(point) for point in points}
    waiting = [point for point in points if outcomes[point.name].state == boards.WAITING]
    by_name = {point.name: point for point in points}
    with Board([row_of(outcome) for outcome in outcomes.values()]) as board:
        watch = Watch(board)

        def observe(at_work: Sequence[str], ended: Sequence[Ended]) -> None:
            for end in ended:
                outcomes[end.job.name] = ended_as(by_name[end.job.name], end)
                board.update(row_of(outcomes[end.job.name]))
            watch.look([by_name[name] for name in at_work])

        if len(waiting) < len(points):
            board.note(board.summary())
        if isinstance(launcher, Local):
            await_orphans(waiting, stop, board.note)
        jobs.run([job_of(point, base) for point in waiting], launcher, stop, observe)
    return outcomes


def owner_of(point: Point) -> str:
    """The process that trains a point, in words; empty: none does."""

    def in_use(owner: str) -> Failure:
        return Failure(Code.WORKDIR, owner)

    lock = point.workdir.path / ".lock"
    try:
        if lock.exists():
            with locks.held(lock, str(lock), in_use, shared=True):
                pass
    except OSError:  # its launch will say why
        pass
    except Failure as failure:
        return failure.what
    return ""


def await_orphans(points: Sequence[Point], stop: StopFlag, tell: Callable[[str], None]) -> None:
    """Waits a while until runs whose launcher was killed have saved and ended: they hold their directories until then."""
    deadline = time.monotonic() + ORPHAN_SECONDS
    for point in points:
        told = False
        while (owner := owner_of(point)) and time.monotonic() < deadline and stop.should_stop is None:
            if not told:
                tell(f"{point.name} is being trained by {owner}, which saves if its launcher was killed: waiting")
            told = True
            time.sleep(POLL_SECONDS)


def finished(point: Point) -> Outcome:
    """What a point has come to before a launch: done, failed where its result is damaged, else waiting."""
    try:
        result = point.result()
    except Failure as failure:
        words = "; ".join(filter(None, (str(failure).partition("\n")[0], failure.hint)))
        return Outcome(point, boards.FAILED, failure.code, words)
    return Outcome(point, boards.WAITING if result is None else boards.DONE, result=result)


def ended_as(point: Point, end: Ended) -> Outcome:
    """What a point has come to, when its launch has ended."""
    outcome, error = finished(point), printable(end.error)
    if end.code == Code.DONE:
        if outcome.state != boards.WAITING:
            return outcome
        return Outcome(point, boards.FAILED, Code.FAULT, f"ended without a result: see {point.log}")
    if end.code < 0:
        with contextlib.suppress(ValueError):  # a number without a name
            error = f"killed by {signal.Signals(-end.code).name}"
    state = boards.STOPPED if jobs.was_stopped(end.code) else boards.FAILED
    return Outcome(point, state, end.code, error)


def job_of(point: Point, base: Base) -> Job:
    """The launch of a point."""
    words = [sys.executable, "-m", "experiments.train", "--config", point.spec, "--workdir", str(point.workdir.path)]
    given = {**base.given, **overrides(point.changes)}
    words += [*(["--tiny"] if base.tiny else []), *(f"--config.{name}={value.text}" for name, value in given.items())]
    return Job(point.name, tuple(words), point.log)


class Watch:
    """Looks at the metrics of points at work, now and then, and at once at those that have just begun."""

    def __init__(self, board: Board):
        self._board, self._looked, self._seen = board, time.monotonic(), set()
        self._totals: dict[str, int] = {}

    def look(self, points: Sequence[Point]) -> bool:
        """Shows them on the board as they stand; returns whether it was time to."""
        due = time.monotonic() - self._looked > REFRESH_SECONDS
        for point in points:
            if due or point.name not in self._seen:
                self._board.update(self._row(point))
        self._seen = {point.name for point in points}
        if due:
            self._looked = time.monotonic()
        return due

    def _row(self, point: Point) -> Row:
        newest = read_latest(point.workdir.metrics)
        step = max((record["step"] for record in newest.values()), default=0)
        score = newest.get(point.judged_split, {}).get(point.headline)
        return Row(point.name, boards.RUNNING, step, self._total(point), score, point.metric)

    def _total(self, point: Point) -> int:
        """How many steps it has, once it has read its data."""
        if point.name not in self._totals and point.workdir.problem.exists():
            with contextlib.suppress(Failure):  # the run itself will say what is wrong
                self._totals[point.name] = read_problem(point.workdir, point.config).num_steps
        return self._totals.get(point.name, 0)


def row_of(outcome: Outcome) -> Row:
    """An outcome as a row of the board."""
    step = outcome.result["step"] if outcome.result else 0
    return Row(outcome.point.name, outcome.state, step, step, outcome.score, outcome.point.metric, outcome.error)


def check(outcomes: Sequence[Outcome], stop: StopFlag) -> None:
    """Raises Failure where not every point is done: stopped on request, failed (the first one's code), or killed."""
    bad = [
        Ended(Job(one.point.name, (), one.point.log), one.code, one.error, 0.0)
        for one in outcomes
        if one.state in (boards.FAILED, boards.STOPPED)
    ]
    jobs.check(bad, len(outcomes), sum(one.state == boards.WAITING for one in outcomes), stop, "runs")
