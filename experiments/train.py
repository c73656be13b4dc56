"""Trains one config; run again, it resumes or says that it is done.

python -m experiments.train --config configs/mnist5k.py[:variant] --workdir runs/a [--config.optim.learning_rate=0.002]
"""

import json
import sys
from typing import Any

from absl import flags

from perceiver_jax import command, workdir
from perceiver_jax.config import Config, dump
from perceiver_jax.data import pipeline
from perceiver_jax.report.progress import say
from perceiver_jax.report.tables import summary
from perceiver_jax.signals import StopFlag

flags.DEFINE_string("workdir", None, "Directory of the run.")
command.define_config()


def main() -> None:
    config = command.config()
    command.take_large_pages()
    with StopFlag() as stop, workdir.claim(command.require("workdir"), dump(config), sys.argv) as place:
        pipeline.check(config.data)
        result = finished(place, config)
        if result is None:
            from perceiver_jax.train import train  # JAX from here on: every wrong config has ended by now

            result = train(config, place, stop)
        else:
            say(f"{place.path} is done.")
        tell(result, config, place)


def finished(place: workdir.Workdir, config: Config) -> dict[str, Any] | None:
    """The result of a run that has already come to its end."""
    result = json.loads(place.result.read_text()) if place.result.exists() else None
    return result if result and result["step"] == config.num_steps else None


def tell(result: dict[str, Any], config: Config, place: workdir.Workdir) -> None:
    """Prints how the run ended: its score among the baselines, its cost, its pictures."""
    split = next(name for name in result["metrics"] if name != "train")
    baselines = config.spec.baselines if split == "test" else {}
    accuracy = result["metrics"][split]["accuracy"]
    say(summary(split, "accuracy", accuracy, baselines, result["parameters"], result["step"], result["seconds"]))
    say(f"state_sha256 {result['state_sha256']}")
    say("\n".join(str(picture) for picture in sorted(place.plots.glob("*.png"))))


if __name__ == "__main__":
    command.run(main)
