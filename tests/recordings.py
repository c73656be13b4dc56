"""Small recordings, written as people have them."""

import av
import numpy as np


def write_film(path, seconds, seed, size=(32, 48), rate=25, sound_rate=16_000, sound=True):
    """A film of coloured noise, with a tone if it has sound, as H.264 and AAC; the seed decides colours and pitch."""
    rng = np.random.default_rng(seed)
    with av.open(str(path), "w") as file:
        film = file.add_stream("libx264", rate=rate, options={"crf": "18"}, height=size[0], width=size[1], pix_fmt="yuv420p")
        tone = file.add_stream("aac", rate=sound_rate, layout="mono") if sound else None
        colour = rng.integers(40, 216, 3)
        for _ in range(round(seconds * rate)):
            pixels = np.clip(colour + rng.normal(scale=20, size=(*size, 3)), 0, 255).astype(np.uint8)
            file.mux(film.encode(av.VideoFrame.from_ndarray(pixels)))
        if tone is not None:
            times = np.arange(round(seconds * sound_rate), dtype=np.float32)
            wave = 0.5 * np.sin(2 * np.pi * rng.uniform(200, 2000) / sound_rate * times, dtype=np.float32)[None]
            frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
            frame.sample_rate = sound_rate
            file.mux(tone.encode(frame))
        for stream in filter(None, (film, tone)):
            file.mux(stream.encode())
