"""Global arrays taken apart and put together again, for programs of one device that devices run by themselves.

What such a program computes does not depend on how many devices there are: of all of them XLA makes one program, whose sums
are others, and others again on a single device.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

# Else the processor's threads, as many as cores or devices, would decide how a matmul's sums are cut.
_CPU_OPTIONS = {"xla_cpu_multi_thread_eigen": False}


def for_one_device(function: Callable[..., Any], donated: tuple[int, ...] = ()) -> Callable[..., Any]:
    """The function, jitted for the one device that its arguments are on: the same program on each of them."""
    options = _CPU_OPTIONS if jax.default_backend() == "cpu" else None
    return jax.jit(function, donate_argnums=donated, compiler_options=options)


def own_devices(mesh: Mesh) -> list[jax.Device]:
    """The devices of a mesh that are this process's, in the mesh's order."""
    return [device for device in mesh.devices.flat if device.process_index == jax.process_index()]


def taken_apart(arrays: Any, mesh: Mesh) -> list[Any]:
    """What each of `own_devices` holds of a pytree of global arrays, as arrays of that device."""
    leaves, structure = jax.tree.flatten(arrays)
    held = [{shard.device: shard.data for shard in leaf.addressable_shards} for leaf in leaves]
    return [jax.tree.unflatten(structure, [leaf[device] for leaf in held]) for device in own_devices(mesh)]


def put_together(parts: Sequence[Any], mesh: Mesh) -> Any:
    """The global arrays of which each of `own_devices` holds a part: the parts of all along the first axis."""

    def whole(*leaves: jax.Array) -> jax.Array:
        first, *rest = leaves[0].shape
        sharding = NamedSharding(mesh, PartitionSpec(mesh.axis_names))
        return jax.make_array_from_single_device_arrays((first * mesh.size, *rest), sharding, list(leaves))

    return jax.tree.map(whole, *parts)


def everywhere(arrays: Any, mesh: Mesh) -> Any:
    """Global arrays that every device holds whole, made of those of one device, the same in all processes."""
    own, sharding = own_devices(mesh), NamedSharding(mesh, PartitionSpec())

    def copied(leaf: jax.Array) -> jax.Array:
        copies = [jax.device_put(leaf, device) for device in own]
        return jax.make_array_from_single_device_arrays(leaf.shape, sharding, copies)

    return jax.tree.map(copied, arrays)
