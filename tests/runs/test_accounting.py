"""What a config costs, against counts by hand and against the compiler's own."""

import functools

import jax
import jax.numpy as jnp
import pytest
from flax import nnx
from ml_collections import ConfigDict

from configs import digits, point_folder
from perceiver_jax.data.sources import Contents
from perceiver_jax.model.attention import SelfAttend
from perceiver_jax.model.config import InputSpec
from perceiver_jax.runs import accounting, device_memory
from perceiver_jax.runs.problem import Problem, make, resolve
from perceiver_jax.runs.programs import Programs
from perceiver_jax.settings.config import parse
from tests.baselines import small
from tests.launch import problem_of
from tests.settings import two_streams


def problem(**changes) -> Problem:
    """That of the digits config with sizes of this file's and other values of fields, written section__field."""
    values = digits.get_config().to_dict()
    values["model"]["num_cross_attend_heads"] = 1
    values["model"]["positions"]["num_bands"] = 4
    for name, value in ({"model__latent_channels": 64} | changes).items():
        section, field = name.split("__")
        values[section][field] = value
    return resolve(parse(ConfigDict(values)))


# M = 64 pixels of C = 1 + 2 (2 * 4 + 1) = 19 channels, N = 16 latents of D = 64, 10 classes
CROSS_ATTEND = (
    2 * 16 * 64 * 19  # queries
    + 2 * (2 * 64 * 19 * 19)  # keys and values
    + 2 * 16 * 64 * 19  # their products
    + 3 * 16 * 64  # logits of one head
    + 2 * 16 * 64 * 19  # weighted values
    + 2 * 16 * 19 * 64  # output
    + 2 * (2 * 16 * 64 * 64)  # MLP
)
SELF_ATTEND = (
    4 * (2 * 16 * 64 * 64)  # queries, keys, values, output
    + 2 * (2 * 16 * 16 * 64)  # their products, weighted values
    + 3 * 4 * 16 * 16  # logits of four heads
    + 2 * (2 * 16 * 64 * 64)  # MLP
)
LOGITS = 2 * 64 * 10
QUERY = (
    2 * (2 * 64 * 64)  # query, output
    + 2 * (2 * 16 * 64 * 64)  # keys and values of the latents
    + 2 * (2 * 16 * 64)  # products, weighted values
    + 3 * 16
    + 2 * (2 * 64 * 64)  # MLP
)


@pytest.mark.parametrize(
    ("changes", "flops"),
    [
        ({}, 2 * CROSS_ATTEND + 4 * SELF_ATTEND + LOGITS),
        ({"model__num_cross_attends": 1}, CROSS_ATTEND + 4 * SELF_ATTEND + LOGITS),
        ({"model__sharing": "none", "model__arrangement": "at_start"}, 2 * CROSS_ATTEND + 4 * SELF_ATTEND + LOGITS),
        ({"model__num_blocks": 0}, 2 * CROSS_ATTEND + LOGITS),
        ({"model__num_self_attend_heads": 8}, 2 * CROSS_ATTEND + 4 * (SELF_ATTEND + 3 * 4 * 16 * 16) + LOGITS),
        ({"model__num_cross_attend_heads": 19}, 2 * (CROSS_ATTEND + 3 * 18 * 16 * 64) + 4 * SELF_ATTEND + LOGITS),
        ({"model__widening_factor": 3}, 2 * CROSS_ATTEND + 4 * SELF_ATTEND + LOGITS + 6 * 2 * (2 * 2 * 16 * 64 * 64)),
        ({"model__head": "query"}, 2 * CROSS_ATTEND + 4 * SELF_ATTEND + LOGITS + QUERY),
    ],
    ids=str,
)
def test_flops_by_the_papers_rule_equal_a_count_by_hand(changes, flops):
    assert accounting.paper_flops(problem(**changes)) == flops


def test_parameters_of_each_part_equal_a_count_by_hand():
    def linear(fan_in, fan_out):
        return fan_in * fan_out + fan_out

    mlp = 2 * 64 + 2 * linear(64, 64)
    cross_attend = 2 * 64 + 2 * 19 + linear(64, 19) + 2 * linear(19, 19) + linear(19, 64) + mlp
    self_attend = 2 * 64 + 4 * linear(64, 64) + mlp
    assert accounting.module_parameters(problem()) == {
        "latents": 16 * 64,
        "cross_attends/0": cross_attend,
        "cross_attends/1": cross_attend,
        "self_attends/0": 2 * self_attend,
        "head": linear(64, 10),
    }


@pytest.mark.parametrize("positions", ["fourier", "learned"])
def test_the_parts_hold_every_parameter_once(positions):
    learned = {"model__positions": {"kind": "learned", "channels": 4, "init_scale": 0.02}}
    run = problem(model__head="query", model__sharing="none", **(learned if positions == "learned" else {}))
    parts = accounting.module_parameters(run)
    whole = sum(leaf.size for leaf in jax.tree.leaves(nnx.state(accounting.abstract_model(run), nnx.Param)))
    assert sum(parts.values()) == whole == accounting.count_parameters(run)
    assert ("inputs" in parts) == (positions == "learned")


@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        ("transformer", {"embed", "layers", "head"}),
        ("vit", {"embed", "class_token", "position_embedding", "layers", "norm", "head"}),
        ("resnet", {"stem", "blocks/0", "blocks/1", "blocks/2", "head"}),
    ],
)
def test_a_baseline_is_counted_part_by_part(kind, parts):
    run = problem_of(small.of_digits(kind))
    counts = accounting.module_parameters(run)
    assert set(counts) == parts
    whole = sum(leaf.size for leaf in jax.tree.leaves(nnx.state(accounting.abstract_model(run), nnx.Param)))
    assert sum(counts.values()) == whole
    digit = InputSpec("image", grid=(8, 8), num_features=1)
    assert (run.inputs, run.config.input_channels) == ((digit,), 1 + 2 * 5)
    assert accounting.paper_flops(run) == run.config.model.paper_flops((digit,), 10)


def test_streams_count_as_one_array_of_the_widest():
    run = resolve(parse(two_streams.get_config()))
    # 28 x 28 pixels of 1 + 2 * 9 channels, 64 points of 3 * 9; a vector of 3 channels makes the points 30 wide.
    m, c, n, d = 28 * 28 + 64, 3 * 9 + 3, 32, 64
    cross_attend = 4 * n * d * c + 4 * m * c * c + 4 * n * m * c + 3 * n * m + 4 * n * d * d
    self_attend = 12 * n * d * d + 4 * n * n * d + 3 * 4 * n * n
    assert (run.config.num_inputs, run.config.input_channels) == (m, c)
    assert accounting.paper_flops(run) == 2 * cross_attend + 4 * self_attend + 2 * d * 10
    assert accounting.module_parameters(run)["inputs"] == (c - 19) + (c - 27)


def test_a_batch_has_a_mask_for_each_stream_that_may_lack_inputs(tmp_path):
    values = point_folder.get_config()
    values.data.data_dir = str(tmp_path)
    run = make(parse(values), Contents(("a", "b"), {"train": 9, "test": 1}), fingerprint="")
    inputs, masks = accounting.example_shapes(run, 5)
    assert {name: (array.shape, array.dtype) for name, array in inputs.items()} == {"points": ((5, 2048, 3), jnp.float32)}
    assert {name: (array.shape, array.dtype) for name, array in masks.items()} == {"points": ((5, 2048), jnp.bool_)}


# Operations as executed


def counted(function, *shapes) -> int:
    return accounting.program_flops(jax.make_jaxpr(function)(*(jnp.zeros(shape) for shape in shapes)).jaxpr)


@jax.custom_vjp
def cube(x):
    return x * x * x


cube.defvjp(lambda x: (cube(x), x), lambda x, dy: (3 * x * x * dy,))
PROGRAMS = {
    "matmul": (lambda a, b: a @ b, [(3, 5), (5, 7)], 2 * 3 * 5 * 7),
    "batched matmul": (lambda a, b: a @ b, [(2, 3, 5), (2, 5, 7)], 2 * 2 * 3 * 5 * 7),
    "contraction of two axes": (lambda a, b: jnp.einsum("abc,bcd->ad", a, b), [(2, 3, 4), (3, 4, 5)], 2 * 2 * 3 * 4 * 5),
    "convolution": (
        lambda a, b: jax.lax.conv_general_dilated(a, b, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")),
        [(2, 8, 6, 3), (3, 3, 3, 5)],
        2 * 2 * 4 * 3 * 5 * (3 * 3 * 3),
    ),
    "convolution, channels first": (
        lambda a, b: jax.lax.conv(a, b, (1, 1), "VALID"),
        [(2, 3, 8, 6), (5, 3, 3, 3)],
        2 * 2 * 6 * 4 * 5 * (3 * 3 * 3),
    ),
    "sum of arrays": (lambda a, b: a + b, [(3, 5), (3, 5)], 15),
    "sum over an axis": (lambda a: a.sum(0), [(3, 5)], 15),
    "exponential": (jnp.exp, [(3, 5)], 15),
    "moving": (lambda a: jnp.concatenate([a.T[::2], a.T[:1]]).reshape(-1), [(3, 5)], 0),
    "scan": (lambda a, xs: jax.lax.scan(lambda c, x: (c @ c, x * 2), a, xs), [(3, 3), (7, 4)], 7 * (2 * 27 + 4)),
    "scan in a scan": (
        lambda a: jax.lax.scan(lambda c, _: (jax.lax.scan(lambda d, _: (d * d, None), c, None, 5)[0], None), a, None, 3),
        [(4,)],
        3 * 5 * 4,
    ),
    "jit": (jax.jit(lambda a: a * a), [(3, 5)], 15),
    "checkpoint": (jax.checkpoint(lambda a: a * a), [(3, 5)], 15),
    "own derivative": (cube, [(3, 5)], 30),
    "dearest branch": (
        lambda a: jax.lax.cond(a[0, 0] > 0, lambda a: a * a, lambda a: a @ a, a),
        [(4, 4)],
        1 + 2 * 4**3,  # the comparison, the branch
    ),
    "dearest branch, the other way round": (
        lambda a: jax.lax.cond(a[0, 0] > 0, lambda a: a @ a, lambda a: a * a, a),
        [(4, 4)],
        1 + 2 * 4**3,
    ),
}


@pytest.mark.parametrize(("function", "shapes", "flops"), PROGRAMS.values(), ids=list(PROGRAMS))
def test_operations_of_a_small_program(function, shapes, flops):
    assert counted(function, *shapes) == flops


def test_operations_are_those_the_compiler_counts():
    layer = SelfAttend(64, 4, 1, None, nnx.Rngs(0))
    graph, params = nnx.split(layer)

    def forward(params, latents):
        return nnx.merge(graph, params)(latents)

    latents = jnp.zeros((1, 128, 64))
    ours = accounting.program_flops(jax.make_jaxpr(forward)(params, latents).jaxpr)
    compilers = jax.jit(forward).lower(params, latents).compile().cost_analysis()["flops"]
    assert abs(ours / compilers - 1) < 0.01  # it counts exp and the like apart


def test_a_cross_attend_asks_for_fewer_operations_than_the_papers_rule_counts():
    run = problem(model__num_blocks=0, model__num_cross_attends=1)
    assert accounting.executed_flops(run) < accounting.paper_flops(run)


def test_a_training_step_asks_for_what_is_counted_of_its_examples():
    run = problem(data__batch_size=8, data__eval_batch_size=8, model__num_blocks=1, model__num_cross_attends=1)
    programs = Programs(run)
    inputs, masks = accounting.example_shapes(run, 8)
    batch = {"inputs": inputs, "masks": masks, "labels": jax.ShapeDtypeStruct((8,), "int32")}
    counts = accounting.labelled_flops(jax.make_jaxpr(programs.step)(programs.abstract_state, batch).jaxpr)
    step = sum(count for label, count in counts.items() if label.part not in ("loss", "optimiser"))
    assert 0.98 < step / (8 * accounting.training_flops(run)) <= 1.0  # the first queries are the same for all examples
    assert 2.5 < accounting.training_flops(run) / accounting.executed_flops(run) < 3.5


def test_what_is_computed_again_counts_again():
    plain, again = (accounting.training_flops(problem(model__remat=remat)) for remat in ("none", "layer"))
    forward = accounting.executed_flops(problem())
    assert 0.7 < (again - plain) / forward < 1.1


# Memory

SMALL = {"model__num_blocks": 1, "model__num_cross_attends": 1}


@functools.cache
def memory(**changes) -> int:
    return device_memory.train_memory_bytes(problem(**SMALL, **changes))


def test_memory_is_parameters_and_a_share_for_each_example():
    one, two, three = (memory(data__batch_size=n) for n in (32, 64, 96))
    assert 0 < two - one == three - two
    # parameters, gradient, two moments and running mean, float32
    copies = 4 * 5 * accounting.count_parameters(problem(**SMALL))
    assert copies < one - (two - one) < 2 * copies


def test_micro_batches_need_the_memory_of_their_own_size():
    pictures = 32 * 8 * 8 * 4  # the other half of the batch
    assert memory(data__batch_size=64, optim__accumulation_steps=2) == memory(data__batch_size=32) + pictures


def test_an_average_of_the_parameters_is_one_copy_more():
    difference = memory(optim__ema_decay=0.99) - memory(optim__ema_decay=None)
    assert difference == 4 * accounting.count_parameters(problem(**SMALL))


def test_computing_again_saves_memory():
    none, block, layer = (memory(model__remat=remat) for remat in ("none", "block", "layer"))
    assert block < none
    assert layer < none
