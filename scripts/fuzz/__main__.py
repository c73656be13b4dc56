"""Feeds damaged files to every reader of files that users give, and prints what became of them.

python -m scripts.fuzz [--parser pictures,meshes] [--count 10000] [--seed 0] [--output FILE.json]
python -m scripts.fuzz --guided --minutes 10 [--parser pictures] [--output FILE.json]

An input may be read, or refused with a code of ours. Another exception, the end of the process, more than 10 s or 1 GB, a
file written outside its folder and a pickle that is loaded are findings. Parsers are the files of scripts/fuzz/parsers.
"""

import datetime
import importlib.util
import platform
import tempfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from absl import flags

import perceiver_jax
from perceiver_jax import command
from perceiver_jax.errors import Code, Failure, MissingPackage
from perceiver_jax.members import kinds, member
from perceiver_jax.report.progress import Progress, say
from perceiver_jax.report.tables import table
from perceiver_jax.system.disk import write_atomically
from scripts.fuzz import parsers as room
from scripts.fuzz.campaign import Campaign, Finding, Row
from scripts.results import check_output, write_results

COLUMNS = ("parser", "inputs", "accepted", "refused", "findings", "slowest (s)", "most memory (MB)")
_PARSER = flags.DEFINE_list("parser", ["all"], f"Which of {', '.join(kinds(room))}.")
_COUNT = flags.DEFINE_integer("count", 10_000, "How many inputs of each parser.", lower_bound=1)
_SEED = flags.DEFINE_integer("seed", 0, "The inputs come from it.")
_GUIDED = flags.DEFINE_bool("guided", False, "Let atheris look for inputs that reach other lines of code, for --minutes.")
_MINUTES = flags.DEFINE_float("minutes", 5.0, "How long, for each parser, with --guided.", lower_bound=0.01)
_OUTPUT = flags.DEFINE(command.PATH, "output", None, "File for the results, .json; the table goes beside it as .md.")


def main() -> None:
    names = kinds(room) if _PARSER.value == ["all"] else _PARSER.value
    packages = {package for name in names for package in member(room, name, "--parser").packages}
    if _GUIDED.value and not _is_installed("atheris"):
        raise MissingPackage(Code.CONFIG, "--guided needs the package atheris", hint="pip install -e .[fuzz]")
    check_output(_OUTPUT.value)
    began = datetime.datetime.now(datetime.UTC)
    rows, findings = _fed(names)
    facts = {"date": began.isoformat(timespec="minutes"), "seed": _SEED.value, "guided": _GUIDED.value}
    facts |= {
        "perceiver_jax": perceiver_jax.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
    facts |= {package: metadata.version(package) for package in sorted(packages | ({"atheris"} if _GUIDED.value else set()))}
    cells = [_cells(row) for row in rows]
    say(table(COLUMNS, cells))
    if _OUTPUT.value is not None:
        _write(Path(_OUTPUT.value), facts, cells, findings)
    if findings:
        hint = "the lines above say what; --output keeps an input of each"
        raise Failure(Code.FAULT, f"{len(findings)} findings", hint=hint)


def _is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ValueError:  # of a module that was taken out
        return False


def _fed(names: Sequence[str]) -> tuple[list[Row], list[Finding]]:
    """Feeds the parsers one after the other."""
    rows, findings = [], []
    every = len(names) * _COUNT.value if not _GUIDED.value else 0
    with tempfile.TemporaryDirectory(prefix="perceiver_jax-fuzz-") as folder, Progress(every, 0) as progress:
        for i, name in enumerate(names):
            place = Path(folder, name)
            (place / "corpus").mkdir(parents=True)
            campaign = Campaign(room.__name__, name, _SEED.value, place, progress.note)
            before = i * _COUNT.value
            if _GUIDED.value:
                campaign.guide(_MINUTES.value, place / "corpus", lambda _: None)
            else:
                campaign.feed(_COUNT.value, lambda done, before=before: progress.update(before + done, {}))
            rows.append(campaign.row)
            findings += campaign.findings.values()
    return rows, findings


def _cells(row: Row) -> tuple[str | int | float, ...]:
    """Those of `COLUMNS`."""
    return row.parser, row.inputs, row.accepted, row.refused, row.findings, row.slowest, round(row.memory / 1e6)


def _write(path: Path, facts: dict, cells: Sequence[Sequence], findings: Sequence[Finding]) -> None:
    """Writes the table and the findings, and beside it the smallest input of each."""
    kept = []
    for number, finding in enumerate(findings):
        name = f"{path.stem}-{number}-{finding.parser}-{Path(finding.outcome.name).name}"
        write_atomically(path.with_name(name), finding.data)
        kept.append(finding.record() | {"input": name})
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in cells]
    write_results(path, facts, {"parsers": rows, "findings": kept}, COLUMNS, cells)


if __name__ == "__main__":
    command.run(main)
