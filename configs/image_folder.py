"""Any folder of pictures, one folder per class: a moderate Perceiver with ImageNet's recipe.

Not in the paper. FOLDER/train/CLASS/*.jpg beside FOLDER/test/CLASS/*.jpg (or val, or validation), or FOLDER/CLASS/*.jpg, of
which a part is held out as the split test. JPEG, PNG, WebP, GIF and BMP of any size.

    python -m experiments.train --config configs/image_folder.py --config.data.data_dir=FOLDER --workdir runs/pictures

With `:multi_label` each of the pictures has any number of labels: FOLDER/labels.csv has a line `file,label;label` for each.
With `:without_augmentation` nothing is changed at random: of each picture the centre is trained on, resized to the inputs.
"""

from ml_collections import ConfigDict

from perceiver_jax.settings.config import with_variant

VARIANTS = {
    "folders": {},
    "multi_label": {"task": dict(kind="multi_label"), "data.labels": "labels.csv"},
    "without_augmentation": {"augment": dict(kind="none")},
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
                num_blocks=4,
                num_cross_attends=4,
                num_self_attends_per_block=3,
                arrangement="interleaved",
                sharing="paper",
                num_cross_attend_heads=1,
                num_self_attend_heads=8,
                widening_factor=1,
                modality_vectors=None,
                positions=dict(kind="fourier", num_bands=32, max_resolution=(128.0, 128.0)),
                head="mean_linear",
                compute_dtype="float32",
                matmul_precision="float32",
                remat="none",
            ),
            data=dict(
                kind="image_folder",
                data_dir="pictures",
                image_size=128,  # or (height, width)
                labels=None,
                test_percent=20.0,
                max_bad=10,
                batch_size=64,
                eval_batch_size=64,
                validation_examples=0,
                sampling="shuffle",
                num_workers=2,
                prefetch_batches=4,
            ),
            views=dict(num_evaluation=1, stream_dropout={}, dropped="zeroed"),
            augment=dict(
                kind="inception",
                crop=dict(area=(0.25, 1.0), aspect=(3 / 4, 4 / 3), min_object_covered=0.1, attempts=10),
                flip_probability=0.5,
                # ImageNet's 40 and 100 pixels, as parts of its usual crop: pictures of one's own may be of any size.
                randaugment=dict(num_layers=2, magnitude=5.0, fill=128, unit="sides", cutout=0.15, translate=0.35),
                evaluation_crop=224 / 256,
                position_frame="crop",
                mix=dict(kind="none"),
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
