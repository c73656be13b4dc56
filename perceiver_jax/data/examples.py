"""Examples of a split: read, made into features by their modality, put together as batches."""

import importlib
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NotRequired, TypedDict

import numpy as np
from jaxtyping import Float32, Int32

from perceiver_jax.data.config import DataConfig, Spec, split_sizes
from perceiver_jax.errors import Code, Failure, nearest
from perceiver_jax.section import Section

if TYPE_CHECKING:
    import grain


class Batch(TypedDict):
    """What a step works on."""

    inputs: Float32[np.ndarray, "B *grid features"]  # normalised
    labels: Int32[np.ndarray, " B"]  # where two examples are mixed, of the one with the larger portion
    other_labels: NotRequired[Int32[np.ndarray, " B"]]  # mixed examples: of the one with the smaller portion
    portions: NotRequired[Float32[np.ndarray, " B"]]  # mixed examples: that `labels` have
    weights: NotRequired[Float32[np.ndarray, " B"]]  # evaluation: 0 for the padding of the last batch, else 1


def source_of(config: DataConfig) -> ModuleType:
    """The module of a config's data source."""
    return importlib.import_module(f"perceiver_jax.data.sources.{config.source}")


def modality_of(spec: Spec) -> ModuleType:
    """The module that knows the kind of input that a data source holds."""
    return importlib.import_module(f"perceiver_jax.modalities.{spec.modality}")


def spec_of(config: DataConfig) -> Spec:
    """What a config's data source holds."""
    return source_of(config).spec(config)


def split_size(config: DataConfig, split: str) -> int:
    """The examples of one split of this run."""
    sizes = split_sizes(config, spec_of(config))
    if split not in sizes:
        near = nearest(split, sizes)
        names = ", ".join(sorted(sizes, key=lambda name: (name != near, name)))
        hint = "set data.validation_examples" if split == "validation" else ""
        what = f"data set {config.source} has no split {split!r}"
        raise Failure(Code.CONFIG, what, expected=f"one of {names}", hint=hint)
    return sizes[split]


class Examples:
    """A split of this run: its examples as features for training or evaluation, and how they become a batch."""

    def __init__(self, config: DataConfig, split: str, augment: Section):
        self._spec, self._size, self.augment = spec_of(config), split_size(config, split), augment
        self._first = split_size(config, "train") if split == "validation" else 0
        self._split = "train" if split == "validation" else split
        self._published = source_of(config).load(config, self._split)

    def __len__(self) -> int:
        return self._size

    @property
    def modality(self) -> ModuleType:
        """The module that knows this kind of input."""
        return modality_of(self._spec)

    def _read(self, index: int) -> tuple[np.ndarray, int]:
        example = self._published[self._first + index]
        name = example["name"] if "name" in example else f"example {self._first + index} of split {self._split}"
        return self.modality.read(example[self._spec.modality], name, self._spec.shape), example["label"]

    def training(self, index: int, rng: np.random.Generator) -> tuple[np.ndarray, int]:
        """One example's features under random changes, not yet normalised, and its label."""
        raw, label = self._read(index)
        return self.modality.training_features(raw, self.augment, self._spec.shape, rng), label

    def evaluation(self, index: int) -> tuple[np.ndarray, int]:
        """One example's features without chance, not yet normalised, and its label."""
        raw, label = self._read(index)
        return self.modality.evaluation_features(raw, self.augment, self._spec.shape), label

    def batch(self, examples: Iterable[tuple[np.ndarray, int]], size: int) -> Batch:
        """Examples, normalised, as a batch of `size`, the rest of it zeros."""
        *grid, channels = self._spec.shape
        shape = (size, *grid, channels + self.modality.num_coordinates(self.augment))
        batch = Batch(inputs=np.zeros(shape, np.float32), labels=np.zeros(size, np.int32))
        count = 0
        for count, (features, label) in enumerate(examples, 1):
            batch["inputs"][count - 1], batch["labels"][count - 1] = features, label
        filled = batch["inputs"][:count]
        filled[...] = self.modality.normalize(filled, self._spec.mean, self._spec.std)
        return batch


def example_inputs(config: DataConfig, augment: Section, split: str, index: int) -> Float32[np.ndarray, "*grid features"]:
    """One example of a split, as evaluation sees it. Raises Failure(CONFIG) for one that is not there."""
    examples = Examples(config, split, augment)
    if not 0 <= index < len(examples):
        raise Failure(Code.CONFIG, f"split {split} has no example {index}", expected=f"0 to {len(examples) - 1}")
    return examples.batch([examples.evaluation(index)], 1)["inputs"][0]


def file_inputs(config: DataConfig, augment: Section, file: Path) -> Float32[np.ndarray, "*grid features"]:
    """A person's own file, as evaluation would see it. Raises Failure(DATA) where it is nothing the model could take."""
    source, spec = source_of(config), spec_of(config)
    modality = modality_of(spec)
    if not file.is_file():
        raise Failure(Code.DATA, f"{file}: {'is a directory' if file.is_dir() else 'does not exist'}")
    given = file.read_bytes()
    if hasattr(source, "read_file"):
        given = source.read_file(config, given, str(file))
    raw = modality.read(given, str(file), spec.shape)
    features = modality.evaluation_features(raw, augment, spec.shape)
    return modality.normalize(np.asarray(features, np.float32), spec.mean, spec.std)


def train_batch(step: int, examples: Examples, ids: "grain.MapDataset", slots: range, partner: int, seed: int) -> Batch:
    """One host's slots of a step's batch; `partner` is how many places after a slot the example mixed into it stands."""
    places = ids[step].tolist()
    others, portions = [], []

    def example(slot: int) -> tuple[np.ndarray, int]:
        rng = np.random.default_rng((seed, step, slot))
        features, label = examples.training(places[slot], rng)
        if len(places) == partner:
            return features, label
        place = slot + partner
        second, other = examples.training(places[place], np.random.default_rng((seed, step, place)))
        features, portion = examples.modality.mixed(features, second, examples.augment, slot, rng)
        if portion < 0.5:
            label, other, portion = other, label, 1 - portion
        others.append(other)
        portions.append(portion)
        return features, label

    batch = examples.batch(map(example, slots), len(slots))
    if others:
        batch |= {"other_labels": np.array(others, np.int32), "portions": np.array(portions, np.float32)}
    return batch


def eval_batch(share: int, examples: Examples, size: int) -> Batch:
    """The examples of one share of a split, `size` long, padded where the split ends."""
    return _padded(share, examples, size, examples.evaluation)


def vote_batch(place: tuple[int, int], examples: Examples, size: int, seed: int) -> Batch:
    """The same of a place (share, vote), changed at random as in training, by chance of (seed, vote, index in the split)."""
    share, vote = place
    return _padded(share, examples, size, lambda i: examples.training(i, np.random.default_rng((seed, vote, i))))


def _padded(share: int, examples: Examples, size: int, example: Callable[[int], tuple[np.ndarray, int]]) -> Batch:
    indices = range(share * size, min((share + 1) * size, len(examples)))
    weights = (np.arange(size) < len(indices)).astype(np.float32)
    return Batch(**examples.batch(map(example, indices), size), weights=weights)
