"""What a config is: its schedule, inputs, parameters, FLOPs and memory. Nothing is allocated.

python -m scripts.describe --config configs/imagenet.py[:variant] [--json]
"""

import json

from absl import flags

from perceiver_jax import command

_JSON = flags.DEFINE_bool("json", False, "Print one JSON object instead of tables.")
command.define_config()


def main() -> None:
    config = command.config()
    from perceiver_jax.report.tables import quantity, table
    from perceiver_jax.runs import accounting  # JAX from here on: a wrong config has ended by now

    model = config.model
    schedule = model.schedule
    facts = {
        "parameters": accounting.count_parameters(config),
        "flops_per_example": accounting.paper_flops(config),
        "flops_executed_per_example": accounting.executed_flops(config),
        "train_memory_bytes": accounting.train_memory_bytes(config),
        "inputs": {"tokens": config.num_inputs, "channels": config.input_channels},
        "schedule": [list(use) for use in schedule],
        "modules": accounting.module_parameters(config),
    }
    if _JSON.value:
        print(json.dumps(facts))
        return
    rows = {
        "model": model.kind,
        "parameters": f"{facts['parameters']:,}",
        "FLOPs an example, forward, the paper's rule": quantity(facts["flops_per_example"]),
        "FLOPs an example, forward, as executed": quantity(facts["flops_executed_per_example"]),
        f"bytes of a training step, batch {config.data.batch_size} (estimate)": quantity(facts["train_memory_bytes"]),
        "inputs M x C": f"{config.num_inputs:,} x {config.input_channels}",
        **({"latents N x D": f"{model.num_latents} x {model.latent_channels}"} if schedule else {}),
        "steps": f"{config.num_steps:,}",
    }
    print(table(["", ""], list(rows.items())))
    if schedule:
        print("\nschedule (module, weights it uses)")
        names = {"cross_attend": "cross_attend", "self_attends": f"{model.num_self_attends_per_block} x self_attend"}
        print(table(["place", "module", "weights"], [[i, names[u.kind], u.weights] for i, u in enumerate(schedule)]))
    print("\nparameters by part")
    print(table(["part", "parameters"], [[name, f"{count:,}"] for name, count in facts["modules"].items()]))


if __name__ == "__main__":
    command.run(main)
