"""The settings of training: optimiser, schedule, loss, lengths. Nothing here needs JAX."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from perceiver_jax.section import HARMLESS, Count, Duration, Fraction, NonNegative, Positive, Section, Tiny


class Constant(Section):
    """The peak rate throughout (ModelNet40)."""

    kind: Literal["constant"]


class Steps(Section):
    """The rate times `factor` at each milestone, a fraction of the run (ImageNet: epochs 84, 102, 114 of 120)."""

    kind: Literal["steps"]
    milestones: tuple[float, ...]
    factor: Positive

    @model_validator(mode="after")
    def _check(self) -> "Steps":
        rising = all(a < b for a, b in zip((0, *self.milestones), (*self.milestones, 1), strict=True))
        if not rising:
            raise ValueError(
                f"optim.schedule.milestones {self.milestones}: expected rising fractions of the run between 0 and 1"
            )
        return self


class FlatCosine(Section):
    """The peak rate for `flat_fraction` of the run, then a half cosine to zero (Perceiver IO's recipe)."""

    kind: Literal["flat_cosine"]
    flat_fraction: Fraction


class OptimConfig(Section):
    """Optimiser and learning-rate schedule (section 4.1; appendix C)."""

    kind: Literal["lamb", "adamw"]
    learning_rate: Positive
    schedule: Annotated[Constant | Steps | FlatCosine, Field(discriminator="kind")]
    b1: Fraction
    b2: Fraction
    eps: Positive
    weight_decay: NonNegative  # of every parameter but biases and norms
    clip_norm: Positive | None  # of the whole gradient; None: no clipping
    accumulation_steps: Count  # micro-batches whose mean gradient makes one update
    ema_decay: Fraction | None  # of a running mean of the parameters, evaluated in their place; None: not kept


class TrainConfig(Section):
    """How long a run is and how often it logs, evaluates and saves."""

    duration: Annotated[Duration, Tiny("6 steps")]
    log_every: Annotated[Duration, Tiny("1 steps"), HARMLESS]
    eval_every: Annotated[Duration, Tiny("3 steps"), HARMLESS]
    eval_splits: Annotated[tuple[Literal["validation", "test"], ...], Field(min_length=1)]
    checkpoint_every: Annotated[Duration, Tiny("3 steps"), HARMLESS]
    keep_checkpoints: Annotated[Count, HARMLESS]


class MeshConfig(Section):
    """How the devices are used: all of them split the batch, or the inputs of its examples too.

    How many share what may change between the launches of a run, like the number of devices: it changes roundings only.
    """

    # Devices along the axis `model`, among which parameters and optimiser state are split too; 1: each holds all.
    model: Annotated[Count, HARMLESS]
    # Devices of one host that share each example's inputs, split along their first axis; 1: each reads all.
    inputs: Annotated[Count, HARMLESS]
    # Strict: a batch is this many parts, whose gradients are summed in an order of their own, so that the bits of a run are
    # the same on any number of devices. None: the fastest sums, which differ in their roundings.
    virtual_shards: Count | None

    @model_validator(mode="after")
    def _check(self) -> "MeshConfig":
        shards = self.virtual_shards
        if shards is None:
            return self
        if shards.bit_count() != 1:
            lower = 2 ** (shards.bit_length() - 1)
            raise ValueError(f"mesh.virtual_shards {shards}: expected a power of two, or None; try {lower} or {2 * lower}")
        if self.inputs > 1:
            raise ValueError(
                f"mesh.inputs {self.inputs} with mesh.virtual_shards {shards}: a shard's examples are read whole, as their"
                " parts would be merged with other roundings; try mesh.inputs 1, or mesh.virtual_shards None"
            )
        return self
