"""Whether a run that has begun may have another length: what it has learned must be what a run of that length learns."""

import numpy as np

from perceiver_jax.errors import Code, Failure
from perceiver_jax.runs.problem import Problem
from perceiver_jax.runs.programs import training_mesh
from perceiver_jax.system import devices
from perceiver_jax.training import optim


def check_length(where: str, before: Problem, after: Problem, done: int) -> None:
    """Raises Failure(CONFIG) where a run of `done` updates cannot take the length of `after`, or devices do not fit.

    It must not have done more than that, and the learning rate of every update done must be the same to the bit. Nothing
    else of training depends on a run's length.
    """
    names = f'train.duration "{before.config.train.duration}" -> "{after.config.train.duration}"'
    if after.num_steps < done:
        what, why = f"{where} holds a run of {done:,} steps done", f"it cannot be made as short as {after.num_steps:,}"
        raise Failure(Code.CONFIG, what, why, found=names, hint="a new --workdir")
    devices.keep_compiled_programs()
    training_mesh(after.config)
    schedules = (optim.schedule(problem.config.optim, problem.num_steps) for problem in (before, after))
    old, new = (np.asarray(optim.rates(schedule, done)) for schedule in schedules)
    differ = np.flatnonzero(old != new)
    if len(differ):
        step = int(differ[0])
        found = f"{names}; the rate of step {step + 1:,} was {old[step]:g}, with the other length it is {new[step]:g}"
        expected = f"the same learning rate in each of the {done:,} steps done"
        hint = "a new --workdir, from the start or from this run's parameters (--init_from)"
        what = f"{where} holds a run whose schedule has another length"
        raise Failure(Code.CONFIG, what, found=found, expected=expected, hint=hint)
