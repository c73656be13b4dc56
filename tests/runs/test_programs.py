"""How exact the products of a run's programs are, those of the backward pass among them."""

import re

import jax
import pytest

from perceiver_jax.runs import accounting
from perceiver_jax.runs.programs import Programs
from tests.launch import SMALL, problem_of

RESNET = {
    **{"kind": "resnet", "permutation_seed": None, "remat": "none", "compute_dtype": "float32"},
    **{"matmul_precision": "float32", "stage_blocks": (1,), "stem_channels": 4, "statistics_decay": 0.9},
    "positions": {"kind": "fourier", "num_bands": 2, "max_resolution": (8.0, 8.0)},
}
MODELS = {
    "perceiver": [*SMALL, "--config.model.num_blocks=1"],
    "a block again in the backward pass": [*SMALL, "--config.model.num_blocks=1", "--config.model.remat=block"],
    "resnet": [f"--config.model={RESNET}", "--config.data.batch_size=8"],
}


def products(program: str) -> list[str]:
    """The attributes of each product of matrices and each convolution of a lowered program."""
    return re.findall(r"stablehlo\.(?:dot_general|convolution)\b(.*)", program)


@pytest.mark.parametrize("settings", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize(
    ("precision", "written"), [("float32", {"HIGHEST"}), ("tensorfloat32", {"HIGH"}), ("default", set())]
)
def test_every_product_of_a_step_and_of_an_answer_is_as_exact_as_the_config_says(settings, precision, written):
    problem = problem_of(*settings, f"--config.model.matmul_precision={precision}")
    programs = Programs(problem)
    state = programs.abstract_state
    inputs, masks = accounting.example_shapes(problem, 8)
    batch = {"inputs": inputs, "masks": masks, "labels": jax.ShapeDtypeStruct((8,), "int32")}
    step = products(programs.step.lower(state, batch).as_text())
    answers = [products(programs.logits.lower(state.evaluated, inputs, masks).as_text())]
    if problem.config.model.kind == "perceiver":
        answers.append(products(programs.latents.lower(state.evaluated, inputs, masks).as_text()))
    assert len(step) > len(answers[0]) > 3
    for line in sum(answers, step):
        assert set(re.findall(r"\bHIGH(?:EST)?\b", line)) == written, line
