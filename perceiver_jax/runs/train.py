"""The training loop: steps, evaluations and checkpoints in time, and the end of a run."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from perceiver_jax.data import pipeline
from perceiver_jax.data.batch import Batch
from perceiver_jax.errors import Code, Failure, Stopped
from perceiver_jax.report.curves import draw_curves
from perceiver_jax.report.json_numbers import json_text
from perceiver_jax.report.log import MetricsLog, read_metrics
from perceiver_jax.report.progress import Progress
from perceiver_jax.report.selection import best_evaluations
from perceiver_jax.report.step_parts import PROFILE
from perceiver_jax.runs import accounting
from perceiver_jax.runs.evaluate import evaluate
from perceiver_jax.runs.inputs import draw_inputs
from perceiver_jax.runs.load import TrainedRun
from perceiver_jax.runs.maps import draw_maps
from perceiver_jax.runs.page import write_own
from perceiver_jax.runs.problem import Problem
from perceiver_jax.runs.profile import Step, profiled
from perceiver_jax.runs.programs import Programs
from perceiver_jax.runs.start import begin_with
from perceiver_jax.runs.workdir import Workdir, earlier_configs
from perceiver_jax.settings.config import lasting
from perceiver_jax.system import devices, disk, memory
from perceiver_jax.system.disk import write_atomically
from perceiver_jax.system.signals import StopFlag
from perceiver_jax.training import checkpoint, manifest
from perceiver_jax.training.meter import Meter, check_finite
from perceiver_jax.training.step import TrainState

EVENTS = ("log_every", "eval_every", "checkpoint_every")  # of the settings of training


class End(NamedTuple):
    """What a run came to."""

    result: dict[str, Any]  # what result.json holds
    unwritten: Failure | None  # where the disk has refused a part of it: how the command must end


def train(
    problem: Problem, workdir: Workdir, stop: StopFlag, source: TrainedRun | None = None, num_profiled: int | None = None
) -> End:
    """Trains from the newest valid checkpoint to the end of the run; a new one begins with the parameters of `source`.

    `num_profiled` steps are profiled (`runs.profile`), which does not change what is learned.

    Raises Stopped after saving where a signal asked for it, and Failure: CONFIG for devices that do not fit,
    CHECKPOINT where none of those saved is valid, NUMERICS for a non-finite loss, WORKDIR for a disk without room.
    """
    return _Run(problem, workdir, stop, source, num_profiled).run()


class _Run:
    """One launch of a run, from the step it resumes at to its end."""

    def __init__(
        self, problem: Problem, workdir: Workdir, stop: StopFlag, source: TrainedRun | None, num_profiled: int | None
    ):
        self.problem, self.config, self.workdir, self.stop = problem, problem.config, workdir, stop
        self.source, self.num_profiled, self.unwritten = source, num_profiled, {}
        self.last = problem.num_steps
        self.every = {name: problem.steps(getattr(self.config.train, name)) for name in EVENTS}
        self.programs = Programs(problem)
        used = devices.described(self.programs.mesh, strict=self.config.mesh.virtual_shards is not None)
        self.fingerprints = checkpoint.fingerprints(lasting(self.config), problem.fingerprint, used)

    def run(self) -> End:
        """The loop."""
        saved = self._newest()
        first = saved or 0
        self._check_room(first)
        state, began = self._state(saved)
        batches = pipeline.train_batches(self.problem.data, self.config.seed, first, **devices.this_host())
        last, mesh = self.last, self.programs.mesh
        log, progress = MetricsLog(self.workdir.path, first), Progress(last, first)
        with contextlib.closing(batches), log as self.log, progress as self.progress, contextlib.ExitStack() as stack:
            self._read_records()
            for words in filter(None, (began, pipeline.never_drawn(self.problem.data))):
                self.progress.note(words)
            if self.source is not None:
                self._save(state, 0)  # from here on the run needs its source no longer
            update = stack.enter_context(self._update(first))
            for step in range(first, last):
                self._between_steps(state, step)
                with self.meter.waiting():
                    given = self._next(batches, state, step)
                    batch = devices.to_devices(given, mesh)
                state, sums = update(state, batch)
                self.meter.add(step + 1, sums)
                self.progress.update(step + 1, {})
                if step == 0:
                    self._show(given)
                if self._due("log_every", step + 1):
                    self._write(step + 1, "train", self.meter.read(step + 1))
            self._between_steps(state, last)
        return self._finish(state)

    def _update(self, first: int) -> contextlib.AbstractContextManager[Step]:
        """The update of this launch, which profiles some of its calls where that is asked for."""
        if self.num_profiled is None:
            return contextlib.nullcontext(self.programs.step)
        turns = [self.every[name] for name in ("eval_every", "checkpoint_every")]
        asked = self.programs, self.workdir.path / PROFILE, self.num_profiled, first, turns
        return profiled(*asked, self.progress.note, self.meter.away)

    def _next(self, batches: Iterator[Batch], state: TrainState, step: int) -> Batch:
        """The batch of a step; where the data fail, the steps done are saved first."""
        try:
            return next(batches)
        except Failure:
            if step and not (self.workdir.checkpoints / str(step)).exists():
                self._save(state, step)
            raise

    def _newest(self) -> int | None:
        """The step of the newest valid checkpoint, if it is this run's; None where nothing was ever saved."""
        newest = manifest.newest_valid(self.workdir.checkpoints, set_aside=True)
        if newest is None:
            return None
        step, saved = newest
        earlier = earlier_configs(self.workdir, self.config)
        checkpoint.compare(saved, self.fingerprints, [checkpoint.settings_sha256(lasting(one)) for one in earlier])
        return step

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

    def _read_records(self) -> None:
        """What earlier launches logged up to the step this one starts at."""
        path = self.workdir.metrics
        records = read_metrics(path) if path.exists() else []
        self.records = {(record.pop("step"), record.pop("split")): record for record in records}
        seconds = max((record["seconds"] for record in records if "seconds" in record), default=0.0)
        self.meter = Meter(self.config.data.batch_size, self.programs.schedule, seconds)

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
        saved = self._due("checkpoint_every", step) and self._save(state, step)
        for split in self._missing(step):
            with self.meter.away("evaluation"):
                found = evaluate(self.programs, state.evaluated, split, self.stop)
            if found is not None:
                self._write(step, split, self.problem.task.finish(found))
        done = step == self.last and not self._missing(step)
        if self.stop.should_stop is not None and not done:
            if step and not saved:
                self._save(state, step)
            raise Stopped(self.stop.should_stop, step)

    def _save(self, state: TrainState, step: int) -> bool:
        """Saves a state if it is finite; a full disk only costs that checkpoint, unless the run is to stop now."""
        with self.meter.away("saving"):
            check_finite(state, step)
            try:
                keep = self.config.train.keep_checkpoints
                checkpoint.save(self.workdir.checkpoints, step, state, self.fingerprints, keep)
            except Failure as failure:
                if self.stop.should_stop is not None:
                    raise
                if step == self.last:
                    self.unwritten[f"checkpoints/{step}"] = failure
                self.progress.note(f"checkpoint not saved; {self._then(step)}: {failure}")
                return False
        return True

    def _then(self, step: int) -> str:
        return "the run is evaluated all the same" if step == self.last else "training continues"

    def _finish(self, state: TrainState) -> End:
        """Draws the run and writes result.json, as far as the disk takes them."""
        step = self.last
        result = {
            "step": step,
            "state_sha256": checkpoint.state_sha256(state),
            "parameters": accounting.count_parameters(self.problem),
            "flops_per_example": accounting.paper_flops(self.problem),
            "metrics": {
                split: self.records[step, split]
                for split in ("train", *self.config.train.eval_splits)
                if (step, split) in self.records
            },
            **best_evaluations(self.records, self.problem.task.headline),
            "seconds": self.meter.seconds,
            "time": self.meter.times,
            "peak_memory_bytes": {"process": memory.peak(), "device": devices.peak_memory()},
        }
        with self._written("plots/curves.png") as path:
            draw_curves(self.workdir.metrics, path, self.workdir.path.name)
        cross_attends = self.config.model.figure_3
        if cross_attends:
            inputs, masks = self.problem.data.example("test", 0)
            with self._written("plots/attention_maps.png") as path:
                draw_maps(self.programs, state.evaluated, inputs, masks, path, cross_attends)
        if self.unwritten:
            result["unwritten"] = list(self.unwritten)  # the same command makes up for it
        with self._written(self.workdir.result.name) as path:
            write_atomically(path, json_text(result).encode())
        write_own(self.workdir, self.progress.note)
        return End(result, next(iter(self.unwritten.values()), None))

    @contextlib.contextmanager
    def _written(self, name: str) -> Iterator[Path]:
        """The path of a file of the run's end; what the disk refuses is noted, and the end goes on."""
        path = self.workdir.path / name
        try:
            yield path
        except OSError as error:
            self.unwritten[name] = disk.unusable(f"{path} was not written", path, error)
        except Failure as failure:
            if failure.code != Code.WORKDIR:
                raise
            self.unwritten[name] = failure
        if name in self.unwritten:
            self.progress.note(str(self.unwritten[name]))
