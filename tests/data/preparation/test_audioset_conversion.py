"""What becomes of a clip of AudioSet: which part of which file, which streams, and what is said of them."""

import numpy as np
import pytest
import soundfile
from tensorflow_datasets.proto import tf_example_pb2

from perceiver_jax.data.preparation import audioset
from perceiver_jax.data.preparation.audioset_names import EITHER, START, WHOLE
from perceiver_jax.data.preparation.items import Clip, ClipFile, Item
from perceiver_jax.data.stored_recordings import StoredRecording
from perceiver_jax.readers import BadFile
from tests.data.preparation.clips import number_of, tone, write_film, write_wav


def converted(*files, start=0.0, end=1.0, side=32):
    """The recording made of some files, each with what it is of its video, and the warnings."""
    folder = files[0][0].parent
    of_clip = tuple(ClipFile(path.name, 0, 0, part) for path, part in files)
    item = Item("key_0", (2, 5), str(folder), 0, 0, 0, Clip(round(start * 1000), round(end * 1000), of_clip))
    example = audioset.converter(side)(item, b"")
    feature = tf_example_pb2.Example.FromString(example.record).features.feature
    assert list(feature["label"].int64_list.value) == [2, 5]
    assert feature["name"].bytes_list.value == [b"key_0"]
    audio, video = (feature[stream].bytes_list.value[0] for stream in ("audio", "video"))
    assert example.content == audio + video
    return StoredRecording(audio, video, feature["seconds"].float_list.value[0], "key_0"), set(example.warnings)


def refused(*files, **clip):
    with pytest.raises(BadFile) as caught:
        converted(*files, **clip)
    return caught.value.code, caught.value.sentence


def sound(path, samples, rate=48_000, **more):
    soundfile.write(path, samples, rate, **more)
    return path, START


def numbers(recording, start=0.0, count=50):
    return [number_of(frame) for frame in recording.frames(start, count, 25.0, None)]


def test_sound_is_kept_as_it_is_and_film_that_is_not_there_stays_empty(tmp_path):
    samples = np.rint(tone(1.0, 48_000) * 2**15) / 2**15
    recording, warnings = converted(sound(tmp_path / "a.wav", samples, subtype="PCM_16"))
    assert recording.seconds == 1.0
    np.testing.assert_array_equal(recording.sound(0.0, 2.0, 48_000), samples.astype(np.float32))
    assert recording.frames(0.0, 3, 25.0, None) is None
    assert warnings == {"no-video"}


def test_sound_and_film_of_one_file(tmp_path):
    write_film(tmp_path / "a.mp4", seconds=0.8)
    recording, warnings = converted((tmp_path / "a.mp4", START))
    assert numbers(recording) == list(range(20))
    assert recording.seconds == pytest.approx(0.8, abs=0.065)  # to the end of a packet of AAC
    heard = recording.sound(0.2, 0.4, 48_000)
    assert len(heard) == 19_200
    assert 480 * np.argmax(np.abs(np.fft.rfft(heard, 4800))) / 48 == pytest.approx(440, abs=10)
    assert warnings == {"resampled-from-16000"}


def test_film_without_sound_stays_without(tmp_path):
    write_film(tmp_path / "a.mp4", sound=False)
    recording, warnings = converted((tmp_path / "a.mp4", START))
    assert recording.sound(0.0, 1.0, 48_000) is None
    assert warnings == {"no-audio"}


def test_of_two_files_the_first_gives_the_sound_and_the_last_the_film(tmp_path):
    write_wav(tmp_path / "a.wav", hertz=1000.0)
    write_film(tmp_path / "a.mp4")
    recording, _ = converted((tmp_path / "a.wav", START), (tmp_path / "a.mp4", START))
    assert len(numbers(recording)) == 25
    assert 480 * np.argmax(np.abs(np.fft.rfft(recording.sound(0.2, 0.4, 48_000), 4800))) / 48 == pytest.approx(1000, abs=10)


def test_files_that_lack_a_stream_are_passed_over(tmp_path):
    write_film(tmp_path / "a.mp4", sound=False)
    write_wav(tmp_path / "b.wav")
    recording, warnings = converted((tmp_path / "a.mp4", START), (tmp_path / "b.wav", START))
    assert len(numbers(recording)) == 25
    assert len(recording.sound(0.0, 1.0, 48_000)) == 48_000
    assert warnings == {"resampled-from-16000"}


@pytest.mark.parametrize(("length", "kept"), [(0.98, 49), (1.0, 50), (1.4, 70)])
def test_clips_a_little_shorter_or_longer_are_kept_as_they_are(tmp_path, length, kept):
    recording, _ = converted(sound(tmp_path / "a.flac", tone(length, 48_000)))
    assert len(recording.sound(0.0, 9.0, 48_000)) == round(length * 48_000)
    assert recording.seconds == pytest.approx(length)


def test_a_longer_file_with_the_start_in_its_name_is_cut_at_the_end(tmp_path):
    write_film(tmp_path / "a.mp4", seconds=4, sound=False)
    recording, _ = converted((tmp_path / "a.mp4", START), start=2, end=3)
    assert numbers(recording) == list(range(25))


@pytest.mark.parametrize("part", [EITHER, WHOLE])
def test_a_whole_video_is_cut_out_at_the_segment(tmp_path, part):
    write_film(tmp_path / "a.mkv", seconds=6)
    recording, _ = converted((tmp_path / "a.mkv", part), start=4, end=5.2)
    assert numbers(recording) == list(range(100, 130))
    assert len(recording.sound(0.0, 9.0, 48_000)) == 57_600


def test_a_whole_video_may_end_a_little_before_the_segment(tmp_path):
    write_film(tmp_path / "a.mp4", seconds=5.6, sound=False)
    recording, _ = converted((tmp_path / "a.mp4", EITHER), start=5, end=6)
    assert numbers(recording) == list(range(125, 140))


def test_a_file_with_the_id_alone_that_is_as_long_as_the_clip_is_the_clip(tmp_path):
    write_film(tmp_path / "a.mp4", sound=False)
    recording, _ = converted((tmp_path / "a.mp4", EITHER), start=30, end=31)
    assert numbers(recording) == list(range(25))


@pytest.mark.parametrize(("part", "length"), [(EITHER, 4), (WHOLE, 1), (WHOLE, 4)])
def test_a_file_that_is_neither_the_clip_nor_the_video_is_bad(tmp_path, part, length):
    assert refused((sound(tmp_path / "a.wav", tone(length, 8000), 8000)[0], part), start=5, end=6) == (
        "which-part",
        f"lasts {length:.1f} s: it is neither the clip of 1 s nor the video up to 6 s",
    )


def test_of_several_clips_of_a_video_none_is_guessed(tmp_path):
    assert refused((sound(tmp_path / "a.wav", tone(1, 8000), 8000)[0], WHOLE), start=0, end=1)[0] == "which-part"


def test_what_is_too_short_is_bad(tmp_path):
    assert refused(sound(tmp_path / "a.wav", tone(0.4))) == ("too-short", "lasts 0.13 s; 0.5 s are needed")


def test_a_long_file_is_told(tmp_path):
    _, warnings = converted(sound(tmp_path / "a.wav", tone(61, 8000), 8000))
    assert "long-file" in warnings


@pytest.mark.parametrize(
    ("size", "side", "kept"),
    [
        ((32, 48), 24, (24, 36)),
        ((48, 32), 24, (36, 24)),
        ((32, 48), 64, (32, 48)),
        ((38, 50), 19, (18, 24)),
        ((34, 46), 20, (20, 26)),
    ],
)
def test_frames_become_smaller_never_larger_and_have_even_sides(tmp_path, size, side, kept):
    write_film(tmp_path / "a.mp4", sound=False, size=size)
    recording, _ = converted((tmp_path / "a.mp4", START), side=side)
    assert recording.frames(0.0, 1, 25.0, None).shape[1:3] == kept


def test_frames_of_other_rates_are_those_on_screen(tmp_path):
    write_film(tmp_path / "a.mp4", sound=False, rate=10)
    recording, _ = converted((tmp_path / "a.mp4", START))
    assert numbers(recording) == [k * 10 // 25 for k in range(25)]


NOISE = np.random.default_rng(0).normal(size=48_000)
AS_16_BITS = np.rint((tone(1, 48_000) + 0.003 * NOISE) * 2**15).astype("<i2")


@pytest.mark.parametrize(
    ("samples", "told"),
    [
        (np.zeros(48_000), "silent"),
        (tone(1, 48_000, amplitude=5e-5), "silent"),
        (np.full(48_000, 0.3), "constant"),
        (np.clip(tone(1, 48_000, amplitude=2.0), -1, 1), "clipped"),
        (tone(1, 48_000, amplitude=1.5), "above-full-scale"),
        (tone(1, 48_000, amplitude=0.2) + 0.4, "offset"),
        (AS_16_BITS.byteswap() / 2**15, "looks-misread"),
        (np.frombuffer(b"\0" + AS_16_BITS.tobytes()[:-1], "<i2") / 2**15, "looks-misread"),
        (np.frombuffer((AS_16_BITS // 256 + 128).astype(np.uint8).tobytes(), np.int8) / 128, "looks-misread"),
        (np.frombuffer(tone(1, 48_000).astype("<f4").tobytes(), "<i4") / 2**31, "looks-misread"),
        (np.frombuffer(tone(1, 48_000).astype("<f4").tobytes(), "<i2") / 2**15, "looks-misread"),
        (tone(1, 48_000), None),
        (0.1 * NOISE, None),
        (tone(1, 48_000, amplitude=0.9), None),
    ],
    ids=["zeros", "faint", "constant", "clipped", "loud", "offset", "byte-order", "shifted", "unsigned", "floats-as-32",
         "floats-as-16", "tone", "noise", "full-tone"],
)  # fmt: skip
def test_odd_sound_is_told(tmp_path, samples, told):
    _, warnings = converted(sound(tmp_path / "a.wav", samples, subtype="FLOAT"))
    beside = {"no-video"} | ({"clipped"} if told == "above-full-scale" else set())
    assert warnings - beside == ({told} if told else set())


def test_sound_above_full_scale_is_cut_off_at_it(tmp_path):
    recording, _ = converted(sound(tmp_path / "a.wav", tone(1, 48_000, amplitude=1.5), subtype="FLOAT"))
    heard = recording.sound(0.0, 1.0, 48_000)
    assert (heard.min(), heard.max()) == (-1, 1 - 2**-15)
    assert np.abs(np.diff(heard)).max() < 0.09  # nowhere wrapped


def test_a_lower_rate_is_told_by_its_number(tmp_path):
    for rate, told in ((8_000, {"resampled-from-8000"}), (44_100, set()), (96_000, set())):
        recording, warnings = converted(sound(tmp_path / f"{rate}.wav", tone(1, rate), rate))
        assert warnings == told | {"no-video"}
        np.testing.assert_allclose(recording.sound(0.2, 0.6, 48_000), tone(1, 48_000)[9600:38_400], atol=2e-3)


def test_the_same_files_give_the_same_bytes(tmp_path):
    write_film(tmp_path / "a.mp4")
    item = Item("key_0", (1,), str(tmp_path), 0, 0, 0, Clip(0, 1000, (ClipFile("a.mp4", 0, 0, START),)))
    assert len({audioset.converter(32)(item, b"").record for _ in range(6)}) == 1
