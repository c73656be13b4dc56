"""Which file holds which clip of AudioSet, by the names that people give them."""

import os

import pytest

from perceiver_jax.data.preparation import audioset_clips
from perceiver_jax.data.preparation.audioset_clips import find
from perceiver_jax.data.preparation.audioset_names import EITHER, START, WHOLE
from perceiver_jax.data.preparation.audioset_segments import Segment
from perceiver_jax.errors import Code, Failure


def segment(video, start=30_000, end=40_000):
    return Segment(video, start, end, (0,), 1)


HALF = segment("abcdefghijk", 30_500, 40_500)
ONE = {"eval": [segment("abcdefghijk")]}


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return folder


def files(found):
    """By clip the files' names and what they are of their videos."""
    return {clip.key: [(file.name, file.part) for file in each] for clip, each in found.files.items()}


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("abcdefghijk.wav", EITHER),
        ("abcdefghijk.WAV", EITHER),
        ("Yabcdefghijk.wav", EITHER),
        ("a/b/abcdefghijk.mp4", EITHER),
        ("abcdefghijk.f140.m4a", EITHER),
        ("A title, with (all) - of it [abcdefghijk].webm", EITHER),
        ("abcdefghijk_30.wav", START),
        ("abcdefghijk_30.0.wav", START),
        ("abcdefghijk_30.000.wav", START),
        ("abcdefghijk_000030.mp4", START),
        ("abcdefghijk_30000.flac", START),
        ("abcdefghijk_30000ms.flac", START),
        ("abcdefghijk_30_40.flac", START),
        ("abcdefghijk_30.000_40.000.flac", START),
        ("abcdefghijk_30.000-40.000.flac", START),
        ("Yabcdefghijk_30000_40000.ogg", START),
        ("Yabcdefghijk_30_40.mkv", START),
    ],
)
def test_namings_in_use_are_known(tmp_path, name, part):
    found = find(touch(tmp_path, name), ONE, None)
    assert files(found) == {"abcdefghijk_30000": [(os.path.basename(name), part)]}
    assert (found.ignored, found.notes) == ([], [])
    ((file,),) = found.files.values()
    assert (os.path.join(file.folder, file.name), file.size) == (f"{tmp_path}/{name}", len(name.encode()))


@pytest.mark.parametrize("name", ["abcdefghijk_30.500.wav", "abcdefghijk_30.5_40.5.wav", "Yabcdefghijk_30500.wav"])
def test_starts_between_seconds_are_known(tmp_path, name):
    assert files(find(touch(tmp_path, name), {"eval": [HALF]}, None)) == {"abcdefghijk_30500": [(name, START)]}


@pytest.mark.parametrize("video", ["-abcdefghij", "--------_-_", "_a_b_c_d_e_", "Yabcdefghij", "1e100000000", "00000000030"])
def test_ids_of_any_kind_are_told_from_what_follows(tmp_path, video):
    names = f"{video}.wav", f"Y{video}.flac", f"{video}_30.mp3", f"Y{video}_30_40.mp4"
    found = files(find(touch(tmp_path, *names), {"eval": [segment(video)]}, None))
    assert {name for name, _ in found[f"{video}_30000"]} == set(names)


def test_other_parts_of_a_video_other_videos_and_other_files_are_told(tmp_path):
    touch(
        tmp_path, "abcdefghijk_30.wav", "a/abcdefghijk_31.wav", "abcdefghij.wav", "ABCDEFGHIJK.wav", "readme.txt", ".a.wav"
    )
    found = find(tmp_path, {"eval": [HALF]}, None)
    assert found.files == {}
    assert sorted(found.ignored) == [".a.wav", "readme.txt"]
    first, second = found.notes
    assert first.startswith("2 files are of no clip that is to be prepared: ")
    assert second.startswith("2 files are of listed videos, but other parts of them: ")
    assert "a/abcdefghijk_31.wav" in second


def test_ids_that_differ_in_case_have_each_its_own_file(tmp_path):
    both = {"eval": [segment("aBcDeFgHiJk"), segment("AbCdEfGhIjK")]}
    assert files(find(touch(tmp_path, "AbCdEfGhIjK.wav"), both, None)) == {
        "AbCdEfGhIjK_30000": [("AbCdEfGhIjK.wav", EITHER)]
    }


def test_two_clips_of_a_video_have_files_by_their_starts_and_otherwise_the_whole_video(tmp_path):
    two = {"eval": [segment("abcdefghijk", 10_000), segment("abcdefghijk", 60_000)]}
    touch(tmp_path, "abcdefghijk_10.wav", "abcdefghijk.mp4")
    whole = ("abcdefghijk.mp4", WHOLE)
    assert files(find(tmp_path, two, None)) == {
        "abcdefghijk_10000": [("abcdefghijk_10.wav", START), whole],
        "abcdefghijk_60000": [whole],
    }


def test_sound_and_film_in_files_of_their_own_are_one_clip_sound_first(tmp_path):
    names = "video/abcdefghijk.mp4", "audio/abcdefghijk.m4a", "audio/abcdefghijk.wav", "video/abcdefghijk_30.webm"
    expected = ["abcdefghijk_30.webm", "abcdefghijk.wav", "abcdefghijk.m4a", "abcdefghijk.mp4"]
    found = files(find(touch(tmp_path, *names), ONE, None))
    assert [name for name, _ in found["abcdefghijk_30000"]] == expected


def test_links_are_followed_and_loops_end(tmp_path):
    touch(tmp_path / "elsewhere", "abcdefghijk.wav", "in/ABCDEFGHIJK.wav")
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips/all").symlink_to(tmp_path / "elsewhere/in")
    (tmp_path / "clips/again").symlink_to(tmp_path / "clips")
    (tmp_path / "clips/abcdefghijk.wav").symlink_to(tmp_path / "elsewhere/abcdefghijk.wav")
    (tmp_path / "clips/Yabcdefghijk.wav").symlink_to(tmp_path / "nowhere")
    (tmp_path / "clips/abcdefghijk.mp4").symlink_to(tmp_path / "clips/abcdefghijk.mp4")
    os.mkfifo(tmp_path / "clips/abcdefghijk_30.wav")
    found = find(tmp_path / "clips", {"eval": [segment("abcdefghijk"), segment("ABCDEFGHIJK")]}, None)
    assert files(found) == {
        "abcdefghijk_30000": [("abcdefghijk.wav", EITHER)],
        "ABCDEFGHIJK_30000": [("ABCDEFGHIJK.wav", EITHER)],
    }
    (note,) = found.notes
    assert note.startswith("3 are no files, or links that lead nowhere: ")


@pytest.mark.parametrize(
    ("template", "name", "part"),
    [
        ("{id}", "x/abcdefghijk.wav", EITHER),
        ("clip-{id}-{start}-{end}", "clip-abcdefghijk-30-40.wav", START),
        ("{id}@{start:.2f}", "x/abcdefghijk@30.00.flac", START),
        ("{id}_{start:06d}.mp4", "abcdefghijk_000030.mp4", START),
        ("{id}_{start_ms:08d}_{end_ms}", "abcdefghijk_00030000_40000.mp4", START),
        ("{split}/{id}/sound", "eval/abcdefghijk/sound.wav", EITHER),
        ("./{split}/{id}", "eval/abcdefghijk.wav", EITHER),
    ],
)
def test_a_template_names_clips(tmp_path, template, name, part):
    touch(tmp_path, name, "train/abcdefghijk/sound.wav", "abcdefghijk_40.wav")
    assert files(find(tmp_path, ONE, template)) == {"abcdefghijk_30000": [(os.path.basename(name), part)]}


@pytest.mark.parametrize("template", ["{video}", "{id", "{id:d}", "{}", "{start}", "{id.x}", "clip"])
def test_a_template_that_is_none_is_refused(tmp_path, template):
    with pytest.raises(Failure) as caught:
        find(tmp_path, ONE, template)
    assert caught.value.code is Code.CONFIG
    assert f"error[2] --template {template}\n  expected: {{id}}, {{start}}, {{end}} in seconds, " in str(caught.value)


def test_a_folder_that_cannot_be_read_is_told(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(audioset_clips.os, "scandir", refuse)
    with pytest.raises(Failure, match="cannot read"):
        find(tmp_path, ONE, None)
