"""A profile of some steps while a run trains: the trace, and from it the time by part of the model."""

import contextlib
import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from perceiver_jax.report.progress import say
from perceiver_jax.report.step_parts import FORMAT, PARTS, step_table
from perceiver_jax.runs import accounting
from perceiver_jax.runs.programs import Programs
from perceiver_jax.system import devices, disk, trace
from perceiver_jax.system.matmul import matmul_rate
from perceiver_jax.system.parts import Label
from perceiver_jax.tasks import Sums
from perceiver_jax.training.meter import AWAY, WAITING
from perceiver_jax.training.step import Batch, TrainState

WARM_UP = 3  # steps before those that are profiled: the first ones fill caches, and the queue of batches empties
_WINDOW = "profiled steps"
# What is shown of the time of no part, and for which rank it has in `trace.divided` after operations.
UNNAMED, WAITED, IDLE = "operations of no part", "waiting for data", "host, devices idle"
_AWAY_RANK, *_RANKS, _WAITING_RANK = range(4)  # what is in a loop or a call counts rather than the loop itself

Step = Callable[[TrainState, Batch], tuple[TrainState, Sums]]


@contextlib.contextmanager
def profiled(
    programs: Programs,
    directory: Path,
    num_steps: int,
    first: int,
    note: Callable[[str], None],
    away: Callable[[], contextlib.AbstractContextManager[None]],
) -> Iterator[Step]:
    """The update of `programs`, which computes the same and profiles `num_steps` of its calls after some to warm up.

    Fewer where the run ends before, after update `first`; `note` is told so. The trace and its table come into `directory`,
    and the table to stdout; what is there already is replaced. A disk that refuses them, and a launch that ends before,
    are only noted.
    """
    profile = _Profile(programs, directory, num_steps, first, note, away)
    try:
        yield profile.step
    finally:
        profile.close()


class _Profile:
    """The profile of one launch of a run."""

    def __init__(
        self,
        programs: Programs,
        directory: Path,
        num_steps: int,
        first: int,
        note: Callable[[str], None],
        away: Callable[[], contextlib.AbstractContextManager[None]],
    ):
        left = programs.problem.num_steps - first
        self.programs, self.directory, self.note, self.away = programs, directory, note, away
        self.unfinished = directory.with_name(f"{disk.TEMPORARY}{directory.name}")
        self.warm_up = min(WARM_UP, max(left - 1, 0))
        self.num_steps = min(num_steps, left - self.warm_up)
        self.first = first + self.warm_up + 1
        self.done = 0
        self.window: jax.profiler.TraceAnnotation | None = None  # while steps are traced
        if self.num_steps < num_steps:
            found = f"{left} steps are left of the run, {self.warm_up} of which warm up"
            note(f"profile of {self.num_steps} steps instead of {num_steps}: {found}")

    def step(self, state: TrainState, batch: Batch) -> tuple[TrainState, Sums]:
        """One update."""
        if not self.done:
            self._compile(state, batch)
            self._start_when(state, self.warm_up == 0)
        state, sums = self.compiled(state, batch)
        self.done += 1
        self._start_when(state, self.done == self.warm_up)
        if self.window is not None and self.done == self.warm_up + self.num_steps:
            jax.block_until_ready(state)
            with self.away():
                self._finish()
        return state, sums

    def _compile(self, state: TrainState, batch: Batch) -> None:
        """Makes the program anew: one from the cache may have the names of parts of earlier code, and tells no time."""
        began = time.perf_counter()
        traced = self.programs.step.trace(state, batch)
        lowered = traced.lower()
        lowered_at = time.perf_counter()
        with devices.without_kept_programs():
            self.compiled = lowered.compile()
        self.seconds = {"tracing_seconds": lowered_at - began, "compile_seconds": time.perf_counter() - lowered_at}
        self.flops = accounting.labelled_flops(traced.jaxpr.jaxpr)

    def _start_when(self, state: TrainState, is_time: bool) -> None:
        if not is_time:
            return
        jax.block_until_ready(state)
        options = jax.profiler.ProfileOptions()
        options.python_tracer_level = 0  # every call of Python would be an event
        jax.profiler.start_trace(self.unfinished, profiler_options=options)
        self.window = jax.profiler.TraceAnnotation(_WINDOW)
        self.window.__enter__()

    def _stop(self) -> None:
        self.window.__exit__(None, None, None)
        self.window = None
        jax.profiler.stop_trace()

    def close(self) -> None:
        """Ends a profile that has not come to its end."""
        if self.window is not None:
            with self._noted():
                self._stop()
            shutil.rmtree(self.unfinished, ignore_errors=True)
            self.note(f"profile not written: the launch ended after {self.done - self.warm_up} of {self.num_steps} steps")

    @contextlib.contextmanager
    def _noted(self) -> Iterator[None]:
        """What the disk refuses costs the profile, not the run."""
        try:
            yield
        except (OSError, jax.errors.JaxRuntimeError) as error:
            self.note(f"profile not written: {disk.reason(error)}")

    def _finish(self) -> None:
        """Writes and prints what the profiled steps took."""
        with self._noted():
            self._stop()
            profile = self._measured()
            disk.write_atomically(self.unfinished / PARTS, (json.dumps(profile, indent=1) + "\n").encode())
            shutil.rmtree(self.directory, ignore_errors=True)
            self.unfinished.rename(self.directory)
            say(step_table(profile))
            self.note(f"{self.directory}: the trace, for TensorBoard's profile plugin or xprof, and {PARTS}")

    def _measured(self) -> dict[str, Any]:
        """What parts.json holds."""
        mesh, config = self.programs.mesh, self.programs.problem.config
        seconds = {key: spent / self.num_steps for key, spent in self._spent().items()}
        dtype, step_seconds = config.model.compute_dtype, sum(seconds.values())
        rate = matmul_rate(mesh, jnp.dtype(dtype))
        possible = rate * step_seconds
        device = mesh.devices.flat[0]
        facts = {"format": FORMAT, "first_step": self.first, "steps": self.num_steps, "platform": device.platform}
        facts |= {"device": device.device_kind, "devices": mesh.size, "step_seconds": step_seconds, **self.seconds}
        facts |= {"matmul_dtype": dtype, "matmul_flops_per_second": rate}
        facts |= {"flops_per_step": self.flops.total(), "matmul_share": self.flops.total() / possible}
        return facts | {"parts": self._parts(seconds, rate)}

    def _spent(self) -> dict[Label, float]:
        """The seconds of all profiled steps, by where they went."""
        operations = trace.operations(self.compiled.as_text())
        found = trace.read_trace(self.unfinished, operations, (_WINDOW, WAITING, AWAY))
        (window,) = found.marks[_WINDOW]
        ranked = [(span, _AWAY_RANK, Label(AWAY, False)) for span in found.marks.get(AWAY, [])]
        ranked += [(span, _WAITING_RANK, Label(WAITED, False)) for span in found.marks.get(WAITING, [])]
        ranked.append((window, _WAITING_RANK + 1, Label(IDLE, False)))
        total: Counter[Label] = Counter()
        for threads in found.devices or [[]]:
            own = [span for spans in threads for span in trace.innermost(spans)]
            ran = [(span, _RANKS[operations[span.name].is_container], operations[span.name].label) for span in own]
            total.update(trace.divided([*ranked, *ran], window))
        del total[Label(AWAY, False)]
        return {key: spent / max(len(found.devices), 1) / 1e9 for key, spent in total.items()}

    def _parts(self, seconds: dict[Label, float], rate: float) -> list[dict[str, Any]]:
        """A row for each part, in the order of the forward pass, then the time of none."""
        flops, spent = Counter(self.flops), Counter(seconds)
        last = (None, WAITED, IDLE)
        names = dict.fromkeys(label.part for label in (*flops, *spent) if label.part not in last)
        rows = []
        for name in (*names, *last):
            forward, backward = (spent[Label(name, is_backward)] for is_backward in (False, True))
            count = flops[Label(name, False)] + flops[Label(name, True)]
            both = forward + backward
            row = {"part": name or UNNAMED, "forward_seconds": forward, "backward_seconds": backward}
            row |= {"share": both / sum(spent.values()), "flops": count}
            rows.append(row | {"matmul_share": count / (both * rate) if both else None})
        return rows
