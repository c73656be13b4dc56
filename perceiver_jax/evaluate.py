"""What a set of parameters is worth: exact metrics of a split, and what its cross-attends look at."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh

from perceiver_jax.config import Config
from perceiver_jax.data import pipeline
from perceiver_jax.report.maps import draw_attention_maps
from perceiver_jax.training import devices, losses, metrics
from perceiver_jax.training.step import Batch

Evaluate = Callable[[Any, Batch], metrics.Sums]


def make_evaluate(graph: nnx.GraphDef, label_smoothing: float) -> Evaluate:
    """The jitted function (params, batch) -> metric sums of one batch; padding has weight 0."""

    @jax.jit
    def evaluate(params: Any, batch: Batch) -> metrics.Sums:
        logits = nnx.merge(graph, params)(batch["inputs"]).logits
        each = losses.softmax_cross_entropy(logits, batch["labels"], label_smoothing)
        return metrics.classification_sums(logits, batch["labels"], each, batch["weights"])

    return evaluate


def evaluate_split(
    evaluate: Evaluate, params: Any, batches: pipeline.Batches, mesh: Mesh, should_stop: Callable[[], Any]
) -> dict[str, float] | None:
    """The metrics over all examples of a split, each counted once; None if asked to stop on the way."""
    total = None
    with contextlib.closing(batches):
        for batch in batches:
            if should_stop():
                return None
            total = metrics.add(total, evaluate(params, devices.to_devices(batch, mesh)))
    return metrics.means(jax.device_get(total))


def draw_maps(config: Config, graph: nnx.GraphDef, params: Any, output: Path) -> None:
    """Draws what every latent looks at in the first test example: the attention logits of the first and later cross-attends."""
    with contextlib.closing(pipeline.eval_batches(config.data, "test")) as batches:
        example = next(batches)["inputs"][:1]
    forward = jax.jit(lambda params, inputs: nnx.merge(graph, params)(inputs, capture=True).attention_logits)
    maps = [np.asarray(logits[0].mean(axis=0)) for logits in forward(params, jnp.asarray(example))]
    shown = sorted({0, min(1, len(maps) - 1), len(maps) - 1})  # figure 3 shows the first, the second and the last
    grid, spec = config.spec.shape[:-1], config.spec
    picture = np.clip((example[0] * np.asarray(spec.std) + np.asarray(spec.mean)) / 255, 0, 1)
    draw_attention_maps(picture, [(f"cross-attend {i + 1}", maps[i].reshape(-1, *grid)) for i in shown], output)
