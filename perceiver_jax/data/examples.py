"""Examples of a split: read, made into features stream by stream, put together as batches."""

import dataclasses
import functools
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float64, Num

from perceiver_jax.data import sampling, sources
from perceiver_jax.data.batch import Batch, Inputs, Masks, blank, fewer, put
from perceiver_jax.data.config import DataConfig, ViewsConfig
from perceiver_jax.errors import Code, Failure, nearest_first
from perceiver_jax.modalities import Features, Modality
from perceiver_jax.tasks import Task

if TYPE_CHECKING:
    import grain


class Item(NamedTuple):
    """One example of a batch, not yet normalised."""

    features: Mapping[str, Features | None]  # by stream that it has; None: dropped, and not even read
    label: Num[np.ndarray, "*label"]
    dropped: Collection[str]  # streams that it comes without


@dataclasses.dataclass(frozen=True)
class DataSet:
    """The examples of a run and what is made of them."""

    config: DataConfig
    views: ViewsConfig
    source: sources.Source
    modalities: Mapping[str, Modality]  # by stream
    task: Task
    sizes: Mapping[str, int]  # of each split of this run: `validation` are the last of train, which then lacks them
    numbers: tuple[int, ...]  # of each of the source's classes, its number in the run
    masked: Collection[str]  # streams of which some example has fewer inputs than the grid, or may be given none

    @property
    def mixes(self) -> bool:
        """Whether each slot of a training batch is made of two examples."""
        return any(modality.mixes for modality in self.modalities.values())

    def size(self, split: str) -> int:
        """The examples of one split of this run; raises Failure(CONFIG) for one that it does not have."""
        if split not in self.sizes:
            names = ", ".join(nearest_first(split, sorted(self.sizes)))
            hint = "set data.validation_examples" if split == "validation" else ""
            what = f"data set {self.config.kind} has no split {split!r}"
            raise Failure(Code.CONFIG, what, expected=f"one of {names}", hint=hint)
        return self.sizes[split]

    @functools.cached_property
    def class_weights(self) -> Float64[np.ndarray, " examples"]:
        """How often each example that is trained on is drawn by its classes, in proportion.

        Raises Failure(DATA) where none of them has a class.
        """
        train = self.source.load("train")
        weights = sampling.class_weights(map(train.labels, range(self.sizes["train"])))
        if not weights.any():
            what = f"data.sampling class_balanced: none of {len(weights):,} training examples has a class"
            raise Failure(Code.DATA, what, self.config.where, hint="--config.data.sampling=shuffle, or data with labels")
        return weights

    def example(self, split: str, index: int) -> tuple[Inputs, Masks]:
        """One example of a split, as evaluation sees it. Raises Failure(CONFIG) for an index out of range."""
        examples = Split(self, split)
        if not 0 <= index < len(examples):
            raise Failure(Code.CONFIG, f"split {split} has no example {index}", expected=f"0 to {len(examples) - 1}")
        batch = examples.batch([examples.evaluation(index, 0)], 1)
        return batch["inputs"], batch["masks"]


class Split:
    """A split of a run: its examples as features for training or evaluation, and how they become a batch."""

    def __init__(self, data: DataSet, split: str):
        self.data, self._size = data, data.size(split)
        self._first = data.sizes["train"] if split == "validation" else 0
        self._split = "train" if split == "validation" else split
        self._published = data.source.load(self._split)

    def __len__(self) -> int:
        return self._size

    def read(
        self, index: int, moment: float, dropped: Collection[str] = ()
    ) -> tuple[Mapping[str, object], Num[np.ndarray, "*label"]]:
        """One example's raw inputs by stream, and its label; raises Failure(DATA), naming it, where they are wrong.

        None in place of the part of a recording that is to be dropped: decoding it takes most of the time.
        """
        example = self._published[self._first + index]
        name = example.name or f"example {self._first + index} of split {self._split}"
        missing = self.data.modalities.keys() - example.inputs.keys()
        if missing:
            found = ", ".join(sorted(example.inputs)) or "none"
            raise Failure(Code.DATA, f"{name}: stream {min(missing)} is missing", found=found)
        modalities, names = self.data.modalities, dict.fromkeys(example.inputs, name)
        unread = {
            stream for stream in dropped if modalities[stream].seconds and modalities[stream].holds(example.inputs[stream])
        }
        kept = {stream: modality for stream, modality in modalities.items() if stream not in unread}
        read = parts_at if unread else raw_inputs  # which raises where an example has nothing at all
        raw = dict.fromkeys(unread) | read(kept, example.inputs, names, moment)
        labels = [self.data.numbers[label] for label in example.labels]
        return raw, self.data.task.encode(labels, name)

    def training(self, index: int, rng: np.random.Generator) -> Item:
        """One example under random changes; all randomness comes from `rng`."""
        modalities = self.data.modalities
        recorded = any(modality.seconds for modality in modalities.values())
        if len(modalities) == 1 and not recorded:
            rngs, dropped, moment = [rng], (), 0.0
        else:
            shared, *rngs = rng.spawn(1 + len(modalities))
            dropped = self._dropped(shared)
            moment = shared.random() if recorded else 0.0  # the same for all streams
        raw, label = self.read(index, moment, dropped)
        if not raw.keys() - set(dropped):
            dropped = ()  # it has no other stream
            raw, label = self.read(index, moment)
        own = dict(zip(modalities, rngs, strict=True))
        return Item(_made(raw, lambda name, one: modalities[name].training(one, own[name])), label, dropped)

    def _dropped(self, rng: np.random.Generator) -> tuple[str, ...]:
        """The stream that a training example comes without, or none."""
        drawn = rng.random()
        for stream, probability in sorted(self.data.views.stream_dropout.items()):
            if drawn < probability:
                return (stream,)
            drawn -= probability
        return ()

    def evaluation(self, index: int, view: int, dropped: Collection[str] = ()) -> Item:
        """One view of an example, the same every time."""
        raw, label = self.read(index, moment_of(view, self.data.views), dropped)
        return Item(_made(raw, lambda name, one: self.data.modalities[name].evaluation(one, view)), label, dropped)

    def mixed(self, first: Item, second: Item, slot: int, rng: np.random.Generator) -> tuple[Item, float]:
        """Two examples in one, and the portion of it that is the first's: of runs with a single stream."""
        ((stream, modality),) = self.data.modalities.items()
        features, portion = modality.mixed(first.features[stream], second.features[stream], slot, rng)
        return first._replace(features={stream: features}), portion

    def batch(self, items: Iterable[Item], size: int) -> Batch:
        """Examples, normalised, as a batch of `size`, the rest of it zeros."""
        inputs, masks = blank(self.data.modalities, self.data.masked, size)
        labels = np.array([self.data.task.blank()] * size)
        without: list[Collection[str]] = []
        for row, item in enumerate(items):
            labels[row] = item.label
            absent = inputs.keys() - item.features.keys()
            if absent - masks.keys():
                raise fewer(min(absent), "none", inputs[min(absent)])
            without.append({*item.dropped, *absent})
            for stream, features in item.features.items():
                if stream in item.dropped and self.data.views.dropped == "masked":
                    continue
                if features is not None:
                    put(inputs, masks, stream, row, features)
                elif stream in masks:
                    masks[stream][row] = True
        for stream, modality in self.data.modalities.items():
            filled = inputs[stream][: len(without)]
            filled[...] = modality.normalize(filled)
            for row in (row for row, streams in enumerate(without) if stream in streams):
                filled[row] = 0
        return Batch(inputs=inputs, masks=masks, labels=labels)


def _made(raw: Mapping[str, object], make: Callable[[str, Any], Features]) -> dict[str, Features | None]:
    return {name: None if one is None else make(name, one) for name, one in raw.items()}


def raw_inputs(
    modalities: Mapping[str, Modality], given: Mapping[str, object], names: Mapping[str, str], moment: float
) -> dict[str, object]:
    """One example's raw inputs, by those streams that it has at a moment; raises Failure(DATA) where it has none.

    `names` are what messages call what is given, by stream.

    """
    raw = parts_at(modalities, given, names, moment)
    if not raw:
        name, found = " ".join(dict.fromkeys(names.values())), f"no {' and no '.join(modalities)}"
        raise Failure(Code.DATA, "no-stream", name, found=found, hint="remove it, or replace it")
    return raw


def parts_at(
    modalities: Mapping[str, Modality], given: Mapping[str, object], names: Mapping[str, str], moment: float
) -> dict[str, object]:
    """The raw inputs of those streams that an example has at a moment; of its beginning where all have ended by then."""
    read = {stream: modality.read(given[stream], names[stream], moment) for stream, modality in modalities.items()}
    raw = {stream: one for stream, one in read.items() if one is not None}
    return parts_at(modalities, given, names, 0.0) if not raw and moment > 0 else raw


def moment_of(view: int, views: ViewsConfig) -> float:
    """Where in a recording a view of it is: the views lie evenly from its beginning to its end, those amid it come first."""
    last = views.num_evaluation - 1
    places = sorted(range(last + 1), key=lambda place: abs(2 * place - last))
    return places[view] / last if last else 0.5


def train_batch(step: int, split: Split, ids: "grain.MapDataset", slots: range, partner: int, seed: int) -> Batch:
    """One host's slots of a step's batch; `partner` is how many positions after a slot its mixup or CutMix partner is."""
    positions = ids[step].tolist()
    others, portions = [], []

    def example(slot: int) -> Item:
        rng = np.random.default_rng((seed, step, slot))
        item = split.training(positions[slot], rng)
        if len(positions) == partner:
            return item
        position = slot + partner
        second = split.training(positions[position], np.random.default_rng((seed, step, position)))
        item, portion = split.mixed(item, second, slot, rng)
        label, other = item.label, second.label
        if portion < 0.5:
            label, other, portion = other, label, 1 - portion
        others.append(other)
        portions.append(portion)
        return item._replace(label=label)

    batch = split.batch(map(example, slots), len(slots))
    if others:
        batch |= {"other_labels": np.array(others), "portions": np.array(portions, np.float32)}
    return batch


class Share(NamedTuple):
    """One host's part of an evaluation batch, one view of its examples."""

    number: int
    view: int


def eval_batch(share: Share, split: Split, size: int, dropped: Collection[str]) -> Batch:
    """The examples of one share of a split, `size` long, padded where the split ends."""
    return _padded(share.number, split, size, lambda i: split.evaluation(i, share.view, dropped))


def vote_batch(share: Share, split: Split, size: int, seed: int) -> Batch:
    """The same changed at random as in training, seeded by (seed, view, index in the split)."""
    return _padded(share.number, split, size, lambda i: split.training(i, np.random.default_rng((seed, share.view, i))))


def _padded(number: int, split: Split, size: int, example: Callable[[int], Item]) -> Batch:
    indices = range(number * size, min((number + 1) * size, len(split)))
    weights = (np.arange(size) < len(indices)).astype(np.float32)
    return Batch(**split.batch(map(example, indices), size), weights=weights)
