"""What the settings of every data source have in common. Nothing here needs JAX."""

import dataclasses
from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from perceiver_jax.section import HARMLESS, Count, Section, Tiny


class DataConfig(Section):
    """Which data, in what batches. A source's own module extends it with its name and its own settings."""

    source: str
    batch_size: Annotated[Count, Tiny(8)]  # examples an update, over all devices
    eval_batch_size: Annotated[Count, Tiny(16), HARMLESS]
    validation_examples: Annotated[int, Field(ge=0), Tiny(32)]  # taken from the end of train as the split `validation`
    num_workers: Annotated[int, Field(ge=0), Tiny(0), HARMLESS]  # processes that load and augment; 0: a thread of this
    prefetch_batches: Annotated[Count, HARMLESS]


@dataclasses.dataclass(frozen=True)
class Spec:
    """What a source holds, known without reading it."""

    modality: str  # a module of perceiver_jax.modalities, and the key of the features in an example
    shape: tuple[int, ...]  # of one example's features: the grid, then the channels
    classes: tuple[str, ...]  # their names, in the order of their labels
    num_examples: Mapping[str, int]  # by split, as published: no validation split taken from train yet
    mean: tuple[float, ...]  # per channel, of the raw features (pictures: 0 to 255) of the whole train split
    std: tuple[float, ...]
    baselines: Mapping[str, float]  # accuracy of simple models on the test split, to print beside ours

    @property
    def num_classes(self) -> int:
        """How many classes there are."""
        return len(self.classes)


def split_sizes(config: DataConfig, spec: Spec) -> dict[str, int]:
    """The examples of each split of a run: `validation` are the last of train, which then lacks them."""
    held_out = config.validation_examples
    sizes = {**spec.num_examples, "train": spec.num_examples["train"] - held_out}
    return {**sizes, "validation": held_out} if held_out else sizes
