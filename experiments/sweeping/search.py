"""Search over the ranges of a sweep with Optuna: each trial is a point like any other, judged by its validation split."""

import contextlib
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.sweeping import record, run
from experiments.sweeping.axes import DIGITS, Changes, Choice, Uniform
from experiments.sweeping.points import Base, Point, has_ranges, points_of
from experiments.sweeping.run import Outcome, Watch
from perceiver_jax.errors import Code, Failure, MissingPackage, printable
from perceiver_jax.launch.jobs import POLL_SECONDS, Ended, Launcher, Queue, last_error
from perceiver_jax.report import board as boards
from perceiver_jax.report.board import Board
from perceiver_jax.report.log import read_metrics
from perceiver_jax.report.progress import note
from perceiver_jax.system.signals import StopFlag

JOURNAL = "search.journal"
STARTUP = 5  # trials at random before the sampler learns from them, and before any is pruned


def search(
    base: Base, settings: Sequence[Changes], workdir: Path, launcher: Launcher, stop: StopFlag, trials: int, seed: int
) -> list[Outcome]:
    """The outcomes of `trials` points, each with values from the ranges; run again, a search goes on where it was.

    A point that does worse on validation examples than half of those before it had done by then is stopped: pruned.
    Raises Failure: CONFIG for a sweep that cannot be searched, a config without a validation split, or without Optuna.
    """
    optuna = _optuna()
    if len(settings) != 1 or not has_ranges(settings[0]):
        what = f"--search: expected one setting with ranges, got {len(settings)}"
        hint = "a product of log_uniform(...), uniform(...), choice(...) and fixed(...); seeds in a sweep of the best"
        raise Failure(Code.CONFIG, what, hint=hint)
    space = settings[0]
    with record.claimed(workdir):
        before = record.check(workdir, base)
        first = points_of(base, [_least(space)], workdir, note, before, _fixed(space))[0]  # a wrong name ends here
        _check_validation(first)
        return _Search(optuna, base, space, workdir, seed, first).run(launcher, stop, trials, before)


def check(outcomes: Sequence[Outcome], stop: StopFlag) -> None:
    """Raises Failure where a search has not ended well: stopped, or none of its points done. Some may fail: that is told."""
    ended = [one for one in outcomes if one.state != boards.STOPPED]
    if stop.should_stop is not None:
        raise Failure(stop.should_stop, f"stopped after {len(ended)} trials", hint="the same command resumes")
    if not any(one.state == boards.DONE for one in outcomes) or len(ended) < len(outcomes):
        run.check(outcomes, stop)


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        hint = "pip install -e .[search]"
        raise MissingPackage(Code.CONFIG, "--search: Optuna is not installed", hint=hint) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _check_validation(point: Point) -> None:
    """Raises Failure(CONFIG) for a run without validation examples: chosen by test examples, a score means little."""
    if point.judged_split != "validation":
        what = "--search: the config has no validation split, and a search by test examples would not be honest"
        hint = "--config.data.validation_examples=N --config.train.eval_splits=\"('validation', 'test')\""
        raise Failure(Code.CONFIG, what, found=f"train.eval_splits {point.config.train.eval_splits}", hint=hint)


def _least(space: Changes) -> Changes:
    """The first value of each range."""

    def first(value: Any) -> Any:
        return value.low if isinstance(value, Uniform) else value.values[0] if isinstance(value, Choice) else value

    return {name: first(value) for name, value in space.items()}


def _fixed(space: Changes) -> set[str]:
    """The fields that all trials share."""
    return {name for name, value in space.items() if not isinstance(value, Uniform | Choice)}


class _Search:
    """A study on disk, and the points of its trials."""

    def __init__(self, optuna: Any, base: Base, space: Changes, workdir: Path, seed: int, first: Point):
        self._optuna, self._base, self._space, self._workdir, self._seed = optuna, base, space, workdir, seed
        self._states = optuna.trial.TrialState
        self._trials: dict[str, list[Any]] = {}  # by point: one, or more that came to the same settings
        self._points: dict[str, Point] = {}
        self._outcomes: dict[str, Outcome] = {}
        self._reported: dict[str, int] = {}  # by point, the last step that was
        self._seen: dict[int, int] = {}  # the same of an earlier launch, by trial
        self._pruned: set[str] = set()
        self._study = self._opened(first)

    def _opened(self, first: Point) -> Any:
        """The study in the sweep's directory. Raises Failure(CONFIG) where it is of other ranges or settings."""
        backend = self._optuna.storages.journal.JournalFileBackend(str(self._workdir / JOURNAL))
        storage = self._optuna.storages.JournalStorage(backend)
        pruner = self._optuna.pruners.MedianPruner(n_startup_trials=STARTUP)
        named = {"study_name": "sweep", "direction": "maximize", "load_if_exists": True}
        study = self._optuna.create_study(storage=storage, pruner=pruner, **named)
        asked = {"ranges": repr(sorted(self._space.items(), key=lambda item: item[0])), "settings": first.settings}
        for what, now in asked.items():
            before = study.user_attrs.get(what, now)
            if before != now:
                where = f"the search in {self._workdir} has other {what}"
                hint = "another --workdir, or the sweep file and config that it began with"
                raise Failure(Code.CONFIG, where, found=printable(before), expected=printable(now), hint=hint)
            study.set_user_attr(what, now)
        return study

    def run(self, launcher: Launcher, stop: StopFlag, trials: int, before: Sequence[dict[str, Any]]) -> list[Outcome]:
        """The outcomes of all trials, of earlier launches too."""
        queue, opened = Queue(launcher), self._resumed()
        with Board([run.row_of(one) for one in self._outcomes.values()], trials) as board:
            watch = Watch(board)
            while True:
                while stop.should_stop is None and len(queue.names) < launcher.processes:
                    trial = opened.pop(0) if opened else self._next(trials)
                    if trial is None:
                        break
                    self._begin(trial, queue, board)
                    record.update(self._workdir, self._base, before, list(self._points.values()))
                if queue.is_done:
                    break
                if stop.should_stop is not None:
                    queue.stop()
                for end in queue.step():
                    self._end(end, board)
                if watch.look([self._points[name] for name in queue.at_work]):
                    self._prune(queue)
                time.sleep(POLL_SECONDS)
        return list(self._outcomes.values())

    def _resumed(self) -> list[Any]:
        """The trials that have not ended, oldest first; takes note of what the others came to."""
        opened = []
        for frozen in self._study.get_trials(deepcopy=False):
            trial = self._optuna.trial.Trial(self._study, frozen._trial_id)
            if not frozen.state.is_finished():
                opened.append(trial)
                self._seen[frozen.number] = max(frozen.intermediate_values, default=-1)
                continue
            with contextlib.suppress(Failure):  # it was refused then, too
                point = self._point(trial)
                self._points[point.name] = point
                outcome = run.finished(point)
                if frozen.state == self._states.PRUNED:
                    outcome = Outcome(point, boards.PRUNED)
                elif outcome.state == boards.WAITING:
                    outcome = Outcome(point, boards.FAILED, Code.FAULT, printable(last_error(point.log)))
                self._outcomes[point.name] = outcome
        return opened

    def _next(self, trials: int) -> Any:
        """A new trial; None where there are enough."""
        number = len(self._study.get_trials(deepcopy=False))
        if number >= trials:
            return None
        # By the trial's number: a search that goes on must not draw again what it began with.
        seed = int(np.random.SeedSequence((self._seed, number)).generate_state(1)[0])
        samplers = self._optuna.samplers
        self._study.sampler = samplers.TPESampler(seed=seed, n_startup_trials=STARTUP, constant_liar=True)
        return self._study.ask()

    def _point(self, trial: Any) -> Point:
        """The point of a trial. Raises Failure where its values make no config."""
        changes = {name: _drawn(trial, name, value) for name, value in self._space.items()}
        return points_of(self._base, [changes], self._workdir, note, [], _fixed(self._space))[0]

    def _begin(self, trial: Any, queue: Queue, board: Board) -> None:
        try:
            point = self._point(trial)
        except Failure as failure:
            board.note(f"trial {trial.number} is refused: {failure}")
            self._study.tell(trial, state=self._states.FAIL)
            return
        name = point.name
        self._points.setdefault(name, point)
        self._trials.setdefault(name, []).append(trial)
        self._reported.setdefault(name, self._seen.get(trial.number, -1))
        if name not in self._outcomes and name not in queue.names:
            self._outcomes[name] = run.finished(point)
            if self._outcomes[name].state == boards.WAITING:
                queue.add(run.job_of(point, self._base))
                return
            board.update(run.row_of(self._outcomes[name]))
        if name not in queue.names:  # as another trial was
            self._tell(name)

    def _end(self, end: Ended, board: Board) -> None:
        name = end.job.name
        outcome = run.ended_as(self._points[name], end)
        if outcome.state == boards.STOPPED and name in self._pruned:
            outcome = Outcome(outcome.point, boards.PRUNED)
        self._outcomes[name] = outcome
        board.update(run.row_of(outcome))
        self._tell(name)

    def _tell(self, name: str) -> None:
        """Tells the study what the trials of a point came to; those that were stopped go on in the next launch."""
        outcome = self._outcomes[name]
        if outcome.state in (boards.STOPPED, boards.WAITING):
            return
        state = {boards.DONE: self._states.COMPLETE, boards.PRUNED: self._states.PRUNED}.get(outcome.state)
        fails = state is None or (outcome.score is not None and not math.isfinite(outcome.score))
        for trial in self._trials.pop(name, []):
            if fails:
                self._study.tell(trial, state=self._states.FAIL)
            else:
                self._study.tell(trial, outcome.score, state=state)

    def _prune(self, queue: Queue) -> None:
        """Reports new evaluations of the points at work, and stops those that are behind."""
        for name in queue.at_work:
            point = self._points[name]
            if not point.workdir.metrics.exists() or name in self._pruned:
                continue
            for one in read_metrics(point.workdir.metrics):
                seen = one["step"] <= self._reported[name]
                if one["split"] != "validation" or seen or not math.isfinite(one[point.headline]):
                    continue
                self._reported[name] = one["step"]
                for trial in self._trials[name]:
                    trial.report(one[point.headline], one["step"])
            if self._reported[name] >= 0 and self._trials[name][0].should_prune():
                self._pruned.add(name)
                queue.ask(name)


def _drawn(trial: Any, name: str, value: Any) -> Any:
    """A value from a range, numbers in few digits; of anything else itself."""
    match value:
        case Choice(values=values):
            texts = list(map(repr, values))
            return values[texts.index(trial.suggest_categorical(name, texts))]
        case Uniform(low=low, high=high, log=log) if value.whole:
            return trial.suggest_int(name, low, high, log=log)
        case Uniform(low=low, high=high, log=log):
            drawn = float(f"{trial.suggest_float(name, low, high, log=log):.{DIGITS}g}")
            return min(max(drawn, low), high)
    return value
