"""The Perceiver (Jaegle et al. 2021, v2) in JAX and Flax.

The model is `Perceiver`, its settings `PerceiverConfig`; `architecture` has those of the paper's rows. `load` opens a
trained run. What is named here is imported when it is first asked for.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

if TYPE_CHECKING:
    from perceiver_jax.model.config import FourierPositions as FourierPositions
    from perceiver_jax.model.config import InputSpec as InputSpec
    from perceiver_jax.model.config import LearnedPositions as LearnedPositions
    from perceiver_jax.model.config import ModalityVectors as ModalityVectors
    from perceiver_jax.model.config import NoPositions as NoPositions
    from perceiver_jax.model.config import PerceiverConfig as PerceiverConfig
    from perceiver_jax.model.perceiver import Perceiver as Perceiver
    from perceiver_jax.runs.load import TrainedRun as TrainedRun
    from perceiver_jax.runs.load import load as load
    from perceiver_jax.settings.rows import architecture as architecture

_HOMES = {
    "Perceiver": "model.perceiver",
    "PerceiverConfig": "model.config",
    "FourierPositions": "model.config",
    "LearnedPositions": "model.config",
    "NoPositions": "model.config",
    "ModalityVectors": "model.config",
    "InputSpec": "model.config",
    "TrainedRun": "runs.load",
    "load": "runs.load",
    "architecture": "settings.rows",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
