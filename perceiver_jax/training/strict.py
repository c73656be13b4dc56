"""One update whose bits are the same on any number of devices.

A batch is a fixed number of virtual shards, whatever the devices. The gradient of each is computed by a program of one
device, and they are summed along a fixed binary tree: halves of the batch, halves of those, and so on. A device's
shards are a branch of it, so that each device sums its own, and then pairs of devices exchange sums. One device then makes
the whole update, again by itself, and the others copy it.

It costs the memory of several gradients, and of the whole state on each device during the update.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from perceiver_jax.system.each_device import everywhere, for_one_device, put_together, taken_apart
from perceiver_jax.tasks import Sums
from perceiver_jax.training.step import Batch, Gradient, TrainState, Update, Variables


def strict_step(
    gradient: Gradient, update: Update, mesh: Mesh, sharding: Any, num_shards: int
) -> Callable[[TrainState, Batch], tuple[TrainState, Sums]]:
    """The function (state, batch) -> (next state, metric sums with `grad_norm`); the state given is used up.

    `num_shards` is a power of two and a multiple of the devices, over which the batch is split along its first axis.
    `sharding` is that of the state between steps.
    """
    own, replicated = num_shards // mesh.size, NamedSharding(mesh, PartitionSpec())
    split = PartitionSpec(mesh.axis_names)

    def shard(batch: Batch, index: jax.Array) -> Batch:
        return jax.tree.map(lambda leaf: leaf.reshape(own, -1, *leaf.shape[1:])[index], batch)

    def stacked(variables: Variables, batch: Batch) -> Any:
        return jax.tree.map(lambda leaf: leaf[None], gradient(variables, batch))

    def mean_update(state: TrainState, totals: Any) -> tuple[TrainState, Sums]:
        sums, means = totals
        return update(state, sums, jax.tree.map(lambda total: total / num_shards, means))

    # Moving numbers and adding two have the same bits in any program; only the others must be those of one device.
    pick = jax.jit(jax.shard_map(shard, mesh=mesh, in_specs=(split, PartitionSpec()), out_specs=split, check_vma=False))
    add = jax.jit(_add, donate_argnums=0)
    exchange = jax.jit(_exchange(mesh))
    is_split = any(leaf.spec != PartitionSpec() for leaf in jax.tree.leaves(sharding))
    # One program for all arrays: processes that gathered each by itself could begin with different ones, and wait for ever.
    as_it_is = lambda state: state  # noqa: E731
    gather, divide = (jax.jit(as_it_is, out_shardings=to) if is_split else as_it_is for to in (replicated, sharding))
    of_shard, finish = for_one_device(stacked), for_one_device(mean_update, donated=(0,))

    def total(variables: list[Variables], batch: Batch, first: int, count: int) -> Any:
        """The sum over `count` of each device's shards, in halves."""
        if count == 1:
            given = zip(variables, taken_apart(pick(batch, first), mesh), strict=True)
            return put_together([of_shard(*one) for one in given], mesh)
        half = count // 2
        return add(total(variables, batch, first, half), total(variables, batch, first + half, half))

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Sums]:
        whole = gather(state)
        states = taken_apart(whole, mesh)
        totals = exchange(total([Variables(one.params, one.untrained) for one in states], batch, 0, own))
        after = finish(states[0], taken_apart(totals, mesh)[0])
        jax.tree.map(lambda leaf: leaf.delete(), (whole, state))
        state, sums = everywhere(after, mesh)
        return divide(state), sums

    return step


def _add(a: Any, b: Any) -> Any:
    return jax.tree.map(jnp.add, a, b)


def _exchange(mesh: Mesh) -> Callable[[Any], Any]:
    """The sum along the first axis, of which each device holds one element: in pairs, pairs of pairs, and so on."""

    def exchanged(parts: Any) -> Any:
        total, distance = jax.tree.map(lambda leaf: leaf[0], parts), 1
        while distance < mesh.size:
            pairs = [(device, device ^ distance) for device in range(mesh.size)]
            theirs = jax.tree.map(lambda leaf: jax.lax.ppermute(leaf, mesh.axis_names, pairs), total)  # noqa: B023
            total = _add(total, theirs)  # both of a pair add the same two numbers: a + b is b + a to the bit
            distance *= 2
        return total

    specs = {"in_specs": PartitionSpec(mesh.axis_names), "out_specs": PartitionSpec()}
    return jax.shard_map(exchanged, mesh=mesh, check_vma=False, **specs)
