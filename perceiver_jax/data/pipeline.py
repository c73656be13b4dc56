"""Which example stands where in which batch, and the batches themselves, read ahead by Grain.

Batch k is a pure function of (config, seed, k): the data position of a run is its step, neither workers nor reading
ahead can change what is trained on, and any step is reached without replay. Grain takes up to 2 s to import and brings
JAX, so functions import it.
"""

import functools
import hashlib
import importlib
import json
import math
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, NotRequired, Protocol, TypedDict, runtime_checkable

import numpy as np
from absl import flags
from jaxtyping import Float32, Int32, Integer

from perceiver_jax.data.config import DataConfig, Spec, split_sizes
from perceiver_jax.errors import Code, Failure, nearest
from perceiver_jax.section import Section

if TYPE_CHECKING:
    import grain


class Batch(TypedDict):
    """What a step works on."""

    inputs: Float32[np.ndarray, "B *grid features"]  # normalised
    labels: Int32[np.ndarray, " B"]
    weights: NotRequired[Float32[np.ndarray, " B"]]  # evaluation: 0 for the padding of the last batch, else 1


@runtime_checkable
class Batches(Iterator[Batch], Protocol):
    """Batches in order, read ahead."""

    def close(self) -> None:
        """Ends the thread and the processes that read ahead; `contextlib.closing` calls it."""


def check(config: DataConfig) -> None:
    """Reads enough to know that the data are there, before JAX is imported.

    Raises Failure(DATA) where a package or file is missing or damaged, or a split is not of the size it should be.
    """
    source, sizes = _source(config), split_sizes(config, _spec(config))
    for split, size in _spec(config).num_examples.items():
        found = len(source.load(config, split))
        if found != size:
            where = ", ".join(map(str, source.files(config)))
            raise Failure(Code.DATA, f"split {split} has {found} records, {config.source} has {size}", where)
    if sizes["train"] < config.batch_size:
        raise Failure(Code.DATA, f"split train has {sizes['train']} records, batch is {config.batch_size}")


def fingerprint(config: DataConfig) -> str:
    """16 hexadecimal digits of the data: the source's name, the bytes of its files, the sizes of the splits."""
    files = [hashlib.sha256(path.read_bytes()).hexdigest() for path in _source(config).files(config)]
    identity = json.dumps([config.source, files, split_sizes(config, _spec(config))], sort_keys=True)
    return hashlib.sha256(identity.encode()).hexdigest()[:16]


def train_batches(
    config: DataConfig, augment: Section, seed: int, first_step: int, *, host: int = 0, num_hosts: int = 1
) -> Batches:
    """The batches of steps `first_step`, `first_step` + 1, ... without end; each host gets its slice of every one.

    Epochs are shuffled anew and follow each other without a gap: a batch may hold the end of one and the start of the
    next. All that is random in one example comes from (seed, step, slot in the global batch).
    """
    import grain

    share = config.batch_size // num_hosts
    build = functools.partial(
        _train_batch,
        examples=_Examples(config, "train"),
        ids=_in_training_order(_size(config, "train"), seed).batch(config.batch_size),
        slots=slice(host * share, (host + 1) * share),
        augment=augment,
        seed=seed,
    )
    return _read_ahead(grain.MapDataset.range(first_step, sys.maxsize).map(build), config)


def eval_batches(config: DataConfig, split: str, *, host: int = 0, num_hosts: int = 1) -> Batches:
    """The `num_eval_batches` batches of a split in its order, as it is; each host gets its slice of every one.

    The last is padded to full size, with `weights` that are 0 there, so that evaluation is exact.

    Raises Failure(CONFIG) for a split that this config does not have.
    """
    import grain

    share = config.eval_batch_size // num_hosts
    build = functools.partial(_eval_batch, examples=_Examples(config, split), size=share)
    shares = grain.MapDataset.range(host, num_eval_batches(config, split) * num_hosts, num_hosts)
    return _read_ahead(shares.map(build), config)


def num_eval_batches(config: DataConfig, split: str) -> int:
    """How many batches `eval_batches` gives."""
    return math.ceil(_size(config, split) / config.eval_batch_size)


def example_ids(config: DataConfig, seed: int, step: int) -> Integer[np.ndarray, " B"]:
    """The positions in the train split of the examples in one step's global batch, slot by slot."""
    return _in_training_order(_size(config, "train"), seed).batch(config.batch_size)[step]


def _source(config: DataConfig) -> ModuleType:
    return importlib.import_module(f"perceiver_jax.data.sources.{config.source}")


def _spec(config: DataConfig) -> Spec:
    return _source(config).spec(config)


def _size(config: DataConfig, split: str) -> int:
    """The examples of one split of this run."""
    sizes = split_sizes(config, _spec(config))
    if split not in sizes:
        near = nearest(split, sizes)
        names = ", ".join(sorted(sizes, key=lambda name: (name != near, name)))
        hint = "set data.validation_examples" if split == "validation" else ""
        what = f"data set {config.source} has no split {split!r}"
        raise Failure(Code.CONFIG, what, expected=f"one of {names}", hint=hint)
    return sizes[split]


def _in_training_order(num_examples: int, seed: int) -> "grain.MapDataset":
    """The endless sequence of a run's example ids, epoch after epoch; its index is step * batch_size + slot."""
    import grain

    return grain.MapDataset.range(num_examples).seed(seed).shuffle().repeat()


class _Examples:
    """Random access to a split of this run, `[i]` = (raw features, label), and how its examples become a batch."""

    def __init__(self, config: DataConfig, split: str):
        self._spec, self._size = _spec(config), _size(config, split)
        self._first = _size(config, "train") if split == "validation" else 0
        self._published = _source(config).load(config, "train" if split == "validation" else split)

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        example = self._published[self._first + index]
        return example[self._spec.modality], example["label"]

    @property
    def modality(self) -> ModuleType:
        """The module that knows this kind of input."""
        return importlib.import_module(f"perceiver_jax.modalities.{self._spec.modality}")

    def batch(self, examples: Sequence[tuple[np.ndarray, int]], size: int) -> Batch:
        """Examples, normalised, as a batch of `size`, the rest of it zeros."""
        batch = Batch(inputs=np.zeros((size, *self._spec.shape), np.float32), labels=np.zeros(size, np.int32))
        if examples:
            features, labels = zip(*examples, strict=True)
            normalized = self.modality.normalize(np.stack(features), self._spec.mean, self._spec.std)
            batch["inputs"][: len(examples)], batch["labels"][: len(examples)] = normalized, labels
        return batch


def _train_batch(
    step: int, examples: _Examples, ids: "grain.MapDataset", slots: slice, augment: Section, seed: int
) -> Batch:
    chosen = []
    for slot, index in list(enumerate(ids[step].tolist()))[slots]:
        features, label = examples[index]
        rng = np.random.default_rng((seed, step, slot))
        chosen.append((examples.modality.augment(features, augment, rng), label))
    return examples.batch(chosen, len(chosen))


def _eval_batch(share: int, examples: _Examples, size: int) -> Batch:
    places = range(share * size, min((share + 1) * size, len(examples)))
    weights = (np.arange(size) < len(places)).astype(np.float32)
    return Batch(**examples.batch([examples[i] for i in places], size), weights=weights)


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
    """Makes a worker process live exactly as long as its parent wants it.

    A terminal or a scheduler sends its stop signals to every process, but only the parent can stop in good order, and
    may need batches until then. A parent that was killed can tell its workers nothing: they would wait for ever.
    """
    del worker, num_workers
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)
