"""Notes of a soundfont inside a wheel: always the same, split by instrument, of the pitch of their keys."""

import hashlib
import importlib.util

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from perceiver_jax.data.sources import notes
from perceiver_jax.data.sources.notes import Note, Notes
from perceiver_jax.errors import Failure
from tests.problems import BATCHES
from tests.test_members import MEL_SOUND

GOLDEN = "468050a2184b9ea9873e54325bf3be0b8817696cc074ac47ed8da785d533ac16"
FONT = notes.soundfont("notes")
CONFIG = notes.Config(kind="notes", audio=MEL_SOUND, video=None, **BATCHES)
PARTS = [(program, key) for program in (0, 2, 40, 73) for key in (48, 60, 69)]  # piano, violin, flute


@pytest.fixture(scope="module")
def splits():
    """Sounds and labels of each split."""
    found = {}
    for split in ("train", "test"):
        listed = notes.list_notes("notes", split)
        sounds = np.stack([notes.play(FONT, note, notes.SECONDS) for note in listed])
        found[split] = sounds, np.array([note.label for note in listed])
    return found


def test_instruments_of_the_test_split_are_in_no_other():
    programs = {split: {note.program for note in notes.list_notes("notes", split)} for split in ("train", "test")}
    assert programs["train"] & programs["test"] == set()
    assert programs["train"] | programs["test"] == set(range(80))


def test_every_key_is_played_by_every_instrument_but_one():
    contents = Notes(CONFIG).contents()
    assert contents.num_examples == {"train": 1319, "test": 440}
    assert contents.classes[0] == "C3"
    assert contents.classes[-1] == "A4"
    assert Note(65, 64) not in notes.list_notes("notes", "train")


def test_notes_never_change(splits):
    coarse = np.rint(splits["test"][0][:, ::100] * 100).astype(np.int8)  # what another soxr rounds otherwise is the same
    assert hashlib.sha256(coarse.tobytes()).hexdigest() == GOLDEN


@pytest.mark.parametrize(("program", "key"), PARTS)
def test_a_note_has_the_pitch_of_its_key(program, key):
    sound = notes.play(FONT, Note(program, key), notes.SECONDS)
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), 2**17))
    pitch = 440 * 2 ** ((key - 69) / 12) * 2**17 / notes.RATE  # in bins
    # Partials are at multiples of the pitch: a comb of it fits better than those a semitone away.
    combs = [
        sum(spectrum[round(number * pitch * 2 ** (off / 12)) + np.arange(-16, 17)].max() for number in range(1, 9))
        for off in (-1, 0, 1)
    ]
    assert np.argmax(combs) == 1


def test_the_linear_baseline_is_reproduced(splits):
    (x, y), (test_x, test_y) = (
        (np.log(np.abs(np.fft.rfft(sounds[:, :8192] * np.hanning(8192)))[:, 1:2049] + 1e-3), labels)
        for sounds, labels in (splits["train"], splits["test"])
    )
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)).fit(x, y)
    stated = Notes(CONFIG).contents().baselines["logistic regression"]
    assert model.score(test_x, test_y) == pytest.approx(stated, abs=0.003)  # one note of 440


def test_a_missing_package_is_named_with_the_way_to_get_it(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda wanted: None if wanted == "pretty_midi" else find(wanted))
    with pytest.raises(Failure) as failure:
        Notes(CONFIG).load("train")
    assert str(failure.value) == ("error[3] data set notes needs the package pretty_midi\n  try: pip install -e .[examples]")


def test_a_damaged_soundfont_is_named(tmp_path, monkeypatch):
    path = tmp_path / "TimGM6mb.sf2"
    path.write_bytes(notes.soundfont("notes").read_bytes()[:-9])
    monkeypatch.setattr(notes, "soundfont", lambda data_set: path)
    with pytest.raises(Failure, match="soundfont chunk-overrun") as failure:
        Notes(CONFIG).load("train")
    assert str(path) in str(failure.value)
