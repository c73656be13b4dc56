"""What the settings of every data source have in common, and views of examples. Nothing here needs JAX."""

from typing import Annotated, Literal

from pydantic import Field

from perceiver_jax.section import HARMLESS, Count, Fraction, PathText, Section, Tiny


class DataConfig(Section):
    """Which data, in what batches. A source's own module extends it with its kind and its own settings."""

    kind: str
    batch_size: Annotated[Count, Tiny(8)]  # examples an update, over all devices
    eval_batch_size: Annotated[Count, Tiny(16), HARMLESS]
    validation_examples: Annotated[int, Field(ge=0), Tiny(32)]  # taken from the end of train as the split `validation`
    sampling: Literal["shuffle", "class_balanced"]  # each example once an epoch, or drawn as often as its classes are rare
    num_workers: Annotated[int, Field(ge=0), Tiny(0), HARMLESS]  # processes that load and augment; 0: a thread of this
    prefetch_batches: Annotated[Count, HARMLESS]

    @property
    def where(self) -> str:
        """Where the data are, for messages."""
        return self.kind


class DirectoryConfig(DataConfig):
    """Data in a directory; it may change between the launches of one run, since its contents are compared."""

    data_dir: Annotated[PathText, HARMLESS]

    @property
    def where(self) -> str:
        """The directory."""
        return self.data_dir


class ViewsConfig(Section):
    """Views of an example as a whole, all its streams together."""

    num_evaluation: Annotated[Count, HARMLESS]  # views of an example whose scores are averaged; 1: the plain one
    # By stream, the probability that a training example comes without it: never without two at once.
    stream_dropout: dict[str, Fraction]
    dropped: Literal["zeroed", "masked"]  # what becomes of its inputs, there and where an evaluation leaves a stream out
