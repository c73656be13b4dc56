"""What is counted of a config without its data and without its devices."""

import sys

from perceiver_jax.data.sources import Contents
from perceiver_jax.errors import Code, Failure
from perceiver_jax.runs.problem import Problem, make
from perceiver_jax.settings.config import Config

STAND_IN = Contents(classes=("?", "??"), num_examples={"train": 1000, "test": 100})  # of data that are not there

HELD = {
    "parameters": "parameters",
    "optimiser": "optimiser",
    "averages": "running means",
    "gradient": "gradient",
    "batch": "batch",
    "activations": "activations (estimate)",
}  # by its name in the JSON object, what a device holds


def problem_of(config: Config) -> Problem:
    """The config with what its data are; where they are not there, with a stand-in, which is reported on stderr."""
    try:
        return make(config, config.source().contents(), fingerprint="")
    except Failure as failure:
        if failure.code != Code.DATA:
            raise
        classes, sizes = len(STAND_IN.classes), STAND_IN.num_examples["train"]
        found = f"{failure.what}: {failure.where}"
        print(f"note: {found}; counted as for {classes} classes of {sizes:,} examples", file=sys.stderr)
        return make(config, STAND_IN, fingerprint="")
