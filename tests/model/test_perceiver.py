"""The whole model: what its order of inputs may change, which weights are one, where training starts from."""

import re
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec

from perceiver_jax.model import repeat
from perceiver_jax.model.config import FourierPositions, InputSpec, LearnedPositions, NoPositions, PerceiverConfig
from perceiver_jax.model.inputs import InputArray
from perceiver_jax.model.perceiver import Perceiver
from perceiver_jax.model.schedule import Use, runs
from perceiver_jax.system import devices
from tests.launch import on_devices

GRID, FEATURES, CLASSES = (3, 5), 2, 4
FOURIER = FourierPositions(kind="fourier", num_bands=2, max_resolution=(3.0, 5.0))
LEARNED = LearnedPositions(kind="learned", channels=10, init_scale=1.0)
NONE = NoPositions(kind="none")
BASE = PerceiverConfig(
    kind="perceiver",
    num_latents=5,
    latent_channels=8,
    latent_init_scale=0.02,
    num_blocks=2,
    num_cross_attends=2,
    num_self_attends_per_block=2,
    arrangement="interleaved",
    sharing="paper",
    num_cross_attend_heads=1,
    num_self_attend_heads=2,
    widening_factor=1,
    positions=FOURIER,
    modality_vectors=None,
    head="mean_linear",
    compute_dtype="float32",
    matmul_precision="float32",
    remat="none",
)
SHALLOW = {"num_blocks": 1, "num_cross_attends": 1, "num_self_attends_per_block": 1}


def config(**changes: Any) -> PerceiverConfig:
    fields = {name: getattr(BASE, name) for name in PerceiverConfig.model_fields}
    return PerceiverConfig(**fields | changes)


def picture(*grid: int, num_features: int = FEATURES, num_coordinates: int = 0) -> InputSpec:
    return InputSpec("image", grid or GRID, num_features, num_coordinates)


def build(grid: tuple[int, ...] = GRID, num_features: int = FEATURES, **changes: Any) -> tuple[nnx.GraphDef, nnx.State]:
    """A model's graph, and random float64 parameters that move every output."""
    model = nnx.eval_shape(
        lambda: Perceiver(config(**changes), [picture(*grid, num_features=num_features)], CLASSES, nnx.Rngs(0))
    )
    graph, state = nnx.split(model)
    rng = np.random.default_rng(1)
    return graph, jax.tree.map(lambda leaf: jnp.asarray(0.5 * rng.normal(size=leaf.shape)), state)


def forward(model: tuple[nnx.GraphDef, nnx.State], *arguments: jax.Array) -> jax.Array:
    graph, state = model
    run = jax.jit(lambda state, *a: nnx.merge(graph, state)(*a).logits)
    return run(state, *arguments)


def example(*grid: int, num_features: int = FEATURES) -> jax.Array:
    return jnp.asarray(np.random.default_rng(2).normal(size=(2, *(grid or GRID), num_features)))


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


@pytest.mark.usefixtures("float64")
def test_pixels_in_another_order_with_their_fourier_positions_change_nothing():
    """The same parameters read the shuffled input array itself, its positions now features of a set."""
    graph, state = build()
    features, order = example(), np.random.default_rng(3).permutation(15)
    array = InputArray(picture(), FOURIER, nnx.Rngs(0))(features).array()
    as_set = build((15,), array.shape[-1], positions=NONE)[0]
    np.testing.assert_allclose(forward((as_set, state), array[:, order]), forward((graph, state), features), rtol=1e-10)


@pytest.mark.usefixtures("float64")
def test_pixels_in_another_order_with_their_learned_positions_change_nothing_and_without_them_do():
    graph, state = build(positions=LEARNED)
    features, order = example(), np.random.default_rng(3).permutation(15)
    shuffled = features.reshape(2, 15, FEATURES)[:, order].reshape(features.shape)
    moved = jax.tree.map(lambda x: x, state)
    positions = lambda state: state["inputs"]["streams"]["image"]["positions"]  # noqa: E731
    positions(moved)[...] = positions(state)[...][order]
    before = forward((graph, state), features)
    np.testing.assert_allclose(forward((graph, moved), shuffled), before, rtol=1e-10)
    assert np.abs(forward((graph, state), shuffled) - before).max() > 1e-3


@pytest.mark.usefixtures("float64")
def test_without_positions_the_order_of_inputs_cannot_matter():
    model = build((15,), positions=NONE)
    features, order = example(15), np.random.default_rng(3).permutation(15)
    np.testing.assert_allclose(forward(model, features[:, order]), forward(model, features), rtol=1e-10)


@pytest.mark.usefixtures("float64")
def test_inputs_not_seen_are_as_good_as_absent_and_get_exactly_zero_gradient():
    seen = np.random.default_rng(4).random((2, 15)) < 0.6
    seen[0], seen[1, 0] = True, True
    mask, features = jnp.asarray(seen), example()
    graph, state = build()
    others = jnp.where(mask.reshape(2, *GRID, 1), features, 100.0)
    np.testing.assert_array_equal(forward((graph, state), others, mask), forward((graph, state), features, mask))
    slope = jax.jit(jax.grad(lambda f: nnx.merge(graph, state)(f, mask).logits.sum()))
    gradient = slope(features).reshape(2, 15, FEATURES)
    np.testing.assert_array_equal(np.any(gradient != 0, axis=-1), seen)


INTERLEAVED, AT_START = "interleaved", "at_start"


@pytest.mark.parametrize(
    ("arrangement", "sharing", "blocks", "cross_attends", "expected"),
    [
        (INTERLEAVED, "paper", 4, 3, "c0 s0 c1 s0 c1 s0 s0"),
        (INTERLEAVED, "none", 3, 2, "c0 s0 c1 s1 s2"),
        (INTERLEAVED, "all", 2, 2, "c0 s0 c0 s0"),
        (AT_START, "paper", 2, 3, "c0 c1 c1 s0 s0"),
        (AT_START, "none", 2, 3, "c0 c1 c2 s0 s1"),
        (INTERLEAVED, "none", 0, 3, "c0 c1 c2"),
        (INTERLEAVED, "paper", 8, 8, "c0 s0" + 7 * " c1 s0"),
    ],
)
def test_the_schedule_is_the_one_written_here(arrangement, sharing, blocks, cross_attends, expected):
    ours = config(arrangement=arrangement, sharing=sharing, num_blocks=blocks, num_cross_attends=cross_attends)
    kinds = {"c": "cross_attend", "s": "self_attends"}
    assert ours.schedule == tuple(Use(kinds[use[0]], int(use[1])) for use in expected.split())


def test_a_shared_module_is_one_set_of_arrays():
    _, state = build(num_blocks=8, num_cross_attends=8)
    assert (list(state["cross_attends"]), list(state["self_attends"])) == ([0, 1], [0])


@pytest.mark.usefixtures("float64")
def test_gradients_of_shared_weights_add_up_over_the_places_that_use_them():
    """The same network with its own copy of the weights at every place has the summands."""
    places = {"num_cross_attends": 3, "arrangement": "at_start", "num_self_attends_per_block": 1}
    shared_graph, shared = build(**places)
    apart_graph, apart = build(**places, sharing="none")
    uses = {"cross_attends": [0, 1, 1], "self_attends": [0, 0]}
    for kind, weights in uses.items():
        for place, weight in enumerate(weights):
            apart[kind][place] = shared[kind][weight]
    for rest in ("latents", "head"):
        apart[rest] = shared[rest]

    def gradient(graph, state):
        slope = jax.grad(lambda state: jnp.sin(nnx.merge(graph, state)(example()).logits).sum())
        return nnx.to_pure_dict(jax.jit(slope)(state))

    ours, each = gradient(shared_graph, shared), gradient(apart_graph, apart)
    for kind, weights in uses.items():
        for weight in set(weights):
            summands = [each[kind][place] for place, used in enumerate(weights) if used == weight]
            total = jax.tree.map(lambda *parts: sum(parts), *summands)
            for a, b in zip(jax.tree.leaves(ours[kind][weight]), jax.tree.leaves(total), strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.usefixtures("float64")
def test_remat_changes_neither_values_nor_gradients():
    def results(remat):
        graph, state = build(remat=remat, **SHALLOW | {"num_self_attends_per_block": 2})
        slope = jax.value_and_grad(lambda state: jnp.sin(nnx.merge(graph, state)(example()).logits).sum())
        return jax.tree.leaves(jax.jit(slope)(state))

    plain = results("none")
    for remat in ("block", "layer"):
        for a, b in zip(results(remat), plain, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("sharing", ["paper", "none", "all"])
def test_blocks_in_a_loop_give_what_blocks_written_out_give(sharing, monkeypatch):
    def results(written_out):
        monkeypatch.setattr(repeat, "WRITTEN_OUT", written_out)
        count = 4 if sharing == "paper" else 3  # the first cross-attend of the paper's is apart
        graph, state = build(sharing=sharing, num_blocks=count, num_cross_attends=count, num_self_attends_per_block=1)
        slope = jax.value_and_grad(lambda state: jnp.sin(nnx.merge(graph, state)(example()).logits).sum())
        traced = jax.jit(slope).trace(state)
        return jax.tree.leaves(traced.lower().compile()(state)), looping(traced.jaxpr)

    (loop, looped), (written_out, unlooped) = results(2), results(8)
    assert looped
    assert not unlooped
    for a, b in zip(loop, written_out, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13)


def test_blocks_are_in_a_loop_where_no_gradient_is_asked_for():
    graph, state = build(num_blocks=4, num_cross_attends=4)
    logits = lambda state: nnx.merge(graph, state)(example()).logits  # noqa: E731
    assert looping(jax.make_jaxpr(logits)(state))


def looping(program):
    """Whether three or four blocks are in a loop; of layers there are fewer."""
    return re.search(r"length=[34]\b", str(program)) is not None


def test_blocks_that_share_weights_are_one_run_and_others_of_a_kind_another():
    def sizes(**changes):
        return [len(run) for run in runs(config(**changes).schedule)]

    assert sizes(num_blocks=8, num_cross_attends=8, sharing="paper") == [1, 7]  # the first cross-attend is apart
    assert sizes(num_blocks=8, num_cross_attends=8, sharing="none") == [8]
    assert sizes(num_blocks=8, num_cross_attends=8, sharing="all") == [8]
    assert sizes(num_blocks=8, num_cross_attends=4, sharing="paper") == [1, 3, 4]
    assert sizes(num_blocks=0, num_cross_attends=4, sharing="none") == [4]


def test_remat_keeps_less_for_the_backward_pass():
    """Of 2 blocks of 6 layers: by layer, the latents before each; by block, the latents before each block."""

    def kept(remat):
        graph, state = build(remat=remat, num_self_attends_per_block=6)
        run = lambda state: nnx.merge(graph, state)(jnp.zeros((2, *GRID, FEATURES))).logits  # noqa: E731
        return sum(x.size for x in jax.tree.leaves(jax.eval_shape(lambda state: jax.vjp(run, state)[1], state)))

    parameters = sum(x.size for x in jax.tree.leaves(build(num_self_attends_per_block=6)[1]))
    none, layer, block = (kept(remat) - parameters for remat in ("none", "layer", "block"))
    assert none > 2 * layer > 2 * block


def test_remat_saves_memory_once_compiled():
    """XLA may compute a thing once where it was asked for twice: 12 blocks of 3 layers need less than a quarter."""

    def temporary_bytes(remat):
        blocks = {"num_blocks": 12, "num_cross_attends": 12, "num_self_attends_per_block": 3, "sharing": "all"}  # in a loop
        graph, state = build(remat=remat, **blocks, num_latents=64, latent_channels=32)
        slope = jax.grad(lambda state, x: jnp.sin(nnx.merge(graph, state)(x).logits).sum())
        lowered = jax.jit(slope).lower(state, jnp.zeros((4, *GRID, FEATURES)))
        return lowered.compile().memory_analysis().temp_size_in_bytes

    none, layer, block = (temporary_bytes(remat) for remat in ("none", "layer", "block"))
    assert max(layer, block) < none / 4


def test_every_platform_gets_the_same_program():
    graph, state = build()
    slope = jax.jit(jax.grad(lambda state, x: jnp.sin(nnx.merge(graph, state)(x).logits).sum()))
    traced = slope.trace(state, jnp.zeros((4, *GRID, FEATURES)))
    cpu, gpu, tpu = (traced.lower(lowering_platforms=(name,)).as_text() for name in ("cpu", "cuda", "tpu"))
    assert "custom_call" not in cpu
    assert cpu == gpu == tpu


@pytest.fixture(scope="module")
def fresh() -> dict[str, np.ndarray]:
    """The parameters of a new model by path."""
    large = config(num_latents=200, latent_channels=64, positions=LEARNED, head="query")
    create = lambda: nnx.state(Perceiver(large, [picture(40, 50)], CLASSES, nnx.Rngs(0)))  # noqa: E731
    state = jax.jit(create)()
    return {"/".join(map(str, path)): np.asarray(leaf[...]) for path, leaf in nnx.to_flat_state(state)}


@pytest.mark.parametrize(("name", "scale"), [("latents", 0.02), ("inputs/streams/image/positions", 1.0)])
def test_latents_and_learned_positions_start_normal_cut_at_two_scales(fresh, name, scale):
    x = fresh[name] / scale
    assert 1.99 < np.abs(x).max() <= 2
    assert abs(x.std() - 0.87962566) < 0.02  # of a standard normal cut at 2; 12,800 and 20,000 draws
    assert abs(x.mean()) < 0.03


def test_the_heads_query_starts_as_the_latents_do(fresh):
    assert fresh["head/query"].shape == (1, 64)
    assert 0.02 < np.abs(fresh["head/query"]).max() <= 0.04


def test_norms_start_at_one_biases_and_the_classifier_at_zero_and_kernels_not(fresh):
    for path, array in fresh.items():
        if path.endswith("scale"):
            assert np.all(array == 1), path
        elif path.endswith("bias") or path == "head/logits/kernel":
            assert not array.any(), path
        else:
            assert array.std() > 0, path


def test_no_two_kernels_start_alike_not_even_two_layers_of_one_stack(fresh):
    kernels = [fresh[path] for path in fresh if path.endswith("kernel") and path != "head/logits/kernel"]
    matrices = [matrix for kernel in kernels for matrix in kernel.reshape(-1, *kernel.shape[-2:])]
    assert len({matrix.tobytes() for matrix in matrices}) == len(matrices) == 3 * 6 + 2 * 6


def test_a_stack_starts_lecun_normal_in_the_width_of_one_layer(fresh):
    query = fresh["self_attends/0/query/kernel"]
    assert query.shape == (2, 64, 64)
    assert abs(query.std() * 8 - 1) < 0.03  # 8,192 draws


def test_features_on_another_grid_are_refused():
    model = nnx.eval_shape(lambda: Perceiver(config(), [picture()], CLASSES, nnx.Rngs(0)))
    with pytest.raises(ValueError, match=r"\(5, 3\): expected \(3, 5\)"):
        jax.eval_shape(lambda features: model(features).logits, jax.ShapeDtypeStruct((1, 5, 3, FEATURES), jnp.float32))


def batch_over_devices() -> None:
    """A batch over eight devices: only gradients are summed over them."""
    mesh = devices.make_mesh(1, 1, {})
    whole, split = NamedSharding(mesh, PartitionSpec()), devices.batch_sharding(mesh, 1)
    for positions in (FOURIER, LEARNED):
        graph, state = build(positions=positions, **SHALLOW)
        gradient = jax.grad(lambda state, x, mask, graph=graph: jnp.sin(nnx.merge(graph, state)(x, mask).logits).sum())
        x = np.random.default_rng(0).normal(size=(16, *GRID, FEATURES))
        mask = np.arange(15) < np.arange(16)[:, None] + 1
        compiled = jax.jit(gradient, in_shardings=(whole, split, split)).lower(state, x, mask).compile()
        assert moved_in(compiled) == []
        assert "all-reduce" in compiled.as_text()
        ours = compiled(*jax.device_put((state, x, mask), (whole, split, split)))
        alone = jax.jit(gradient)(*jax.device_put((state, x, mask), jax.devices()[0]))
        assert_near(ours, alone)


def inputs_over_devices() -> None:
    """Inputs over four of eight: each reads its rows, merged by the logarithms of the softmax's denominators."""
    mesh = devices.make_mesh(1, 4, {})
    # The head's query reads 5 latents, which each device has.
    for positions, masked in ((FOURIER, False), (FOURIER, True), (LEARNED, True)):
        graph, state = build(grid=(8, 5), positions=positions, head="query", **SHALLOW)
        x = np.random.default_rng(0).normal(size=(4, 8, 5, FEATURES))
        ends = np.array([[0], [10], [25], [40]])  # nothing to see; nothing on some devices

        def sine(state, x, mask, graph=graph):
            return jnp.sin(nnx.merge(graph, state)(x, mask).logits).sum()

        def sine_of_parts(state, x, mask, sine=sine):
            with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):
                return sine(state, x, mask)

        slope, alone = (jax.jit(jax.value_and_grad(one, argnums=(0, 1))) for one in (sine_of_parts, sine))
        masks = [np.random.default_rng(1).random((4, 40)) < 0.7, np.arange(40) < ends] if masked else [None]
        place = lambda x: jax.device_put(x, devices.batch_sharding(mesh, x.ndim))  # noqa: E731
        placed = [[jax.tree.map(place, given) for given in (x, mask)] for mask in masks]
        compiled = slope.lower(state, *placed[0]).compile()
        assert moved_in(compiled) == []
        for mask, given in zip(masks, placed, strict=True):
            assert_near(compiled(state, *given), alone(state, x, mask))


def moved_in(compiled: Any) -> list[str]:
    """How a program moves what is not a sum between devices."""
    return [how for how in ("all-gather", "all-to-all", "collective-permute") if how in compiled.as_text()]


def assert_near(ours: Any, theirs: Any) -> None:
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)


def write_failures(folder: Path) -> None:
    """Leaves what is wrong with each of both, nothing where all is well."""
    assert jax.device_count() == 8
    for ask in (batch_over_devices, inputs_over_devices):
        try:
            ask()
        except AssertionError:
            (folder / ask.__name__).write_text(traceback.format_exc())
        else:
            (folder / ask.__name__).touch()


@pytest.mark.parametrize("ask", [batch_over_devices, inputs_over_devices])
def test_on_eight_devices_nothing_is_gathered_and_gradients_are_the_same(ask, once):
    """Both in one process: half of either is its start."""

    def make(folder):
        folder.mkdir()
        call = "import sys; from tests.model import test_perceiver as t; t.write_failures(t.Path(sys.argv[1]))"
        environment = on_devices(8) | {"JAX_ENABLE_X64": "1"}
        command = [sys.executable, "-c", call, folder]
        result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
        assert result.returncode == 0, result.stderr[-3000:]

    assert (once("eight_devices", make) / ask.__name__).read_text() == ""


def test_logits_of_half_precision_are_not_rounded_to_it():
    """Of many examples some would be equal, and no longer in an order."""
    graph, state = build(**SHALLOW, compute_dtype="bfloat16")
    state = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), state)
    logits = forward((graph, state), example().astype(jnp.float32))
    assert (logits != logits.astype(jnp.bfloat16).astype(jnp.float32)).all()
