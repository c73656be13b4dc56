"""Attention maps of a trained model for one example: attention logits of its cross-attends, drawn (figure 3)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Float

from perceiver_jax.data.batch import Inputs, Masks
from perceiver_jax.model.inputs import Streams
from perceiver_jax.runs.programs import Programs
from perceiver_jax.training.step import Variables


def draw_maps(
    programs: Programs,
    variables: Variables,
    inputs: Inputs,
    masks: Masks,
    output: Path,
    cross_attends: Sequence[int],
    latents: Sequence[int] | None = None,
    overlay: bool = False,
) -> list[Path]:
    """Draws one example's maps, of cross-attends counted from 1 and latents counted from 0; None: as many as fit.

    Each stream has a picture of its own, drawn by its modality: `output`, or with several streams that name and the
    stream's; a stream of which the example has nothing has none. Returns what was written.
    """
    written = []
    every = attention_maps(programs, variables, inputs, masks, cross_attends)
    for stream, modality in programs.problem.modalities.items():
        seen = masks[stream][0] if stream in masks else slice(None)
        if stream in masks and not seen.any():
            continue
        maps = zip(cross_attends, (maps[stream][:, seen] for maps in every), strict=True)
        shown = inputs[stream][0].reshape(-1, inputs[stream].shape[-1])[seen] if stream in masks else inputs[stream][0]
        path = programs.problem.picture_of(output, stream)
        modality.draw_maps(shown, [(f"cross-attend {n}", one) for n, one in maps], path, latents, overlay)
        written.append(path)
    return written


def attention_maps(
    programs: Programs, variables: Variables, inputs: Inputs, masks: Masks, cross_attends: Sequence[int]
) -> list[Mapping[str, Float[np.ndarray, "N M"]]]:
    """Logits before the softmax of every latent at every input, in some cross-attends, by stream; the mean over heads."""

    def logits(variables: Variables, inputs: Streams, masks: Streams) -> list[dict[str, jax.Array]]:
        every = programs.forward(variables, inputs, masks, capture=True).attention_logits
        # The others are never made.
        return [{name: one[0].mean(axis=0) for name, one in every[n - 1].items()} for n in cross_attends]

    whole = NamedSharding(programs.mesh, PartitionSpec())
    return jax.device_get(jax.jit(logits, out_shardings=whole)(variables, inputs, masks))
