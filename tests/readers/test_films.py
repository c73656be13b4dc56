"""Films of files: the frame on screen at a time, whatever the container, order and rate; upright, in true colours."""

import struct
from fractions import Fraction

import numpy as np
import pytest

from perceiver_jax.readers import BadFile
from perceiver_jax.readers.containers import packets
from perceiver_jax.readers.recordings import FileRecording
from tests.readers.recording_files import RATE, SIZE, film, numbers, picture, pulse, tone

OPEN_GOP = {"x264-params": "open-gop=1:keyint=12:min-keyint=12:bframes=3:b-pyramid=normal"}
FILMS = {
    "mp4": {},
    "mp4, many key frames": {"options": {"g": "10"}},
    "mp4, open groups": {"options": OPEN_GOP},
    "mp4, HEVC": {"codec": "libx265"},
    "mp4, MPEG-4": {"codec": "mpeg4", "options": {"bf": "2"}},
    "mov, JPEG": {"kind": "mov", "codec": "mjpeg", "pixels": "yuvj420p"},
    "Matroska": {"kind": "matroska", "options": {"g": "10"}},
    "WebM": {"kind": "webm", "codec": "libvpx-vp9", "options": {"g": "10"}},
    "AVI, order of decoding": {"kind": "avi"},
    "AVI": {"kind": "avi", "codec": "mpeg4"},
    "MPEG-TS": {"kind": "mpegts", "options": {"g": "10"}},
    "MPEG-PS": {"kind": "mpeg", "codec": "mpeg2video"},
    "FLV": {"kind": "flv"},
    "fragments": {"muxer": {"movflags": "frag_keyframe+delay_moov"}, "options": {"g": "10"}},
}


def frames_of(data, count=1000, start=0, rate=25, side=None):
    """The frames of a film."""
    return FileRecording(data).frames(start, count, rate, side)


@pytest.mark.parametrize("name", FILMS)
def test_every_window_has_the_frames_of_its_time(name, tmp_path):
    path = tmp_path / "film.wav"
    path.write_bytes(film(frames=60, **FILMS[name]))
    recording = FileRecording(path)
    assert numbers(recording.frames(0, 1000, 25, None)) == list(range(60))
    assert recording.seconds == pytest.approx(2.4, abs=0.081)
    for start in (0.04, 0.48, 1.0, 1.52, 2.2):
        first = round(start * 25)
        assert numbers(recording.frames(start, 8, 25, None)) == list(range(first, min(first + 8, 60)))
    assert recording.frames(2.6, 8, 25, None).shape == (0, SIZE[1], SIZE[0], 3)
    assert recording.sound(0, 1, RATE) is None


@pytest.mark.parametrize(("rate", "start"), [(15, 1.0), (30, 0.5), (1, 2.5), (50, 0.2)])
def test_other_rates_show_what_is_on_screen(rate, start):
    data = film(frames=max(4, 3 * rate), rate=rate)
    expected = [int((start + k / 25) * rate + 1e-6) for k in range(16)]
    assert numbers(frames_of(data, 16, start)) == expected


def test_an_uneven_rate_goes_by_its_times():
    times = [0.1 * k for k in range(11)] + [1 + 0.02 * k for k in range(1, 20)]
    shown = numbers(frames_of(film(kind="mp4", frames=30, times=times), 32))
    assert shown == [max(k for k, time in enumerate(times) if time <= at / 25 + 1e-6) for at in range(32)]


def red_above(number, size):
    width, height = size
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, :, 0] = pixels[height // 2 :, :, 2] = 255
    pixels[: height // 2, : width // 2, 1] = 255  # yellow at the left
    return pixels


MATRICES = {
    "upright": ((1, 0, 0, 1), lambda p: p),
    "a quarter": ((0, 1, -1, 0), lambda p: np.rot90(p, -1)),
    "half": ((-1, 0, 0, -1), lambda p: p[::-1, ::-1]),
    "three quarters": ((0, -1, 1, 0), np.rot90),
    "mirrored": ((-1, 0, 0, 1), lambda p: p[:, ::-1]),
    "upside down": ((1, 0, 0, -1), lambda p: p[::-1]),
    "swapped": ((0, 1, 1, 0), lambda p: p.transpose(1, 0, 2)),
    "swapped the other way": ((0, -1, -1, 0), lambda p: p[::-1, ::-1].transpose(1, 0, 2)),
}


def with_matrix(data, matrix):
    """An MP4 whose first track is to be turned."""

    def stored(a, b, c, d):
        return struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)

    at = data.index(stored(1, 0, 0, 1), data.index(b"tkhd"))
    return data[:at] + stored(*matrix) + data[at + 36 :]


@pytest.mark.parametrize("name", MATRICES)
def test_a_film_is_seen_upright(name):
    matrix, turned = MATRICES[name]
    data = with_matrix(film(frames=3, shown=red_above), matrix)
    expected = turned(red_above(0, SIZE))
    np.testing.assert_allclose(frames_of(data)[0].astype(int)[4:-4:8, 4:-4:8], expected[4:-4:8, 4:-4:8], atol=40)
    assert frames_of(data, side=24)[0].shape == ((32, 24, 3) if matrix[0] == 0 else (24, 32, 3))


@pytest.mark.parametrize(("ratio", "size"), [("2", (48, 128)), ("1/2", (48, 32)), ("1000", (48, 64))])
def test_pixels_are_seen_square(ratio, size):
    data = film(frames=3, prepare=lambda stream: setattr(stream.codec_context, "sample_aspect_ratio", Fraction(ratio)))
    assert frames_of(data)[0].shape[:2] == size


@pytest.mark.parametrize("size", [(50, 38), (64, 48), (96, 64), (128, 30)])
def test_every_size_is_itself_or_by_its_shorter_side(size):
    data = film(frames=3, size=size)
    found = frames_of(data)
    assert found.shape == (3, size[1], size[0], 3)
    np.testing.assert_allclose(found[1].mean(), picture(1, size).mean(), atol=4)
    made = frames_of(data, side=20).shape[1:3]
    assert (min(made), max(made)) == (20, round(20 * max(size) / min(size)))


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv444p", "yuv420p10le"])
def test_colours_are_those_that_went_in(pixels):
    colours = [(255, 0, 0), (0, 200, 0), (40, 60, 220), (128, 128, 128), (16, 16, 16), (250, 250, 250), (90, 20, 120)]
    data = film(frames=7, pixels=pixels, shown=lambda k, size: np.full((size[1], size[0], 3), colours[k], np.uint8))
    np.testing.assert_allclose(frames_of(data).mean((1, 2)), colours, atol=4)


def test_shrinking_does_not_fold():
    board = (np.indices((96, 128)).sum(0) % 2 * 255).astype(np.uint8)
    data = film(frames=1, size=(128, 96), options={"crf": "1"}, shown=lambda k, size: np.repeat(board[..., None], 3, 2))
    assert np.ptp(frames_of(data, side=24)[0, 4:-4, 4:-4].astype(int)) < 40


def combed(number, size):
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    pixels[::2, 8 * number : 8 * number + 16] = pixels[1::2, 8 * number + 16 : 8 * number + 32] = 255
    return pixels


def test_fields_of_different_times_are_not_combed():
    interlaced = {"options": {"flags": "+ildct+ilme", "x264-params": "interlaced=1:tff=1"}}
    found = frames_of(film(frames=4, shown=combed, **interlaced)).astype(int)
    steps = np.abs(np.diff(found, axis=1))
    assert np.minimum(steps[:, 1:], steps[:, :-1]).max() < 100


@pytest.mark.parametrize("kind", ["mp4", "matroska", "mpegts"])
def test_sound_and_film_are_on_one_clock(kind):
    def white(number, size):
        return np.full((size[1], size[0], 3), 255 if number == 25 else 0, np.uint8)

    recording = FileRecording(film(kind=kind, sound="aac", samples=pulse(2, 1.0), shown=white))
    assert recording.frames(0, 50, 25, None).mean((1, 2, 3)).argmax() == 25
    assert recording.sound(0, 2, RATE).argmax() == pytest.approx(RATE, abs=48)
    assert recording.sound(0.8, 1, RATE).argmax() == pytest.approx(0.2 * RATE, abs=48)


@pytest.mark.parametrize("kind", ["matroska", "mp4"])
def test_a_sound_that_begins_later_is_silent_before(kind):
    recording = FileRecording(film(kind=kind, sound="flac", samples=pulse(1.5, 0.5), sound_at=0.5))
    sound = recording.sound(0, 9, RATE)
    assert len(sound) == pytest.approx(2 * RATE, abs=48)
    assert (abs(int(sound.argmax()) - RATE) <= 48, sound[:23_000].any()) == (True, False)
    assert len(recording.sound(0, 0.25, RATE)) == RATE // 4


@pytest.mark.parametrize("codec", ["aac", "libopus", "libmp3lame", "flac", "ac3"])
@pytest.mark.parametrize("kind", ["mp4", "matroska", "mpegts"])
def test_a_window_of_a_film_s_sound_is_the_same_part_of_the_whole(kind, codec):
    if (kind, codec) == ("mpegts", "flac"):
        pytest.skip("no such files")
    samples = 0.1 * tone(4, hertz=300) + 0.1 * tone(4, hertz=2000) + pulse(4, 3.3)
    recording = FileRecording(film(kind, None, sound=codec, samples=samples))
    sound = recording.sound(0, 9, RATE)
    assert sound.argmax() == pytest.approx(3.3 * RATE, abs=1160 if kind == "mpegts" else 300)  # which does not tell delays
    for start in (0.3, 2.5, 3.2):
        window = recording.sound(start, 0.4, RATE)
        within = {"aac": 2e-3, "ac3": 2e-2}.get(codec, 1e-4)  # their decoders fill in noise
        np.testing.assert_allclose(window, sound[round(start * RATE) :][: len(window)], atol=within)
        assert len(window) == round(0.4 * RATE)


def test_a_film_that_ends_before_its_sound_has_no_frames_there():
    recording = FileRecording(film(kind="matroska", frames=25, sound="flac", samples=tone(3)))
    assert recording.seconds == pytest.approx(3, abs=0.01)
    assert len(recording.frames(1.5, 32, 25, None)) == 0
    assert numbers(recording.frames(0.8, 32, 25, None)) == [20, 21, 22, 23, 24]


def test_a_film_that_begins_later_is_held_before():
    recording = FileRecording(film(frames=25, times=[0.4 + k / 25 for k in range(25)], sound="aac", samples=tone(2)))
    assert numbers(recording.frames(0.3, 4, 25, None)) == [0, 0, 0, 0]
    assert numbers(recording.frames(0.48, 3, 25, None)) == [2, 3, 4]
    assert len(recording.frames(0.0, 4, 25, None)) == 0


def test_a_stream_that_is_declared_and_empty_is_absent():
    assert FileRecording(film(kind="matroska", sound="flac", samples=tone(0))).sound(0, 1, RATE) is None


@pytest.mark.parametrize("kind", ["mp4", "matroska", "avi"])
@pytest.mark.parametrize("portion", [0.3, 0.9])
def test_a_film_that_broke_off_is_refused(kind, portion):
    data = film(kind=kind, sound="aac" if kind == "mp4" else None)
    with pytest.raises(BadFile) as bad:
        frames_of(data[: int(len(data) * portion)])
    assert bad.value.code == "truncated"


def test_a_film_without_its_index_says_so():
    data = film()
    with pytest.raises(BadFile, match="has no index"):
        frames_of(data[: data.rindex(b"moov") - 4])


def test_of_a_broadcast_what_is_there_is_shown():
    data = film(kind="mpegts", sound="aac", options={"g": "10"})
    assert numbers(frames_of(data[: len(data) // 2]))[:20] == list(range(20))
    late = numbers(frames_of(data[len(data) // 3 :]))
    assert sorted(set(late)) == list(range(late[0], 50))
    joined = FileRecording(2 * data)
    assert joined.notes == ("joined",)
    assert numbers(joined.frames(0, 200, 25, None)) == 2 * list(range(50))


@pytest.mark.parametrize(
    ("kind", "old", "new", "name"),
    [("mp4", b"avc1", b"zzzz", "zzzz"), ("matroska", b"V_MPEG4/ISO/AVC", b"V_MPEG4/ISO/XYZ", "V_MPEG4/ISO/XYZ")],
)
def test_a_coding_that_is_not_read_is_named_and_its_sound_is_read(kind, old, new, name):
    data = film(kind=kind, sound="flac")
    at = data.rindex(old)
    recording = FileRecording(data[:at] + new + data[at + len(old) :])
    with pytest.raises(BadFile, match=f"has video in the coding {name} that is not read") as bad:
        recording.frames(0, 1, 25, None)
    assert bad.value.code == "encoding"
    assert len(recording.sound(0, 1, RATE)) == RATE


def test_a_stream_that_comes_to_light_late_costs_no_packet():
    """PyAV fails behind the last one, by what it finds in memory."""

    class Late:
        def demux(self, *streams):
            yield from streams
            raise IndexError("list index out of range")

    assert list(packets(Late(), 1, 2)) == [1, 2]
