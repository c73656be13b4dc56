"""The table of a device's check, and the script that fills its directory, with a program that only takes notes."""

import json
import os
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.door import fresh_flags

ROOT = Path(__file__).parents[1]
TESTS = '<testsuites><testsuite tests="{}" failures="{}" errors="0" skipped="2" time="61.4"/></testsuites>'
BENCHMARK = {
    "forward": [
        {"shape": "small", "operation": "forward", "contestant": "ours", "min_seconds": 0.5, "ratio_min": 0.25,
         "share_of_machine": 0.4, "device_bytes": 2_000_000},
        {"shape": "small", "operation": "forward", "contestant": "plain", "min_seconds": 2.0, "ratio_min": 1.0},
        {"shape": "large", "operation": "forward", "contestant": "plain", "error": "out of memory"},
    ],
    "cross_attend": [{"inputs": "images", "operation": "core_value", "contestant": "ours", "slope": 1.01}],
}  # fmt: skip


@pytest.fixture
def table(tmp_path, monkeypatch, capsys):
    """Fills a directory and gives the exit code, and what was printed: table(accuracies by precision, failed tests)."""

    def table(accuracies, failed=0):
        (tmp_path / "tests.xml").write_text(TESTS.format(50, failed))
        (tmp_path / "benchmark.json").write_text(json.dumps({"suites": BENCHMARK}))
        for name, accuracy in accuracies.items():
            (tmp_path / name).mkdir()
            held = {"device": 3_000_000 if name == "bfloat16" else None}
            result = {"metrics": {"test": {"accuracy": accuracy}}, "peak_memory_bytes": held, "time": {"training": 12.34}}
            (tmp_path / name / "result.json").write_text(json.dumps(result))
        monkeypatch.setattr(sys, "argv", ["device_table", "--directory", str(tmp_path)])
        with fresh_flags(), pytest.raises(SystemExit) as end:
            runpy.run_path(f"{ROOT}/scripts/device_table.py", run_name="__main__")
        return end.value.code, *capsys.readouterr()

    return table


def rows(text):
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| ")][2:]


def test_all_that_was_found_is_in_one_table(table, tmp_path):
    code, out, err = table({"float32": 0.96, "tensorfloat32": 0.95, "bfloat16": 0.955})
    assert (code, err) == (0, "")
    assert rows(out) == [
        ["tests", "48 passed, 2 skipped, 0 failed", "61", "", ""],
        ["run in float32", "accuracy 0.9600", "12.3", "", ""],
        ["run in tensorfloat32", "accuracy 0.9500", "12.3", "", ""],
        ["run in bfloat16", "accuracy 0.9550", "12.3", "3 MB", ""],
        ["forward small: ours", "0.25 of plain", "0.5", "2 MB", "40 %"],
        ["forward small: plain", "", "2", "", ""],
    ]
    assert (tmp_path / "table.md").read_text().strip() == out.strip()


@pytest.mark.parametrize(
    ("accuracies", "failed", "found"),
    [
        ((0.96, 0.96, 0.93), 0, "bfloat16 learns otherwise than float32"),
        ((0.96, 0.96, 0.96), 3, "3 tests failed"),
    ],
)
def test_a_device_that_computes_something_else_ends_with_1(table, accuracies, failed, found):
    code, _, err = table(dict(zip(("float32", "tensorfloat32", "bfloat16"), accuracies, strict=True)), failed)
    assert (code, err) == (1, f"error[1] the device does not compute what it should\n  found: {found}\n")


def test_a_directory_that_was_not_filled_is_told(table):
    code, _, err = table({})
    assert (code, err.splitlines()[1]) == (2, "  try: sh scripts/accelerator_check.sh makes it")


@pytest.mark.parametrize("form", ["small", "full"])
def test_the_script_asks_for_what_there_is(form, tmp_path):
    noting = tmp_path / "python"
    noting.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >> {tmp_path}/noted\n')
    noting.chmod(0o755)
    command = ["sh", "scripts/accelerator_check.sh", str(tmp_path / "out"), form]
    subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHON": str(noting)}, check=True)
    tests, *runs, benchmark, table = map(shlex.split, (tmp_path / "noted").read_text().splitlines())
    assert all((ROOT / word).exists() for word in tests if word.startswith("tests/"))
    assert [run[run.index("--workdir") + 1] for run in runs] == [
        str(tmp_path / "out" / name) for name in ("float32", "tensorfloat32", "bfloat16")
    ]
    assert [run[-2:] for run in runs][2] == [
        "--config.model.compute_dtype=bfloat16",
        "--config.model.matmul_precision=bfloat16",
    ]
    assert (benchmark[:2], table[:2]) == (["-m", "scripts.benchmark"], ["-m", "scripts.device_table"])


def test_without_a_directory_the_script_says_how_it_is_called():
    done = subprocess.run(["sh", "scripts/accelerator_check.sh"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "sh scripts/accelerator_check.sh DIRECTORY [small]" in done.stdout
