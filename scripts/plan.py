"""How long a config trains on many accelerators, and what each of them needs: predicted from counted FLOPs and bytes.

python -m scripts.plan --config configs/imagenet.py[:variant] [--devices 8,64,256] [--utilisation 0.4] [--json]
"""

import dataclasses
import json
from typing import Any

from absl import flags

from perceiver_jax import command
from perceiver_jax.errors import Code, Failure
from perceiver_jax.report.progress import say
from perceiver_jax.report.tables import duration, quantity, table
from perceiver_jax.runs.problem import Problem
from scripts.counted import HELD, problem_of


@dataclasses.dataclass(frozen=True)
class Accelerator:
    """What a data sheet says of one, of many in hosts of some: FLOPs without sparsity, bytes a second in one direction."""

    name: str
    flops: dict[str, float]  # a second, by the kind of product
    memory: float  # bytes
    per_host: int
    link: float  # of each with others of its host
    network: float  # of each with those of other hosts


H200 = Accelerator(
    "NVIDIA H200, 8 a host, NVLink, a network of 400 Gbit/s for each",
    {"float32": 67e12, "tensorfloat32": 494e12, "bfloat16": 989e12},
    141e9,
    8,
    450e9,
    50e9,
)
COLUMNS = {
    "devices": "devices",
    "examples_each": "examples each",
    "compute_seconds": "compute (s)",
    "exchange_seconds": "all-reduce (s)",
    "step_seconds": "step (s)",
    "examples_per_second": "examples/s",
    "input_bytes_per_second": "input bytes/s, each host",
    "bytes_each": "bytes each",
    "run": "whole run",
}
_DEVICES = flags.DEFINE_list("devices", ["8", "64", "256"], "Numbers of devices.")
_UTILISATION = flags.DEFINE_float(
    "utilisation", 0.4, "The share of its FLOPs that a device reaches; scripts.benchmark measures it.", 0.0, 1.0
)
_JSON = flags.DEFINE_bool("json", False, "Print one JSON object instead of a table.")
command.define_config()


def main() -> None:
    counts = [_count(text) for text in _DEVICES.value]
    config = command.config()
    problem = problem_of(config)
    kind = _product(problem)
    rate = H200.flops[kind] * _UTILISATION.value
    from perceiver_jax.runs import accounting  # JAX from here on

    flops = accounting.training_flops(problem)
    rows = [_predicted(problem, flops / rate, count) for count in counts]
    facts = {"device": H200.name, "products": kind, "flops_per_second": H200.flops[kind], "utilisation": _UTILISATION.value}
    facts |= {"batch_size": config.data.batch_size, "training_flops_per_example": flops, "steps": problem.num_steps}
    if _JSON.value:
        say(json.dumps(facts | {"predicted": rows}))
        return
    say(
        f"{H200.name}: {quantity(H200.flops[kind])}FLOP/s in {kind}, of which {100 * _UTILISATION.value:.0f} % are assumed;"
        f" {quantity(flops)} FLOPs an example, forward and backward; batch {config.data.batch_size:,},"
        f" {problem.num_steps:,} steps\n"
    )
    say(table(list(COLUMNS.values()), [_cells(row) for row in rows]))


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise Failure(Code.CONFIG, f"--devices {text}", expected="numbers from 1 on, as 8,64,256")
    return int(text)


def _product(problem: Problem) -> str:
    """The kind of product that the model's matmuls are made of on a GPU."""
    model = problem.config.model
    if model.compute_dtype == "bfloat16":
        return "bfloat16"
    return "tensorfloat32" if model.matmul_precision == "default" else model.matmul_precision


def _predicted(problem: Problem, seconds: float, count: int) -> dict[str, Any]:
    """A step on so many devices, each of which computes an example in `seconds`, or why there is none.

    The gradient is exchanged after the backward pass, in a ring, which a compiler may hide in part behind it.
    """
    from perceiver_jax.runs import accounting, device_memory

    batch_size = problem.config.data.batch_size
    try:
        held = device_memory.held_by_each(problem, count)
    except Failure as failure:
        return {"devices": count, "refused": failure.what}
    link = H200.link if count <= H200.per_host else H200.network
    exchange = 2 * (count - 1) / count * 4 * accounting.count_parameters(problem) / link
    compute = batch_size / count * seconds
    step = compute + exchange
    inputs = held["batch"] * held["mesh"]["inputs"] / (batch_size / (held["mesh"]["data"] * held["mesh"]["model"]))
    return {
        "devices": count,
        "examples_each": batch_size / count,
        "compute_seconds": compute,
        "exchange_seconds": exchange,
        "step_seconds": step,
        "examples_per_second": batch_size / step,
        "input_bytes_per_second": inputs * batch_size / step / max(1, count / H200.per_host),
        "bytes_each": sum(held[name] for name in HELD),
        "fits": sum(held[name] for name in HELD) < H200.memory,
        "run_seconds": step * problem.num_steps,
    }


def _cells(row: dict[str, Any]) -> list[Any]:
    if "refused" in row:
        return [row["devices"], row["refused"], *[""] * (len(COLUMNS) - 2)]
    fits = "" if row["fits"] else ", too many"
    return [
        row["devices"],
        f"{row['examples_each']:g}",
        *(f"{row[name]:.3g}" for name in ("compute_seconds", "exchange_seconds", "step_seconds")),
        f"{row['examples_per_second']:,.0f}",
        quantity(row["input_bytes_per_second"]),
        f"{quantity(row['bytes_each'])}{fits}",
        duration(row["run_seconds"]),
    ]


if __name__ == "__main__":
    command.run(main)
