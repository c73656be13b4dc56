"""The memory of a training step, counted on the abstract model: none of the devices need be there."""

from collections.abc import Iterable, Mapping
from typing import Any

import jax
from flax import nnx
from jax.extend import core
from jax.sharding import AbstractMesh

from perceiver_jax.model import factory
from perceiver_jax.model.config import InputSpec
from perceiver_jax.runs.accounting import num_bytes, stream_shapes
from perceiver_jax.runs.problem import Problem
from perceiver_jax.runs.programs import divided, new_state
from perceiver_jax.system import devices
from perceiver_jax.training import optim


def train_memory_bytes(problem: Problem) -> int:
    """An estimate of the memory of one training step on one device: the sum of what `held_by_each` counts."""
    return sum(_held(problem, dict.fromkeys(devices.AXES, 1)).values())


def held_by_each(problem: Problem, count: int) -> dict[str, Any]:
    """The bytes that each of `count` devices of one host holds in a training step, by what they are of; and the mesh.

    `mesh` has the devices along each axis. `parameters`, `optimiser`, `averages` (of parameters and statistics) and `batch`
    (inputs and masks) are exact. `gradient` is as large as all parameters, also where they are split, and of virtual
    shards those that are alive at a time. `activations` are what differentiation keeps of the forward pass of a micro-batch,
    as traced: what the compiler merges, adds or copies besides is not in them.
    Raises Failure(CONFIG) where training on this number of devices would.
    """
    mesh = problem.config.mesh
    devices.check_division(count, count, (mesh.model, mesh.inputs), divided(problem.config), mesh.virtual_shards)
    shape = {"data": count // mesh.model // mesh.inputs, "model": mesh.model, devices.INPUTS: mesh.inputs}
    return {"mesh": shape, **_held(problem, shape)}


def _held(problem: Problem, shape: Mapping[str, int]) -> dict[str, int]:
    """The same for a mesh of this shape."""
    config, strict = problem.config, problem.config.mesh.virtual_shards
    mesh = AbstractMesh(tuple(shape.values()), tuple(shape))
    state = jax.eval_shape(lambda: new_state(problem, optim.optimizer(config.optim, problem.num_steps)))
    part = state if strict else jax.tree.map(_of_one_device, state, devices.state_sharding(mesh, state))
    reading = shape["data"] * shape["model"]  # devices that have examples of their own
    examples, shards = config.data.batch_size // reading, (strict or reading) // reading
    specs = _shared(problem.inputs, shape[devices.INPUTS])
    return {
        "parameters": num_bytes(part.params),
        "optimiser": num_bytes(part.opt_state),
        "averages": num_bytes((part.ema, part.untrained)),
        "gradient": num_bytes(state.params) * (shards.bit_length() + 1 if strict else 1),
        "batch": num_bytes(stream_shapes(specs, problem.masked, examples)),
        "activations": _activation_bytes(problem, specs, examples // shards // config.optim.accumulation_steps),
    }


def _of_one_device(leaf: jax.ShapeDtypeStruct, sharding: jax.sharding.NamedSharding) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(sharding.shard_shape(leaf.shape), leaf.dtype)


def _shared(specs: Iterable[InputSpec], num_sharing: int) -> tuple[InputSpec, ...]:
    """What each of some devices that share every example's inputs has of the streams: a part of their first axis."""
    return tuple(spec._replace(grid=(spec.grid[0] // num_sharing, *spec.grid[1:])) for spec in specs)


def _activation_bytes(problem: Problem, specs: tuple[InputSpec, ...], batch: int) -> int:
    """What differentiation keeps of the forward pass besides parameters and inputs."""
    model = factory.abstract_model(problem.config.model, specs, problem.task.num_outputs)
    graph, params, untrained = nnx.split(model, nnx.Param, nnx.BatchStat)

    def residuals(params: Any, untrained: Any, inputs: Any, masks: Any) -> Any:
        forward = lambda params: nnx.merge(graph, params, untrained, copy=True)(inputs, masks).logits  # noqa: E731
        return jax.vjp(forward, params)[1]

    program = jax.make_jaxpr(residuals)(params, untrained, *stream_shapes(specs, problem.masked, batch)).jaxpr
    kept = {one for one in program.outvars if isinstance(one, core.Var)}  # each once, and no constant
    return sum(one.aval.size * one.aval.dtype.itemsize for one in kept - set(program.invars))
