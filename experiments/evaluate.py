"""Evaluates a checkpoint of a run on one split, every example counted once, and draws which classes are taken for which.

python -m experiments.evaluate --workdir runs/a [--step 5000] [--split test] [--votes 10]
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

from perceiver_jax import command
from perceiver_jax.data import pipeline
from perceiver_jax.errors import Stopped
from perceiver_jax.report.confusion import draw_confusion
from perceiver_jax.report.progress import say
from perceiver_jax.report.tables import table
from perceiver_jax.runs import workdir
from perceiver_jax.settings.config import Config, read
from perceiver_jax.system import disk
from perceiver_jax.system.signals import StopFlag
from perceiver_jax.training import manifest

flags.DEFINE_string("workdir", None, "Directory of the run.")
_STEP = flags.DEFINE_integer("step", None, "Checkpoint to evaluate; without it the newest valid one.")
_SPLIT = flags.DEFINE_string("split", "test", "Split of the data.")
_VOTES = flags.DEFINE_integer(
    "votes",
    None,
    "Also look at each example this many times, changed as in training, and let the mean answer.",
    lower_bound=1,
)
_JSON = flags.DEFINE_bool("json", False, "Print one JSON object instead of a table.")


def main() -> None:
    place = workdir.Workdir(Path(command.require("workdir")).absolute())
    with StopFlag() as stop:
        config = read(workdir.read_config(str(place.path)))
        pipeline.check(config.data)
        pipeline.num_eval_batches(config.data, _SPLIT.value)  # an unknown split ends here
        step = manifest.chosen_step(place.checkpoints, _STEP.value)
        from perceiver_jax.runs.evaluate import split_sums, voted_accuracy  # JAX from here on
        from perceiver_jax.runs.programs import Experiment
        from perceiver_jax.training.metrics import means

        experiment = Experiment(config)
        variables = experiment.restore(place.checkpoints, step).evaluated
        sums = split_sums(experiment, variables, _SPLIT.value, stop)
        votes = {} if _VOTES.value is None else {"votes": _VOTES.value}
        if votes and sums is not None:
            votes["voted_accuracy"] = voted_accuracy(experiment, variables, _SPLIT.value, _VOTES.value, stop)
        if sums is None or None in votes.values():
            raise Stopped(stop.should_stop, step)
    facts = {"step": step, "split": _SPLIT.value, **means(sums), **votes}
    say(json.dumps(facts) if _JSON.value else table(list(facts), [list(facts.values())]))
    draw(place, config, facts, sums["confusion"])


def draw(place: workdir.Workdir, config: Config, facts: dict[str, Any], confusion: np.ndarray) -> None:
    """Draws the confusion matrix into the workdir; where that cannot be written, only says so."""
    picture = place.plots / f"confusion_{facts['split']}.png"
    shares = f"accuracy {100 * facts['accuracy']:.1f} %, mean over classes {100 * facts['mean_class_accuracy']:.1f} %"
    title = f"{config.data.source}, {facts['split']}, step {facts['step']:,}\n{shares}"
    try:
        picture.parent.mkdir(exist_ok=True)
        draw_confusion(confusion, config.spec.classes, picture, title)
    except OSError as error:
        print(disk.unusable("no picture", picture, error), file=sys.stderr)
        return
    if not _JSON.value:
        say(str(picture))


if __name__ == "__main__":
    command.run(main)
