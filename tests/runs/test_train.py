"""Training through the real command: what a run leaves behind, what its losses are, and what ends it early."""

import functools
import importlib.util
import itertools
import json
import math
import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from perceiver_jax.data import pipeline
from perceiver_jax.data.sources import Contents
from perceiver_jax.errors import Code
from perceiver_jax.report.log import read_metrics
from perceiver_jax.runs import accounting
from perceiver_jax.runs.problem import make, resolve
from perceiver_jax.runs.programs import Programs
from perceiver_jax.settings.config import parse
from perceiver_jax.system import devices
from perceiver_jax.training import manifest
from tests.launch import SMALL, config_of, problem_of

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "digits_losses.txt"
# Relative. Without vector instructions beyond SSE4.2, without optimisation, or on 8 devices they move by 6e-7 at most.
GOLDEN_TOLERANCE = 5e-6
GOLDEN_SETTINGS = [  # all that configs/digits.py may come to tune
    "--config.model.latent_init_scale=0.02",
    "--config.model.num_cross_attends=2",
    "--config.augment={'kind': 'affine', 'rotate_degrees': 10.0, 'shear': 0.1, 'scale': 0.1, 'translate': 0.08,"
    " 'flip_probability': 0.0}",
    "--config.optim={'kind': 'lamb', 'learning_rate': 0.01, 'schedule': {'kind': 'flat_cosine', 'flat_fraction': 0.5},"
    " 'b1': 0.9, 'b2': 0.999, 'eps': 1e-6, 'weight_decay': 0.1, 'clip_norm': 10.0, 'accumulation_steps': 1,"
    " 'ema_decay': None}",
    "--config.task.label_smoothing=0.1",
]
UPDATE = "PERCEIVER_JAX_UPDATE_GOLDEN"
METRICS = {"loss", "accuracy", "top5"}
EVALUATION_METRICS = METRICS | {"mean_class_accuracy"}
TRAIN_METRICS = METRICS | {"grad_norm", "learning_rate", "seconds"} | {
    "steps_per_second",
    "examples_per_second",
    "data_wait_fraction",
}  # fmt: skip


def files(path):
    """Names and contents of all files below `path`."""
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


# What a run leaves


@pytest.fixture(scope="module")
def tiny(once):
    """The workdir of `--tiny`, launched as a user does, and what was printed."""

    def make(path):
        path.mkdir()
        command = [sys.executable, "-m", "experiments.train", "--config", "configs/digits.py", "--tiny"]
        environment = os.environ | {"JAX_PLATFORMS": "cpu"}
        with open(path / "stdout", "w") as stdout, open(path / "stderr", "w") as stderr:
            streams = {"stdout": stdout, "stderr": stderr}
            code = subprocess.call([*command, "--workdir", path / "run"], cwd=ROOT, env=environment, **streams)
        assert code == 0, (path / "stderr").read_text()

    made = once("tiny", make)
    return made / "run", (made / "stdout").read_text(), (made / "stderr").read_text()


def test_a_workdir_holds_the_whole_run_and_nothing_else(tiny):
    path, _, _ = tiny
    names = set(files(path))
    events = {name for name in names if name.startswith("tensorboard/events.out.tfevents.")}
    arrays = {name for name in names if name.startswith(("checkpoints/3/arrays/", "checkpoints/6/arrays/"))}
    assert len(events) == 1
    assert names - events - arrays == {
        ".lock",
        "config.json",
        "metrics.jsonl",
        "problem.json",
        "result.json",
        "report.html",
        "checkpoints/3/manifest.json",
        "checkpoints/6/manifest.json",
        "plots/curves.png",
        "plots/inputs.png",
        "plots/attention_maps.png",
    }
    for step in (3, 6):
        manifest.verify(path / "checkpoints", step)
    for picture in (path / "plots").iterdir():
        head = picture.read_bytes()[:24]
        assert head.startswith(b"\x89PNG")
        assert min(struct.unpack(">II", head[16:24])) > 200


def test_the_config_is_recorded_resolved_with_its_command(tiny):
    record = json.loads((tiny[0] / "config.json").read_text())
    assert record["config"]["train"]["duration"] == "6 steps"
    assert record["command"][1:] == ["--config", "configs/digits.py", "--tiny", "--workdir", str(tiny[0])]


def test_metrics_are_logged_with_every_key(tiny):
    records = [json.loads(line) for line in (tiny[0] / "metrics.jsonl").read_text().splitlines()]
    keys = [(record.pop("step"), record.pop("split")) for record in records]
    train, test = ([(step, split) for step in steps] for split, steps in (("train", range(1, 7)), ("test", (3, 6))))
    assert sorted(keys) == sorted(train + test)
    for (_, split), record in zip(keys, records, strict=True):
        assert record.keys() == (TRAIN_METRICS if split == "train" else EVALUATION_METRICS)
        assert all(type(value) is float and math.isfinite(value) for value in record.values())
        assert 0 <= record["accuracy"] <= record["top5"] <= 1
    first = records[keys.index((1, "train"))]
    assert first["loss"] == pytest.approx(math.log(10), rel=1e-6)  # the head is zero at first: all classes alike
    assert first["learning_rate"] == pytest.approx(config_of().optim.learning_rate)


def test_the_result_says_what_the_run_came_to(tiny):
    path, stdout, _ = tiny
    result = json.loads((path / "result.json").read_text())
    kinds = {name: type(value) for name, value in result.items()}
    assert kinds == {
        "step": int,
        "state_sha256": str,
        "parameters": int,
        "flops_per_example": int,
        "metrics": dict,
        "best_by_test": dict,
        "seconds": float,
        "time": dict,
        "peak_memory_bytes": dict,
    }
    assert sum(result["time"].values()) == pytest.approx(2 * result["time"]["launch"])
    assert all(result["time"][what] > 0 for what in ("training", "compile", "evaluation", "saving", "other", "data_wait"))
    assert result["peak_memory_bytes"]["process"] > 10**8
    assert result["peak_memory_bytes"]["device"] is None
    assert result["step"] == 6
    assert result["state_sha256"] == manifest.verify(path / "checkpoints", 6).state_sha256
    assert result["metrics"]["test"].keys() == EVALUATION_METRICS
    assert result["metrics"]["train"].keys() == TRAIN_METRICS
    assert f"state_sha256 {result['state_sha256']}\n" in stdout
    assert stdout.endswith(f"{path}/plots/attention_maps.png\n{path}/plots/curves.png\n{path}/plots/inputs.png\n")
    assert f"{result['metrics']['test']['accuracy']:.1%}".replace("%", " %") in stdout


def test_a_run_without_a_validation_split_reports_only_its_last_step(tiny):
    assert "best by" not in tiny[1]


def evaluations(path):
    """What metrics.jsonl says of both splits, by step."""
    found = {}
    for record in read_metrics(path / "metrics.jsonl"):
        step, split = record.pop("step"), record.pop("split")
        if split != "train":
            found.setdefault(step, {})[split] = record
    return found


def test_the_step_that_validation_chooses_is_reported_beside_the_last_also_after_a_resume(launcher, tmp_path):
    settings = [
        *SMALL,
        "--config.train.duration=12 steps",
        "--config.train.eval_every=3 steps",
        "--config.train.checkpoint_every=6 steps",
        "--config.train.eval_splits=('validation', 'test')",
        "--config.data.validation_examples=100",
        "--config.optim.learning_rate=0.1",
    ]
    path, said = tmp_path / "run", []
    for _ in range(2):
        run = launcher.train(path, *settings)
        assert run.wait() == 0, run.stderr
        result = json.loads((path / "result.json").read_text())
        said.append((result["metrics"]["test"], result["best_by_validation"], result["best_by_test"]))
        (path / "result.json").unlink()
        shutil.rmtree(path / "checkpoints" / "12")
    assert "resumed at step 6\n" in run.stderr
    assert said[0] == said[1]
    last, validation, test = said[0]
    found = evaluations(path)
    assert last == found[12]["test"]
    for split, chosen in (("validation", validation), ("test", test)):
        best = max(found, key=lambda step: (found[step][split]["accuracy"], -step))
        assert chosen == {"step": best, **found[best]}
    lines = run.stdout.splitlines()
    of_validation = f"best by validation (step {validation['step']})"
    (row,) = [line for line in lines if line.startswith(of_validation)]
    assert row.split()[-2:] == [f"{100 * validation['test']['accuracy']:.1f}", "%"]
    (row,) = [line for line in lines if line.startswith("Perceiver (this run)")]
    assert row.split()[-2:] == [f"{100 * last['accuracy']:.1f}", "%"]
    score = f"{100 * test['test']['accuracy']:.1f} %"
    assert f"best by test (selected on test data, step {test['step']:,}): {score}" in lines


def test_progress_goes_to_stderr_line_by_line(tiny):
    lines = tiny[2].splitlines()
    steps = [line.split()[1] for line in lines if line.startswith("step ") and "/" in line.split()[1]]
    assert steps == [f"{step}/6" for step in range(1, 7)]
    assert len([line for line in lines if line.startswith(("step 3: test  ", "step 6: test  "))]) == 2
    assert len(lines) == 8


def test_run_again_it_says_done_and_changes_nothing(tiny, launcher):
    path, stdout, _ = tiny
    before = {name: content for name, content in files(path).items() if name not in (".lock", "config.json")}
    again = launcher.train(path, "--tiny")
    assert again.wait() == 0
    assert again.stdout == f"{path} is done.\n{stdout}"
    assert {name: content for name, content in files(path).items() if name not in (".lock", "config.json")} == before


# Every config


def shipped():
    """Every (config file, variant) there is."""
    for file in sorted((ROOT / "configs").glob("[!_]*.py")):
        spec = importlib.util.spec_from_file_location(file.stem, file)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        for variant in getattr(module, "VARIANTS", [None]):
            yield file.stem, variant, module.get_config(variant) if variant else module.get_config()


SHIPPED = {f"{name}:{variant}" if variant else name: values for name, variant, values in shipped()}
SHRUNK = {
    config.model_dump_json(exclude={"train"}): (name, config)
    for name, config in ((name, parse(values, shrink=True)) for name, values in SHIPPED.items())
}.values()  # those that differ
HERE = [name for name, config in SHRUNK if config.data.kind in ("digits", "mnist5k")]
ELSEWHERE = {name: config for name, config in SHRUNK if name not in HERE}


@pytest.mark.parametrize("name", [name for name in HERE if name != "digits"])  # which many other tests train
def test_a_config_trains_saves_resumes_and_ends_as_it_did(name, launcher, tmp_path):
    stem, _, variant = name.partition(":")
    config = f"configs/{stem}.py" + (f":{variant}" if variant else "")
    settings = ("--tiny", "--config.data.eval_batch_size=500")  # the test split in one batch or two
    result = launcher.finish(tmp_path / "run", *settings, config=config)
    (tmp_path / "run" / "result.json").unlink()
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "6")
    run = launcher.train(tmp_path / "run", *settings, config=config)
    assert run.wait() == 0, run.stderr
    assert "resumed at step 3\n" in run.stderr
    again = json.loads((tmp_path / "run" / "result.json").read_text())
    assert again["state_sha256"] == result["state_sha256"]


def elsewhere(config):
    """What a run of the config would learn from data of ten classes."""
    return make(config, Contents(tuple("0123456789"), {"train": 1_000_000, "test": 1_000}), "")


def few(fields):
    """A number of 2 and more as 2: what there is, but not how much of it, decides of which operations a step is made."""
    if isinstance(fields, dict):
        return {name: few(value) for name, value in fields.items()}
    if isinstance(fields, tuple):
        return tuple(few(value) for value in fields)
    return (min(fields, 2) if isinstance(fields, int) else bool(fields)) if isinstance(fields, int | float) else fields


def structure(config):
    """What a step is made of."""
    problem = elsewhere(config)
    sections = [few(section.model_dump()) for section in (config.model, config.optim, config.task)]
    return repr((sections, [(one.name, len(one.grid), one.num_coordinates) for one in problem.inputs], problem.mixes))


STRUCTURES = {structure(config): name for name, config in ELSEWHERE.items()}.values()  # one config of each
MODELS = {ELSEWHERE[name].model.model_class: name for name in STRUCTURES}.values()  # one of each class of models


@pytest.mark.parametrize("config", ELSEWHERE.values(), ids=ELSEWHERE)
def test_a_config_without_data_here_makes_a_state(config):
    leaves = jax.tree.leaves(Programs(elsewhere(config)).abstract_state.params)
    assert sum(leaf.size for leaf in leaves) > 1_000


@pytest.mark.parametrize("name", STRUCTURES)
def test_a_config_without_data_here_traces(name):
    """One of those that differ in numbers alone."""
    config = ELSEWHERE[name]
    problem = elsewhere(config)
    made, size = Programs(problem), config.data.batch_size
    inputs, masks = accounting.example_shapes(problem, size)
    blank = np.asarray(problem.task.blank())
    labels = jax.ShapeDtypeStruct((size, *blank.shape), blank.dtype)
    batch = {"inputs": inputs, "masks": masks, "labels": labels}
    if problem.mixes:
        batch |= {"other_labels": labels, "portions": jax.ShapeDtypeStruct((size,), np.float32)}
    before = made.abstract_state
    traced = made.step.trace(before, batch)
    after, sums = traced.out_info
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), after) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), before
    )
    metrics = METRICS if config.task.kind == "single_label" else {"loss"}
    assert sums.keys() == metrics | {"weight", "grad_norm"}
    if name in MODELS:
        flops = accounting.labelled_flops(traced.jaxpr.jaxpr)  # a profile has rows for what a step does
        assert sum(count for label, count in flops.items() if label.part is None) < 0.01 * flops.total()
        assert {"head", "loss", "optimiser"} < {label.part for label in flops if flops[label]}


# Losses


def losses_of(problem, count):
    """The mean losses of the first steps, and the state after them."""
    made = Programs(problem)
    state, losses = made.initial_state(), []
    batches = pipeline.train_batches(problem.data, problem.config.seed, 0)
    for batch in itertools.islice(batches, count):
        state, sums = made.step(state, devices.to_devices(batch, made.mesh))
        losses.append(float(sums["loss"]) / float(sums["weight"]))
    batches.close()
    return losses, state


def test_the_first_20_losses_are_the_golden_ones():
    """The whole of a tiny run in 20 numbers: initial parameters, order and augmentation of data, model, LAMB, schedule."""
    config = config_of(*GOLDEN_SETTINGS, tiny=True)
    config = config.model_copy(update={"train": config.train.model_copy(update={"duration": "20 steps"})})
    losses, _ = losses_of(resolve(config), 20)
    if UPDATE in os.environ:
        GOLDEN.write_text("".join(f"{loss:.9g}\n" for loss in losses))
    golden = [float(line) for line in GOLDEN.read_text().split()]
    far = [step for step, (a, b) in enumerate(zip(losses, golden, strict=True), 1) if abs(a / b - 1) > GOLDEN_TOLERANCE]
    assert not far, (
        f"losses of steps {far} differ by more than {GOLDEN_TOLERANCE} from {GOLDEN.relative_to(ROOT)}: training computes"
        f" something else than before. If it is meant to: {UPDATE}=1 python -m pytest tests/test_train.py -k golden, and say"
        f" why in the commit. Found: {' '.join(f'{loss:.6f}' for loss in losses)}"
    )


# Settings


LAYERED = ["--config.model.num_blocks=1", "--config.model.num_latents=5", "--config.optim.clip_norm=0.5"]


@functools.cache
def plain():
    """The losses of a small model that nothing special is asked of."""
    return losses_of(problem_of(*SMALL, *LAYERED), 5)[0]


class TestSettings:
    def test_micro_batches_and_recomputing_give_the_same_run(self):
        settings = ["--config.optim.accumulation_steps=4", '--config.model.remat="layer"']
        losses, _ = losses_of(problem_of(*SMALL, *LAYERED, *settings), 5)
        # Sums in another order, 1e-7, grow with each of LAMB's steps.
        np.testing.assert_allclose(losses, plain(), rtol=1e-5)

    def test_bfloat16_is_near_but_not_the_same(self):
        settings = ["--config.model.compute_dtype=bfloat16", '--config.model.remat="block"']
        losses, state = losses_of(problem_of(*SMALL, *LAYERED, *settings), 5)
        np.testing.assert_allclose(losses, plain(), rtol=2**-8)  # the spacing of bfloat16 at 1
        assert losses != plain()
        assert {leaf.dtype for leaf in jax.tree.leaves(state.params)} == {np.dtype("float32")}

    def test_smoothed_labels_and_a_running_mean_are_used(self):
        settings = ["--config.task.label_smoothing=0.5", "--config.optim.ema_decay=0.9"]
        losses, state = losses_of(problem_of(*SMALL, *LAYERED, *settings), 5)
        assert losses[0] == pytest.approx(plain()[0], rel=3e-6)  # all classes alike: any target costs log 10
        assert all(abs(a - b) > 1e-4 for a, b in zip(losses[1:], plain()[1:], strict=True))
        assert state.evaluated.params is state.ema
        trained, mean = (np.concatenate([np.ravel(x) for x in jax.tree.leaves(t)]) for t in (state.params, state.ema))
        assert 0 < np.abs(trained - mean).max() < 5 * 0.1


# Ends


@pytest.mark.parametrize(
    ("rate", "words"),
    [("1e30", r"error\[5\] loss is nan: step 2$"), ("1e39", r"error\[5\] params/\S+ is not finite: step 1$")],
)
def test_a_run_that_diverges_ends_with_5_and_leaves_no_checkpoint_that_has(rate, words, launcher, tmp_path):
    """1e39 is infinite as a float32: the loss is fine and the parameters after the update are not."""
    every = ["--config.train.checkpoint_every=1 steps", "--config.train.duration=4 steps"]
    run = launcher.train(tmp_path / "run", *SMALL, *every, f"--config.optim.learning_rate={rate}")
    assert run.wait() == Code.NUMERICS
    assert re.search(words, run.stderr, re.M), run.stderr
    assert not (tmp_path / "run" / "result.json").exists()
    steps = manifest.steps(tmp_path / "run" / "checkpoints")
    assert steps == ([1] if rate == "1e30" else [])
    made = Programs(problem_of(*SMALL))
    for step in steps:
        state = made.restore(tmp_path / "run" / "checkpoints", step)
        assert all(np.isfinite(array).all() for array in jax.tree.leaves(state))
