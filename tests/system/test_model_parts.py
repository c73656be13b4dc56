"""Labels on the operations of a program: found again in what JAX traces and in what XLA compiles."""

import contextlib

import jax
import jax.numpy as jnp
import pytest

from perceiver_jax.system.operations import operations
from perceiver_jax.system.parts import Label, label, part


@pytest.mark.parametrize(
    ("name", "expected"),
    {
        "jit(step)/jvp(part=head)/dot_general": Label("head", False),
        "jit(step)/transpose(jvp(part=head))/mul": Label("head", True),
        "jit(step)/part=accumulation/while/body/jvp(part=cross_attend 2-8)/while/body/add": Label("cross_attend 2-8", False),
        "part=optimiser": Label("optimiser", False),
        "jit(step)/transpose(jvp())/mul": Label(None, True),
        "jit(step)/apart/mul": Label(None, False),
        "": Label(None, False),
    }.items(),
)
def test_the_innermost_part_counts_and_a_transpose_is_backward(name, expected):
    assert label(name) == expected


def gradient(part):
    """The gradient of a loop within a part within another, to be compiled."""

    def loss(weights, x):
        with part("outer"):
            x = jnp.sin(x)
            with part("inner"):
                x = jax.lax.scan(lambda x, w: (jnp.tanh(x @ w), None), x, weights)[0]
            return jnp.sum(x**2)

    return jax.jit(jax.grad(loss)).lower(jnp.ones((3, 4, 4)), jnp.ones((4, 4)))


def test_a_program_has_the_parts_forward_and_backward_also_in_loops():
    found = {operation.label for operation in operations(gradient(part).compile().as_text()).values()}
    assert {Label("outer", False), Label("inner", False), Label("inner", True)} <= found


def test_parts_do_not_change_the_program():
    without = gradient(lambda name: contextlib.nullcontext()).as_text()  # that of names and places in the code is apart
    assert gradient(part).as_text() == without
