"""AudioSet (section 4.2, table 3): each row's inputs, parameters, FLOPs, published score and recipe, from its config.

The paper publishes scores alone. The counts are worked out by hand from its text; those of sound and film together are
109,048,537 parameters and the modality vectors: 4 channels for video's 483, and for sound what is left to 487.
"""

import jax
import pytest
from flax import nnx

from configs import audioset
from perceiver_jax.model import factory
from perceiver_jax.model.config import InputSpec, PerceiverConfig
from perceiver_jax.runs import accounting, problem
from perceiver_jax.settings import config

BOTH = 109_048_537
# variant: M and C of the input array, parameters, GFLOPs, the authors' mAP in percent
ROWS = {
    "raw_audio": (480, 257, 107_419_677, "126.5", "38.3"),
    "mel_audio": (4800, 259, 107_432_017, "133.4", "38.4"),
    "video": (12_544, 483, 109_016_593, "174.9", "25.8"),
    "raw_audio_video": (13_024, 487, BOTH + 4 + 230, "177.4", "43.5"),
    "mel_audio_video": (17_344, 487, BOTH + 4 + 228, "194.3", "43.2"),
    "mel_audio_video_tuned": (17_344, 487, BOTH + 4 + 228, "194.3", "44.2"),
    "raw_audio_video_no_dropout": (13_024, 487, BOTH + 4 + 230, "177.4", "39.7"),
    "mel_audio_video_no_dropout": (17_344, 487, BOTH + 4 + 228, "194.3", "39.9"),
}
each_row = pytest.mark.parametrize(("variant", "row"), ROWS.items(), ids=list(ROWS))


def parsed(*variant):
    return config.parse(audioset.get_config(*variant))


def counted(run):
    """The problem with the lists' numbers of classes and clips: no data are needed to count."""
    return problem.make(run, run.source().contents(), fingerprint="")


def test_every_row_has_a_variant_on_all_clips_and_one_on_the_balanced_set():
    assert set(audioset.VARIANTS) == {*ROWS, *(f"{row}_balanced" for row in ROWS), "balanced"}


def test_the_default_is_the_papers_best():
    assert audioset.get_config() == audioset.get_config(max(ROWS, key=lambda row: float(ROWS[row][-1])))
    assert audioset.get_config("balanced") == audioset.get_config("mel_audio_video_tuned_balanced")


@each_row
def test_the_inputs_parameters_and_flops_are_those_of_the_paper(variant, row):
    num_inputs, channels, parameters, billions, _ = row
    run = parsed(variant)
    assert (run.num_inputs, run.input_channels) == (num_inputs, channels)
    assert accounting.count_parameters(counted(run)) == parameters
    assert f"{accounting.paper_flops(counted(run)) / 1e9:.1f}" == billions


@each_row
def test_the_config_says_so_too(variant, row):
    _, _, parameters, billions, score = row
    (line,) = [line for line in audioset.__doc__.splitlines() if line.replace("(", " ").startswith(f"| {variant} ")]
    assert {f"{parameters:,}", billions, score} <= {cell.strip() for cell in line.split("|")}


@each_row
def test_a_run_costs_what_the_config_says(variant, row):
    """Forward and backward, three forward passes, of 100 epochs of 1.7 million clips."""
    (line,) = [line for line in audioset.__doc__.splitlines() if line.startswith(f"| {variant} ")]
    assert line.split("|")[-2].strip() == f"{3 * accounting.paper_flops(counted(parsed(variant))) * 1.7e8 / 1e19:.1f}"


@each_row
def test_the_architecture_is_two_cross_attends_with_eight_self_attends_each_unshared(variant, row):
    model = parsed(variant).model
    assert [use.kind for use in model.schedule] == 2 * ["cross_attend", "self_attends"]
    assert model.num_self_attends_per_block == 8
    assert len(set(model.schedule)) == len(model.schedule)


@each_row
def test_the_recipe_is_the_papers(variant, row):
    run = parsed(variant)
    assert run.views.num_evaluation == 16
    assert run.train.duration == "100 epochs"
    assert run.task.kind == "multi_label"
    assert (run.data.sampling, run.views.dropped) == ("shuffle", "zeroed")
    dropout = {"raw_audio_video": {"video": 0.3}, "mel_audio_video": {"video": 0.3}}
    dropout["mel_audio_video_tuned"] = {"video": 0.3, "audio": 0.1}
    assert run.views.stream_dropout == dropout.get(variant, {})
    if run.data.audio is not None:
        assert run.data.audio.seconds == pytest.approx(1.28)
    if run.data.video is not None:
        assert (run.data.video.num_frames, run.data.video.frame_rate, run.data.video.size) == (32, 25, (224, 224))
        assert run.data.video.patch == (2, 8, 8)


@pytest.mark.parametrize("variant", ["mel_audio", "mel_audio_video", "mel_audio_video_no_dropout"])
def test_spectrograms_are_masked_but_in_the_tuned_row(variant):
    kinds = {name: modality.augment.kind for name, modality in parsed(variant).modalities.items()}
    assert kinds["audio"] == "spec_augment"
    assert parsed("mel_audio_video_tuned").modalities["audio"].augment.kind == "none"


def test_the_appendixs_patches_are_a_setting():
    given = audioset.get_config("video")
    given.data.video.patch = (2, 4, 4)
    assert config.parse(given).num_inputs == 50_176


def test_spectrograms_may_be_encoded_as_a_sequence():
    given = audioset.get_config("mel_audio")
    given.data.audio.positions = "sequence"
    given.model.positions.max_resolution = (4800.0,)
    run = config.parse(given)
    assert (run.num_inputs, run.input_channels) == (4800, 130)
    assert accounting.count_parameters(counted(run)) == 106_701_619


SOUNDS = {"raw": InputSpec("audio", (480,), 128), "mel": InputSpec("audio", (60, 80), 1)}
VIDEO = InputSpec("video", (16, 28, 28), 2 * 8 * 8 * 3)


@pytest.mark.parametrize(("sound", "billions"), [("raw", "52.26"), ("mel", "60.67")])
def test_perceiver_ios_rerun_of_this_model_has_its_published_counts(sound, billions):
    """Perceiver IO's table 10: one cross-attend, 12 self-attends, 512 channels: 21.0 million, 52.3 and 60.7 GFLOPs."""
    model = audioset.get_config(f"{sound}_audio_video").model.to_dict()
    model |= {"latent_channels": 512, "num_blocks": 1, "num_cross_attends": 1, "num_self_attends_per_block": 12}
    made, inputs = PerceiverConfig(**model), (SOUNDS[sound], VIDEO)
    params = nnx.state(factory.abstract_model(made, inputs, 527), nnx.Param)
    vectors = sum(leaf.size for leaf in jax.tree.leaves(params["inputs"]))
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) - vectors == 20_971_636
    assert f"{made.paper_flops(inputs, 527) / 1e9:.2f}" == billions
