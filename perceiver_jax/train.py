"""The training loop: data, steps, evaluations and checkpoints in time, and the end of a run."""

import contextlib
import json
from collections.abc import Callable
from typing import Any

import jax
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec

from perceiver_jax import accounting, evaluate
from perceiver_jax.config import Config, dump
from perceiver_jax.data import pipeline
from perceiver_jax.disk import write_atomically
from perceiver_jax.errors import Failure, Stopped
from perceiver_jax.report.curves import draw_curves
from perceiver_jax.report.log import MetricsLog, read_metrics
from perceiver_jax.report.progress import Progress
from perceiver_jax.signals import StopFlag
from perceiver_jax.training import checkpoint, devices, losses, manifest, metrics, optim
from perceiver_jax.training.meter import Meter
from perceiver_jax.training.step import Batch, TrainState, train_step
from perceiver_jax.workdir import Workdir


def make_loss(graph: nnx.GraphDef, label_smoothing: float) -> Any:
    """The function (params, batch) -> (mean loss, metric sums) that training differentiates."""

    def loss(params: Any, batch: Batch) -> tuple[jax.Array, metrics.Sums]:
        logits = nnx.merge(graph, params)(batch["inputs"]).logits
        each = losses.softmax_cross_entropy(logits, batch["labels"], label_smoothing)
        weights = jax.numpy.ones_like(each)
        return each.mean(), metrics.classification_sums(logits, batch["labels"], each, weights)

    return loss


def train(config: Config, workdir: Workdir, stop: StopFlag) -> dict[str, Any]:
    """Trains from the newest valid checkpoint to the end of the run; returns what result.json then holds.

    Raises Stopped after saving where a signal asked for it, and Failure: CONFIG for devices that do not fit,
    CHECKPOINT where none of those saved is valid, NUMERICS for a loss that is no number, WORKDIR for a full disk at the end.
    """
    return _Run(config, workdir, stop).run()


class _Run:
    """What the loop holds on to."""

    def __init__(self, config: Config, workdir: Workdir, stop: StopFlag):
        self.config, self.workdir, self.stop = config, workdir, stop
        devices.keep_compiled_programs()
        micro_batch = config.data.batch_size // config.optim.accumulation_steps
        sizes = {"micro-batch of data.batch_size": micro_batch, "data.eval_batch_size": config.data.eval_batch_size}
        self.mesh = devices.make_mesh(config.mesh.model, sizes)
        self.graph = nnx.graphdef(accounting.abstract_model(config))
        self.optimizer = optim.optimizer(config.optim, config.num_steps)
        self.schedule = optim.schedule(config.optim, config.num_steps)
        self.split = "validation" if config.data.validation_examples else "test"
        self.evaluate = evaluate.make_evaluate(self.graph, config.train.label_smoothing)
        self.fingerprints = checkpoint.fingerprints(dump(config), pipeline.fingerprint(config.data))
        self.state_shape = jax.eval_shape(self._initial_state)
        self.sharding = devices.state_sharding(self.mesh, self.state_shape)

    def _initial_state(self) -> TrainState:
        params = nnx.state(accounting.make_model(self.config, nnx.Rngs(self.config.seed)), nnx.Param)
        return TrainState.create(params, self.optimizer, self.config.optim.ema_decay is not None)

    def _state(self) -> TrainState:
        """The newest valid checkpoint's state, or the initial one where nothing was ever saved."""
        newest = manifest.newest_valid(self.workdir.checkpoints, set_aside=True)
        if newest is None:
            return jax.jit(self._initial_state, out_shardings=self.sharding)()
        step, saved = newest
        checkpoint.compare(saved, self.fingerprints)
        target = jax.tree.map(
            lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
            self.state_shape,
            self.sharding,
        )
        return checkpoint.restore(self.workdir.checkpoints, step, target)

    def run(self) -> dict[str, Any]:
        state = self._state()
        first, last = int(state.step), self.config.num_steps
        step_function = self._step_function()
        batches = pipeline.train_batches(self.config.data, self.config.augment, self.config.seed, first)
        log, progress = MetricsLog(self.workdir.path, first), Progress(last, first)
        with contextlib.closing(batches), log as self.log, progress as self.progress:
            self.records = {(r["step"], r["split"]): r for r in self._logged()}
            seconds = max((r["seconds"] for r in self.records.values() if "seconds" in r), default=0.0)
            self.meter = Meter(self.config.data.batch_size, self.schedule, seconds)
            if first:
                self.progress.note(f"resumed at step {first}")
            for step in range(first, last):
                self._between_steps(state, step)
                with self.meter.waiting():
                    batch = devices.to_devices(next(batches), self.mesh)
                state, sums = step_function(state, batch)
                self.meter.add(step + 1, sums)
                self.progress.update(step + 1, {})
                if self._due("log_every", step + 1):
                    self._write(step + 1, "train", self.meter.read(step + 1))
            self._between_steps(state, last)
        return self._finish(state)

    def _step_function(self) -> Callable[[TrainState, Batch], tuple[TrainState, metrics.Sums]]:
        config = self.config
        loss = make_loss(self.graph, config.train.label_smoothing)
        step = train_step(loss, self.optimizer, config.optim.accumulation_steps, config.optim.ema_decay)
        everywhere = NamedSharding(self.mesh, PartitionSpec())
        return jax.jit(step, donate_argnums=0, out_shardings=(self.sharding, everywhere))

    def _logged(self) -> list[dict[str, Any]]:
        path = self.workdir.path / "metrics.jsonl"
        return read_metrics(path) if path.exists() else []

    def _write(self, step: int, split: str, numbers: dict[str, float]) -> None:
        self.log.write(step, split, numbers)
        self.records[step, split] = {"step": step, "split": split} | numbers
        if split == "train":
            self.progress.update(step, numbers)
        else:
            self.progress.note(f"step {step}: {split}  " + "  ".join(f"{name} {value:.4f}" for name, value in numbers.items()))

    def _due(self, name: str, step: int) -> bool:
        every = self.config.steps(getattr(self.config.train, name))
        return step > 0 and (step % every == 0 or step == self.config.num_steps)

    def _between_steps(self, state: TrainState, step: int) -> None:
        """Saves and evaluates where it is time to; saves and raises Stopped where a signal has asked for it."""
        saved = self._due("checkpoint_every", step) and self._save(state, step)
        if self._due("eval_every", step) and (step, self.split) not in self.records:
            self._evaluate(state, step)
        code = self.stop.should_stop
        done = step == self.config.num_steps and (step, self.split) in self.records
        if code is not None and not done:
            if step and not saved:
                self._save(state, step)
            raise Stopped(code, step)

    def _evaluate(self, state: TrainState, step: int) -> None:
        with self.meter.away():
            batches = pipeline.eval_batches(self.config.data, self.split)
            asked = lambda: self.stop.should_stop  # noqa: E731
            numbers = evaluate.evaluate_split(self.evaluate, state.evaluated, batches, self.mesh, asked)
        if numbers is not None:
            self._write(step, self.split, numbers)

    def _save(self, state: TrainState, step: int) -> bool:
        """Saves a state known to be finite; in the midst of a run a full disk only costs that checkpoint."""
        with self.meter.away():
            try:
                keep = self.config.train.keep_checkpoints
                checkpoint.save(self.workdir.checkpoints, step, state, self.fingerprints, keep)
            except Failure as failure:
                if step == self.config.num_steps or self.stop.should_stop is not None:
                    raise
                self.progress.note(f"checkpoint not saved, training goes on: {failure}")
                return False
        return True

    def _finish(self, state: TrainState) -> dict[str, Any]:
        """Draws the run and writes result.json."""
        step = int(state.step)
        splits = {split: dict(record) for (at, split), record in self.records.items() if at == step}
        seconds = splits["train"]["seconds"]
        result = {
            "step": step,
            "state_sha256": checkpoint.state_sha256(state),
            "parameters": accounting.count_parameters(self.config),
            "flops_per_example": accounting.paper_flops(self.config),
            "metrics": {split: {k: v for k, v in r.items() if k not in ("step", "split")} for split, r in splits.items()},
            "seconds": seconds,
        }
        draw_curves(self.workdir.path / "metrics.jsonl", self.workdir.plots / "curves.png", self.config.data.source)
        evaluate.draw_maps(self.config, self.graph, state.evaluated, self.workdir.plots / "attention_maps.png")
        write_atomically(self.workdir.path / "result.json", (json.dumps(result, indent=2) + "\n").encode())
        return result
