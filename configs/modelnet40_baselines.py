"""ModelNet40 for the models that the paper trained beside the Perceiver: clouds placed at random on a grid of 44 x 44.

Paper: Jaegle et al. 2021, "Perceiver: General Perception with Iterative Attention", arXiv 2103.03206 v2.

    python -m experiments.train --config configs/modelnet40_baselines.py:vit2 --workdir runs/vit2

| variant                 | row                          | top-1 % | parameters  | GFLOPs a cloud | a run |
|-------------------------|------------------------------|---------|-------------|----------------|-------|
| transformer44 (default) | table 4: Transformer (44x44) | 82.1    |  12,843,048 | 111.6          | 8.57  |
| vit2                    | table 4: ViT-B-2 (FF)        | 78.9    |  86,649,640 |  92.3          | 7.09  |
| vit4                    | table 4: ViT-B-4 (FF)        | 73.4    |  89,937,448 |  22.4          | 1.72  |
| vit8                    | table 4: ViT-B-8 (FF)        | 65.3    | 104,138,536 |   7.7          | 0.59  |
| vit16                   | table 4: ViT-B-16 (FF)       | 59.6    | 161,183,272 |   3.1          | 0.24  |
| resnet50                | table 4: ResNet-50 (FF)      | 66.3    |  24,794,216 |   1.6          | 0.12  |

Top-1: the authors', on the test split, and the best of a run by that very score. None of ours yet.
GFLOPs: one forward pass, multiply and add counted apart. A run: forward and backward of all steps, in 10^18 FLOPs.

1,936 of a cloud's points are on the grid in an order redrawn every time in training, always the same in evaluation:
neighbours mean nothing. Zeros complete the patches of 8 and 16 that do not divide 44.

The paper gives these models' names and the grid, and no more. All other settings are choices: sizes as in
configs/imagenet_baselines.py, and the Perceiver's own recipe (configs/modelnet40.py), which may suit them less than another.
"""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from configs import modelnet40
from perceiver_jax.settings.config import with_variant

SHARED = dict(
    # The paper's 1,120 is the highest frequency, which is half of this.
    positions=dict(kind="fourier", num_bands=64, max_resolution=(2240.0, 2240.0, 2240.0)),
    permutation_seed=None,  # points are placed at random already
    compute_dtype="float32",
    matmul_precision="float32",
)
TRANSFORMER = dict(
    SHARED,
    kind="transformer",
    channels=512,
    num_layers=8,
    num_heads=8,
    widening_factor=1,  # as the Perceiver's blocks
    remat="layer",  # 30 million attention logits a layer and cloud, of which accumulation lets a device hold few
)
VIT = dict(
    SHARED,
    kind="vit",
    channels=768,
    num_layers=12,
    num_heads=12,
    widening_factor=4,
    remat="none",
    position_embedding=True,  # ViT's own; the paper does not say whether it stayed beside the Fourier features
)
RESNET50 = dict(
    SHARED,
    kind="resnet",
    stage_blocks=(3, 4, 6, 3),
    stem_channels=64,
    statistics_decay=0.9,
    remat="none",
)
GRID = {"data.grid": (44, 44)}
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "transformer44": {**GRID, "model": TRANSFORMER, "optim.accumulation_steps": 4},
    **{f"vit{size}": {**GRID, "model": dict(VIT, patch_size=size)} for size in (2, 4, 8, 16)},
    "resnet50": {**GRID, "model": RESNET50},
}


def get_config(variant: str = "transformer44") -> ConfigDict:
    return with_variant(modelnet40.get_config(), VARIANTS, variant)
