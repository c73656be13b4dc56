"""A config put together: the model, its loss and its optimiser, over the devices."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec

from perceiver_jax import accounting
from perceiver_jax.config import Config
from perceiver_jax.training import checkpoint, devices, losses, metrics, optim
from perceiver_jax.training.step import Batch, TrainState, train_step


class Experiment:
    """What a run computes with. Made before any array exists; raises Failure(CONFIG) for devices that do not fit."""

    def __init__(self, config: Config):
        self.config = config
        devices.keep_compiled_programs()
        parts = config.optim.accumulation_steps
        name = "data.batch_size" if parts == 1 else "data.batch_size / optim.accumulation_steps"
        sizes = {name: config.data.batch_size // parts, "data.eval_batch_size": config.data.eval_batch_size}
        self.mesh = devices.make_mesh(config.mesh.model, config.mesh.inputs, sizes)
        self.graph = nnx.graphdef(accounting.abstract_model(config))
        self.schedule = jax.jit(optim.schedule(config.optim, config.num_steps))
        self.optimizer = optim.optimizer(config.optim, config.num_steps)
        shapes = jax.eval_shape(self._create)
        self._sharding = devices.state_sharding(self.mesh, shapes)
        self.abstract_state = jax.tree.map(_placed, shapes, self._sharding)  # shapes, types and shardings

    def _create(self) -> TrainState:
        params = nnx.state(accounting.make_model(self.config, nnx.Rngs(self.config.seed)), nnx.Param)
        return TrainState.create(params, self.optimizer, self.config.optim.ema_decay is not None)

    def initial_state(self) -> TrainState:
        """The state before the first update; a function of the seed alone."""
        return jax.jit(self._create, out_shardings=self._sharding)()

    def restore(self, checkpoints: Path, step: int) -> TrainState:
        """The state saved at a step whose manifest has been verified.

        Raises Failure(CHECKPOINT) where it is another model's.
        """
        return checkpoint.restore(checkpoints, step, self.abstract_state)

    def forward(self, params: Any, inputs: jax.Array, capture: bool = False) -> Any:
        """The model's output for a batch of inputs."""
        with jax.sharding.use_abstract_mesh(self.mesh.abstract_mesh):
            return nnx.merge(self.graph, params)(inputs, capture=capture)

    def _loss(self, params: Any, batch: Batch) -> tuple[jax.Array, metrics.Sums]:
        """The mean loss of a batch and its metric sums; an example of weight 0 is padding."""
        logits = self.forward(params, batch["inputs"]).logits
        each = losses.softmax_cross_entropy(logits, batch["labels"], self.config.train.label_smoothing)
        weights = batch["weights"] if "weights" in batch else jnp.ones_like(each)
        return each.mean(), metrics.classification_sums(logits, batch["labels"], each, weights)

    @functools.cached_property
    def step(self) -> Callable[[TrainState, Batch], tuple[TrainState, metrics.Sums]]:
        """The jitted update (state, batch) -> (next state, metric sums); the state given is used up."""
        optim_config = self.config.optim
        step = train_step(self._loss, self.optimizer, optim_config.accumulation_steps, optim_config.ema_decay)
        everywhere = NamedSharding(self.mesh, PartitionSpec())
        return jax.jit(step, donate_argnums=0, out_shardings=(self._sharding, everywhere))

    @functools.cached_property
    def evaluate(self) -> Callable[[Any, Batch], metrics.Sums]:
        """The jitted function (params, batch) -> metric sums."""
        return jax.jit(lambda params, batch: self._loss(params, batch)[1])


def _placed(leaf: jax.ShapeDtypeStruct, sharding: NamedSharding) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)
