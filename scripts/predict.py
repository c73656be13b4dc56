"""Classifies files with a trained run: prints the most probable classes of each, with their probabilities.

python -m scripts.predict --workdir runs/a [--step 5000] [--top 5] [--json] FILE...

Files are classified one by one, so that the prediction for one does not depend on the others. An example of a run with
several streams is one file per stream, joined by commas in the order of the streams' names. Files that cannot be read are
named and skipped, and the exit code is then 3.
"""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

from absl import flags

from perceiver_jax import command
from perceiver_jax.data.examples import Inputs, Masks
from perceiver_jax.errors import Code, Failure
from perceiver_jax.report.progress import Progress, say
from perceiver_jax.report.tables import table
from perceiver_jax.runs.load import TrainedRun, example_of, load

flags.DEFINE_string("workdir", None, "Directory of the run.")
_STEP = flags.DEFINE_integer("step", None, "Step of the checkpoint; default: the newest valid one.")
_TOP = flags.DEFINE_integer("top", 5, "How many classes to name.", lower_bound=1)
_JSON = flags.DEFINE_bool("json", False, "Print one JSON object per file, one per line, instead of a table.")


def main(files: list[Path]) -> None:
    if not files:
        command.require("workdir")
        raise Failure(Code.CONFIG, "no files given", expected="one or more after the flags")
    run = load(command.require("workdir"), _STEP.value)
    rows: list[list[str]] = []
    bad: list[Failure] = []
    with Progress(len(files), 0) as progress:
        readable = inputs_of(files, run, bad, progress)
        first = list(itertools.islice(readable, 1))  # before JAX: that none can be read is reported at once
        for file, inputs, masks in itertools.chain(first, readable):
            answers = run.problem.task.answers(run.scores_of(inputs, masks, file), _TOP.value)
            if _JSON.value:
                classes = [{"class": answer.name, "probability": answer.score} for answer in answers]
                say(json.dumps({"file": str(file), "step": run.step, "classes": classes}))
            rows += [["" if i else str(file), a.name, f"{100 * a.score:.1f} %"] for i, a in enumerate(answers)]
    if rows and not _JSON.value:
        say(table(["file", "class", "probability"], rows))
    if bad:
        raise bad[0] if len(files) == 1 else Failure(Code.DATA, f"{len(bad)} of {len(files)} files were left out")


def inputs_of(
    files: list[Path], run: TrainedRun, bad: list[Failure], progress: Progress
) -> Iterator[tuple[Path, Inputs, Masks]]:
    """Each file that can be read, with its inputs; the failures of the others are reported, and added to `bad`."""
    for done, file in enumerate(files, 1):
        try:
            inputs = run.inputs_of(example_of(file, run))
        except Failure as failure:
            bad.append(failure)
            if len(files) > 1:  # of a single one it is how the command ends
                progress.note(str(failure))
        else:
            yield file, *inputs
        progress.update(done, {})


if __name__ == "__main__":
    command.run(main, takes_files=True)
