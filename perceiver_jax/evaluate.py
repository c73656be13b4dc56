"""What a set of parameters is worth: exact metrics of a split."""

import contextlib

import jax

from perceiver_jax.data import pipeline
from perceiver_jax.experiment import Experiment
from perceiver_jax.signals import StopFlag
from perceiver_jax.training import devices, metrics
from perceiver_jax.training.step import Variables


def evaluate(experiment: Experiment, variables: Variables, split: str, stop: StopFlag) -> dict[str, float] | None:
    """The metrics over all examples of a split, each counted once; None if asked to stop on the way."""
    total = None
    config = experiment.config
    with contextlib.closing(pipeline.eval_batches(config.data, split, config.augment)) as batches:
        for batch in batches:
            if stop.should_stop is not None:
                return None
            total = metrics.add(total, experiment.evaluate(variables, devices.to_devices(batch, experiment.mesh)))
    return metrics.means(jax.device_get(total))
