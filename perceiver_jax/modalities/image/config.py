"""The settings of the processing of pictures. Nothing here needs JAX."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from perceiver_jax.section import Count, Fraction, NonNegative, Positive, Section

MAX_MAGNITUDE = 10  # of RandAugment

Byte = Annotated[int, Field(ge=0, le=255)]
Probability = Annotated[float, Field(ge=0, le=1)]


class NoAugment(Section):
    """Pictures as they are."""

    kind: Literal["none"]


class Affine(Section):
    """One random affine map per picture, each quantity drawn uniformly between minus and plus its limit, and a flip."""

    kind: Literal["affine"]
    rotate_degrees: NonNegative
    shear: NonNegative  # x by y
    scale: Fraction  # relative, each axis by itself
    translate: Fraction  # of the picture's side
    flip_probability: Probability  # left to right


class RandomCrop(Section):
    """A part of a picture of random position, size and aspect, as Inception was trained on."""

    area: tuple[float, float]  # of the picture's
    aspect: tuple[float, float]  # width over height
    min_object_covered: Fraction  # of the object, which without boxes is the whole picture: one more limit to the area
    attempts: Count  # to draw one that fits; after the last the evaluation's crop is taken

    @model_validator(mode="after")
    def _check(self) -> "RandomCrop":
        if not 0 < self.area[0] <= self.area[1] <= 1:
            raise ValueError(f"augment.crop.area {self.area}: expected two parts of the picture, 0 < least <= most <= 1")
        if not 0 < self.aspect[0] <= self.aspect[1]:
            raise ValueError(f"augment.crop.aspect {self.aspect}: expected two ratios, 0 < least <= most")
        return self


class RandAugment(Section):
    """num_layers operations on each picture one after the other, each drawn from all sixteen (Cubuk et al. 2019)."""

    num_layers: Count
    magnitude: Annotated[float, Field(ge=0, le=MAX_MAGNITUDE)]
    fill: Byte  # of what a move uncovers and what is cut out
    # In what the next two are: pixels of the crop, as in the authors' code, whose photographs have hundreds of them; or its
    # sides, which suit crops of any size: a move along its height or width, what is cut out by the shorter of the two.
    unit: Literal["pixels", "sides"]
    cutout: Positive  # half the side of what is cut out, at the largest magnitude
    translate: Positive  # how far a picture is moved, at the largest magnitude

    @model_validator(mode="after")
    def _check(self) -> "RandAugment":
        if self.unit == "sides" and max(self.cutout, self.translate) >= 1:
            raise ValueError(
                f'augment.randaugment.unit "sides": expected cutout {self.cutout} and translate {self.translate} below 1,'
                ' parts of a picture\'s side; or unit "pixels"'
            )
        return self


class NoMix(Section):
    """Each picture by itself."""

    kind: Literal["none"]


class MixupCutmix(Section):
    """Two examples in each slot of a batch, by mixup (Zhang et al. 2017) in even slots, CutMix (Yun et al. 2019) in odd."""

    kind: Literal["mixup_cutmix"]
    mixup_alpha: Positive  # the first example's portion has the distribution Beta(alpha, alpha)
    cutmix_alpha: Positive  # likewise; 1: uniform


class Inception(Section):
    """Random crop, flip and RandAugment, then a bicubic resize to the inputs; for evaluation the centre, resized."""

    kind: Literal["inception"]
    crop: RandomCrop
    flip_probability: Probability
    randaugment: RandAugment | None
    evaluation_crop: Annotated[
        float, Field(gt=0, le=1)
    ]  # side of the centre that is evaluated, of the picture's shorter one
    position_frame: Literal["crop", "image"]  # in which a pixel's position is given to the model (figure 4)
    mix: Annotated[NoMix | MixupCutmix, Field(discriminator="kind")]

    @model_validator(mode="after")
    def _check(self) -> "Inception":
        if self.position_frame == "image" and self.mix.kind != "none":
            raise ValueError(
                'augment.position_frame "image" with augment.mix: a mixup pixel comes from two pictures,'
                ' at different positions; try position_frame "crop"'
            )
        return self


AugmentConfig = Annotated[NoAugment | Affine | Inception, Field(discriminator="kind")]
