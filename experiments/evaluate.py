"""Evaluates a checkpoint of a run on one split, every example counted once, and draws the confusion matrix.

python -m experiments.evaluate --workdir runs/a [--step 5000] [--split test] [--votes 10] [--streams image] [--data_dir DIR]
"""

import json
import sys
from typing import Any

import numpy as np
from absl import flags

from perceiver_jax import command
from perceiver_jax.data import pipeline
from perceiver_jax.errors import Stopped
from perceiver_jax.report.confusion import draw_confusion
from perceiver_jax.report.progress import say
from perceiver_jax.report.tables import table
from perceiver_jax.runs.load import TrainedRun, load
from perceiver_jax.system import disk
from perceiver_jax.system.signals import StopFlag

flags.DEFINE(command.PATH, "workdir", None, "Directory of the run.")
_STEP = flags.DEFINE_integer("step", None, "Step of the checkpoint; default: the newest valid one.")
_SPLIT = flags.DEFINE_string("split", "test", "Split of the data.")
_DATA_DIR = flags.DEFINE(command.PATH, "data_dir", None, "Directory of the data; default: where they were in training.")
_STREAMS = flags.DEFINE_list("streams", None, "Streams to evaluate with, the others zero; default: all.")
_VOTES = flags.DEFINE_integer(
    "votes",
    None,
    "Also classify each example under this many random augmentations and report the accuracy of the mean scores.",
    lower_bound=1,
)
_JSON = flags.DEFINE_bool("json", False, "Print one JSON object instead of a table.")


def main() -> None:
    with StopFlag() as stop:
        run = load(command.require("workdir"), _STEP.value)
        if _DATA_DIR.value is not None:
            run = run.at(_DATA_DIR.value)
        run, changed = run.on_data()
        if changed:
            print(f"note: the data have changed since the run began: {'; '.join(changed)}", file=sys.stderr)
        pipeline.check(run.problem.data)
        pipeline.num_eval_batches(run.problem.data, _SPLIT.value)  # an unknown split ends here
        task = run.problem.task
        found = run.evaluation(_SPLIT.value, stop, _STREAMS.value)
        votes = {} if _VOTES.value is None else {"votes": _VOTES.value}
        if votes and found is not None:
            from perceiver_jax.runs.evaluate import vote

            voted = vote(run.programs, run.variables, _SPLIT.value, _VOTES.value, stop)
            votes[f"voted_{task.headline}"] = None if voted is None else task.finish(voted)[task.headline]
        if found is None or None in votes.values():
            raise Stopped(stop.should_stop, run.step, "the same command starts over")
    streams = {} if _STREAMS.value is None else {"streams": "+".join(_STREAMS.value)}
    facts = {"step": run.step, "split": _SPLIT.value, **streams, **task.finish(found), **votes}
    say(json.dumps(facts) if _JSON.value else table(list(facts), [list(facts.values())]))
    if "confusion" in found.sums:
        draw(run, facts, found.sums["confusion"])


def draw(run: TrainedRun, facts: dict[str, Any], confusion: np.ndarray) -> None:
    """Draws the confusion matrix into the workdir; where that cannot be written, only says so."""
    streams = f"_{facts['streams']}" if "streams" in facts else ""
    picture = run.workdir.plots / f"confusion_{facts['split']}{streams}.png"
    shares = f"accuracy {100 * facts['accuracy']:.1f} %, mean over classes {100 * facts['mean_class_accuracy']:.1f} %"
    title = f"{run.workdir.path.name}, {facts['split']}, step {facts['step']:,}\n{shares}"
    try:
        picture.parent.mkdir(exist_ok=True)
        draw_confusion(confusion, run.classes, picture, title)
    except OSError as error:
        print(disk.unusable("picture not written", picture, error), file=sys.stderr)
        return
    if not _JSON.value:
        say(str(picture))


if __name__ == "__main__":
    command.run(main)
