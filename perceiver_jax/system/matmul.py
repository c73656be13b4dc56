"""How fast the devices multiply matrices: what the speed of a step is measured against."""

import time

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

CPU_SIZE, ACCELERATOR_SIZE = 2048, 8192  # of the square matrices, large enough for the full rate
SECONDS, MOST = 0.5, 50  # of measuring; the best of what was done in them counts


def matmul_rate(mesh: Mesh, dtype: jnp.dtype) -> float:
    """The FLOP/s of all devices of a mesh together in a matmul of their own each, the best of some."""
    size = CPU_SIZE if mesh.devices.flat[0].platform == "cpu" else ACCELERATOR_SIZE
    everywhere = NamedSharding(mesh, PartitionSpec(mesh.axis_names))
    matrix = jax.jit(lambda: jnp.ones((mesh.size, size, size), dtype), out_shardings=everywhere)()
    product = jax.jit(jnp.matmul, out_shardings=everywhere)
    jax.block_until_ready(product(matrix, matrix))  # compiles
    times: list[float] = []
    while not times or (sum(times) < SECONDS and len(times) < MOST):
        began = time.perf_counter()
        jax.block_until_ready(product(matrix, matrix))
        times.append(time.perf_counter() - began)
    return 2 * mesh.size * size**3 / min(times)
