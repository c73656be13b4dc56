"""A trained run, opened in one call: its predictions, its metrics, its attention."""

import dataclasses
import functools
import io
import os
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from perceiver_jax.data.batch import Inputs, Masks, normalized
from perceiver_jax.data.config import DirectoryConfig
from perceiver_jax.data.examples import moment_of, raw_inputs
from perceiver_jax.errors import Code, Failure
from perceiver_jax.runs import workdir as workdirs
from perceiver_jax.runs.problem import Problem, check_classes, differences, resolve
from perceiver_jax.system.signals import StopFlag
from perceiver_jax.system.watchdog import Watchdog
from perceiver_jax.tasks import Answer, Evaluation
from perceiver_jax.training import manifest

if TYPE_CHECKING:
    from perceiver_jax.runs.programs import Programs
    from perceiver_jax.training.step import Variables

STDIN = Path("-")
MAX_FILE_BYTES = 1_000_000_000  # a device or a pipe may never end
BLOCK_BYTES = 2**20  # that are asked for at once

# One example: a file of a run with a single stream, or by stream a file or raw values as the data set has them.
Given = str | Path | np.ndarray | Mapping[str, str | Path | np.ndarray]


def load(path: str | Path, step: int | None = None) -> "TrainedRun":
    """The run in a workdir, at a step or at the newest valid checkpoint. Its data are not needed.

    Raises Failure(CHECKPOINT) where there is no run, no such step, or one is damaged.
    """
    workdir = workdirs.Workdir(Path(os.path.expanduser(path)).absolute())
    config = workdirs.read_config(str(workdir.path))
    problem = workdirs.read_problem(workdir, config)
    return TrainedRun(workdir, problem, manifest.chosen_step(workdir.checkpoints, step))


@dataclasses.dataclass(frozen=True, eq=False)
class TrainedRun:
    """A run at one of its steps. Its model is loaded when it is first asked for."""

    workdir: workdirs.Workdir
    problem: Problem
    step: int

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes it was trained on, in the order of its scores."""
        return self.problem.classes

    @functools.cached_property
    def programs(self) -> "Programs":
        """The compiled model, on whatever devices there are."""
        from perceiver_jax.runs.programs import Programs  # JAX from here on

        return Programs(self.problem, only_answers=True)

    @functools.cached_property
    def variables(self) -> "Variables":
        """The parameters that it answers with."""
        return self.programs.restore(self.workdir.checkpoints, self.step).evaluated

    def at(self, data_dir: str) -> "TrainedRun":
        """The same run with its data at another path; raises Failure(CONFIG) for data that are not in a directory."""
        data = self.problem.config.data
        if not isinstance(data, DirectoryConfig):
            raise Failure(Code.CONFIG, f"--data_dir: data set {data.kind} is not in a directory of its own")
        moved = self.problem.config.model_copy(
            update={"data": data.model_copy(update={"data_dir": os.path.expanduser(data_dir)})}
        )
        return dataclasses.replace(self, problem=dataclasses.replace(self.problem, config=moved))

    def on_data(self) -> tuple["TrainedRun", list[str]]:
        """The run with the examples that its data have now, and what has changed of them since it began, in words.

        Raises Failure(DATA) where they are not there, or have a class that the run does not know.
        """
        found = resolve(self.problem.config, self.problem.left_out)
        check_classes(self.problem.classes, found.classes)
        changed = differences(self.problem, found)
        if not changed:
            return self, []
        now = dataclasses.replace(self.problem, num_examples=found.num_examples, masked=found.masked)
        return dataclasses.replace(self, problem=now), changed

    def inputs_of(self, given: Given) -> tuple[Inputs, Masks]:
        """One example as evaluation would see it; raises Failure(DATA), naming the file, where it cannot be read."""
        return self.inputs_at(self.opened(given), moment_of(0, self.problem.config.views))

    def views_of(self, given: Given) -> list[tuple[Inputs, Masks]]:
        """Every view of an example that evaluation averages, the plain one first; raises as `inputs_of` does."""
        opened, views = self.opened(given), self.problem.config.views
        return [self.inputs_at(opened, moment_of(view, views), view) for view in range(views.num_evaluation)]

    def opened(self, given: Given) -> dict[str, tuple[Any, str]]:
        """One example by stream, as its modality reads it, with its name in messages; one recording gives all streams."""
        modalities = self.problem.modalities
        if not isinstance(given, Mapping):
            if len(modalities) > 1 and not all(modality.seconds for modality in modalities.values()):
                names = ", ".join(modalities)
                raise Failure(Code.CONFIG, f"an example of this run has several streams: {names}", f"{given}"[:200])
            given = dict.fromkeys(modalities, given)
        if given.keys() != modalities.keys():
            found, expected = ", ".join(given) or "none", ", ".join(modalities)
            raise Failure(Code.CONFIG, "streams of an example", found=found, expected=expected)
        opened, bytes_of = {}, functools.cache(read_file)  # once: a pipe cannot be read a second time
        for stream, modality in modalities.items():
            one = given[stream]
            if isinstance(one, str | Path):
                path = Path(one)
                data = path if modality.seconds and path.is_file() else bytes_of(path)
                opened[stream] = modality.read_file(data, str(one)), str(one)
            else:
                opened[stream] = one, f"stream {stream}"
        return opened

    def inputs_at(self, opened: Mapping[str, tuple[Any, str]], moment: float, view: int = 0) -> tuple[Inputs, Masks]:
        """A view of an example that has been `opened`, and of a recording the part at a moment, 0 to 1."""
        modalities = self.problem.modalities
        given, names = ({stream: pair[i] for stream, pair in opened.items()} for i in (0, 1))
        raw = raw_inputs(modalities, given, names, moment)
        return normalized(modalities, {stream: modalities[stream].evaluation(one, view) for stream, one in raw.items()})

    def scores(self, given: Given) -> Float[np.ndarray, " Y"]:
        """The probability of each class for one example, the mean over the views that evaluation averages.

        Raises Failure(NUMERICS) for one that is not finite.
        """
        return self.scores_of(self.views_of(given), given)

    def scores_of(self, views: Sequence[tuple[Inputs, Masks]], name: Any) -> Float[np.ndarray, " Y"]:
        """The same for views that have been read."""
        logits = np.stack([self.programs.logits(self.variables, *view) for view in views])
        scores = np.asarray(self.problem.task.scores(self.problem.task.averaged(logits))[0])
        if not np.isfinite(scores).all():
            raise Failure(Code.NUMERICS, f"{name}: the model's output is not finite")
        return scores

    def predict(self, examples: Given | Iterable[Given], top: int = 5) -> list[list[Answer]]:
        """The likeliest classes of one example or of each, likeliest first, each example by itself."""
        return [self.problem.task.answers(self.scores(given), top) for given in _several(examples)]

    def embed(self, examples: Given | Iterable[Given]) -> Float[np.ndarray, "examples D"]:
        """The mean over the latents of one example or of each; raises Failure(CONFIG) for a model without latents."""
        model = self.problem.config.model
        if not model.schedule:
            raise Failure(Code.CONFIG, f"a model of kind {model.kind} has no latents", expected="kind perceiver")
        means = []
        for given in _several(examples):
            latents = self.programs.latents(self.variables, *self.inputs_of(given))
            means.append(np.asarray(latents[0]).mean(axis=0))
        return np.stack(means)

    def attention_maps(self, given: Given, cross_attends: Sequence[int] | None = None) -> list[dict[str, np.ndarray]]:
        """The attention logits (N, M) of one example in some cross-attends, counted from 1, by stream.

        None: those of figure 3. The mean over heads, before the softmax.
        """
        from perceiver_jax.runs.maps import attention_maps

        chosen = self.problem.config.model.figure_3 if cross_attends is None else cross_attends
        return attention_maps(self.programs, self.variables, *self.inputs_of(given), chosen)

    def evaluate(self, split: str = "test", streams: Collection[str] | None = None) -> dict[str, float]:
        """The metrics over all examples of a split of the data, each counted once, with some of the streams or all.

        Raises Failure(DATA) where the data are not there, or have a class that the run does not know.
        """
        run, _ = self.on_data()
        with StopFlag() as stop:
            found = run.evaluation(split, stop, streams)
        if found is None:
            raise KeyboardInterrupt
        return self.problem.task.finish(found)

    def evaluation(self, split: str, stop: StopFlag, streams: Collection[str] | None = None) -> Evaluation | None:
        """What is known of all examples of a split; None if asked to stop early.

        Raises Failure(NUMERICS) where the model's output for one of them is not a number.
        """
        names = list(self.problem.modalities)
        for name in streams or ():
            if name not in names:
                raise Failure(Code.CONFIG, f"stream {name} not found", expected=f"one or more of {', '.join(names)}")
        from perceiver_jax.runs.evaluate import evaluate  # JAX from here on

        dropped = [name for name in names if streams and name not in streams]
        found = evaluate(self.programs, self.variables, split, stop, Watchdog(None), dropped)
        if found is not None and np.isnan(found.sums["loss"]):
            where = f"{self.workdir.path}, step {self.step:,}, split {split}"
            raise Failure(Code.NUMERICS, "the model's output is not a number", where)
        return found


def read_file(path: Path) -> bytes:
    """The bytes of a user's file, of a pipe, or of standard input where the path is `-`; raises Failure(DATA)."""
    if path != STDIN and not path.exists():
        raise Failure(Code.DATA, f"{path}: does not exist")
    try:
        with sys.stdin.buffer if path == STDIN else open(path, "rb") as file:
            data = _bytes(file, MAX_FILE_BYTES + 1)
    except IsADirectoryError:
        raise Failure(Code.DATA, f"{path}: is a directory") from None
    except OSError as error:
        raise Failure(Code.DATA, f"{path}: cannot be read", found=f"{error.strerror}") from None
    if len(data) > MAX_FILE_BYTES:
        raise Failure(Code.DATA, f"{path}: has more than {MAX_FILE_BYTES:,} bytes", hint="a smaller file")
    return data


def _bytes(file: io.BufferedIOBase, most: int) -> bytes:
    """At most that many bytes of a file. By blocks: to ask for as many at once would allocate them."""
    found = io.BytesIO()
    while found.tell() < most and (block := file.read(min(BLOCK_BYTES, most - found.tell()))):
        found.write(block)
    return found.getvalue()


def _several(examples: Given | Iterable[Given]) -> Iterable[Given]:
    return [examples] if isinstance(examples, str | Path | np.ndarray | Mapping) else examples
