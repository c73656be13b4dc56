"""What is reported of a file that cannot be read: its name, what is wrong, and what helps against that."""

import pickle

import pytest

from perceiver_jax import readers
from perceiver_jax.errors import Code, Failure
from perceiver_jax.readers import BadFile


def reported(kind, code):
    with pytest.raises(Failure) as failure, readers.named(kind, "a/b"):
        raise BadFile(code, "is so")
    assert (failure.value.code, failure.value.what, failure.value.where) == (Code.DATA, f"{kind} {code}", "a/b")
    assert failure.value.found == "is so"
    return failure.value.hint


@pytest.mark.parametrize("kind", ["picture", "shape", "recording"])
@pytest.mark.parametrize("code", ["empty-file", "truncated", "damaged", "count-mismatch", "header"])
def test_against_damage_a_whole_copy_helps(kind, code):
    assert reported(kind, code) == "replace it with an intact copy, or remove it"


@pytest.mark.parametrize(
    ("kind", "code", "hint"),
    [
        ("picture", "format-not-allowed", "save it as JPEG or PNG"),
        ("picture", "too-small", "remove it"),
        ("picture", "too-large", "a smaller version of it, or remove it"),
        ("shape", "format-not-allowed", "save it in one of those formats"),
        ("shape", "vertex", "correct it, or remove it"),
        ("shape", "python-objects", "save its points as float32 (n, 3)"),
        ("shape", "degenerate", "remove it: there is no shape in it"),
        ("shape", "compressed", "save it without compression"),
        ("shape", "other-file", "save it with all its data in one file, for example as .glb with its buffers inside"),
        ("shape", "not-supported", "save it as triangles, for example as .stl, or remove it"),
        ("shape", "transposed", "save the array transposed, a point a row: numpy.save(file, array.T)"),
        ("shape", "off-variant", "save it as OFF in text and in three dimensions, or download it again"),
        ("shape", "web-page", "download it again: what came is a page"),
        ("recording", "not-a-recording", "save it as WAV or FLAC, a film as MP4 with H.264, or remove it"),
        ("recording", "encoding", "save it as WAV or FLAC, a film as MP4 with H.264"),
        ("recording", "rate", "save it as WAV or FLAC, a film as MP4 with H.264, at its true rate"),
        ("recording", "channels", "save it as WAV or FLAC, a film as MP4 with H.264, with fewer channels"),
        ("recording", "scale", "save it with samples from -1 to 1: these are whole numbers that were taken for floats"),
        ("recording", "no-samples", "fetch it again, or remove it: nothing was recorded"),
        ("recording", "no-frames", "fetch it again, or remove it: nothing was recorded"),
        ("shape", "pointer", "fetch the file that it stands for: git lfs pull"),
    ],
)
def test_against_what_is_whole_something_else_helps(kind, code, hint):
    assert reported(kind, code) == hint


def test_other_errors_pass():
    with pytest.raises(ZeroDivisionError), readers.named("picture", "a"):
        raise ZeroDivisionError


def test_a_bad_file_can_be_sent_between_processes():
    bad = pickle.loads(pickle.dumps(BadFile("truncated", "ends early")))
    assert (bad.code, bad.sentence, str(bad)) == ("truncated", "ends early", "ends early")
