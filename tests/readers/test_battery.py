"""Every reader of people's bytes: the same content in every form is the same value, and damage is never another value."""

import pytest

from tests.readers import (
    battery,
    battery_archives,
    battery_binary_meshes,
    battery_films,
    battery_glb,
    battery_labels,
    battery_meshes,
    battery_pictures,
    battery_points,
    battery_sounds,
)
from tests.readers.battery import LARGE, MEGABYTES, SECONDS

MESHES = (battery_meshes, battery_binary_meshes, battery_glb, battery_points)
MODULES = (*MESHES, battery_pictures, battery_labels, battery_archives, battery_sounds, battery_films)
READERS = [reader for module in MODULES for reader in module.READERS]
CONTENTS = {}
FORMS = [pytest.param(reader, form, id=f"{reader.name}-{form}") for reader in READERS for form in reader.forms]


def value_or_refusal(reader, data):
    """What a reader gives of some bytes, if it does not refuse them in printable words; and whether it does."""
    try:
        return reader.read(data), False
    except reader.refusal as refusal:
        words = str(refusal)
    assert words.strip()
    assert words.replace("\n", "").isprintable(), ascii(words)
    return None, True


def refused_or(reader, data, right):
    """Whether some bytes are refused, or give the whole content, or at least what `right` takes."""
    value, refused = value_or_refusal(reader, data)
    return refused or reader.same(value, plain(reader)) or (right is not None and right(value))


def plain(reader):
    """The content, read once."""
    if reader.name not in CONTENTS:
        CONTENTS[reader.name] = reader.read(next(iter(reader.forms.values())))
    return CONTENTS[reader.name]


@pytest.mark.parametrize(("reader", "form"), FORMS)
def test_every_form_gives_the_same_value(reader, form, capfd):
    assert reader.same(reader.read(reader.forms[form]), plain(reader))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("reader", "form"), FORMS)
def test_a_cut_form_is_refused_or_right(reader, form):
    data = reader.forms[form]
    wrong = [tenth for tenth in range(1, 10) if not refused_or(reader, data[: len(data) * tenth // 10], reader.cut)]
    assert wrong == []


@pytest.mark.parametrize(("reader", "form"), FORMS)
def test_a_doubled_form_is_refused_or_right(reader, form):
    assert refused_or(reader, 2 * reader.forms[form], reader.doubled)


@pytest.mark.parametrize(("reader", "form"), FORMS)
def test_a_form_with_another_byte_is_refused_or_right(reader, form):
    wrong = []
    for data in battery.changes(reader, form):
        value, refused = value_or_refusal(reader, data)
        if not (refused or reader.same(value, plain(reader)) or reader.changed(value, data)):
            wrong.append(data)
    assert wrong == []


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_nothing_is_refused(reader):
    size = len(next(iter(reader.forms.values())))
    for empty in (b"", b" " * size, b"\n" * size, bytes(size)):
        assert value_or_refusal(reader, empty) == (None, True)


@pytest.mark.parametrize("module", [module.__name__ for module in MODULES])
def test_no_read_takes_long_or_much_memory(module):
    assert [row for row in battery.costs_elsewhere(module) if row[1] > SECONDS or row[2] > MEGABYTES] == []


def test_the_hostile_inputs_are_small():
    assert max(len(data) for reader in READERS for data in reader.hostile.values()) <= LARGE
