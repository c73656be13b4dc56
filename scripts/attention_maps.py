"""Draws the attention maps of a trained run (figure 3 of the paper), for the run's test examples or for any files.

python -m scripts.attention_maps --workdir runs/a --output DIR [--cross_attends 1,2,8] [--latents 0,17] [--overlay] [FILE...]

A folder stands for all files in it that the run can read, `-` for standard input. Files that cannot be read are named and
skipped, and the exit code is then 3. No picture is written over a file that is to be read.
"""

import itertools
from collections.abc import Collection, Iterator
from pathlib import Path

from absl import flags

from perceiver_jax import command
from perceiver_jax.data import pipeline
from perceiver_jax.data.batch import Inputs, Masks
from perceiver_jax.errors import Code, Failure
from perceiver_jax.report.progress import Progress, note, say
from perceiver_jax.runs.files import check_left_out, check_spared, listed, named_apart, readable
from perceiver_jax.runs.load import TrainedRun, load
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
        files = listed(given, _FILES.value, run, bad, note)
        pictures = {file: output / f"{name}.png" for file, name in named_apart(files).items()}
        written = [run.problem.picture_of(path, stream) for path in pictures.values() for stream in run.problem.modalities]
        check_spared(written, files)
    else:
        run, _ = run.on_data()
        pipeline.check(run.problem.data)
        indices = chosen(_EXAMPLES, range(run.problem.data.size(_SPLIT.value)))
        files, pictures = [], {i: output / f"{_SPLIT.value}_{i}.png" for i in indices}
    count = len(pictures) + len(bad)
    with Progress(len(pictures), 0) as progress:
        examples = readable(pictures, run, run.inputs_of, bad, progress) if files else of_split(pictures, run, progress)
        first = list(itertools.islice(examples, 1))  # before JAX: that none can be read is reported at once
        try:
            if first:
                output.mkdir(parents=True, exist_ok=True)
                from perceiver_jax.runs.maps import draw_maps  # JAX from here on
            for one, example in itertools.chain(first, examples):
                look = cross_attends, latents, _OVERLAY.value
                say("\n".join(map(str, draw_maps(run.programs, run.variables, *example, pictures[one], *look))))
        except OSError as error:
            raise disk.unusable(f"--output {output}", output, error) from error
    check_left_out(bad, count)


def of_split(indices: Collection[int], run: TrainedRun, progress: Progress) -> Iterator[tuple[int, tuple[Inputs, Masks]]]:
    """Examples of the run's own data."""
    for done, index in enumerate(indices, 1):
        yield index, run.problem.data.example(_SPLIT.value, index)
        progress.update(done, {})


def chosen(flag: flags.FlagHolder[list[str]], there: range) -> list[int]:
    """The numbers that a flag gives; raises Failure(CONFIG) for one out of range."""
    for text in flag.value:
        if not text.isdecimal() or int(text) not in there:
            raise Failure(Code.CONFIG, f"--{flag.name}: {text!r}", expected=f"numbers from {there[0]} to {there[-1]}")
    return [int(text) for text in flag.value]


if __name__ == "__main__":
    command.run(main, takes_files=True)
