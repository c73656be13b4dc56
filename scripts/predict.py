"""Classifies files with a trained run: prints the most probable classes of each, with their probabilities.

python -m scripts.predict --workdir runs/a [--step 5000] [--top 5] [--json] [--files LIST] FILE...

A folder stands for all files in it that the run can read, `-` for standard input. Files are classified one by one, so that
the prediction for one does not depend on the others. An example of a run with several streams is one file per stream,
joined by commas in the order of the streams' names. Files that cannot be read are named and skipped, and the exit code is
then 3.
"""

import functools
import itertools
import json
import sys
from pathlib import Path

from absl import flags

from perceiver_jax import command
from perceiver_jax.errors import Code, Failure, printable
from perceiver_jax.report.progress import Progress, say
from perceiver_jax.report.tables import table
from perceiver_jax.runs.files import check_left_out, listed, readable
from perceiver_jax.runs.load import load

flags.DEFINE(command.PATH, "workdir", None, "Directory of the run.")
_STEP = flags.DEFINE_integer("step", None, "Step of the checkpoint; default: the newest valid one.")
_FILES = flags.DEFINE(command.PATH, "files", None, "File with the names of more files, one a line; - is standard input.")
_TOP = flags.DEFINE_integer("top", 5, "How many classes to name.", lower_bound=1)
_JSON = flags.DEFINE_bool("json", False, "Print one JSON object per file, one per line, instead of a table.")


def main(given: list[Path]) -> None:
    workdir = command.require("workdir")
    if not given and _FILES.value is None:
        raise Failure(Code.CONFIG, "no files given", expected="one or more after the flags, a folder, or --files LIST")
    run = load(workdir, _STEP.value)
    files = listed(given, _FILES.value, run, functools.partial(print, file=sys.stderr))
    rows: list[list[str]] = []
    bad: list[Failure] = []
    with Progress(len(files), 0) as progress:
        examples = readable(files, run, bad, progress)
        first = list(itertools.islice(examples, 1))  # before JAX: that none can be read is reported at once
        for file, inputs, masks in itertools.chain(first, examples):
            answers = run.problem.task.answers(run.scores_of(inputs, masks, file), _TOP.value)
            if _JSON.value:
                classes = [{"class": answer.name, "probability": answer.score} for answer in answers]
                say(json.dumps({"file": str(file), "step": run.step, "classes": classes}))
            rows += [
                ["" if i else printable(str(file), 400), a.name, f"{100 * a.score:.1f} %"] for i, a in enumerate(answers)
            ]
    if rows and not _JSON.value:
        say(table(["file", "class", "probability"], rows))
    check_left_out(bad, len(files))


if __name__ == "__main__":
    command.run(main, takes_files=True)
