"""The devices a run computes on, and what each of them holds."""

import contextlib
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental.compilation_cache import compilation_cache
from jax.sharding import AbstractMesh, Mesh, NamedSharding, PartitionSpec

from perceiver_jax.errors import Code, Failure
from perceiver_jax.system.processor import num_cores

INPUTS = "inputs"  # the axis of a mesh along which devices share the inputs of an example
AXES = ("data", "model", INPUTS)


def keep_compiled_programs() -> None:
    """Keeps what XLA compiles in the user's cache, so that the next start of the same run need not compile again.

    JAX_COMPILATION_CACHE_DIR, where set, names another directory.
    """
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        jax.config.update("jax_compilation_cache_dir", str(home / "perceiver_jax" / "xla"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)


@contextlib.contextmanager
def without_kept_programs() -> Iterator[None]:
    """Programs compiled within are compiled anew, and not kept."""
    enabled = jax.config.jax_enable_compilation_cache
    jax.config.update("jax_enable_compilation_cache", False)
    compilation_cache.reset_cache()  # JAX asks once whether there is one
    try:
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", enabled)
        compilation_cache.reset_cache()


def make_mesh(model: int, inputs: int, batch_sizes: dict[str, int], virtual_shards: int | None = None) -> Mesh:
    """A mesh (data, model, inputs) of all devices, `model` and `inputs` of them along its second and third axis.

    Raises Failure(CONFIG) where there are no devices of the platform asked for, or `check_division` does.
    """
    devices = _devices()
    check_division(len(devices), jax.local_device_count(), (model, inputs), batch_sizes, virtual_shards)
    return _mesh(devices, model, inputs)


def check_division(
    count: int, of_host: int, shared: tuple[int, int], batch_sizes: dict[str, int], virtual_shards: int | None
) -> None:
    """Raises Failure(CONFIG) where `count` devices, `of_host` of them each host's, cannot train a run.

    `shared` are those along the axes model and inputs. They must divide the devices, and those the virtual shards, if there
    are any, and each batch (sizes by name).
    """
    model, inputs = shared
    if of_host % inputs:  # a host reads whole examples
        raise Failure(
            Code.CONFIG,
            f"mesh.inputs {inputs} does not divide {of_host} devices of one host; try {math.gcd(inputs, of_host)}",
        )
    n = count // inputs
    if n % model:
        sharing = "" if inputs == 1 else f" / {inputs} (mesh.inputs)"
        raise Failure(Code.CONFIG, f"mesh.model {model} does not divide {count}{sharing} devices; try {math.gcd(model, n)}")
    if virtual_shards is not None and virtual_shards % n:
        what = f"mesh.virtual_shards {virtual_shards} is not divisible by {n} devices"
        hint = f"--config.mesh.virtual_shards={n}" if n.bit_count() == 1 else f"{2 ** (n.bit_length() - 1)} of the devices"
        raise Failure(Code.CONFIG, what, expected="as many devices as a power of two, at most the shards", hint=hint)
    for name, size in batch_sizes.items():
        if size % n:
            near = " or ".join(str(b) for b in (size // n * n, (size // n + 1) * n) if b)
            raise Failure(Code.CONFIG, f"{name} {size} is not divisible by {n} devices; try {near}")


def answering_mesh(model: int, inputs: int) -> Mesh:
    """The same for a trained run, on any number of devices: along an axis as many as divide both them and what it had.

    Raises Failure(CONFIG) where there are no devices of the platform asked for.
    """
    devices = _devices()
    inputs = math.gcd(inputs, jax.local_device_count())
    return _mesh(devices, math.gcd(model, len(devices) // inputs), inputs)


def _devices() -> list[jax.Device]:
    try:
        return jax.devices()
    except (RuntimeError, AssertionError) as error:  # an assertion: the platform's plug-in is not installed
        what = f"platform {jax.config.jax_platforms}: no devices found"
        hint = "another value of JAX_PLATFORMS, or unset it"
        raise Failure(Code.CONFIG, what, found=str(error).partition("\n")[0], hint=hint) from None


def _mesh(devices: list[jax.Device], model: int, inputs: int) -> Mesh:
    return Mesh(np.asarray(devices).reshape(-1, model, inputs), AXES)


def described(mesh: Mesh, strict: bool) -> str:
    """What of the devices decides the bits of a run: their kind and, unless it is strict, how many share what."""
    kind = mesh.devices.flat[0].device_kind
    if strict:
        return f"{kind}, any number"
    cores = f" on {num_cores()} cores" if mesh.devices.flat[0].platform == "cpu" else ""
    shared = [f", {mesh.shape[axis]} along {axis}" for axis in ("model", INPUTS) if mesh.shape[axis] > 1]
    return f"{mesh.size} x {kind}{cores}{''.join(shared)}"


def this_host() -> dict[str, int]:
    """Which of how many hosts this process is, as the batches' functions want it."""
    return {"host": jax.process_index(), "num_hosts": jax.process_count()}


def peak_memory() -> int | None:
    """The most bytes that any of this process's accelerators has held at a time; None where that is main memory."""
    known = [stats["peak_bytes_in_use"] for device in jax.local_devices() if (stats := device.memory_stats())]
    return max(known, default=None)


def batch_sharding(mesh: Mesh, shares_inputs: bool) -> NamedSharding:
    """Examples over all devices; of inputs the axis after theirs, the first of a grid, over those that share an example."""
    return NamedSharding(mesh, PartitionSpec(("data", "model"), *((INPUTS,) if shares_inputs else ())))


def state_sharding(mesh: Mesh | AbstractMesh, state: Any) -> Any:
    """Each array split along its longest axis that the mesh's `model` axis divides; small ones whole everywhere."""

    def sharding(leaf: jax.ShapeDtypeStruct) -> NamedSharding:
        size = mesh.shape["model"]
        axes = [axis for axis, n in enumerate(leaf.shape) if n % size == 0 and n >= size]
        if size == 1 or leaf.ndim < 2 or not axes:
            return NamedSharding(mesh, PartitionSpec())
        longest = max(axes, key=lambda axis: leaf.shape[axis])
        return NamedSharding(mesh, PartitionSpec(*(None,) * longest, "model"))

    return jax.tree.map(sharding, state)


def padded(batch: Mapping[str, Any], mesh: Mesh) -> Mapping[str, Any]:
    """A host's part of an evaluation batch, its last example repeated with weight 0 until the devices divide it."""
    count = mesh.shape["data"] * mesh.shape["model"] // jax.process_count()
    missing = -len(batch["weights"]) % count
    if not missing:
        return batch
    longer = jax.tree.map(lambda array: np.concatenate([array, np.repeat(array[-1:], missing, axis=0)]), dict(batch))
    longer["weights"][-missing:] = 0
    return longer


def to_devices(batch: Mapping[str, Any], mesh: Mesh) -> dict[str, Any]:
    """The batch, its examples split over all devices, its `inputs` and `masks` also over those that share an example."""

    def placed(name: str, part: Any) -> Any:
        sharding = batch_sharding(mesh, name in ("inputs", "masks"))
        return jax.tree.map(lambda array: jax.make_array_from_process_local_data(sharding, array), part)

    return {name: placed(name, part) for name, part in batch.items()}
