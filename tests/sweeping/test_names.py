"""The directory of a run says what it changes, and no two runs share one."""

import re

import pytest

from experiments.sweeping.names import names_of


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "base"),
        ({"model.num_latents": 8}, "num_latents=8"),
        ({"model.num_latents": 8, "optim.learning_rate": 1e-05}, "num_latents=8,learning_rate=1e-05"),
        ({"data.data_dir": "a/b 'c' \"d\""}, "data_dir=a_b__c___d_"),
        ({"data.data_dir": "Bögen/日本"}, "data_dir=Bögen_日本"),
        ({"data.data_dir": "x" * 246}, "data_dir=" + "x" * 246),
    ],
)
def test_a_name_says_what_is_changed(changes, name):
    assert names_of([changes]) == [name]
    assert names_of([changes, {"seed": 5}]) == [name, "seed=5"]


@pytest.mark.parametrize("text", ["x" * 247, "ü" * 124, "日" * 90, "x" * 5000])
def test_a_name_that_no_file_can_have_is_cut_and_told_apart(text, tmp_path):
    settings = [{"data.data_dir": text + end} for end in ("", "a", "b")]
    names = names_of(settings)
    assert len(set(names)) == 3
    for name in names:
        assert name.startswith("data_dir=" + text[:60])
        (tmp_path / name).mkdir()
    assert names == names_of(settings[::-1])[::-1] == [names_of([one])[0] for one in settings]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"data.data_dir": "a/b"}, {"data.data_dir": "a b"}),
        ({"data.data_dir": "Photos"}, {"data.data_dir": "photos"}),
        ({"data.data_dir": "caf\u00e9"}, {"data.data_dir": "CAF\u00c9"}),
        ({"model.widening_factor": 1}, {"other.widening_factor": 1}),
        ({"data.data_dir": "1"}, {"data.data_dir": 1}),
    ],
)
def test_changes_that_look_alike_are_told_apart(first, second):
    names = names_of([first, second, {"seed": 1}])
    assert len({name.casefold() for name in names}) == 3
    assert names[2] == "seed=1"
    assert all(re.fullmatch(r".*-[0-9a-f]{10}", name) for name in names[:2])
    assert names_of([{"seed": 1}, second, first]) == names[::-1]


def test_the_name_of_a_hash_is_the_same_in_every_process():
    """Runs are found again by it."""
    assert names_of([{"data.data_dir": "a"}, {"data.data_dir": "A"}]) == ["data_dir=a-9a218c06eb", "data_dir=A-25e007bcba"]
