"""How fast a Perceiver is here, beside its plain form in JAX and, where installed, other implementations in PyTorch.

python -m scripts.benchmark [--suite forward,train_step] [--shapes small,imagenet2] [--json FILE] [--plot FILE]

Suites: cross_attend (the core against the number of inputs), forward, train_step, memory (of compiled programs, not run),
compile, input_pipeline, guards (checkpoints, watchdog, restart), scaling; `all` is all. Contestants have a process each and
step in turn, so that ratios hold on a shared machine. Each result is also given as a share of the same machine's rate in a
large matmul, and with what other programs took of its cores meanwhile.
"""

import json
import os
import platform
from importlib import metadata
from pathlib import Path

from absl import flags

from perceiver_jax import command
from perceiver_jax.errors import Code, Failure
from perceiver_jax.report.progress import Progress, say
from perceiver_jax.report.tables import quantity, table
from perceiver_jax.system import memory
from perceiver_jax.system.disk import write_atomically
from perceiver_jax.system.processor import num_cores
from scripts.benchmark import peers
from scripts.benchmark.run import Row, Run, add_shares
from scripts.benchmark.shapes import chosen, shapes
from scripts.benchmark.suites import DEFAULT_SUITES, SUITES

_CHEAP = [name for name in shapes() if name not in ("audioset_mel_video", "imagenet", "imagenet1024")]
_SUITE = flags.DEFINE_list("suite", list(DEFAULT_SUITES), f"Which of all, {', '.join(SUITES)}.")
_SHAPES = flags.DEFINE_list("shapes", _CHEAP, f"Which of {', '.join(shapes())}, for the suites that have models.")
_ROUNDS = flags.DEFINE_integer("rounds", 10, "Steps of each contestant in each of its starts.", lower_bound=1)
_STARTS = flags.DEFINE_integer(
    "starts", 1, "Processes of each contestant, one after the other; the spread of their times is told.", lower_bound=1
)
_SECONDS = flags.DEFINE_float("seconds", 60, "What the rounds of one start of all may take, but for the first three.")
_JSON = flags.DEFINE(command.PATH, "json", None, "File for all results; rewritten after each suite.")
_PLOT = flags.DEFINE(command.PATH, "plot", None, "File for a picture of times and ratios, a PNG.")
_TINY = flags.DEFINE_bool("tiny", False, "Shrink every shape until it runs in seconds.")
_PLAIN_IMAGENET = flags.DEFINE_bool(
    "plain_imagenet", False, "Train the plain form at full depth too: minutes and 8 GB to compile, 14 GB to run."
)


def main() -> None:
    names = list(SUITES) if _SUITE.value == ["all"] else chosen("suite", _SUITE.value, [*SUITES, "all"])
    if "all" in names:
        raise Failure(Code.CONFIG, "--suite: all cannot be combined with names", expected="all, or names")
    sizes = shapes()
    asked = [sizes[name] for name in chosen("shapes", _SHAPES.value, sizes)]
    for flag in (_JSON, _PLOT):
        _check_file(flag)
    os.environ |= memory.settings()  # for all contestants alike, as training runs set them themselves
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # on a GPU, whose memory contestants share
    with Progress(len(names), 0) as progress:
        for name, suite in SUITES.items():
            progress.note(f"suite {name}, about {suite.minutes:g} min{'' if name in names else ': skipped'}")
        run = Run(
            shapes=asked,
            peers=_peers(names, progress),
            rounds=_ROUNDS.value,
            starts=_STARTS.value,
            seconds=_SECONDS.value,
            tiny=_TINY.value,
            plain_imagenet=_PLAIN_IMAGENET.value,
            note=progress.note,
        )
        run.shapes = [run.size(shape) for shape in run.shapes]
        results: dict[str, list[Row]] = {}
        with run:
            for done, name in enumerate(names):
                results[name] = SUITES[name].run(run)
                for rows in results.values():  # all of them: the best rate may be a later one
                    add_shares(rows, run.gflops)
                progress.update(done + 1, {})
                if _JSON.value:
                    text = json.dumps({"machine": _machine(run), "suites": results}, indent=1)
                    write_atomically(Path(_JSON.value), text.encode())
    _report(run, results)
    if run.failures:
        raise Failure(max(f.code for f in run.failures), f"{len(run.failures)} contestants failed", run.failures[0].what)


def _check_file(flag: flags.FlagHolder[str | None]) -> None:
    """Raises Failure(WORKDIR) where the file a flag names could not be written: better now than after an hour."""
    if flag.value is not None and not os.access(Path(flag.value).parent, os.W_OK):
        what = "is not writable" if Path(flag.value).parent.is_dir() else "is not a directory"
        raise Failure(Code.WORKDIR, f"--{flag.name} {flag.value}", f"{Path(flag.value).parent} {what}")


def _peers(suites: list[str], progress: Progress) -> list[str]:
    """The peers that are installed, if any suite runs them; for the others, how to get them is reported."""
    installed = []
    for peer in peers.PACKAGES if {"forward", "train_step"} & set(suites) else ():
        lacking = peers.missing(peer)
        if lacking:
            progress.note(f"peer {peer} not installed: pip install {' '.join(lacking)}")
        else:
            installed.append(peer)
    return installed


def _machine(run: Run) -> Row:
    versions = {name: metadata.version(name) for name in ("jax", "jaxlib", "flax")}
    return {
        "cores": num_cores(),
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "load": os.getloadavg()[0],
        "matmul_gflops": run.gflops,
        "peers": {package: metadata.version(package) for peer in run.peers for package in peers.PACKAGES[peer]},
        **versions,
    }


def _report(run: Run, results: dict[str, list[Row]]) -> None:
    for name, rows in results.items():
        columns = [column for column in SUITES[name].columns if any(column in row for row in rows)]
        say(f"\n{name}")
        say(table(columns, [[_cell(row, column) for column in columns] for row in rows]))
        for estimate in dict.fromkeys(row["estimate"] for row in rows if "estimate" in row):
            say(f"* {estimate}")
    say(f"\nthis machine's best matmul: {run.gflops:.4g} GFLOP/s" if run.gflops else "")
    if _PLOT.value:
        from scripts.benchmark.plot import draw

        drawn = draw(results, Path(_PLOT.value))
        say(f"picture of {', '.join(drawn)}: {_PLOT.value}" if drawn else "nothing to draw of these suites")


def _cell(row: Row, column: str) -> str | int | float:
    if column not in row:
        return "-" if "error" not in row else "failed"
    if column == "contestant" and "estimate" in row:
        return f"{row[column]} *"
    return f"{quantity(row[column])}B" if column.endswith("_bytes") else row[column]


if __name__ == "__main__":
    command.run(main)
