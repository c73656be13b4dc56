"""Electronic parts in 30 classes: KiCad's models as clouds of 512 points, in a few minutes on a laptop.

Not in the paper. The models are Debian's package kicad-packages3d; whole families are in one split,
so test shapes have no siblings among those that are trained on. A part's size says much about its class, so coordinates
keep it.

    python -m scripts.kicad.prepare --source /usr/share/kicad/3dmodels --data_dir ~/kicad
    python -m experiments.train --config configs/kicad.py --config.data.data_dir=~/kicad --workdir runs/kicad

`plain` has no augmentation: its effect is in docs/results.md.
"""

from ml_collections import ConfigDict

from perceiver_jax.settings.config import with_variant

VARIANTS = {
    "augmented": {},
    "plain": {"augment": dict(kind="none", extent=10.0, half_side=1.0)},
}


def get_config(variant: str = "augmented") -> ConfigDict:
    config = ConfigDict(
        dict(
            seed=0,
            task=dict(kind="single_label", label_smoothing=0.1),
            model=dict(
                kind="perceiver",
                num_latents=32,
                latent_channels=64,
                latent_init_scale=1.0,  # the paper's 0.02 learns too slowly for so short a run: latents stay alike for long
                num_blocks=2,
                num_cross_attends=2,
                num_self_attends_per_block=2,
                arrangement="interleaved",
                sharing="paper",
                num_cross_attend_heads=1,
                num_self_attend_heads=4,
                widening_factor=1,
                modality_vectors=None,
                positions=dict(kind="fourier", num_bands=8, max_resolution=(16.0, 16.0, 16.0)),
                head="mean_linear",
                compute_dtype="float32",
                matmul_precision="float32",
                remat="none",
            ),
            data=dict(
                kind="point_folder",
                data_dir="kicad",
                grid=(512,),
                vertical="z",
                few_points="repeat",
                labels=None,
                test_percent=20.0,
                max_bad=0,
                batch_size=32,
                eval_batch_size=250,
                validation_examples=0,
                sampling="shuffle",
                num_workers=0,
                prefetch_batches=4,
            ),
            views=dict(num_evaluation=1, stream_dropout={}, dropped="zeroed"),
            augment=dict(
                kind="points",
                subset="random",  # 512 of a shape's 4,096 points
                rotate_degrees=0.0,
                point_scale=0.01,
                jitter=0.01,
                extent=10.0,  # of 0.1 inch: an inch from the middle
                half_side=1.0,
                object_scale=0.05,
                object_translate=0.05,
            ),
            optim=dict(
                kind="adamw",  # ahead of LAMB in runs of minutes
                learning_rate=0.003,
                schedule=dict(kind="flat_cosine", flat_fraction=0.5),
                b1=0.9,
                b2=0.999,
                eps=1e-6,
                weight_decay=0.05,
                clip_norm=10.0,
                accumulation_steps=1,
                ema_decay=None,
            ),
            train=dict(
                duration="3600 steps",
                log_every="50 steps",
                eval_every="600 steps",
                eval_splits=("test",),
                checkpoint_every="600 steps",
                keep_checkpoints=2,
            ),
            mesh=dict(model=1, inputs=1, virtual_shards=None),
        )
    )
    return with_variant(config, VARIANTS, variant)
