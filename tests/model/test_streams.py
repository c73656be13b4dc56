"""Streams of inputs, masks, and what is reported of inputs that do not fit."""

import re
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import export

from perceiver_jax.model import read
from perceiver_jax.model.config import FourierPositions, InputSpec, LearnedPositions, ModalityVectors, NoPositions
from perceiver_jax.model.perceiver import Perceiver
from tests.model.test_perceiver import CLASSES, SHALLOW, config

IMAGE, SOUND, CLOUD = InputSpec("image", (3, 5), 2), InputSpec("sound", (7,), 4), InputSpec("cloud", (6,), 3, 3)
BOTH = (IMAGE, SOUND)
FOURIER = FourierPositions(kind="fourier", num_bands=2, max_resolution=(3.0, 5.0))
LEARNED = LearnedPositions(kind="learned", channels=3, init_scale=1.0)
NONE = NoPositions(kind="none")
OF_CLOUD = FourierPositions(kind="fourier", num_bands=2, max_resolution=(3.0, 5.0, 2.0))
VECTORS = ModalityVectors(channels=2, init_scale=0.02)
TWO = {"positions": {"image": FOURIER, "sound": LEARNED}, "modality_vectors": VECTORS}


def build(inputs=BOTH, dtype: Any = jnp.float32, **changes: Any) -> tuple[nnx.GraphDef, nnx.State]:
    """A model's graph and random parameters that move every output."""
    fields = SHALLOW | changes
    graph, state = nnx.split(nnx.eval_shape(lambda: Perceiver(config(**fields), inputs, CLASSES, nnx.Rngs(0))))
    rng = np.random.default_rng(1)
    return graph, jax.tree.map(lambda leaf: jnp.asarray(0.5 * rng.normal(size=leaf.shape), dtype), state)


def run(model: tuple[nnx.GraphDef, nnx.State], *arguments: Any, **options: Any) -> Any:
    graph, state = model
    return jax.jit(lambda state, *a: nnx.merge(graph, state)(*a, **options))(state, *arguments)


def example(*inputs: InputSpec, batch: int = 3, dtype: Any = jnp.float32) -> dict[str, jax.Array]:
    rng = np.random.default_rng(2)
    return {spec.name: jnp.asarray(rng.normal(size=(batch, *spec.grid, spec.num_features)), dtype) for spec in inputs}


# What goes in and what comes out


def test_streams_in_any_order_are_one_model():
    """The official order, alphabetical, is the model's own affair."""
    inputs = example(*BOTH)
    one, other = (build(order, **TWO) for order in (BOTH, BOTH[::-1]))
    chex.assert_trees_all_equal(one[1], other[1])
    backwards = {name: inputs[name] for name in ("sound", "image")}
    np.testing.assert_array_equal(run(one, inputs).logits, run(other, backwards).logits)


def test_each_streams_vector_fills_it_up_to_the_widest_ones_and_more():
    own = {"image": 2 + 2 * 5, "sound": 4 + 3}
    _, state = build(**TWO)
    lengths = {name: state["inputs"]["streams"][name]["vector"].shape for name in own}
    assert lengths == {"image": (2,), "sound": (12 + 2 - 7,)}
    assert config(**TWO).input_channels(BOTH) == 14


def test_vectors_start_normal_cut_at_two_scales():
    wide = config(**TWO | {"modality_vectors": ModalityVectors(channels=20_000, init_scale=0.5)})
    create = jax.jit(lambda: nnx.state(Perceiver(wide, BOTH, CLASSES, nnx.Rngs(0)).inputs))
    x = np.asarray(create()["streams"]["image"]["vector"][...]) / 0.5
    assert 1.99 < np.abs(x).max() <= 2
    assert abs(x.std() - 0.87962566) < 0.02


def test_a_single_stream_has_no_vector_and_goes_by_name_or_without():
    model, inputs = build([IMAGE]), example(IMAGE)
    assert "inputs" not in model[1]
    np.testing.assert_array_equal(run(model, inputs).logits, run(model, inputs["image"]).logits)


def test_attention_logits_are_by_stream():
    captured = run(build(**TWO, num_cross_attends=2, arrangement="at_start"), example(*BOTH), capture=True).attention_logits
    assert [{name: x.shape for name, x in one.items()} for one in captured] == [
        {"image": (3, 1, 5, 15), "sound": (3, 1, 5, 7)}
    ] * 2


def test_a_model_encodes_to_the_latents_that_its_head_gets():
    graph, state = build(**TWO)

    def both(state, inputs):
        model = nnx.merge(graph, state)
        return model.head(model.encode(inputs)), model(inputs).logits

    chex.assert_trees_all_equal(*jax.jit(both)(state, example(*BOTH)))


@pytest.mark.parametrize(("spec", "positions"), [(CLOUD, OF_CLOUD), (SOUND, NONE)], ids=["coordinates", "none"])
def test_inputs_whose_positions_do_not_depend_on_the_grid_may_be_any_number(spec, positions):
    model = build([spec], positions=positions)
    more = example(spec._replace(grid=(2 * spec.grid[0],)))[spec.name]
    mask = jnp.arange(more.shape[1]) < spec.grid[0]
    whole = run(model, more[:, : spec.grid[0]]).logits
    seen = run(model, more, jnp.broadcast_to(mask, more.shape[:2])).logits
    np.testing.assert_allclose(seen, whole, rtol=1e-4, atol=1e-5)


# Masks


AS_SHIPPED = {"xla_cpu_parallel_codegen_split_count": 32}  # XLA's own, which tests elsewhere change; a bit depends on it
EVERY_READ = [(1, 2**19, 0.5), (1, 2**19, 50.0), (1, 300, 0.5), (1, 300, 50.0), (7, 2**19, 0.5)]


@pytest.mark.parametrize(("heads", "chunk_bytes", "scale"), EVERY_READ)
@pytest.mark.usefixtures("optimised")
def test_a_mask_of_all_inputs_gives_the_same_bits_as_none(heads, chunk_bytes, scale, monkeypatch):
    """In both forms, in chunks that are filled up too, and whichever shift the logits' sizes ask for."""
    monkeypatch.setattr(read, "CHUNK_BYTES", read.ChunkBytes(chunk_bytes, chunk_bytes))
    graph, state = build(**TWO, num_cross_attend_heads=heads)
    state, inputs = jax.tree.map(lambda leaf: scale * leaf, state), example(*BOTH)
    forward = jax.jit(lambda state, *a: nnx.merge(graph, state)(*a).logits, compiler_options=AS_SHIPPED)
    np.testing.assert_array_equal(forward(state, inputs, full(inputs)), forward(state, inputs, None))


@pytest.mark.parametrize("heads", [1, 7], ids=["folded", "plain"])
def test_a_mask_of_all_inputs_gives_the_same_gradients_as_none(heads):
    """But for the order in which XLA adds up that of the inputs' norm."""
    with jax.enable_x64(True):
        graph, state = build(dtype=jnp.float64, **TWO, num_cross_attend_heads=heads)
        inputs = example(*BOTH, dtype=jnp.float64)
        slope = jax.jit(jax.grad(lambda s, x, m: jnp.sin(nnx.merge(graph, s)(x, m).logits).sum(), argnums=(0, 1)))
        chex.assert_trees_all_close(slope(state, inputs, full(inputs)), slope(state, inputs, None), rtol=1e-11, atol=1e-12)


def full(inputs: dict[str, jax.Array]) -> dict[str, jax.Array]:
    return {name: jnp.ones((x.shape[0], int(np.prod(x.shape[1:-1]))), bool) for name, x in inputs.items()}


@pytest.mark.parametrize("heads", [1, 7], ids=["folded", "plain"])
def test_an_example_that_sees_nothing_reads_zeros_and_gives_its_inputs_exactly_zero_gradient(heads):
    graph, state = build(**TWO, num_cross_attend_heads=heads)
    inputs = example(*BOTH)
    masks = {name: mask.at[1].set(False) for name, mask in full(inputs).items()}

    def everything(state, inputs):
        model = nnx.merge(graph, state)
        query = jnp.ones((3, 5, 14))
        values, _ = model.cross_attends[0].read(query, model.inputs(inputs, masks), capture=False)
        return jnp.sin(model(inputs, masks).logits).sum(), values

    (_, values), gradients = jax.jit(jax.value_and_grad(everything, (0, 1), has_aux=True))(state, inputs)
    chex.assert_tree_all_finite((values, gradients))
    assert not values[1].any()
    assert all(np.abs(values[i]).min() > 0 for i in (0, 2))
    for gradient in gradients[1].values():
        assert not gradient[1].any()
        assert gradient[0].any()


@pytest.mark.parametrize("heads", [1, 7], ids=["folded", "plain"])
@pytest.mark.parametrize("missing", ["image", "sound"])
def test_a_stream_that_an_example_does_not_see_is_as_good_as_absent(heads, missing):
    """Against the same weights and the other stream alone."""
    (kept,) = {"image", "sound"} - {missing}
    inputs, model = example(*BOTH), build(**TWO, num_cross_attend_heads=heads)
    masks = full(inputs) | {missing: full(inputs)[missing].at[1].set(False)}

    def alone(graph, state, inputs):
        merged = nnx.merge(graph, state)
        latents = merged._start([merged.inputs.streams[kept](inputs[kept])])
        segment = merged.inputs.streams[kept](inputs[kept])
        return merged.cross_attends[0](latents, [segment])[0]

    def together(graph, state, inputs):
        merged = nnx.merge(graph, state)
        segments = merged.inputs(inputs, masks)
        return merged.cross_attends[0](merged._start(segments), segments)[0]

    one, other = (jax.jit(lambda s, x, f=f: f(model[0], s, x))(model[1], inputs) for f in (alone, together))
    np.testing.assert_allclose(other[1], one[1], rtol=1e-4, atol=1e-5)
    assert np.abs(other[0] - one[0]).max() > 1e-2


def test_masks_pass_blocks_in_loops():
    """More blocks than are written out without a gradient, and with one."""
    graph, state = build(**TWO, num_blocks=3, num_cross_attends=3, sharing="all")
    inputs = example(*BOTH)
    masks = {"sound": full(inputs)["sound"].at[:, 3:].set(False)}
    slope = jax.jit(jax.value_and_grad(lambda state: nnx.merge(graph, state)(inputs, masks).logits.sum()))
    value, gradient = slope(state)
    chex.assert_tree_all_finite(gradient)
    np.testing.assert_allclose(value, run((graph, state), inputs, masks).logits.sum(), rtol=1e-4)


# Errors of inputs that do not fit


def reported(kind: type[Exception], model: tuple[nnx.GraphDef, nnx.State], *arguments: Any) -> str:
    with pytest.raises(kind) as error:
        nnx.merge(*model)(*arguments)
    return str(error.value)


MASK = np.ones((3, 15), bool)
WRONG_MASKS = {
    "shape": (MASK[:, :3], "image: a mask of bool (3, 3): expected bool (3, 15)"),
    "grid": (MASK.reshape(3, 3, 5), "image: a mask of bool (3, 3, 5): expected bool (3, 15)"),
    "examples": (MASK[:1], "image: a mask of bool (1, 15): expected bool (3, 15)"),
    "type": (MASK.astype(np.float32), "image: a mask of float32 (3, 15): expected bool (3, 15)"),
    "unknown": ({"sounds": MASK}, "the mapping of masks names sounds: the model reads image, sound; did you mean sound?"),
}


@pytest.mark.parametrize(("mask", "text"), WRONG_MASKS.values(), ids=list(WRONG_MASKS))
def test_a_mask_that_is_not_a_truth_value_for_each_input_is_refused(mask, text):
    masks = mask if isinstance(mask, dict) else {"image": mask}
    assert reported(ValueError, build(**TWO), example(*BOTH), masks) == text


@pytest.mark.parametrize("dtype", ["uint8", "int32", "bool"])
def test_inputs_that_are_not_floating_point_numbers_are_refused(dtype):
    inputs = example(*BOTH) | {"image": np.ones((3, 3, 5, 2), dtype)}
    assert reported(TypeError, build(**TWO), inputs).startswith(f"image: expected floating-point inputs, got {dtype}: ")


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        ((3, 5, 3, 2), "image: features on a grid of (5, 3): expected (3, 5)"),
        ((3, 15, 2), "image: features on a grid of (15,): expected (3, 5)"),
        ((3, 3, 5, 4), "image: features of 4 channels: expected 2"),
        ((4, 3, 5, 2), "streams of different numbers of examples: image 4, sound 3"),
    ],
)
def test_inputs_of_another_shape_are_refused(shape, text):
    assert reported(ValueError, build(**TWO), example(*BOTH) | {"image": np.ones(shape, np.float32)}) == text


def test_points_of_another_number_of_axes_are_refused():
    model = build([CLOUD], positions=OF_CLOUD)
    assert reported(ValueError, model, np.ones((2, 4, 4, 3), np.float32)) == (
        "cloud: features on a grid of (4, 4): expected (6,)"
    )


def test_streams_that_are_missing_or_unknown_are_refused():
    inputs, model = example(*BOTH), build(**TWO)
    there = "the model reads image, sound"
    assert reported(ValueError, model, {"image": inputs["image"]}) == f"the mapping of inputs lacks sound: {there}"
    assert reported(ValueError, model, inputs | {"imag": inputs["image"]}) == (
        f"the mapping of inputs names imag: {there}; did you mean image?"
    )
    assert (
        reported(ValueError, model, inputs["image"])
        == "inputs: one array, but the model reads image, sound; give them by name"
    )


def two(**changes: Any) -> dict[str, Any]:
    return TWO | changes


THERE = "the data have image, sound"
WRONG_CONFIGS = {
    "unknown": (
        BOTH,
        two(positions={"image": FOURIER, "sounds": LEARNED}),
        f"model.positions names sounds: {THERE}; did you mean sound?",
    ),
    "missing": (BOTH, two(positions={"image": FOURIER}), f"model.positions lacks sound: {THERE}"),
    "not_by_name": (BOTH, two(positions=FOURIER), f"model.positions is not by name: {THERE}"),
    "axes": (
        BOTH,
        two(positions={"image": FOURIER, "sound": FOURIER}),
        "model.positions.sound.max_resolution (3.0, 5.0): expected one number for each of the 1 axes of sound's 7 inputs",
    ),
    "learned": (
        [CLOUD],
        {"positions": LEARNED},
        "model.positions.kind learned: cloud brings coordinates with each input; try fourier or none",
    ),
    "no_vectors": (
        BOTH,
        two(modality_vectors=None),
        "model.modality_vectors None: they make image, sound equally wide; the authors' have 4 channels",
    ),
    "vectors": (
        [IMAGE],
        {"modality_vectors": VECTORS},
        "model.modality_vectors: only with several streams, the data have image; try None",
    ),
    "heads": (
        BOTH,
        two(num_cross_attend_heads=3),
        "model.num_cross_attend_heads 3 does not divide the 14 input channels; try 2",
    ),
    "twice": ([SOUND, SOUND], TWO, "expected one or more streams of different names: the data have sound, sound"),
    "none": ([], TWO, "expected one or more streams of different names: the data have "),
}


@pytest.mark.parametrize(("inputs", "changes", "text"), WRONG_CONFIGS.values(), ids=list(WRONG_CONFIGS))
def test_inputs_that_a_config_does_not_fit_are_refused(inputs, changes, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        build(inputs, **changes)


@pytest.mark.parametrize(("num_sharing", "name"), [(5, "image"), (3, "sound")])
def test_devices_that_share_inputs_divide_every_streams_first_axis(num_sharing, name):
    with pytest.raises(ValueError, match=f"mesh.inputs {num_sharing} does not divide the . of {name}'s first axis"):
        config(**TWO).check_inputs(BOTH, num_sharing)


# What it is asked to do beyond training


@pytest.mark.parametrize("batch", [1, 4])
def test_a_model_is_exported_with_an_open_batch(batch):
    graph, state = build(**TWO)
    exported = open_batch(graph, state)
    inputs = example(*BOTH, batch=batch)
    np.testing.assert_allclose(exported.call(inputs), run((graph, state), inputs).logits, rtol=1e-4, atol=1e-5)


def open_batch(graph: nnx.GraphDef, state: nnx.State) -> export.Exported:
    (batch,) = export.symbolic_shape("batch")
    shapes = {spec.name: jax.ShapeDtypeStruct((batch, *spec.grid, spec.num_features), jnp.float32) for spec in BOTH}
    return export.export(jax.jit(lambda inputs: nnx.merge(graph, state)(inputs).logits))(shapes)


def test_examples_of_one_shape_are_traced_once():
    graph, state = build(**TWO)
    forward = jax.jit(chex.assert_max_traces(lambda state, x, m: nnx.merge(graph, state)(x, m).logits, n=1))
    for batch in range(2):
        inputs = jax.tree.map(lambda x, batch=batch: x + batch, example(*BOTH))
        forward(state, inputs, full(inputs))
