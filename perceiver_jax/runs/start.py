"""A run that begins with the parameters of another one."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perceiver_jax.errors import Code, Failure, some
from perceiver_jax.runs.load import TrainedRun, load
from perceiver_jax.runs.problem import Problem
from perceiver_jax.runs.workdir import Origin, Workdir, read_origin, write_origin
from perceiver_jax.system.processes import current
from perceiver_jax.training import manifest

if TYPE_CHECKING:
    from perceiver_jax.runs.programs import Programs
    from perceiver_jax.training.step import TrainState

SHOWN = 10  # parameters named that did not match


def source_of(workdir: Workdir, asked: str | None) -> TrainedRun | None:
    """The run whose parameters the run in a claimed workdir has yet to begin with, RUN or RUN:STEP; None without one.

    A run that has saved a state needs its source no longer, and keeps the one that it began with. Raises Failure: CONFIG
    where another one is asked for, CHECKPOINT where there is no such run or step, or one is damaged.
    """
    path, step = (None, None) if asked is None else _parsed(asked)
    origin, begun = read_origin(workdir), any(workdir.checkpoints.iterdir())
    if asked is not None and (begun or origin is not None):
        same = origin is not None and str(path) == origin.run and step in (None, origin.step)
        if not same:
            began = "its own seed" if origin is None else f"{origin.run} at step {origin.step:,}"
            what, hint = f"workdir {workdir.path} holds a run that began from {began}", "a new --workdir"
            raise Failure(Code.CONFIG, what, found=f"--init_from {asked}", hint=hint)
    if begun or (origin is None and asked is None):
        return None
    source = _opened(path, step) if origin is None else _opened(origin.run, origin.step)
    if origin is None:
        return source
    if _origin(source) != origin:
        what = f"{origin.run} at step {origin.step:,} is not what this run began with"
        raise Failure(Code.CHECKPOINT, what, found=_origin(source).state_sha256, expected=origin.state_sha256)
    return source


def begin_with(programs: "Programs", source: TrainedRun, workdir: Workdir) -> tuple["TrainState", str]:
    """The state of a new run with the variables that another one answers with, and in words which parameters those are.

    What has the same name and shape is taken over; where the classes are others, their outputs are not. Everything else is
    as in any new run, the optimiser above all. Recorded in the workdir.
    Raises Failure(CHECKPOINT) where nothing matches.
    """
    import jax
    import jax.numpy as jnp

    state = programs.initial_state()
    answering = source.programs.restore(source.workdir.checkpoints, source.step).evaluated
    outputs = set() if source.classes == programs.problem.classes else _outputs(programs.problem)
    here, there = _by_name(state.params), _by_name(answering.params)
    taken = _matching(here, there) - outputs
    origin = _origin(source)
    words = f"{len(taken)} of {len(here)} parameters from {origin.run} at step {origin.step:,}"
    left = [f"{name} {_left(here[name], there, name)}" for name in here if name not in taken]
    left += [f"{name} {there[name].shape} only there" for name in there if name not in here]
    words += f"; not: {some(left, SHOWN, f'and {len(left) - SHOWN} more')}" if left else ""
    if not taken:
        raise Failure(Code.CHECKPOINT, words, hint="the --config that --init_from was trained with, or one like it")
    if current().first:
        write_origin(workdir, origin)
    params = _with(state.params, there, taken)
    # The first update sets running means to what it made; until then they are what there is to answer with.
    ema = None if state.ema is None else jax.tree.map(jnp.copy, params)
    means = _by_name(answering.untrained)
    untrained = _with(state.untrained, means, _matching(_by_name(state.untrained), means))
    return dataclasses.replace(state, params=params, ema=ema, untrained=untrained), words


def _parsed(text: str) -> tuple[Path, int | None]:
    """RUN or RUN:STEP."""
    path, _, step = text.rpartition(":")
    named = path and step.isascii() and step.isdecimal()
    return Path(path if named else text).absolute(), int(step) if named else None


def _opened(path: str | Path, step: int | None) -> TrainedRun:
    try:
        return load(path, step)
    except Failure as failure:
        raise dataclasses.replace(failure, hint=failure.hint.replace("--workdir", "--init_from")) from failure


def _origin(run: TrainedRun) -> Origin:
    return Origin(str(run.workdir.path), run.step, manifest.read(run.workdir.checkpoints, run.step).state_sha256)


def _by_name(params: Any) -> dict[str, Any]:
    """The arrays of parameters by their names, in the tree's order."""
    from perceiver_jax.training.checkpoint import leaves

    # The last part is the wrapper's own; a projection of the attention has the same name.
    return {name.removesuffix("/value").replace("/", "."): leaf for name, leaf in leaves(params).items()}


def _matching(here: dict[str, Any], there: dict[str, Any]) -> set[str]:
    """The names that both have, with one shape."""
    return {name for name, leaf in here.items() if name in there and there[name].shape == leaf.shape}


def _with(tree: Any, there: dict[str, Any], taken: set[str]) -> Any:
    """The tree with some of its arrays from elsewhere, on the devices that its own are on."""
    import jax

    leaves = [jax.device_put(there[n], leaf.sharding) if n in taken else leaf for n, leaf in _by_name(tree).items()]
    return jax.tree.unflatten(jax.tree.structure(tree), leaves)


def _outputs(problem: Problem) -> set[str]:
    """The names of the parameters that have one row for each output: their shape changes with the number of them."""
    from flax import nnx

    from perceiver_jax.model import factory

    def shapes(num_outputs: int) -> dict[str, tuple[int, ...]]:
        model = factory.abstract_model(problem.config.model, problem.inputs, num_outputs)
        return {name: leaf.shape for name, leaf in _by_name(nnx.state(model, nnx.Param)).items()}

    now, more = shapes(problem.task.num_outputs), shapes(problem.task.num_outputs + 1)
    return {name for name, shape in now.items() if more[name] != shape}


def _left(parameter: Any, there: dict[str, Any], name: str) -> str:
    """Why a parameter was not taken over: its shape there and here."""
    if name not in there:
        return f"{parameter.shape} only here"
    if there[name].shape == parameter.shape:
        return f"{parameter.shape} of other classes"
    return f"{there[name].shape} here {parameter.shape}"
