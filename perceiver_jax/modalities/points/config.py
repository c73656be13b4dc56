"""The settings of the processing of point clouds. Nothing here needs JAX.

Lengths are in halves of the cube's side: 0.02 is a hundredth of the side.
"""

from typing import Annotated, Literal

from pydantic import Field

from perceiver_jax.section import Fraction, NonNegative, Positive, Section

# The length, in the data's own unit, that becomes half the cube's side, where size distinguishes classes; None: each
# cloud's own largest, so that each fills the cube (the paper's unit cube).
Extent = Positive | None


class NoAugment(Section):
    """Clouds as they are, but for the cube that each fills."""

    kind: Literal["none"]
    extent: Extent
    half_side: Positive  # of that cube, whose middle is each cloud's mean


class Points(Section):
    """Each quantity drawn uniformly between minus and plus its limit; then each cloud fills the cube, and is moved there."""

    kind: Literal["points"]
    # In training, of a cloud with more points than there are inputs. Evaluation takes the first, which sources order so
    # that any number of them is well spread.
    subset: Literal["random", "first"]
    rotate_degrees: NonNegative  # each cloud, about the z axis, the vertical
    point_scale: Fraction  # relative, each point by itself
    jitter: NonNegative  # each coordinate of each point
    extent: Extent
    half_side: Positive  # of the cube, whose middle is each cloud's mean
    object_scale: Fraction  # relative, each cloud by one factor
    object_translate: NonNegative  # each cloud, along each axis


AugmentConfig = Annotated[NoAugment | Points, Field(discriminator="kind")]
