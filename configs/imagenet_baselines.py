"""ImageNet for the models that the paper trained beside the Perceiver, from pixels with the same Fourier features.

Paper: Jaegle et al. 2021, "Perceiver: General Perception with Iterative Attention", arXiv 2103.03206 v2.

    python -m experiments.train --config configs/imagenet_baselines.py:vit_b16 --workdir runs/vit_b16
    python -m experiments.train --config configs/imagenet_baselines.py:permuted_vit_b16 --workdir runs/permuted_vit_b16

| variant                | row                               | top-1 % | parameters  | GFLOPs an image | a run |
|------------------------|-----------------------------------|---------|-------------|-----------------|-------|
| resnet50 (default)     | tables 1, 2: ResNet-50 (FF)       | 73.5    |  26,366,120 |  28.5           | 0.13  |
| vit_b16                | tables 1, 2: ViT-B-16 (FF)        | 76.7    | 137,292,520 |  55.0           | 0.25  |
| transformer64          | tables 1, 2: Transformer (64x64)  | 57.0    |  13,271,016 | 382.3           | 1.76  |
| permuted_resnet50      | table 2: permuted                 | 39.4    |  26,366,120 |  28.5           | 0.13  |
| permuted_vit_b16       | table 2: permuted                 | 61.7    | 137,292,520 |  55.0           | 0.25  |
| permuted_transformer64 | table 2: permuted                 | 57.0    |  13,271,016 | 382.3           | 1.76  |

Top-1: the authors', on ImageNet's validation set (here the split `test`). None of ours yet.
GFLOPs: one forward pass, multiply and add counted apart. A run: forward and backward of all epochs, in 10^20 FLOPs.

`permuted`: one order for all pictures, drawn once, after pixels have their positions. The Transformer sums over its inputs
in any order and computes the same function, as the Perceiver does; ViT and ResNet lose their neighbourhoods.

The paper gives these models' names, their input and the Transformer's 64 x 64 pixels, and no more. All other settings are
choices: sizes as ViT-B/16 and ResNet-50 (v1.5) are known by, for the Transformer layers like the Perceiver's; and the
Perceiver's own recipe (configs/imagenet.py) of augmentation, optimiser and lengths, which may suit them less than another.
"""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from configs import imagenet
from perceiver_jax.settings.config import with_variant

RESNET50 = dict(
    kind="resnet",
    positions=dict(kind="fourier", num_bands=64, max_resolution=(224.0, 224.0)),
    permutation_seed=None,
    compute_dtype="float32",
    matmul_precision="float32",
    stage_blocks=(3, 4, 6, 3),
    stem_channels=64,
    statistics_decay=0.9,
    remat="none",
)
VIT_B16 = dict(
    kind="vit",
    positions=dict(kind="fourier", num_bands=64, max_resolution=(224.0, 224.0)),
    permutation_seed=None,
    compute_dtype="float32",
    matmul_precision="float32",
    channels=768,
    num_layers=12,
    num_heads=12,
    widening_factor=4,
    remat="none",
    patch_size=16,
    position_embedding=True,  # ViT's own; the paper does not say whether it stayed beside the Fourier features
)
TRANSFORMER64 = dict(
    kind="transformer",
    positions=dict(kind="fourier", num_bands=64, max_resolution=(64.0, 64.0)),
    permutation_seed=None,
    compute_dtype="float32",
    matmul_precision="float32",
    channels=512,
    num_layers=8,
    num_heads=8,
    widening_factor=1,  # as the Perceiver's blocks
    remat="layer",  # 134 million attention logits a layer and picture, of which accumulation lets a device hold few
)
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "resnet50": {"model": RESNET50},
    "vit_b16": {"model": VIT_B16},
    "transformer64": {"model": TRANSFORMER64, "data.image_size": 64, "optim.accumulation_steps": 4},
    "permuted_resnet50": {"model": RESNET50, "model.permutation_seed": 0},
    "permuted_vit_b16": {"model": VIT_B16, "model.permutation_seed": 0},
    "permuted_transformer64": {
        "model": TRANSFORMER64,
        "model.permutation_seed": 0,
        "data.image_size": 64,
        "optim.accumulation_steps": 4,
    },
}


def get_config(variant: str = "resnet50") -> ConfigDict:
    return with_variant(imagenet.get_config(), VARIANTS, variant)
