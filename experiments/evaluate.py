"""Evaluates a checkpoint of a run on one split, every example counted once.

python -m experiments.evaluate --workdir runs/a [--step 5000] [--split test]
"""

import json
from pathlib import Path

from absl import flags

from perceiver_jax import command, workdir
from perceiver_jax.config import read
from perceiver_jax.data import pipeline
from perceiver_jax.errors import Stopped
from perceiver_jax.report.progress import say
from perceiver_jax.report.tables import table
from perceiver_jax.signals import StopFlag
from perceiver_jax.training import manifest

flags.DEFINE_string("workdir", None, "Directory of the run.")
_STEP = flags.DEFINE_integer("step", None, "Checkpoint to evaluate; without it the newest valid one.")
_SPLIT = flags.DEFINE_string("split", "test", "Split of the data.")
_JSON = flags.DEFINE_bool("json", False, "Print one JSON object instead of a table.")


def main() -> None:
    place = workdir.Workdir(Path(command.require("workdir")).absolute())
    with StopFlag() as stop:
        config = read(workdir.read_config(str(place.path)))
        pipeline.check(config.data)
        pipeline.num_eval_batches(config.data, _SPLIT.value)  # an unknown split ends here
        step = manifest.chosen_step(place.checkpoints, _STEP.value)
        from perceiver_jax.evaluate import evaluate  # JAX from here on
        from perceiver_jax.experiment import Experiment

        experiment = Experiment(config)
        state = experiment.restore(place.checkpoints, step)
        numbers = evaluate(experiment, state.evaluated, _SPLIT.value, stop)
        if numbers is None:
            raise Stopped(stop.should_stop, step)
    facts = {"step": step, "split": _SPLIT.value, **numbers}
    say(json.dumps(facts) if _JSON.value else table(list(facts), [list(facts.values())]))


if __name__ == "__main__":
    command.run(main)
