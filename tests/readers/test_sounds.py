"""Sounds of files: every form of samples, every claim of a header, mono by the mean, windows as in the whole."""

import io
import struct

import numpy as np
import pytest
import soundfile

from perceiver_jax.readers import BadFile
from perceiver_jax.readers.recordings import FileRecording
from tests.readers.recording_files import RATE, chunk, film, pulse, saved, tone, wave, wave_form

TONE = tone(0.2, 8000)
PCM = (TONE * 32767).astype("<i2").tobytes()
STORED = [
    ("WAV", "PCM_U8", 8e-3),
    ("WAV", "PCM_16", 5e-5),
    ("WAV", "PCM_24", 2e-7),
    ("WAV", "PCM_32", 1e-7),
    ("WAV", "FLOAT", 0),
    ("WAV", "DOUBLE", 0),
    ("WAV", "ULAW", 2e-2),
    ("WAV", "ALAW", 2e-2),
    ("WAV", "IMA_ADPCM", 3e-2),
    ("WAV", "MS_ADPCM", 3e-2),
    ("WAVEX", "PCM_24", 2e-7),
    ("RF64", "PCM_16", 5e-5),
    ("RF64", "DOUBLE", 0),
    ("W64", "PCM_24", 2e-7),
    ("W64", "FLOAT", 0),
    ("AIFF", "PCM_S8", 8e-3),
    ("AIFF", "PCM_U8", 8e-3),
    ("AIFF", "PCM_16", 5e-5),
    ("AIFF", "PCM_24", 2e-7),
    ("AIFF", "DOUBLE", 0),
    ("AIFF", "ULAW", 2e-2),
    ("AIFF", "IMA_ADPCM", 4e-2),
    ("AU", "PCM_16", 5e-5),
    ("AU", "FLOAT", 0),
    ("AU", "ALAW", 2e-2),
    ("CAF", "PCM_16", 5e-5),
    ("CAF", "FLOAT", 0),
    ("CAF", "ALAC_24", 2e-7),
    ("FLAC", "PCM_S8", 8e-3),
    ("FLAC", "PCM_16", 5e-5),
    ("FLAC", "PCM_24", 2e-7),
    ("OGG", "VORBIS", 5e-2),
]


def whole(data, rate=8000):
    """All of a sound."""
    return FileRecording(data).sound(0, 1000, rate)


def refusal(data):
    """The code and the sentence with which a file is refused."""
    with pytest.raises(BadFile) as bad:
        whole(data)
    return bad.value.code, bad.value.sentence


@pytest.mark.parametrize(("kind", "subtype", "within"), STORED)
def test_every_form_of_samples_is_read_to_its_precision(kind, subtype, within, tmp_path):
    data = saved(TONE, 8000, format=kind, subtype=subtype)
    found = whole(data)
    padding = len(found) - len(TONE)
    assert 0 <= padding <= (505 if "ADPCM" in subtype else 0)
    settled = 16 if "ADPCM" in subtype else 0
    np.testing.assert_allclose(found[settled : len(TONE)], TONE[settled:], atol=within or 1e-9)
    path = tmp_path / "a.txt"
    path.write_bytes(data)
    np.testing.assert_array_equal(whole(path), found)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("kind", ["WAV", "CAF", "AIFF"])
def test_the_order_of_bytes_is_the_header_s(kind, subtype):
    if kind == "AIFF" and subtype in ("FLOAT", "DOUBLE", "PCM_U8"):
        pytest.skip("always big")
    subtype = "PCM_S8" if (kind, subtype) == ("CAF", "PCM_U8") else subtype
    found = [whole(saved(TONE, 8000, format=kind, subtype=subtype, endian=order)) for order in ("LITTLE", "BIG")]
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize(
    ("samples", "form"),
    [
        ((TONE.astype(np.float64) * 2**63).astype("<i8"), {"bits": 64}),
        ((TONE.astype(np.float64) * 2**63).astype(">i8"), {"bits": 64, "order": ">"}),
        ((TONE.astype(np.float64) * 2**31).astype("<i4"), {"bits": 24, "align": 4}),
        ((TONE.astype(np.float64) * 2**31).astype("<i4"), {"bits": 20, "align": 4}),
        ((TONE.astype(np.float64) * 2**15).astype("<i2"), {"bits": 12}),
    ],
)
def test_samples_fill_their_upper_bits(samples, form):
    np.testing.assert_allclose(whole(wave(samples.tobytes(), **form)), TONE, atol=5e-5)


@pytest.mark.parametrize("size", [0, 2**32 - 1, 2**31 - 1, 0x7FFFF000, 2**31, 2**32 - 40])
def test_a_streamed_header_does_not_know_the_length(size):
    recording = FileRecording(wave(PCM, size=size))
    assert (recording.seconds, recording.notes) == (0.2, ("streamed-header",))
    np.testing.assert_allclose(recording.sound(0, 1, 8000), TONE, atol=5e-5)


@pytest.mark.parametrize("number", [0, 2**32 - 1])
def test_a_streamed_au_does_not_know_its_length_either(number):
    data = saved(TONE, 8000, format="AU", subtype="PCM_16")
    assert len(whole(data[:8] + struct.pack(">I", number) + data[12:])) == len(TONE)


@pytest.mark.parametrize(
    "parts",
    [
        {"before": chunk(b"junk", b"abc")},
        {"before": chunk(b"LIST", b"INFOabcdef")},  # whose own parts run over
        {"behind": chunk(b"LIST", b"INFO")},
        {"behind": b"any bytes"},
    ],
)
def test_parts_beside_the_samples_are_no_sound(parts):
    np.testing.assert_allclose(whole(wave(PCM, **parts)), TONE, atol=5e-5)


NOTHING, CUT = "has a header and no samples", "its header promises 3,200 bytes of samples; 1,599 are there"


@pytest.mark.parametrize(
    ("data", "code", "sentence"),
    [
        (b"", "empty-file", "has no bytes"),
        (wave(b""), "no-samples", NOTHING),
        (wave(PCM)[:44], "no-samples", NOTHING),
        (wave(b"", behind=chunk(b"LIST", b"INFO")), "no-samples", NOTHING),
        (wave(PCM)[:36], "no-samples", NOTHING),
        (wave(PCM)[: 44 + 1599], "truncated", CUT),
        (wave(PCM, size=5000), "truncated", "its header promises 5,000 bytes of samples; 3,200 are there"),
        (
            wave(PCM, before=chunk(b"junk", b"ab", 9999)),
            "chunk-overrun",
            "its part at byte 36 claims 9,999 bytes, more than the file has",
        ),
        (wave(PCM, rate=0), "rate", "has a sampling rate of 0 Hz; 1 to 384,000 are read"),
        (wave(PCM, rate=10**9), "rate", "has a sampling rate of 1,000,000,000 Hz; 1 to 384,000 are read"),
        (wave(PCM, channels=0, align=2), "channels", "has 0 channels; 1 to 255 are read"),
        (wave(PCM, channels=65535, align=2), "channels", "has 65,535 channels; 1 to 255 are read"),
        (wave(PCM, bits=0, align=2), "encoding", "holds integers of 0 bits; those of 8 to 32 and of 64 are read"),
        (wave(PCM, bits=4, align=1), "encoding", "holds integers of 4 bits; those of 8 to 32 and of 64 are read"),
        (wave(PCM, tag=3), "encoding", "holds floats of 16 bits; those of 32 and 64 are read"),
        (wave(PCM, tag=0x1234), "encoding", "is in the coding 0x1234, which is not read"),
        (wave(PCM, tag=0x55, order=">"), "encoding", "is in MP3, which is not read in big-endian files"),
        (wave(np.full(9, np.nan, "<f4").tobytes(), tag=3, bits=32), "non-finite", "holds samples that are not finite"),
        (wave(np.full(9, np.inf, "<f8").tobytes(), tag=3, bits=64), "non-finite", "holds samples that are not finite"),
        (
            wave(np.full(9, -1e300, "<f8").tobytes(), tag=3, bits=64),
            "scale",
            "holds samples of 1e+300, where 1 is full scale; at most 10 is read",
        ),
        (wave(np.full(9, 2**30, "<i4").tobytes(), tag=3, bits=32)[:-8] + b"\0\0\0\x6f" * 2, "scale", None),
        (b"<html><body>404</body></html>", "web-page", "looks like a web page: the download failed"),
        (b"../sounds/a.wav", "stored-link", None),
        (b"version https://git-lfs.github.com/spec/v1\n", "pointer", None),
        (b"one line of text\n" * 9, "not-a-recording", "is neither sound nor film of a kind that is read"),
        (b"#EXTM3U\nfile:/etc/hostname\n", "not-a-recording", "is neither sound nor film of a kind that is read"),
        (bytes(5000), "not-a-recording", "is neither sound nor film of a kind that is read"),
        (b"\x89PNG\r\n\x1a\n" + bytes(99), "not-a-recording", "is a picture (PNG)"),
        (b"MThd" + bytes(99), "not-a-recording", "is MIDI, which holds notes and no sound"),
    ],
)
def test_what_is_no_sound_is_refused_in_words(data, code, sentence):
    found = refusal(data)
    assert found == (code, sentence or found[1])


@pytest.mark.parametrize("kind", ["AIFF", "AU", "CAF", "W64", "RF64", "FLAC"])
def test_a_cut_file_is_no_shorter_sound(kind):
    data = saved(np.random.default_rng(0).normal(size=40_000) * 0.1, 8000, format=kind, subtype="PCM_16")
    code, sentence = refusal(data[: len(data) // 2])
    assert code == "truncated"
    assert sentence.startswith("its header promises ")


@pytest.mark.parametrize("claimed", [2**63 - 1, 2**63, 2**64 - 1, 2**64 - 12])
def test_a_part_of_caf_that_claims_more_than_a_file_can_have_ends_it(claimed):
    data = saved(np.zeros(100), 8000, format="CAF", subtype="PCM_16")
    at = data.index(b"desc")
    head = data[:at] + b"free" + struct.pack(">Q", claimed)
    assert refusal(head + data[at:]) == ("no-samples", "has a header and no samples")


def test_a_file_that_is_missing_is_unreadable(tmp_path):
    with pytest.raises(BadFile, match="cannot be read: No such file") as bad:
        whole(tmp_path / "a.wav")
    assert bad.value.code == "unreadable"


@pytest.mark.parametrize("rate", [1, 8000, 192_000, 384_000])
def test_every_rate_that_is_one_is_resampled(rate):
    recording = FileRecording(wave(PCM[: 2 * min(1600, 3 * rate)], rate=rate))
    assert recording.sound_rate == rate
    assert len(recording.sound(0, 10, 16_000)) == pytest.approx(min(1600, 3 * rate) * 16_000 / rate, abs=1)


@pytest.mark.parametrize("channels", [1, 2, 3, 6, 9, 255])
@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
def test_mono_is_the_mean_of_the_channels(channels, subtype):
    sounds = np.random.default_rng(0).uniform(-0.5, 0.5, (400, channels)).astype(np.float32)
    np.testing.assert_allclose(whole(saved(sounds, 8000, format="WAV", subtype=subtype)), sounds.mean(1), atol=4e-5)


def test_channels_that_cancel_are_silent():
    assert np.abs(whole(saved(np.stack([TONE, -TONE], 1), 8000, format="WAV", subtype="FLOAT"))).max() == 0


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_floats_above_one_are_kept(subtype):
    assert np.abs(whole(saved(3 * TONE, 8000, format="WAV", subtype=subtype))).max() == pytest.approx(1.5, abs=1e-3)


def test_silence_is_kept():
    assert not whole(wave(bytes(3200))).any()


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_a_flac_that_does_not_say_its_length_is_read_whole(subtype):
    data = saved(TONE, 8000, format="FLAC", subtype=subtype)
    head = int.from_bytes(data[18:26], "big")
    unknown = FileRecording(data[:18] + (head >> 36 << 36).to_bytes(8, "big") + data[26:])
    np.testing.assert_array_equal(unknown.sound(0, 9, 8000), whole(data))
    half = FileRecording(data[:18] + ((head >> 36 << 36) + 800).to_bytes(8, "big") + data[26:])
    np.testing.assert_array_equal(half.sound(0, 9, 8000), whole(data))
    assert unknown.notes == half.notes == ("other-length",)


def test_a_flac_that_claims_all_there_can_be_is_cut_off():
    data = saved(TONE, 8000, format="FLAC", subtype="PCM_16")
    claim = int.from_bytes(data[18:26], "big") | 2**36 - 1
    assert refusal(data[:18] + claim.to_bytes(8, "big") + data[26:])[0] == "truncated"


def with_tag(data, frames=None, size=None):
    """An MP3 whose tag counts other frames or bytes."""
    at = max(data.find(b"Xing"), data.find(b"Info")) + 8
    counts = [
        number if number is not None else old
        for number, old in zip((frames, size), struct.unpack_from(">II", data, at), strict=True)
    ]
    return data[:at] + struct.pack(">II", *counts) + data[at + 8 :]


@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
def test_an_mp3_is_as_long_as_what_is_there(mode, capfd):
    samples = np.random.default_rng(0).normal(size=44_100).astype(np.float32) * 0.1
    data = saved(samples, 44_100, format="MP3", bitrate_mode=mode, compression_level=0.5)
    assert len(whole(data, 44_100)) == 44_100
    for lie in (
        with_tag(data, frames=3),
        with_tag(data, frames=999),
        with_tag(data, size=9 * len(data)),
        with_tag(data, size=9),
    ):
        assert len(whole(lie, 44_100)) == pytest.approx(44_100, abs=2 * 1152)
    half = data[: len(data) // 2]
    assert len(whole(half, 44_100)) == pytest.approx(22_050, abs=8 * 1152)
    assert FileRecording(data).notes == ()
    for shorter in (half, data[: len(data) * 9 // 10], with_tag(data, size=9 * len(data))):
        assert FileRecording(shorter).notes == ("other-length",)
    first = data.index(b"\xff\xfb", 4)
    assert len(whole(data[first:], 44_100)) == pytest.approx(44_100, abs=3 * 1152)  # without its tag
    assert capfd.readouterr() == ("", "")


def test_an_mp3_that_turns_from_one_channel_to_two_is_read_as_one_sound():
    sound = tone(0.5, 44_100)
    parts = [saved(channels, 44_100, format="MP3") for channels in (sound, np.stack([sound, sound], axis=1))]
    read = whole(b"".join(parts), 44_100)
    assert len(read) == pytest.approx(44_100, abs=4 * 1152)
    for half in (read[4096:18_000], read[-18_000:-4096]):
        assert half.std() == pytest.approx(sound.std(), rel=0.02)


@pytest.mark.parametrize("cover", [b"", b"ID3\4\0\0\0\0\x10\0" + bytes(2048)])
def test_an_encoder_s_delay_is_taken_off_an_mp3(cover):
    sound = whole(cover + saved(pulse(1, 0.25, 44_100), 44_100, format="MP3"), 44_100)
    assert len(sound) == 44_100
    assert sound.argmax() == pytest.approx(11_025, abs=2)


def test_an_encoder_s_delay_is_taken_off_opus():
    sound = whole(saved(pulse(1, 0.25), RATE, format="OGG", subtype="OPUS"), RATE)
    assert (len(sound), abs(int(sound.argmax()) - 12_000) <= 2) == (RATE, True)


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_one_ogg_behind_another_is_read_too(subtype):
    parts = [saved(tone(0.5, 16_000, hertz), 16_000, format="OGG", subtype=subtype) for hertz in (440, 880)]
    recording = FileRecording(b"".join(parts))
    sound = recording.sound(0, 9, 16_000)
    assert (len(sound), recording.notes) == (16_000, ("joined",))
    np.testing.assert_allclose(
        sound[8000:], FileRecording(parts[1]).sound(0, 9, 16_000), atol=1e-6 if subtype == "VORBIS" else 1e-2
    )
    np.testing.assert_array_equal(recording.sound(0.4, 0.2, 16_000), sound[6400:9600])


def test_a_chain_of_other_rates_is_refused():
    parts = [saved(tone(0.2, rate), rate, format="OGG", subtype="VORBIS") for rate in (16_000, 22_050)]
    assert refusal(b"".join(parts)) == ("encoding", "its sampling rate changes between 16,000 and 22,050 Hz")


def test_an_ogg_without_its_last_page_is_told():
    data = saved(np.random.default_rng(0).normal(size=400_000) * 0.1, 44_100, format="OGG", subtype="VORBIS")
    recording = FileRecording(data[: len(data) * 3 // 4])
    assert recording.notes == ("cut-off",)
    assert 2 < recording.seconds < 9
    assert refusal(data[:3000])[0] == "truncated"


@pytest.mark.parametrize(
    ("kind", "codec", "within"),
    [
        ("matroska", "flac", 5e-5),
        ("matroska", "pcm_s16le", 5e-5),
        ("matroska", "pcm_f32le", 0),
        ("mov", "pcm_s24le", 1e-6),
        ("mp4", "alac", 5e-5),
        ("matroska", "libopus", 5e-2),
        ("avi", "pcm_s16le", 5e-5),
        ("ogg", "flac", 5e-5),
    ],
)
def test_the_same_sound_in_any_container(kind, codec, within):
    sound = whole(film(kind, None, frames=25, sound=codec), RATE)
    expected = tone(1)
    np.testing.assert_allclose(sound[2000 : len(expected) - 2000], expected[2000:-2000], atol=within or 1e-9)


def test_silence_of_a_format_that_lies_behind_a_name(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(wave(PCM))
    np.testing.assert_allclose(whole(path), TONE, atol=5e-5)


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3", "AIFF"])
def test_a_window_is_the_same_part_of_the_whole(kind):
    samples = (0.3 * np.sin(np.cumsum(np.linspace(0.01, 1, 3 * 44_100)))).astype(np.float32)
    recording = FileRecording(saved(samples, 44_100, format=kind))
    for rate in (44_100, RATE, 16_000):
        sound = recording.sound(0, 10, rate)
        assert len(sound) == 3 * rate
        for start in (0, 0.01, 1.37, 2.9):
            window = recording.sound(start, 0.2, rate)
            expected = sound[round(start * rate) :][: round(0.2 * rate)]
            np.testing.assert_allclose(window, expected, atol=1e-4)
    assert len(recording.sound(5, 1, RATE)) == 0


def test_a_file_of_many_small_parts_is_refused_at_once():
    parts = chunk(b"junk", b"") * 12_000
    assert refusal(chunk(b"RIFF", b"WAVE" + parts))[0] == "header"


def test_extensible_forms_are_those_that_they_name():
    more = struct.pack("<HHI", 22, 24, 3) + struct.pack("<H", 1) + b"\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71"
    samples = (TONE.astype(np.float64) * 2**31).astype("<i4").tobytes()
    np.testing.assert_allclose(whole(wave(samples, tag=0xFFFE, bits=32, more=more)), TONE, atol=1e-6)
    assert len(wave_form(1, 1, 8000, 16)) == 16
    assert soundfile.info(io.BytesIO(wave(PCM))).frames == 1600
