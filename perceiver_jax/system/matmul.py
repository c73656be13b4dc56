"""How fast the devices multiply matrices: what the speed of a step is measured against."""

import time

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

# Of square matrices, large enough for the full rate; on a CPU that others use too, the smaller ones see more of it.
CPU_SIZES, ACCELERATOR_SIZES = (1024, 2048), (8192,)
SECONDS, MOST = 0.3, 50  # of measuring each size, and how often at most


def matmul_rate(mesh: Mesh, dtype: jnp.dtype) -> float:
    """The FLOP/s of all devices of a mesh together in matmuls, each device its own: the best that was seen."""
    sizes = CPU_SIZES if mesh.devices.flat[0].platform == "cpu" else ACCELERATOR_SIZES
    return max(2 * mesh.size * size**3 / _shortest(mesh, dtype, size) for size in sizes)


def _shortest(mesh: Mesh, dtype: jnp.dtype, size: int) -> float:
    """The seconds of the fastest of some matmuls."""
    everywhere = NamedSharding(mesh, PartitionSpec(mesh.axis_names))
    matrix = jax.jit(lambda: jnp.ones((mesh.size, size, size), dtype), out_shardings=everywhere)()
    product = jax.jit(jnp.matmul, out_shardings=everywhere)
    jax.block_until_ready(product(matrix, matrix))  # compiles
    times: list[float] = []
    while not times or (sum(times) < SECONDS and len(times) < MOST):
        began = time.perf_counter()
        jax.block_until_ready(product(matrix, matrix))
        times.append(time.perf_counter() - began)
    return min(times)
