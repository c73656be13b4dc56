"""Draws the attention maps of a trained run (figure 3 of the paper), for the run's test examples or for any files.

python -m scripts.attention_maps --workdir runs/a --output DIR [--cross_attends 1,2,8] [--latents 0,17] [--overlay] [FILE...]

A folder stands for all files in it that the run can read, `-` for standard input. Files that cannot be read are named and
skipped, and the exit code is then 3. No picture is written over a file that is to be read.
"""

import functools
import itertools
import os
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from absl import flags

from perceiver_jax import command
from perceiver_jax.data import pipeline
from perceiver_jax.data.batch import Inputs, Masks
from perceiver_jax.errors import Code, Failure
from perceiver_jax.report.progress import Progress, say
from perceiver_jax.runs.files import check_left_out, listed, readable
from perceiver_jax.runs.load import STDIN, TrainedRun, load
from perceiver_jax.system import disk

flags.DEFINE(command.PATH, "workdir", None, "Directory of the run.")
flags.DEFINE(command.PATH, "output", None, "Directory for the pictures, one per file or example.")
_STEP = flags.DEFINE_integer("step", None, "Step of the checkpoint; default: the newest valid one.")
_FILES = flags.DEFINE(command.PATH, "files", None, "File with the names of more files, one a line; - is standard input.")
_SPLIT = flags.DEFINE_string("split", "test", "Split of the examples, where no files are given.")
_EXAMPLES = flags.DEFINE_list("examples", ["0"], "Which examples of the split, counted from 0.")
_CROSS_ATTENDS = flags.DEFINE_list("cross_attends", None, "Which, counted from 1; default: the first, second and last.")
_LATENTS = flags.DEFINE_list("latents", None, "Which, counted from 0; default: as many as fit.")
_OVERLAY = flags.DEFINE_bool(
    "overlay", False, "Show the picture itself, dark where a latent attends least; clouds always are."
)


def main(given: list[Path]) -> None:
    run, output = load(command.require("workdir"), _STEP.value), Path(command.require("output"))
    model = run.problem.config.model
    if not model.figure_3:
        raise Failure(Code.CONFIG, f"a model of kind {model.kind} has no cross-attends to draw")
    count = model.num_cross_attends
    cross_attends = model.figure_3 if _CROSS_ATTENDS.value is None else chosen(_CROSS_ATTENDS, range(1, count + 1))
    latents = None if _LATENTS.value is None else chosen(_LATENTS, range(model.num_latents))
    bad: list[Failure] = []
    if given or _FILES.value is not None:
        files = listed(given, _FILES.value, run, functools.partial(print, file=sys.stderr))
        pictures = {file: output / f"{name}.png" for file, name in named_apart(files).items()}
        check_spared(pictures, run)
    else:
        run, _ = run.on_data()
        pipeline.check(run.problem.data)
        indices = chosen(_EXAMPLES, range(run.problem.data.size(_SPLIT.value)))
        files, pictures = [], {i: output / f"{_SPLIT.value}_{i}.png" for i in indices}
    with Progress(len(pictures), 0) as progress:
        examples = readable(pictures, run, bad, progress) if files else of_split(pictures, run, progress)
        first = list(itertools.islice(examples, 1))  # before JAX: that none can be read is reported at once
        try:
            if first:
                output.mkdir(parents=True, exist_ok=True)
                from perceiver_jax.runs.maps import draw_maps  # JAX from here on
            for one, *example in itertools.chain(first, examples):
                look = cross_attends, latents, _OVERLAY.value
                say("\n".join(map(str, draw_maps(run.programs, run.variables, *example, pictures[one], *look))))
        except OSError as error:
            raise disk.unusable(f"--output {output}", output, error) from error
    check_left_out(bad, len(pictures))


def of_split(indices: Collection[int], run: TrainedRun, progress: Progress) -> Iterator[tuple[int, Inputs, Masks]]:
    """Examples of the run's own data."""
    for done, index in enumerate(indices, 1):
        yield index, *run.problem.data.example(_SPLIT.value, index)
        progress.update(done, {})


def named_apart(files: Sequence[Path]) -> dict[Path, str]:
    """A name for each file's picture: its own, and its folders and suffix as far as other files have the same."""
    plain = {file: "stdin" if file == STDIN else file.stem for file in files}
    often = Counter(name.casefold() for name in plain.values())
    alike = [file.absolute() for file, name in plain.items() if often[name.casefold()] > 1]
    above = Path(os.path.commonpath([file.parent for file in alike])) if alike else Path()
    taken: set[str] = set()
    for file, name in plain.items():
        choices = [name]
        if often[name.casefold()] > 1:
            longer = file.absolute().relative_to(above)
            choices = ["_".join(longer.with_suffix("").parts), "_".join(longer.parts).replace(".", "_")]
        while choices[0].casefold() in taken:
            choices = [*choices[1:], f"{choices[-1]}_"]
        taken.add(choices[0].casefold())
        plain[file] = choices[0]
    return plain


def check_spared(pictures: Mapping[Path, Path], run: TrainedRun) -> None:
    """Raises Failure(CONFIG) where a picture would be written over a file that is to be read."""
    given = (Path(part) for file in pictures for part in str(file).split(",") if os.path.isfile(part))
    inputs = {(status.st_dev, status.st_ino): file for file in given for status in [file.stat()]}
    for picture in pictures.values():
        for written in (run.problem.picture_of(picture, stream) for stream in run.problem.modalities):
            if written.exists() and (written.stat().st_dev, written.stat().st_ino) in inputs:
                hint = "another --output"
                raise Failure(Code.CONFIG, f"--output {picture.parent}", f"would overwrite the input {written}", hint=hint)


def chosen(flag: flags.FlagHolder[list[str]], there: range) -> list[int]:
    """The numbers that a flag gives; raises Failure(CONFIG) for one out of range."""
    for text in flag.value:
        if not text.isdecimal() or int(text) not in there:
            raise Failure(Code.CONFIG, f"--{flag.name}: {text!r}", expected=f"numbers from {there[0]} to {there[-1]}")
    return [int(text) for text in flag.value]


if __name__ == "__main__":
    command.run(main, takes_files=True)
