"""Prepares KiCad's models of electronic parts as class folders of points, for configs/kicad.py.

python -m scripts.prepare_kicad --source /usr/share/kicad/3dmodels --data_dir DIR [--num_points 4096] [--num_workers 2]

--source is where Debian's package kicad-packages3d puts them. Written are DIR/{train,test}/CLASS/NAME.npy, each of as many
points drawn uniformly from each surface, and DIR/bad_items.jsonl, the files that gave none: the same bytes with any number
of workers. Nothing has the name DIR before all is there.

The models are under CC-BY-SA 4.0 with an exception for designs that use them, which does not cover collections of models.
The points are one: pass them on only under that licence, with the names of the authors, and put none into a repository.
"""

import collections
import concurrent.futures
import contextlib
import functools
import json
import multiprocessing
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from absl import flags

from perceiver_jax import command
from perceiver_jax.data.preparation import kicad
from perceiver_jax.data.preparation.findings import BAD_ITEMS, SHOWN
from perceiver_jax.data.preparation.kicad import Model, Outcome
from perceiver_jax.errors import Code, Failure
from perceiver_jax.report.progress import Progress, say
from perceiver_jax.system import disk
from perceiver_jax.system.signals import StopFlag, end_with_parent
from scripts.preparation import Observer, check_outside

CHUNK = 16  # models given to a worker at once

_SOURCE = flags.DEFINE_string("source", None, "Directory of KiCad's 3D models.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Directory to make: the config's data.data_dir.")
_NUM_POINTS = flags.DEFINE_integer("num_points", 4096, "Points of each shape.", lower_bound=1)
_NUM_WORKERS = flags.DEFINE_integer("num_workers", os.cpu_count(), "Processes that read and sample.", lower_bound=1)


def main() -> None:
    source = Path(command.require("source")).expanduser()
    data_dir = Path(command.require("data_dir")).expanduser().absolute()
    if not source.is_dir():
        raise Failure(Code.DATA, f"--source {source}", "is no directory")
    check_outside(data_dir, source)
    models = kicad.list_models(source)
    try:
        if data_dir.exists() and any(data_dir.iterdir()):
            raise Failure(Code.WORKDIR, f"output is not empty: {data_dir}", hint="another --data_dir")
        data_dir.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f"{disk.TEMPORARY}{data_dir.name}-", dir=data_dir.parent))
        try:
            written = prepare(models, folder)
            folder.chmod(0o755)  # the temporary one was for this user alone
            os.rename(folder, data_dir)
            disk.sync(data_dir.parent)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        hint = "free some space, or another --data_dir"
        raise Failure(Code.WORKDIR, f"cannot write to {data_dir}", found=disk.reason(error), hint=hint) from None
    counts = collections.Counter(model.split for model in written)
    classes = len({model.label for model in written})
    say(f"{data_dir} is ready, {classes} classes, {counts['train']:,} train and {counts['test']:,} test shapes:"
        f" --config.data.data_dir={data_dir}")  # fmt: skip


def prepare(models: Sequence[Model], folder: Path) -> list[Model]:
    """Writes the points of all models into `folder`; those that gave some. Raises Stopped on request."""
    written, bad = [], []
    convert = functools.partial(kicad.convert, num_points=_NUM_POINTS.value)
    with contextlib.ExitStack() as stack:
        stop, progress = stack.enter_context(StopFlag()), stack.enter_context(Progress(len(models), 0))
        outcomes = in_order(convert, [model.path for model in models], stack)
        observe = Observer(progress, stop, len(models), resumes=False)
        for done, (model, outcome) in enumerate(zip(models, outcomes, strict=True), 1):
            if outcome.points is None:
                bad.append((model, outcome))
            else:
                target = folder / model.target
                target.parent.mkdir(parents=True, exist_ok=True)
                np.save(target, outcome.points)
                written.append(model)
            observe(done)
        for model, outcome in bad[:SHOWN]:
            progress.note(f"left out {model.path.name}: {outcome.code}: {outcome.sentence}")
        if len(bad) > SHOWN:
            progress.note(f"... and {len(bad) - SHOWN} more")
        for code, count in sorted(collections.Counter(outcome.code for _, outcome in bad).items()):
            progress.note(f"left out {count:,} of {len(models):,} models: {code}")
    lines = [json.dumps({"key": m.path.name, "code": o.code, "what": o.sentence}) + "\n" for m, o in bad]
    disk.write_atomically(folder / BAD_ITEMS, "".join(lines).encode())
    _check_classes(models, written)
    return written


def in_order(convert: Callable[[Path], Outcome], paths: Sequence[Path], stack: contextlib.ExitStack) -> Iterator[Outcome]:
    """What becomes of each file, in their order: made here, or by more than one process, which end with the `stack`."""
    if _NUM_WORKERS.value == 1:
        return map(convert, paths)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([kicad.__name__])
    pool = concurrent.futures.ProcessPoolExecutor(_NUM_WORKERS.value, context, initializer=_be_a_worker)
    stack.callback(pool.shutdown, cancel_futures=True)
    return pool.map(convert, paths, chunksize=CHUNK)


def _check_classes(models: Sequence[Model], written: Sequence[Model]) -> None:
    """Raises Failure(DATA) where a class has lost all that it had in a split."""
    lost = sorted({(m.label, m.split) for m in models} - {(m.label, m.split) for m in written})
    if lost:
        raise Failure(Code.DATA, f"class {lost[0][0]} has no {lost[0][1]} shapes", "its files gave none: see above")


def _be_a_worker() -> None:
    """A terminal sends SIGINT to all; the parent says when to end, and a worker without one ends by itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()


if __name__ == "__main__":
    command.run(main)
