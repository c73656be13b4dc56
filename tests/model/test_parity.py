"""The model equals the plain numpy reference: every block, arrangement, sharing, head, kind of position, any axes.

Every parameter is random, biases and norms too, so that no term can be missing unseen. Equality is asked in float64,
where a wrong term stands out from rounding by many orders of magnitude; what float32 and bfloat16 lose is asked apart.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from perceiver_jax.model.config import (
    FourierPositions,
    InputSpec,
    LearnedPositions,
    ModalityVectors,
    NoPositions,
    PerceiverConfig,
)
from perceiver_jax.model.perceiver import Perceiver
from perceiver_jax.section import ONLY
from tests.model import reference

FLOAT64 = {"rtol": 1e-12, "atol": 1e-12}  # some hundred roundings of 1e-16 on numbers up to 10
FLOAT32 = {"rtol": 2e-5, "atol": 2e-5}  # the same of 6e-8
SLOPES = {"rtol": 1e-7, "atol": 1e-7}  # central differences of step 1e-5: 1e-10 off by the step, 1e-9 by rounding
CLASSES = 5
GRID, FEATURES = (4, 5), 3
PICTURE = {"image": (*GRID, FEATURES)}

BASE = PerceiverConfig(
    kind="perceiver",
    num_latents=6,
    latent_channels=12,
    latent_init_scale=0.02,
    num_blocks=1,
    num_cross_attends=1,
    num_self_attends_per_block=2,
    arrangement="interleaved",
    sharing="paper",
    num_cross_attend_heads=1,
    num_self_attend_heads=3,
    widening_factor=1,
    positions=FourierPositions(kind="fourier", num_bands=3, max_resolution=(4.0, 5.0)),
    modality_vectors=None,
    head="mean_linear",
    compute_dtype="float32",
    matmul_precision="float32",
    remat="none",
)
DEEP = {"num_blocks": 2, "num_cross_attends": 2}
KINDS = [("video", "fourier"), ("words", "none"), ("sound", "fourier")]
EVERY_POSITION = pytest.mark.parametrize("positions", ["fourier", "learned", "none"])


def variant(positions: str = "fourier", grid: tuple[int, ...] = GRID, **changes: Any) -> PerceiverConfig:
    kinds = {
        "fourier": FourierPositions(kind="fourier", num_bands=3, max_resolution=tuple(map(float, grid))),
        "learned": LearnedPositions(kind="learned", channels=7, init_scale=1.0),
        "none": NoPositions(kind="none"),
    }
    fields = {name: getattr(BASE, name) for name in PerceiverConfig.model_fields}
    return PerceiverConfig(**fields | {"positions": kinds[positions]} | changes)


def random_parameter(path: tuple[Any, ...], shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Kernels keep outputs of order 1; queries and keys are larger, so that attention is far from uniform."""
    names = {str(getattr(key, "key", key)) for key in path}
    if "scale" in names:
        return 1 + 0.3 * rng.normal(size=shape)
    if "kernel" in names:
        return (1.5 if names & {"query", "key"} else 1.0) * rng.normal(size=shape) / math.sqrt(shape[-2])
    return (0.3 if "bias" in names else 1.0) * rng.normal(size=shape)


def build(config: PerceiverConfig, shapes: dict[str, tuple[int, ...]], dtype: Any) -> tuple[nnx.GraphDef, Any, dict]:
    """A model taken apart into graph and random parameters, and the same parameters as the reference takes them.

    The shapes of each stream's examples are its grid, then its features.
    """
    inputs = [InputSpec(name, shape[:-1], shape[-1]) for name, shape in shapes.items()]
    model = nnx.eval_shape(lambda: Perceiver(config, inputs, CLASSES, rngs=nnx.Rngs(0)))
    graph, state = nnx.split(model)
    rng = np.random.default_rng(1)

    def draw(path, leaf):
        return jnp.asarray(random_parameter(path, leaf.shape, rng), dtype)

    state = jax.tree_util.tree_map_with_path(draw, state)
    return graph, state, as_numpy(nnx.to_pure_dict(state))


def as_numpy(tree: Any) -> Any:
    return {str(k): as_numpy(v) for k, v in tree.items()} if isinstance(tree, dict) else np.asarray(tree, np.float64)


def example(grid: tuple[int, ...] = GRID, num_features: int = FEATURES) -> np.ndarray:
    return np.random.default_rng(2).normal(size=(2, *grid, num_features)).astype(np.float32).astype(np.float64)


def half_masked(grid: tuple[int, ...] = GRID) -> np.ndarray:
    """The first example whole, of the second about half the inputs."""
    mask = np.random.default_rng(3).random((2, math.prod(grid))) < 0.5
    mask[0], mask[1, 1] = True, True
    assert not mask[1].all()
    return mask


def compare(config, grid=GRID, features=None, mask=None, tolerance=FLOAT64) -> None:
    """Asserts that the class logits equal the reference's, and the attention logits where there is an input."""
    features = example(grid) if features is None else features
    compare_streams(config, {"image": features}, {} if mask is None else {"image": mask}, tolerance)


def compare_streams(config, features, masks, tolerance=FLOAT64) -> None:
    exact = tolerance is FLOAT64
    config = config.model_copy(update={"compute_dtype": "float64"}) if exact else config  # a dtype for tests alone
    with jax.enable_x64(exact):
        dtype = jnp.float64 if exact else jnp.float32
        graph, state, params = build(config, {name: x.shape[1:] for name, x in features.items()}, dtype)

        def forward(state, features):
            output = nnx.merge(graph, state)(features, jax.tree.map(jnp.asarray, masks), capture=True)
            return output.logits, output.attention_logits

        logits, attention_logits = jax.jit(forward)(state, {name: jnp.asarray(x, dtype) for name, x in features.items()})
    expected_logits, expected = reference.perceiver(params, config, features, masks)
    np.testing.assert_allclose(logits, expected_logits, **tolerance)
    chex.assert_trees_all_equal_shapes(attention_logits, expected)
    for ours, theirs in zip(attention_logits, expected, strict=True):
        for name, found in ours.items():
            present = masks[name] if name in masks else np.ones(found.shape[::3], bool)
            there = np.broadcast_to(present[:, None, None], found.shape)
            np.testing.assert_allclose(np.asarray(found)[there], theirs[name][there], **tolerance)


@pytest.mark.parametrize("sharing", ["paper", "none", "all"])
@pytest.mark.parametrize("arrangement", ["interleaved", "at_start"])
def test_every_arrangement_and_sharing(arrangement, sharing):
    compare(variant(num_blocks=3, num_cross_attends=3, arrangement=arrangement, sharing=sharing))


@EVERY_POSITION
def test_every_kind_of_position(positions):
    compare(variant(positions))


@pytest.mark.parametrize("sound", ["fourier", "learned", "none"])
def test_several_streams_of_all_kinds_with_a_vector_each_and_masks(sound):
    """Alphabetical: sound (one axis), then video (three), then words (a set)."""
    grids = {"video": (2, 3, 2), "words": (4,), "sound": (7,)}
    positions = {name: variant(sound if name == "sound" else kind, grids[name]).positions[ONLY] for name, kind in KINDS}
    config = variant(modality_vectors=ModalityVectors(channels=2, init_scale=0.02)).model_copy(
        update={"positions": positions}
    )
    features = {name: example(grid, 1 + len(grid)) for name, grid in grids.items()}
    masks = {"sound": half_masked((7,)), "words": np.array([[True] * 4, [False] * 4])}
    compare_streams(config, features, masks)


def test_the_query_head():
    compare(variant(head="query"))


@EVERY_POSITION
@pytest.mark.parametrize("grid", [(17,), (2, 3, 5)], ids=["1_axis", "3_axes"])
def test_masks_over_other_numbers_of_axes(grid, positions):
    compare(variant(positions, grid), grid, mask=half_masked(grid))


def test_a_mask_of_every_input_is_none():
    compare(BASE, mask=np.ones((2, 20), bool))


@pytest.mark.parametrize(("cross", "own", "latents"), [(2, 1, 6), (3, 4, 23), (18, 12, 6), (18, 1, 23)])
def test_two_heads_to_as_many_as_channels_with_fewer_and_more_latents_than_inputs(cross, own, latents):
    config = variant(num_cross_attend_heads=cross, num_self_attend_heads=own, num_latents=latents)
    compare(config, features=example(num_features=4), mask=half_masked())  # 20 inputs of 4 + 14 = 18 channels


@pytest.mark.parametrize("num_features", [1, 40])
def test_features_fewer_and_many_more_than_position_channels(num_features):
    compare(BASE, features=example(num_features=num_features))


def test_cross_attends_alone():
    compare(variant(num_blocks=0, num_cross_attends=3, sharing="none"))


def test_a_single_cross_attend_before_all_latent_transformers():
    compare(variant(num_blocks=2))


def test_one_self_attend_a_block():
    compare(variant(num_self_attends_per_block=1))


def test_mlps_of_four_times_the_width():
    compare(variant(widening_factor=4, head="query"))


def test_the_heads_own_mlp_is_as_wide_as_the_latents_whatever_the_encoders():
    *_, params = build(variant(widening_factor=4, head="query"), PICTURE, jnp.float32)
    assert params["head"]["cross_attend"]["mlp"]["expand"]["kernel"].shape == (12, 12)
    assert params["cross_attends"]["0"]["mlp"]["expand"]["kernel"].shape == (12, 48)
    assert params["self_attends"]["0"]["mlp"]["expand"]["kernel"].shape == (2, 12, 48)


@EVERY_POSITION
@pytest.mark.usefixtures("optimised")
def test_float32_stays_within_its_rounding(positions):
    compare(variant(positions, head="query", **DEEP), mask=half_masked(), tolerance=FLOAT32)


@pytest.mark.usefixtures("optimised")
def test_float32_keeps_the_papers_highest_bands():
    """64 bands to 112 half turns, along an axis as long as an ImageNet picture."""
    positions = FourierPositions(kind="fourier", num_bands=64, max_resolution=(224.0, 224.0))
    config = variant().model_copy(update={"positions": {ONLY: positions}})
    compare(config, (224, 3), tolerance=FLOAT32)


@pytest.mark.usefixtures("optimised")
def test_float32_keeps_the_variance_of_features_far_from_zero():
    """Mean 30, spread 1: two passes are off by 1e-5, a variance as E[x^2] - E[x]^2 by 1e-3."""
    features = (example(num_features=8) + 30).astype(np.float32).astype(np.float64)
    compare(variant("none"), features=features, tolerance=FLOAT32)


@pytest.mark.usefixtures("optimised")
def test_bfloat16_stays_within_a_few_of_its_roundings():
    """Of 2^-9 = 0.2 % each; the root mean square over all logits, for single ones may be near zero."""
    config = variant(compute_dtype="bfloat16", **DEEP)
    graph, state, params = build(config, PICTURE, jnp.float32)
    logits = jax.jit(lambda features: nnx.merge(graph, state)(features).logits)(jnp.asarray(example(), jnp.float32))
    expected, _ = reference.perceiver(params, config, {"image": example()})
    error = np.sqrt(np.mean((logits - expected) ** 2) / np.mean(expected**2))
    assert 1e-4 < error < 0.02  # below: it was not computed in bfloat16


@pytest.mark.parametrize(("positions", "remat"), [("fourier", "none"), ("learned", "block"), ("none", "layer")])
def test_gradients_are_the_references_slopes(positions, remat):
    """Along one random direction in every parameter and in the features."""
    config = variant(positions, head="query", remat=remat, **DEEP).model_copy(update={"compute_dtype": "float64"})
    features, mask, weights = example(), half_masked(), np.random.default_rng(5).normal(size=(2, CLASSES))
    with jax.enable_x64(True):
        graph, state, params = build(config, PICTURE, jnp.float64)

        def loss(state, features):
            return jnp.sum(nnx.merge(graph, state)(features, jnp.asarray(mask)).logits * weights)

        slopes = jax.jit(jax.grad(loss, argnums=(0, 1)))
        gradient = slopes(state, jnp.asarray(features))
    gradients = as_numpy(nnx.to_pure_dict(gradient[0])) | {"features": np.asarray(gradient[1])}
    point = params | {"features": features}

    def reference_loss(at: dict) -> float:
        return np.sum(reference.perceiver(at, config, {"image": at["features"]}, {"image": mask})[0] * weights)

    for path, ours in leaves(gradients):
        step = 1e-5 * np.random.default_rng(6).normal(size=ours.shape)
        slope = (reference_loss(moved(point, path, step)) - reference_loss(moved(point, path, -step))) / 2
        np.testing.assert_allclose(np.sum(ours * step) / 1e-5, slope / 1e-5, **SLOPES, err_msg="/".join(path))


def test_nothing_is_captured_unasked():
    graph, state, _ = build(BASE, PICTURE, jnp.float32)
    output = jax.eval_shape(lambda features: nnx.merge(graph, state)(features).attention_logits, example())
    assert output == []


def leaves(tree: dict, at: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], np.ndarray]]:
    for name, value in tree.items():
        yield from leaves(value, (*at, name)) if isinstance(value, dict) else [((*at, name), value)]


def moved(tree: dict, path: Sequence[str], by: np.ndarray) -> dict:
    """The tree with one leaf moved."""
    name, *rest = path
    return tree | {name: moved(tree[name], rest, by) if rest else tree[name] + by}
