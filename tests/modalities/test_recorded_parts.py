"""What all modalities of recordings do alike."""

import io

import numpy as np
import pytest
import soundfile

from perceiver_jax import modalities
from perceiver_jax.modalities import NAMED, start_of, tell
from perceiver_jax.readers.recordings import FileRecording


def recording(rate=8000, seconds=1.0):
    file = io.BytesIO()
    soundfile.write(file, np.zeros(round(rate * seconds)), rate, format="WAV")
    return FileRecording(file.getvalue())


@pytest.fixture(autouse=True)
def nothing_told(monkeypatch):
    monkeypatch.setattr(modalities, "_TOLD", {})


def test_a_lower_rate_is_told_once_a_file_and_of_a_few(capsys):
    for name in ("a.wav", "a.wav", *(f"{i}.wav" for i in range(NAMED))):
        tell(recording(), name, 48_000)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "note: a.wav has 8,000 samples a second, resampled to 48,000"
    assert len(lines) == NAMED
    assert lines[-1].endswith("3.wav has 8,000 samples a second, resampled to 48,000; of others it is not said")


@pytest.mark.parametrize(("rate", "wanted"), [(48_000, 48_000), (48_000, 16_000), (8000, None)])
def test_nothing_is_told_of_other_rates(rate, wanted, capsys):
    tell(recording(rate), "a.wav", wanted)
    assert capsys.readouterr().err == ""


def test_a_header_that_tells_no_length_is_told_in_words(capsys):
    data = bytearray(recording()._data)
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"
    tell(FileRecording(bytes(data)), "a.wav")
    assert capsys.readouterr().err == "note: a.wav does not say how long it is; all that is there is read\n"


@pytest.mark.parametrize(("moment", "part", "start"), [(0.0, 1.0, 0.0), (1.0, 1.0, 9.0), (0.5, 1.0, 4.5), (0.7, 20.0, 0.0)])
def test_a_part_begins_where_the_moment_says_and_never_ends_behind_the_recording(moment, part, start):
    assert start_of(recording(1000, 10.0), moment, part) == pytest.approx(start)
