"""Numbers of more digits than Python reads, and lines shorter than their headings: refused with their line."""

import pytest

from perceiver_jax.data.preparation import audioset_classes, audioset_segments, validation_labels
from perceiver_jax.errors import Code, Failure

LONG = "1" * 5000


def refusal(action, *arguments):
    with pytest.raises(Failure) as failure:
        action(*arguments)
    assert failure.value.code == Code.DATA
    return str(failure.value)


@pytest.mark.parametrize("text", [f"{LONG},/m/09x0r,Speech\n", "x,index,mid,display name\n0,0,/m/09x0r\n"])
def test_a_line_of_the_list_of_classes(text, tmp_path):
    path = tmp_path / "class_labels_indices.csv"
    path.write_text(text)
    assert refusal(audioset_classes.read, path, True).startswith(f"error[3] {path} line {text.count(chr(10))}\n  found: ")


def test_a_number_of_segments(tmp_path):
    path = tmp_path / "eval_segments.csv"
    path.write_text(f'# num_segs={LONG}\n-0RWZT-miFs, 30.000, 40.000, "/m/09x0r"\n')
    classes = audioset_classes.Classes(("/m/09x0r",), ("Speech",))
    assert len(audioset_segments.read([("eval", path)], classes, False, False).segments["eval"]) == 1


def test_a_validation_label(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_text(f"{LONG}\n")
    message = refusal(validation_labels.read, path, ["n01440764"], ["n01440764"])
    assert message.startswith("error[3] validation labels line 1: 1111")
    assert len(message) < 300
