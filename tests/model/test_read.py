"""The folded, separated, chunked core equals the plain form: values, every gradient, any mix of segments; and its costs."""

import dataclasses
import itertools
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import example, given, settings
from hypothesis import strategies as st

from perceiver_jax.model import forms, read
from perceiver_jax.model.attention import CrossAttend
from perceiver_jax.model.config import FourierPositions, InputSpec
from perceiver_jax.model.inputs import InputArray
from perceiver_jax.model.segment import Segment

CHANNELS, QUERIES = 12, 4  # heads 1 to 4 divide 12


@dataclasses.dataclass(frozen=True)
class Kind:
    """What one segment is made of; what is neither position nor constant is feature."""

    grid: tuple[int, ...]
    tables: tuple[int, ...] = ()  # columns of each axis' table
    constants: int = 0
    mask: str = "none"  # or: some inputs, whole rows of the first axis, the first example's every one

    def arrays(self, batch: int, rng: np.random.Generator, mean: float = 0.0) -> dict:
        features = rng.normal(mean, size=(batch, *self.grid, CHANNELS - sum(self.tables) - self.constants))
        tables = tuple(rng.normal(size=(n, width)) for n, width in zip(self.grid, self.tables, strict=False))
        return {"features": features, "tables": tables} | (
            {"constants": rng.normal(size=self.constants)} if self.constants else {}
        )

    def seen(self, batch: int, rng: np.random.Generator) -> jax.Array | None:
        if self.mask == "none":
            return None
        mask = np.ones((batch, *self.grid), bool)
        if self.mask == "rows":
            mask[:, : self.grid[0] // 2] = False
        elif self.mask == "some":
            mask &= rng.random(mask.shape) < 0.5
        mask = mask.reshape(batch, -1)
        mask[:, -1] = True
        if self.mask == "all":
            mask[0] = False
        return jnp.asarray(mask)

    def segment(self, arrays: dict, mask: jax.Array | None) -> Segment:
        """Position channels are in any order, as those of several axes do."""
        order = np.random.default_rng(7).permutation(sum(self.tables)).tolist()
        ends = np.cumsum((0, *self.tables)).tolist()
        columns = tuple(tuple(order[a:b]) for a, b in itertools.pairwise(ends))
        return Segment(**arrays, mask=mask, columns=columns)


PICTURE = Kind((7, 5), (5, 4), mask="rows")
LEARNED = Kind((11,), (8,), 2, "some")
POINTS = Kind((13,), mask="all")


class Case:
    """One cross-attend over segments, in both forms, as functions of one dictionary of arrays."""

    def __init__(self, *kinds: Kind, heads: int = 1, batch: int = 2, seed: int = 0, mean: float = 0.0):
        rng = np.random.default_rng(seed)
        self.kinds, self.heads = kinds, heads
        self.masks = [kind.seen(batch, rng) for kind in kinds]
        self.cotangent = rng.normal(size=(batch, QUERIES, CHANNELS))
        params = nnx.state(nnx.eval_shape(self.module))
        self.point = {
            "query": 2 * rng.normal(size=(batch, QUERIES, CHANNELS)),
            "params": jax.tree.map(lambda leaf: 0.5 * rng.normal(size=leaf.shape), params),
            "segments": [kind.arrays(batch, rng, mean) for kind in kinds],
        }

    def module(self, dtype: str | None = None) -> CrossAttend:
        return CrossAttend(6, CHANNELS, self.heads, 1, dtype and jnp.dtype(dtype), nnx.Rngs(0))

    def at(self, dtype: str) -> dict:
        return jax.tree.map(lambda x: jnp.asarray(x, dtype), self.point)

    def segments(self, point: dict) -> list[Segment]:
        return [k.segment(a, m) for k, a, m in zip(self.kinds, point["segments"], self.masks, strict=True)]

    def results(self, form: str, point: dict, dtype: str | None = None) -> dict:
        """What one form reads, the logits it captures, and the gradient of a random combination of what is read."""
        graph = nnx.graphdef(nnx.eval_shape(lambda: self.module(dtype)))

        def loss(point):
            read_form = getattr(nnx.merge(graph, point["params"]), form)
            values, logits = read_form(point["query"], self.segments(point), capture=True)
            return jnp.vdot(self.cotangent, values), (values, logits)

        def all_of_it(point):
            gradients, (values, logits) = jax.grad(loss, has_aux=True)(point)
            masks = [segment.mask for segment in self.segments(point)]
            seen = [x if m is None else jnp.where(m[:, None, None], x, 0) for x, m in zip(logits, masks, strict=True)]
            return {"values": values, "logits": seen, "gradients": gradients}

        results = jax.jit(all_of_it)(point)
        return jax.tree.map(lambda x: np.asarray(x, np.float64), results)


def assert_equal(ours: dict, theirs: dict, tolerance: float) -> None:
    """Each array to within a share of its largest number; a gradient that is all but zero, of the largest gradient."""
    largest = max(np.abs(leaf).max() for leaf in jax.tree.leaves(theirs["gradients"]))
    for (path, a), b in zip(jax.tree.leaves_with_path(ours), jax.tree.leaves(theirs), strict=True):
        size = max(np.abs(b).max(initial=0), 1e-2 * largest)
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * size, err_msg=jax.tree_util.keystr(path))


@st.composite
def kinds(draw) -> Kind:
    """A segment of 1 to 3 axes, odd and prime, one of each form: separable, a single table, no table."""
    grid = tuple(draw(st.lists(st.sampled_from([3, 1, 2, 5, 7]), min_size=1, max_size=3)))
    tables = tuple(draw(st.integers(1, 3)) for _ in grid) if draw(st.booleans()) else ()
    return Kind(grid, tables, draw(st.integers(0, 2)), draw(st.sampled_from(["none", "some", "rows"])))


def chunked(case: Case, chunk_bytes: int, dtype: str = "float64") -> dict:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(read, "CHUNK_BYTES", read.ChunkBytes(chunk_bytes, chunk_bytes))
        return case.results("read_folded", case.at(dtype))


@settings(max_examples=3, derandomize=True, deadline=None, database=None)
@given(st.lists(kinds(), min_size=1, max_size=2), st.integers(1, 4), st.integers(1, 3), st.sampled_from([1, 500, 3000]))
@example([PICTURE], 1, 2, 2 * 5 * 2 * QUERIES * 4)  # 7 rows in chunks of 2, the first of them masked whole
@example([PICTURE, POINTS, LEARNED], 3, 2, 1000)
@example([Kind((3, 5, 7), (3, 3, 2), 1, "some")], 4, 3, 2**21)
@example([Kind((17,), (9,)), Kind((2, 7), mask="all")], 2, 1, 3000)
@example([Kind((5, 1), (1, 2), mask="rows")], 1, 1, 1)
def test_folded_equals_plain_in_values_logits_and_every_gradient(kinds, heads, batch, chunk_bytes):
    with jax.enable_x64(True):
        case = Case(*kinds, heads=heads, batch=batch)
        ours, theirs = chunked(case, chunk_bytes), case.results("read_plain", case.at("float64"))
    assert_equal(ours, theirs, 1e-11)
    for mask, gradients in zip(case.masks, ours["gradients"]["segments"], strict=True):
        if mask is not None:
            features = gradients["features"]
            assert not features.reshape(*mask.shape, features.shape[-1])[~np.asarray(mask)].any()


@pytest.mark.parametrize(
    ("kinds", "chosen"),
    [
        ((PICTURE, POINTS, LEARNED), ("separated", "plain", "folded")),
        ((LEARNED, POINTS, PICTURE), ("plain", "plain", "folded")),
        ((LEARNED, Kind((5, 3), (4, 4), 2, "all"), Kind((3, 2, 2), (3, 3, 3))), ("plain", "folded", "separated")),
    ],
)
def test_segments_each_in_a_form_of_its_own_equal_plain_in_values_logits_and_every_gradient(kinds, chosen, monkeypatch):
    monkeypatch.setattr(forms, "chosen", lambda *_: list(chosen))
    with jax.enable_x64(True):
        case = Case(*kinds, heads=3)
        ours, theirs = (case.results(form, case.at("float64")) for form in ("read", "read_plain"))
        query, segments = jnp.asarray(case.point["query"]), case.segments(case.at("float64"))
        shape, logits = jax.eval_shape(lambda query: case.module().read(query, segments, capture=False), query)
    assert_equal(ours, theirs, 1e-11)
    assert (shape.shape, logits) == (query.shape, None)
    for kind, gradients in zip(kinds, ours["gradients"]["segments"], strict=True):
        assert kind.mask != "all" or not gradients["features"][0].any()


@pytest.mark.parametrize("chosen", [("plain", "folded"), ("separated", "plain"), ("folded", "folded")])
def test_an_example_that_sees_nothing_reads_zeros_in_every_form(chosen, monkeypatch):
    monkeypatch.setattr(forms, "chosen", lambda *_: list(chosen))
    case = Case(Kind((5, 3), (4, 4), 2, "all"), POINTS)
    found = case.results("read", case.at("float32"))
    assert not found["values"][0].any()
    assert found["values"][1].any()
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))
    for gradients in found["gradients"]["segments"]:
        assert not gradients["features"][0].any()


def test_float32_loses_no_more_than_its_rounding():
    with jax.enable_x64(True):
        case = Case(PICTURE, POINTS, LEARNED, heads=3)
        theirs = case.results("read_plain", case.at("float64"))
        assert_equal(chunked(case, 1000, "float32"), theirs, 1e-5)


def test_bfloat16_loses_no_more_than_in_the_plain_form():
    """Parameters in float32, as in training. Errors of each array as a root mean square, for single ones are luck."""
    with jax.enable_x64(True):
        case = Case(PICTURE, LEARNED, heads=2)
        point = case.at("bfloat16") | {"params": case.at("float32")["params"]}
        case.point = jax.tree.map(lambda x: np.asarray(x, np.float64), point)
        truth = case.results("read_plain", case.at("float64"))
        folded, plain = (case.results(form, point, "bfloat16") for form in ("read_folded", "read_plain"))

    def errors(results: dict) -> np.ndarray:
        pairs = zip(jax.tree.leaves(results), jax.tree.leaves(truth), strict=True)
        return np.array([np.linalg.norm(a - b) / np.linalg.norm(b) for a, b in pairs if np.abs(b).max(initial=0) > 1e-6])

    assert 1e-3 < np.median(errors(folded)) <= np.median(errors(plain))  # below: it was not bfloat16
    assert errors(folded).max() <= errors(plain).max()


def from_all_logits(u: jax.Array, segment: Segment) -> tuple[jax.Array, jax.Array]:
    """What `read` computes, from all the logits and all the normalised inputs at once."""
    logits = read.logits(u, segment)
    mean, scale = (x.reshape(len(u), -1, 1) for x in segment.statistics())
    return jax.nn.softmax(logits) @ ((segment.array() - mean) * scale), jax.nn.logsumexp(logits, axis=-1)


def run(function, *arrays):
    return jax.jit(function)(*arrays)


def denominators(reading, u: jax.Array, segment: Segment) -> tuple:
    """The logarithms of the softmax's denominators, and the gradients of a combination of them."""

    def loss(u, features):
        denominator = reading(u, dataclasses.replace(segment, features=features))[1]
        return jnp.vdot(denominator, jnp.arange(1.0, denominator.size + 1)), denominator

    return jax.grad(loss, argnums=(0, 1), has_aux=True)(u, segment.features)


def one_read(kind: Kind, dtype: str = "float64", mean: float = 0.0) -> tuple[jax.Array, Segment]:
    case = Case(kind, mean=mean)
    point = case.at(dtype)
    return point["query"], case.segments(point)[0]


@pytest.mark.parametrize("kind", [PICTURE, LEARNED], ids=["two_tables", "one_table"])
def test_the_denominator_and_its_gradients_are_the_logits_log_sum(kind):
    with jax.enable_x64(True):
        u, segment = one_read(kind)
        ours, theirs = run(lambda u, s: [denominators(f, u, s) for f in (read.read, from_all_logits)], u, segment)
        for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11)


def test_inputs_in_any_order_with_their_positions_are_read_alike():
    with jax.enable_x64(True):
        u, segment = one_read(PICTURE)
        order = np.random.default_rng(0).permutation(segment.num_inputs)
        shuffled = Segment(segment.array()[:, order], mask=segment.mask[:, order])
        ours, theirs = run(lambda u, *s: [read.read(u, x) for x in s], u, segment, shuffled)
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", [PICTURE, Kind((7, 5), (5, 4))], ids=["masked", "whole"])
def test_logits_of_ten_thousand_overflow_neither_values_nor_gradients(kind):
    u, segment = one_read(kind, "float32")

    def everything(u):
        t, pull = jax.vjp(lambda u, f: read.read(u, dataclasses.replace(segment, features=f)), u, segment.features)
        return t, pull(jax.tree.map(jnp.ones_like, t)), read.logits(u, segment)

    (t, denominator), gradients, logits = run(everything, 1000 * u)
    seen = logits[..., -5:]
    assert np.abs(seen).max() > 1e4
    assert all(np.isfinite(x).all() for x in jax.tree.leaves((t, gradients)))
    assert np.all(denominator >= seen.max(-1))
    np.testing.assert_allclose(denominator, logits.max(-1), rtol=0.05)  # nearly all weight on one input


@pytest.mark.parametrize("logit", [0.99 * read.SAFE_LOGIT, 1.01 * read.SAFE_LOGIT, -0.99 * read.SAFE_LOGIT])
def test_float32_keeps_its_digits_where_all_logits_are_as_large_as_they_are_safe(logit):
    """Inputs all nearly one, and a query along or against it."""
    rng = np.random.default_rng(0)
    one, others = rng.normal(size=CHANNELS), rng.normal(size=(1, 35, CHANNELS))
    u = logit / CHANNELS * (one - one.mean()) / one.std()
    arrays = np.asarray(u[None, None], np.float32), np.asarray(one + 0.1 * others, np.float32)
    t, denominator = run(lambda u, f: read.read(u, Segment(f)), *map(jnp.asarray, arrays))
    with jax.enable_x64(True):
        u, features = (jnp.asarray(x, jnp.float64) for x in arrays)
        true_t, true_denominator = run(lambda u, f: from_all_logits(u, Segment(f)), u, features)
    np.testing.assert_allclose(denominator, true_denominator, rtol=1e-6)
    np.testing.assert_allclose(t, true_t, atol=2e-5)  # a logit of 64 is rounded by 4e-6


@pytest.mark.parametrize("kind", [Kind((41,)), Kind((7, 5), (5, 4))], ids=["no_table", "two_tables"])
def test_features_far_from_zero_are_read_as_well_as_by_the_plain_form(kind):
    """Mean 1,000, spread 1, in float32: the rounding of the inputs' mean alone is 6e-5."""
    case = Case(kind, mean=1000.0)
    with jax.enable_x64(True):
        case.point = jax.tree.map(lambda x: np.asarray(x, np.float32).astype(np.float64), case.point)
        truth = case.results("read_plain", case.at("float64"))["values"]
        forms = ("read_folded", "read_plain")
        folded, plain = (np.abs(case.results(f, case.at("float32"))["values"] - truth).max() for f in forms)
    assert folded <= 2 * plain + 1e-6


def test_a_read_passes_vmap_over_models_checkpoint_and_scan():
    with jax.enable_x64(True):
        u, segment = one_read(LEARNED)
        models = jnp.stack([u, 2 * u, -u])

        def gradient(u):
            return jax.grad(lambda u: jnp.sin(read.read(u, segment)[0]).sum())(u)

        def scanned(models):
            step = jax.checkpoint(lambda total, u: (total + jnp.sin(read.read(u, segment)[0]).sum(), None))
            return jax.lax.scan(step, 0.0, models)[0]

        each, *others = run(lambda m: (jnp.stack([*map(gradient, m)]), jax.vmap(gradient)(m), jax.grad(scanned)(m)), models)
        for other in others:
            np.testing.assert_allclose(other, each, rtol=1e-11, atol=1e-11)


def test_second_derivatives_are_right_too():
    with jax.enable_x64(True):
        u, segment = one_read(PICTURE)
        direction = jnp.asarray(np.random.default_rng(0).normal(size=u.shape))

        def curvature(reading):
            def slope(u):
                gradient = jax.grad(lambda u: sum(jnp.sin(x).sum() for x in reading(u, segment)))(u)
                return jnp.vdot(gradient, direction)

            return jax.grad(slope)(u)

        ours, theirs = run(lambda: (curvature(read.read), curvature(from_all_logits)))
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-10)


def compiled_gradient(form: str, argnums: int | tuple[int, ...]) -> jax.stages.Compiled:
    """The gradient of what 512 queries read from an ImageNet picture, by the queries (0), the picture (1); not run."""
    positions = FourierPositions(kind="fourier", num_bands=64, max_resolution=(224.0, 224.0))
    inputs = InputArray(InputSpec("image", (224, 224), 3), positions, nnx.Rngs(0))
    graph, params = nnx.split(nnx.eval_shape(lambda: CrossAttend(1024, 261, 1, 1, None, nnx.Rngs(0))))

    def loss(query, picture, params):
        values, _ = getattr(nnx.merge(graph, params), form)(query, [inputs(picture)], capture=False)
        return jnp.square(values).sum()

    shapes = (jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((1, 512, 261), (1, 224, 224, 3)))
    return jax.jit(jax.grad(loss, argnums)).lower(*shapes, params).compile()


def megabytes(compiled: jax.stages.Compiled) -> float:
    return compiled.memory_analysis().temp_size_in_bytes / 1e6


def pictures_in_loops(compiled: jax.stages.Compiled) -> int:
    """How many arrays of the picture's size, with its mean as a fourth colour, the last loop reads and makes."""
    loops = [line.split(" while(")[0] for line in compiled.as_text().splitlines() if " while(" in line]
    shapes = (map(int, shape.split(",")) for shape in re.findall(r"f32\[([\d,]+)\]", loops[-1]))
    return sum(1 <= math.prod(shape) / (224 * 224 * 4) < 1.1 for shape in shapes)  # the last chunk may be padded


@pytest.mark.usefixtures("optimised")
def test_an_imagenet_read_and_its_gradient_take_megabytes_and_none_for_a_picture_that_asks_no_gradient():
    """Plain, they would take 361 MB."""
    by_query, by_both = compiled_gradient("read_folded", 0), compiled_gradient("read_folded", (0, 1))
    assert megabytes(by_query) < 16
    assert (pictures_in_loops(by_query), pictures_in_loops(by_both)) == (1, 2)


@pytest.mark.usefixtures("optimised")
def test_the_plain_form_takes_hundreds_of_megabytes():
    """What the folded form is for: were this to fail, it would have lost its point."""
    assert megabytes(compiled_gradient("read_plain", 0)) > 200
