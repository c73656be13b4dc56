"""How a Perceiver's schedule is compiled: unrolled or in loops, and what is computed again for the gradient.

All forms compute the same as one module after the other.
"""

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from perceiver_jax.model.attention import CrossAttend, SelfAttend
from perceiver_jax.model.layers import in_turn
from perceiver_jax.model.schedule import Run, Use, runs, titles
from perceiver_jax.model.segment import Segment
from perceiver_jax.system.parts import part

# Up to how many blocks of one kind are unrolled instead of in a loop, which compiles them once.
FEW_BLOCKS = 2  # anyway: a loop would save little
WRITTEN_OUT = 8  # for a gradient: a loop would copy all that is kept for it, a fifth of the time of ImageNet's step

Modules = tuple[Sequence[CrossAttend], Sequence[SelfAttend]]  # each with weights of its own
Titles = list[list[str]]  # what each module of a run is called, by block


def through(
    schedule: Sequence[Use], modules: Modules, remat: str, latents: Float[Array, "B N D"], inputs: list[Segment]
) -> Float[Array, "B N D"]:
    """The latents after every module of the schedule, each cross-attend to the inputs."""
    names = iter(titles(schedule))
    for run in runs(schedule):
        own = [list(itertools.islice(names, len(block))) for block in run]
        latents = _through_run(run, own, modules, remat, latents, inputs)
    return latents


def _through_run(
    run: Run, names: Titles, modules: Modules, remat: str, latents: Float[Array, "B N D"], inputs: list[Segment]
) -> Float[Array, "B N D"]:
    """The latents after blocks of the same kinds of module.

    A loop: compiled once, and what a block recomputes stays in its own iteration of the backward loop. It passes the
    modules that differ between iterations stacked to its body, which costs a copy of them.
    """
    modules = (list(modules[0]), list(modules[1]))
    keeps = remat == "none"  # otherwise what is recomputed must stay in one iteration of the loop
    if keeps and len(run) <= FEW_BLOCKS:
        return _written_out(run, names, remat, latents, modules, inputs)
    looped = functools.partial(_looped, run, names, remat)
    if keeps and len(run) <= WRITTEN_OUT:
        written_out = functools.partial(_written_out, run, names, remat)
        return _for_gradient(written_out, looped)(latents, modules, inputs)
    return looped(latents, modules, inputs)


def _written_out(
    run: Run, names: Titles, remat: str, latents: Float[Array, "B N D"], modules: Modules, inputs: list[Segment]
) -> Float[Array, "B N D"]:
    for block, own in zip(run, names, strict=True):
        latents = _block([_module(modules, use) for use in block], own, remat, latents, inputs)
    return latents


def _looped(
    run: Run, names: Titles, remat: str, latents: Float[Array, "B N D"], modules: Modules, inputs: list[Segment]
) -> Float[Array, "B N D"]:
    steps = list(zip(*([_module(modules, use) for use in block] for block in run), strict=True))
    shared = [step[0] if all(module is step[0] for module in step) else None for step in steps]
    own = [None if one else _stacked(step) for one, step in zip(shared, steps, strict=True)]
    together = [_joined(first, last) for first, last in zip(names[0], names[-1], strict=True)]
    block = _remat(remat, "block")(lambda latents, modules: _block(modules, together, remat, latents, inputs))
    turn = lambda latents, own: (block(latents, [a or b for a, b in zip(shared, own, strict=True)]), None)  # noqa: E731
    return jax.lax.scan(turn, latents, own, length=len(run))[0]


def _block(
    modules: list[CrossAttend | SelfAttend],
    names: list[str],
    remat: str,
    latents: Float[Array, "B N D"],
    inputs: list[Segment],
) -> Float[Array, "B N D"]:
    """The latents after one block."""
    for module, name in zip(modules, names, strict=True):
        with part(name):
            if isinstance(module, CrossAttend):
                latents, _ = _remat(remat, "layer")(CrossAttend.__call__)(module, latents, inputs)
            else:  # a latent Transformer: its layers, stacked, in turn
                layers = functools.partial(in_turn, around=jax.checkpoint) if remat == "layer" else _layers
                latents = layers(latents, module)
    return latents


def _joined(first: str, last: str) -> str:
    """What is said of a module that a loop passes several times: `self_attends 2-8`."""
    return first if first == last else f"{first}-{last.rpartition(' ')[2]}"


def _remat(remat: str, what: str) -> Callable[[Callable], Callable]:
    return jax.checkpoint if remat == what else lambda function: function


def _module(modules: Modules, use: Use) -> CrossAttend | SelfAttend:
    return modules[use.kind == "self_attends"][use.weights]


def _for_gradient(written_out: Callable[..., Array], looped: Callable[..., Array]) -> Callable[..., Array]:
    """The function in a loop where no gradient is asked for, otherwise unrolled: both compute the same."""

    def function(*primals: Any) -> Array:
        leaves, tree = jax.tree.flatten(primals)  # JAX puts other things than arrays into the trees of such a rule
        on_leaves = lambda form: lambda leaves: form(*jax.tree.unflatten(tree, leaves))  # noqa: E731
        rule = jax.custom_vjp(on_leaves(looped))
        rule.defvjp(lambda leaves: jax.vjp(on_leaves(written_out), leaves), lambda pull, cotangent: pull(cotangent))
        return rule(leaves)

    return function


# A latent Transformer: a loop has each layer's weights at hand when they are used, but going back it would copy out, and in
# again, all that is kept for the gradient.
_layers = _for_gradient(functools.partial(in_turn, written_out=True), in_turn)


def _stacked(modules: Sequence[nnx.Module]) -> nnx.Module:
    """One module, its parameters those of all along a new first axis."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *modules)
