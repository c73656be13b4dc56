"""The Perceiver (Jaegle et al. 2021, v2) in JAX and Flax."""

__version__ = "0.1.0"
