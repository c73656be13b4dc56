"""What a config is: its schedule, inputs, parameters, FLOPs and memory. Nothing is allocated.

python -m scripts.describe --config configs/imagenet.py[:variant] [--devices 8] [--json]
"""

import json

from absl import flags

from perceiver_jax import command
from perceiver_jax.report.progress import say
from perceiver_jax.report.tables import quantity, table
from perceiver_jax.settings.config import Config
from scripts.counted import HELD, problem_of

_DEVICES = flags.DEFINE_integer(
    "devices",
    None,
    "Also show what each of N devices of one host would hold; they need not be there.",
    lower_bound=1,
)
_JSON = flags.DEFINE_bool("json", False, "Print one JSON object instead of tables.")
command.define_config()


def main() -> None:
    config = command.config()
    problem = problem_of(config)
    from perceiver_jax.runs import accounting, device_memory  # JAX from here on: a wrong config has ended by now

    model = config.model
    schedule = model.schedule
    each = {} if _DEVICES.value is None else {"each_device": device_memory.held_by_each(problem, _DEVICES.value)}
    facts = {
        "parameters": accounting.count_parameters(problem),
        "flops_per_example": accounting.paper_flops(problem),
        "flops_executed_per_example": accounting.executed_flops(problem),
        "train_memory_bytes": device_memory.train_memory_bytes(problem),
        "inputs": {"tokens": config.num_inputs, "channels": config.input_channels},
        "streams": {spec.name: {"grid": list(spec.grid), "features": spec.num_features} for spec in config.inputs},
        "classes": len(problem.classes),
        "schedule": [list(use) for use in schedule],
        "forms": accounting.core_forms(problem),
        "modules": accounting.module_parameters(problem),
        **each,
    }
    if _JSON.value:
        say(json.dumps(facts))
        return
    rows = {
        "model": model.kind,
        "parameters": f"{facts['parameters']:,}",
        "FLOPs an example, forward, the paper's rule": quantity(facts["flops_per_example"]),
        "FLOPs an example, forward, as executed": quantity(facts["flops_executed_per_example"]),
        f"bytes of a training step, batch {config.data.batch_size} (estimate)": quantity(facts["train_memory_bytes"]),
        "inputs M x C": f"{config.num_inputs:,} x {config.input_channels}",
        **({"latents N x D": f"{model.num_latents} x {model.latent_channels}"} if schedule else {}),
        "streams": ", ".join(f"{spec.name} {'x'.join(map(str, spec.grid))}" for spec in config.inputs),
        "task": f"{config.task.kind}, {len(problem.classes):,} classes",
        "steps": f"{problem.num_steps:,}",
    }
    say(table(["", ""], list(rows.items())))
    if each:
        say(_held(facts["each_device"], config))
    if schedule:
        say("\nschedule (module, weights it uses)")
        names = {"cross_attend": "cross_attend", "self_attends": f"{model.num_self_attends_per_block} x self_attend"}
        say(table(["position", "module", "weights"], [[i, names[u.kind], u.weights] for i, u in enumerate(schedule)]))
        say(_forms(facts["forms"]))
    say("\nparameters by part")
    say(table(["part", "parameters"], [[name, f"{count:,}"] for name, count in facts["modules"].items()]))


def _held(found: dict, config: Config) -> str:
    """What each device holds."""
    mesh = " x ".join(f"{size} ({axis})" for axis, size in found["mesh"].items())
    shards = config.mesh.virtual_shards
    strict = "" if shards is None else f", strict: {shards} virtual shards"
    held = {name: found[name] for name in HELD}
    rows = [[words, quantity(held[name])] for name, words in HELD.items()] + [["together", quantity(sum(held.values()))]]
    return f"\neach of {_DEVICES.value} devices, {mesh}{strict}\n{table(['of a training step', 'bytes'], rows)}"


def _forms(found: dict) -> str:
    """The forms in which cross-attends read the streams, and what they would cost in others."""
    names = ("plain", "folded", "separated")
    cell = lambda one, name: "-" if one[name] is None else quantity(one[name])  # noqa: E731
    rows = [[name, one["chosen"], *(cell(one, form) for form in names)] for name, one in found["streams"].items()]
    folds = any(one["chosen"] != "plain" for one in found["streams"].values())
    why = f"those that fold cost {quantity(found['folding'])} more, once for all streams: " + (
        "less than they save" if folds else "more than they would save"
    )
    title = "core of a cross-attend: FLOPs an example of each form (docs/fast_core.md), the fewest chosen"
    return f"\n{title}\n{table(['stream', 'form', *names], rows)}\n{why}"


if __name__ == "__main__":
    command.run(main)
