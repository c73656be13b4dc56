"""Any number of devices trains the same model; each may hold a part of it."""

import itertools
import json
import math
import re
import shutil
import subprocess
import sys
from pathlib import Path
from unittest import mock

import jax
import numpy as np
import pytest

from perceiver_jax.data import pipeline
from perceiver_jax.errors import Code, Failure
from perceiver_jax.runs import accounting, device_memory
from perceiver_jax.runs.programs import Programs
from perceiver_jax.system import devices
from perceiver_jax.training import checkpoint
from perceiver_jax.training.replicas import check_replicas
from scripts.faults import layers
from tests.baselines import small
from tests.launch import SMALL, on_devices, problem_of

STEPS, FIRST = 20, 5
COUNTS = (1, 2, 4, 8)
SIZES = ["--config.data.batch_size=16", "--config.data.eval_batch_size=16"]
SETTINGS = [*SMALL, "--config.model.num_blocks=1", *SIZES]
RESNET = [small.of_digits("resnet", stage_blocks=(1,)), "--config.optim.learning_rate=0.01", *SIZES]
WRONG = {
    "--config.mesh.model=3": "error[2] mesh.model 3 does not divide 8 devices; try 1",
    "--config.data.batch_size=12": "error[2] data.batch_size 12 is not divisible by 8 devices; try 8 or 16",
    "--config.optim.accumulation_steps=4": (
        "error[2] data.batch_size / optim.accumulation_steps 4 is not divisible by 8 devices; try 8"
    ),
    "--config.data.eval_batch_size=100": "error[2] data.eval_batch_size 100 is not divisible by 8 devices; try 96 or 104",
    "--config.mesh.virtual_shards=4": (
        "error[2] mesh.virtual_shards 4 is not divisible by 8 devices\n"
        "  expected: as many devices as a power of two, at most the shards\n  try: --config.mesh.virtual_shards=8"
    ),
}
SPLITS = [  # among 4: the shape, and the axis that is split
    [[8, 16], 1],
    [[16, 8], 0],
    [[3, 4, 30], 1],
    [[3, 30], None],
    [[64], None],  # vectors are small
    [[], None],
]
LITTLE = [*SMALL, *SIZES]
STRICT = ["--config.mesh.virtual_shards=8", "--config.optim.accumulation_steps=2", "--config.optim.ema_decay=0.9"]
STRICT = [*LITTLE, *STRICT]
SHARING = {1: 1, 2: 1, 4: 2, 8: 8}  # mesh.model of strict runs, by the number of devices
PAIRED = {"latents": (16, 4), "bias": (24,), "step": ()}
ONE = "cpu:5 of process 0 unlike 7 others"
COPIES = [  # mesh.model, the device among 8 that has other bits, which these are, and who is said to differ
    (1, 5, [77], ONE),
    (1, 5, [20 + 32 * number for number in (3, 9)], ONE),  # the same bit of two
    (1, 5, [31 + 32 * number for number in (3, 9)], ONE),  # two signs
    (1, 5, [31 + 32 * number for number in range(128)], ONE),  # all
    (2, 2, [77], "cpu:2 of process 0 unlike 3 others"),
    (4, 6, [77], "cpu:2 of process 0, cpu:6 of process 0 unlike each other"),
    (8, 3, [77], None),  # each holds a part of its own
]
MESHES = [(1, 1), (4, 1), (1, 4), (2, 2)]  # mesh.model and mesh.inputs, among 8
EIGHT = """
import json, sys
from pathlib import Path
from tests.system import test_devices as here
place = lambda name: Path(sys.argv[1], str(name))
print(json.dumps({"refused": [here.refusal(setting) for setting in here.WRONG],
                  "splits": [[shape, here.split_axis(shape)] for shape, _ in here.SPLITS],
                  "runs": [here.train(*mesh, place(i)) for i, mesh in enumerate(here.MESHES)],
                  "two": here.train(1, 1, place("two"), count=2),
                  "strict": [here.strict(n, place(f"strict{n}")) for n in here.COUNTS[1:]],
                  "copies": [here.told_of_copies(*asked) for *asked, _ in here.COPIES],
                  "pairs": here.pairs(place("pairs")),
                  "resnet": here.train(4, 1, place("resnet"), here.RESNET, last=here.FIRST)}))
"""


def refusal(setting):
    """What a config says that does not fit the devices."""
    with pytest.raises(Failure) as caught:
        Programs(problem_of(*SETTINGS, setting))
    return str(caught.value)


def split_axis(shape):
    """The axis of an array of this shape that is split among four devices."""
    mesh = devices.make_mesh(4, 1, {})
    spec = devices.state_sharding(mesh, jax.ShapeDtypeStruct(tuple(shape), np.float32)).spec
    return spec.index("model") if "model" in spec else None


def mesh_of(count):
    """The first devices of this process, which split a state among all of them."""
    with mock.patch.object(devices, "_devices", return_value=jax.devices()[:count]):
        return devices.make_mesh(count, 1, {})


def programs_of(model, inputs, settings=SETTINGS, count=None):
    """Those of a config on the first `count` devices of this process, or on all."""
    with mock.patch.object(devices, "_devices", return_value=jax.devices()[:count]):
        return Programs(problem_of(*settings, f"--config.mesh.model={model}", f"--config.mesh.inputs={inputs}"))


def train(model, inputs, directory, settings=SETTINGS, count=None, first=0, last=STEPS, between=None):
    """A few steps: losses, what the first device holds, the hash of the state saved in `directory`.

    They go on from step `first` as it is saved there, if that is not the beginning; `between` is another step that is saved.
    """
    programs = programs_of(model, inputs, settings, count)
    state, losses = programs.restore(directory, first) if first else programs.initial_state(), []
    directory.mkdir(exist_ok=True)
    program = compiled(programs) if settings is SETTINGS else None  # once: it trains, too
    update = program or programs.step
    batches = pipeline.train_batches(programs.problem.data, programs.problem.config.seed, first)
    for step, batch in zip(range(first, last), batches, strict=False):
        if step == between:
            checkpoint.save(directory, step, state, {}, keep=2)
        state, sums = update(state, devices.to_devices(batch, programs.mesh))
        losses.append(float(sums["loss"]) / float(sums["weight"]))
    batches.close()
    arrays = checkpoint.leaves(state)
    checkpoint.save(directory, last, state, {}, keep=2)
    return {
        "devices": programs.mesh.size,
        **(facts_of(program) if program else {}),
        "losses": losses,
        "bytes": sum(leaf.addressable_shards[0].data.nbytes for leaf in arrays.values()),
        "whole": sum(leaf.nbytes for leaf in arrays.values()),
        "split_bytes": sum(leaf.nbytes for leaf in arrays.values() if not leaf.is_fully_replicated),
        "split": [name for name, leaf in arrays.items() if not leaf.is_fully_replicated],
        "divisible": [name for name, leaf in arrays.items() if leaf.ndim > 1 and any(n % 4 == 0 for n in leaf.shape)],
        "state_sha256": checkpoint.state_sha256(state),
    }


def strict(count, directory):
    """The hash of a strict run of four steps, saved after two and at its end."""
    return train(SHARING[count], 1, directory, STRICT, count, last=4, between=2)["state_sha256"]


def pairs(directory):
    """The hash of a state that is saved by each number of devices, a part on each, and restored by each, and on how many."""
    directory.mkdir()
    rng = np.random.default_rng(0)
    state = {name: rng.normal(size=shape).astype(np.float32) for name, shape in PAIRED.items()}
    found = []
    for a, b in itertools.product(COUNTS, COUNTS):
        here, there = (devices.state_sharding(mesh_of(n), jax.eval_shape(lambda: state)) for n in (a, b))
        checkpoint.save(directory, a, jax.device_put(state, here), {}, keep=len(COUNTS))
        like = jax.tree.map(lambda leaf, place: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place), state, there)
        back = checkpoint.restore(directory, a, like)
        found.append([checkpoint.state_sha256(back), back["latents"].addressable_shards[0].data.shape[0]])
    return [checkpoint.state_sha256(state), found]


def told_of_copies(model, device, bits):
    """What is said of a state in which one device holds other bits."""
    mesh = devices.make_mesh(model, 1, {})
    state = {"latents": np.arange(128, dtype=np.float32).reshape(16, 8), "step": np.int32(3)}
    state = jax.device_put(state, devices.state_sharding(mesh, jax.eval_shape(lambda: state)))
    check_replicas(state, 3)
    for bit in bits:
        state["latents"] = layers.with_flipped(state["latents"], device, bit)
    try:
        check_replicas(state, 3)
    except Failure as failure:
        return [str(failure).partition("\n")[0], failure.found]


def facts_of(program):
    """A program's collectives, as their kind and the shapes that each gives, `f32[8,8]`; and its memory on each device."""
    found = re.findall(r"= (.*?) (all-\w+|reduce-scatter|collective-\w+)(?:-start)?\(", program.as_text())
    memory = program.memory_analysis()
    return {
        "collectives": [[kind, re.findall(r"\w+\[[\d,]*\]", result)] for result, kind in found],
        "argument_bytes": memory.argument_size_in_bytes,
        "temporary_bytes": memory.temp_size_in_bytes,
    }


def compiled(programs):
    """The compiled step of a run."""
    mesh, size = programs.mesh, programs.problem.config.data.batch_size
    inputs, masks = accounting.example_shapes(programs.problem, size)
    shapes = {"inputs": inputs, "masks": masks, "labels": jax.ShapeDtypeStruct((size,), np.int32)}

    def placed(name):
        sharding = devices.batch_sharding(mesh, name in ("inputs", "masks"))
        return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), shapes[name])

    return programs.step.lower(programs.abstract_state, {name: placed(name) for name in shapes}).compile()


@pytest.fixture(scope="module")
def eight(once):
    """What a process with eight devices found, and where it saved."""

    def make(directory):
        directory.mkdir()
        command = [sys.executable, "-c", EIGHT, directory]
        run = subprocess.run(command, env=on_devices(8), capture_output=True, text=True, cwd=Path(__file__).parents[2])
        assert run.returncode == 0, run.stderr
        assert "donated" not in run.stderr  # what cannot be, JAX warns of
        (directory / "found.json").write_text(run.stdout)

    directory = once("eight", make)
    return json.loads((directory / "found.json").read_text()), directory


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """The same run on one device, and where it saved."""
    directory = tmp_path_factory.mktemp("one")
    return train(1, 1, directory), directory


def test_eight_devices_have_the_losses_of_one(eight, one):
    found, alone = eight[0], one[0]
    assert alone["devices"] == 1
    assert alone["losses"][0] != alone["losses"][-1]
    assert [run["devices"] for run in (*found["runs"], found["two"])] == [8] * len(MESHES) + [2]
    for run in (*found["runs"], found["two"]):
        np.testing.assert_allclose(
            run["losses"][:FIRST], alone["losses"][:FIRST], rtol=3e-6
        )  # float32's 1e-7, grown by sums of ten terms and by LAMB


def test_parameters_stay_the_same_in_their_first_digits_however_they_are_computed(eight, one):
    programs = Programs(problem_of(*SETTINGS))

    def parameters(directory):
        return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(programs.restore(directory, STEPS).params)])

    expected = parameters(one[1])
    found, directory = eight
    for name, run in {**{str(i): run for i, run in enumerate(found["runs"])}, "two": found["two"]}.items():
        assert np.linalg.norm(parameters(directory / name) - expected) <= 1e-5 * np.linalg.norm(expected)
        assert run["state_sha256"] != one[0]["state_sha256"]  # or strict runs would show nothing


def test_strict_runs_have_the_same_bits_on_any_number_and_resumed_on_another(eight, tmp_path):
    found, directory = eight
    alone = strict(1, tmp_path / "one")
    assert found["strict"] == [alone] * 3
    shutil.rmtree(directory / "strict4" / "4")
    resumed = train(1, 1, directory / "strict4", STRICT, first=2, last=4)
    assert resumed["state_sha256"] == alone
    halfway = Programs(problem_of(*STRICT)).restore(directory / "strict4", 2)
    assert checkpoint.state_sha256(halfway) != alone


@pytest.mark.parametrize("which", range(len(MESHES)))
def test_a_compiled_step_takes_what_is_told_without_the_devices(eight, which):
    model, inputs = MESHES[which]
    problem = problem_of(*SETTINGS, f"--config.mesh.model={model}", f"--config.mesh.inputs={inputs}")
    told, run = device_memory.held_by_each(problem, 8), eight[0]["runs"][which]
    step, labels = 4, 4 * 16 // (8 // inputs)
    given = sum(told[name] for name in ("parameters", "optimiser", "averages", "batch"))
    assert run["argument_bytes"] == given + step + labels
    assert 0.5 < run["temporary_bytes"] / (told["gradient"] + told["activations"]) < 2.5


def size_of(shape):
    """The elements of `f32[8,8]`."""
    return math.prod(int(n) for n in re.findall(r"\d+", shape.partition("[")[2]))


def test_devices_that_split_the_batch_exchange_once_what_they_found(eight):
    """One sum has all gradients, or what they follow from, and the metrics; the other is one number, the logits' bound."""
    found = eight[0]["runs"][0]["collectives"]
    shapes = [leaf.shape for leaf in jax.tree.leaves(Programs(problem_of(*SETTINGS)).abstract_state.params)]
    assert [kind for kind, _ in found] == ["all-reduce"] * 2
    bound, sums = sorted((given for _, given in found), key=len)
    assert bound == ["f32[]"]
    assert sums[-3:] == ["f32[]"] * 3  # loss, correct answers, examples
    assert len(sums[:-3]) <= len(shapes)
    numbers = sum(map(math.prod, shapes))
    assert 0.9 * numbers < sum(map(size_of, sums[:-3])) <= numbers


def test_devices_that_split_the_state_gather_one_parameter_at_a_time_and_no_moments(eight):
    found = eight[0]["runs"][1]["collectives"]
    sizes = [math.prod(leaf.shape) for leaf in jax.tree.leaves(Programs(problem_of(*SETTINGS)).abstract_state.params)]
    gathered = [given for kind, given in found if kind == "all-gather"]
    assert gathered
    assert {len(given) for given in gathered} == {1}
    assert max(size_of(given[0]) for given in gathered) <= max(sizes)
    assert sum(size_of(given[0]) for given in gathered) < 2 * sum(sizes)  # once forward, once backward


def test_what_any_number_saves_any_number_restores(eight):
    saved, found = eight[0]["pairs"]
    assert found == [[saved, 16 // b] for _, b in itertools.product(COUNTS, COUNTS)]


def test_a_bit_that_one_device_alone_holds_is_told_with_its_name(eight):
    said = "error[5] devices hold different bits of latents: step 3"
    assert eight[0]["copies"] == [found and [said, found] for *_, found in COPIES]


def test_a_resnet_normalises_by_the_examples_of_all_devices(eight, tmp_path):
    """Two examples a device have other means than all sixteen: with their own the losses would differ from the second on."""
    found, alone = eight[0]["resnet"], train(1, 1, tmp_path / "one", RESNET, last=FIRST)
    assert (found["devices"], alone["devices"]) == (8, 1)
    assert any(name.startswith("params/blocks/0/expand/kernel") for name in found["split"])
    np.testing.assert_allclose(found["losses"], alone["losses"], rtol=3e-6)


def test_along_the_axis_model_each_device_holds_its_part_of_parameters_and_moments(eight):
    whole, split, *_ = eight[0]["runs"]
    assert whole["split"] == []
    assert whole["bytes"] == whole["whole"]
    assert set(split["split"]) == set(split["divisible"])
    kinds = {name.split("/")[0] + ("/mu" if "/mu/" in name else "/nu" if "/nu/" in name else "") for name in split["split"]}
    assert kinds == {"params", "ema", "opt_state/mu", "opt_state/nu"}
    assert split["split_bytes"] > 0.5 * whole["bytes"]
    assert split["bytes"] == whole["bytes"] - 3 / 4 * split["split_bytes"]


def test_a_state_split_over_eight_devices_is_restored_on_one(eight):
    found, directory = eight
    for i, run in enumerate(found["runs"]):
        state = Programs(problem_of(*SETTINGS)).restore(directory / str(i), STEPS)
        assert checkpoint.state_sha256(state) == run["state_sha256"]
        assert all(len(leaf.sharding.device_set) == 1 for leaf in jax.tree.leaves(state))


def test_what_does_not_divide_is_refused_with_numbers_that_do(eight):
    assert eight[0]["refused"] == list(WRONG.values())
    with pytest.raises(Failure, match=r"mesh\.model 2 does not divide 1 devices") as caught:
        devices.make_mesh(2, 1, {})
    with pytest.raises(Failure, match=r"mesh\.inputs 2 does not divide 1 devices of one host"):
        devices.make_mesh(1, 2, {})
    assert caught.value.code == Code.CONFIG


def test_an_array_is_split_along_its_longest_axis_that_divides(eight):
    assert eight[0]["splits"] == SPLITS
