"""A config put together: the model, its loss and its optimiser, over the devices."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec

from perceiver_jax.model.heads import Output
from perceiver_jax.runs import accounting
from perceiver_jax.settings.config import Config
from perceiver_jax.system import devices
from perceiver_jax.training import checkpoint, losses, metrics, optim
from perceiver_jax.training.step import Batch, TrainState, Variables, train_step


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
        self._everywhere = NamedSharding(self.mesh, PartitionSpec())
        self.abstract_state = jax.tree.map(_placed, shapes, self._sharding)  # shapes, types and shardings

    def _create(self) -> TrainState:
        model = accounting.make_model(self.config, nnx.Rngs(self.config.seed))
        variables = Variables(*nnx.state(model, nnx.Param, nnx.BatchStat))
        return TrainState.create(variables, self.optimizer, self.config.optim.ema_decay is not None)

    def initial_state(self) -> TrainState:
        """The state before the first update; a function of the seed alone."""
        return jax.jit(self._create, out_shardings=self._sharding)()

    def restore(self, checkpoints: Path, step: int) -> TrainState:
        """The state saved at a step whose manifest has been verified.

        Raises Failure(CHECKPOINT) where it is another model's.
        """
        return checkpoint.restore(checkpoints, step, self.abstract_state)

    def forward(self, variables: Variables, inputs: jax.Array, capture: bool = False) -> Output:
        """The model's output for a batch of inputs; a trained state's `evaluated` are the variables to answer with."""
        model = nnx.merge(self.graph, *variables)
        model.eval()
        with jax.sharding.use_abstract_mesh(self.mesh.abstract_mesh):
            return model(inputs, capture=capture)

    def _losses(self, logits: jax.Array, batch: Batch) -> jax.Array:
        """The loss of each example."""
        smoothing = self.config.train.label_smoothing
        if "portions" in batch:
            mixed = batch["labels"], batch["other_labels"], batch["portions"]
            return losses.mixed_softmax_cross_entropy(logits, *mixed, smoothing)
        return losses.softmax_cross_entropy(logits, batch["labels"], smoothing)

    def _loss(self, variables: Variables, batch: Batch) -> tuple[jax.Array, tuple[metrics.Sums, Any]]:
        """The mean loss of a batch, its metric sums and what it sets of the model; a mixed example counts by `labels`."""
        model = nnx.merge(self.graph, *variables, copy=True)  # it sets its own
        with jax.sharding.use_abstract_mesh(self.mesh.abstract_mesh):
            logits = model(batch["inputs"]).logits
        each = self._losses(logits, batch)
        sums = metrics.classification_sums(logits, batch["labels"], each, jnp.ones_like(each))
        return each.mean(), (sums, nnx.state(model, nnx.BatchStat))

    def _evaluation(self, variables: Variables, batch: Batch) -> metrics.Sums:
        """The metric sums and the confusion matrix of a batch, in which weight 0 marks padding."""
        logits = self.forward(variables, batch["inputs"]).logits
        labels, weights = batch["labels"], batch["weights"]
        sums = metrics.classification_sums(logits, labels, self._losses(logits, batch), weights)
        return sums | {"confusion": metrics.confusion(logits, labels, weights)}

    @functools.cached_property
    def step(self) -> Callable[[TrainState, Batch], tuple[TrainState, metrics.Sums]]:
        """The jitted update (state, batch) -> (next state, metric sums); the state given is used up."""
        config, model = self.config.optim, self.config.model
        decays = config.ema_decay, model.untrained_decay
        step = train_step(self._loss, self.optimizer, config.accumulation_steps, *decays)
        return jax.jit(step, donate_argnums=0, out_shardings=(self._sharding, self._everywhere))

    @functools.cached_property
    def evaluate(self) -> Callable[[Variables, Batch], metrics.Sums]:
        """The jitted function (variables, batch with weights) -> metric sums, `confusion` among them."""
        return jax.jit(self._evaluation, out_shardings=self._everywhere)

    @functools.cached_property
    def probabilities(self) -> Callable[[Variables, jax.Array], jax.Array]:
        """The jitted function (variables, inputs) -> the probability of each class."""
        return jax.jit(lambda variables, inputs: jax.nn.softmax(self.forward(variables, inputs).logits))


def _placed(leaf: jax.ShapeDtypeStruct, sharding: NamedSharding) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)
