"""The copies of a state that several devices hold, which must be the same to the bit."""

import functools
from collections import Counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from perceiver_jax.errors import Code, Failure


def check_replicas(state: Any, step: int) -> None:
    """Raises Failure(NUMERICS) where a device holds other bits of an array than those that hold the same part of it.

    Each update computes every copy anew from the last one, so that a bit that is lost in one stays lost: losses and
    checkpoints are then of some devices alone. All processes of a run call this together.
    """
    named = [
        (jax.tree_util.keystr(path, simple=True, separator="/"), leaf)
        for path, leaf in jax.tree_util.tree_flatten_with_path(state)[0]
        if isinstance(leaf.sharding, NamedSharding) and leaf.sharding.mesh.size > 1
    ]
    if not named:
        return
    names, leaves = zip(*named, strict=True)
    mesh = leaves[0].sharding.mesh
    sums = np.asarray(_sums(leaves, mesh, tuple(leaf.sharding.spec for leaf in leaves)))
    for name, leaf, of_devices in zip(names, leaves, sums.T, strict=True):
        by_part: dict[Any, dict[jax.Device, int]] = {}
        parts = leaf.sharding.devices_indices_map(leaf.shape)
        for device, number in zip(mesh.devices.flat, of_devices.tolist(), strict=True):
            by_part.setdefault(str(parts[device]), {})[device] = number
        for copies in by_part.values():
            if len(set(copies.values())) > 1:
                raise _other_bits(name, step, copies)


@functools.partial(jax.jit, static_argnames=("mesh", "specs"))
def _sums(leaves: tuple[jax.Array, ...], mesh: Mesh, specs: tuple[PartitionSpec, ...]) -> jax.Array:
    """The sum of the bits, as numbers, that each device (row) holds of each array (column): one other bit changes it."""

    def own(*parts: jax.Array) -> jax.Array:
        words = [jax.lax.bitcast_convert_type(part, f"uint{8 * part.dtype.itemsize}") for part in parts]
        return jnp.stack([each.sum(dtype=jnp.uint32) for each in words])[None]

    every = PartitionSpec(mesh.axis_names)
    sums = jax.shard_map(own, mesh=mesh, in_specs=specs, out_specs=every, check_vma=False)(*leaves)
    return jax.lax.with_sharding_constraint(sums, NamedSharding(mesh, PartitionSpec()))


def _other_bits(name: str, step: int, copies: dict[jax.Device, int]) -> Failure:
    """Names the devices that differ from most, or all of them where there is no most."""
    (usual, most), *_ = Counter(copies.values()).most_common()
    odd = [device for device, number in copies.items() if number != usual] if 2 * most > len(copies) else list(copies)
    shown = ", ".join(f"{device} of process {device.process_index}" for device in odd)
    others = len(copies) - len(odd)
    unlike = f"{others} others" if others else "each other"
    hint = "the same command, which goes on from the checkpoint before; a device that is named again may be defective"
    what = f"devices hold different bits of {name}"
    return Failure(Code.NUMERICS, what, f"step {step}", f"{shown} unlike {unlike}", "equal bits in all copies", hint)
