"""What the latents of a trained model look at in an example: attention logits of its cross-attends, drawn (Fig. 3)."""

from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Float32

from perceiver_jax.report.clouds import draw_attention_clouds
from perceiver_jax.report.maps import draw_attention_maps
from perceiver_jax.runs.programs import Experiment
from perceiver_jax.settings.config import Config
from perceiver_jax.training.step import Variables


def draw_maps(
    experiment: Experiment,
    variables: Variables,
    inputs: Float32[np.ndarray, "*grid F"],
    output: Path,
    cross_attends: Sequence[int],
    latents: Sequence[int] | None = None,
    overlay: bool = False,
) -> None:
    """Draws one example's maps, of cross-attends counted from 1 and latents counted from 0; None: those there is room for.

    With `overlay` a map of a picture is the input itself, dark where the latent looks least; that of a cloud always is.
    """
    maps = attention_maps(experiment, variables, inputs, cross_attends)
    titled = [(f"cross-attend {n}", one) for n, one in zip(cross_attends, maps, strict=True)]
    if experiment.config.spec.modality == "points":
        flat = [(title, logits.reshape(len(logits), -1)) for title, logits in titled]
        draw_attention_clouds(inputs.reshape(-1, inputs.shape[-1]), flat, output, latents)
    else:
        draw_attention_maps(_picture(experiment.config, inputs), titled, output, latents, overlay)


def attention_maps(
    experiment: Experiment, variables: Variables, inputs: Float32[np.ndarray, "*grid F"], cross_attends: Sequence[int]
) -> list[Float[np.ndarray, "N *grid"]]:
    """Logits before the softmax of every latent at every input, in some cross-attends, the mean over heads."""

    def logits(variables: Variables, inputs: jax.Array) -> list[jax.Array]:
        every = experiment.forward(variables, inputs, capture=True).attention_logits
        (stream,) = experiment.config.inputs
        return [every[n - 1][stream.name][0].mean(axis=0) for n in cross_attends]  # the others are never made

    grid = experiment.config.spec.shape[:-1]
    return [np.asarray(one).reshape(-1, *grid) for one in jax.jit(logits)(variables, jnp.asarray(inputs[None]))]


def _picture(config: Config, inputs: Float32[np.ndarray, "*grid F"]) -> Float32[np.ndarray, "*grid C"]:
    """The input as it was before it was normalised, from 0 to 1; its coordinates, if any, left out."""
    mean, std = (np.asarray(numbers, np.float32) for numbers in (config.spec.mean, config.spec.std))
    return np.clip((inputs[..., : len(mean)] * std + mean) / 255, 0, 1)
