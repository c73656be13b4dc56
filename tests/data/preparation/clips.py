"""Small data sets in AudioSet's layout: its lists, and the clips of a user."""

import av
import numpy as np
import soundfile

from tests.data.preparation.test_audioset_lists import NAMES

RATE = 16_000
SPEECH, MALE, MUSIC, ANIMAL = "/m/09x0r", "/m/05zppz", "/m/04rlf", "/m/0jbk"


def tone(seconds, rate=RATE, hertz=440.0, amplitude=0.5):
    return amplitude * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def write_wav(path, seconds=1.0, rate=RATE, hertz=440.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.rint(tone(seconds, rate, hertz) * 2**15).astype(np.int16), rate)


def numbered(number, size=(32, 32)):
    """A frame that shows its number in eight bars."""
    height, width = size
    frame = np.full((height, width, 3), 60, np.uint8)
    bars = np.array([255 * int(bit) for bit in f"{number % 256:08b}"])
    frame[: height // 2] = bars[np.arange(width) * 8 // width, None]
    return frame


def number_of(frame):
    """The number that a frame shows."""
    height, width = frame.shape[:2]
    return int("".join("1" if bar > 127 else "0" for bar in frame[height // 4, width // 16 :: width // 8].mean(-1)[:8]), 2)


def write_film(path, seconds=1.0, sound=True, size=(32, 32), rate=25):
    """Numbered frames, with a tone or without."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as file:
        film = file.add_stream("libx264", rate=rate, height=size[0], width=size[1], pix_fmt="yuv420p", options={"g": "12"})
        voice = file.add_stream("aac", rate=RATE, layout="mono") if sound else None
        for number in range(round(seconds * rate)):
            file.mux(film.encode(av.VideoFrame.from_ndarray(numbered(number, size))))
        file.mux(film.encode())
        if voice is not None:
            frame = av.AudioFrame.from_ndarray(tone(seconds).astype(np.float32)[None], format="fltp", layout="mono")
            frame.sample_rate = RATE
            file.mux(voice.encode(frame))
            file.mux(voice.encode())


def write_lists(folder, **splits):
    """The list of classes, and a list of segments for each split: rows of id, start, end and labels."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "class_labels_indices.csv").write_text(NAMES)
    for split, rows in splits.items():
        lines = [f'{video}, {start:.3f}, {end:.3f}, "{",".join(labels)}"' for video, start, end, *labels in rows]
        comments = f"# Segments csv\n# num_segs={len(rows)}\n# YTID, start_seconds, end_seconds, positive_labels\n"
        (folder / f"{split}_segments.csv").write_text(comments + "\n".join(lines) + "\n")
    return folder


def name(prefix, number):
    """An id that begins as many do, and is eleven characters long."""
    return f"-{prefix}{number:0{10 - len(prefix)}d}"


TRAIN = [(name("train_", n), 30, 31, SPEECH, MUSIC) for n in range(4)] + [(name("train_", 4), 5, 6, MALE)]
EVAL = [(name("eval_", n), 0, 1, *labels) for n, labels in enumerate([[ANIMAL], [SPEECH, MALE], [MUSIC], [MUSIC]])]


def write_audioset(folder):
    """Five clips of the balanced set and four to evaluate on: sounds, films, and both."""
    write_lists(folder, balanced_train=TRAIN, eval=EVAL)
    clips = folder / "clips"
    train, held_out = [row[0] for row in TRAIN], [row[0] for row in EVAL]
    write_wav(clips / f"train/{train[0]}.wav", hertz=300.0)
    write_wav(clips / f"audio/Y{train[1]}_30.000.flac", rate=8_000, seconds=0.8)
    write_film(clips / f"video/{train[1]}_30000_31000.mp4", sound=False)
    write_film(clips / f"train/{train[2]}_30.mp4", seconds=1.2)
    write_film(clips / f"train/{train[3]}.mp4", seconds=0.9, sound=False)
    write_film(clips / f"{train[4]}.mp4", seconds=8.0)  # the whole video
    for number, video in enumerate(held_out):
        write_film(clips / f"eval/{video}_0.mp4", seconds=0.8 + 0.1 * number)
    return folder
