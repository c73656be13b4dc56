"""The copies of a state that several devices hold, which must be the same to the bit."""

import functools
from collections import Counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from perceiver_jax.errors import Code, Failure
from perceiver_jax.training.checkpoint import leaves


def check_replicas(state: Any, step: int) -> None:
    """Raises Failure(NUMERICS) where a device holds other bits of an array than those that hold the same part of it.

    Each device updates its own copy. A bit that changes in one of them is never put right, and losses and checkpoints then
    depend on the device that they are read from. The arrays are numbers, placed by Programs. All processes of a run call
    this together.
    """
    shared = {name: leaf for name, leaf in leaves(state).items() if len(leaf.sharding.device_set) > 1}
    if not shared:
        return
    shardings = [leaf.sharding for leaf in shared.values()]
    mesh = shardings[0].mesh
    sums = np.asarray(_sums(tuple(shared.values()), mesh, tuple(sharding.spec for sharding in shardings)))
    for (name, leaf), of_devices in zip(shared.items(), sums.T, strict=True):
        by_part: dict[Any, dict[jax.Device, int]] = {}
        parts = leaf.sharding.devices_indices_map(leaf.shape)
        for device, number in zip(mesh.devices.flat, of_devices.tolist(), strict=True):
            by_part.setdefault(str(parts[device]), {})[device] = number
        for copies in by_part.values():
            if len(set(copies.values())) > 1:
                raise _other_bits(name, step, copies)


@functools.partial(jax.jit, static_argnames=("mesh", "specs"))
def _sums(arrays: tuple[jax.Array, ...], mesh: Mesh, specs: tuple[PartitionSpec, ...]) -> jax.Array:
    """A sum of the bits of what each device (row) holds of each array (column)."""

    def own(*parts: jax.Array) -> jax.Array:
        return jnp.stack([_sum(part) for part in parts])[None]

    every = PartitionSpec(mesh.axis_names)
    sums = jax.shard_map(own, mesh=mesh, in_specs=specs, out_specs=every, check_vma=False)(*arrays)
    return jax.lax.with_sharding_constraint(sums, NamedSharding(mesh, PartitionSpec()))


def _sum(array: jax.Array) -> jax.Array:
    """The sum of the bits of an array's numbers, each mixed with its place as in MurmurHash3.

    What is mixed is another number for each word of 32 bits: one word that changes always changes the sum.
    """
    words = jax.lax.bitcast_convert_type(array.ravel(), f"uint{8 * min(array.dtype.itemsize, 4)}").ravel().astype(jnp.uint32)
    mixed = words ^ jax.lax.iota(jnp.uint32, words.size) * jnp.uint32(0x9E3779B9)
    mixed = (mixed ^ mixed >> 16) * jnp.uint32(0x85EBCA6B)
    mixed = (mixed ^ mixed >> 13) * jnp.uint32(0xC2B2AE35)
    return (mixed ^ mixed >> 16).sum(dtype=jnp.uint32)


def _other_bits(name: str, step: int, copies: dict[jax.Device, int]) -> Failure:
    """Names the devices that differ from most, or all of them where there is no most."""
    (usual, most), *_ = Counter(copies.values()).most_common()
    odd = [device for device, number in copies.items() if number != usual] if 2 * most > len(copies) else list(copies)
    shown = ", ".join(f"{device} of process {device.process_index}" for device in odd)
    others = len(copies) - len(odd)
    unlike = f"{others} others" if others else "each other"
    hint = "the same command, which goes on from the last checkpoint; if it ends so again, see docs/devices.md"
    what = f"devices hold different bits of {name}"
    return Failure(Code.NUMERICS, what, f"step {step}", f"{shown} unlike {unlike}", "equal bits in all copies", hint)
