"""Runs of the baselines, through the real commands: they are runs like any other."""

import json
import shutil

import chex
import jax
import numpy as np
import pytest
from flax import nnx

from perceiver_jax.data import pipeline
from perceiver_jax.report.log import read_metrics
from perceiver_jax.runs.programs import Programs
from perceiver_jax.system import devices
from perceiver_jax.training.step import Variables
from tests.baselines import small
from tests.launch import problem_of

# One block, one layer: less to compile.
FLAGS = {
    "transformer": small.of_digits("transformer", num_layers=1),
    "vit": small.of_digits("vit", num_layers=1),
    "resnet": small.of_digits("resnet", stage_blocks=(1,)),
}


@pytest.mark.parametrize("kind", FLAGS)
def test_a_baseline_trains_draws_curves_without_maps_and_resumes_bit_for_bit(kind, launcher, tmp_path):
    path, arguments = tmp_path / "run", ("--tiny", FLAGS[kind])
    result = launcher.finish(path, *arguments)
    assert sorted(picture.name for picture in (path / "plots").iterdir()) == ["curves.png", "inputs.png"]
    (path / "result.json").unlink()
    shutil.rmtree(path / "checkpoints" / "6")
    assert launcher.finish(path, *arguments)["state_sha256"] == result["state_sha256"]
    if kind == "resnet":  # which answers with moments as well
        evaluation = launcher.start("experiments.evaluate", "--workdir", path, "--step", "3", "--json")
        assert evaluation.wait() == 0, evaluation.stderr
        logged = {(record["step"], record["split"]): record for record in read_metrics(path / "metrics.jsonl")}
        assert json.loads(evaluation.stdout) == logged[3, "test"]


def test_a_resnets_first_update_keeps_the_moments_of_its_batch_and_uses_the_state_up():
    problem = problem_of(FLAGS["resnet"], tiny=True)
    programs = Programs(problem)
    state = programs.initial_state()
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(state.untrained))
    batches = pipeline.train_batches(problem.data, problem.config.seed, 0)
    batch = devices.to_devices(next(batches), programs.mesh)
    batches.close()

    def moments(variables, inputs):
        model = nnx.merge(programs.graph, *variables)
        model(inputs)
        return nnx.state(model, nnx.BatchStat)

    expected = jax.device_get(jax.jit(moments)(Variables(state.params, state.untrained), batch["inputs"]))
    after, _ = programs.step(state, batch)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state))
    assert len(jax.tree.leaves(after.untrained)) == 2 * (1 + 4)  # the stem's, the block's with its shortcut
    chex.assert_trees_all_close(jax.device_get(after.untrained), expected, rtol=1e-5, atol=1e-7)
