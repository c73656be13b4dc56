"""Evaluation: exact metrics of a set of parameters on a split."""

import contextlib
from collections.abc import Callable, Collection, Iterator

import jax
import jax.numpy as jnp
import numpy as np

from perceiver_jax.data import pipeline
from perceiver_jax.data.batch import Batch
from perceiver_jax.runs.programs import Programs
from perceiver_jax.system import devices
from perceiver_jax.system.signals import StopFlag
from perceiver_jax.tasks import Evaluation
from perceiver_jax.training.step import Variables


def evaluate(
    programs: Programs,
    variables: Variables,
    split: str,
    stop: StopFlag,
    dropped: Collection[str] = (),
    further: Callable[[], None] = lambda: None,
) -> Evaluation | None:
    """What is known of all examples of a split, each counted once; None if asked to stop early.

    Of several views of an example the scores are averaged. The `dropped` streams are zero. `further` is called for each
    batch.
    """
    problem = programs.problem
    views = problem.config.views.num_evaluation
    with contextlib.closing(pipeline.eval_batches(problem.data, split, dropped, **devices.this_host())) as batches:
        return _merged(programs, variables, batches, views, stop, further)


def vote(programs: Programs, variables: Variables, split: str, votes: int, stop: StopFlag) -> Evaluation | None:
    """The same for the mean of the scores under `votes` random changes of an example, those of training."""
    problem = programs.problem
    with contextlib.closing(
        pipeline.vote_batches(problem.data, split, problem.config.seed, votes, **devices.this_host())
    ) as batches:
        return _merged(programs, variables, batches, votes, stop, lambda: None)


def _merged(
    programs: Programs,
    variables: Variables,
    batches: Iterator[Batch],
    views: int,
    stop: StopFlag,
    further: Callable[[], None],
) -> Evaluation | None:
    """The batches together; each comes `views` times in a row."""
    sums, examples = None, []
    logits: list[jax.Array] = []
    for batch in batches:
        further()
        if stop.should_stop is not None:
            return None
        batch = devices.to_devices(devices.padded(batch, programs.mesh), programs.mesh)
        if views == 1:
            part = programs.evaluate(variables, batch)
        else:
            logits.append(programs.logits(variables, batch["inputs"], batch["masks"]))
            if len(logits) < views:
                continue
            part, logits = programs.evaluate_mean(logits, batch), []
        sums = part.sums if sums is None else jax.tree.map(jnp.add, sums, part.sums)
        examples.append(jax.device_get(part.examples))
    together = {name: np.concatenate([part[name] for part in examples]) for name in examples[0]}
    return Evaluation(jax.device_get(sums), together)
