import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from configs.digits import get_config
from perceiver_jax.runs import accounting
from perceiver_jax.runs.problem import resolve
from perceiver_jax.settings.config import parse
from perceiver_jax.training import optim
from perceiver_jax.training.config import Constant, FlatCosine, OptimConfig, Steps

BASE = parse(get_config()).optim


def make(**changes) -> OptimConfig:
    return BASE.model_copy(update=changes)


def test_the_paper_s_steps_fall_by_ten_at_epochs_84_102_114_of_120():
    rate = optim.schedule(
        make(learning_rate=0.004, schedule=Steps(kind="steps", milestones=(0.7, 0.85, 0.95), factor=0.1)), 1200
    )
    expected = {0: 0.004, 839: 0.004, 840: 0.0004, 1019: 0.0004, 1020: 4e-5, 1139: 4e-5, 1140: 4e-6, 1199: 4e-6}
    for step, value in expected.items():
        assert float(rate(step)) == pytest.approx(value, rel=1e-6)


def test_flat_cosine_is_flat_then_half_a_cosine_to_zero():
    rate = optim.schedule(make(learning_rate=2.0, schedule=FlatCosine(kind="flat_cosine", flat_fraction=0.5)), 100)
    assert [float(rate(step)) for step in (0, 25, 50)] == [2.0, 2.0, 2.0]
    assert float(rate(75)) == pytest.approx(1.0, rel=1e-6)
    assert float(rate(100)) == pytest.approx(0.0, abs=1e-7)


def test_constant_stays():
    rate = optim.schedule(make(learning_rate=1e-3, schedule=Constant(kind="constant")), 10)
    assert float(rate(0)) == float(rate(10**6)) == pytest.approx(1e-3)


def abstract_params(**model):
    values = get_config()
    for name, value in model.items():
        with values.model.ignore_type():
            values.model[name] = value
    return nnx.state(accounting.abstract_model(resolve(parse(values))), nnx.Param)


def test_weight_decay_takes_weights_latents_and_learned_positions_but_no_bias_and_no_norm():
    params = abstract_params(
        positions={"kind": "learned", "channels": 8, "init_scale": 1.0}, head="query", num_cross_attend_heads=1
    )
    mask = jax.tree_util.tree_flatten_with_path(optim.decay_mask(params))[0]
    decayed = {optim.path_names(path)[-1] for path, value in mask if value}
    left = {optim.path_names(path)[-1] for path, value in mask if not value}
    assert decayed == {"kernel", "latents", "positions", "query"}
    assert left == {"bias", "scale"}  # disjoint sets that hold every parameter: each is in exactly one group


def test_lamb_is_adam_plus_decay_scaled_by_the_trust_ratio_of_each_array():
    constant = Constant(kind="constant")
    config = make(
        kind="lamb", learning_rate=0.1, schedule=constant, weight_decay=0.5, clip_norm=None, b1=0.5, b2=0.5, eps=1e-6
    )
    params = {"kernel": jnp.array([[3.0, 4.0]]), "bias": jnp.array([2.0])}
    grads = {"kernel": jnp.array([[1.0, -2.0]]), "bias": jnp.array([-0.5])}
    optimizer = optim.optimizer(config, 10)
    updates, _ = optimizer.update(grads, optimizer.init(params), params)

    adam = np.array([1 / (1 + config.eps), -2 / (2 + config.eps)])  # the first step of Adam, bias-corrected
    step = adam + 0.5 * np.array([3.0, 4.0])
    np.testing.assert_allclose(updates["kernel"][0], -0.1 * step * 5 / np.linalg.norm(step), rtol=1e-6)
    np.testing.assert_allclose(updates["bias"], 0.1 * 2.0, rtol=1e-6)  # no decay; unit step times the norm of the bias


def test_clipping_is_of_the_whole_gradient():
    config = make(kind="adamw", clip_norm=1.0, b1=0.0, b2=0.0, weight_decay=0.0, eps=1.0, learning_rate=1.0)
    params = {"a": jnp.zeros(1), "b": jnp.zeros(1)}
    optimizer = optim.optimizer(config, 10)
    updates, _ = optimizer.update({"a": jnp.array([30.0]), "b": jnp.array([40.0])}, optimizer.init(params), params)
    # Clipped to (0.6, 0.8), and without moments the step is g / (|g| + 1).
    np.testing.assert_allclose([float(updates["a"][0]), float(updates["b"][0])], [-0.6 / 1.6, -0.8 / 1.8], rtol=1e-5)


def test_the_running_mean_is_a_weighted_mean_from_the_first_update_on():
    average, values = {"x": jnp.zeros(1)}, [1.0, 2.0, 4.0]
    for step, value in enumerate(values):
        average = optim.ema(average, {"x": jnp.array([value])}, 0.5, jnp.array(step))
    weights = 0.5 ** np.arange(2, -1, -1)
    np.testing.assert_allclose(float(average["x"][0]), np.dot(weights, values) / weights.sum(), rtol=1e-6)


def test_every_named_optimizer_lowers_a_quadratic():
    for name in ("lamb", "adamw"):
        optimizer = optim.optimizer(make(kind=name, learning_rate=0.01, weight_decay=0.0), 100)
        params = {"kernel": jnp.array([1.0, -2.0])}
        state = optimizer.init(params)
        for _ in range(50):
            updates, state = optimizer.update(params, state, params)
            params = optax.apply_updates(params, updates)
        assert float(optax.tree.norm(params)) < 0.9 * np.sqrt(5)
