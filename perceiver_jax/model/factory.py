"""Makes the model of any config, of the paper's and of those beside it."""

import functools
import pkgutil
from collections.abc import Sequence

from flax import nnx

from perceiver_jax.model.config import InputSpec, ModelConfig


def make_model(config: ModelConfig, inputs: Sequence[InputSpec], num_outputs: int, rngs: nnx.Rngs) -> nnx.Module:
    """The model, for streams of inputs as they are described. Its class is imported here, when a model is made."""
    return pkgutil.resolve_name(config.model_class)(config, inputs, num_outputs, rngs)


@functools.lru_cache(maxsize=1)  # all counts of one run ask for it; nobody changes it
def abstract_model(config: ModelConfig, inputs: tuple[InputSpec, ...], num_outputs: int) -> nnx.Module:
    """The model with shapes in place of arrays."""
    return nnx.eval_shape(lambda: make_model(config, inputs, num_outputs, nnx.Rngs(0)))
