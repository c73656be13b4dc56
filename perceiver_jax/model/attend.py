"""softmax(Q K^T) V over keys and values that exist, with its own gradient.

Axes: B examples, H heads, N queries, S keys, K channels a head.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def attention_logits(
    query: Float[Array, "B H N K"], key: Float[Array, "B H S K"], mask: Bool[Array, "B S"] | None = None
) -> Float[Array, "B H N S"]:
    """Q K^T / sqrt(K), float32 or better; the lowest number where `mask` is False."""
    query = query * query.shape[-1] ** -0.5
    wide = jnp.promote_types(query.dtype, jnp.float32)
    logits = jnp.einsum("BHNK,BHSK->BHNS", query, key, preferred_element_type=wide)
    return logits if mask is None else jnp.where(mask[:, None, None], logits, jnp.finfo(wide).min)


def attend(
    query: Float[Array, "B H N K"],
    key: Float[Array, "B H S K"],
    value: Float[Array, "B H S K"],
    mask: Bool[Array, "B S"] | None = None,
) -> Float[Array, "B H N K"]:
    """softmax(Q K^T / sqrt(K)) V, the softmax float32 or better. Where `mask` is False the weight is exactly 0.

    An example without any key that is seen gets zeros, and gives zero gradients. Not for forward-mode differentiation.
    """
    return attend_part(query, key, value, mask)[0]


@jax.custom_vjp
def attend_part(
    query: Float[Array, "B H N K"],
    key: Float[Array, "B H S K"],
    value: Float[Array, "B H S K"],
    mask: Bool[Array, "B S"] | None = None,
) -> tuple[Float[Array, "B H N K"], Float[Array, "B H N"]]:
    """The same, and the logarithm of the softmax's denominator, by which parts of one softmax merge.

    The denominator divides the N x K result, not the N x S weights, and its gradient's inner product is taken
    of the result too: weights are read once in each direction, and of size N x S their numerators alone are kept.
    """
    return _forward(query, key, value, mask)[0]


def _forward(query, key, value, mask):
    logits = attention_logits(query, key, None if mask is None else with_something(mask))
    highest = logits.max(axis=-1, keepdims=True)
    numerator = jnp.exp(logits - highest)
    denominator = numerator.sum(axis=-1, keepdims=True)
    numerator = numerator.astype(value.dtype)
    summed = jnp.einsum("BHNS,BHSK->BHNK", numerator, value, preferred_element_type=logits.dtype)
    result = wiped((summed / denominator).astype(value.dtype), mask)
    log_denominator = weighed((highest + jnp.log(denominator))[..., 0], mask)
    return (result, log_denominator), (query, key, value, mask, numerator, denominator, result)


def _backward(kept, cotangents):
    dresult, dlog = cotangents
    query, key, value, mask, numerator, denominator, result = kept
    wide = denominator.dtype
    share = wiped(dresult, mask).astype(wide) / denominator
    # Of a weight a gradient a (da - inner): inner is the sum of a da over the keys, less what the denominator asks for.
    inner = jnp.sum(share * result, axis=-1, keepdims=True) - wiped(dlog, mask)[..., None] / denominator
    share = share.astype(value.dtype)
    dvalue = jnp.einsum("BHNS,BHNK->BHSK", numerator, share)
    dweights = jnp.einsum("BHNK,BHSK->BHNS", share, value, preferred_element_type=wide)
    dlogits = (numerator * ((dweights - inner) * query.shape[-1] ** -0.5)).astype(query.dtype)
    dquery = jnp.einsum("BHNS,BHSK->BHNK", dlogits, key)
    dkey = jnp.einsum("BHNS,BHNK->BHSK", dlogits, query)
    return dquery, dkey, dvalue, None


def with_something(mask: Bool[Array, "B S"]) -> Bool[Array, "B S"]:
    """The mask, True throughout where an example has nothing to see: what comes of that is finite, and `wiped`."""
    return mask | ~mask.any(axis=1, keepdims=True)


def wiped(x: Float[Array, "B *rest"], mask: Bool[Array, "B S"] | None) -> Float[Array, "B *rest"]:
    """x, 0 where an example has nothing to see."""
    if mask is None:
        return x
    return jnp.where(mask.any(axis=1).reshape(-1, *(1,) * (x.ndim - 1)), x, 0)


def weighed(log_denominator: Float[Array, "B *rest"], mask: Bool[Array, "B S"] | None) -> Float[Array, "B *rest"]:
    """The logarithm of a denominator, the lowest number where an example has nothing to see: merged, that weighs 0."""
    if mask is None:
        return log_denominator
    seen = mask.any(axis=1).reshape(-1, *(1,) * (log_denominator.ndim - 1))
    return jnp.where(seen, log_denominator, jnp.finfo(log_denominator.dtype).min)


attend_part.defvjp(_forward, _backward)
