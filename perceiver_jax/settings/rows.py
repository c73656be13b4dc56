"""The architectures of the paper's rows, from the config files that hold their numbers."""

from perceiver_jax.model.config import ModelConfig
from perceiver_jax.settings.config import parse
from perceiver_jax.settings.files import load_config, shipped


def architecture(row: str) -> ModelConfig:
    """The model's settings of one of the project's configs, as `imagenet:table6_at_start_2`; no variant: the paper's best.

    Raises Failure(CONFIG) naming the variants there are.
    """
    name, _, variant = row.partition(":")
    return parse(load_config(shipped(name), variant)).model
