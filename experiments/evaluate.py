"""Evaluates a checkpoint of a run on one split, every example counted once, and writes its metrics class by class.

python -m experiments.evaluate --workdir runs/a [--step 5000] [--split test] [--votes 10] [--streams image] [--data_dir DIR]
                                [--distributed [--coordinator HOST:PORT --num_processes 2 --process_id 0]]
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from absl import flags

from perceiver_jax import command
from perceiver_jax.data import pipeline
from perceiver_jax.errors import Stopped, some
from perceiver_jax.launch import distributed
from perceiver_jax.report.by_class import draw_by_class, write_table
from perceiver_jax.report.confusion import draw_confusion
from perceiver_jax.report.json_numbers import plain
from perceiver_jax.report.progress import say
from perceiver_jax.report.tables import table
from perceiver_jax.runs.load import TrainedRun, load
from perceiver_jax.runs.page import renew_own
from perceiver_jax.system import disk
from perceiver_jax.system.signals import StopFlag
from perceiver_jax.tasks import Evaluation
from perceiver_jax.training import manifest
from perceiver_jax.training.checkpoint import code_version

flags.DEFINE(command.PATH, "workdir", None, "Directory of the run.")
_STEP = flags.DEFINE_integer("step", None, "Step of the checkpoint; default: the newest valid one.")
_SPLIT = flags.DEFINE_string("split", "test", "Split of the data.")
_DATA_DIR = flags.DEFINE(command.PATH, "data_dir", None, "Directory of the data; default: where they were in training.")
_STREAMS = flags.DEFINE_list("streams", None, "Streams to evaluate with, the others dropped; default: all.")
_VOTES = flags.DEFINE_integer(
    "votes",
    None,
    "Also classify each example under this many random augmentations and report the accuracy of the mean scores.",
    lower_bound=1,
)
distributed.define_flags()
_JSON = flags.DEFINE_bool("json", False, "Print one JSON object instead of a table.")


def main() -> None:
    with StopFlag() as flag:
        processes = distributed.joined(flag)
        stop = processes.stop
        run = load(command.require("workdir"), _STEP.value)
        if _DATA_DIR.value is not None:
            run = run.at(_DATA_DIR.value)
        run, changed = run.on_data()
        if changed:
            print(f"note: the data have changed since the run began: {'; '.join(changed)}", file=sys.stderr)
        pipeline.check(run.problem.data)
        pipeline.num_eval_batches(run.problem.data, _SPLIT.value)  # an unknown split ends here
        task = run.problem.task
        streams = None if _STREAMS.value is None else list(dict.fromkeys(_STREAMS.value))
        processes.check_alike(_asked(run))
        found = run.evaluation(_SPLIT.value, stop, streams)
        votes = {} if _VOTES.value is None else {"votes": _VOTES.value}
        if votes and found is not None:
            from perceiver_jax.runs.evaluate import vote

            voted = vote(run.programs, run.variables, _SPLIT.value, _VOTES.value, stop)
            votes[f"voted_{task.headline}"] = None if voted is None else task.finish(voted)[task.headline]
        if found is None or None in votes.values():
            raise Stopped(stop.should_stop, run.step, "the same command starts over")
    if not processes.first:
        return
    named = {} if streams is None else {"streams": "+".join(streams)}
    facts = {"step": run.step, "split": _SPLIT.value, **named, **task.finish(found), **votes}
    numbers = {name: plain(value) if isinstance(value, float) else value for name, value in facts.items()}
    say(json.dumps(numbers) if _JSON.value else table(list(facts), [list(facts.values())]))
    write(run, facts, found)


def _asked(run: TrainedRun) -> dict[str, str]:
    """What all processes must be asked alike."""
    state = manifest.read(run.workdir.checkpoints, run.step).state_sha256
    given = {flag.name: str(flag.value) for flag in (_SPLIT, _STREAMS, _VOTES)}
    size = run.problem.config.data.eval_batch_size
    sizes = {"eval_batch_size": str(size), "examples": str(run.problem.data.size(_SPLIT.value))}
    return {"step": str(run.step), "state_sha256": state, **given, **sizes, "code": code_version()}


def write(run: TrainedRun, facts: dict[str, Any], found: Evaluation) -> None:
    """Writes what is known class by class into the workdir: a table, and a picture of what is confused or of one metric."""
    task, classes, plots = run.problem.task, run.classes, run.workdir.plots
    of = f"{facts['split']}_{facts['streams']}" if "streams" in facts else facts["split"]
    columns = task.by_class(found)
    absent = [name for name, count in zip(classes, columns["examples"], strict=True) if not count]
    if absent:
        which = f"{len(absent):,} of {len(classes):,} classes have no example in split {facts['split']}"
        print(f"note: {which}, and no part in means over classes: {some(absent, 5)}", file=sys.stderr)
    attempt(run.workdir.path / f"per_class_{of}.csv", lambda path: write_table(columns, classes, path))
    title = f"{run.workdir.path.name}, {facts['split']}, step {facts['step']:,}\n"
    if "confusion" in found.sums:
        title += f"accuracy {100 * facts['accuracy']:.1f} %, mean over classes {100 * facts['mean_class_accuracy']:.1f} %"
        matrix = found.sums["confusion"]
        attempt(plots / f"confusion_{of}.png", lambda path: draw_confusion(matrix, classes, path, title))
    else:
        chief = next(name for name in columns if name != "examples")
        title += f"{task.headline.replace('_', ' ')} {100 * facts[task.headline]:.1f} %"
        title += f" over {len(classes) - len(absent):,} of {len(classes):,} classes"
        drawn = columns[chief], columns["examples"], classes
        attempt(plots / f"per_class_{of}.png", lambda path: draw_by_class(*drawn, path, title))
    renew_own(run.workdir)


def attempt(path: Path, make: Callable[[Path], None]) -> None:
    """Makes a file and prints its name; where it cannot be written, only says so."""
    try:
        path.parent.mkdir(exist_ok=True)
        make(path)
    except OSError as error:
        print(disk.unusable(f"{path.name} not written", path, error), file=sys.stderr)
        return
    if not _JSON.value:
        say(str(path))


if __name__ == "__main__":
    command.run(main)
