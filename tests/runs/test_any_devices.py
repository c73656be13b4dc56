"""A trained run answers on any number of devices, whatever divides among them, as it does on one."""

import contextlib
import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from perceiver_jax.data import pipeline
from perceiver_jax.errors import Failure
from perceiver_jax.runs.load import load
from perceiver_jax.runs.programs import Programs
from perceiver_jax.system import devices
from perceiver_jax.system.signals import StopFlag
from tests.launch import on_devices, problem_of
from tests.runs import test_predict

run = test_predict.run  # of digits, a fixture
MESHES = {(1, 1): (3, 1, 1), (2, 1): (3, 1, 1), (6, 1): (1, 3, 1), (1, 3): (1, 1, 3), (4, 9): (1, 1, 3)}  # asked: on 3
THREE = """
import json, sys
from tests.runs import test_any_devices as here
print(json.dumps(here.answers(sys.argv[1]) | {"metrics": here.metrics(sys.argv[1])}))
"""


def answers(path):
    """What a run answers on all devices of this process."""
    run, example = of_batches(load(path), 50), np.arange(64, dtype=np.uint8).reshape(8, 8, 1) * 4
    (maps,) = run.attention_maps(example)[0].values()
    return {
        "devices": jax.device_count(),
        "meshes": [list(devices.answering_mesh(*asked).shape.values()) for asked in MESHES],
        "batches": batches(run),
        "scores": run.scores(example).tolist(),
        "maps": maps.tolist(),
        "training": refusal(),
    }


def metrics(path):
    """What an evaluation on all devices of this process finds."""
    run = of_batches(load(path), 50)
    return run.problem.task.finish(run.evaluation("test", StopFlag()))


def of_batches(run, size):
    """The run with evaluation batches of `size`."""
    data = run.problem.config.data.model_copy(update={"eval_batch_size": size})
    config = run.problem.config.model_copy(update={"data": data})
    return dataclasses.replace(run, problem=dataclasses.replace(run.problem, config=config))


def batches(run):
    """How many examples each batch of the test split has on the devices, and how many of them count."""
    with contextlib.closing(pipeline.eval_batches(run.problem.data, "test")) as found:
        weights = [devices.padded(batch, run.programs.mesh)["weights"] for batch in found]
    return [[len(one), float(one.sum())] for one in weights]


def refusal():
    """What training says of these devices."""
    try:
        Programs(problem_of(*test_predict.SETTINGS))
    except Failure as failure:
        return str(failure)
    return "none"


@pytest.fixture(scope="module")
def found(run):
    """What the same run answers on one device and on three."""
    command = [sys.executable, "-c", THREE, run]
    done = subprocess.run(command, env=on_devices(3), capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    return answers(run), json.loads(done.stdout)


def test_one_example_is_answered_alike(found):
    one, three = found
    assert (one["devices"], three["devices"]) == (1, 3)
    for name in ("scores", "maps"):
        np.testing.assert_allclose(three[name], one[name], rtol=1e-5, atol=1e-6)


def test_a_split_is_evaluated_exactly_with_batches_that_do_not_divide(found, run):
    """As training did on one device, all at once."""
    metrics = json.loads((run / "result.json").read_text())["metrics"]["test"]
    assert len(set(metrics.values())) > 2
    assert found[1]["metrics"] == {
        name: pytest.approx(value, rel=1e-6 if name == "loss" else 0) for name, value in metrics.items()
    }


def test_a_batch_is_filled_up_with_what_does_not_count(found):
    one, three = found
    assert one["batches"] == [[50, 50.0]] * 9
    assert three["batches"] == [[51, 50.0]] * 9


def test_the_mesh_has_as_many_devices_along_an_axis_as_divide_both(found):
    assert list(map(tuple, found[1]["meshes"])) == list(MESHES.values())


def test_training_still_refuses_what_does_not_divide(found):
    assert found[0]["training"] == "none"
    assert found[1]["training"] == "error[2] data.batch_size 8 is not divisible by 3 devices; try 6 or 9"
