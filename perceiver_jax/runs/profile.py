"""A profile of some steps while a run trains: the trace, and from it the time by part of the model."""

import contextlib
import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from perceiver_jax.errors import Code, Failure
from perceiver_jax.report.progress import say
from perceiver_jax.report.step_parts import FORMAT, PARTS, step_table
from perceiver_jax.runs import accounting
from perceiver_jax.runs.programs import Programs
from perceiver_jax.system import devices, disk, trace
from perceiver_jax.system.matmul import matmul_rate
from perceiver_jax.system.operations import operations
from perceiver_jax.system.parts import Label
from perceiver_jax.tasks import Sums
from perceiver_jax.training.meter import AWAY, WAITING
from perceiver_jax.training.step import Batch, TrainState

WARM_UP = 3  # steps before those that are profiled: the first ones fill caches, and the queue of batches empties
_PROFILED = "profiled steps"
# What is shown of the time of no part, and for which rank it has in `trace.divided` after operations.
UNNAMED, WAITED, IDLE = "operations of no part", "waiting for data", "host, devices idle"
_AWAY_RANK, *_RANKS, _WAITING_RANK = range(4)  # what is in a loop or a call counts rather than the loop itself

Step = Callable[[TrainState, Batch], tuple[TrainState, Sums]]
Away = Callable[[], contextlib.AbstractContextManager[None]]


class Window(NamedTuple):
    """Which steps of a launch are profiled."""

    after: int  # updates done before the first of them
    num_steps: int

    @property
    def end(self) -> int:
        """Updates done after the last of them."""
        return self.after + self.num_steps


def choose(num_steps: int, first: int, last: int, every: Collection[int]) -> Window:
    """The steps to profile of a launch from update `first` to `last`: after some to warm up, fewer if fewer are left.

    `every` are the numbers of steps after which the loop evaluates or saves: none of that happens in the steps chosen,
    unless it does in all.
    """
    earliest = first + min(WARM_UP, max(last - first - 1, 0))
    window = Window(earliest, min(num_steps, last - earliest))

    def is_quiet(after: int) -> bool:
        return all(-(-after // length) * length >= after + window.num_steps for length in every)

    if min(every) <= window.num_steps:  # no stretch is long enough
        return window
    quiet = filter(is_quiet, range(earliest, last - window.num_steps + 1))
    return window._replace(after=next(quiet, earliest))


@contextlib.contextmanager
def profiled(
    programs: Programs,
    directory: Path,
    num_steps: int,
    first: int,
    every: Collection[int],
    note: Callable[[str], None],
    away: Away,
) -> Iterator[Step]:
    """The update of `programs` from update `first` on; those that `choose` takes are profiled, and compute the same.

    The trace and its table come into `directory`, and the table to stdout; what is there already is replaced. A disk that
    refuses them, and a launch that ends before, are only noted.
    """
    window = choose(num_steps, first, programs.problem.num_steps, every)
    if window.num_steps < num_steps:
        note(f"profile of {window.num_steps} steps, not {num_steps}: {programs.problem.num_steps - first} are left")
    profile = _Profile(programs, directory, window, first, note, away)
    try:
        yield profile.step
    finally:
        profile.close()


class _Profile:
    """The profile of one launch of a run."""

    def __init__(
        self, programs: Programs, directory: Path, window: Window, first: int, note: Callable[[str], None], away: Away
    ):
        self.programs, self.directory, self.window, self.note, self.away = programs, directory, window, note, away
        self.unfinished = directory.with_name(f"{disk.TEMPORARY}{directory.name}")
        self.done, self.program = first, None
        self.mark: jax.profiler.TraceAnnotation | None = None  # while steps are traced

    def step(self, state: TrainState, batch: Batch) -> tuple[TrainState, Sums]:
        """One update."""
        if self.program is None:
            self._compile(state, batch)
            self._start_if_due(state)
        state, sums = self.programs.step(state, batch)
        self.done += 1
        self._start_if_due(state)
        if self.done == self.window.end:
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
            self.program = lowered.compile()  # that of `programs.step` too: JAX makes one of the same trace only once
        self.seconds = {"tracing_seconds": lowered_at - began, "compile_seconds": time.perf_counter() - lowered_at}
        self.flops = accounting.labelled_flops(traced.jaxpr.jaxpr)

    def _start_if_due(self, state: TrainState) -> None:
        """Begins the trace, once the steps done so far are."""
        if self.done != self.window.after or self.mark is not None:
            return
        jax.block_until_ready(state)
        options = jax.profiler.ProfileOptions()
        options.python_tracer_level = 0  # every call of Python would be an event
        jax.profiler.start_trace(self.unfinished, profiler_options=options)
        self.mark = jax.profiler.TraceAnnotation(_PROFILED)
        self.mark.__enter__()

    def _stop(self) -> None:
        self.mark.__exit__(None, None, None)
        self.mark = None
        jax.profiler.stop_trace()

    def close(self) -> None:
        """Ends a profile that has not come to its end."""
        if self.done >= self.window.end:
            return
        if self.mark is not None:
            with self._noted():
                self._stop()
            shutil.rmtree(self.unfinished, ignore_errors=True)
        self.note(f"profile not written: the launch ended at step {self.done}, before step {self.window.end}")

    @contextlib.contextmanager
    def _noted(self) -> Iterator[None]:
        """What the disk refuses costs the profile, not the run."""
        try:
            yield
        except (OSError, Failure, jax.errors.JaxRuntimeError) as error:
            shutil.rmtree(self.unfinished, ignore_errors=True)
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
        seconds = {key: spent / self.window.num_steps for key, spent in self._spent().items()}
        dtype, step_seconds = config.model.compute_dtype, sum(seconds.values())
        with jax.default_matmul_precision(config.model.matmul_precision):
            rate = matmul_rate(mesh, jnp.dtype(dtype))
        possible = rate * step_seconds
        device = mesh.devices.flat[0]
        facts = {"format": FORMAT, "first_step": self.window.after + 1, "steps": self.window.num_steps}
        facts |= {"platform": device.platform, "device": device.device_kind, "devices": mesh.size}
        facts |= {"step_seconds": step_seconds, **self.seconds}
        facts |= {"matmul_dtype": dtype, "matmul_flops_per_second": rate}
        facts |= {"flops_per_step": self.flops.total(), "matmul_share": self.flops.total() / possible}
        return facts | {"parts": self._parts(seconds, rate)}

    def _spent(self) -> dict[Label, float]:
        """The seconds of all profiled steps, by where they went."""
        known = operations(self.program.as_text())
        found = trace.read_trace(self.unfinished, known, (_PROFILED, WAITING, AWAY))
        (window,) = found.marks[_PROFILED]
        if not found.devices:
            raise Failure(Code.FAULT, "the trace has no operation of the step", f"{self.unfinished}")
        ranked = [(span, _AWAY_RANK, Label(AWAY, False)) for span in found.marks[AWAY]]
        ranked += [(span, _WAITING_RANK, Label(WAITED, False)) for span in found.marks[WAITING]]
        ranked.append((window, _WAITING_RANK + 1, Label(IDLE, False)))
        total: Counter[Label] = Counter()
        for threads in found.devices:
            own = [span for spans in threads for span in trace.innermost(spans)]
            ran = [(span, _RANKS[known[span.name].is_container], known[span.name].label) for span in own]
            total.update(trace.divided([*ranked, *ran], window))
        del total[Label(AWAY, False)]
        return {key: spent / len(found.devices) / 1e9 for key, spent in total.items()}

    def _parts(self, seconds: dict[Label, float], rate: float) -> list[dict[str, Any]]:
        """A row for each part, in the order of the forward pass, then the time of none."""
        flops, spent = Counter(self.flops), Counter(seconds)
        last = (None, WAITED, IDLE)
        names = dict.fromkeys(label.part for label in (*flops, *spent) if label.part not in last)
        rows = []
        for name in (*names, *last):
            forward, backward = (float(spent[Label(name, is_backward)]) for is_backward in (False, True))
            count = flops[Label(name, False)] + flops[Label(name, True)]
            both = forward + backward
            row = {"part": name or UNNAMED, "forward_seconds": forward, "backward_seconds": backward}
            row |= {"share": both / sum(spent.values()), "flops": count}
            rows.append(row | {"matmul_share": count / (both * rate) if both else None})
        return rows
