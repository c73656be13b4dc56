"""What a set of parameters is worth: exact metrics of a split, and what its cross-attends look at."""

import contextlib
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from perceiver_jax.data import pipeline
from perceiver_jax.experiment import Experiment
from perceiver_jax.report.maps import draw_attention_maps
from perceiver_jax.signals import StopFlag
from perceiver_jax.training import devices, metrics


def evaluate(experiment: Experiment, params: Any, split: str, stop: StopFlag) -> dict[str, float] | None:
    """The metrics over all examples of a split, each counted once; None if asked to stop on the way."""
    total = None
    with contextlib.closing(pipeline.eval_batches(experiment.config.data, split)) as batches:
        for batch in batches:
            if stop.should_stop is not None:
                return None
            total = metrics.add(total, experiment.evaluate(params, devices.to_devices(batch, experiment.mesh)))
    return metrics.means(jax.device_get(total))


def draw_maps(experiment: Experiment, params: Any, output: Path) -> None:
    """Draws what every latent looks at in the first test example, in the first, the second and the last cross-attend."""
    spec = experiment.config.spec
    data = experiment.config.data.model_copy(update={"num_workers": 0})  # processes would cost seconds for one example
    with contextlib.closing(pipeline.eval_batches(data, "test")) as batches:
        example = next(batches)["inputs"][:1]
    forward = jax.jit(lambda params, inputs: experiment.forward(params, inputs, capture=True).attention_logits)
    maps = [np.asarray(logits[0].mean(axis=0)) for logits in forward(params, jnp.asarray(example))]
    shown = sorted({0, min(1, len(maps) - 1), len(maps) - 1})  # as figure 3 does
    titled = [(f"cross-attend {i + 1}", maps[i].reshape(-1, *spec.shape[:-1])) for i in shown]
    picture = np.clip((example[0] * np.asarray(spec.std) + np.asarray(spec.mean)) / 255, 0, 1)
    draw_attention_maps(picture, titled, output)
