"""One update of the parameters, over a mesh of devices."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from perceiver_jax.training import metrics, optim

Batch = Mapping[str, Array]
Loss = Callable[[Any, Batch], tuple[Float[Array, ""], metrics.Sums]]  # (params, batch) -> mean loss, metric sums


@functools.partial(jax.tree_util.register_dataclass, data_fields=["step", "params", "opt_state", "ema"], meta_fields=[])
@dataclasses.dataclass(frozen=True)
class TrainState:
    """All that training changes."""

    step: Any  # int32 scalar: updates done
    params: Any
    opt_state: optax.OptState
    ema: Any | None  # running mean of the parameters, if one is kept

    @classmethod
    def create(cls, params: Any, optimizer: optax.GradientTransformation, keep_ema: bool) -> "TrainState":
        """The state before the first update."""
        average = jax.tree.map(jnp.zeros_like, params) if keep_ema else None
        return cls(jnp.zeros((), jnp.int32), params, optimizer.init(params), average)

    @property
    def evaluated(self) -> Any:
        """The parameters that answers are given with: the running mean where one is kept."""
        return self.params if self.ema is None else self.ema


def train_step(
    loss: Loss, optimizer: optax.GradientTransformation, accumulation_steps: int, ema_decay: float | None
) -> Callable[[TrainState, Batch], tuple[TrainState, metrics.Sums]]:
    """The function (state, batch) -> (next state, metric sums with `grad_norm`), to be jitted with the state donated."""

    def gradient(params: Any, batch: Batch) -> tuple[metrics.Sums, Any]:
        (_, sums), grads = jax.value_and_grad(loss, has_aux=True)(params, batch)
        return sums, grads

    def accumulated(params: Any, batch: Batch) -> tuple[metrics.Sums, Any]:
        """Sums and mean gradient of the batch, one micro-batch after the other."""
        # Every k-th example: each device keeps examples it already holds.
        micro = jax.tree.map(lambda x: x.reshape(-1, accumulation_steps, *x.shape[1:]).swapaxes(0, 1), batch)
        like = jax.eval_shape(gradient, params, jax.tree.map(lambda x: x[0], micro))
        zero = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), like)
        total, _ = jax.lax.scan(lambda sum_, b: (jax.tree.map(jnp.add, sum_, gradient(params, b)), None), zero, micro)
        return total[0], jax.tree.map(lambda g: g / accumulation_steps, total[1])

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, metrics.Sums]:
        sums, grads = (gradient if accumulation_steps == 1 else accumulated)(state.params, batch)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        average = None if ema_decay is None else optim.ema(state.ema, params, ema_decay, state.step)
        return TrainState(state.step + 1, params, opt_state, average), sums | {"grad_norm": optax.tree.norm(grads)}

    return step
