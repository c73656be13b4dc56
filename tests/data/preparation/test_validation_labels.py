"""Labels from a file: whose ids they are, and the line that is wrong."""

import pytest

from perceiver_jax.data.preparation import imagenet2012, validation_labels
from perceiver_jax.errors import Failure

USUAL, CLASSES = imagenet2012.validation_synsets(), imagenet2012.synsets()
# The devkit numbers the classes in an order of its own; any will do here but that of the labels.
DEVKIT = {synset: (7 * label + 3) % 1000 + 1 for label, synset in enumerate(CLASSES)}
IDS = [str(DEVKIT[synset]) for synset in USUAL]


def read(tmp_path, lines, end="\n"):
    path = tmp_path / "labels.txt"
    path.write_bytes(end.join([*lines, ""]).encode())
    return validation_labels.read(path, USUAL, CLASSES)


@pytest.mark.parametrize("lines", [IDS, USUAL], ids=["the devkit's ids", "synsets"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_ids_of_the_devkit_and_synsets_give_the_labels(tmp_path, lines, end):
    assert read(tmp_path, lines, end) == USUAL


def test_other_synsets_are_taken_at_their_word(tmp_path):
    assert read(tmp_path, [CLASSES[5], *USUAL[1:]])[:2] == [CLASSES[5], USUAL[1]]


def with_line(number, text):
    return [*IDS[: number - 1], text, *IDS[number:]]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (IDS[:-1], "validation labels: 49,999 lines"),
        ([*IDS, IDS[-1]], "validation labels: 50,001 lines"),
        (with_line(17, ""), "validation labels line 17: blank"),
        (with_line(17, "1001"), "validation labels line 17: 1001 not in 1..1000"),
        (with_line(17, "0"), "validation labels line 17: 0 not in 1..1000"),
        (with_line(17, "+5"), "validation labels line 17: +5 not in 1..1000"),
        ([*USUAL[:16], "n99999999", *USUAL[17:]], "validation labels line 17: n99999999 is not a class of ILSVRC2012"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_line_that_is_wrong_is_named(tmp_path, lines, message):
    with pytest.raises(Failure) as failure:
        read(tmp_path, lines)
    assert str(failure.value).startswith(f"error[3] {message}")


def test_a_picture_left_out_is_noticed_by_ids_that_no_longer_fit(tmp_path):
    with pytest.raises(Failure, match=r"error\[3\] validation labels line \d+: \d+ is n\d+, on an earlier line n"):
        read(tmp_path, [*IDS[:2], *IDS[3:], IDS[0]])
