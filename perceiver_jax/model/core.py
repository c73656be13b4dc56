"""softmax(u x̂^T) x̂ over inputs that are a sum of parts: the two maps of `read`, chunk by chunk, with their own gradient.

`scores` makes logits from weights and inputs, `sums` is its transpose: the forward pass is sums(softmax(scores)), and the
backward pass scores twice and sums once. Nothing of size M x Q or M x C exists; a chunk's logits stay in the cache.

Axes: k columns of an input (features, mean, perhaps 1), R rows of W inputs, h rows of a chunk, Q = H N queries, last:
XLA's CPU code vectorises over a fused computation's minor axis and reduces over its major ones.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

FEW = 8  # columns up to which products are summed one by one, fused with what follows, instead of by a matmul


class Weights(NamedTuple):
    """What one map `scores` is made of, and the transposed map `sums` gives."""

    columns: Float[Array, "k Q"]
    rows: Float[Array, "R Q"] | None  # the first axis' share; None: no tables
    rest: Float[Array, "W Q"] | None  # that of all other axes together


class Inputs(NamedTuple):
    """One example's inputs as the core sees them."""

    columns: Float[Array, "R W k"]
    scale: Float[Array, "R W"]  # r
    seen: Bool[Array, "R W"] | None  # None: every one


def scores(weights: Weights, inputs: Inputs) -> Float[Array, "h W Q"]:
    """The logits of a chunk of rows, of inputs that are not seen too."""
    columns = inputs.columns
    if columns.shape[-1] <= FEW:  # elementwise, so that it fuses with what follows and nothing is stored
        s = sum(columns[..., i, None] * weights.columns[i] for i in range(columns.shape[-1]))
    else:
        s = (columns.reshape(-1, columns.shape[-1]) @ weights.columns).reshape(*columns.shape[:-1], -1)
    if weights.rows is not None:
        s = s + (weights.rows[:, None] + weights.rest)
    return s * inputs.scale[..., None]


def _numerators(
    logits: Float[Array, "h W Q"], shift: Float[Array, " Q"], seen: Bool[Array, "h W"] | None
) -> Float[Array, "h W Q"]:
    """exp(logits - shift), exactly 0 of inputs that are not seen, whose logits may be larger than exp can take.

    Chosen before exp and after the shift: what is seen takes the same operations with a mask as without.
    """
    exponents = logits - shift
    if seen is not None:
        exponents = jnp.where(seen[..., None], exponents, jnp.finfo(exponents.dtype).min)
    return jnp.exp(exponents)


def _sums(p: Float[Array, "h W Q"], inputs: Inputs, separable: bool) -> Weights:
    """The transpose of `scores`: p times the inputs, summed over columns, rows and the rest."""
    h, width, queries = p.shape
    columns = inputs.columns.reshape(h * width, -1)
    if separable:
        of_row = jnp.repeat(jnp.eye(h, dtype=p.dtype), width, axis=0)
        columns = jnp.concatenate([columns, of_row], axis=1)
    total = (columns * inputs.scale.reshape(-1, 1)).T @ p.reshape(h * width, queries)
    if not separable:
        return Weights(total, None, None)
    rest = jnp.einsum("hW,hWQ->WQ", inputs.scale, p)
    return Weights(total[:-h], total[-h:], rest)


def _chunks(size: int, weights: Weights, inputs: Inputs) -> tuple[Float[Array, "n h Q"] | None, Inputs]:
    """The weights of the rows, and the inputs, by chunks of `size` rows; what fills up the last chunk is not seen."""
    missing = -inputs.scale.shape[0] % size
    rows = weights.rows
    if missing:
        pad = lambda x: jnp.pad(x, ((0, missing),) + ((0, 0),) * (x.ndim - 1))  # noqa: E731
        seen = jnp.ones(inputs.scale.shape, bool) if inputs.seen is None else inputs.seen
        rows, inputs = None if rows is None else pad(rows), Inputs(pad(inputs.columns), pad(inputs.scale), pad(seen))
    return jax.tree.map(lambda x: x.reshape(-1, size, *x.shape[1:]), (rows, inputs))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def attend_chunks(
    chunk_rows: int, weights: Weights, inputs: Inputs, shift: Float[Array, " Q"]
) -> tuple[Weights, Float[Array, " Q"]]:
    """sums(softmax(scores)) of one example, and the log of the softmax's denominator; `shift` changes neither."""
    return _forward(chunk_rows, weights, inputs, shift)[0]


def highest_logits(chunk_rows: int, weights: Weights, inputs: Inputs) -> Float[Array, " Q"]:
    """Each query's highest logit of an input that is seen; an example has one."""

    def step(highest, chunk):
        row, part = chunk
        s = scores(weights._replace(rows=row), part)
        s = s if part.seen is None else jnp.where(part.seen[..., None], s, -jnp.inf)
        return jnp.maximum(highest, s.max((0, 1))), None

    lowest = jnp.full(weights.columns.shape[-1], -jnp.inf, weights.columns.dtype)
    return jax.lax.scan(step, lowest, _chunks(chunk_rows, weights, inputs))[0]


def _forward(chunk_rows: int, weights: Weights, inputs: Inputs, shift: Float[Array, " Q"]):
    # One more column, 1 after scaling, sums p itself: the denominator.
    counted = inputs._replace(columns=jnp.concatenate([inputs.columns, 1 / inputs.scale[..., None]], axis=-1))

    def step(total, chunk):
        row, part = chunk
        logits = scores(weights._replace(rows=row), part._replace(columns=part.columns[..., :-1]))
        p = _numerators(logits, shift, part.seen)
        return _add(total, _sums(p, part, row is not None))

    zero = _zero(weights._replace(columns=jnp.pad(weights.columns, ((0, 1), (0, 0)))))
    t, t_rows = jax.lax.scan(step, zero, _chunks(chunk_rows, weights, counted))
    denominator = t.columns[-1]
    t = _with_rows(t._replace(columns=t.columns[:-1]), t_rows, weights)
    t = jax.tree.map(lambda x: x / denominator, t)
    log_denominator = shift + jnp.log(denominator)
    return (t, log_denominator), (weights, inputs, t, log_denominator)


def _backward(chunk_rows: int, kept, cotangents):
    weights, inputs, t, log_denominator = kept
    dt, dlog = cotangents
    # A logit's gradient is a (da - inner): inner is the sum of a da over the inputs, less what the denominator asks for.
    inner = sum(jnp.sum(x * dx, axis=0) for x, dx in zip(jax.tree.leaves(t), jax.tree.leaves(dt), strict=True)) - dlog
    rows, parts = _chunks(chunk_rows, weights, inputs)
    drows, _ = _chunks(chunk_rows, dt, inputs)

    def step(total, chunk):
        row, drow, part = chunk
        numbers = part._replace(seen=None)
        # t is linear in the inputs as the logits are: its gradient by a is `scores` of dt.
        both = lambda part: (scores(weights._replace(rows=row), part), scores(dt._replace(rows=drow), part))  # noqa: E731
        (s, da), pull = jax.vjp(both, numbers)
        a = _numerators(s, log_denominator, part.seen)
        ds = a * (da - inner)
        total, dweights_rows = _add(total, _sums(ds, part, row is not None))
        return total, (dweights_rows, pull((ds, a))[0])

    dweights, (dweights_rows, dparts) = jax.lax.scan(step, _zero(weights), (rows, drows, parts))
    dinputs = jax.tree.map(lambda x, like: x.reshape(-1, *x.shape[2:])[: like.shape[0]], dparts, inputs._replace(seen=None))
    return _with_rows(dweights, dweights_rows, weights), dinputs, jnp.zeros_like(log_denominator)


attend_chunks.defvjp(_forward, _backward)


def _zero(weights: Weights) -> Weights:
    """Sums of nothing, those over rows apart: each chunk has its own."""
    return jax.tree.map(jnp.zeros_like, weights._replace(rows=None))


def _add(total: Weights, sums: Weights) -> tuple[Weights, Float[Array, "h Q"] | None]:
    """The running sums with a chunk's, and the chunk's sums over its rows."""
    return jax.tree.map(jnp.add, total, sums._replace(rows=None)), sums.rows


def _with_rows(total: Weights, rows: Float[Array, "n h Q"] | None, like: Weights) -> Weights:
    return total._replace(rows=None if rows is None else rows.reshape(-1, rows.shape[-1])[: like.rows.shape[0]])
