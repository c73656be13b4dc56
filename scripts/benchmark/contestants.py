"""How each contestant is built in its own process: of JAX, of a peer, of the data pipeline, and the machine's own rate."""

import dataclasses
import importlib
import time
from typing import Any

from scripts.benchmark import peers
from scripts.benchmark.process import Built
from scripts.benchmark.shapes import Shape

BATCHES = 64  # that one step of a data pipeline reads


@dataclasses.dataclass(frozen=True)
class Model:
    """An operation on a model: `ours`, `plain`, `ours_remat_block`, `ours_remat_layer` or a peer's name."""

    name: str
    operation: str
    shape: Shape

    def __call__(self) -> Built:
        """Itself, compiled, its arrays made."""
        if self.name in peers.PACKAGES:
            step, flops = peers.build(self.name, self.operation, self.shape)
            return Built(step, {"flops": flops, "value": step()}, device_bytes=peers.device_bytes)
        from scripts.benchmark import programs

        return _run(programs.program(self.operation, self.name, self.shape))


@dataclasses.dataclass(frozen=True)
class Matmul:
    """The machine's own rate, measured as a contestant among the others."""

    name: str = "matmul"

    def __call__(self) -> Built:
        """Itself, compiled."""
        from scripts.benchmark import programs

        return _run(programs.matmul())


@dataclasses.dataclass(frozen=True)
class Compiled:
    """A program that is compiled and not run."""

    name: str
    operation: str
    shape: Shape

    def __call__(self) -> Built:
        """What compilation says: its seconds, the bytes of temporaries and of arguments and results."""
        import jax

        from scripts.benchmark import programs

        jax.config.update("jax_enable_compilation_cache", False)
        cpu = time.process_time()
        _, facts = _compile(programs.program(self.operation, self.name, self.shape))
        return Built(None, facts | {"cpu_seconds": time.process_time() - cpu})


@dataclasses.dataclass(frozen=True)
class Pipeline:
    """A config's training batches, read by `num_workers` processes."""

    name: str
    config: str  # module of configs
    num_workers: int

    def __call__(self) -> Built:
        """Itself, reading."""
        from perceiver_jax.data import pipeline
        from perceiver_jax.runs.problem import resolve
        from perceiver_jax.settings.config import parse

        values = importlib.import_module(f"configs.{self.config}").get_config()
        values.data.num_workers = self.num_workers
        problem = resolve(parse(values))
        pipeline.check(problem.data)
        batches = pipeline.train_batches(problem.data, problem.config.seed, 0)

        def step() -> None:
            for _ in range(BATCHES):
                next(batches)

        return Built(step, {"examples": BATCHES * problem.config.data.batch_size}, batches.close)


def _compile(program: Any) -> tuple[Any, dict[str, Any]]:
    """A program of JAX compiled, and what that says of it."""
    import jax

    jax.config.update("jax_default_matmul_precision", "float32")  # as PyTorch has it: no TF32 on a GPU
    began = time.perf_counter()
    lowered = program.lower()
    traced = time.perf_counter()
    compiled = lowered.compile()
    memory = compiled.memory_analysis()
    return compiled, {
        "trace_seconds": traced - began,
        "compile_seconds": time.perf_counter() - traced,
        "temporary_bytes": memory.temp_size_in_bytes,
        "argument_bytes": memory.argument_size_in_bytes,
    }


def _run(program: Any) -> Built:
    """A program of JAX as a contestant. Its `value`: the loss, or the root mean square of what comes out."""
    import jax
    import jax.numpy as jnp

    from perceiver_jax.system import devices

    compiled, facts = _compile(program)
    arguments = list(program.arguments())

    def step() -> Any:
        result = compiled(*arguments)
        jax.block_until_ready(result)
        if program.stateful:
            arguments[0], result = result
        return result

    first = jax.tree.leaves(step())[0]
    value = float(jnp.sqrt(jnp.mean(jnp.square(first))))
    return Built(step, facts | {"flops": program.flops(), "value": value}, device_bytes=devices.peak_memory)
