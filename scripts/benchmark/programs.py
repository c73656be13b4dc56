"""What is measured of JAX: for an operation and a contestant, a function of arrays, and arrays to give it.

Contestants: `ours` is the package, `ours_remat_block` and `ours_remat_layer` the same keeping less for the backward pass,
`plain` is plain.py. All of a shape get the same numbers, so that they can be seen to compute the same.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float

from perceiver_jax.model.perceiver import Perceiver
from perceiver_jax.runs import accounting
from scripts.benchmark import plain
from scripts.benchmark.shapes import LEARNING_RATE, Shape

CPU_MATMUL, ACCELERATOR_MATMUL = 2048, 8192  # sizes of a square product that takes the full rate
Features = dict[str, Array]  # by stream


@dataclasses.dataclass(frozen=True)
class Program:
    """A function of (state, the rest), traced from shapes; `arguments()` makes the arrays.

    Where it is `stateful` it gives the next state first, in place of the old one, and what is reported of it second.
    """

    function: Callable
    abstract: tuple[Any, ...]
    arguments: Callable[[], tuple[Any, ...]]
    stateful: bool = False

    def flops(self) -> int:
        """Operations of one call, two a multiply-add, as the traced program asks for them."""
        return accounting.program_flops(jax.make_jaxpr(self.function)(*self.abstract).jaxpr)

    def lower(self) -> jax.stages.Lowered:
        """The traced program, to be compiled."""
        return jax.jit(self.function, donate_argnums=0 if self.stateful else ()).lower(*self.abstract)


def program(operation: str, contestant: str, shape: Shape) -> Program:
    """The program of `forward`, `train_step`, `core_value` or `core_gradient`."""
    name, _, remat = contestant.partition("_remat_")
    shape = shape.changed(shape.name, remat=remat or "none")
    return OPERATIONS[operation](shape, ours=name == "ours")


def matmul() -> Program:
    """The machine's own rate: one large product."""
    size = CPU_MATMUL if jax.default_backend() == "cpu" else ACCELERATOR_MATMUL
    x = jax.ShapeDtypeStruct((size, size), jnp.float32)
    return Program(jnp.matmul, (x, x), lambda: (_normal(x), _normal(x)))


def _forward(shape: Shape, ours: bool) -> Program:
    """(params, features) -> logits."""
    graph, params = _model(shape)
    abstract = (params, _features(shape))
    return Program(functools.partial(_logits, graph, ours), abstract, functools.partial(_arguments, shape))


def _train_step(shape: Shape, ours: bool) -> Program:
    """(params, features, labels) -> (params after one update, loss)."""
    graph, params = _model(shape)

    def loss(params: Any, features: Features, labels: Array) -> Float[Array, ""]:
        logits = _logits(graph, ours, params, features)
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    def step(params: Any, features: Features, labels: Array) -> tuple[Any, Float[Array, ""]]:
        value, gradient = jax.value_and_grad(loss)(params, features, labels)
        return jax.tree.map(lambda p, g: p - LEARNING_RATE * g, params, gradient), value

    labels = jnp.arange(shape.batch) % shape.num_classes
    abstract = (params, _features(shape), jax.ShapeDtypeStruct(labels.shape, labels.dtype))
    return Program(step, abstract, lambda: (*_arguments(shape), labels), stateful=True)


def _core_value(shape: Shape, ours: bool) -> Program:
    """(params of a cross-attend, query, features) -> what the queries read from the inputs."""
    graph, params = _model(shape)
    query = jax.ShapeDtypeStruct((shape.batch, shape.model.num_latents, _channels(shape)), jnp.float32)

    def read(params: Any, query: Array, features: Features) -> Float[Array, "B N C"]:
        model = nnx.merge(graph, params)
        module, (segment,) = model.cross_attends[0], model.inputs(features)
        if ours:
            return module.read_folded(query, [segment], capture=False)[0]
        state = nnx.to_pure_dict(nnx.state(module))
        return plain.read(state, query, segment.array(), module.num_heads)

    def arguments() -> tuple[Any, ...]:
        params, features = _arguments(shape)
        return params, _normal(query), features

    return Program(read, (params, query, _features(shape)), arguments)


def _core_gradient(shape: Shape, ours: bool) -> Program:
    """The same with the gradient of a scalar of it, as in training: to parameters and query, not to the inputs."""
    value = _core_value(shape, ours)

    def scalar(params: Any, query: Array, features: Features) -> tuple[Float[Array, ""], Array]:
        result = value.function(params, query, features)
        return jnp.mean(jnp.square(result)), result

    def gradient(params: Any, query: Array, features: Features) -> Any:
        (_, result), gradient = jax.value_and_grad(scalar, (0, 1), has_aux=True)(params, query, features)
        return result, gradient

    return Program(gradient, value.abstract, value.arguments)


OPERATIONS = {
    "forward": _forward,
    "train_step": _train_step,
    "core_value": _core_value,
    "core_gradient": _core_gradient,
}


def _make(shape: Shape) -> Perceiver:
    return Perceiver(shape.model, shape.inputs, shape.num_classes, nnx.Rngs(0))


def _model(shape: Shape) -> tuple[Any, Any]:
    return nnx.split(nnx.eval_shape(lambda: _make(shape)))


def _channels(shape: Shape) -> int:
    return nnx.eval_shape(lambda: _make(shape)).inputs.channels


def _features(shape: Shape) -> dict[str, jax.ShapeDtypeStruct]:
    sizes = {spec.name: (shape.batch, *spec.grid, spec.num_features) for spec in shape.inputs}
    return {name: jax.ShapeDtypeStruct(size, jnp.float32) for name, size in sizes.items()}


def _logits(graph: Any, ours: bool, params: Any, features: Features) -> Float[Array, "B Y"]:
    model = nnx.merge(graph, params)
    return model(features).logits if ours else plain.perceiver(model, features)


def _arguments(shape: Shape) -> tuple[Any, Features]:
    """Parameters, and features."""
    return jax.tree.map_with_path(_parameter, _model(shape)[1]), jax.tree.map(_normal, _features(shape))


def _parameter(path: tuple[Any, ...], like: jax.ShapeDtypeStruct) -> Array:
    """A parameter as it may be after some training: a head of zeros, as it begins, would have gradients of zero."""
    name = jax.tree_util.keystr(path)
    if "kernel" in name:
        return _normal(like) / like.shape[-2] ** 0.5
    return 0.02 * _normal(like) + ("scale" in name)


def _normal(like: jax.ShapeDtypeStruct) -> Array:
    """Normal numbers, the same in every process. Made by numpy: nothing is compiled for them."""
    dtype = jnp.result_type(float)
    return jnp.asarray(np.random.default_rng(like.shape).standard_normal(like.shape, dtype))
