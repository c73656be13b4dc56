"""The fast core: what latents read from inputs, without keys, without values, without the input array.

With layer norm's x̂_m = (x_m - mean_m) r_m, its scale g folded into the weights, and u_n = (q_n / sqrt(K)) (g * W_k)^T:

    q_n . k_m / sqrt(K) = u_n . x̂_m + const(n)         the softmax over m ignores the constant
    sum_m a_nm v_m      = t_n (g * W_v) + const          for the weights of a softmax sum to one

so all that touches the M inputs is t = softmax(u x̂^T) x̂. And x_m = [f_m ; T_1[i_1] ; ... ; T_d[i_d] ; e] gives

    u_n . x̂_m = r_m (u_n^f . f_m + A_1[i_1, n] + ... + A_d[i_d, n] + u_n^e . e - mean_m U_n),   A_a = T_a u^(a)T

a few operations for each (latent, input) instead of 4 C. Likewise t needs of the weights w_nm = a_nm r_m only
sum_m w_nm f_m, their marginal along each axis, their sum and sum_m w_nm mean_m. Here u and t are taken
apart and put together; `core` does what is between.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec
from jaxtyping import Array, Float

from perceiver_jax.model.attend import weighed, wiped, with_something
from perceiver_jax.model.core import Inputs, Weights, attend_chunks, highest_logits, scores
from perceiver_jax.model.segment import Segment, as_statistics
from perceiver_jax.system.devices import INPUTS


class ChunkBytes(NamedTuple):
    """What the logits of one chunk may take."""

    grid: int  # made and summed element by element: they should stay in the processor's cache
    dense: int  # made and summed by matmuls, which lose more by small chunks than they gain by the cache


CHUNK_BYTES = ChunkBytes(grid=2**19, dense=2**23)
SAFE_LOGIT = 64.0  # exp of it and of its negative, summed over any number of inputs, keep all digits of a float32


def read(u: Float[Array, "B Q C"], segment: Segment) -> tuple[Float[Array, "B Q C"], Float[Array, "B Q"]]:
    """t = softmax(u x̂^T) x̂ and the logarithm of the softmax's denominator, by which segments merge.

    An example without any input that is seen has zeros, and the lowest number.
    Under a mesh with an axis `inputs` that divides the grid's first, its devices read a part each.
    """
    mesh = jax.sharding.get_abstract_mesh()
    num_parts = mesh.shape.get(INPUTS, 1)
    if num_parts == 1 or segment.grid[0] % num_parts:
        return _read(u, segment)
    whole, of_examples = PartitionSpec(), PartitionSpec(None, INPUTS)
    parts = Segment(
        features=of_examples,
        tables=tuple(whole if axis else PartitionSpec(INPUTS) for axis in range(len(segment.tables))),
        constants=None if segment.constants is None else whole,
        mask=None if segment.mask is None else of_examples,
        columns=segment.columns,
    )
    specs = {"in_specs": (whole, parts), "out_specs": (whole, whole)}
    return jax.shard_map(_read_part, **specs, axis_names={INPUTS}, check_vma=False)(u, segment)


def _read_part(u: Float[Array, "B Q C"], segment: Segment) -> tuple[Float[Array, "B Q C"], Float[Array, "B Q"]]:
    """`read` of all inputs, by a device that holds some: each weighs in with its share of the denominator."""
    t, log_denominator = _read(u, segment)
    highest = jax.lax.pmax(jax.lax.stop_gradient(log_denominator), INPUTS)
    share = jnp.exp(log_denominator - highest)
    denominator = jax.lax.psum(share, INPUTS)
    t = jax.lax.psum(share[..., None] * as_statistics(t), INPUTS) / denominator[..., None]
    return t.astype(u.dtype), highest + jnp.log(denominator)


def _read(u: Float[Array, "B Q C"], segment: Segment) -> tuple[Float[Array, "B Q C"], Float[Array, "B Q"]]:
    inputs = _inputs(segment)
    rows, width = inputs.scale.shape[1:]
    chunk_bytes = CHUNK_BYTES.grid if segment.separable else CHUNK_BYTES.dense
    # A batch size left open, for export, counts as one example.
    batch = u.shape[0] if isinstance(u.shape[0], int) else 1
    chunk_rows = _chunk_rows(rows, width * batch * u.shape[1] * 4, chunk_bytes)
    weights = _split(as_statistics(u), segment)
    shift = jax.lax.stop_gradient(_shift(chunk_rows, u, weights, inputs, segment.channels))
    t, log_denominator = jax.vmap(functools.partial(attend_chunks, chunk_rows))(weights, inputs, shift)
    t = wiped(_join(t, segment).astype(u.dtype), segment.mask)
    return t, weighed(log_denominator, segment.mask)


def _shift(
    chunk_rows: int, u: Float[Array, "B Q C"], weights: Weights, inputs: Inputs, channels: int
) -> Float[Array, "B Q"]:
    """What to subtract from each query's logits before exp: the highest of them, or 0 where none can be large.

    The norm of x̂ is at most sqrt(C), which bounds every logit by |u| sqrt(C) without reading the inputs.
    """
    highest = jax.vmap(functools.partial(highest_logits, chunk_rows))
    bound = jnp.sqrt(channels * jnp.max(jnp.sum(jnp.square(as_statistics(u)), axis=-1)))
    none = lambda weights, inputs: jnp.zeros_like(weights.columns[:, 0])  # noqa: E731
    return jax.lax.cond(bound < SAFE_LOGIT, none, highest, weights, inputs)


def logits(u: Float[Array, "B Q C"], segment: Segment) -> Float[Array, "B Q M"]:
    """u x̂^T, all of it; the lowest number where an input is not seen."""
    scored = jax.vmap(scores)(_split(as_statistics(u), segment), _inputs(segment))
    scored = scored.reshape(u.shape[0], segment.num_inputs, -1).mT
    return scored if segment.mask is None else jnp.where(segment.mask[:, None], scored, jnp.finfo(scored.dtype).min)


def merge(
    parts: list[tuple[Float[Array, "*queries C"], Float[Array, "*queries"]]],
) -> tuple[Float[Array, "*queries C"], Float[Array, "*queries"]]:
    """What is read of all parts together, from what is of each and its log denominator; and the log denominator of all."""
    if len(parts) == 1:
        return parts[0]
    denominators = jnp.stack([denominator for _, denominator in parts])
    shares = jax.nn.softmax(denominators, axis=0)
    t = sum(share[..., None].astype(t.dtype) * t for share, (t, _) in zip(shares, parts, strict=True))
    return t, jax.nn.logsumexp(denominators, axis=0)


def _chunk_rows(rows: int, row_bytes: int, chunk_bytes: int) -> int:
    """Rows a chunk: as many as `chunk_bytes` hold, in chunks of nearly equal size."""
    chunks = -(-rows // max(1, chunk_bytes // row_bytes))
    return -(-rows // chunks)


def _inputs(segment: Segment) -> Inputs:
    """The segment's inputs, (B, R, W, ...): the first axis of a separable grid as rows, otherwise single inputs as rows."""
    mean, scale = segment.statistics()
    # Centred here rather than through `mean`: far from zero, the difference of two large products would lose digits.
    features = as_statistics(segment.features) - mean[..., None]
    if segment.tables and not segment.separable:  # one axis: its table is as large as the positions it makes
        table = as_statistics(segment.tables[0])[:, np.argsort(segment.columns[0])]
        features = jnp.concatenate([features, table - mean[..., None]], -1)
    columns = [features, mean[..., None]]
    if segment.constants is not None:
        columns.append(jnp.ones_like(columns[-1]))
    batch = features.shape[0]
    shape = (batch, segment.grid[0], -1) if segment.separable else (batch, segment.num_inputs, 1)
    seen = None if segment.mask is None else with_something(segment.mask).reshape(shape)
    columns = jnp.concatenate(columns, axis=-1)
    return Inputs(columns.reshape(*shape, columns.shape[-1]), scale.reshape(shape), seen)


def _parts(u: Float[Array, "B Q C"], segment: Segment) -> tuple[Array, Array, Array]:
    """u by the channels of features (with a single table's), of the tables of several axes, and of constants."""
    first = segment.num_features
    width = sum(table.shape[1] for table in segment.tables)
    if not segment.separable:
        first, width = first + width, 0
    return u[..., :first], u[..., first : first + width], u[..., first + width :]


def _wide_tables(segment: Segment) -> list[Float[Array, "n P"]]:
    """Each axis' table over all P position channels, 0 where they are another axis'.

    Picking each axis' channels out of u instead would make the gradient a scatter over all queries.
    """
    width = sum(len(own) for own in segment.columns)
    slots = [np.full(width, len(own)) for own in segment.columns]  # of each channel in a table, or after its last column
    for columns, own in zip(slots, segment.columns, strict=True):
        columns[np.asarray(own)] = np.arange(len(own))
    padded = [jnp.pad(as_statistics(table), ((0, 0), (0, 1))) for table in segment.tables]
    return [table[:, columns] for table, columns in zip(padded, slots, strict=True)]


def _split(u: Float[Array, "B Q C"], segment: Segment) -> Weights:
    """The weights of the map u -> scores, for each example."""
    features, positions, constants = _parts(u, segment)
    columns = [features, -u[..., features.shape[-1] :].sum(-1, keepdims=True)]
    if segment.constants is not None:
        columns.append(constants @ as_statistics(segment.constants)[:, None])
    columns = jnp.concatenate(columns, -1).mT
    if not segment.separable:
        return Weights(columns, None, None)
    rows, *others = (table @ positions.mT for table in _wide_tables(segment))
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
        marginals = zip([t.rows, *others], _wide_tables(segment), strict=True)
        parts.append(sum(marginal.mT @ table for marginal, table in marginals))
    if segment.constants is not None:
        parts.append(t.columns[:, -1, :, None] * as_statistics(segment.constants))
    return jnp.concatenate([features, *(part - mean for part in parts)], -1)
