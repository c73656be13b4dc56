"""Prepares KiCad's models of electronic parts as class folders of points, for configs/kicad.py.

python -m scripts.kicad.prepare --source /usr/share/kicad/3dmodels --data_dir DIR [--num_points 4096] [--num_workers 2]

--source is where Debian's package kicad-packages3d puts them. It writes DIR/{train,test}/CLASS/NAME.npy, points drawn
uniformly from each surface, and DIR/bad_items.jsonl, the files that could not be read: the same bytes with any number of
workers. DIR does not exist until everything is written.

The models are under CC-BY-SA 4.0 with an exception for designs that use them, which does not cover collections of models.
The points are one: pass them on only under that licence, with the names of the authors, and put none into a repository.
"""

import collections
import contextlib
import functools
import multiprocessing
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from absl import flags
from jaxtyping import Float32

from perceiver_jax import command
from perceiver_jax.data.preparation import findings
from perceiver_jax.errors import Code, Failure
from perceiver_jax.readers import BadFile
from perceiver_jax.report.progress import Progress, say
from perceiver_jax.system import disk
from perceiver_jax.system.signals import STOPS, StopFlag, enter_worker
from scripts.kicad import models
from scripts.kicad.models import Model
from scripts.preparation import Observer, check_outside

CHUNK = 16  # models given to a worker at once

_SOURCE = flags.DEFINE(command.PATH, "source", None, "Directory of KiCad's 3D models.")
_DATA_DIR = flags.DEFINE(command.PATH, "data_dir", None, "Directory to make: the config's data.data_dir.")
_NUM_POINTS = flags.DEFINE_integer("num_points", 4096, "Points of each shape.", lower_bound=1)
_NUM_WORKERS = flags.DEFINE_integer("num_workers", os.cpu_count(), "Processes that read and sample.", lower_bound=1)


def main() -> None:
    source = Path(command.require("source"))
    data_dir = Path(command.require("data_dir")).absolute()
    if not source.is_dir():
        raise Failure(Code.DATA, f"--source {source}", "is not a directory")
    check_outside(data_dir, source)
    listed = models.list_models(source)
    try:
        if data_dir.exists() and any(data_dir.iterdir()):
            raise Failure(Code.WORKDIR, f"output is not empty: {data_dir}", hint="another --data_dir")
        data_dir.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f"{disk.TEMPORARY}{data_dir.name}-", dir=data_dir.parent))
        try:
            written = prepare(listed, folder)
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


def prepare(listed: Sequence[Model], folder: Path) -> list[Model]:
    """The models that could be read; their points are written into `folder`.

    Raises Stopped on request, and Failure(DATA) where a class has lost all that it had in a split.
    """
    written, bad = [], []
    with contextlib.ExitStack() as stack:
        stop, progress = stack.enter_context(StopFlag()), stack.enter_context(Progress(len(listed), 0))
        observe = Observer(progress, stop, len(listed), resumes=False)
        for done, (model, points) in enumerate(zip(listed, _converted(listed, stack), strict=True), 1):
            if isinstance(points, BadFile):
                bad.append((model.path.name, points.code, points.sentence))
            else:
                target = folder / model.target
                target.parent.mkdir(parents=True, exist_ok=True)
                np.save(target, points)
                written.append(model)
            observe(done)
        for name, code, sentence in bad[: findings.SHOWN]:
            progress.note(f"left out {name}: {code}: {sentence}")
        if len(bad) > findings.SHOWN:
            progress.note(f"... and {len(bad) - findings.SHOWN} more")
        for code, count in sorted(collections.Counter(code for _, code, _ in bad).items()):
            progress.note(f"left out {count:,} of {len(listed):,} models: {code}")
    findings.write_lines(folder / findings.BAD_ITEMS, (dict(zip(("key", "code", "what"), row, strict=True)) for row in bad))
    lost = sorted({(m.label, m.split) for m in listed} - {(m.label, m.split) for m in written})
    if lost:
        what = f"class {lost[0][0]} has no {lost[0][1]} shapes"
        raise Failure(Code.DATA, what, "none of its files could be read; see above")
    return written


def _converted(listed: Sequence[Model], stack: contextlib.ExitStack) -> Iterator[Float32[np.ndarray, "P 3"] | BadFile]:
    """What becomes of each model, in their order: made here, or by more than one process, which end with the `stack`."""
    convert, paths = functools.partial(models.convert, num_points=_NUM_POINTS.value), [model.path for model in listed]
    if _NUM_WORKERS.value == 1:
        return map(convert, paths)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([models.__name__])
    # SIGTERM is not ignored: by it the pool ends its workers when one of them has died.
    ignored = tuple(number for number in STOPS if number != signal.SIGTERM)
    pool = ProcessPoolExecutor(_NUM_WORKERS.value, context, initializer=enter_worker, initargs=ignored)
    stack.callback(pool.shutdown, cancel_futures=True)
    return pool.map(convert, paths, chunksize=CHUNK)


if __name__ == "__main__":
    command.run(main)
