"""The sizes that are measured: a model, the grid of its inputs, and a batch. Needs no JAX."""

import dataclasses
from collections.abc import Iterable
from typing import Any

from perceiver_jax.errors import Code, Failure, nearest
from perceiver_jax.model.config import FourierPositions, InputSpec, PerceiverConfig
from perceiver_jax.section import of_stream

LEARNING_RATE = 1e-4  # of the SGD in everybody's train step: the numbers stay where they are


@dataclasses.dataclass(frozen=True)
class Shape:
    """What a model and its inputs are measured at."""

    name: str
    model: PerceiverConfig
    inputs: tuple[InputSpec, ...]  # by stream, in alphabetical order, as the model has them
    num_classes: int
    batch: int

    @property
    def num_inputs(self) -> int:
        """M."""
        return sum(spec.num_inputs for spec in self.inputs)

    @property
    def size(self) -> str:
        """The sizes in one line: inputs and their axes or features, latents, blocks, batch."""
        model = self.model
        blocks = f"{model.num_blocks} x (1 + {model.num_self_attends_per_block})"
        inputs = " and ".join(self._described(spec) for spec in self.inputs)
        return f"{inputs}, {model.num_latents} x {model.latent_channels}, {blocks}, batch {self.batch}"

    def _described(self, spec: InputSpec) -> str:
        positions = of_stream(self.model.positions, spec.name)
        bands = f" + {positions.num_bands} bands" if isinstance(positions, FourierPositions) else ""
        return f"{'x'.join(map(str, spec.grid))}x{spec.num_features}{bands}"

    def changed(self, name: str, **settings: Any) -> "Shape":
        """The shape with another name, other fields of its own, or other settings of its model."""
        own = {field.name for field in dataclasses.fields(self)} & set(settings)
        model = self.model.model_dump() | {key: value for key, value in settings.items() if key not in own}
        changes = {"model": PerceiverConfig(**model)} | {key: settings[key] for key in own}
        return dataclasses.replace(self, name=name, **changes)

    def with_blocks(self, num_blocks: int) -> "Shape":
        """The shape with `num_blocks` blocks, each with its cross-attend."""
        return self.changed(f"{self.name}_{num_blocks}_blocks", num_blocks=num_blocks, num_cross_attends=num_blocks)


def shapes() -> dict[str, Shape]:
    """All shapes by name, cheap ones first."""
    mnist5k = _shape("mnist5k", (28, 28), 1, 10, 32, (64, 128), (2, 2), bands=16)
    small = _shape("small", (32, 32), 3, 10, 16, (128, 256), (2, 4), bands=32)
    # 1.28 s of sound as 480 pieces of 128 samples, and 64 bands of their time.
    audioset = _shape("audioset", (480,), 128 + 129, 527, 1, (512, 512), (2, 8), sharing="none")
    raw = of_recordings("audioset_raw", audio=((480,), 128, 64))
    mel_video = of_recordings("audioset_mel_video", audio=((60, 80), 1, 64), video=((16, 28, 28), 384, 16))
    # Points bring their positions with them: 64 bands of three coordinates.
    modelnet40 = _shape("modelnet40", (2000,), 3 * 129, 40, 8, (512, 1024), (2, 6))  # the paper's
    imagenet = _shape("imagenet", (224, 224), 3, 1000, 1, (512, 1024), (8, 6), bands=64)
    imagenet2 = dataclasses.replace(imagenet.with_blocks(2), name="imagenet2")
    # Raw pixels of 1024 x 1024: a million inputs, which no other implementation's cross-attends have the memory for.
    large = _shape("imagenet1024", (1024, 1024), 3, 1000, 1, (512, 1024), (8, 6), bands=64)
    return {
        shape.name: shape for shape in (mnist5k, small, audioset, raw, modelnet40, imagenet2, mel_video, imagenet, large)
    }


def of_recordings(name: str, **streams: tuple[tuple[int, ...], int, int]) -> Shape:
    """The paper's model of AudioSet, whole, for one example: of each stream its grid, features and bands."""
    grid, num_features, bands = streams["audio"]
    one = _shape(name, grid, num_features, 527, 1, (512, 1024), (2, 8), bands=bands, sharing="none")
    if len(streams) == 1:
        return one
    return one.changed(
        name,
        inputs=tuple(InputSpec(stream, grid, num_features) for stream, (grid, num_features, _) in sorted(streams.items())),
        modality_vectors={"channels": 4, "init_scale": 0.02},
        positions={stream: _fourier(grid, bands) for stream, (grid, _, bands) in streams.items()},
    )


def image_core(side: int) -> Shape:
    """One cross-attend to a square picture, channels and latents as for ImageNet."""
    return _core(f"image_{side * side}", (side, side), 3, bands=64)


def point_core(num_inputs: int) -> Shape:
    """One cross-attend to points that bring their positions with them, channels as for ModelNet40."""
    return _core(f"points_{num_inputs}", (num_inputs,), 3 * 129)


def tiny(shape: Shape) -> Shape:
    """The shape shrunk until it runs in seconds; its contestants and its kind of inputs stay."""
    positions = {}
    for name, one in shape.model.positions.items():
        fourier = isinstance(one, FourierPositions)
        positions[name] = (one.model_copy(update={"num_bands": 2}) if fourier else one).model_dump()
    inputs = [(spec, tuple(min(length, 6) for length in spec.grid)) for spec in shape.inputs]
    blocks = min(shape.model.num_blocks, 2)
    return shape.changed(
        shape.name,
        inputs=tuple(spec._replace(grid=grid, num_features=min(spec.num_features, 5)) for spec, grid in inputs),
        num_classes=3,
        batch=min(shape.batch, 2),
        num_latents=4,
        latent_channels=8,
        num_blocks=blocks,
        num_cross_attends=max(1, blocks),
        num_self_attends_per_block=1,
        num_self_attend_heads=2,
        positions=positions,
    )


def chosen(what: str, names: list[str], known: Iterable[str]) -> list[str]:
    """The names asked for, each once; raises Failure(CONFIG) for one that is not known, naming the nearest."""
    known = list(known)
    for name in names:
        if name not in known:
            near = nearest(name, known)
            rest = ", ".join(sorted(known, key=lambda other: other != near))
            raise Failure(Code.CONFIG, f"--{what}: unknown {name!r}", expected=f"one of {rest}", hint=near)
    return list(dict.fromkeys(names))


def _core(name: str, grid: tuple[int, ...], num_features: int, bands: int | None = None) -> Shape:
    # Only the cross-attend's read is run: latents need few channels, and there are no blocks.
    shape = _shape(name, grid, num_features, 1, 1, (512, 8), (2, 1), bands=bands)
    return shape.changed(name, num_blocks=0, num_cross_attends=1)


def _shape(
    name: str,
    grid: tuple[int, ...],
    num_features: int,
    num_classes: int,
    batch: int,
    latents: tuple[int, int],
    blocks: tuple[int, int],
    bands: int | None = None,
    sharing: str = "paper",
) -> Shape:
    """A shape of the paper's layout: each block a cross-attend, then self-attends with 8 heads."""
    model = PerceiverConfig(
        kind="perceiver",
        num_latents=latents[0],
        latent_channels=latents[1],
        latent_init_scale=0.02,
        num_blocks=blocks[0],
        num_cross_attends=blocks[0],
        num_self_attends_per_block=blocks[1],
        arrangement="interleaved",
        sharing=sharing,
        num_cross_attend_heads=1,
        num_self_attend_heads=8,
        widening_factor=1,
        modality_vectors=None,
        positions=_fourier(grid, bands) if bands else {"kind": "none"},
        head="mean_linear",
        compute_dtype="float32",
        matmul_precision="float32",
        remat="none",
    )
    return Shape(name, model, (InputSpec("inputs", grid, num_features),), num_classes, batch)


def _fourier(grid: tuple[int, ...], bands: int) -> dict[str, Any]:
    return {"kind": "fourier", "num_bands": bands, "max_resolution": tuple(float(length) for length in grid)}
