"""Which example is at which position of which batch, and the batches themselves, read ahead by Grain.

Batch k is a pure function of (config, seed, k): the data position of a run is its step, neither workers nor reading
ahead can change what is trained on, and any step is resumed without replay. Grain takes up to 2 s to import and brings
JAX, so functions import it.
"""

import functools
import math
import os
import re
import signal
import sys
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from absl import flags
from jaxtyping import Integer

from perceiver_jax.data import sampling
from perceiver_jax.data.batch import Batch
from perceiver_jax.data.config import DataConfig
from perceiver_jax.data.examples import DataSet, Share, Split, eval_batch, train_batch, vote_batch
from perceiver_jax.errors import Code, Failure
from perceiver_jax.system.signals import STOPS, enter_worker

if TYPE_CHECKING:
    import grain

QUIET_TRACKER = "ignore:resource_tracker"  # among Python's warnings


@runtime_checkable
class Batches(Iterator[Batch], Protocol):
    """Batches in order, read ahead."""

    def close(self) -> None:
        """Ends the thread and the processes that read ahead; `contextlib.closing` calls it."""


def check(data: DataSet) -> None:
    """Reads enough to know that the data are there, before JAX is imported.

    Raises Failure(DATA) where a package or file is missing or damaged, or a split is not of the size it should be.
    """
    for split, size in data.source.contents().num_examples.items():
        found = len(data.source.load(split))
        if found != size:
            raise Failure(Code.DATA, f"split {split} has {found} records, {data.config.kind} has {size}")
    check_size(data.sizes["train"], data.config.batch_size)


def check_size(count: int, batch_size: int) -> None:
    """Raises Failure(DATA) where there are fewer examples to train on than an update takes."""
    if count < batch_size:
        fitting = 2 ** (count.bit_length() - 1)
        what = f"split train has {count} examples, data.batch_size is {batch_size}"
        raise Failure(Code.DATA, what, hint=f"--config.data.batch_size={fitting}, or more data")


def train_batches(data: DataSet, seed: int, first_step: int, *, host: int = 0, num_hosts: int = 1) -> Batches:
    """The batches of steps `first_step`, `first_step` + 1, ... without end; each host gets its slice of every one.

    Each epoch has its own shuffle, and epochs follow each other without a gap: a batch may hold the end of one and the
    start of the next. All that is random in one example comes from (seed, step, position among the step's examples). With
    mixup or CutMix, a step has twice as many as slots: slot i is of the examples at positions i and B + i. An epoch of
    a run still is as many slots as the split has examples, of which each is then seen twice.

    With class_balanced sampling there is no shuffle: each step's examples are drawn, from (seed, step), with replacement.
    """
    import grain

    share = data.config.batch_size // num_hosts
    build = functools.partial(
        train_batch,
        split=Split(data, "train"),
        ids=_ids(data, seed),
        slots=range(host * share, (host + 1) * share),
        partner=data.config.batch_size,
        seed=seed,
    )
    return _read_ahead(grain.MapDataset.range(first_step, sys.maxsize).map(build), data.config)


def eval_batches(data: DataSet, split: str, dropped: Collection[str] = (), *, host: int = 0, num_hosts: int = 1) -> Batches:
    """The `num_eval_batches` batches of a split in its order, each once for every view, without the `dropped` streams.

    Each host gets its slice of every batch. The last is padded to full size, with `weights` that are 0 there, so that
    evaluation is exact. Raises Failure(CONFIG) for a split that this run does not have.
    """
    import grain

    size = data.config.eval_batch_size // num_hosts
    build = functools.partial(eval_batch, split=Split(data, split), size=size, dropped=dropped)
    shares = _shares(data, split, data.views.num_evaluation, host, num_hosts)
    return _read_ahead(grain.MapDataset.source(shares).map(build), data.config)


def vote_batches(data: DataSet, split: str, seed: int, votes: int, *, host: int = 0, num_hosts: int = 1) -> Batches:
    """The same, each batch `votes` times in a row, its examples changed at random as in training.

    What is random in vote v of example i of the split comes from (seed, v, i). No mixup or CutMix.
    """
    import grain

    size = data.config.eval_batch_size // num_hosts
    build = functools.partial(vote_batch, split=Split(data, split), size=size, seed=seed)
    return _read_ahead(grain.MapDataset.source(_shares(data, split, votes, host, num_hosts)).map(build), data.config)


def _shares(data: DataSet, split: str, views: int, host: int, num_hosts: int) -> list[Share]:
    """Which of a split's pieces, of one host's part of a batch each, are a host's; each once for every view."""
    numbers = range(host, num_eval_batches(data, split) * num_hosts, num_hosts)
    return [Share(number, view) for number in numbers for view in range(views)]


def num_eval_batches(data: DataSet, split: str) -> int:
    """How many batches of different examples `eval_batches` yields."""
    return math.ceil(data.size(split) / data.config.eval_batch_size)


def example_ids(data: DataSet, seed: int, step: int) -> Integer[np.ndarray, " examples"]:
    """The train indices of one step's examples, by position: a slot's own, then their mixup and CutMix partners."""
    return _ids(data, seed)[step]


def _ids(data: DataSet, seed: int) -> "grain.MapDataset":
    """The example ids of every step of a run: an endless sequence, epoch after epoch, cut into steps."""
    import grain

    count = data.config.batch_size * (2 if data.mixes else 1)
    if data.config.sampling == "class_balanced":
        return grain.MapDataset.range(sys.maxsize).map(sampling.Draws(data.class_weights, seed, count))
    return grain.MapDataset.range(data.size("train")).seed(seed).shuffle().repeat().batch(count)


def never_drawn(data: DataSet) -> str:
    """What is to be said of the training examples that class_balanced sampling never draws; empty where there are none."""
    if data.config.sampling == "shuffle" or data.class_weights.all():
        return ""
    total = len(data.class_weights)
    left = total - np.count_nonzero(data.class_weights)
    return f"data.sampling class_balanced: {left:,} of {total:,} training examples have no class and are never drawn"


def _read_ahead(batches: "grain.MapDataset", config: DataConfig) -> Batches:
    """The dataset's iterator, already at work: one thread builds batches, or collects those that the processes build.

    More threads than one would only take turns, since most of the work holds the GIL.
    """
    import grain

    if config.num_workers:
        _prepare_for_workers()
    here = grain.ReadOptions(num_threads=0, prefetch_buffer_size=0)
    processes = grain.MultiprocessingOptions(num_workers=config.num_workers)
    built = batches.to_iter_dataset(here).mp_prefetch(processes, worker_init_fn=_enter_worker)
    iterator = iter(grain.experimental.ThreadPrefetchIterDataset(built, prefetch_buffer_size=config.prefetch_batches))
    iterator.start_prefetch()
    return _Watched(iterator) if config.num_workers else iterator


class _Watched:
    """Batches of worker processes, whose end is told in words."""

    def __init__(self, batches: Batches):
        self._batches, self.close = batches, batches.close

    def __iter__(self) -> "_Watched":
        return self

    def __next__(self) -> Batch:
        """Raises Failure(MEMORY) where a worker was killed, as the system does to those that take too much; else FAULT."""
        try:
            return next(self._batches)
        except RuntimeError as error:
            ended = re.search(r"Worker process was terminated unexpectedly with exit code (-?\d+)", str(error))
            if ended is None:
                raise
            code = int(ended[1])
            killed = code == -signal.SIGKILL
            found = f"exit code {code}" + (", killed: most likely for the memory it took" if killed else "")
            hint = "fewer data.num_workers; the same command resumes" if killed else "the same command resumes"
            raise Failure(
                Code.MEMORY if killed else Code.FAULT, "a process that reads data has ended", found=found, hint=hint
            ) from None


def _prepare_for_workers() -> None:
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()  # Grain's processes read flags; in a notebook or a test nothing has parsed any
    # Grain frees shared memory on a thread that ends with this process. Python's tracker frees the rest, and would print so.
    given = os.environ.get("PYTHONWARNINGS", "")
    if QUIET_TRACKER not in given:
        os.environ["PYTHONWARNINGS"] = ",".join(filter(None, [given, QUIET_TRACKER]))


def _enter_worker(worker: int, num_workers: int) -> None:
    del worker, num_workers
    enter_worker(*STOPS)
