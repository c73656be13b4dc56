"""What a config costs: parameters and floating-point operations. Counted on the abstract model, without allocating."""

import math
from collections import Counter
from collections.abc import Collection, Iterable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.extend import core

from perceiver_jax.model import factory, forms
from perceiver_jax.model.config import InputSpec
from perceiver_jax.runs.problem import Problem
from perceiver_jax.system.parts import Label, label

REPEATED = ("cross_attends", "self_attends", "blocks")  # lists of modules, each of which is a part of the model


def abstract_model(problem: Problem) -> nnx.Module:
    """The model with shapes in place of arrays."""
    return factory.abstract_model(problem.config.model, problem.inputs, problem.task.num_outputs)


def count_parameters(problem: Problem) -> int:
    """The number of trained numbers."""
    return sum(module_parameters(problem).values())


def module_parameters(problem: Problem) -> dict[str, int]:
    """The parameters of each part of the model: `latents`, `cross_attends/0`, `self_attends/0`, ..."""
    counts: dict[str, int] = {}
    for path, leaf in nnx.to_flat_state(nnx.state(abstract_model(problem), nnx.Param)):
        parts = [str(part) for part in path]
        name = "/".join(parts[:2]) if parts[0] in REPEATED else parts[0]
        counts[name] = counts.get(name, 0) + math.prod(leaf.shape)
    return counts


def paper_flops(problem: Problem) -> int:
    """FLOPs of one example's forward pass by the rule that gives every published figure (appendix B).

    Two per multiply-add of a matmul or convolution, three per attention logit, nothing else.
    """
    return problem.config.model.paper_flops(problem.inputs, problem.task.num_outputs)


def executed_flops(problem: Problem) -> int:
    """FLOPs that the forward pass of one example really asks for, counted on its traced program."""
    graph, params = nnx.split(abstract_model(problem))
    run = lambda params, inputs, masks: nnx.merge(graph, params)(inputs, masks).logits  # noqa: E731
    program = jax.make_jaxpr(run)(params, *example_shapes(problem, 1))
    return program_flops(program.jaxpr)


def training_flops(problem: Problem) -> int:
    """Likewise for the forward and backward pass of one example, with what is recomputed; an update is nothing beside it."""
    graph, params, untrained = nnx.split(abstract_model(problem), nnx.Param, nnx.BatchStat)

    def total(params: Any, untrained: Any, inputs: Any, masks: Any) -> jax.Array:
        return nnx.merge(graph, params, untrained, copy=True)(inputs, masks).logits.sum()

    program = jax.make_jaxpr(jax.value_and_grad(total))(params, untrained, *example_shapes(problem, 1))
    return program_flops(program.jaxpr)


def core_forms(problem: Problem) -> dict[str, Any]:
    """The form in which a cross-attend reads each stream, and the operations for one example that chose it (`forms`).

    `folding`, what the forms that fold cost once for all streams, and `streams`: by name `plain`, `folded`, `separated`
    (None without a grid of several axes), and `chosen`. Empty for a model without cross-attends.
    """
    model = problem.config.model
    if not model.schedule:
        return {}
    graph, params = nnx.split(abstract_model(problem))
    sizes = model.num_latents, model.num_cross_attend_heads
    found: dict[str, Any] = {}

    def count(params: Any, inputs: Any, masks: Any) -> None:
        arrays = nnx.merge(graph, params).inputs
        segments = arrays(inputs, masks)
        rows = zip(segments, forms.chosen(*sizes, segments), strict=True)
        each = [forms.counts(*sizes, segment)._asdict() | {"chosen": form} for segment, form in rows]
        found.update(folding=forms.folding(sizes[0], arrays.channels), streams=dict(zip(arrays.names, each, strict=True)))

    jax.eval_shape(count, params, *example_shapes(problem, 1))
    return found


_FREE = """
    broadcast_in_dim reshape transpose convert_element_type slice dynamic_slice dynamic_update_slice concatenate squeeze
    copy iota gather stop_gradient split pad rev
""".split()  # moving numbers is not arithmetic


def program_flops(program: core.Jaxpr) -> int:
    """FLOPs of a traced program.

    Two per multiply-add of a matmul or convolution, one per element of every other arithmetic operation; loops count every
    iteration, and of branches the most expensive counts.
    """
    return labelled_flops(program).total()


def labelled_flops(program: core.Jaxpr, outer: str = "") -> Counter[Label]:
    """The same by where in a step they belong, in the program's order; `outer` is the name stack around the program."""
    total: Counter[Label] = Counter()
    for equation in program.eqns:
        stack = f"{outer}/{equation.source_info.name_stack}"
        inner = [p for p in jax.tree.leaves(equation.params, is_leaf=_is_program) if _is_program(p)]
        if inner:
            turns = equation.params["length"] if equation.primitive.name == "scan" else 1
            # A custom derivative carries its rules beside the function: only the function runs.
            run = inner if equation.primitive.name == "cond" else inner[:1]
            counts = max((labelled_flops(getattr(part, "jaxpr", part), stack) for part in run), key=Counter.total)
            total.update({where: turns * count for where, count in counts.items()})
        else:
            total[label(stack)] += _operation_flops(equation)
    return total


def _operation_flops(equation: core.JaxprEqn) -> int:
    """FLOPs of one operation that is no program itself."""
    if equation.primitive.name == "dot_general":
        (contracted, _), _ = equation.params["dimension_numbers"]
        shape = equation.invars[0].aval.shape
        return 2 * math.prod(equation.outvars[0].aval.shape) * math.prod(shape[axis] for axis in contracted)
    if equation.primitive.name == "conv_general_dilated":
        kernel, outputs = equation.invars[1].aval.shape, equation.params["dimension_numbers"].rhs_spec[0]
        return 2 * math.prod(equation.outvars[0].aval.shape) * math.prod(kernel) // kernel[outputs]
    if equation.primitive.name in _FREE:
        return 0
    return max(math.prod(v.aval.shape) for v in (*equation.outvars, *equation.invars) if hasattr(v, "aval"))


def _is_program(value: Any) -> bool:
    return isinstance(value, core.Jaxpr | core.ClosedJaxpr)


def example_shapes(problem: Problem, batch: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The shapes of a batch's inputs and masks, by stream."""
    return stream_shapes(problem.inputs, problem.masked, batch)


def stream_shapes(specs: Iterable[InputSpec], masked: Collection[str], batch: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The same of these streams, of which some are `masked`."""
    specs = tuple(specs)
    inputs = {spec.name: jax.ShapeDtypeStruct((batch, *spec.grid, spec.num_features), jnp.float32) for spec in specs}
    masks = {spec.name: jax.ShapeDtypeStruct((batch, spec.num_inputs), bool) for spec in specs if spec.name in masked}
    return inputs, masks


def num_bytes(tree: Any) -> int:
    """The bytes of a pytree's arrays, or of what has their shapes."""
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
