"""The two modules: their formulas against plain numpy, masks, and the choice between the two forms of a read."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from perceiver_jax.model import forms
from perceiver_jax.model.attend import attend, attention_logits
from perceiver_jax.model.attention import CrossAttend, SelfAttend, merge_heads, split_heads
from perceiver_jax.model.layers import Mlp
from perceiver_jax.model.segment import Segment
from tests.model import reference

RNG = np.random.default_rng


def numbers(seed: int, *shape: int) -> np.ndarray:
    return RNG(seed).normal(size=shape)


def randomised(create: Callable[[], nnx.Module]) -> tuple[nnx.Module, dict]:
    """A module with every parameter random, and its parameters as the reference takes them."""
    graph, state = nnx.split(nnx.eval_shape(create))
    rng = RNG(1)
    state = jax.tree.map(lambda leaf: jnp.asarray(0.5 * rng.normal(size=leaf.shape)), state)
    return nnx.merge(graph, state), jax.tree.map(np.asarray, nnx.to_pure_dict(state))


def cross_attend(num_heads: int = 1, channels: int = 6) -> CrossAttend:
    return CrossAttend(8, channels, num_heads, 1, None, nnx.Rngs(0))


@pytest.mark.parametrize("num_heads", [1, 2, 3])
def test_attention_with_a_mask_is_the_formulas(num_heads):
    query, key, value = numbers(0, 2, 4, 6), numbers(1, 2, 5, 6), numbers(2, 2, 5, 6)
    mask = np.array([[True] * 5, [False, True, True, False, True]])
    with jax.enable_x64(True):
        parts = [split_heads(jnp.asarray(x), num_heads) for x in (query, key, value)]
        values, logits = attend(*parts, jnp.asarray(mask)), attention_logits(*parts[:2], jnp.asarray(mask))
    expected, expected_logits = reference.attention(query, key, value, num_heads, mask)
    np.testing.assert_allclose(merge_heads(values), expected, rtol=1e-12, atol=1e-12)
    there = np.broadcast_to(mask[:, None, None], logits.shape)
    np.testing.assert_allclose(np.asarray(logits)[there], expected_logits[there], rtol=1e-12, atol=1e-12)
    assert (np.asarray(logits)[~there] == np.finfo(np.float64).min).all()


def test_masked_keys_and_values_get_exactly_zero_gradient():
    query, key, value = (jnp.asarray(numbers(seed, 1, 2, 5, 3), jnp.float32) for seed in range(3))
    mask = np.array([[True, False, True, True, False]])
    gradients = jax.grad(lambda k, v: jnp.sin(attend(query, k, v, jnp.asarray(mask))).sum(), argnums=(0, 1))(key, value)
    for gradient in gradients:
        np.testing.assert_array_equal(np.any(gradient != 0, axis=(0, 1, 3)), mask[0])


def test_heads_are_neighbouring_channels_and_merge_as_they_split():
    x = jnp.arange(12.0).reshape(1, 2, 6)
    np.testing.assert_array_equal(split_heads(x, 2)[0, :, 1], [[6, 7, 8], [9, 10, 11]])
    np.testing.assert_array_equal(merge_heads(split_heads(x, 3)), x)


def test_logits_of_bfloat16_are_float32():
    x = jnp.ones((1, 1, 2, 4), jnp.bfloat16)
    values, logits = jax.eval_shape(attend, x, x, x), jax.eval_shape(attention_logits, x, x)
    assert (values.dtype, logits.dtype) == (jnp.bfloat16, jnp.float32)


def test_the_mlp_has_the_tanh_form_of_gelu():
    """With identities for weights: 0.841192 at 1, where the erf form gives 0.841345."""
    graph, state = nnx.split(nnx.eval_shape(lambda: Mlp(2, 1, None, nnx.Rngs(0))))
    mlp = nnx.merge(graph, jax.tree.map(lambda leaf: jnp.eye(2) if leaf.ndim == 2 else jnp.zeros(2), state))
    np.testing.assert_allclose(mlp(jnp.array([[[1.0, -1.0]]])), [[[0.841191991, -0.158808009]]], rtol=1e-6)


def test_a_self_attend_is_the_papers():
    latents = numbers(2, 2, 5, 8)
    with jax.enable_x64(True):
        module, params = randomised(lambda: SelfAttend(8, 2, 3, None, nnx.Rngs(0)))
        result = jax.jit(lambda x: module(x))(jnp.asarray(latents))
    np.testing.assert_allclose(result, reference.self_attend(latents, params, 2), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("num_heads", "num_inputs", "folds"), [(1, 40, True), (3, 40, False), (1, 2, False)])
def test_a_cross_attend_is_the_papers_in_the_form_it_chooses(num_heads, num_inputs, folds):
    latents, inputs = numbers(2, 2, 5, 8), numbers(3, 2, num_inputs, 6)
    mask = RNG(4).random((2, num_inputs)) < 0.7
    mask[:, 0] = True
    with jax.enable_x64(True):
        module, params = randomised(lambda: cross_attend(num_heads))
        segments = [Segment(jnp.asarray(inputs), mask=jnp.asarray(mask))]
        assert forms.chosen(5, num_heads, segments) == ["folded" if folds else "plain"]
        run = jax.jit(lambda x: module(x, segments, capture=True))
        result, (logits,) = run(jnp.asarray(latents))
    expected, expected_logits = reference.cross_attend(latents, inputs, params, num_heads, mask)
    np.testing.assert_allclose(result, expected, rtol=1e-11, atol=1e-11)
    there = np.broadcast_to(mask[:, None, None], logits.shape)
    np.testing.assert_allclose(np.asarray(logits)[there], expected_logits[there], rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(("num_heads", "form"), [(1, "read_folded"), (3, "read_plain")])
def test_a_call_uses_the_form_that_was_chosen(num_heads, form, monkeypatch):
    used = []
    for name in ("read_folded", "read_plain"):
        whole = getattr(CrossAttend, name)

        def noted(self, *arguments, whole=whole, name=name):
            used.append(name)
            return whole(self, *arguments)

        monkeypatch.setattr(CrossAttend, name, noted)
    call = lambda x, f: cross_attend(num_heads)(x, [Segment(f)])  # noqa: E731
    _, logits = jax.eval_shape(call, jnp.zeros((1, 5, 8)), jnp.zeros((1, 40, 6)))
    assert (used, logits) == ([form], None)


IMAGENET = ((224, 224), 3, (129, 129))
LEARNED = ((50_176,), 3, (128,))
MODELNET = ((2048,), 387, ())
LATENTS = ((512,), 1024, ())


VIDEO = ((16, 28, 28), 384, (33, 33, 33), 4)  # with the vector that makes sound and film equally wide
MEL = ((60, 80), 1, (129, 129), 228)
RAW = ((480,), 128, (129,), 230)
RAW_ALONE = ((480,), 128, (129,))


def asked_of_shapes(question, *inputs):
    """What a question of segments is answered, nothing allocated."""
    answers = []

    def ask():
        segments = []
        for grid, num_features, tables, *constants in inputs:
            features = jnp.zeros((1, *grid, num_features))
            tables = tuple(jnp.zeros((n, width)) for n, width in zip(grid, tables, strict=False))
            segments.append(Segment(features, tables, jnp.zeros(*constants) if constants else None))
        answers.append(question(segments))

    jax.eval_shape(ask)
    return answers[0]


@pytest.mark.parametrize(
    ("num_queries", "num_heads", "inputs", "expected"),
    [
        (512, 1, [IMAGENET], ["separated"]),  # 0.9 against 40.5 GFLOPs
        (512, 8, [IMAGENET], ["separated"]),  # 5.6: the grid form is this cheap
        (512, 1, [LEARNED], ["folded"]),  # 13.5 against 16.9
        (512, 8, [LEARNED], ["plain"]),  # 107.7
        (512, 1, [MODELNET], ["folded"]),  # 1.9 against 2.9
        (512, 3, [MODELNET], ["plain"]),  # 5.2
        (512, 8, [MODELNET], ["plain"]),  # 13.3
        (1, 1, [LATENTS], ["folded"]),  # the query head: 0.006 against 2.1
        (512, 1, [RAW_ALONE], ["plain"]),  # 480 inputs: fewer than queries
        (480, 1, [RAW_ALONE], ["folded"]),
        (512, 1, [MEL, VIDEO], ["separated", "separated"]),
        (512, 1, [RAW, VIDEO], ["folded", "separated"]),  # what folds the film's projections serves the sound too
        (512, 2, [RAW, VIDEO], ["plain", "separated"]),
        (512, 2, [MEL, LEARNED], ["separated", "plain"]),
        (512, 8, [((2, 2), 3, (64, 64))], ["plain"]),
        (1, 1, [((1, 3), 3, (64, 64))], ["folded"]),  # tables larger than the inputs that they save
    ],
)
def test_counted_operations_choose_the_form_of_each_segment(num_queries, num_heads, inputs, expected):
    assert asked_of_shapes(lambda segments: forms.chosen(num_queries, num_heads, segments), *inputs) == expected


def test_the_operations_of_each_form():
    raw, video = asked_of_shapes(lambda both: [forms.counts(512, 1, one) for one in both], RAW_ALONE, VIDEO)
    assert raw == (4 * 480 * 257 * (257 + 512), 4 * 512 * 480 * 257, None)
    separated = 4 * 512 * (12_544 * (384 + 2 + 3) + 72 * 99)
    assert video == (4 * 12_544 * 487 * (487 + 512), 4 * 512 * 12_544 * 487, separated)
    assert forms.folding(512, 487) == 4 * 512 * 487**2
