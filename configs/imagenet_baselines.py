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

from perceiver_jax.settings.config import with_variant

RESNET50 = dict(
    kind="resnet",
    positions=dict(kind="fourier", num_bands=64, max_resolution=(224.0, 224.0)),
    permutation_seed=None,
    compute_dtype="float32",
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
    config = ConfigDict(
        dict(
            seed=0,
            model=RESNET50,
            data=dict(
                source="imagenet2012",
                data_dir="~/tensorflow_datasets",
                image_size=224,
                batch_size=1024,
                eval_batch_size=1024,
                validation_examples=0,  # as published; 10_000 to choose settings without looking at the test split
                num_workers=16,
                prefetch_batches=4,
            ),
            augment=dict(
                kind="inception",
                crop=dict(area=(0.08, 1.0), aspect=(3 / 4, 4 / 3), min_object_covered=0.1, attempts=10),
                flip_probability=0.5,
                randaugment=dict(num_layers=4, magnitude=5.0, fill=128, cutout_pixels=40, translate_pixels=100),
                evaluation_crop=224 / 256,
                position_frame="crop",
                mix=dict(kind="none"),
            ),
            optim=dict(
                name="lamb",
                learning_rate=0.004,
                schedule=dict(kind="steps", milestones=(0.7, 0.85, 0.95), factor=0.1),  # epochs 84, 102, 114
                b1=0.9,
                b2=0.999,
                eps=1e-6,
                weight_decay=0.1,
                clip_norm=10.0,
                accumulation_steps=1,
                ema_decay=None,
            ),
            train=dict(
                duration="120 epochs",
                label_smoothing=0.0,
                log_every="100 steps",
                eval_every="1 epochs",
                eval_splits=("test",),
                checkpoint_every="1 epochs",
                keep_checkpoints=2,
            ),
            mesh=dict(model=1, inputs=1),
        )
    )
    return with_variant(config, VARIANTS, variant)
