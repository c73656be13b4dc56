"""ImageNet from 50,176 pixels: the paper's best model, and with a variant each row of its tables.

Paper: Jaegle et al. 2021, "Perceiver: General Perception with Iterative Attention", arXiv 2103.03206 v2.
`io`: Perceiver IO, arXiv 2107.14795, table 7, row "Perceiver IO, config A" with Fourier features.

    python -m experiments.train --config configs/imagenet.py --workdir runs/imagenet
    python -m experiments.train --config configs/imagenet.py:table6_at_start_2 --workdir runs/table6_at_start_2

| variant              | row                       | top-1 % | parameters  | GFLOPs an image | a run |
|----------------------|---------------------------|---------|-------------|-----------------|-------|
| fourier (default)    | tables 1, 2: Perceiver FF | 78.0    |  44,912,254 | 707.2           | 3.3   |
| learned              | table 2: learned position | 70.9    |  48,189,577 | 380.5           | 1.8   |
| permuted             | table 2: permuted, FF     | 78.0    |  44,912,254 | 707.2           | 3.3   |
| table5_4             | table 5                   | 39.4    |  12,654,868 | 173.1           | 0.8   |
| table5_8             | table 5                   | 45.3    |  23,760,448 | 346.1           | 1.6   |
| table5_12            | table 5: out of memory    | -       |  34,866,028 | 519.2           | 2.4   |
| table6_at_start_1    | table 6 (= interleaved_1) | 76.7    |  42,135,859 | 404.3           | 1.9   |
| table6_at_start_2    | table 6                   | 76.7    |  44,912,254 | 447.6           | 2.1   |
| table6_at_start_4    | table 6                   | 75.9    |  44,912,254 | 534.1           | 2.5   |
| table6_at_start_8    | table 6                   | 73.7    |  44,912,254 | 707.2           | 3.3   |
| table6_interleaved_1 | table 6                   | 76.7    |  42,135,859 | 404.3           | 1.9   |
| table6_interleaved_2 | table 6                   | 76.5    |  44,912,254 | 447.6           | 2.1   |
| table6_interleaved_4 | table 6                   | 76.5    |  44,912,254 | 534.1           | 2.5   |
| table6_interleaved_8 | table 6 (= fourier)       | 78.0    |  44,912,254 | 707.2           | 3.3   |
| table7_shared        | table 7 (= fourier)       | 78.0    |  44,912,254 | 707.2           | 3.3   |
| table7_unshared      | table 7                   | 72.9    | 326,241,856 | 707.2           | 3.3   |
| io                   | Perceiver IO, table 7     | 79.0    |  48,440,627 | 406.5           | 1.7   |
| fig5                 | figure 5: the base        | -       |  15,264,382 | 100.0           | 1.0   |
| fig6                 | figure 6: the base        | -       |  44,912,254 | 707.2           | 3.3   |

Top-1: the authors', on ImageNet's validation set (here the split `test`). None of ours yet. On its training set table 7 has
79.5 for shared weights and 87.7 for unshared ones, which overfit.
GFLOPs: one forward pass, multiply and add counted apart. A run: forward and backward of all epochs, in 10^20 FLOPs.
Hardware: the authors name up to 64 TPUs for the large models, but no hours. Perceiver IO's authors give for one cross-attend
4.73 updates a second on 64 TPU v3, with learned positions 4.16, for `io` 4.85: 8 to 9 hours.

Positions are of the crop. Of the whole picture (--config.augment.position_frame=image) they overfit, says figure 4.

Figures 5 and 6 vary one setting at a time: experiments/sweeps/fig5.py and fig6.py list them, `experiments.sweep` runs them,
`experiments.reproduce --table fig5` prints them.

`permuted` changes no line. The paper shuffles the pixels after attaching their positions, one way for all pictures;
attention sums over its inputs in any order, so the Perceiver computes the same function and the row is the same run.
"""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from perceiver_jax.settings.config import with_variant

VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "fourier": {},
    "learned": {
        # With 8 cross-attends learned positions were unstable; a scale of 1 worked best for them (appendix B).
        "model.num_cross_attends": 1,
        "model.positions": dict(kind="learned", channels=128, init_scale=1.0),
    },
    "permuted": {},
    **{f"table5_{n}": {"model.num_blocks": 0, "model.num_cross_attends": n, "model.sharing": "none"} for n in (4, 8, 12)},
    **{
        f"table6_{arrangement}_{n}": {"model.arrangement": arrangement, "model.num_cross_attends": n}
        for arrangement in ("at_start", "interleaved")
        for n in (1, 2, 4, 8)
    },
    "table7_shared": {},
    "table7_unshared": {"model.sharing": "none"},
    "fig5": {
        "model.latent_channels": 512,
        "model.num_blocks": 2,
        "model.num_cross_attends": 2,
        "model.num_self_attends_per_block": 4,
        "model.sharing": "none",
        "data.batch_size": 64,
        "train.duration": "5000000 steps",
    },
    "fig6": {"data.batch_size": 256},
    # Not theirs: the final layer starts at zero, as this paper's does; Perceiver IO's starts as every linear layer.
    "io": {
        "augment.mix": dict(kind="mixup_cutmix", mixup_alpha=0.2, cutmix_alpha=1.0),
        "model.num_cross_attends": 1,
        "model.head": "query",
        "optim.learning_rate": 0.002,
        "optim.schedule": dict(kind="flat_cosine", flat_fraction=0.5),
        "train.duration": "110 epochs",
        "task.label_smoothing": 0.1,  # of the authors' code; the paper does not mention it
    },
}


def get_config(variant: str = "fourier") -> ConfigDict:
    config = ConfigDict(
        dict(
            seed=0,
            task=dict(kind="single_label", label_smoothing=0.0),
            model=dict(
                kind="perceiver",
                num_latents=512,
                latent_channels=1024,
                latent_init_scale=0.02,
                num_blocks=8,
                num_cross_attends=8,
                num_self_attends_per_block=6,
                arrangement="interleaved",
                sharing="paper",
                num_cross_attend_heads=1,
                num_self_attend_heads=8,
                widening_factor=1,
                modality_vectors=None,
                positions=dict(kind="fourier", num_bands=64, max_resolution=(224.0, 224.0)),
                head="mean_linear",
                compute_dtype="float32",  # the authors'; bfloat16 halves time and memory on accelerators
                matmul_precision="float32",  # not TF32, nor bfloat16 products on TPU: JAX's silent default there
                remat="layer",  # 48 self-attends and 8 cross-attends of 25.7 million attention logits each
            ),
            data=dict(
                kind="imagenet2012",
                data_dir="~/tensorflow_datasets",
                image_size=224,
                batch_size=1024,  # Perceiver IO's; the paper names none
                eval_batch_size=1024,
                validation_examples=0,  # as published; 10_000 to choose settings without looking at the test split
                sampling="shuffle",
                num_workers=16,
                prefetch_batches=4,
            ),
            views=dict(num_evaluation=1, stream_dropout={}, dropped="zeroed"),
            augment=dict(
                kind="inception",
                # Numbers of the authors' code: the paper says "Inception-style" and "RandAugment", Perceiver IO 4 and 5.
                crop=dict(area=(0.08, 1.0), aspect=(3 / 4, 4 / 3), min_object_covered=0.1, attempts=10),
                flip_probability=0.5,
                randaugment=dict(num_layers=4, magnitude=5.0, fill=128, unit="pixels", cutout=40.0, translate=100.0),
                evaluation_crop=224 / 256,
                position_frame="crop",
                mix=dict(kind="none"),
            ),
            optim=dict(
                kind="lamb",
                learning_rate=0.004,
                schedule=dict(kind="steps", milestones=(0.7, 0.85, 0.95), factor=0.1),  # epochs 84, 102, 114
                b1=0.9,
                b2=0.999,
                eps=1e-6,
                weight_decay=0.1,  # this and the next are Perceiver IO's; the paper names none
                clip_norm=10.0,
                accumulation_steps=1,
                ema_decay=None,
            ),
            train=dict(
                duration="120 epochs",
                log_every="100 steps",
                eval_every="1 epochs",
                eval_splits=("test",),
                checkpoint_every="1 epochs",
                keep_checkpoints=2,
            ),
            mesh=dict(model=1, inputs=1, virtual_shards=None),
        )
    )
    return with_variant(config, VARIANTS, variant)
