"""Says what a trained run takes files for: the most probable classes of each, with their probabilities.

python -m scripts.predict --workdir runs/a [--step 5000] [--top 5] [--json] FILE...

Files are looked at one by one, so that the answer for one does not depend on the others. Those that are nothing the model
could take are named and left out, and the exit code is then 3.
"""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from absl import flags
from jaxtyping import Float

from perceiver_jax import command
from perceiver_jax.data.examples import file_inputs
from perceiver_jax.errors import Code, Failure
from perceiver_jax.report.progress import Progress, say
from perceiver_jax.report.tables import table
from perceiver_jax.runs import workdir
from perceiver_jax.settings.config import Config, read
from perceiver_jax.training import manifest

flags.DEFINE_string("workdir", None, "Directory of the run.")
_STEP = flags.DEFINE_integer("step", None, "Checkpoint to ask; without it the newest valid one.")
_TOP = flags.DEFINE_integer("top", 5, "How many classes to name.", lower_bound=1)
_JSON = flags.DEFINE_bool("json", False, "Print one JSON object a file and line instead of a table.")


def main(files: list[Path]) -> None:
    place = workdir.Workdir(Path(command.require("workdir")).absolute())
    config = read(workdir.read_config(str(place.path)))
    if not files:
        raise Failure(Code.CONFIG, "no files to look at", expected="one or more behind the flags")
    step = manifest.chosen_step(place.checkpoints, _STEP.value)
    rows: list[list[str]] = []
    bad: list[Failure] = []
    with Progress(len(files), 0) as progress:
        readable = inputs_of(files, config, bad, progress)
        first = list(itertools.islice(readable, 1))  # before JAX: that none can be read is told at once
        if first:
            for file, probabilities in predictions(itertools.chain(first, readable), config, place.checkpoints, step):
                best = best_classes(probabilities, config.spec.classes, _TOP.value)
                if _JSON.value:
                    classes = [{"class": name, "probability": share} for name, share in best]
                    say(json.dumps({"file": str(file), "step": step, "classes": classes}))
                rows += [["" if i else str(file), name, f"{100 * share:.1f} %"] for i, (name, share) in enumerate(best)]
    if rows and not _JSON.value:
        say(table(["file", "class", "probability"], rows))
    if bad:
        raise bad[0] if len(files) == 1 else Failure(Code.DATA, f"{len(bad)} of {len(files)} files were left out")


def inputs_of(
    files: list[Path], config: Config, bad: list[Failure], progress: Progress
) -> Iterator[tuple[Path, Float[np.ndarray, "*grid F"]]]:
    """Each file that can be read, with its features; the failures of the others are told, and added to `bad`."""
    for done, file in enumerate(files, 1):
        try:
            inputs = file_inputs(config.data, config.augment, file)
        except Failure as failure:
            bad.append(failure)
            if len(files) > 1:  # of a single one it is how the command ends
                progress.note(str(failure))
        else:
            yield file, inputs
        progress.update(done, {})


def predictions(
    inputs: Iterator[tuple[Path, Float[np.ndarray, "*grid F"]]], config: Config, checkpoints: Path, step: int
) -> Iterator[tuple[Path, Float[np.ndarray, " Y"]]]:
    """Each file with the probability of every class. Raises Failure(NUMERICS) for one that is no number."""
    from perceiver_jax.runs.programs import Experiment  # JAX from here on

    experiment = Experiment(config)
    variables = experiment.restore(checkpoints, step).evaluated
    for file, one in inputs:
        probabilities = np.asarray(experiment.probabilities(variables, one[None])[0])
        if not np.isfinite(probabilities).all():
            raise Failure(Code.NUMERICS, f"{file}: the model's answer is no number")
        yield file, probabilities


def best_classes(probabilities: Float[np.ndarray, " Y"], classes: tuple[str, ...], count: int) -> list[tuple[str, float]]:
    """The names and probabilities of the `count` most probable classes, most probable first."""
    order = np.argsort(-probabilities, kind="stable")[:count]
    return [(classes[label], float(probabilities[label])) for label in order]


if __name__ == "__main__":
    command.run(main, takes_files=True)
