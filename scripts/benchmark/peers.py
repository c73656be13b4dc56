"""Other implementations of the Perceiver in PyTorch, set to the same architecture, where they are installed.

`transformers`: its PerceiverLayer, composed as in the paper, the same numbers of parameters and operations.
`perceiver-pytorch`: its class Perceiver, which is near and not the same: no biases of queries, keys and values; a gated MLP
(here of width 1, as shipped 4); a LayerNorm before the head; other numbers of bands' frequencies.
"""

import importlib.util
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from perceiver_jax.model.config import FourierPositions, InputSpec
from perceiver_jax.model.positions import axis_table, channel_order
from perceiver_jax.model.schedule import num_weights
from perceiver_jax.section import of_stream
from perceiver_jax.system.processor import num_cores
from scripts.benchmark.shapes import LEARNING_RATE, Shape

PACKAGES = {"transformers": ("torch", "transformers"), "perceiver-pytorch": ("torch", "perceiver-pytorch")}  # of each


def missing(peer: str) -> list[str]:
    """The packages that a peer needs and that are not installed."""
    return [name for name in PACKAGES[peer] if importlib.util.find_spec(name.replace("-", "_")) is None]


def fits(peer: str, shape: Shape) -> bool:
    """Whether a peer can be set to a shape: `perceiver-pytorch` reads one stream."""
    return peer == "transformers" or len(shape.inputs) == 1


def build(peer: str, operation: str, shape: Shape) -> tuple[Callable[[], float], int]:
    """The step of a peer, which gives its loss or the root mean square of its logits, and its operations, matmuls alone.

    To give a number it waits for the device.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    # As many threads as JAX takes.
    torch.set_num_threads(num_cores())
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"  # the card that JAX takes
    model = {"transformers": _transformers, "perceiver-pytorch": _perceiver_pytorch}[peer](shape).to(device)
    sizes = [(shape.batch, *spec.grid, spec.num_features) for spec in shape.inputs]
    features = [torch.randn(size, device=device) for size in sizes]
    labels = torch.arange(shape.batch, device=device) % shape.num_classes
    optimizer = torch.optim.SGD(model.parameters(), LEARNING_RATE)

    def forward() -> float:
        with torch.inference_mode():
            return model(*features).square().mean().sqrt().item()

    def train_step() -> float:
        optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.cross_entropy(model(*features), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    step = {"forward": forward, "train_step": train_step}[operation]
    with FlopCounterMode(display=False) as counter:
        model(*features) if operation == "forward" else step()  # it cannot count in inference mode
    return step, counter.get_total_flops()


def device_bytes() -> int | None:
    """The most that PyTorch has held on the card; None without one."""
    import torch

    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None


def _transformers(shape: Shape) -> Any:
    """A model of PerceiverLayers that walks the schedule."""
    import torch
    from transformers import PerceiverConfig
    from transformers.models.perceiver.modeling_perceiver import PerceiverLayer

    model, positions = shape.model, [_position_array(shape, spec) for spec in shape.inputs]
    widths = [spec.num_features + own.shape[-1] for spec, own in zip(shape.inputs, positions, strict=True)]
    config = PerceiverConfig(hidden_act="gelu_pytorch_tanh", attention_probs_dropout_prob=0.0)
    latent_channels = model.latent_channels
    channels = max(widths) + (model.modality_vectors.channels if model.modality_vectors else 0)

    def layer(cross: bool) -> Any:
        width, heads = (channels, model.num_cross_attend_heads) if cross else (latent_channels, model.num_self_attend_heads)
        return PerceiverLayer(
            config,
            is_cross_attention=cross,
            qk_channels=width,
            v_channels=width,
            num_heads=heads,
            q_dim=latent_channels,
            kv_dim=width,
            widening_factor=model.widening_factor,
            use_query_residual=True,
        )

    class Composed(torch.nn.Module):
        """The paper's layout."""

        def __init__(self):
            super().__init__()
            self.latents = torch.nn.Parameter(0.02 * torch.randn(model.num_latents, latent_channels))
            self.cross_attends = torch.nn.ModuleList(layer(True) for _ in range(num_weights(model.schedule, "cross_attend")))
            layers = model.num_self_attends_per_block
            blocks = ([layer(False) for _ in range(layers)] for _ in range(num_weights(model.schedule, "self_attends")))
            self.self_attends = torch.nn.ModuleList(torch.nn.ModuleList(block) for block in blocks)
            self.logits = torch.nn.Linear(latent_channels, shape.num_classes)
            self.positions = torch.nn.ParameterList(torch.from_numpy(own) for own in positions).requires_grad_(False)
            vectors = [0.02 * torch.randn(channels - width) for width in widths]  # empty where there is one stream
            self.vectors = torch.nn.ParameterList(vectors)

        def forward(self, *features: Any) -> Any:
            batch, streams = len(features[0]), []
            for own, positions, vector in zip(features, self.positions, self.vectors, strict=True):
                rows = own.reshape(batch, -1, own.shape[-1])
                same = torch.cat([positions, vector.expand(len(positions), -1)], dim=-1)
                streams.append(torch.cat([rows, same.expand(batch, -1, -1)], dim=-1))
            inputs = torch.cat(streams, dim=1)
            latents = self.latents.expand(batch, -1, -1)
            for use in model.schedule:
                if use.kind == "cross_attend":
                    latents = self.cross_attends[use.weights](latents, inputs=inputs)[0]
                    continue
                for module in self.self_attends[use.weights]:
                    latents = module(latents)[0]
            return self.logits(latents.mean(dim=1))

    return Composed()


def _perceiver_pytorch(shape: Shape) -> Any:
    """Its own class, with MLPs of width 1."""
    from perceiver_pytorch import Perceiver
    from perceiver_pytorch.perceiver_pytorch import FeedForward, PreNorm

    model, (spec,) = shape.model, shape.inputs
    positions = of_stream(model.positions, spec.name)
    fourier = isinstance(positions, FourierPositions)
    perceiver = Perceiver(
        num_freq_bands=positions.num_bands if fourier else 1,
        max_freq=max(spec.grid),
        depth=model.num_blocks,
        input_channels=spec.num_features,
        input_axis=len(spec.grid),
        num_latents=model.num_latents,
        latent_dim=model.latent_channels,
        cross_heads=model.num_cross_attend_heads,
        cross_dim_head=spec.num_features + _position_array(shape, spec).shape[-1],
        latent_heads=model.num_self_attend_heads,
        latent_dim_head=model.latent_channels // model.num_self_attend_heads,
        num_classes=shape.num_classes,
        weight_tie_layers=model.sharing == "paper",
        fourier_encode_data=fourier,
        self_per_cross_attn=model.num_self_attends_per_block,
    )
    for module in list(perceiver.modules()):
        if isinstance(module, PreNorm) and isinstance(module.fn, FeedForward):
            module.fn = FeedForward(model.latent_channels, mult=model.widening_factor)
    return perceiver


def _position_array(shape: Shape, spec: InputSpec) -> np.ndarray:
    """The position channels of every input of a stream, (M, channels)."""
    positions, axes = of_stream(shape.model.positions, spec.name), len(spec.grid)
    if not isinstance(positions, FourierPositions):
        return np.zeros((math.prod(spec.grid), 0), np.float32)
    places = np.indices(spec.grid).reshape(axes, -1)
    lengths = zip(spec.grid, positions.max_resolution, places, strict=True)
    tables = [axis_table(length, positions.num_bands, mu)[place] for length, mu, place in lengths]
    order = np.argsort(np.concatenate(channel_order(axes, positions.num_bands)))
    return np.concatenate(tables, axis=1)[:, order].astype(np.float32)
