"""AudioSet from 1.28 seconds of sound and film: every row of the Perceiver in table 3 is a variant.

Paper: Jaegle et al. 2021, "Perceiver: General Perception with Iterative Attention", arXiv 2103.03206 v2, section 4.2.

    python -m experiments.train --config configs/audioset.py --workdir runs/audioset
    python -m experiments.train --config configs/audioset.py:raw_audio_balanced --workdir runs/raw_balanced

| variant                          | row of table 3               | mAP % | parameters  | GFLOPs a clip | a run |
|----------------------------------|------------------------------|-------|-------------|---------------|-------|
| raw_audio                        | raw audio, A                 | 38.3  | 107,419,677 | 126.5         | 6.5   |
| mel_audio                        | mel spectrogram, A           | 38.4  | 107,432,017 | 133.4         | 6.8   |
| video                            | V                            | 25.8  | 109,016,593 | 174.9         | 8.9   |
| raw_audio_video                  | raw audio, A+V               | 43.5  | 109,048,771 | 177.4         | 9.0   |
| mel_audio_video                  | mel spectrogram, A+V         | 43.2  | 109,048,769 | 194.3         | 9.9   |
| mel_audio_video_tuned (default)  | mel spectrogram, tuned, A+V  | 44.2  | 109,048,769 | 194.3         | 9.9   |
| raw_audio_video_no_dropout       | section 4.2, no video dropout | 39.7 | 109,048,771 | 177.4         | 9.0   |
| mel_audio_video_no_dropout       | section 4.2, no video dropout | 39.9 | 109,048,769 | 194.3         | 9.9   |

mAP: the authors', the mean over 527 classes, on the evaluation set, the mean of the scores of 16 parts of each clip. None of
ours yet. `VARIANT_balanced`, or `balanced` for the default, trains on the 22,000 clips of the balanced set instead
of all 1.7 million.
GFLOPs: one forward pass, multiply and add counted apart. A run: forward and backward of 100 epochs of 1.7 million clips, in
10^19 FLOPs. Hardware: the authors name none for this task.

The paper leaves out the settings of the spectrogram, of SpecAugment, of colours, positions and of the optimiser. What is
written here instead has its source beside it: DMVR, DeepMind's public reader of media of the same months, whose defaults
give the paper's 4,800 values; MBT (Nagrani et al. 2021), a public model of the same data; or this paper on ImageNet.
"""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from perceiver_jax.settings.config import with_variant

# Bands as on ImageNet: the paper names none. The spectrogram is on two axes, as figures 20 to 23 plot it; by Perceiver IO's
# table 6 it is on one: data.audio.positions="sequence".
RAW_POSITIONS = dict(kind="fourier", num_bands=64, max_resolution=(480.0,))
MEL_POSITIONS = dict(kind="fourier", num_bands=64, max_resolution=(60.0, 80.0))
# 16 bands are what is left of the common width of 487: less 4 of the vector, 384 of a patch, 3 coordinates.
VIDEO_POSITIONS = dict(kind="fourier", num_bands=16, max_resolution=(16.0, 28.0, 28.0))
RAW_SOUND = dict(kind="raw", sample_rate=48_000, num_pieces=480, samples_per_piece=128)
AS_IT_IS = dict(kind="none")
SPEC_AUGMENT = dict(
    # Of MBT's public config, scaled from its 128 bands and 800 frames.
    kind="spec_augment",
    frequency_masks=1,
    frequency_mask=30,
    time_masks=4,
    time_mask=4,
    mixup_alpha=None,
)
FILM = dict(
    kind="film",
    # As on ImageNet: the paper says "inception-type resizing".
    crop=dict(area=(0.08, 1.0), aspect=(3 / 4, 4 / 3), min_object_covered=0.1, attempts=10),
    flip_probability=0.5,
    colour=dict(probability=0.8, brightness=32 / 255, contrast=0.4, saturation=0.4, hue=0.2),  # DMVR's
    evaluation_crop=224 / 256,
)
RAW = {"data.audio": RAW_SOUND}
ALONE = {"model.modality_vectors": None, "views.stream_dropout": {}}
SOUND_ALONE = {**ALONE, "data.video": None}
WITH_RAW_SOUND = {**RAW, "model.positions.audio": RAW_POSITIONS, "augment.audio": AS_IT_IS}
VIDEO_DROPOUT = {"views.stream_dropout": dict(video=0.3)}
BALANCED = {
    "data.subset": "balanced",
    "data.batch_size": 128,
    "optim.learning_rate": 0.0014,  # by the square root of the batch size
}

ROWS: Mapping[str, Mapping[str, Any]] = {
    "mel_audio_video_tuned": {},
    "mel_audio_video": {"augment.audio": SPEC_AUGMENT, **VIDEO_DROPOUT},
    "mel_audio_video_no_dropout": {"augment.audio": SPEC_AUGMENT, "views.stream_dropout": {}},
    "raw_audio_video": {**WITH_RAW_SOUND, **VIDEO_DROPOUT},
    "raw_audio_video_no_dropout": {**WITH_RAW_SOUND, "views.stream_dropout": {}},
    "video": {**ALONE, "data.audio": None, "model.positions": VIDEO_POSITIONS, "augment": FILM},
    "mel_audio": {**SOUND_ALONE, "model.positions": MEL_POSITIONS, "augment": SPEC_AUGMENT},
    "raw_audio": {**SOUND_ALONE, **RAW, "model.positions": RAW_POSITIONS, "augment": AS_IT_IS},
}
VARIANTS = {
    **ROWS,
    "balanced": BALANCED,
    **{f"{row}_balanced": {**changes, **BALANCED} for row, changes in ROWS.items()},
}


def get_config(variant: str = "mel_audio_video_tuned") -> ConfigDict:
    config = ConfigDict(
        dict(
            seed=0,
            task=dict(kind="multi_label"),
            model=dict(
                kind="perceiver",
                num_latents=512,  # this, the next and the heads are ImageNet's: the paper does not name them again
                latent_channels=1024,
                latent_init_scale=0.02,
                num_blocks=2,
                num_cross_attends=2,
                num_self_attends_per_block=8,
                arrangement="interleaved",
                sharing="none",
                num_cross_attend_heads=1,
                num_self_attend_heads=8,
                widening_factor=1,
                modality_vectors=dict(channels=4, init_scale=0.02),
                positions=dict(audio=MEL_POSITIONS, video=VIDEO_POSITIONS),
                head="mean_linear",
                compute_dtype="float32",  # the authors'; bfloat16 halves time and memory on accelerators
                matmul_precision="float32",  # not TF32, nor bfloat16 products on TPU: JAX's silent default there
                remat="layer",
            ),
            data=dict(
                kind="audioset",
                data_dir="~/tensorflow_datasets",
                subset="full",
                audio=dict(
                    # DMVR's defaults.
                    kind="mel",
                    sample_rate=48_000,
                    num_frames=60,
                    window=2048,
                    hop=1024,
                    num_bands=80,
                    band_edges=(80.0, 7600.0),
                    offset=1e-6,
                    mean=0.0,
                    std=1.0,
                    positions="time_frequency",
                ),
                video=dict(
                    frame_rate=25.0,
                    num_frames=32,
                    size=(224, 224),
                    patch=(2, 8, 8),  # (2, 4, 4) in the model that the appendix draws
                    read_side=256,
                    values=(-1.0, 1.0),
                ),
                sampling="shuffle",
                batch_size=1024,  # as on ImageNet: the paper names none
                eval_batch_size=256,
                validation_examples=0,  # as published; 10_000 to choose settings without looking at the test split
                num_workers=16,
                prefetch_batches=4,
            ),
            views=dict(num_evaluation=16, stream_dropout=dict(audio=0.1, video=0.3), dropped="zeroed"),
            augment=dict(audio=AS_IT_IS, video=FILM),
            optim=dict(
                # As on ImageNet: the paper names nothing.
                kind="lamb",
                learning_rate=0.004,
                schedule=dict(kind="steps", milestones=(0.7, 0.85, 0.95), factor=0.1),
                b1=0.9,
                b2=0.999,
                eps=1e-6,
                weight_decay=0.1,
                clip_norm=10.0,
                accumulation_steps=1,
                ema_decay=None,
            ),
            train=dict(
                duration="100 epochs",
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
