"""One table of what scripts/accelerator_check.sh has found of a device: tests, short runs, the benchmark.

python -m scripts.device_table --directory DIRECTORY
"""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from absl import flags

from perceiver_jax import command
from perceiver_jax.errors import Code, Failure
from perceiver_jax.report.progress import say
from perceiver_jax.report.tables import markdown, quantity
from perceiver_jax.system.disk import write_atomically

PRECISIONS = ("float32", "tensorfloat32", "bfloat16")  # of the runs
NEAR = 0.02  # of accuracy, within which runs of other precisions are to be to that in float32
COLUMNS = ("what", "result", "time (s)", "memory of the device", "share of a matmul's rate")

flags.DEFINE(command.PATH, "directory", None, "What scripts/accelerator_check.sh has filled.")


def main() -> None:
    folder = Path(command.require("directory"))
    import jax

    device = jax.devices()[0]
    machine = f"{jax.device_count()} x {device.device_kind} ({device.platform}), jax {jax.__version__}"
    failed, tests = _tests(folder / "tests.xml")
    accuracies, runs = _runs(folder)
    benchmark = _read(folder / "benchmark.json")
    text = f"{machine}\n\n{markdown(COLUMNS, [tests, *runs, *_benchmark(benchmark)])}\n"
    say(text)
    write_atomically(folder / "table.md", text.encode())
    far = [name for name, accuracy in accuracies.items() if abs(accuracy - accuracies[PRECISIONS[0]]) > NEAR]
    if failed or far:
        found = [f"{failed} tests failed"] * bool(failed) + [f"{name} learns otherwise than float32" for name in far]
        raise Failure(Code.FAULT, "the device does not compute what it should", found="; ".join(found))


def _read(path: Path) -> Any:
    if not path.exists():
        raise Failure(Code.CONFIG, f"no {path}", hint="sh scripts/accelerator_check.sh makes it")
    return json.loads(path.read_text())


def _tests(path: Path) -> tuple[int, tuple]:
    """How many tests have failed, and their row."""
    if not path.exists():
        raise Failure(Code.CONFIG, f"no {path}", hint="sh scripts/accelerator_check.sh makes it")
    suite = ElementTree.parse(path).getroot().find("testsuite")
    count, skipped = int(suite.attrib["tests"]), int(suite.attrib["skipped"])
    failed = int(suite.attrib["failures"]) + int(suite.attrib["errors"])
    words = f"{count - failed - skipped:,} passed, {skipped} skipped, {failed} failed"
    return failed, ("tests", words, f"{float(suite.attrib['time']):.0f}", "", "")


def _runs(folder: Path) -> tuple[dict[str, float], list[tuple]]:
    """The accuracies of the short runs, and their rows."""
    found = {name: _read(folder / name / "result.json") for name in PRECISIONS}
    accuracies = {name: result["metrics"]["test"]["accuracy"] for name, result in found.items()}
    rows = []
    for name, result in found.items():
        held = result["peak_memory_bytes"]["device"]
        memory = "" if held is None else f"{quantity(held)}B"
        rows.append((f"run in {name}", f"accuracy {accuracies[name]:.4f}", f"{result['time']['training']:.1f}", memory, ""))
    return accuracies, rows


def _benchmark(found: dict[str, Any]) -> list[tuple]:
    """A row for each contestant that was timed."""
    rows = []
    for suite, measured in found["suites"].items():
        for row in measured:
            if "min_seconds" not in row or isinstance(row["min_seconds"], list):
                continue
            names = ("shape", "inputs", "num_inputs", "operation")
            at = [str(row[name]) for name in names if name in row and row[name] != suite]
            ratio = f"{row['ratio_min']:.2f} of plain" if "ratio_min" in row and row["contestant"] != "plain" else ""
            memory = f"{quantity(row['device_bytes'])}B" if "device_bytes" in row else ""
            share = f"{100 * row['share_of_machine']:.0f} %" if "share_of_machine" in row else ""
            what = f"{suite} {' '.join(at)}: {row['contestant']}"
            rows.append((what, ratio, f"{row['min_seconds']:.4g}", memory, share))
    return rows


if __name__ == "__main__":
    command.run(main)
