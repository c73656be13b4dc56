"""What a run computes with: the model, its loss and its optimiser as compiled programs over the devices."""

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from perceiver_jax.model import factory
from perceiver_jax.model.heads import Output
from perceiver_jax.model.inputs import Streams
from perceiver_jax.runs.problem import Problem
from perceiver_jax.settings.config import Config
from perceiver_jax.system import devices
from perceiver_jax.system.crash_points import crash_point
from perceiver_jax.system.each_device import everywhere, for_one_device
from perceiver_jax.system.parts import part
from perceiver_jax.tasks import Evaluation, Sums
from perceiver_jax.training import checkpoint, optim
from perceiver_jax.training.step import Batch, TrainState, Variables, mean_gradient, parameter_update, train_step
from perceiver_jax.training.strict import strict_step


class Programs:
    """The programs of a problem. Made before any array exists; raises Failure(CONFIG) for devices that do not fit.

    Those that only answer, of a trained run, fit any number of devices.
    """

    def __init__(self, problem: Problem, only_answers: bool = False):
        self.problem, config = problem, problem.config
        devices.keep_compiled_programs()
        self.mesh = devices.answering_mesh(config.mesh.model, config.mesh.inputs) if only_answers else training_mesh(config)
        self.graph = nnx.graphdef(factory.abstract_model(config.model, problem.inputs, problem.task.num_outputs))
        self.schedule = jax.jit(optim.schedule(config.optim, problem.num_steps))
        self.optimizer = optim.optimizer(config.optim, problem.num_steps)
        shapes = jax.eval_shape(self._create)
        self._sharding = devices.state_sharding(self.mesh, shapes)
        self._everywhere = NamedSharding(self.mesh, PartitionSpec())
        self.abstract_state = jax.tree.map(_placed, shapes, self._sharding)  # shapes, types and shardings

    def _create(self) -> TrainState:
        return new_state(self.problem, self.optimizer)

    def initial_state(self) -> TrainState:
        """The state before the first update; a function of the seed alone."""
        if self.problem.config.mesh.virtual_shards is None:
            return jax.jit(self._create, out_shardings=self._sharding)()
        return jax.device_put(everywhere(for_one_device(self._create)(), self.mesh), self._sharding)

    def restore(self, checkpoints: Path, step: int) -> TrainState:
        """The state saved at a step whose manifest has been verified.

        Raises Failure(CHECKPOINT) where it is another model's.
        """
        return checkpoint.restore(checkpoints, step, self.abstract_state)

    def forward(self, variables: Variables, inputs: Streams, masks: Streams, capture: bool = False) -> Output:
        """The model's output for a batch of inputs; a trained state's `evaluated` are the variables to answer with."""
        model = nnx.merge(self.graph, *variables)
        model.eval()
        with self._tracing():
            return model(inputs, masks, capture=capture)

    @contextlib.contextmanager
    def _tracing(self) -> Iterator[None]:
        """What holds for all that is traced within: who shares an example's inputs, and how exact products are."""
        with contextlib.ExitStack() as stack:
            if self.mesh.shape[devices.INPUTS] > 1:
                stack.enter_context(jax.sharding.use_abstract_mesh(self.mesh.abstract_mesh))
            stack.enter_context(jax.default_matmul_precision(self.problem.config.model.matmul_precision))
            yield

    def _loss(self, variables: Variables, batch: Batch) -> tuple[jax.Array, tuple[Sums, Any]]:
        """The mean loss of a batch, its metric sums and what it sets of the model; with mixup or CutMix `labels` count."""
        crash_point("mid-compile")  # this is traced
        task, model = self.problem.task, nnx.merge(self.graph, *variables, copy=True)  # it sets its own
        logits = model(batch["inputs"], batch["masks"]).logits
        with part("loss"):
            each = task.losses(logits, batch["labels"])
            if self.problem.mixes:
                portions = batch["portions"]
                each = portions * each + (1 - portions) * task.losses(logits, batch["other_labels"])
            return each.mean(), (task.training_sums(logits, batch["labels"], each), nnx.state(model, nnx.BatchStat))

    @functools.cached_property
    def step(self) -> Callable[[TrainState, Batch], tuple[TrainState, Sums]]:
        """The update (state, batch) -> (next state, metric sums); the state given is used up.

        One jitted program, but with `mesh.virtual_shards` a function of several.
        """
        config = self.problem.config
        # All of it: the backward pass is traced after the loss.
        gradient = self._tracing()(mean_gradient(self._loss, config.optim.accumulation_steps))
        update = parameter_update(self.optimizer, config.optim.ema_decay, config.model.untrained_decay)
        if config.mesh.virtual_shards is not None:
            return strict_step(gradient, update, self.mesh, self._sharding, config.mesh.virtual_shards)
        shardings = (self._sharding, self._everywhere)
        return jax.jit(train_step(gradient, update), donate_argnums=0, out_shardings=shardings)

    @functools.cached_property
    def logits(self) -> Callable[[Variables, Streams, Streams], jax.Array]:
        """The jitted function (variables, inputs, masks) -> logits."""
        return jax.jit(lambda *given: self.forward(*given).logits, out_shardings=self._everywhere)

    @functools.cached_property
    def evaluate(self) -> Callable[[Variables, Batch], Evaluation]:
        """The jitted function (variables, batch with weights) -> what is known of the batch, of one view of it."""

        def evaluation(variables: Variables, batch: Batch) -> Evaluation:
            logits = self.forward(variables, batch["inputs"], batch["masks"]).logits
            return self.problem.task.evaluation(logits, batch["labels"], batch["weights"])

        return jax.jit(evaluation, out_shardings=self._everywhere)

    @functools.cached_property
    def evaluate_mean(self) -> Callable[[Sequence[jax.Array], Batch], Evaluation]:
        """The jitted function (logits of several views, batch) -> what is known of the batch by the mean of their scores."""

        def evaluation(views: Sequence[jax.Array], batch: Batch) -> Evaluation:
            logits = self.problem.task.averaged(jnp.stack(views))
            return self.problem.task.evaluation(logits, batch["labels"], batch["weights"])

        return jax.jit(evaluation, out_shardings=self._everywhere)

    @functools.cached_property
    def latents(self) -> Callable[[Variables, Streams, Streams], jax.Array]:
        """The jitted function (variables, inputs, masks) -> the latents as the head gets them."""

        def encode(variables: Variables, inputs: Streams, masks: Streams) -> jax.Array:
            with self._tracing():
                return nnx.merge(self.graph, *variables).encode(inputs, masks)

        return jax.jit(encode)


def new_state(problem: Problem, optimizer: optax.GradientTransformation) -> TrainState:
    """The state before the first update."""
    config, rngs = problem.config, nnx.Rngs(problem.config.seed)
    model = factory.make_model(config.model, problem.inputs, problem.task.num_outputs, rngs)
    variables = Variables(*nnx.state(model, nnx.Param, nnx.BatchStat))
    return TrainState.create(variables, optimizer, config.optim.ema_decay is not None)


def divided(config: Config) -> dict[str, int]:
    """The sizes, by name, that the devices of a training run must divide."""
    parts = config.optim.accumulation_steps
    name = "data.batch_size" if parts == 1 else "data.batch_size / optim.accumulation_steps"
    return {name: config.data.batch_size // parts, "data.eval_batch_size": config.data.eval_batch_size}


def training_mesh(config: Config) -> Mesh:
    """That of a run's devices, of all processes; raises Failure(CONFIG) where they do not fit."""
    return devices.make_mesh(config.mesh.model, config.mesh.inputs, divided(config), config.mesh.virtual_shards)


def _placed(leaf: jax.ShapeDtypeStruct, sharding: NamedSharding) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)
