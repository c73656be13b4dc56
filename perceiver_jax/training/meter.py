"""The numbers of the steps since the last log, and the check that all of them are finite."""

import contextlib
import math
import time
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import optax

from perceiver_jax.errors import Code, Failure
from perceiver_jax.system.crash_points import crash_point
from perceiver_jax.system.watchdog import Watchdog
from perceiver_jax.tasks import Sums, means
from perceiver_jax.training.checkpoint import leaves

WAITING, AWAY = "waiting for a batch", "away from training"  # what a profiler's trace calls these times


class Meter:
    """Sums over the steps of one log interval, and the seconds they took.

    Results are read one step late, so that reading never makes the devices wait. `seconds` are those of earlier launches.
    """

    def __init__(self, batch_size: int, schedule: optax.Schedule, seconds: float, watchdog: Watchdog):
        self._batch_size, self._schedule, self._watchdog = batch_size, schedule, watchdog
        self._pending: list[tuple[int, Sums]] = []
        self._began, self._before = time.monotonic(), seconds
        self._first, self._waited, self._ready = True, 0.0, self._began
        self._spent = {"compile": 0.0, "evaluation": 0.0, "saving": 0.0, "other": 0.0}
        self._clear()

    def _clear(self) -> None:
        self._sums: dict[str, float] = {}
        self._steps, self._wait, self._away = 0, 0.0, 0.0
        self._since = time.monotonic()

    @property
    def seconds(self) -> float:
        """Of the whole run so far, this launch and the earlier ones."""
        return self._before + time.monotonic() - self._began

    @property
    def times(self) -> dict[str, float]:
        """The seconds of this launch, `launch`, and what of them went into what.

        `compile` is the call of the first step, which makes or loads its program; `data_wait` the wait for batches;
        `evaluation`, `saving` and `other`, such as pictures, are the times `away`; `training` is the rest.
        """
        launch = time.monotonic() - self._began
        spent = {**self._spent, "data_wait": self._waited}
        return {"launch": launch, "training": launch - sum(spent.values()), **spent}

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Around the wait for a batch: time in which the devices may have been idle."""
        began = time.monotonic()
        with jax.profiler.TraceAnnotation(WAITING), self._watchdog.task("batch", WAITING):
            crash_point("data-wait")
            yield
        self._ready = time.monotonic()
        self._wait += self._ready - began
        self._waited += self._ready - began

    @contextlib.contextmanager
    def away(self, what: str = "other") -> Iterator[None]:
        """Around anything but training, `evaluation`, `saving` or `other`: its time does not count in the rates."""
        self.settle()
        began = time.monotonic()
        with jax.profiler.TraceAnnotation(AWAY):
            yield
        self._away += time.monotonic() - began
        self._spent[what] += time.monotonic() - began

    def add(self, step: int, sums: Sums) -> None:
        """Takes the sums of update `step`; reads those of the previous one.

        Raises Failure(NUMERICS) where a loss or gradient read is not finite.
        """
        if self._first:
            self._first, self._spent["compile"] = False, time.monotonic() - self._ready
        crash_point("after-step")
        self._pending.append((step, sums))
        if len(self._pending) > 1:
            self._read()

    def settle(self) -> None:
        """Waits for all steps and reads them; raises as `add` does."""
        while self._pending:
            self._read()

    def _read(self) -> None:
        step, sums = self._pending.pop(0)
        with self._watchdog.task("step", f"step {step:,} on the devices"):
            numbers = {name: float(value) for name, value in jax.device_get(sums).items()}
        for name in ("loss", "grad_norm"):
            if not math.isfinite(numbers[name]):
                raise _not_finite(f"{name} is {numbers[name]}", step)
        self._sums = {name: self._sums.get(name, 0.0) + value for name, value in numbers.items()}
        self._steps += 1

    def read(self, step: int) -> dict[str, float]:
        """The metrics of the interval that ends with update `step`, then starts the next one."""
        self.settle()
        elapsed = max(time.monotonic() - self._since - self._away, 1e-9)
        grad_norm = self._sums.pop("grad_norm") / self._steps
        numbers = means(self._sums) | {
            "grad_norm": grad_norm,
            "learning_rate": float(self._schedule(step - 1)),
            "steps_per_second": self._steps / elapsed,
            "examples_per_second": self._steps * self._batch_size / elapsed,
            "data_wait_fraction": self._wait / elapsed,
            "seconds": self.seconds,
        }
        self._clear()
        return numbers


def check_finite(state: Any, step: int) -> None:
    """Raises Failure(NUMERICS) for the first array of a state that holds a number that is not finite.

    A loss is of the parameters before its update, so the state to be saved must be checked itself.
    """
    for name, leaf in leaves(state).items():
        shards = [np.asarray(shard.data) for shard in leaf.addressable_shards if shard.replica_id == 0]
        if not all(np.isfinite(shard).all() for shard in shards):
            raise _not_finite(f"{name} is not finite", step)


def _not_finite(what: str, step: int) -> Failure:
    hint = "a lower optim.learning_rate or optim.clip_norm in a new --workdir; earlier checkpoints are intact"
    return Failure(Code.NUMERICS, what, f"step {step}", expected="finite numbers", hint=hint)
