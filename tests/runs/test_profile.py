"""The profile of some steps: which they are, that training does not notice, and what is written."""

import contextlib
import dataclasses
import json
import shutil
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import Mesh

from perceiver_jax.errors import Code, Failure
from perceiver_jax.report import step_parts
from perceiver_jax.report.step_parts import read_profile, step_table
from perceiver_jax.runs import profile
from perceiver_jax.runs.profile import WARM_UP, Window, choose, profiled
from perceiver_jax.runs.programs import Programs
from perceiver_jax.system import matmul
from perceiver_jax.system.parts import part
from perceiver_jax.training.step import TrainState
from scripts.faults.campaign import differences, leftovers
from scripts.faults.tiny import STEPS, TINY

# Which steps


@pytest.mark.parametrize(
    ("num_steps", "first", "last", "every", "expected"),
    {
        "after some to warm up": (10, 0, 1000, (100, 200), Window(3, 10)),
        "after a resume": (10, 500, 1000, (400, 1000), Window(503, 10)),
        "not over an evaluation": (10, 90, 1000, (100, 1000), Window(101, 10)),
        "nor a save": (10, 90, 1000, (1000, 100), Window(101, 10)),
        "up to an evaluation": (10, 87, 1000, (100, 100), Window(90, 10)),
        "over both where they come often": (10, 0, 1000, (100, 10), Window(3, 10)),
        "over one where no stretch is left": (10, 985, 1000, (100, 995), Window(988, 10)),
        "as many as are left": (10, 992, 1000, (100, 100), Window(995, 5)),
        "the last two": (10, 998, 1000, (100, 100), Window(999, 1)),
        "the last": (10, 999, 1000, (100, 100), Window(999, 1)),
        "none": (10, 1000, 1000, (100, 100), Window(1000, 0)),
    }.values(),
)
def test_the_steps_profiled(num_steps, first, last, every, expected):
    assert choose(num_steps, first, last, every) == expected


# In a run

PARTS = ["latents", "cross_attend 1", "head", "loss", "optimiser"]


def test_a_profiled_run_ends_as_the_undisturbed_one_and_profiles_the_steps_left(launcher, undisturbed, tmp_path):
    path = shutil.copytree(undisturbed, tmp_path / "run")
    (path / "result.json").unlink()
    shutil.rmtree(path / "checkpoints" / str(STEPS))
    run = launcher.train(path, *TINY, "--profile=10")
    assert run.wait() == 0, run.stderr
    assert "\nprofile of 2 steps, not 10: 5 are left\n" in run.stderr
    assert differences(path, undisturbed) == ""
    assert all(name.startswith("profile/") for name in leftovers(path, undisturbed))
    found = read_profile(path)
    assert (found["first_step"], found["steps"], found["devices"]) == (STEPS - 1, 2, 1)
    assert [row["part"] for row in found["parts"]] == [*PARTS, profile.UNNAMED, profile.WAITED, profile.IDLE]
    rows = {row["part"]: row for row in found["parts"]}
    assert all(rows[name]["forward_seconds"] > 0 for name in PARTS[1:])
    assert all(rows[name]["backward_seconds"] > 0 for name in ("cross_attend 1", "head"))
    assert rows["optimiser"]["backward_seconds"] == 0
    assert sum(row["share"] for row in found["parts"]) == pytest.approx(1)
    spent = sum(row["forward_seconds"] + row["backward_seconds"] for row in found["parts"])
    assert spent == pytest.approx(found["step_seconds"])
    assert sum(row["flops"] for row in found["parts"]) == found["flops_per_step"]
    assert found["matmul_share"] == pytest.approx(found["flops_per_step"] / spent / found["matmul_flops_per_second"])
    assert step_table(found) in run.stdout
    again = launcher.train(path, *TINY, "--profile=3")
    assert again.wait() == 0
    assert "is done.\nNothing to profile: it has no steps left. A new --workdir has.\n" in again.stdout
    assert read_profile(path) == found


@pytest.mark.parametrize("steps", ["0", "-3", "many"])
def test_a_number_of_steps_that_is_none_is_refused(launcher, tmp_path, steps):
    run = launcher.train(tmp_path / "run", *TINY, f"--profile={steps}")
    assert run.wait() == Code.CONFIG
    assert run.stderr.startswith(f"error[2] flag --profile={steps}: ")
    assert not (tmp_path / "run").exists()


def test_a_step_of_many_programs_is_refused(launcher, tmp_path):
    run = launcher.train(tmp_path / "run", *TINY, "--profile=2", "--config.mesh.virtual_shards=8")
    assert run.wait() == Code.CONFIG
    assert run.stderr.startswith("error[2] --profile with mesh.virtual_shards 8: a step is many programs then")
    assert not (tmp_path / "run").exists()


# What may come in between, on a program of its own


class Squares(Programs):
    """A program whose step squares a matrix."""

    def __init__(self):
        config = SimpleNamespace(model=SimpleNamespace(compute_dtype="float32", matmul_precision="float32"))
        self.problem = SimpleNamespace(config=config, num_steps=100)
        self.mesh = Mesh(jax.devices()[:1], "data")
        self.step = jax.jit(self._step)

    def _step(self, state, batch):
        with part("middle"):
            params = jnp.tanh(state.params @ batch["matrix"])
        return dataclasses.replace(state, params=params), {"loss": params.sum()}


@pytest.fixture
def steps(tmp_path, monkeypatch):
    """Takes some profiled steps; gives what was noted."""
    monkeypatch.setattr(profile, "matmul_rate", lambda *_: 1e9)

    def steps(count, directory=tmp_path / "profile"):
        notes, state = [], TrainState(jnp.int32(0), jnp.ones((8, 8)), (), None, {})
        asked = Squares(), directory, 2, 0, (50,), notes.append, contextlib.nullcontext
        with profiled(*asked) as step:
            for _ in range(count):
                state, _ = step(state, {"matrix": jnp.eye(8)})
        return notes

    return steps


def test_another_profile_replaces_the_first(steps, tmp_path, capsys):
    for _ in range(2):
        (note,) = steps(WARM_UP + 4)
        assert note.startswith(f"{tmp_path / 'profile'}: the trace")
        assert read_profile(tmp_path)["parts"][0]["part"] == "middle"
        assert len(list((tmp_path / "profile").rglob("*.xplane.pb"))) == 1
        assert capsys.readouterr().out == step_table(read_profile(tmp_path)) + "\n"
    assert [path.name for path in tmp_path.iterdir()] == ["profile"]


@pytest.mark.parametrize("count", [1, WARM_UP + 1])
def test_a_launch_that_ends_before_leaves_no_profile(steps, tmp_path, count):
    assert steps(count) == [f"profile not written: the launch ended at step {count}, before step {WARM_UP + 2}"]
    assert list(tmp_path.iterdir()) == []


def test_where_the_disk_refuses_it_the_steps_go_on(steps, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(profile.disk, "write_atomically", refuse)
    assert steps(WARM_UP + 3) == ["profile not written: no space left on device"]
    assert list(tmp_path.iterdir()) == []


# What is read


def test_a_run_without_a_profile_has_none(tmp_path):
    assert read_profile(tmp_path) is None


@pytest.mark.parametrize("content", ["", "[]", "{", '{"format": 1}', '{"version": 1}', '{"format": 2, "parts": []}'])
def test_a_damaged_profile_is_named(tmp_path, content):
    path = tmp_path / step_parts.PROFILE / step_parts.PARTS
    path.parent.mkdir()
    path.write_text(content)
    with pytest.raises(Failure) as failure:
        read_profile(tmp_path)
    assert failure.value.code == Code.CHECKPOINT
    assert str(path) in failure.value.what


def test_the_table_has_the_numbers_of_the_file():
    head = {"part": "head", "forward_seconds": 0.001, "backward_seconds": 0.002, "share": 0.75, "flops": 3_000_000}
    waiting = {"part": "waiting for data", "forward_seconds": 0.001, "backward_seconds": 0.0, "share": 0.25, "flops": 0}
    gone = {"part": "latents", "forward_seconds": 0.0, "backward_seconds": 0.0, "share": 0.0, "flops": 10}  # by the compiler
    found = {
        "first_step": 4,
        "steps": 10,
        "device": "cpu",
        "devices": 2,
        "step_seconds": 0.004,
        "tracing_seconds": 1.25,
        "compile_seconds": 20.0,
        "matmul_dtype": "bfloat16",
        "matmul_flops_per_second": 1e10,
        "flops_per_step": 3_000_000,
        "matmul_share": 0.075,
        "parts": [head | {"matmul_share": 0.1}, gone | {"matmul_share": None}, waiting | {"matmul_share": None}],
    }
    assert step_table(json.loads(json.dumps(found))).splitlines() == [
        "profile of steps 4 to 13 on 2 x cpu, in the mean of one step:",
        "part              forward ms  backward ms  % of step  FLOPs  % of matmul rate",
        "----------------  ----------  -----------  ---------  -----  ----------------",
        "head                   1.000        2.000       75.0    3 M              10.0",
        "latents                0.000                     0.0     10",
        "waiting for data       1.000                    25.0",
        "step                   2.000        2.000      100.0    3 M               7.5",
        "matmul rate 10 GFLOP/s, bfloat16, measured now; compile 20.0 s, before it tracing 1.2 s",
    ]


def test_the_rate_of_a_matmul_is_its_operations_over_the_shortest_time(monkeypatch):
    times = iter([0, 0.2, 1, 1.125, 2, 2.5])  # two of the smaller matrices, one of the larger ones
    monkeypatch.setattr(matmul, "CPU_SIZES", (10, 20))
    monkeypatch.setattr(matmul.time, "perf_counter", lambda: next(times))
    assert matmul.matmul_rate(Mesh(jax.devices()[:1], "data"), jnp.dtype("float32")) == pytest.approx(2 * 20**3 / 0.5)
