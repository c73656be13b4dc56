"""One update of the parameters, over a mesh of devices."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from perceiver_jax.system.parts import part
from perceiver_jax.tasks import Sums
from perceiver_jax.training import optim

Batch = Mapping[str, Any]  # a data.batch.Batch on the devices


class Variables(NamedTuple):
    """What a forward pass computes with."""

    params: Any
    untrained: Any  # what batches set rather than gradients: nnx.BatchStat; for most models empty


# What a training batch gives: its mean loss, its metric sums, and what it sets of the untrained variables.
Loss = Callable[[Variables, Batch], tuple[Float[Array, ""], tuple[Sums, Any]]]


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["step", "params", "opt_state", "ema", "untrained"], meta_fields=[]
)
@dataclasses.dataclass(frozen=True)
class TrainState:
    """All that training changes."""

    step: Any  # int32 scalar: updates done
    params: Any
    opt_state: optax.OptState
    ema: Any | None  # running mean of the parameters, if one is kept
    untrained: Any  # running mean of what the batches set

    @classmethod
    def create(cls, variables: Variables, optimizer: optax.GradientTransformation, keep_ema: bool) -> "TrainState":
        """The state of a new model before the first update."""
        params, untrained = variables
        zeros = functools.partial(jax.tree.map, lambda leaf: jnp.zeros(leaf.shape, leaf.dtype))
        average = zeros(params) if keep_ema else None
        return cls(jnp.zeros((), jnp.int32), params, optimizer.init(params), average, zeros(untrained))

    @property
    def evaluated(self) -> Variables:
        """The variables that are evaluated: the running means where they are kept."""
        return Variables(self.params if self.ema is None else self.ema, self.untrained)


# What a batch gives: its metric sums, then the gradient of its mean loss and what it sets of the untrained variables.
Gradient = Callable[[Variables, Batch], tuple[Sums, tuple[Any, Any]]]
# The next state by what a batch gave, and its metric sums with `grad_norm`.
Update = Callable[[TrainState, Sums, tuple[Any, Any]], tuple[TrainState, Sums]]


def mean_gradient(loss: Loss, accumulation_steps: int) -> Gradient:
    """The function (variables, batch) -> (metric sums, (mean gradient, mean of what is set)).

    The batch is read in as many micro-batches as there are steps, one after the other.
    """

    def gradient(variables: Variables, batch: Batch) -> tuple[Sums, tuple[Any, Any]]:
        of_params = lambda params: loss(variables._replace(params=params), batch)  # noqa: E731
        (_, (sums, untrained)), grads = jax.value_and_grad(of_params, has_aux=True)(variables.params)
        return sums, (grads, untrained)

    def accumulated(variables: Variables, batch: Batch) -> tuple[Sums, tuple[Any, Any]]:
        # Every k-th example: each device keeps examples it already holds.
        micro = jax.tree.map(lambda x: x.reshape(-1, accumulation_steps, *x.shape[1:]).swapaxes(0, 1), batch)
        like = jax.eval_shape(gradient, variables, jax.tree.map(lambda x: x[0], micro))
        zero = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), like)
        add = lambda sum_, each: (jax.tree.map(jnp.add, sum_, gradient(variables, each)), None)  # noqa: E731
        with part("accumulation"):
            total, _ = jax.lax.scan(add, zero, micro)
            return total[0], jax.tree.map(lambda sum_: sum_ / accumulation_steps, total[1])

    return gradient if accumulation_steps == 1 else accumulated


def parameter_update(
    optimizer: optax.GradientTransformation, ema_decay: float | None, untrained_decay: float | None
) -> Update:
    """The function (state, metric sums, (mean gradient, mean of what is set)) -> (next state, sums with `grad_norm`).

    Where a running mean of the parameters is evaluated, that of what is untrained is no faster: they belong together.
    """

    def update(state: TrainState, sums: Sums, means: tuple[Any, Any]) -> tuple[TrainState, Sums]:
        grads, untrained = means
        with part("optimiser"):
            updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
            params = optax.apply_updates(state.params, updates)
            average = None if ema_decay is None else optim.ema(state.ema, params, ema_decay, state.step)
            if untrained_decay is not None:
                untrained = optim.ema(state.untrained, untrained, max(untrained_decay, ema_decay or 0.0), state.step)
            state = TrainState(state.step + 1, params, opt_state, average, untrained)
            return state, sums | {"grad_norm": optax.tree.norm(grads)}

    return update


def train_step(gradient: Gradient, update: Update) -> Callable[[TrainState, Batch], tuple[TrainState, Sums]]:
    """The function (state, batch) -> (next state, metric sums with `grad_norm`), to be jitted with the state donated."""

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Sums]:
        return update(state, *gradient(Variables(state.params, state.untrained), batch))

    return step
