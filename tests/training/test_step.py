"""One update: what accumulates, what is averaged, what is shared, and that the old state's memory is used again."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from perceiver_jax.model import factory
from perceiver_jax.runs import accounting
from perceiver_jax.runs.programs import Programs
from perceiver_jax.tasks.single_label import losses
from perceiver_jax.training.step import TrainState, Variables, mean_gradient, parameter_update, train_step
from tests.launch import SMALL, problem_of

BATCH = {"x": np.random.default_rng(0).normal(size=(12, 3)), "y": np.random.default_rng(1).normal(size=12)}


def squares(variables, batch):
    """The mean squared error of a linear model, its sums, and what it sets of the model: nothing."""
    params = variables.params
    each = (batch["x"] @ params["w"] + params["b"] - batch["y"]) ** 2
    return each.mean(), ({"loss": each.sum(), "weight": jnp.float64(each.size)}, nnx.State({}))


def updated(accumulation_steps=1, ema_decay=None, steps=1):
    """State and sums after some updates by plain gradient descent at rate 0.1, in float64."""
    with jax.enable_x64(True):
        optimizer = optax.sgd(0.1)
        params = {"w": jnp.array([1.0, -2.0, 3.0]), "b": jnp.array(0.5)}
        state = TrainState.create(Variables(params, nnx.State({})), optimizer, ema_decay is not None)
        step = jax.jit(train_step(mean_gradient(squares, accumulation_steps), parameter_update(optimizer, ema_decay, None)))
        for _ in range(steps):
            state, sums = step(state, jax.tree.map(jnp.asarray, BATCH))
        return jax.tree.map(np.asarray, (state, sums))


def test_an_update_follows_the_mean_gradient_of_the_batch():
    state, sums = updated()
    error = BATCH["x"] @ [1.0, -2.0, 3.0] + 0.5 - BATCH["y"]
    slope = {"w": 2 * error @ BATCH["x"] / 12, "b": 2 * error.mean()}
    np.testing.assert_allclose(state.params["w"], [1.0, -2.0, 3.0] - 0.1 * slope["w"], rtol=1e-12)
    np.testing.assert_allclose(state.params["b"], 0.5 - 0.1 * slope["b"], rtol=1e-12)
    np.testing.assert_allclose(sums["loss"], (error**2).sum(), rtol=1e-12)
    np.testing.assert_allclose(sums["grad_norm"], np.sqrt(slope["w"] @ slope["w"] + slope["b"] ** 2), rtol=1e-12)
    assert (state.step, sums["weight"]) == (1, 12)


@pytest.mark.parametrize("parts", [2, 4, 12])
def test_micro_batches_make_the_update_of_the_whole_batch(parts):
    whole, accumulated = updated(1, 0.9, steps=3), updated(parts, 0.9, steps=3)
    assert jax.tree.structure(whole) == jax.tree.structure(accumulated)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), whole, accumulated)


def test_the_running_mean_weighs_the_parameters_after_each_update():
    visited = [updated(steps=n)[0].params["w"] for n in (1, 2, 3)]
    state = updated(ema_decay=0.5, steps=3)[0]
    np.testing.assert_allclose(state.evaluated.params["w"], np.average(visited, axis=0, weights=[1, 2, 4]), rtol=1e-6)
    np.testing.assert_allclose(state.params["w"], visited[-1], rtol=1e-12)


def test_without_a_running_mean_the_parameters_are_evaluated():
    state = updated()[0]
    assert state.ema is None
    assert state.evaluated.params is state.params


def untrained_after(batches, accumulation_steps, ema_decay):
    """The statistics that a model answers with after updates by some batches, kept with a decay of 0.5: the means of x."""

    def loss(variables, batch):
        value, (sums, _) = squares(variables, batch)
        return value, (sums, nnx.State({"mean": batch["x"].mean(axis=0)}))

    with jax.enable_x64(True):
        optimizer, params = optax.sgd(0.1), {"w": jnp.zeros(3), "b": jnp.zeros(())}
        # What a new model has is not the mean of any batch.
        variables = Variables(params, nnx.State({"mean": jnp.full(3, 100.0)}))
        state = TrainState.create(variables, optimizer, ema_decay is not None)
        assert not np.any(state.untrained["mean"])
        step = jax.jit(train_step(mean_gradient(loss, accumulation_steps), parameter_update(optimizer, ema_decay, 0.5)))
        for x in batches:
            state, _ = step(state, {"x": jnp.asarray(x), "y": jnp.asarray(BATCH["y"])})
        return np.asarray(state.evaluated.untrained["mean"])


@pytest.mark.parametrize(("ema_decay", "decay"), [(None, 0.5), (0.25, 0.5), (0.75, 0.75)])
def test_what_is_untrained_is_weighed_by_the_slower_decay_and_nothing_weighs_before_the_first(ema_decay, decay):
    batches = [BATCH["x"] + shift for shift in (7.0, 1.0, 4.0)]
    expected = np.average([x.mean(axis=0) for x in batches], axis=0, weights=[decay**2, decay, 1])
    # The weights are float32's.
    np.testing.assert_allclose(untrained_after(batches, 1, ema_decay), expected, rtol=1e-6)


def test_of_micro_batches_the_mean_of_what_they_set_is_kept():
    np.testing.assert_allclose(untrained_after([BATCH["x"]], 4, None), BATCH["x"].mean(axis=0), rtol=1e-12)


def test_the_state_given_to_a_step_is_used_up():
    programs = Programs(problem_of(*SMALL, "--config.optim.ema_decay=0.5"))
    state = programs.initial_state()
    before = [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(state)]
    batch = {"inputs": {"image": np.zeros((8, 8, 8, 1), np.float32)}, "masks": {}, "labels": np.zeros(8, np.int32)}
    after, _ = programs.step(state, batch)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state))
    now = [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(after)]
    assert set(now) == set(before)  # no array of the state was reallocated


def gradient(problem, params):
    """Of the loss on one batch, by float64."""
    graph = nnx.graphdef(accounting.abstract_model(problem))
    rng = np.random.default_rng(0)
    inputs, labels = jnp.asarray(rng.normal(size=(2, 8, 8, 1))), jnp.asarray(rng.integers(10, size=2))

    def loss(params):
        return losses.softmax_cross_entropy(nnx.merge(graph, params)(inputs).logits, labels, 0.0).mean()

    return jax.jit(jax.grad(loss))(params)


def test_the_gradient_of_shared_weights_is_the_sum_over_their_uses():
    """Against a model with the same numbers and a set of weights at each place: cross-attends 2 and 3, blocks 1 and 2."""
    places = ["--config.model.num_blocks=2", "--config.model.num_cross_attends=3", "--config.model.arrangement=at_start"]
    shared = problem_of(*SMALL, *places, '--config.model.sharing="paper"')
    apart = problem_of(*SMALL, *places, '--config.model.sharing="none"')
    with jax.enable_x64(True):
        model = factory.make_model(shared.config.model, shared.inputs, shared.task.num_outputs, nnx.Rngs(0))
        params = nnx.to_pure_dict(nnx.state(model, nnx.Param))
        rng = np.random.default_rng(1)  # the head starts at zero, and then nothing else would have a gradient
        params = jax.tree.map(lambda leaf: jnp.asarray(leaf + 0.1 * rng.normal(size=leaf.shape)), params)
        copies = {
            "cross_attends": {0: params["cross_attends"][0], 1: params["cross_attends"][1], 2: params["cross_attends"][1]},
            "self_attends": dict.fromkeys(range(2), params["self_attends"][0]),
        }
        both = []
        for problem, values in ((shared, params), (apart, params | copies)):
            state = nnx.state(accounting.abstract_model(problem), nnx.Param)
            nnx.replace_by_pure_dict(state, values)
            both.append(nnx.to_pure_dict(gradient(problem, state)))
        one, each = jax.tree.map(np.asarray, both)
    assert set(one["cross_attends"]) == {0, 1}
    assert set(one["self_attends"]) == {0}

    def total(*uses):
        return jax.tree.map(lambda *leaves: sum(leaves), *uses)

    expected = each | {
        "cross_attends": {0: each["cross_attends"][0], 1: total(each["cross_attends"][1], each["cross_attends"][2])},
        "self_attends": {0: total(*each["self_attends"].values())},
    }
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12), one, expected)
    assert np.abs(one["cross_attends"][1]["value"]["kernel"]).max() > 1e-6
