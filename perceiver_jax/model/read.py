"""The fast core: what latents read from inputs, without keys, without values, without the input array.

With layer norm's x^_m = (x_m - mean_m) r_m, its scale g folded into the weights, and u_n = (q_n / sqrt(K)) (g * W_k)^T:

    q_n . k_m / sqrt(K) = u_n . x^_m + const(n)         the softmax over m ignores the constant
    sum_m a_nm v_m      = t_n (g * W_v) + const          for the weights of a softmax sum to one

so all that touches the M inputs is t = softmax(u x^T) x^. And x_m = [f_m ; T_1[i_1] ; ... ; T_d[i_d] ; e] gives

    u_n . x^_m = r_m (u_n^f . f_m + A_1[i_1, n] + ... + A_d[i_d, n] + u_n^e . e - mean_m U_n),   A_a = T_a u^(a)T

a few operations for each (latent, input) instead of 4 C. Likewise t needs of the weights w_nm = a_nm r_m only
sum_m w_nm f_m, their marginal along each axis, their sum and sum_m w_nm mean_m. `scores` and `sums` are those two maps,
each other's transpose: the forward pass is sums(softmax(scores(u))), and the backward pass scores twice and sums once.

Axes: k columns f_m of an input (features, mean, perhaps 1), R rows of W inputs, h rows of a chunk, Q = H N queries, last:
XLA's CPU code vectorises over a fused computation's minor axis and reduces over its major ones.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from perceiver_jax.model.segment import Segment, as_statistics

CHUNK_BYTES = 2**19  # of the scores of one chunk: they should stay in the processor's cache
SAFE_LOGIT = 64.0  # exp of it and of its negative, summed over any number of inputs, keep all digits of a float32
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
    bias: Float[Array, "R W"] | None  # 0, or the lowest number where an input is not seen


def read(u: Float[Array, "B Q C"], segment: Segment, epsilon: float) -> tuple[Float[Array, "B Q C"], Float[Array, "B Q"]]:
    """t = softmax(u x^T) x^ and the logarithm of the softmax's denominator, by which segments merge."""
    inputs = _inputs(segment, epsilon)
    rows, width = inputs.scale.shape[1:]
    chunk_rows = _chunk_rows(rows, width * u.shape[0] * u.shape[1] * 4)
    weights = _split(as_statistics(u), segment)
    shift = jax.lax.stop_gradient(_shift(chunk_rows, u, weights, inputs, segment.channels))
    t, denominator = jax.vmap(functools.partial(_core, chunk_rows))(weights, inputs, shift)
    return _join(t, segment).astype(u.dtype), denominator


def _shift(
    chunk_rows: int, u: Float[Array, "B Q C"], weights: Weights, inputs: Inputs, channels: int
) -> Float[Array, "B Q"]:
    """What to subtract from each query's logits before exp: the highest of them, or 0 where none can be large.

    The norm of x^ is at most sqrt(C), which bounds every logit by |u| sqrt(C) without looking at the inputs.
    """
    highest = jax.vmap(functools.partial(_highest, chunk_rows))
    if inputs.bias is not None:
        return highest(weights, inputs)
    bound = jnp.sqrt(channels * jnp.max(jnp.sum(jnp.square(as_statistics(u)), axis=-1)))
    none = lambda weights, inputs: jnp.zeros_like(weights.columns[:, 0])  # noqa: E731
    return jax.lax.cond(bound < SAFE_LOGIT, none, highest, weights, inputs)


def flops(num_queries: int, segment: Segment) -> int:
    """Operations of `read` for one example: two per multiply-add of the scores, as many of the sums."""
    if not _separable(segment):
        return 4 * num_queries * segment.num_inputs * segment.channels
    tables = sum(table.shape[0] * table.shape[1] for table in segment.tables)
    columns = segment.num_features + 1 + (segment.constants is not None)
    return 4 * num_queries * (segment.num_inputs * (columns + len(segment.tables)) + tables)


def logits(u: Float[Array, "B Q C"], segment: Segment, epsilon: float) -> Float[Array, "B Q M"]:
    """u x^T, all of it."""
    scored = jax.vmap(_scores)(_split(as_statistics(u), segment), _inputs(segment, epsilon))
    return scored.reshape(u.shape[0], segment.num_inputs, -1).mT


def merge(
    parts: list[tuple[Float[Array, "B Q C"], Float[Array, "B Q"]]],
) -> Float[Array, "B Q C"]:
    """The t of all segments together, from each one's t and log denominator."""
    if len(parts) == 1:
        return parts[0][0]
    shares = jax.nn.softmax(jnp.stack([denominator for _, denominator in parts]), axis=0)
    return sum(share[..., None].astype(t.dtype) * t for share, (t, _) in zip(shares, parts, strict=True))


def _chunk_rows(rows: int, row_bytes: int) -> int:
    """Rows a chunk: as many as the cache holds, in chunks of nearly equal size."""
    chunks = -(-rows // max(1, CHUNK_BYTES // row_bytes))
    return -(-rows // chunks)


def _separable(segment: Segment) -> bool:
    return len(segment.tables) > 1


def _inputs(segment: Segment, epsilon: float) -> Inputs:
    """The segment's inputs, (B, R, W, ...): the first axis of a separable grid as rows, else single inputs as rows."""
    mean, scale = segment.statistics(epsilon)
    # Centred here rather than through `mean`: far from zero, the difference of two large products would lose digits.
    features = as_statistics(segment.features) - mean[..., None]
    if segment.tables and not _separable(segment):  # one axis: its table is no smaller than the positions it makes
        table = as_statistics(segment.tables[0])[:, np.argsort(segment.columns[0])]
        features = jnp.concatenate([features, table - mean[..., None]], -1)
    columns = [features, mean[..., None]]
    if segment.constants is not None:
        columns.append(jnp.ones_like(columns[-1]))
    batch = features.shape[0]
    shape = (batch, segment.grid[0], -1) if _separable(segment) else (batch, segment.num_inputs, 1)
    bias = None
    if segment.mask is not None:
        bias = jnp.where(segment.mask, 0, jnp.finfo(scale.dtype).min).astype(scale.dtype).reshape(shape)
    columns = jnp.concatenate(columns, axis=-1)
    return Inputs(columns.reshape(*shape, columns.shape[-1]), scale.reshape(shape), bias)


def _parts(u: Float[Array, "B Q C"], segment: Segment) -> tuple[Array, list[Array], Array]:
    """u by the channels of features (with a single table's), tables and constants."""
    first = segment.num_features
    widths = [table.shape[1] for table in segment.tables]
    if not _separable(segment):
        first, widths = first + sum(widths), []
    end = first + sum(widths)
    positions = u[..., first:end]
    return u[..., :first], [positions[..., np.asarray(c)] for c in segment.columns[: len(widths)]], u[..., end:]


def _split(u: Float[Array, "B Q C"], segment: Segment) -> Weights:
    """The weights of the map u -> scores, for each example."""
    features, by_axis, constants = _parts(u, segment)
    columns = [features, -u[..., features.shape[-1] :].sum(-1, keepdims=True)]
    if segment.constants is not None:
        columns.append(constants @ as_statistics(segment.constants)[:, None])
    columns = jnp.concatenate(columns, -1).mT
    if not by_axis:
        return Weights(columns, None, None)
    rows, *others = (as_statistics(table) @ part.mT for table, part in zip(segment.tables, by_axis, strict=True))
    rest = others[0]
    for other in others[1:]:
        rest = (rest[:, :, None] + other[:, None]).reshape(rest.shape[0], -1, rest.shape[-1])
    return Weights(columns, rows, rest)


def _join(t: Weights, segment: Segment) -> Float[Array, "B Q C"]:
    """The transpose of `_split`: t by channel, from the sums over columns and the marginals along the axes."""
    num_features = t.columns.shape[-2] - 1 - (segment.constants is not None)
    features, mean = t.columns[:, :num_features].mT, t.columns[:, num_features, :, None]
    parts = []
    if t.rows is not None:
        lengths = segment.grid[1:]
        rest = t.rest.reshape(t.rest.shape[0], *lengths, t.rest.shape[-1])
        others = [rest.sum(tuple(1 + b for b in range(len(lengths)) if b != a)) for a in range(len(lengths))]
        marginals = [t.rows, *others]
        by_axis = [m.mT @ as_statistics(table) for m, table in zip(marginals, segment.tables, strict=True)]
        parts.append(jnp.concatenate(by_axis, -1)[..., np.argsort(np.concatenate(segment.columns))])
    if segment.constants is not None:
        parts.append(t.columns[:, -1, :, None] * as_statistics(segment.constants))
    return jnp.concatenate([features, *(part - mean for part in parts)], -1)


def _scores(weights: Weights, inputs: Inputs) -> Float[Array, "h W Q"]:
    """The logits of a chunk of rows."""
    columns = inputs.columns
    if columns.shape[-1] <= FEW:  # elementwise, so that it fuses with what follows and nothing is stored
        s = sum(columns[..., i, None] * weights.columns[i] for i in range(columns.shape[-1]))
    else:
        s = (columns.reshape(-1, columns.shape[-1]) @ weights.columns).reshape(*columns.shape[:-1], -1)
    if weights.rows is not None:
        s = s + (weights.rows[:, None] + weights.rest)
    s = s * inputs.scale[..., None]
    return s if inputs.bias is None else s + inputs.bias[..., None]


def _sums(p: Float[Array, "h W Q"], inputs: Inputs, separable: bool) -> Weights:
    """The transpose of `_scores`: p times the inputs, summed over columns, rows and the rest."""
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
        bias = jnp.zeros_like(inputs.scale) if inputs.bias is None else inputs.bias
        unseen = jnp.finfo(bias.dtype).min
        bias = jnp.pad(bias, ((0, missing), (0, 0)), constant_values=unseen)
        rows, inputs = None if rows is None else pad(rows), Inputs(pad(inputs.columns), pad(inputs.scale), bias)
    return jax.tree.map(lambda x: x.reshape(-1, size, *x.shape[1:]), (rows, inputs))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _core(
    chunk_rows: int, weights: Weights, inputs: Inputs, shift: Float[Array, " Q"]
) -> tuple[Weights, Float[Array, " Q"]]:
    """sums(softmax(scores)) of one example, and the log of the softmax's denominator; `shift` changes neither."""
    return _forward(chunk_rows, weights, inputs, shift)[0]


def _highest(chunk_rows: int, weights: Weights, inputs: Inputs) -> Float[Array, " Q"]:
    """Each query's highest logit."""

    def step(highest, chunk):
        return jnp.maximum(highest, _scores(weights._replace(rows=chunk[0]), chunk[1]).max((0, 1))), None

    lowest = jnp.full(weights.columns.shape[-1], -jnp.inf, weights.columns.dtype)
    return jax.lax.scan(step, lowest, _chunks(chunk_rows, weights, inputs))[0]


def _forward(chunk_rows: int, weights: Weights, inputs: Inputs, shift: Float[Array, " Q"]):
    # One more column, 1 after scaling, sums p itself: the denominator.
    counted = inputs._replace(columns=jnp.concatenate([inputs.columns, 1 / inputs.scale[..., None]], axis=-1))

    def step(total, chunk):
        row, part = chunk
        p = jnp.exp(_scores(weights._replace(rows=row), part._replace(columns=part.columns[..., :-1])) - shift)
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

        def both(part):
            # t is linear in the inputs as the logits are: its gradient by a is `scores` of dt.
            return _scores(weights._replace(rows=row), part), _scores(dt._replace(rows=drow), part._replace(bias=None))

        (s, da), pull = jax.vjp(both, part)
        a = jnp.exp(s - log_denominator)
        ds = a * (da - inner)
        total, dweights_rows = _add(total, _sums(ds, part, row is not None))
        return total, (dweights_rows, pull((ds, a))[0])

    dweights, (dweights_rows, dparts) = jax.lax.scan(step, _zero(weights), (rows, drows, parts))
    dinputs = jax.tree.map(
        lambda x, like: x.reshape(-1, *x.shape[2:])[: like.shape[0]],
        dparts._replace(bias=None),
        inputs._replace(bias=None),
    )
    dbias = None if inputs.bias is None else jnp.zeros_like(inputs.bias)
    return _with_rows(dweights, dweights_rows, weights), dinputs._replace(bias=dbias), jnp.zeros_like(log_denominator)


_core.defvjp(_forward, _backward)


def _zero(weights: Weights) -> Weights:
    """Sums of nothing, those over rows apart: each chunk has its own."""
    return jax.tree.map(jnp.zeros_like, weights._replace(rows=None))


def _add(total: Weights, sums: Weights) -> tuple[Weights, Float[Array, "h Q"] | None]:
    """The running sums with a chunk's, and the chunk's sums over its rows."""
    return jax.tree.map(jnp.add, total, sums._replace(rows=None)), sums.rows


def _with_rows(total: Weights, rows: Float[Array, "n h Q"] | None, like: Weights) -> Weights:
    return total._replace(rows=None if rows is None else rows.reshape(-1, rows.shape[-1])[: like.rows.shape[0]])
