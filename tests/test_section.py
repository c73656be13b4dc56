"""Settings that each stream of inputs has: by name, or in short for a single stream."""

import copy
import pickle

import pydantic
import pytest

from perceiver_jax.model.config import FourierPositions, LearnedPositions, NoPositions, Positions
from perceiver_jax.section import ONLY, Section, by_stream, of_stream

NONE, LEARNED = {"kind": "none"}, {"kind": "learned", "channels": 3, "init_scale": 1.0}


class Settings(Section):
    """A section with such a setting."""

    positions: by_stream(Positions)


def test_a_section_alone_is_every_streams():
    settings = Settings(positions=LEARNED)
    assert of_stream(settings.positions, "image") == LearnedPositions(**LEARNED)
    assert set(settings.positions) == {ONLY}


def test_each_stream_has_its_own():
    settings = Settings(positions={"image": NONE, "sound": LEARNED})
    assert of_stream(settings.positions, "image") == NoPositions(**NONE)
    assert of_stream(settings.positions, "sound") == LearnedPositions(**LEARNED)


@pytest.mark.parametrize("positions", [LEARNED, {"image": NONE, "sound": LEARNED}], ids=["short", "by_name"])
@pytest.mark.parametrize("mode", ["python", "json"])
def test_settings_are_dumped_as_they_were_given(positions, mode):
    assert Settings(positions=positions).model_dump(mode=mode) == {"positions": positions}


@pytest.mark.parametrize("positions", [LEARNED, {"image": NONE, "sound": LEARNED}], ids=["short", "by_name"])
def test_equal_settings_have_one_hash(positions):
    one, other = Settings(positions=positions), Settings(positions=dict(positions))
    assert (one, hash(one)) == (other, hash(other))


def test_settings_by_stream_are_frozen():
    settings = Settings(positions=LEARNED)
    with pytest.raises(TypeError, match="a config is frozen"):
        settings.positions["image"] = NoPositions(**NONE)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["copy", "pickle"])
def test_settings_by_stream_go_to_other_processes(copied):
    settings = Settings(positions={"image": NONE, "sound": LEARNED})
    assert (copied(settings), hash(copied(settings))) == (settings, hash(settings))


def test_sections_that_are_made_already_are_taken():
    made = FourierPositions(kind="fourier", num_bands=2, max_resolution=(8.0,))
    assert Settings(positions=made) == Settings(positions={ONLY: made}) == Settings(positions=made.model_dump())


@pytest.mark.parametrize("positions", [{}, {"knd": "none"}, {"image": {"kind": "non"}}, "none"], ids=repr)
def test_what_is_not_a_section_is_refused(positions):
    with pytest.raises(pydantic.ValidationError):
        Settings(positions=positions)
