"""How parameters are updated: LAMB with the paper's decay mask, and the learning rate over the run (section 4.1)."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from perceiver_jax.training.config import Constant, FlatCosine, OptimConfig, Steps

UNDECAYED = ("bias", "scale")  # last names of the parameters that weight decay leaves alone: biases and norms


def schedule(config: OptimConfig, num_steps: int) -> optax.Schedule:
    """The learning rate of each update, counted from 0. Never a warm-up: with LAMB it prevents models from training."""
    rate = config.learning_rate
    match config.schedule:
        case Constant():
            return optax.constant_schedule(rate)
        case Steps(milestones=milestones, factor=factor):
            return optax.piecewise_constant_schedule(rate, {round(m * num_steps): factor for m in milestones})
        case FlatCosine(flat_fraction=flat_fraction):
            flat = round(flat_fraction * num_steps)
            decay = optax.cosine_decay_schedule(rate, max(1, num_steps - flat))
            return optax.join_schedules([optax.constant_schedule(rate), decay], [flat])


def rates(schedule: optax.Schedule, count: int) -> Float[Array, " count"]:
    """The learning rates of the first `count` updates."""
    return jax.jit(jax.vmap(lambda step: jnp.asarray(schedule(step), jnp.float32)))(jnp.arange(count))


def decay_mask(params: Any) -> Any:
    """True for every parameter that is decayed: weights, latents and learned positions, not biases and norms."""
    return jax.tree_util.tree_map_with_path(lambda path, _: path_names(path)[-1] not in UNDECAYED, params)


def path_names(path: tuple[Any, ...]) -> tuple[str, ...]:
    """The names along a key path of the parameters, without the wrapper's own `value`."""
    names = (str(getattr(key, "key", getattr(key, "name", getattr(key, "idx", key)))) for key in path)
    return tuple(name for name in names if name != "value")


def optimizer(config: OptimConfig, num_steps: int) -> optax.GradientTransformation:
    """Clipping of the whole gradient, then LAMB (or AdamW) at the scheduled rate.

    LAMB is Adam's step, decay where `decay_mask` is True, and the trust ratio on every tensor.
    """
    make = {"lamb": optax.lamb, "adamw": optax.adamw}[config.kind]
    step = make(
        schedule(config, num_steps),
        b1=config.b1,
        b2=config.b2,
        eps=config.eps,
        weight_decay=config.weight_decay,
        mask=decay_mask,
    )
    return step if config.clip_norm is None else optax.chain(optax.clip_by_global_norm(config.clip_norm), step)


def ema(average: Any, params: Any, decay: float, step: jax.Array) -> Any:
    """The running mean of parameters or statistics after update `step` (from 0), with Adam's correction for its start."""
    weight = (1 - decay) / (1 - decay ** (step.astype(jnp.float32) + 1))
    return jax.tree.map(lambda a, p: a + weight.astype(p.dtype) * (p - a), average, params)
