"""Programs that each device of a mesh runs by itself, as if it were the only one."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.sharding import Mesh, PartitionSpec

# Else the processor's threads, as many as cores or devices, would decide how a matmul's sums are cut.
_CPU_OPTIONS = {"xla_cpu_multi_thread_eigen": False}


def on_each(
    mesh: Mesh, function: Callable[..., Any], split: Sequence[bool], splits: bool, donated: tuple[int, ...] = ()
) -> Callable[..., Any]:
    """The function of pytrees, jitted so that each device computes it of what it holds, with the same sums on any number.

    Of an argument that is `split`, and of the result if the function `splits`, a device holds its part along the first axis
    of each array; of the others all.
    """
    spec = lambda is_split: PartitionSpec(mesh.axis_names) if is_split else PartitionSpec()  # noqa: E731
    specs = {"in_specs": tuple(map(spec, split)), "out_specs": spec(splits)}
    run = jax.shard_map(function, mesh=mesh, check_vma=False, **specs)
    options = _CPU_OPTIONS if mesh.devices.flat[0].platform == "cpu" else None
    return jax.jit(run, donate_argnums=donated, compiler_options=options)
