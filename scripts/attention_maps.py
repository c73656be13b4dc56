"""Draws the attention maps of a trained run (figure 3 of the paper), for the run's test examples or for any files.

python -m scripts.attention_maps --workdir runs/a --output DIR [--cross_attends 1,2,8] [--latents 0,17] [--overlay] [FILE...]
"""

from pathlib import Path

from absl import flags

from perceiver_jax import command
from perceiver_jax.data import pipeline
from perceiver_jax.errors import Code, Failure
from perceiver_jax.report.progress import Progress, say
from perceiver_jax.runs.load import example_of, load

flags.DEFINE_string("workdir", None, "Directory of the run.")
flags.DEFINE_string("output", None, "Directory for the pictures, one per file or example.")
_STEP = flags.DEFINE_integer("step", None, "Step of the checkpoint; default: the newest valid one.")
_SPLIT = flags.DEFINE_string("split", "test", "Split of the examples, where no files are given.")
_EXAMPLES = flags.DEFINE_list("examples", ["0"], "Which examples of the split, counted from 0.")
_CROSS_ATTENDS = flags.DEFINE_list("cross_attends", None, "Which, counted from 1; default: the first, second and last.")
_LATENTS = flags.DEFINE_list("latents", None, "Which, counted from 0; default: as many as fit.")
_OVERLAY = flags.DEFINE_bool(
    "overlay", False, "Show the picture itself, dark where a latent attends least; clouds always are."
)


def main(files: list[Path]) -> None:
    run, output = load(command.require("workdir"), _STEP.value), Path(command.require("output"))
    model = run.problem.config.model
    if not model.figure_3:
        raise Failure(Code.CONFIG, f"a model of kind {model.kind} has no cross-attends to draw")
    count = model.num_cross_attends
    cross_attends = model.figure_3 if _CROSS_ATTENDS.value is None else chosen(_CROSS_ATTENDS, range(1, count + 1))
    latents = None if _LATENTS.value is None else chosen(_LATENTS, range(model.num_latents))
    if files:
        inputs = {file.stem: run.inputs_of(example_of(file, run)) for file in files}
        if len(inputs) < len(files):
            raise Failure(Code.CONFIG, "two files have the same name", expected="files of different names")
    else:
        run, _ = run.on_data()
        pipeline.check(run.problem.data)
        indices = chosen(_EXAMPLES, range(run.problem.data.size(_SPLIT.value)))
        inputs = {f"{_SPLIT.value}_{i}": run.problem.data.example(_SPLIT.value, i) for i in indices}
    from perceiver_jax.runs.maps import draw_maps  # JAX from here on

    output.mkdir(parents=True, exist_ok=True)
    with Progress(len(inputs), 0) as progress:
        for done, (name, example) in enumerate(inputs.items(), 1):
            picture = output / f"{name}.png"
            drawn = draw_maps(run.programs, run.variables, *example, picture, cross_attends, latents, _OVERLAY.value)
            progress.update(done, {})
            say("\n".join(map(str, drawn)))


def chosen(flag: flags.FlagHolder[list[str]], there: range) -> list[int]:
    """The numbers that a flag gives; raises Failure(CONFIG) for one out of range."""
    for text in flag.value:
        if not text.isdecimal() or int(text) not in there:
            raise Failure(Code.CONFIG, f"--{flag.name}: {text!r}", expected=f"numbers from {there[0]} to {there[-1]}")
    return [int(text) for text in flag.value]


if __name__ == "__main__":
    command.run(main, takes_files=True)
