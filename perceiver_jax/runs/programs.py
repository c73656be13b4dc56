"""A config put together: the model, its loss and its optimiser, over the devices."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec

from perceiver_jax.baselines.config import ResNetConfig
from perceiver_jax.model.perceiver import Output
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
        params = nnx.state(accounting.make_model(self.config, nnx.Rngs(self.config.seed)), nnx.Param)
        statistics = None
        if isinstance(self.config.model, ResNetConfig):
            example = jax.ShapeDtypeStruct((1, *self.config.spec.shape), jnp.float32)
            statistics = jax.eval_shape(lambda *given: self.forward(*given).statistics, Variables(params, None), example)
        return TrainState.create(params, self.optimizer, self.config.optim.ema_decay is not None, statistics)

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
        options = {} if variables.statistics is None else {"statistics": variables.statistics}
        with jax.sharding.use_abstract_mesh(self.mesh.abstract_mesh):
            return nnx.merge(self.graph, variables.params)(inputs, capture=capture, **options)

    def _losses(self, variables: Variables, batch: Batch) -> tuple[Output, jax.Array]:
        """The model's output for a batch and the loss of each example."""
        output = self.forward(variables, batch["inputs"])
        logits = output.logits
        smoothing = self.config.train.label_smoothing
        if "portions" in batch:
            mixed = batch["labels"], batch["other_labels"], batch["portions"]
            each = losses.mixed_softmax_cross_entropy(logits, *mixed, smoothing)
        else:
            each = losses.softmax_cross_entropy(logits, batch["labels"], smoothing)
        return output, each

    def _loss(self, variables: Variables, batch: Batch) -> tuple[jax.Array, tuple[metrics.Sums, Any]]:
        """The mean loss of a batch, its metric sums and its statistics; a mixed example counts by `labels`."""
        output, each = self._losses(variables, batch)
        sums = metrics.classification_sums(output.logits, batch["labels"], each, jnp.ones_like(each))
        return each.mean(), (sums, output.statistics)

    def _evaluation(self, variables: Variables, batch: Batch) -> metrics.Sums:
        """The metric sums and the confusion matrix of a batch, in which weight 0 marks padding."""
        output, each = self._losses(variables, batch)
        labels, weights = batch["labels"], batch["weights"]
        sums = metrics.classification_sums(output.logits, labels, each, weights)
        return sums | {"confusion": metrics.confusion(output.logits, labels, weights)}

    @functools.cached_property
    def step(self) -> Callable[[TrainState, Batch], tuple[TrainState, metrics.Sums]]:
        """The jitted update (state, batch) -> (next state, metric sums); the state given is used up."""
        config, model = self.config.optim, self.config.model
        step = train_step(
            lambda params, batch: self._loss(Variables(params, None), batch),
            self.optimizer,
            config.accumulation_steps,
            config.ema_decay,
            model.statistics_decay if isinstance(model, ResNetConfig) else None,
        )
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
