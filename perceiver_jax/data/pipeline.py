"""Which example stands where in which batch, and the batches themselves, read ahead by Grain.

Batch k is a pure function of (config, seed, k): the data position of a run is its step, neither workers nor reading
ahead can change what is trained on, and any step is reached without replay. Grain takes up to 2 s to import and brings
JAX, so functions import it.
"""

import functools
import hashlib
import json
import math
import signal
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from absl import flags
from jaxtyping import Integer

from perceiver_jax.data.config import DataConfig, split_sizes
from perceiver_jax.data.examples import (
    Batch,
    Examples,
    eval_batch,
    modality_of,
    source_of,
    spec_of,
    split_size,
    train_batch,
    vote_batch,
)
from perceiver_jax.errors import Code, Failure
from perceiver_jax.section import Section
from perceiver_jax.system.signals import enter_worker

if TYPE_CHECKING:
    import grain


@runtime_checkable
class Batches(Iterator[Batch], Protocol):
    """Batches in order, read ahead."""

    def close(self) -> None:
        """Ends the thread and the processes that read ahead; `contextlib.closing` calls it."""


def check(config: DataConfig) -> None:
    """Reads enough to know that the data are there, before JAX is imported.

    Raises Failure(DATA) where a package or file is missing or damaged, or a split is not of the size it should be.
    """
    source, sizes = source_of(config), split_sizes(config, spec_of(config))
    for split, size in spec_of(config).num_examples.items():
        found = len(source.load(config, split))
        if found != size:
            raise Failure(Code.DATA, f"split {split} has {found} records, {config.source} has {size}")
    if sizes["train"] < config.batch_size:
        raise Failure(Code.DATA, f"split train has {sizes['train']} records, batch is {config.batch_size}")


def fingerprint(config: DataConfig) -> str:
    """16 hexadecimal digits of the data: the source's name, what identifies its contents, the sizes of the splits."""
    source, spec = source_of(config), spec_of(config)
    identity = json.dumps([config.source, source.identity(config), split_sizes(config, spec)], sort_keys=True)
    return hashlib.sha256(identity.encode()).hexdigest()[:16]


def train_batches(
    config: DataConfig, augment: Section, seed: int, first_step: int, *, host: int = 0, num_hosts: int = 1
) -> Batches:
    """The batches of steps `first_step`, `first_step` + 1, ... without end; each host gets its slice of every one.

    Epochs are shuffled anew and follow each other without a gap: a batch may hold the end of one and the start of the
    next. All that is random in one example comes from (seed, step, place among the step's examples). Where examples are
    mixed, a step has twice as many as slots: slot i is of the examples at places i and B + i. An epoch of a run still is
    as many slots as the split has examples, of which each is then seen twice.
    """
    import grain

    share = config.batch_size // num_hosts
    build = functools.partial(
        train_batch,
        examples=Examples(config, "train", augment),
        ids=_ids(config, augment, seed),
        slots=range(host * share, (host + 1) * share),
        partner=config.batch_size,
        seed=seed,
    )
    return _read_ahead(grain.MapDataset.range(first_step, sys.maxsize).map(build), config)


def eval_batches(config: DataConfig, split: str, augment: Section, *, host: int = 0, num_hosts: int = 1) -> Batches:
    """The `num_eval_batches` batches of a split in its order, without chance; each host gets its slice of every one.

    The last is padded to full size, with `weights` that are 0 there, so that evaluation is exact.

    Raises Failure(CONFIG) for a split that this config does not have.
    """
    import grain

    share = config.eval_batch_size // num_hosts
    build = functools.partial(eval_batch, examples=Examples(config, split, augment), size=share)
    return _read_ahead(grain.MapDataset.source(_shares(config, split, host, num_hosts)).map(build), config)


def vote_batches(
    config: DataConfig, split: str, augment: Section, seed: int, votes: int, *, host: int = 0, num_hosts: int = 1
) -> Batches:
    """The batches of `eval_batches`, each `votes` times in a row, their examples changed at random as in training.

    What is random in vote v of example i of the split comes from (seed, v, i). No examples are mixed.
    """
    import grain

    size = config.eval_batch_size // num_hosts
    build = functools.partial(vote_batch, examples=Examples(config, split, augment), size=size, seed=seed)
    places = [(share, vote) for share in _shares(config, split, host, num_hosts) for vote in range(votes)]
    return _read_ahead(grain.MapDataset.source(places).map(build), config)


def _shares(config: DataConfig, split: str, host: int, num_hosts: int) -> range:
    """Which of a split's pieces, of one host's part of a batch each, are a host's."""
    return range(host, num_eval_batches(config, split) * num_hosts, num_hosts)


def num_eval_batches(config: DataConfig, split: str) -> int:
    """How many batches `eval_batches` gives."""
    return math.ceil(split_size(config, split) / config.eval_batch_size)


def example_ids(config: DataConfig, augment: Section, seed: int, step: int) -> Integer[np.ndarray, " examples"]:
    """The positions in the train split of one step's examples, place by place: a slot's own, then those mixed into them."""
    return _ids(config, augment, seed)[step]


def _ids(config: DataConfig, augment: Section, seed: int) -> "grain.MapDataset":
    """The example ids of every step of a run: an endless sequence, epoch after epoch, cut into steps."""
    import grain

    order = grain.MapDataset.range(split_size(config, "train")).seed(seed).shuffle().repeat()
    return order.batch(config.batch_size * (2 if modality_of(spec_of(config)).mixes(augment) else 1))


def _read_ahead(batches: "grain.MapDataset", config: DataConfig) -> Batches:
    """The dataset's iterator, already at work: one thread builds batches, or collects those that the processes build.

    More threads than one would only take turns, since most of the work holds Python's lock.
    """
    import grain

    if config.num_workers and not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()  # Grain's processes read flags; in a notebook or a test nothing has parsed any
    here = grain.ReadOptions(num_threads=0, prefetch_buffer_size=0)
    processes = grain.MultiprocessingOptions(num_workers=config.num_workers)
    built = batches.to_iter_dataset(here).mp_prefetch(processes, worker_init_fn=_enter_worker)
    iterator = iter(grain.experimental.ThreadPrefetchIterDataset(built, prefetch_buffer_size=config.prefetch_batches))
    iterator.start_prefetch()
    return iterator


def _enter_worker(worker: int, num_workers: int) -> None:
    del worker, num_workers
    enter_worker(signal.SIGINT, signal.SIGTERM)
