"""Trains one config; run again, it resumes or says that it is done.

python -m experiments.train --config configs/mnist5k.py[:variant] --workdir runs/a [--config.optim.learning_rate=0.002]
"""

import json
import sys
from typing import Any

from absl import flags

from perceiver_jax import command
from perceiver_jax.data import pipeline
from perceiver_jax.report.progress import say
from perceiver_jax.report.selection import reported_split
from perceiver_jax.report.tables import summary
from perceiver_jax.runs import workdir
from perceiver_jax.settings.config import Config
from perceiver_jax.system import memory
from perceiver_jax.system.signals import StopFlag

flags.DEFINE_string("workdir", None, "Directory of the run.")
command.define_config()


def main() -> None:
    config = command.config()
    memory.keep()
    with StopFlag() as stop, workdir.claim(command.require("workdir"), config, sys.argv) as place:
        pipeline.check(config.data)
        result = finished(place, config)
        if result is None:
            from perceiver_jax.runs.train import train  # JAX from here on: every wrong config has ended by now

            result = train(config, place, stop)
        else:
            say(f"{place.path} is done.")
        tell(result, config, place)


def finished(place: workdir.Workdir, config: Config) -> dict[str, Any] | None:
    """The result of a run that has already come to its end."""
    result = json.loads(place.result.read_text()) if place.result.exists() else None
    return result if result and result["step"] == config.num_steps else None


def tell(result: dict[str, Any], config: Config, place: workdir.Workdir) -> None:
    """Prints how the run ended: its score among the baselines and at its best step, its cost, its pictures."""
    split = reported_split(result["metrics"])
    others = dict(config.spec.baselines) if split == "test" else {}
    chosen = {name: result[name] for name in ("best_by_validation", "best_by_test") if name in result}
    if split == "test" and "best_by_validation" in chosen:
        best = chosen["best_by_validation"]
        others[f"best by validation (step {best['step']:,})"] = best["test"]["accuracy"]
    accuracy = result["metrics"][split]["accuracy"]
    say(summary(split, "accuracy", accuracy, others, result["parameters"], result["step"], result["seconds"]))
    if chosen.keys() == {"best_by_validation", "best_by_test"}:
        best = chosen["best_by_test"]
        say(f"best by test, chosen by the score itself (step {best['step']:,}): {100 * best['test']['accuracy']:.1f} %")
    say(f"state_sha256 {result['state_sha256']}")
    say("\n".join(str(picture) for picture in sorted(place.plots.glob("*.png"))))


if __name__ == "__main__":
    command.run(main)
