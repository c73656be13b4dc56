"""The settings of the processing of spectrograms. Nothing here needs JAX."""

from typing import Annotated, Literal

from pydantic import Field

from perceiver_jax.section import Count, Positive, Section

Masks = Annotated[int, Field(ge=0)]


class NoAugment(Section):
    """Spectrograms as they are, but for where in its recording a sound begins."""

    kind: Literal["none"]


class SpecAugment(Section):
    """Parts of a spectrogram masked (SpecAugment, Park et al. 2019): they become its mean."""

    kind: Literal["spec_augment"]
    frequency_masks: Masks
    frequency_mask: Count  # bands: each mask is of 0 to as many, drawn uniformly
    time_masks: Masks
    time_mask: Count  # frames, likewise
    mixup_alpha: Positive | None  # of two sounds in one, their portions Beta(alpha, alpha); None, as in the paper: no mixup


AugmentConfig = Annotated[NoAugment | SpecAugment, Field(discriminator="kind")]
