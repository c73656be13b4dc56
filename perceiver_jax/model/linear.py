"""The linear layer, with a gradient laid out for matmul libraries."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float


class Linear(nnx.Module):
    """x W + b. W is LeCun-normal (or zero), b zero. Parameters keep their type; the product is taken in `dtype`."""

    def __init__(self, fan_in: int, fan_out: int, dtype: jnp.dtype | None, rngs: nnx.Rngs, zero: bool = False):
        init = nnx.initializers.zeros_init() if zero else nnx.initializers.lecun_normal()
        self.kernel = nnx.Param(init(rngs.params(), (fan_in, fan_out)))
        self.bias = nnx.Param(jnp.zeros(fan_out))
        self.dtype = dtype

    def __call__(self, x: Float[Array, "*batch fan_in"]) -> Float[Array, "*batch fan_out"]:
        """The layer's output, in `dtype`, or in the type of its input if None."""
        dtype = self.dtype or x.dtype
        return affine(x.astype(dtype), self.kernel[...].astype(dtype), self.bias[...].astype(dtype))


@jax.custom_vjp
def affine(
    x: Float[Array, "*batch fan_in"], kernel: Float[Array, "fan_in fan_out"], bias: Float[Array, " fan_out"]
) -> Float[Array, "*batch fan_out"]:
    """x W + b.

    Its gradient to W is one product x^T dy over all rows. JAX's own rule gives the transpose of that, and XLA's CPU code
    then computes what feeds the product again within a strided copy: quadratic work in a deep residual network. The
    gradient to b is a product with ones for the same reason. Not for forward-mode differentiation.
    """
    return x @ kernel + bias


def _forward(x, kernel, bias):
    return affine(x, kernel, bias), (x, kernel)


def _backward(kept, dy):
    x, kernel = kept
    rows, drows = x.reshape(-1, x.shape[-1]), dy.reshape(-1, dy.shape[-1])
    return dy @ kernel.T, rows.T @ drows, jnp.ones(drows.shape[0], dy.dtype) @ drows


affine.defvjp(_forward, _backward)
