"""The settings of the processing of films. Nothing here needs JAX."""

from typing import Annotated, Literal

from pydantic import Field

from perceiver_jax.modalities.image.config import Probability, RandomCrop
from perceiver_jax.section import Fraction, Section

CropPart = Annotated[float, Field(gt=0, le=1)]  # side of the centre that is evaluated, of a frame's shorter side


class NoAugment(Section):
    """Films as they are: the centre of their frames."""

    kind: Literal["none"]
    evaluation_crop: CropPart


class Colour(Section):
    """One change of colour for all frames of a film, each quantity drawn uniformly.

    One affine map of red, green and blue: saturation is the distance from grey, hue is turned in YIQ, where both are linear.
    """

    probability: Probability  # that a film is changed at all
    brightness: Fraction  # added, of the whole range
    contrast: Fraction  # relative, about the film's mean
    saturation: Fraction  # relative
    hue: Fraction  # of a whole turn


class Film(Section):
    """One random crop, flip and change of colour for all frames of a film."""

    kind: Literal["film"]
    crop: RandomCrop
    flip_probability: Probability
    colour: Colour | None
    evaluation_crop: CropPart


AugmentConfig = Annotated[NoAugment | Film, Field(discriminator="kind")]
