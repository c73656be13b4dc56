"""One update whose bits are the same on any number of devices.

A batch is a fixed number of virtual shards, whatever the devices. The gradient of each is computed on one device, by a
program that has no part in what others do, and they are summed along a fixed binary tree: the two halves of the batch, the
halves of those, and so on. A device's shards are a branch of it, so that each device sums its own, and then pairs of devices
exchange sums. Each then makes the whole update by itself.

It costs the memory of several gradients, and of the whole state on each device during the update.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from perceiver_jax.system.each_device import on_each
from perceiver_jax.tasks import Sums
from perceiver_jax.training.step import Batch, Gradient, TrainState, Update, Variables


def strict_step(
    gradient: Gradient, update: Update, mesh: Mesh, sharding: Any, num_shards: int
) -> Callable[[TrainState, Batch], tuple[TrainState, Sums]]:
    """The function (state, batch) -> (next state, metric sums with `grad_norm`); the state given is used up.

    `num_shards` is a power of two and a multiple of the devices, over which the batch is split along its first axis.
    `sharding` is that of the state between steps.
    """
    own, everywhere = num_shards // mesh.size, NamedSharding(mesh, PartitionSpec())

    def shard(batch: Batch, index: jax.Array) -> Batch:
        return jax.tree.map(lambda leaf: leaf.reshape(own, -1, *leaf.shape[1:])[index], batch)

    def stacked(variables: Variables, batch: Batch) -> Any:
        return jax.tree.map(lambda leaf: leaf[None], gradient(variables, batch))

    def add(a: Any, b: Any) -> Any:
        return jax.tree.map(jnp.add, a, b)

    def exchanged(parts: Any) -> Any:
        total, distance = jax.tree.map(lambda leaf: leaf[0], parts), 1
        while distance < mesh.size:
            pairs = [(device, device ^ distance) for device in range(mesh.size)]
            # Both of a pair add the same two numbers: a + b is b + a to the bit.
            total = add(total, jax.tree.map(lambda leaf: jax.lax.ppermute(leaf, mesh.axis_names, pairs), total))  # noqa: B023
            distance *= 2
        return total

    def mean_update(state: TrainState, totals: Any) -> tuple[TrainState, Sums]:
        sums, means = totals
        return update(state, sums, jax.tree.map(lambda total: total / num_shards, means))

    pick = on_each(mesh, shard, (True, False), splits=True)
    of_shard = on_each(mesh, stacked, (False, True), splits=True)
    join = on_each(mesh, add, (True, True), splits=True, donated=(0,))
    exchange = on_each(mesh, exchanged, (True,), splits=False)
    finish = on_each(mesh, mean_update, (False, False), splits=False, donated=(0,))

    def total(variables: Variables, batch: Batch, first: int, count: int) -> Any:
        """The sum over `count` of each device's shards, in halves."""
        if count == 1:
            return of_shard(variables, pick(batch, first))
        half = count // 2
        return join(total(variables, batch, first, half), total(variables, batch, first + half, half))

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Sums]:
        whole = jax.device_put(state, everywhere, donate=True)
        totals = exchange(total(Variables(whole.params, whole.untrained), batch, 0, own))
        state, sums = finish(whole, totals)
        return jax.device_put(state, sharding, donate=True), sums

    return step
