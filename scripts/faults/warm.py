"""What small runs do alike, done once in the process from which they are forked."""

import json
import tempfile
from pathlib import Path
from unittest import mock

import jax
import numpy as np

from perceiver_jax.report.confusion import draw_confusion
from perceiver_jax.report.curves import draw_curves
from perceiver_jax.report.examples import SIDE, draw_examples
from perceiver_jax.report.page.write import template
from perceiver_jax.runs import accounting
from perceiver_jax.runs.problem import Problem
from perceiver_jax.runs.programs import Programs
from perceiver_jax.system import devices


def draw() -> None:
    """Draws, so that no run has to look for fonts or compile the template of its page."""
    with tempfile.TemporaryDirectory() as folder:
        metrics, picture = Path(folder, "metrics.jsonl"), Path(folder, "a.png")
        records = [{"step": step, "split": split, "loss": 1.0} for step in (1, 2) for split in ("train", "test")]
        metrics.write_text("".join(f"{json.dumps(record)}\n" for record in records))
        draw_curves(metrics, picture, "a")
        draw_confusion(np.eye(10), list("0123456789"), picture, "a")
        draw_examples([("a", [np.zeros((SIDE, SIDE, 3), np.uint8)])], picture, "a")
    template()


def trace(problem: Problem) -> None:
    """Traces a small run's programs, on an abstract device: runs find what JAX's own functions came to.

    With a device that exists it would have threads, and could not be forked.
    """
    processor = jax.sharding.AbstractDevice(device_kind="cpu", num_cores=None, platform="cpu")
    mesh = jax.sharding.AbstractMesh((1, 1, 1), ("data", "model", devices.INPUTS), abstract_device=processor)
    with mock.patch.object(devices, "make_mesh", return_value=mesh):
        programs = Programs(problem)
    state, data = programs.abstract_state, problem.config.data
    for program, given, size in (
        (programs.step, state, data.batch_size),
        (programs.evaluate, state.evaluated, data.eval_batch_size),
    ):
        inputs, masks = accounting.example_shapes(problem, size)
        labels, weights = (jax.ShapeDtypeStruct((size,), kind) for kind in (np.int32, np.float32))
        batch = {"inputs": inputs, "masks": masks, "labels": labels}
        jax.eval_shape(program, given, batch if given is state else batch | {"weights": weights})
