"""The settings of models, and what follows from them without making one. Nothing here needs JAX."""

import math
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import Field, model_validator

from perceiver_jax.errors import nearest
from perceiver_jax.model.schedule import Use, schedule
from perceiver_jax.section import ONLY, Count, Positive, Section, Tiny, by_stream, of_stream


class InputSpec(NamedTuple):
    """One stream of inputs as a model sees it."""

    name: str
    grid: tuple[int, ...]
    num_features: int  # all channels of the data, coordinates included
    num_coordinates: int = 0  # the last of them are each input's position; 0: the grid gives it
    masked: bool = False  # whether inputs may be missing

    @property
    def num_inputs(self) -> int:
        """The stream's share of M."""
        return math.prod(self.grid)


class FourierPositions(Section):
    """Fourier features of each input's position (section 3.2)."""

    kind: Literal["fourier"]
    num_bands: Annotated[Count, Tiny(4)]  # K, per axis
    max_resolution: Annotated[tuple[Positive, ...], Tiny(32)]  # mu per axis; the highest band is mu / 2

    def input_channels(self, spec: InputSpec) -> int:
        """The channels of an input with its position: coordinates that it brings are part of what encodes them."""
        num_axes = spec.num_coordinates or len(spec.grid)
        return spec.num_features - spec.num_coordinates + num_axes * (2 * self.num_bands + 1)

    def check_inputs(self, spec: InputSpec, at: str) -> None:
        """Raises ValueError where there is not one resolution for each axis, or for each coordinate."""
        num_axes = spec.num_coordinates or len(spec.grid)
        if len(self.max_resolution) != num_axes:
            what = "coordinates" if spec.num_coordinates else "axes"
            raise ValueError(
                f"{at}.max_resolution {self.max_resolution}: expected one number for each of the"
                f" {num_axes} {what} of {spec.name}'s {'x'.join(map(str, spec.grid))} inputs"
            )


class LearnedPositions(Section):
    """One trained vector per input index (table 2)."""

    kind: Literal["learned"]
    channels: Annotated[Count, Tiny(8)]
    init_scale: Positive

    def input_channels(self, spec: InputSpec) -> int:
        """The channels of an input with its position."""
        return spec.num_features + self.channels

    def check_inputs(self, spec: InputSpec, at: str) -> None:
        """Raises ValueError where inputs bring coordinates: they move, and a vector an index does not follow."""
        if spec.num_coordinates:
            raise ValueError(f"{at}.kind learned: {spec.name} brings coordinates with each input; try fourier or none")


class NoPositions(Section):
    """Inputs without position: the model then sees a set."""

    kind: Literal["none"]

    def input_channels(self, spec: InputSpec) -> int:
        """The channels of an input."""
        return spec.num_features

    def check_inputs(self, spec: InputSpec, at: str) -> None:
        """Asks nothing."""


Positions = Annotated[FourierPositions | LearnedPositions | NoPositions, Field(discriminator="kind")]


class ModalityVectors(Section):
    """A learned vector a stream, the same for all its inputs, that makes the streams' inputs equally wide (section 4.2)."""

    channels: Count  # of the vector of the stream whose inputs have the most channels of their own; the others' are longer
    init_scale: Positive


class ModelConfig(Section):
    """What every model has: an input array for each stream. All that making or describing a model uses."""

    model_class: ClassVar[str]  # module:class, imported when a model is made

    kind: str
    positions: by_stream(Positions)
    compute_dtype: Literal["float32", "bfloat16"]  # of activations; parameters and statistics stay float32
    # Of products of float32, in JAX's words; "default" is the device's fastest: TF32 on GPUs, bfloat16 on TPUs.
    matmul_precision: Literal["default", "bfloat16", "tensorfloat32", "float32"]

    @property
    def untrained_decay(self) -> float | None:
        """The decay, by update, of the running mean of what batches set: a batch norm's moments. None: they set nothing."""
        return None

    @property
    def schedule(self) -> tuple[Use, ...]:
        """Every module in the order of the forward pass; () where there is nothing to choose."""
        return ()

    @property
    def figure_3(self) -> tuple[int, ...]:
        """The cross-attends whose attention the paper's figure 3 draws, counted from 1; () for a model without any."""
        return ()

    def input_channels(self, inputs: Sequence[InputSpec]) -> int:
        """C, the channels of every input: its features, its position and, where streams differ, a vector."""
        return max(of_stream(self.positions, spec.name).input_channels(spec) for spec in inputs)

    @abstractmethod
    def paper_flops(self, inputs: Sequence[InputSpec], num_outputs: int) -> int:
        """FLOPs of one example's forward pass: two per multiply-add, three per attention logit (appendix B)."""

    def check_inputs(self, inputs: Sequence[InputSpec], num_sharing: int) -> None:
        """Raises ValueError for inputs that this model cannot take, with `num_sharing` devices to share each example's."""
        names = [spec.name for spec in inputs]
        check_names("model.positions", self.positions, names)
        for spec in inputs:
            at = "model.positions" if ONLY in self.positions else f"model.positions.{spec.name}"
            if spec.num_coordinates > spec.num_features:
                raise ValueError(f"{spec.name}: {spec.num_coordinates} coordinates among {spec.num_features} channels")
            of_stream(self.positions, spec.name).check_inputs(spec, at)

    def shrunk(self, values: dict[str, Any]) -> dict[str, Any]:
        """The values of this config with every `Tiny` applied, and with what then no longer divides made to."""
        return values


class PerceiverConfig(ModelConfig):
    """A Perceiver; the letters are those of the axes throughout: N latents of D channels."""

    model_class: ClassVar[str] = "perceiver_jax.model.perceiver:Perceiver"

    kind: Literal["perceiver"]
    num_latents: Annotated[Count, Tiny(16)]  # N
    latent_channels: Annotated[Count, Tiny(32)]  # D
    latent_init_scale: Positive
    num_blocks: Annotated[int, Field(ge=0), Tiny(2)]  # latent Transformers; 0: cross-attends alone (table 5)
    num_cross_attends: Annotated[Count, Tiny(2)]
    num_self_attends_per_block: Annotated[Count, Tiny(2)]
    arrangement: Literal["interleaved", "at_start"]
    sharing: Literal["paper", "none", "all"]  # paper: all but the first cross-attend
    num_cross_attend_heads: Annotated[Count, Tiny(1)]  # tiny inputs may have too few channels for more
    num_self_attend_heads: Count
    widening_factor: Count  # of both kinds of MLP
    modality_vectors: ModalityVectors | None  # None: a single stream
    head: Literal["mean_linear", "query"]
    remat: Literal["none", "block", "layer"]  # what the backward pass recomputes instead of keeping

    @model_validator(mode="after")
    def _check(self) -> "PerceiverConfig":
        check_heads(latent_channels=self.latent_channels, num_self_attend_heads=self.num_self_attend_heads)
        if self.arrangement == "interleaved" and 0 < self.num_blocks < self.num_cross_attends:
            raise ValueError(
                f"model.num_cross_attends {self.num_cross_attends} > model.num_blocks {self.num_blocks}: interleaved, each"
                ' cross-attend opens a block; add blocks or set model.arrangement="at_start"'
            )
        return self

    @property
    def schedule(self) -> tuple[Use, ...]:
        """Every module in the order of the forward pass, with the weights it uses (section 3.1, tables 5 to 7)."""
        return schedule(self.num_blocks, self.num_cross_attends, self.arrangement, self.sharing)

    @property
    def figure_3(self) -> tuple[int, ...]:
        """The cross-attends that the paper draws, counted from 1: the first, the second and the last."""
        last = self.num_cross_attends
        return tuple(sorted({1, min(2, last), last}))

    def input_channels(self, inputs: Sequence[InputSpec]) -> int:
        """C: those of the stream that has the most of its own, and of that stream's vector."""
        return super().input_channels(inputs) + (self.modality_vectors.channels if self.modality_vectors else 0)

    def paper_flops(self, inputs: Sequence[InputSpec], num_outputs: int) -> int:
        """FLOPs of one example's forward pass: two per multiply-add of a matmul, three per attention logit (appendix B)."""
        n, d, w = self.num_latents, self.latent_channels, self.widening_factor

        def cross_attend(n: int, m: int, c: int, heads: int, w: int) -> int:
            projections = 4 * n * d * c + 4 * m * c * c
            return projections + 4 * n * m * c + 3 * heads * n * m + 4 * w * n * d * d

        m, c = sum(spec.num_inputs for spec in inputs), self.input_channels(inputs)
        self_attends = self_attend_flops(n, d, self.num_self_attend_heads, w)
        each = {
            "cross_attend": cross_attend(n, m, c, self.num_cross_attend_heads, w),
            "self_attends": self.num_self_attends_per_block * self_attends,
        }
        head = 2 * d * num_outputs + (cross_attend(1, n, d, 1, 1) if self.head == "query" else 0)
        return sum(each[use.kind] for use in self.schedule) + head

    def check_inputs(self, inputs: Sequence[InputSpec], num_sharing: int) -> None:
        """Raises ValueError for streams, heads or devices that do not fit each other."""
        super().check_inputs(inputs, num_sharing)
        names = ", ".join(spec.name for spec in inputs)
        if len(inputs) > 1 and self.modality_vectors is None:
            raise ValueError(f"model.modality_vectors None: they make {names} equally wide; the authors' have 4 channels")
        if len(inputs) == 1 and self.modality_vectors is not None:
            raise ValueError(f"model.modality_vectors: only with several streams, the data have {names}; try None")
        heads, channels = self.num_cross_attend_heads, self.input_channels(inputs)
        if channels % heads:
            fits = [n for n in range(1, channels + 1) if channels % n == 0]
            raise ValueError(
                f"model.num_cross_attend_heads {heads} does not divide the {channels} input channels; try"
                f" {min(fits, key=lambda n: abs(n - heads))}"
            )
        for spec in inputs:
            first, near = spec.grid[0], math.gcd(num_sharing, spec.grid[0])
            if near < num_sharing:
                whose = "the inputs'" if len(inputs) == 1 else f"{spec.name}'s"
                raise ValueError(f"mesh.inputs {num_sharing} does not divide the {first} of {whose} first axis; try {near}")

    def shrunk(self, values: dict[str, Any]) -> dict[str, Any]:
        """The values with as many heads of the latents as still divide their channels."""
        return values | {"num_self_attend_heads": math.gcd(values["latent_channels"], values["num_self_attend_heads"])}


def check_names(what: str, given: Iterable[str], streams: Sequence[str], there: str = "the data have") -> None:
    """Raises ValueError where what is given by stream is not given for each of the streams there are, and no other."""
    given, all_of_them = list(given), f"{there} {', '.join(streams)}"
    if len(set(streams)) < max(1, len(streams)):
        raise ValueError(f"expected one or more streams of different names: {all_of_them}")
    if ONLY in given:
        if len(given) > 1 or len(streams) > 1:
            raise ValueError(f"{what} is not by name: {all_of_them}")
        return
    for name in given:
        if name not in streams:
            near = nearest(name, streams)
            raise ValueError(f"{what} names {name}: {all_of_them}" + (f"; did you mean {near}?" if near else ""))
    missing = [name for name in streams if name not in given]
    if missing:
        raise ValueError(f"{what} lacks {', '.join(missing)}: {all_of_them}")


def check_heads(**sizes: int) -> None:
    """Raises ValueError where the second of two fields of a model, its heads, does not divide the first, its channels."""
    (name, channels), (heads_name, heads) = sizes.items()
    if channels % heads:
        near = " or ".join(str(n) for n in (channels // heads * heads, (channels // heads + 1) * heads) if n)
        raise ValueError(f"model.{name} {channels} not divisible by model.{heads_name} {heads}; try {near}")


def self_attend_flops(n: int, d: int, heads: int, w: int) -> int:
    """FLOPs of one self-attend with its MLP by the paper's rule: N tokens of D channels, MLP widened by w."""
    return (8 + 4 * w) * n * d * d + 4 * n * n * d + 3 * heads * n * n
