"""The training loop: steps, evaluations and checkpoints in time, and the end of a run."""

import contextlib
import json
import os
from collections.abc import Iterator
from typing import NamedTuple

from perceiver_jax.data import pipeline
from perceiver_jax.data.batch import Batch
from perceiver_jax.errors import Failure, Stopped
from perceiver_jax.report.log import MetricsLog, read_metrics
from perceiver_jax.report.progress import Progress
from perceiver_jax.report.step_parts import PROFILE
from perceiver_jax.runs import together
from perceiver_jax.runs.end import End, assist, finish
from perceiver_jax.runs.evaluate import evaluate
from perceiver_jax.runs.inputs import draw_inputs
from perceiver_jax.runs.load import TrainedRun
from perceiver_jax.runs.problem import Problem
from perceiver_jax.runs.profile import Step, profiled
from perceiver_jax.runs.programs import Programs
from perceiver_jax.runs.start import begin_with
from perceiver_jax.runs.workdir import Workdir, earlier_configs
from perceiver_jax.settings.config import lasting
from perceiver_jax.system import devices, disk, processes
from perceiver_jax.system.processes import AgreedStop
from perceiver_jax.system.signals import StopFlag
from perceiver_jax.system.watchdog import Watchdog
from perceiver_jax.training import checkpoint, manifest
from perceiver_jax.training.meter import Meter
from perceiver_jax.training.saving import Saving
from perceiver_jax.training.step import TrainState

EVENTS = ("log_every", "eval_every", "checkpoint_every")  # of the settings of training
LAST_SECONDS = 5.0  # for a save of many processes when one of them ends by an error: the others should hear of it soon


class Options(NamedTuple):
    """What a launch is asked for beside the run's settings. None of it changes what is learned, but for `source`."""

    source: TrainedRun | None = None  # with whose parameters a new run begins
    num_profiled: int | None = None  # steps of which a profile is made
    stall_seconds: float | None = None  # without progress, after which the process ends; None: never
    compare_copies: bool = True  # that several devices hold, before each save; of many processes process 0 decides


def train(problem: Problem, workdir: Workdir, stop: StopFlag | AgreedStop, options: Options) -> End:
    """Trains from the newest valid checkpoint to the end of the run.

    Raises Stopped after saving where a signal asked for it, and Failure: CONFIG for devices that do not fit,
    CHECKPOINT where none of those saved is valid, NUMERICS for a non-finite loss, WORKDIR for a disk without room.
    """
    with Watchdog(options.stall_seconds, processes.current().end) as watchdog:
        return _Run(problem, workdir, stop, watchdog, options).run()


class _Run:
    """One launch of a run, from the step it resumes at to its end."""

    def __init__(
        self, problem: Problem, workdir: Workdir, stop: StopFlag | AgreedStop, watchdog: Watchdog, options: Options
    ):
        self.problem, self.config, self.workdir = problem, problem.config, workdir
        self.stop, self.watchdog, self.unwritten = stop, watchdog, {}
        self.source, self.num_profiled = options.source, options.num_profiled
        self.last, self.processes = problem.num_steps, processes.current()
        self.every = {name: problem.steps(getattr(self.config.train, name)) for name in EVENTS}
        self.programs = Programs(problem)
        used = devices.described(self.programs.mesh, strict=self.config.mesh.virtual_shards is not None)
        self.fingerprints = checkpoint.fingerprints(lasting(self.config), problem.fingerprint, used)
        compares = json.loads(self.processes.shared("compare_copies", lambda: json.dumps(options.compare_copies)))
        self.saving = Saving(workdir.checkpoints, self.fingerprints, self.config.train.keep_checkpoints, compares)

    def run(self) -> End:
        """The loop."""
        saved = together.newest(self.workdir, self._newest, self.processes)
        self.first = first = saved or 0
        writes = self.processes.first
        if writes:
            self._check_room(first)
        state, began = self._state(saved)
        batches = pipeline.train_batches(self.problem.data, self.config.seed, first, **devices.this_host())
        last, mesh = self.last, self.programs.mesh
        with contextlib.closing(batches), contextlib.ExitStack() as stack:
            shown = None if writes else stack.enter_context(open(os.devnull, "w"))
            self.log = stack.enter_context(MetricsLog(self.workdir.path if writes else None, first))
            self.progress = stack.enter_context(Progress(last, first, shown))
            self._read_records(first)
            for words in filter(None, (began, pipeline.never_drawn(self.problem.data))):
                self.progress.note(words)
            stack.push(self._end_saving)
            if self.source is not None:
                self._save(state, 0)  # from here on the run needs its source no longer
            update = stack.enter_context(self._update(first))
            for step in range(first, last):
                with self.watchdog.task("loop", f"step {step + 1:,}"):
                    self._between_steps(state, step)
                    with self.meter.waiting():
                        given = self._next(batches, state, step)
                        batch = devices.to_devices(given, mesh)
                    state, sums = update(state, batch)
                    self.meter.add(step + 1, sums)
                    self.progress.update(step + 1, {})
                    if step == 0 and writes:
                        self._show(given)
                    if self._due("log_every", step + 1):
                        self._write(step + 1, "train", self.meter.read(step + 1))
            self._between_steps(state, last)
            self.log.sync()  # before the result, after which no launch looks for what is missing
        if not writes:
            return assist(self.programs, state)
        done = self.programs, state, self.workdir, self.records, self.meter
        return finish(*done, self.unwritten, self.progress.note)

    def _update(self, first: int) -> contextlib.AbstractContextManager[Step]:
        """The update of this launch, which profiles some of its calls where that is asked for."""
        if self.num_profiled is None:
            return contextlib.nullcontext(self.programs.step)
        turns = [self.every[name] for name in ("eval_every", "checkpoint_every")]
        asked = self.programs, self.workdir.path / PROFILE, self.num_profiled, first, turns
        return profiled(*asked, self.progress.note, self.meter.away)

    def _next(self, batches: Iterator[Batch], state: TrainState, step: int) -> Batch:
        """The batch of a step; where the data fail, the steps done are saved first: by one process, which need not wait."""
        try:
            return next(batches)
        except Failure:
            if step and self.processes.count == 1 and not self._is_saved(step):
                self._save(state, step)
            raise

    def _newest(self) -> tuple[int, manifest.Manifest] | None:
        """The newest valid checkpoint, if it is this run's; None where nothing was ever saved."""
        newest = manifest.newest_valid(self.workdir.checkpoints, set_aside=True)
        if newest is None:
            return None
        _, saved = newest
        earlier = earlier_configs(self.workdir, self.config)
        checkpoint.compare(saved, self.fingerprints, [checkpoint.settings_sha256(lasting(one)) for one in earlier])
        return newest

    def _check_room(self, first: int) -> None:
        """Raises Failure(WORKDIR) where the disk cannot hold the checkpoints that are to come."""
        every = self.every["checkpoint_every"]
        saves = self.last // every - first // every + (first < self.last and self.last % every > 0)
        saves += self.source is not None
        keep = self.config.train.keep_checkpoints
        checkpoint.check_room(self.workdir.checkpoints, self.programs.abstract_state, saves, keep)

    def _state(self, saved: int | None) -> tuple[TrainState, str]:
        """The state that this launch begins with, and where it comes from, in words."""
        if saved is not None:
            return self.programs.restore(self.workdir.checkpoints, saved), f"resumed at step {saved}"
        if self.source is not None:
            return begin_with(self.programs, self.source, self.workdir)
        return self.programs.initial_state(), ""

    def _read_records(self, first: int) -> None:
        """What earlier launches logged up to the step this one starts at; who writes nothing knows of that step alone."""
        path = self.workdir.metrics
        records = read_metrics(path) if path.exists() and self.processes.first else []
        self.records = {(record.pop("step"), record.pop("split")): record for record in records}
        evaluated = [split for step, split in self.records if step == first]
        for split in json.loads(self.processes.shared("evaluated", lambda: json.dumps(evaluated))):
            self.records.setdefault((first, split), {})
        seconds = max((record["seconds"] for record in records if "seconds" in record), default=0.0)
        self.meter = Meter(self.config.data.batch_size, self.programs.schedule, seconds, self.watchdog)

    def _write(self, step: int, split: str, numbers: dict[str, float]) -> None:
        self.log.write(step, split, numbers)
        self.records[step, split] = numbers
        if split == "train":
            self.progress.update(step, numbers)
        else:
            shown = "  ".join(f"{name} {value:.4f}" for name, value in numbers.items())
            self.progress.note(f"step {step}: {split}  {shown}")

    def _show(self, batch: Batch) -> None:
        """Draws the first training batch as the model sees it; where that cannot be written, only says so."""
        with self.meter.away():
            picture = self.workdir.plots / "inputs.png"
            try:
                draw_inputs(self.problem, batch, picture, f"{self.workdir.path.name}: the first training batch")
            except OSError as error:
                self.progress.note(str(disk.unusable("picture not written", picture, error)))

    def _due(self, name: str, step: int) -> bool:
        return step > 0 and (step % self.every[name] == 0 or step == self.last)

    def _missing(self, step: int) -> list[str]:
        """The splits whose evaluation at a step is due and not yet recorded."""
        splits = self.config.train.eval_splits if self._due("eval_every", step) else ()
        return [split for split in splits if (step, split) not in self.records]

    def _between_steps(self, state: TrainState, step: int) -> None:
        """Saves and evaluates where it is time to; saves and raises Stopped where a signal has asked for it."""
        if self.saving.ended:
            self._saved()
        if self._due("checkpoint_every", step):
            self._save(state, step)
        for split in self._missing(step):
            with self.meter.away("evaluation"):
                found = evaluate(self.programs, state.evaluated, split, self.stop, self.watchdog)
            if found is not None:
                self._write(step, split, self.problem.task.finish(found))
        done = step == self.last and not self._missing(step)
        if self.stop.should_stop is not None and not done:
            self._saved()
            if step and not self._is_saved(step):
                self._save(state, step)
                self._saved(must=True)
            raise Stopped(self.stop.should_stop, step)

    def _save(self, state: TrainState, step: int) -> None:
        """Has a state saved, if it is finite and alike on all devices, once the last save is at its end."""
        self._saved()
        with self.meter.away("saving"), self.watchdog.task("save", f"saving step {step:,}"):
            self.log.sync()
            self.saving.begin(step, state)

    def _saved(self, must: bool = False) -> None:
        """Waits for the last save; a full disk only costs that checkpoint, unless it `must` be or has no place any more.

        Of many processes any save that fails ends the run: the others do not know of it.
        """
        if not self.saving.begun:
            return
        step = self.saving.step
        with self.meter.away("saving"):
            try:
                return self._wait()
            except Failure as fault:
                failure = fault
        if must or self.processes.count > 1 or not self.workdir.checkpoints.is_dir():
            raise failure
        if step == self.last:
            self.unwritten[f"checkpoints/{step}"] = failure
        then = "the run is evaluated all the same" if step == self.last else "training continues"
        self.progress.note(f"checkpoint not saved; {then}: {failure}")

    def _end_saving(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Waits for the last save where the run ends: where that is by an error, a save that fails does not hide it."""
        if error is None or not self.saving.begun:
            return self._saved()
        try:
            self._wait(None if self.processes.count == 1 else LAST_SECONDS)
        except Exception as failure:  # noqa: BLE001 whatever it is, the other error is told
            self.progress.note(f"checkpoint not saved: {failure}")

    def _wait(self, seconds: float | None = None) -> None:
        """`Saving.wait`, which may stall."""
        with self.watchdog.task("saved", f"the end of saving step {self.saving.step:,}"):
            self.saving.wait(seconds)

    def _is_saved(self, step: int) -> bool:
        """Of many processes each goes by what all have done alike: the first one may still be giving the step its name."""
        if self.processes.count > 1:
            return step in (self.first, self.saving.step)
        return (self.workdir.checkpoints / str(step)).exists()
