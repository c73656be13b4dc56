"""The baselines at sizes that run in no time."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from perceiver_jax.baselines.config import Baseline, ResNetConfig, TransformerConfig, VitConfig
from perceiver_jax.baselines.resnet import ResNet
from perceiver_jax.baselines.transformer import Transformer
from perceiver_jax.baselines.vit import Vit
from perceiver_jax.model.config import FourierPositions, InputSpec, LearnedPositions, NoPositions

GRID, FEATURES, CLASSES = (6, 8), 2, 3
FOURIER = FourierPositions(kind="fourier", num_bands=2, max_resolution=(6.0, 8.0))
LEARNED = LearnedPositions(kind="learned", channels=5, init_scale=1.0)
NONE = NoPositions(kind="none")
SHARED = {
    "positions": FOURIER,
    "permutation_seed": None,
    "compute_dtype": "float32",
    "matmul_precision": "float32",
    "remat": "none",
}
LAYERS = {"channels": 8, "num_layers": 2, "num_heads": 2, "widening_factor": 2}
MODELS = {
    "transformer": (Transformer, TransformerConfig(kind="transformer", **SHARED, **LAYERS)),
    # Patches of 4 do not divide the 6 rows of the grid.
    "vit": (Vit, VitConfig(kind="vit", **SHARED, **LAYERS, patch_size=4, position_embedding=True)),
    "resnet": (ResNet, ResNetConfig(kind="resnet", **SHARED, stage_blocks=(1, 2), stem_channels=3, statistics_decay=0.9)),
}


def config(kind: str, **changes: Any) -> Baseline:
    """The small config with other values of fields."""
    section = MODELS[kind][1]
    return type(section)(**{name: getattr(section, name) for name in type(section).model_fields} | changes)


def model(kind: str, grid: tuple[int, ...] = GRID, **changes: Any) -> nnx.Module:
    """The model with the initial parameters of seed 0."""
    return MODELS[kind][0](config(kind, **changes), [picture(*grid)], CLASSES, nnx.Rngs(0))


def picture(*grid: int, num_coordinates: int = 0) -> InputSpec:
    """Their inputs."""
    return InputSpec("image", grid or GRID, FEATURES, num_coordinates)


def of_digits(kind: str, **changes: Any) -> str:
    """The flag that puts a small model of a kind into configs/digits.py."""
    positions = FOURIER.model_copy(update={"max_resolution": (8.0, 8.0)})
    return f"--config.model={config(kind, positions=positions, **changes).model_dump()}"


def build(kind: str, grid: tuple[int, ...] = GRID, **changes: Any) -> tuple[nnx.GraphDef, nnx.State]:
    """A model's graph, and random float64 parameters that move every output."""
    graph, state = nnx.split(nnx.eval_shape(lambda: model(kind, grid, **changes)))
    rng = np.random.default_rng(1)
    return graph, jax.tree.map(lambda leaf: jnp.asarray(0.5 * rng.normal(size=leaf.shape)), state)


def run(built: tuple[nnx.GraphDef, nnx.State], *arguments: Any, **options: Any) -> Any:
    """What a model gives."""
    graph, state = built
    forward = lambda state, arguments, options: nnx.merge(graph, state)(*arguments, **options)  # noqa: E731
    return jax.jit(forward)(state, arguments, options)


def example(*grid: int, batch: int = 2) -> jax.Array:
    """Random features."""
    return jnp.asarray(np.random.default_rng(2).normal(size=(batch, *(grid or GRID), FEATURES)))


def as_numpy(state: nnx.State) -> Any:
    """The parameters as nested dictionaries, the names of lists in order."""
    return jax.tree.map(np.asarray, nnx.to_pure_dict(state))
