"""The end of a run: its result, its pictures and its page."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from perceiver_jax.errors import Code, Failure
from perceiver_jax.report.curves import draw_curves
from perceiver_jax.report.json_numbers import json_text
from perceiver_jax.report.selection import best_evaluations
from perceiver_jax.runs import accounting
from perceiver_jax.runs.maps import attention_maps, draw_maps
from perceiver_jax.runs.page import write_own
from perceiver_jax.runs.programs import Programs
from perceiver_jax.runs.workdir import Workdir
from perceiver_jax.system import devices, disk, memory
from perceiver_jax.system.crash_points import crash_point
from perceiver_jax.system.disk import write_atomically
from perceiver_jax.training import checkpoint
from perceiver_jax.training.meter import Meter
from perceiver_jax.training.step import TrainState

Records = Mapping[tuple[int, str], Mapping[str, float]]  # what was logged of a step and split


class End(NamedTuple):
    """What a run came to."""

    result: dict[str, Any]  # what result.json holds
    unwritten: Failure | None  # where the disk has refused a part of it: how the command must end


def finish(
    programs: Programs,
    state: TrainState,
    workdir: Workdir,
    records: Records,
    meter: Meter,
    unwritten: dict[str, Failure],
    note: Callable[[str], None],
) -> End:
    """Draws a run and writes result.json, as far as the disk takes them; `unwritten` is what it has refused before."""
    problem = programs.problem
    config, step = problem.config, problem.num_steps
    result = {
        "step": step,
        "state_sha256": checkpoint.state_sha256(state),
        "parameters": accounting.count_parameters(problem),
        "flops_per_example": accounting.paper_flops(problem),
        "metrics": {
            split: records[step, split] for split in ("train", *config.train.eval_splits) if (step, split) in records
        },
        **best_evaluations(records, problem.task.headline),
        "seconds": meter.seconds,
        "time": meter.times,
        "peak_memory_bytes": {"process": memory.peak(), "device": devices.peak_memory()},
    }
    written = _Written(workdir.path, unwritten, note)
    with written.at("plots/curves.png") as path:
        draw_curves(workdir.metrics, path, workdir.path.name)
    cross_attends = config.model.figure_3
    if cross_attends:
        inputs, masks = problem.data.example("test", 0)
        with written.at("plots/attention_maps.png") as path:
            draw_maps(programs, state.evaluated, inputs, masks, path, cross_attends)
    if unwritten:
        result["unwritten"] = list(unwritten)  # the same command makes up for it
    crash_point("before-result")
    with written.at(workdir.result.name) as path:
        write_atomically(path, json_text(result).encode())
    write_own(workdir, note)
    return End(result, next(iter(unwritten.values()), None))


def assist(programs: Programs, state: TrainState) -> End:
    """What `finish` computes on all devices, in a process that writes nothing."""
    result = {"state_sha256": checkpoint.state_sha256(state)}
    cross_attends = programs.problem.config.model.figure_3
    if cross_attends:
        attention_maps(programs, state.evaluated, *programs.problem.data.example("test", 0), cross_attends)
    return End(result, None)


class _Written(NamedTuple):
    """The files of a run's end; what the disk refuses is noted, and the end goes on."""

    folder: Path
    unwritten: dict[str, Failure]
    note: Callable[[str], None]

    @contextlib.contextmanager
    def at(self, name: str) -> Iterator[Path]:
        """The path of a file, to be written within."""
        path = self.folder / name
        try:
            yield path
        except OSError as error:
            self.unwritten[name] = disk.unusable(f"{path} was not written", path, error)
        except Failure as failure:
            if failure.code != Code.WORKDIR:
                raise
            self.unwritten[name] = failure
        if name in self.unwritten:
            self.note(str(self.unwritten[name]))
