"""Prepares ImageNet (ILSVRC2012) for training, in the form of TensorFlow Datasets but without TensorFlow.

python -m scripts.prepare_imagenet --source DIR --data_dir DIR [--num_workers 8] [--allow_partial] [--max_bad 0]

DIR of --source holds ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar as downloaded (nothing is unpacked), or class
folders: train/nXXXXXXXX/*.JPEG and val/*.JPEG or val/nXXXXXXXX/*.JPEG. The same command again goes on where it was stopped.
A picture whose bytes were changed without breaking the file cannot be told from a good one: compare the archives' MD5 sums
with those on the download page first.
"""

import os
import sys
import time
from pathlib import Path

from absl import flags

from perceiver_jax import command
from perceiver_jax.data.preparation import dataset, imagenet2012, items, validation_labels
from perceiver_jax.errors import Code, Failure, Stopped
from perceiver_jax.report.progress import Progress, say
from perceiver_jax.signals import StopFlag

LOG_SECONDS = 10.0  # between two lines of progress

_SOURCE = flags.DEFINE_string("source", None, "Directory of the archives or class folders.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Directory of prepared data sets: the configs' data.data_dir.")
_NUM_WORKERS = flags.DEFINE_integer("num_workers", os.cpu_count(), "Processes that decode and write.", lower_bound=1)
_ALLOW_PARTIAL = flags.DEFINE_bool("allow_partial", False, "Prepare a subset, recorded as such.")
_MAX_BAD = flags.DEFINE_integer("max_bad", 0, "Pictures that may be left out as unreadable.", lower_bound=0)
_VALIDATION_LABELS = flags.DEFINE_string("validation_labels", None, "A label a line for the validation pictures, by number.")


def main() -> None:
    source = Path(command.require("source")).expanduser()
    data_dir = Path(command.require("data_dir")).expanduser()
    if not source.is_dir():
        raise Failure(Code.DATA, f"--source {source}", "is no directory")
    if data_dir.resolve().is_relative_to(source.resolve()):
        raise Failure(Code.WORKDIR, f"--data_dir {data_dir}", "lies in --source", hint="another --data_dir")
    with StopFlag() as stop:
        plan = make_plan(source)
        count = sum(len(unit.items) for unit in plan.units)
        with Progress(count, 0) as progress:
            observe = Observer(progress, stop)
            final = dataset.prepare(plan, data_dir, _NUM_WORKERS.value, _MAX_BAD.value, observe, progress.note)
    say(f"{final} is ready: --config.data.data_dir={data_dir}")


def make_plan(source: Path) -> dataset.Plan:
    """What is to be prepared, listed and checked."""
    say_above(f"listing {source}")
    validation = imagenet2012.validation_synsets()
    if _VALIDATION_LABELS.value is not None:
        path = Path(_VALIDATION_LABELS.value).expanduser()
        validation = validation_labels.read(path, validation, imagenet2012.synsets())
    listing = imagenet2012.list_source(source, validation)
    if listing.ignored:
        shown = ", ".join(sorted(listing.ignored)[: dataset.SHOWN])
        say_above(f"ignored {len(listing.ignored):,} files that are no pictures by their names: {shown}")
    for line in imagenet2012.check_complete(listing, _ALLOW_PARTIAL.value):
        say_above(line)
    units = [
        unit
        for split, pictures in listing.items.items()
        for unit in items.make_units(imagenet2012.NAME, split, pictures, imagenet2012.num_shards(split, len(pictures)))
    ]
    return dataset.Plan(
        name=imagenet2012.NAME,
        version=imagenet2012.VERSION,
        units=units,
        convert=imagenet2012.convert,
        preload=imagenet2012.PRELOAD,
        bad=listing.bad,
        partial=listing.partial,
        features=imagenet2012.features,
        description={
            "description": "ILSVRC 2012, prepared by perceiver_jax.",
            "homepage": "https://image-net.org/",
            "supervised_keys": ("image", "label"),
        },
    )


class Observer:
    """Called with the pictures done: moves the bar, now and then says the rate, and stops on request."""

    def __init__(self, progress: Progress, stop: StopFlag):
        self._progress, self._stop = progress, stop
        self._before = (time.monotonic(), 0)

    def __call__(self, done: int) -> None:
        """Raises Stopped once a signal has asked for it."""
        if self._stop.should_stop is not None:
            raise Stopped(self._stop.should_stop, done)
        now, (then, count) = time.monotonic(), self._before
        if now - then < LOG_SECONDS:
            self._progress.update(done, {})
            return
        self._progress.update(done, {"examples_per_second": (done - count) / (now - then)})
        self._before = (now, done)


def say_above(line: str) -> None:
    """Tells a line on stderr, where the progress goes."""
    print(line, file=sys.stderr)


if __name__ == "__main__":
    command.run(main)
