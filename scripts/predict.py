"""Classifies files with a trained run: prints the most probable classes of each, with their probabilities.

python -m scripts.predict --workdir runs/a [--step 5000] [--top 5] [--json] [--files LIST] FILE...
python -m scripts.predict --workdir runs/a --every 1s [--output DIR] [--top 5] [--json] FILE...

A folder stands for all files in it that the run can read, `-` for standard input. Files are classified one by one, so that
the prediction for one does not depend on others; it is the mean over the views that evaluation takes. An example of a run
with several streams is one file per stream, joined by commas in the order of the streams' names; a recording is one file.
Files that cannot be read are named and skipped, and the exit code is then 3.

With `--every` a recording is classified part after part, of the length that the run was trained on: `1s` begins one each
second. A picture of the scores over time is written into --output, by default the plots of the run.
"""

import itertools
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from absl import flags

from perceiver_jax import command
from perceiver_jax.errors import Code, Failure, printable
from perceiver_jax.report.progress import Progress, note, say
from perceiver_jax.report.tables import table
from perceiver_jax.runs import timeline
from perceiver_jax.runs.files import check_left_out, check_spared, listed, named_apart, readable
from perceiver_jax.runs.load import TrainedRun, load
from perceiver_jax.system import disk
from perceiver_jax.tasks import Answer

flags.DEFINE(command.PATH, "workdir", None, "Directory of the run.")
flags.DEFINE(command.PATH, "output", None, "Directory for the pictures of --every; default: the plots of the run.")
_STEP = flags.DEFINE_integer("step", None, "Step of the checkpoint; default: the newest valid one.")
_FILES = flags.DEFINE(command.PATH, "files", None, "File with the names of more files, one a line; - is standard input.")
_TOP = flags.DEFINE_integer("top", 5, "How many classes to name.", lower_bound=1)
_JSON = flags.DEFINE_bool("json", False, "Print one JSON object per file, or part, one per line, instead of a table.")
_EVERY = flags.DEFINE_string("every", None, "Classify a recording part after part, one beginning each 1s, 500ms or 1min.")

LEAST_SECONDS = 0.01  # of --every
UNITS = {"": 1.0, "s": 1.0, "ms": 0.001, "min": 60.0}


def main(given: list[Path]) -> None:
    workdir = command.require("workdir")
    if not given and _FILES.value is None:
        raise Failure(Code.CONFIG, "no files given", expected="one or more after the flags, a folder, or --files LIST")
    every = None if _EVERY.value is None else interval(_EVERY.value)
    if every is None and flags.FLAGS["output"].present:
        raise Failure(Code.CONFIG, "--output is for the pictures of --every, and none is drawn", hint="--every 1s")
    run = load(workdir, _STEP.value)
    if every is not None:
        timeline.seconds_of(run)
    bad: list[Failure] = []
    files = listed(given, _FILES.value, run, bad, note)
    count = len(files) + len(bad)
    rows = predicted(files, run, bad) if every is None else over_time(files, run, every, bad)
    if rows and not _JSON.value:
        say(table(["file", *["time"] * (every is not None), "class", "probability"], rows))
    check_left_out(bad, count)


def interval(text: str) -> float:
    """The seconds of --every; raises Failure(CONFIG) for what is none, or less than LEAST_SECONDS."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?) *(ms|s|min|)", text)
    seconds = 0.0 if match is None else float(match[1]) * UNITS[match[2]]
    if seconds < LEAST_SECONDS:
        expected = f"a time such as 1s, 500ms or 1min, at least {LEAST_SECONDS * 1000:.0f}ms"
        raise Failure(Code.CONFIG, f"--every: {printable(repr(text))}", expected=expected)
    return seconds


def predicted(files: Sequence[Path], run: TrainedRun, bad: list[Failure]) -> list[list[str]]:
    """Classifies each file as a whole; the rows of a table, or with --json none."""
    rows: list[list[str]] = []
    with Progress(len(files), 0) as progress:
        examples = readable(files, run, run.views_of, bad, progress)
        first = list(itertools.islice(examples, 1))  # before JAX: that none can be read is reported at once
        for file, views in itertools.chain(first, examples):
            answers = run.problem.task.answers(run.scores_of(views, file), _TOP.value)
            if _JSON.value:
                say(json.dumps({"file": str(file), "step": run.step, "classes": listed_classes(answers)}))
            else:
                rows += named_rows([printable(str(file), 400)], answers)
    return rows


def over_time(files: Sequence[Path], run: TrainedRun, every: float, bad: list[Failure]) -> list[list[str]]:
    """Classifies each file part after part, and draws it; the rows of a table, or with --json none."""
    given = flags.FLAGS["output"].value
    output = run.workdir.plots if given is None else Path(given)
    if given is not None:
        try:
            output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise disk.unusable(f"--output {output}", output, error) from error
    pictures = {file: output / f"{name}_scores.png" for file, name in named_apart(files).items()}
    check_spared(pictures.values(), files)
    with Progress(len(files), 0) as progress:
        opened = dict(readable(files, run, lambda given: timeline.timeline(run, given, every), bad, progress))
    rows: list[list[str]] = []
    with Progress(sum(len(parts.starts) for parts in opened.values()), 0) as progress:
        counter = itertools.count(1)
        for file, parts in opened.items():
            found = []
            try:
                for start, scores in timeline.scores(run, parts):
                    found.append((start, scores))
                    rows += said(file, run, start, scores, first=len(found) == 1)
                    progress.update(next(counter), {})
            except Failure as failure:  # after what could be read
                bad.append(failure)
                progress.note(str(failure))
            if found:
                draw(run, found, pictures[file], file)
    return rows


def said(file: Path, run: TrainedRun, start: float, scores: np.ndarray, first: bool) -> list[list[str]]:
    """The rows of one part; with --json it is printed at once."""
    answers = run.problem.task.answers(scores, _TOP.value)
    if _JSON.value:
        classes = listed_classes(answers)
        say(json.dumps({"file": str(file), "step": run.step, "time": round(start, 6), "classes": classes}))
        return []
    return named_rows([printable(str(file), 400) if first else "", f"{round(start, 3):g} s"], answers)


def draw(run: TrainedRun, parts: Sequence[tuple[float, np.ndarray]], picture: Path, file: Path) -> None:
    """Draws the scores of a recording over time; where that cannot be written, only says so."""
    from perceiver_jax.report.timeline import draw_timeline

    times, scores = (np.array(column) for column in zip(*parts, strict=True))
    title = f"{file.name}: {run.workdir.path.name}, step {run.step:,}"
    try:
        picture.parent.mkdir(parents=True, exist_ok=True)
        draw_timeline(times, scores, run.classes, timeline.seconds_of(run), picture, title)
    except OSError as error:
        print(disk.unusable("picture not written", picture, error), file=sys.stderr)
        return
    print(picture, file=sys.stderr)


def listed_classes(answers: Sequence[Answer]) -> list[dict[str, str | float]]:
    """The classes of a line of JSON."""
    return [{"class": answer.name, "probability": answer.score} for answer in answers]


def named_rows(first: list[str], answers: Sequence[Answer]) -> list[list[str]]:
    """A row for each answer; what is in the first cells is said once."""
    return [[*("" if i else cell for cell in first), a.name, f"{100 * a.score:.1f} %"] for i, a in enumerate(answers)]


if __name__ == "__main__":
    command.run(main, takes_files=True)
