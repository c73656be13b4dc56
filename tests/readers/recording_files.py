"""Sounds and films made in memory, whose samples and frames tell which they are."""

import io
import struct
from fractions import Fraction

import av
import numpy as np
import soundfile

RATE = 48_000
SIZE = (64, 48)  # width, height of a frame
CODECS = {
    "libx264": {"preset": "veryfast", "crf": "10"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none:keyint=12:bframes=3"},
    "libvpx-vp9": {"cpu-used": "8", "crf": "20", "b:v": "0"},
}


def tone(seconds, rate=RATE, hertz=440.0, amplitude=0.5):
    """A sine."""
    return (amplitude * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def pulse(seconds, at, rate=RATE):
    """Silence, and one bump of 65 samples in the middle of which the largest stands."""
    samples = np.zeros(round(seconds * rate), np.float32)
    samples[round(at * rate) - 32 : round(at * rate) + 33] = 0.9 * np.hanning(67)[1:-1]
    return samples


def saved(samples, rate, **options):
    """A file of sound, as libsndfile writes it; (samples,) or (samples, channels)."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, **options)
    return file.getvalue()


def chunk(name, content, size=None, order="<"):
    """A part of a WAV file, which claims a size."""
    padding = b"\0" * (len(content) % 2)
    return name + struct.pack(order + "I", len(content) if size is None else size) + content + padding


def wave_form(tag, channels, rate, bits, align=None, order="<", more=b""):
    """What a WAV file says of its samples."""
    align = channels * -(-bits // 8) if align is None else align
    return struct.pack(order + "HHIIHH", tag, channels, rate, rate * align % 2**32, align, bits) + more


def wave(samples, tag=1, channels=1, rate=8000, bits=16, align=None, size=None, before=b"", behind=b"", order="<", more=b""):
    """A WAV file of bytes of samples, of a kind, which claims a size of them and has parts before and behind them."""
    form = chunk(b"fmt ", wave_form(tag, channels, rate, bits, align, order, more), order=order)
    body = b"WAVE" + form + before + chunk(b"data", samples, size, order) + behind
    return chunk(b"RIFF" if order == "<" else b"RIFX", body, order=order)


def picture(number, size=SIZE):
    """A frame that shows its number as eight bars above, white for 1, over grey."""
    width, height = size
    pixels = np.full((height, width, 3), 8 * (number % 32), np.uint8)
    for bar in range(8):
        pixels[: height // 2, bar * width // 8 : (bar + 1) * width // 8] = 255 if number >> (7 - bar) & 1 else 0
    return pixels


def numbers(frames):
    """The numbers that frames show."""
    height, width = frames.shape[1:3]
    bars = frames[:, height // 4, width // 16 :: width // 8].mean(-1)[:, :8] > 127
    return (bars @ (1 << np.arange(8)[::-1])).tolist()


def film(
    kind="mp4",
    codec="libx264",
    frames=50,
    rate=25,
    times=None,
    sound=None,
    samples=None,
    sound_at=0.0,
    options=None,
    muxer=None,
    size=SIZE,
    pixels="yuv420p",
    shown=picture,
    prepare=lambda stream: None,
):
    """A container with a film, of frames at `times` in seconds, or with a sound, or both."""
    file = io.BytesIO()
    with av.open(file, "w", format=kind, options=muxer or {}) as container:
        streams = []
        if codec:
            video = container.add_stream(codec, rate=rate)
            video.width, video.height, video.pix_fmt = *size, pixels
            video.options = CODECS.get(codec, {}) | (options or {})
            video.codec_context.thread_count = 1
            if times is not None:
                video.codec_context.time_base = Fraction(1, 1000)
            prepare(video)
            streams.append((video, _pictures(video, frames, rate, times, size, pixels, shown)))
        if sound:
            audio = container.add_stream(sound, rate=RATE)
            audio.layout = "mono"
            streams.append((audio, _sounds(audio, tone(frames / rate) if samples is None else samples, sound_at)))
        for stream, made in streams:
            for frame in (*made, None):
                for packet in stream.encode(frame):
                    container.mux(packet)
    return file.getvalue()


def _pictures(stream, count, rate, times, size, pixels, shown):
    unit = stream.codec_context.time_base or Fraction(1) / Fraction(rate)
    for number in range(count):
        frame = av.VideoFrame.from_ndarray(shown(number, size), format="rgb24").reformat(format=pixels)
        frame.time_base = unit
        frame.pts = round((Fraction(number) / Fraction(rate) if times is None else Fraction(times[number])) / unit)
        yield frame


def _sounds(stream, samples, at):
    step, kind = stream.codec_context.frame_size or 1024, stream.codec_context.format.name
    scales = {"s16": (2**15 - 1, np.int16), "s32": (2**31 - 2**8, np.int32)}
    scale, type_of = scales.get(kind.removesuffix("p"), (1, np.float32))
    for start in range(0, len(samples), step):
        block = (samples[start : start + step].astype(np.float64) * scale).round(0 if scale > 1 else 12).astype(type_of)
        frame = av.AudioFrame.from_ndarray(block[None], format=kind, layout="mono")
        frame.sample_rate, frame.time_base, frame.pts = RATE, Fraction(1, RATE), start + round(at * RATE)
        yield frame
