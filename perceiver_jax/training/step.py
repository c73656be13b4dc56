"""One update of the parameters, over a mesh of devices."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from perceiver_jax.training import metrics, optim

Batch = Mapping[str, Array]
# (params, batch) -> mean loss, (metric sums, the statistics of the batch's norms; None: the model has none)
Loss = Callable[[Any, Batch], tuple[Float[Array, ""], tuple[metrics.Sums, Any]]]


class Variables(NamedTuple):
    """What a forward pass computes with."""

    params: Any
    statistics: Any  # what batch norms normalise by; None: the batch's own, or the model has no such norms


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["step", "params", "opt_state", "ema", "statistics"], meta_fields=[]
)
@dataclasses.dataclass(frozen=True)
class TrainState:
    """All that training changes."""

    step: Any  # int32 scalar: updates done
    params: Any
    opt_state: optax.OptState
    ema: Any | None  # running mean of the parameters, if one is kept
    statistics: Any | None  # running mean of the batches' statistics, if the model has batch norms

    @classmethod
    def create(
        cls, params: Any, optimizer: optax.GradientTransformation, keep_ema: bool, statistics: Any = None
    ) -> "TrainState":
        """The state before the first update; `statistics` are the shapes of those a batch has."""
        zeros = functools.partial(jax.tree.map, lambda leaf: jnp.zeros(leaf.shape, leaf.dtype))
        average = zeros(params) if keep_ema else None
        return cls(jnp.zeros((), jnp.int32), params, optimizer.init(params), average, zeros(statistics))

    @property
    def evaluated(self) -> Variables:
        """What answers are given with: the running means where they are kept."""
        return Variables(self.params if self.ema is None else self.ema, self.statistics)


def train_step(
    loss: Loss,
    optimizer: optax.GradientTransformation,
    accumulation_steps: int,
    ema_decay: float | None,
    statistics_decay: float | None,
) -> Callable[[TrainState, Batch], tuple[TrainState, metrics.Sums]]:
    """The function (state, batch) -> (next state, metric sums with `grad_norm`), to be jitted with the state donated.

    Where a running mean of the parameters is evaluated, that of the statistics is no faster: they belong together.
    """

    def gradient(params: Any, batch: Batch) -> tuple[metrics.Sums, tuple[Any, Any]]:
        (_, (sums, statistics)), grads = jax.value_and_grad(loss, has_aux=True)(params, batch)
        return sums, (grads, statistics)

    def accumulated(params: Any, batch: Batch) -> tuple[metrics.Sums, tuple[Any, Any]]:
        """Sums, mean gradient and mean statistics of the batch, one micro-batch after the other."""
        # Every k-th example: each device keeps examples it already holds.
        micro = jax.tree.map(lambda x: x.reshape(-1, accumulation_steps, *x.shape[1:]).swapaxes(0, 1), batch)
        like = jax.eval_shape(gradient, params, jax.tree.map(lambda x: x[0], micro))
        zero = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), like)
        total, _ = jax.lax.scan(lambda sum_, b: (jax.tree.map(jnp.add, sum_, gradient(params, b)), None), zero, micro)
        return total[0], jax.tree.map(lambda sum_: sum_ / accumulation_steps, total[1])

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, metrics.Sums]:
        sums, (grads, statistics) = (gradient if accumulation_steps == 1 else accumulated)(state.params, batch)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        average = None if ema_decay is None else optim.ema(state.ema, params, ema_decay, state.step)
        if statistics is not None:
            statistics = optim.ema(state.statistics, statistics, max(statistics_decay, ema_decay or 0.0), state.step)
        state = TrainState(state.step + 1, params, opt_state, average, statistics)
        return state, sums | {"grad_norm": optax.tree.norm(grads)}

    return step
