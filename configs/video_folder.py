"""Any folder of films, one folder per class: a moderate Perceiver of 1.28 seconds of their sound and frames.

Not in the paper. FOLDER/train/CLASS/* beside FOLDER/test/CLASS/* (or val, or validation), or FOLDER/CLASS/*, of which a part
is held out as the split test. Films: .mp4 .mov .mkv .webm and others; those without sound are taken too. Training takes a
random part of each, evaluation four. Sound and film are each dropped now and then, so that either alone is enough.

    python -m experiments.train --config configs/video_folder.py --config.data.data_dir=FOLDER --workdir runs/films
    python -m experiments.evaluate --workdir runs/films --streams video

With `:multi_label` each of the films has any number of labels: FOLDER/labels.csv has a line `file,label;label` for each.
`:frames` is of the frames alone.
"""

from ml_collections import ConfigDict

from perceiver_jax.settings.config import with_variant

VIDEO_POSITIONS = dict(kind="fourier", num_bands=16, max_resolution=(16.0, 14.0, 14.0))
FILM = dict(
    kind="film",
    crop=dict(area=(0.2, 1.0), aspect=(3 / 4, 4 / 3), min_object_covered=0.0, attempts=10),
    flip_probability=0.5,
    colour=dict(probability=0.8, brightness=0.1, contrast=0.4, saturation=0.4, hue=0.05),
    evaluation_crop=0.875,
)
VARIANTS = {
    "folders": {},
    "multi_label": {"task": dict(kind="multi_label"), "data.labels": "labels.csv"},
    "frames": {
        "data.audio": None,
        "model.modality_vectors": None,
        "model.positions": VIDEO_POSITIONS,
        "views.stream_dropout": {},
        "augment": FILM,
    },
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
                modality_vectors=dict(channels=4, init_scale=0.02),
                positions=dict(audio=dict(kind="fourier", num_bands=32, max_resolution=(60.0, 80.0)), video=VIDEO_POSITIONS),
                head="mean_linear",
                compute_dtype="float32",
                matmul_precision="float32",
                remat="none",
            ),
            data=dict(
                kind="recording_folder",
                data_dir="films",
                labels=None,
                test_percent=20.0,
                max_bad=10,
                audio=dict(
                    kind="mel",
                    sample_rate=48_000,
                    num_frames=60,
                    window=2048,
                    hop=1024,
                    num_bands=80,
                    band_edges=(80.0, 7600.0),
                    offset=1e-6,
                    mean=-4.0,  # about those of all values of everyday sounds
                    std=4.0,
                    positions="time_frequency",
                ),
                video=dict(
                    frame_rate=25.0,
                    num_frames=32,
                    size=(112, 112),
                    patch=(2, 8, 8),
                    read_side=128,
                    values=(-1.0, 1.0),
                ),
                sampling="shuffle",
                batch_size=16,
                eval_batch_size=16,
                validation_examples=0,
                num_workers=0,
                prefetch_batches=4,
            ),
            views=dict(num_evaluation=4, stream_dropout=dict(audio=0.2, video=0.2), dropped="zeroed"),
            augment=dict(
                audio=dict(
                    kind="spec_augment", frequency_masks=1, frequency_mask=20, time_masks=2, time_mask=6, mixup_alpha=None
                ),
                video=FILM,
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
