"""Any folder of shapes, one folder per class: a moderate Perceiver of 2,048 points.

Not in the paper. FOLDER/train/CLASS/* beside FOLDER/test/CLASS/* (or val, or validation), or FOLDER/CLASS/*, of which a part
is held out as the split test. Meshes: .off .obj .ply .stl .glb; points: .npy .npz .ply .xyz .txt .csv .pts. What is up in
them is data.vertical; in .glb it is y.

The highest band, 32, has a wave of 1/32 of the cube's side. 2,048 points on the cube's surface are 1/18 of a side apart,
on slimmer shapes nearer; ModelNet40's 1,120 (configs/modelnet40.py) is far finer than what this many points can show.

    python -m experiments.train --config configs/point_folder.py --config.data.data_dir=FOLDER --workdir runs/shapes

With `:multi_label` each of the shapes has any number of labels: FOLDER/labels.csv has a line `file,label;label` for each.
"""

from ml_collections import ConfigDict

from perceiver_jax.settings.config import with_variant

VARIANTS = {
    "folders": {},
    "multi_label": {"task": dict(kind="multi_label"), "data.labels": "labels.csv"},
}


def get_config(variant: str = "folders") -> ConfigDict:
    config = ConfigDict(
        dict(
            seed=0,
            task=dict(kind="single_label", label_smoothing=0.1),
            model=dict(
                kind="perceiver",
                num_latents=128,
                latent_channels=256,
                latent_init_scale=0.02,
                num_blocks=2,
                num_cross_attends=2,
                num_self_attends_per_block=4,
                arrangement="interleaved",
                sharing="paper",
                num_cross_attend_heads=1,
                num_self_attend_heads=8,
                widening_factor=1,
                modality_vectors=None,
                positions=dict(kind="fourier", num_bands=32, max_resolution=(64.0, 64.0, 64.0)),
                head="mean_linear",
                compute_dtype="float32",
                matmul_precision="float32",
                remat="none",
            ),
            data=dict(
                kind="point_folder",
                data_dir="shapes",
                grid=(2048,),
                vertical="z",
                few_points="mask",
                labels=None,
                test_percent=20.0,
                max_bad=10,
                batch_size=32,
                eval_batch_size=64,
                validation_examples=0,
                sampling="shuffle",
                num_workers=0,
                prefetch_batches=4,
            ),
            views=dict(num_evaluation=1, stream_dropout={}, dropped="zeroed"),
            augment=dict(
                kind="points",
                subset="random",
                rotate_degrees=15.0,
                point_scale=0.01,
                jitter=0.0,
                extent=None,
                half_side=1.0,
                object_scale=0.1,
                object_translate=0.05,
            ),
            optim=dict(
                kind="adamw",
                learning_rate=0.001,
                schedule=dict(kind="flat_cosine", flat_fraction=0.5),
                b1=0.9,
                b2=0.999,
                eps=1e-6,
                weight_decay=0.1,
                clip_norm=10.0,
                accumulation_steps=1,
                ema_decay=None,
            ),
            train=dict(
                duration="60 epochs",
                log_every="20 steps",
                eval_every="5 epochs",
                eval_splits=("test",),
                checkpoint_every="5 epochs",
                keep_checkpoints=2,
            ),
            mesh=dict(model=1, inputs=1, virtual_shards=None),
        )
    )
    return with_variant(config, VARIANTS, variant)
