"""What scripts.plan predicts, against its own rule by hand."""

import json
import runpy
import sys
from pathlib import Path

import pytest

from perceiver_jax.runs import accounting, device_memory
from scripts.counted import HELD
from tests.door import fresh_flags
from tests.launch import problem_of

ROOT = Path(__file__).parents[1]
DIGITS = ["--config", f"{ROOT}/configs/digits.py"]


@pytest.fixture
def printed(monkeypatch, capsys):
    def printed(*arguments, code=0):
        monkeypatch.setattr(sys, "argv", ["plan", *DIGITS, *arguments])
        with fresh_flags(), pytest.raises(SystemExit) as end:
            runpy.run_path(f"{ROOT}/scripts/plan.py", run_name="__main__")
        out, err = capsys.readouterr()
        assert end.value.code == code, err
        return out or err

    return printed


def test_a_step_is_its_flops_and_its_all_reduce(printed):
    facts = json.loads(printed("--devices=8,16", "--json", "--utilisation=0.5", "--config.model.matmul_precision=default"))
    problem = problem_of()
    batch, flops = problem.config.data.batch_size, accounting.training_flops(problem)
    assert (facts["products"], facts["flops_per_second"], facts["training_flops_per_example"]) == (
        "tensorfloat32",
        494e12,
        flops,
    )
    one, two = facts["predicted"]
    assert one["compute_seconds"] == pytest.approx(batch / 8 * flops / (0.5 * 494e12))
    assert two["compute_seconds"] == pytest.approx(one["compute_seconds"] / 2)
    size = 4 * accounting.count_parameters(problem)
    assert one["exchange_seconds"] == pytest.approx(2 * 7 / 8 * size / 450e9)  # in one host
    assert two["exchange_seconds"] == pytest.approx(2 * 15 / 16 * size / 50e9)
    assert one["run_seconds"] == pytest.approx(problem.num_steps * (one["compute_seconds"] + one["exchange_seconds"]))
    held = device_memory.held_by_each(problem, 8)
    assert one["bytes_each"] == sum(held[name] for name in HELD)
    pictures = 64 * 4  # bytes of one
    assert one["input_bytes_per_second"] == pytest.approx(pictures * one["examples_per_second"])
    assert two["input_bytes_per_second"] == pytest.approx(pictures * two["examples_per_second"] / 2)  # of each of two hosts


@pytest.mark.parametrize(
    ("settings", "products"),
    [
        ([], "float32"),
        (["--config.model.matmul_precision=tensorfloat32"], "tensorfloat32"),
        (["--config.model.compute_dtype=bfloat16"], "bfloat16"),
    ],
)
def test_products_are_those_of_the_config(printed, settings, products):
    assert json.loads(printed("--json", "--devices=1", *settings))["products"] == products


def test_numbers_of_devices_that_do_not_fit_are_told_in_their_row(printed):
    rows = printed("--devices=7,8").splitlines()
    assert rows[-2].split()[0] == "7"
    assert "not divisible by 7 devices" in rows[-2]
    assert rows[-1].split()[0] == "8"


def test_what_is_no_number_of_devices_is_refused(printed):
    assert printed("--devices=8,many", code=2) == "error[2] --devices many\n  expected: numbers from 1 on, as 8,64,256\n"
