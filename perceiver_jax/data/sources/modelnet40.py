"""STUB of ModelNet40."""

from typing import Annotated, Literal

from perceiver_jax.data.config import DataConfig, Spec
from perceiver_jax.section import Count, Tiny


class Config(DataConfig):
    """STUB."""

    source: Literal["modelnet40"]
    data_dir: str
    grid: Annotated[tuple[Count, ...], Tiny(32)]


def spec(config: Config) -> Spec:
    """STUB."""
    return Spec(
        modality="point_cloud",
        shape=(*config.grid, 0),
        classes=tuple(map(str, range(40))),
        num_examples={"train": 9843, "test": 2468},
        mean=(),
        std=(),
        baselines={},
    )
