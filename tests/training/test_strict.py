"""The update of virtual shards: what each is, and the order in which their gradients are summed."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec

from perceiver_jax.system import devices
from perceiver_jax.training.step import TrainState, Variables, mean_gradient, parameter_update
from perceiver_jax.training.strict import strict_step

NUMBERS = np.array([2**24, 1, 1, 1, 1, 3, -(2**24), 1], np.float32)  # in another order they come to 4, 5, 6 or 8
SUM = ((NUMBERS[0] + NUMBERS[1]) + (NUMBERS[2] + NUMBERS[3])) + ((NUMBERS[4] + NUMBERS[5]) + (NUMBERS[6] + NUMBERS[7]))


def updated(numbers, num_shards, accumulation_steps=1):
    """State and sums after an update by plain gradient descent at rate 1 of one parameter, from 0."""

    def loss(variables, batch):
        each = variables.params["w"] * batch["x"]
        return each.mean(), ({"first": batch["x"][0], "weight": jnp.float32(each.size)}, nnx.State({"seen": each.mean()}))

    mesh, optimizer = devices.make_mesh(1, 1, {}), optax.sgd(1.0)
    variables = Variables({"w": jnp.zeros(())}, nnx.State({"seen": jnp.zeros(())}))
    state = jax.device_put(TrainState.create(variables, optimizer, False), NamedSharding(mesh, PartitionSpec()))
    sharding = jax.tree.map(lambda leaf: leaf.sharding, state)
    gradient, update = mean_gradient(loss, accumulation_steps), parameter_update(optimizer, None, 0.5)
    step = strict_step(gradient, update, mesh, sharding, num_shards)
    after, sums = step(state, devices.to_devices({"x": numbers}, mesh))
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state))
    assert jax.tree.map(lambda leaf: leaf.sharding, after) == sharding
    return after, sums


def test_gradients_are_summed_by_halves():
    assert {float(np.add.accumulate(some)[-1]) for some in (NUMBERS, NUMBERS[::-1])} == {5, 8}
    assert SUM == 7
    state, sums = updated(NUMBERS, num_shards=8)
    assert float(state.params["w"]) == -SUM / 8
    assert (float(sums["grad_norm"]), float(sums["weight"]), int(state.step)) == (abs(SUM) / 8, 8, 1)


def test_a_shard_is_a_part_of_the_batch_in_its_order():
    _, sums = updated(np.arange(12, dtype=np.float32), num_shards=4)
    assert float(sums["first"]) == 0 + 3 + 6 + 9


def test_a_shard_may_be_read_in_micro_batches():
    numbers = np.arange(1, 17, dtype=np.float32)
    whole, parts = updated(numbers, num_shards=2), updated(numbers, num_shards=2, accumulation_steps=4)
    assert float(whole[0].params["w"]) == float(parts[0].params["w"]) == -numbers.mean()
    assert float(parts[1]["first"]) == 1 + 2 + 3 + 4 + 9 + 10 + 11 + 12
