"""Batches: the arrays that a step works on, filled example by example."""

import math
from collections.abc import Collection, Mapping
from typing import NotRequired, TypedDict

import numpy as np
from jaxtyping import Bool, Float32, Num

from perceiver_jax.errors import Code, Failure
from perceiver_jax.modalities import Features, Modality

Inputs = dict[str, Float32[np.ndarray, "B *grid features"]]  # by stream, normalised
Masks = dict[str, Bool[np.ndarray, "B M"]]  # by masked stream: which inputs are there


class Batch(TypedDict):
    """What a step works on."""

    inputs: Inputs
    masks: Masks
    labels: Num[np.ndarray, "B *label"]  # mixup, CutMix: of the example with the larger portion
    other_labels: NotRequired[Num[np.ndarray, "B *label"]]  # mixup, CutMix: of the example with the smaller portion
    portions: NotRequired[Float32[np.ndarray, " B"]]  # mixup, CutMix: that `labels` have
    weights: NotRequired[Float32[np.ndarray, " B"]]  # evaluation: 0 for the padding of the last batch, otherwise 1


def blank(modalities: Mapping[str, Modality], masked: Collection[str], size: int) -> tuple[Inputs, Masks]:
    """Inputs of `size` examples, all zero, and masks of the `masked` streams that show none of them."""
    inputs, masks = {}, {}
    for stream, modality in modalities.items():
        grid = modality.stream.grid
        channels = modality.stream.channels + modality.num_coordinates
        inputs[stream] = np.zeros((size, *grid, channels), np.float32)
        if stream in masked:
            masks[stream] = np.zeros((size, math.prod(grid)), bool)
    return inputs, masks


def normalized(modalities: Mapping[str, Modality], features: Mapping[str, Features]) -> tuple[Inputs, Masks]:
    """One example's features as a batch of one."""
    inputs, masks = blank(modalities, masked_streams(modalities), 1)
    for stream, one in features.items():
        put(inputs, masks, stream, 0, one)
        inputs[stream][...] = modalities[stream].normalize(inputs[stream])
    return inputs, masks


def masked_streams(modalities: Mapping[str, Modality]) -> frozenset[str]:
    """The streams of which an example may have fewer inputs than the grid."""
    return frozenset(name for name, modality in modalities.items() if modality.stream.masked)


def put(inputs: Inputs, masks: Masks, stream: str, row: int, features: Features) -> None:
    """Puts one example's features into its row; of a masked stream as many inputs as it has.

    Raises Failure(DATA) where an example of another stream has fewer than the grid.
    """
    if stream in masks:
        rows = features.reshape(-1, features.shape[-1])
        inputs[stream][row].reshape(-1, features.shape[-1])[: len(rows)] = rows
        masks[stream][row, : len(rows)] = True
    elif features.size == inputs[stream][row].size:
        inputs[stream][row] = features.reshape(inputs[stream][row].shape)
    else:
        raise fewer(stream, f"{len(features):,} inputs", inputs[stream])


def fewer(stream: str, found: str, inputs: Float32[np.ndarray, "B *grid features"]) -> Failure:
    """The failure for an example that has fewer inputs of a stream than a run was begun with."""
    expected = f"{math.prod(inputs.shape[1:-1]):,}, as when the run began"
    return Failure(Code.DATA, f"an example has fewer inputs in stream {stream}", found=found, expected=expected)
