"""What a set of parameters is worth: exact metrics of a split."""

import contextlib

import jax
import jax.numpy as jnp

from perceiver_jax.data import pipeline
from perceiver_jax.runs.programs import Experiment
from perceiver_jax.system import devices
from perceiver_jax.system.signals import StopFlag
from perceiver_jax.training import metrics
from perceiver_jax.training.step import Variables


def evaluate(experiment: Experiment, variables: Variables, split: str, stop: StopFlag) -> dict[str, float] | None:
    """The metrics over all examples of a split, each counted once; None if asked to stop on the way."""
    sums = split_sums(experiment, variables, split, stop)
    return None if sums is None else metrics.means(sums)


def split_sums(experiment: Experiment, variables: Variables, split: str, stop: StopFlag) -> metrics.Sums | None:
    """The metric sums and the confusion matrix over all examples of a split; None if asked to stop on the way."""
    total = None
    config = experiment.config
    with contextlib.closing(pipeline.eval_batches(config.data, split, config.augment)) as batches:
        for batch in batches:
            if stop.should_stop is not None:
                return None
            total = metrics.add(total, experiment.evaluate(variables, devices.to_devices(batch, experiment.mesh)))
    return jax.device_get(total)


def voted_accuracy(experiment: Experiment, variables: Variables, split: str, votes: int, stop: StopFlag) -> float | None:
    """The accuracy of answers given together: the mean of the probabilities under `votes` random changes of an example.

    The changes are those of training. None if asked to stop on the way.
    """
    total = None
    config = experiment.config
    views = pipeline.vote_batches(config.data, split, config.augment, config.seed, votes)
    with contextlib.closing(views) as batches:
        for place, batch in enumerate(batches):
            if stop.should_stop is not None:
                return None
            batch = devices.to_devices(batch, experiment.mesh)
            probabilities = experiment.probabilities(variables, batch["inputs"])
            mean = probabilities / votes if place % votes == 0 else mean + probabilities / votes
            if place % votes == votes - 1:
                no_losses = jnp.zeros_like(batch["weights"])
                sums = metrics.classification_sums(mean, batch["labels"], no_losses, batch["weights"])
                total = metrics.add(total, sums)
    return metrics.means(jax.device_get(total))["accuracy"]
