"""Sizes: the known counts of the published networks, FLOPs against the traced program, and that no setting is dead."""

import math
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from flax import nnx
from jax.extend import core
from ml_collections import ConfigDict

from configs import imagenet_baselines, modelnet40_baselines
from perceiver_jax.baselines.config import Bottleneck
from perceiver_jax.runs import accounting
from perceiver_jax.runs.problem import make
from perceiver_jax.settings.config import Config, parse
from tests.baselines import small


def counted(config: Config) -> tuple[int, str]:
    """Parameters, and FLOPs by the paper's rule in billions; no data are needed for either."""
    problem = make(config, config.source().contents(), fingerprint="")
    return accounting.count_parameters(problem), f"{accounting.paper_flops(problem) / 1e9:.1f}"


def imagenet(variant: str, without_positions: bool = False) -> Config:
    """A variant of configs/imagenet_baselines.py, perhaps with pixels alone as its input."""
    values = imagenet_baselines.get_config(variant).to_dict()
    if without_positions:
        values["model"]["positions"] = {"kind": "none"}
    return parse(ConfigDict(values))


PUBLISHED = {"vit_b16": (86_567_656, 17.6), "resnet50": (25_557_032, 4.1)}  # as every library counts them


@pytest.mark.parametrize(("variant", "row"), PUBLISHED.items(), ids=list(PUBLISHED))
def test_of_pixels_alone_parameters_and_multiply_adds_are_the_published_networks(variant, row):
    config = imagenet(variant, without_positions=True)
    problem = make(config, config.source().contents(), fingerprint="")
    assert (accounting.count_parameters(problem), round(accounting.paper_flops(problem) / 2e9, 1)) == row


EXACT = {
    "vit_b16": (86_567_656 + 16 * 16 * 258 * 768, "55.0"),
    "resnet50": (25_557_032 + 7 * 7 * 258 * 64, "28.5"),
    # Eight layers of six matrices and two norms, the tokens' 261 channels, the classifier.
    "transformer64": (8 * (6 * (512 * 512 + 512) + 4 * 512) + 262 * 512 + 513 * 1000, "382.3"),
}


@pytest.mark.parametrize("order", ["", "permuted_"])
@pytest.mark.parametrize(("variant", "row"), EXACT.items(), ids=list(EXACT))
def test_parameters_and_flops_are_those_the_config_says(variant, row, order):
    count, billions = counted(imagenet(order + variant))
    assert (count, billions) == row
    (line,) = [line for line in imagenet_baselines.__doc__.splitlines() if line.startswith(f"| {order}{variant} ")]
    assert {f"{count:,}", billions} <= {cell.strip() for cell in line.split("|")}


# Of points: 387 channels, 40 classes, and for ViT a place for the class and for each patch.
VIT_LAYERS = 12 * (12 * 768 * 768 + 13 * 768) + 2 * 768 + 768 + 769 * 40
CLOUDS = {
    "transformer44": (8 * (6 * (512 * 512 + 512) + 4 * 512) + 388 * 512 + 513 * 40, "111.6"),
    **{
        f"vit{size}": (VIT_LAYERS + (size * size * 387 + 1) * 768 + (patches + 1) * 768, billions)
        for size, patches, billions in ((2, 22 * 22, "92.3"), (4, 11 * 11, "22.4"), (8, 6 * 6, "7.7"), (16, 3 * 3, "3.1"))
    },
    "resnet50": (25_557_032 + 7 * 7 * (387 - 3) * 64 - 2049 * (1000 - 40), "1.6"),
}


@pytest.mark.parametrize(("variant", "row"), CLOUDS.items(), ids=list(CLOUDS))
def test_parameters_and_flops_of_clouds_are_those_the_config_says(variant, row):
    count, billions = counted(parse(modelnet40_baselines.get_config(variant)))
    assert (count, billions) == row
    (line,) = [line for line in modelnet40_baselines.__doc__.splitlines() if line.startswith(f"| {variant} ")]
    assert {f"{count:,}", billions} <= {cell.strip() for cell in line.split("|")}


def test_every_variant_has_a_row_here():
    assert set(imagenet_baselines.VARIANTS) == {order + variant for order in ("", "permuted_") for variant in EXACT}
    assert set(modelnet40_baselines.VARIANTS) == set(CLOUDS)


def products(program: core.Jaxpr) -> Iterator[int]:
    """The FLOPs of every matmul and convolution that a program runs."""
    for equation in program.eqns:
        shapes = [variable.aval.shape for variable in (*equation.invars[:2], *equation.outvars)]
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            yield 2 * math.prod(shapes[2]) * math.prod(shapes[0][axis] for axis in contracted)
        elif equation.primitive.name == "conv_general_dilated":
            yield 2 * math.prod(shapes[2]) * math.prod(shapes[1][:-1])
        else:
            turns = equation.params["length"] if equation.primitive.name == "scan" else 1
            inner = [p for p in equation.params.values() if isinstance(p, core.Jaxpr | core.ClosedJaxpr)]
            yield from (turns * flops for part in inner[:1] for flops in products(getattr(part, "jaxpr", part)))


@pytest.mark.parametrize("grid", [small.GRID, (5, 9)])
@pytest.mark.parametrize(("kind", "tokens"), [("transformer", math.prod), ("vit", lambda grid: 5 if grid == (6, 8) else 7)])
def test_flops_are_the_traced_matmuls_and_three_for_each_attention_logit(kind, tokens, grid):
    logits = 2 * 2 * tokens(grid) ** 2  # two layers of two heads
    assert small.config(kind).paper_flops([small.picture(*grid)], 3) == traced_flops(kind, grid) + 3 * logits


@pytest.mark.parametrize("grid", [small.GRID, (19, 33)])
def test_flops_of_convolutions_are_the_traced_ones(grid):
    assert small.config("resnet").paper_flops([small.picture(*grid)], 3) == traced_flops("resnet", grid)


def traced_flops(kind: str, grid: tuple[int, int]) -> int:
    graph, state = nnx.split(nnx.eval_shape(lambda: small.model(kind, grid)))
    features = jax.ShapeDtypeStruct((1, *grid, small.FEATURES), jnp.float32)
    return sum(products(jax.make_jaxpr(lambda s, f: nnx.merge(graph, s)(f).logits)(state, features).jaxpr))


def test_positions_are_multiplied_once_for_all_examples():
    """A pixel of the stem costs 7 x 7 x 3 multiply-adds a channel: two of the features, ten of the position."""
    graph, state = nnx.split(nnx.eval_shape(lambda: small.model("resnet")))

    def flops(batch: int) -> int:
        features = jax.ShapeDtypeStruct((batch, *small.GRID, small.FEATURES), jnp.float32)
        return sum(products(jax.make_jaxpr(lambda s, f: nnx.merge(graph, s)(f).logits)(state, features).jaxpr))

    assert 4 * flops(1) - flops(4) == 3 * 2 * (3 * 4) * (7 * 7 * 3) * 10


def test_the_blocks_are_those_written_here():
    blocks = [Bottleneck(3, 3, 1), Bottleneck(12, 6, 2), Bottleneck(24, 6, 1)]
    assert list(small.config("resnet").blocks) == blocks
    assert [block.projects for block in blocks] == [True, True, False]
    assert [block.out_channels for block in blocks] == [12, 24, 24]


def test_channels_that_heads_do_not_divide_are_refused():
    with pytest.raises(ValueError, match=r"model.channels 8 not divisible by model.num_heads 3; try 6 or 9"):
        small.config("vit", num_heads=3)


LAYER_FIELDS = {"channels": 16, "num_layers": 3, "num_heads": 4, "widening_factor": 1, "remat": "layer"}
SHARED_FIELDS = {"positions": small.NONE, "permutation_seed": 0, "compute_dtype": "bfloat16"}
CHANGES = {
    "transformer": SHARED_FIELDS | LAYER_FIELDS,
    "vit": SHARED_FIELDS | LAYER_FIELDS | {"patch_size": 3, "position_embedding": False},
    "resnet": SHARED_FIELDS | {"stage_blocks": (2, 1), "stem_channels": 4, "remat": "block"},
}


def program(kind: str, **changes: Any) -> str:
    """The traced forward pass, in text."""
    graph, state = nnx.split(nnx.eval_shape(lambda: small.model(kind, **changes)))
    features = jax.ShapeDtypeStruct((1, *small.GRID, small.FEATURES), jnp.float32)
    return str(jax.make_jaxpr(lambda s, f: nnx.merge(graph, s)(f).logits)(state, features))


@pytest.mark.parametrize("kind", small.MODELS)
def test_every_setting_changes_the_program(kind):
    # Of what happens after it, or around it: tests/baselines/test_resnet.py, tests/runs/test_programs.py.
    elsewhere = {"kind", "statistics_decay", "matmul_precision"}
    assert set(CHANGES[kind]) == set(type(small.config(kind)).model_fields) - elsewhere
    before = program(kind)
    assert [name for name, value in CHANGES[kind].items() if program(kind, **{name: value}) == before] == []
