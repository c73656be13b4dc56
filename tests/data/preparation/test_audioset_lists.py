"""AudioSet's lists of segments and of classes, as published and as they come back from editors and spreadsheets."""

import pytest

from perceiver_jax.data.preparation import audioset_classes, audioset_segments
from perceiver_jax.data.preparation.audioset_classes import Classes
from perceiver_jax.errors import Code, Failure

CLASSES = Classes(
    ("/m/09x0r", "/m/05zppz", "/m/04rlf", "/m/0jbk"), ("Speech", "Male speech, man speaking", "Music", "Animal")
)
NAMES = """index,mid,display_name
0,/m/09x0r,"Speech"
1,/m/05zppz,"Male speech, man speaking"
2,/m/04rlf,"Music"
3,/m/0jbk,"Animal"
"""
COMMENTS = """# Segments csv created Sun Mar  5 10:54:31 2017
# num_ytids=3, num_segs=3, num_unique_labels=3, num_positive_labels=4
# YTID, start_seconds, end_seconds, positive_labels
"""
ROWS = """--aE2O5G5WE, 30.000, 40.000, "/m/09x0r,/m/04rlf"
-0SdAVK79lg, 0.000, 10.000, "/m/04rlf"
1e100000000, 20.500, 30.200, "/m/0jbk"
"""
CLIPS = [("--aE2O5G5WE", 30_000, 40_000, (0, 2)), ("-0SdAVK79lg", 0, 10_000, (2,)), ("1e100000000", 20_500, 30_200, (3,))]
EXPECTED = 'YTID, start_seconds, end_seconds, "mid,mid"'


def write(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def read(tmp_path, *texts, splits=("eval",), drop=False, partial=False):
    paths = [(split, write(tmp_path / f"{i}.csv", text)) for i, (split, text) in enumerate(zip(splits, texts, strict=True))]
    return audioset_segments.read(paths, CLASSES, drop, partial)


def clips(lists, split="eval"):
    return [segment[:4] for segment in lists.segments[split]]


def keys(segments):
    return [segment.key for segment in segments]


def failure(function, *arguments, **named):
    with pytest.raises(Failure) as caught:
        function(*arguments, **named)
    assert caught.value.code is Code.DATA
    return str(caught.value)


# Segments


@pytest.mark.parametrize(
    "text",
    [
        COMMENTS + ROWS,
        b"\xef\xbb\xbf" + (COMMENTS + ROWS).replace("\n", "\r\n").encode(),
        (COMMENTS + ROWS).encode("utf-16"),
        ROWS.rstrip("\n"),
        "YTID,start_seconds,end_seconds,positive_labels\n" + ROWS.replace(", ", ","),
        ROWS.replace(", ", ";"),
        ROWS.replace(", ", ";").replace(".", ","),
        ROWS.replace(", ", "\t"),
        ROWS.replace(", ", " ,  "),
        ROWS.replace('"', ""),
        ROWS.replace("\n", ",,\n"),
        ROWS.replace("30.000", "3E+01"),
        "\n" + ROWS.replace("\n", "\n\n") + "\n",
        '"# num_ytids=3, num_segs=3"\n' + ROWS,
    ],
    ids=["published", "bom-crlf", "utf-16", "bare", "headings", "semicolons", "decimal-commas", "tabs", "blanks",
         "no-quotes", "empty-columns", "scientific", "blank-lines", "quoted-comment"],
)  # fmt: skip
def test_a_list_is_read_as_people_have_it(tmp_path, text):
    assert clips(read(tmp_path, text)) == CLIPS


def test_labels_without_quotes_are_told_with_their_line(tmp_path):
    lists = read(tmp_path, ROWS.replace('"', ""))
    assert lists.notes == [f"{tmp_path}/0.csv: 1 lines with several labels and no quotes were read, first in line 1"]


def test_a_label_counts_once_and_in_the_order_of_the_classes(tmp_path):
    text = 'abcdefghijk, 0, 10, "/m/09x0r,/m/09x0r"\nABCDEFGHIJK, 0, 10, " /m/04rlf , /m/09x0r,"\n'
    assert [labels for *_, labels in clips(read(tmp_path, text))] == [(0,), (0, 2)]


def test_unknown_labels_are_counted_and_clips_without_a_known_one_left_out(tmp_path):
    text = (
        'abcdefghijk, 0, 10, "/m/x,/m/09x0r"\nABCDEFGHIJK, 5, 10, "/m/x,/m/y"\nABCDEFGHIJ_, 0, 10, ""\nABCDEFGHIJ-, 0, 10,\n'
    )
    lists = read(tmp_path, text)
    assert clips(lists) == [("abcdefghijk", 0, 10_000, (0,))]
    assert lists.unknown == {"/m/x": 2, "/m/y": 1}
    assert keys(lists.unlabelled["eval"]) == ["ABCDEFGHIJK_5000", "ABCDEFGHIJ__0", "ABCDEFGHIJ-_0"]


def test_two_segments_of_a_video_are_two_clips(tmp_path):
    lists = read(tmp_path, 'abcdefghijk, 10, 20, "/m/09x0r"\nabcdefghijk, 60, 70, "/m/04rlf"\n')
    assert clips(lists) == [("abcdefghijk", 10_000, 20_000, (0,)), ("abcdefghijk", 60_000, 70_000, (2,))]


@pytest.mark.parametrize("second", ["abcdefghijk, 10.0, 20, /m/09x0r", "abcdefghijk, 10, 19, /m/04rlf"])
def test_a_clip_listed_twice_is_told_or_left_out(tmp_path, second):
    text = f"abcdefghijk, 10, 20, /m/09x0r\n{second}\n"
    assert failure(read, tmp_path, text) == (
        "error[3] the clip abcdefghijk at 10 s is listed twice: eval line 2, and eval line 1\n"
        "  try: --drop_duplicates keeps the first"
    )
    lists = read(tmp_path, text, drop=True)
    assert clips(lists) == [("abcdefghijk", 10_000, 20_000, (0,))]
    assert keys(lists.duplicates["eval"]) == ["abcdefghijk_10000"]


def test_ids_that_differ_in_case_are_two_videos(tmp_path):
    text = "aBcDeFgHiJk, 0, 10, /m/09x0r\nAbCdEfGhIjK, 0, 10, /m/04rlf\n"
    assert [video for video, *_ in clips(read(tmp_path, text))] == ["aBcDeFgHiJk", "AbCdEfGhIjK"]


def test_a_video_in_train_and_eval_is_told_or_left_out_of_train(tmp_path):
    texts = ROWS, "ABCDEFGHIJK, 0, 10, /m/04rlf\n--aE2O5G5WE, 50, 60, /m/04rlf\n"
    splits = "balanced_train", "eval"
    assert failure(read, tmp_path, *texts, splits=splits) == (
        "error[3] 1 videos are in train and eval: --aE2O5G5WE in balanced_train line 1 and in eval line 2\n"
        "  try: --drop_duplicates leaves them out of train"
    )
    lists = read(tmp_path, *texts, splits=splits, drop=True)
    assert clips(lists, "balanced_train") == CLIPS[1:]
    assert len(clips(lists)) == 2
    assert {split: keys(left_out) for split, left_out in lists.duplicates.items()} == {
        "balanced_train": ["--aE2O5G5WE_30000"],
        "eval": [],
    }


def test_a_clip_in_both_lists_of_train_is_told_or_left_out_of_the_second(tmp_path):
    splits = "balanced_train", "unbalanced_train"
    assert "is listed twice: unbalanced_train line 1, and balanced_train line 1" in failure(
        read, tmp_path, ROWS, ROWS, splits=splits
    )
    lists = read(tmp_path, ROWS, ROWS + "ABCDEFGHIJK, 0, 10, /m/04rlf\n", splits=splits, drop=True)
    assert clips(lists, "unbalanced_train") == [("ABCDEFGHIJK", 0, 10_000, (2,))]


@pytest.mark.parametrize("text", ["segment_id\tstart_time_seconds\tend_time_seconds\tlabel\n", "# by hand\n\n", ""])
def test_the_strong_list_is_refused_by_its_name(tmp_path, text):
    text += "a_b-c_d-e_f_30000\t0.000\t2.315\t/m/09x0r\n"
    assert failure(read, tmp_path, text) == (
        f"error[3] {tmp_path}/0.csv\n  found: the strongly labelled list, in which a line is an event\n"
        f"  expected: lines {EXPECTED}\n"
        "  try: the list of the same clips in which a line is a clip: balanced_train_segments.csv and its like"
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("abcdefghijk, 0, 10", f"  found: 3 fields\n  expected: 4 fields, {EXPECTED}"),
        ("abcdefghijk, 0, 10, /m/09x0r, music", f"  found: 5 fields\n  expected: 4 fields, {EXPECTED}"),
        ('"abcdefghijk, 0, 10, ""/m/09x0r"""', "  try: the whole line stands in quotes: save the list without them"),
        ('abcdefghijk, 0, 10, "/m/09x0r', "  found: a quote that is not closed on its line"),
        ("#NAME?, 0, 10, /m/09x0r", "  found: id #NAME?\n"),
        ("1E+100000000, 0, 10, /m/09x0r", "  try: a spreadsheet has changed it: download the list again"),
        ("inf, 0, 10, /m/09x0r", "  try: a spreadsheet has changed it: download the list again"),
        ("../../../etc, 0, 10, /m/09x0r", "  found: id ../../../etc\n  expected: an id of 11 letters, digits, _ or -"),
        ("/abcdefghij, 0, 10, /m/09x0r", "  found: id /abcdefghij\n"),
        ("abcdefghij\0, 0, 10, /m/09x0r", "  found: "),
        ("abcdefghijk, 10, 10, /m/09x0r", "  found: start 10, end 10\n  expected: seconds, start before end"),
        ("abcdefghijk, -1, 10, /m/09x0r", "  found: start -1, end 10"),
        ("abcdefghijk, nan, 10, /m/09x0r", "  found: start nan, end 10"),
        ("abcdefghijk, 0, inf, /m/09x0r", "  found: start 0, end inf"),
        ("abcdefghijk, 0, 1e999, /m/09x0r", "  found: start 0, end 1e999"),
        ("abcdefghijk, 1_0, 20, /m/09x0r", "  found: start 1_0, end 20"),
        ("abcdefghijk, 30000, 40000, /m/09x0r", "  try: start and end in seconds, not in milliseconds"),
    ],
)
def test_a_line_that_is_wrong_is_told_by_its_number(tmp_path, line, message):
    told = failure(read, tmp_path, f"{COMMENTS}{ROWS}{line}\n")
    assert told.startswith(f"error[3] {tmp_path}/0.csv line 7\n")
    assert message in told


def test_a_list_cut_short_is_told_by_its_own_count(tmp_path):
    text = COMMENTS + ROWS.partition("\n")[2]
    assert failure(read, tmp_path, text) == (
        f"error[3] {tmp_path}/0.csv is cut short\n  found: 2 lines\n  expected: 3, as its comment says: num_segs=3\n"
        "  try: download it again; or --allow_partial, for a subset"
    )
    assert clips(read(tmp_path, text, partial=True)) == CLIPS[1:]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the list of segments is empty"),
        (COMMENTS.encode(), "the list of segments is empty"),
        (b"PK\3\4 and so on", "the list of segments is a spreadsheet or an archive, not text"),
        (b"abcdefghijk, 0, 10, /m/09x0r\n\xe4\n", "0.csv line 2"),
        (
            b"abcdefghijk, 0, 10, Speech\n",
            "no listed clip has a label of --labels\n  found: labels Speech\n  expected: /m/09x0r, ",
        ),
    ],
)
def test_what_is_no_list_is_refused(tmp_path, data, message):
    assert message in failure(read, tmp_path, data)


def test_a_list_that_is_not_there_is_told_with_what_is(tmp_path):
    write(tmp_path / "eval_segments.csv", ROWS)
    told = failure(audioset_segments.read, [("eval", tmp_path / "eval.csv")], CLASSES, False, False)
    assert told == f"error[3] --segments {tmp_path}/eval.csv: does not exist\n  found: beside it are eval_segments.csv"


@pytest.mark.parametrize(
    ("word", "split", "path"),
    [
        ("a/unbalanced_train_segments.csv", "unbalanced_train", "a/unbalanced_train_segments.csv"),
        ("balanced_train_segments.csv", "balanced_train", "balanced_train_segments.csv"),
        ("my_eval.csv", "eval", "my_eval.csv"),
        ("balanced_train=eval/mine.csv", "balanced_train", "eval/mine.csv"),
    ],
)
def test_the_split_of_a_list_is_told_by_its_name_or_given(word, split, path):
    found = audioset_segments.split_of(word)
    assert (found[0], str(found[1])) == (split, path)


@pytest.mark.parametrize(("word", "path"), [("eval/mine.csv", "eval/mine.csv"), ("train=mine.csv", "mine.csv")])
def test_a_list_of_no_split_is_refused(word, path):
    hint = f"--segments=SPLIT={path}, SPLIT one of balanced_train, unbalanced_train, eval"
    with pytest.raises(Failure, match=hint) as caught:
        audioset_segments.split_of(word)
    assert caught.value.code is Code.CONFIG


# Classes


@pytest.mark.parametrize(
    "text",
    [
        NAMES,
        b"\xef\xbb\xbf" + NAMES.replace("\n", "\r\n").encode(),
        "".join(NAMES.splitlines(keepends=True)[i] for i in (0, 3, 1, 4, 2)),
        NAMES.partition("\n")[2],
        NAMES.replace('"', ""),
        NAMES.replace('"', "").replace(",", ";").replace("speech; man", "speech, man"),
        NAMES.replace(",", "\t").replace("speech\t man", "speech, man"),
        "mid,display_name,index\n"
        + "".join(f'{mid},"{name}",{i}\n' for i, (mid, name) in enumerate(zip(*CLASSES, strict=True))),
    ],
    ids=["published", "bom-crlf", "shuffled", "bare", "no-quotes", "semicolons", "tabs", "columns"],
)
def test_classes_are_read_by_their_index(tmp_path, text):
    assert audioset_classes.read(write(tmp_path / "names.csv", text), allow_partial=True) == CLASSES


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the list of classes is empty"),
        ('[{"id": "/m/09x0r"}]', "found: JSON, perhaps ontology.json"),
        (NAMES.replace("3,", "4,"), "4 classes, none of them with index 3"),
        (NAMES.replace("3,", "1,"), "names.csv line 5: index 1 is in line 3 already"),
        (NAMES.replace("/m/0jbk", "/m/09x0r"), "names.csv line 5: mid /m/09x0r is in line 2 already"),
        (NAMES.replace("Animal", "Music"), "names.csv line 5: display name Music is in line 4 already"),
        (NAMES + "4,/m/0dgw9r\n", "names.csv line 6\n  found: 2 fields\n  expected: 3 fields, "),
        (NAMES + "4,Human,/m/0dgw9r\n", "names.csv line 6\n  found: 4,Human,/m/0dgw9r\n"),
        (NAMES + "x,/m/0dgw9r,Human\n", "names.csv line 6\n  found: x,/m/0dgw9r,Human\n"),
    ],
)
def test_a_wrong_list_of_classes_is_refused(tmp_path, text, message):
    assert message in failure(audioset_classes.read, write(tmp_path / "names.csv", text), True)


@pytest.mark.parametrize(("count", "said"), [(4, "4 classes\n"), (632, "632 classes: the whole ontology, of which 527")])
def test_other_than_527_classes_are_refused_unless_they_may_be(tmp_path, count, said):
    path = write(tmp_path / "names.csv", "".join(f"{i},/m/{i},name {i}\n" for i in range(count)))
    told = failure(audioset_classes.read, path, False)
    assert f"  found: {said}" in told
    assert "  expected: 527\n" in told
    assert len(audioset_classes.read(path, True).names) == count


def test_the_527_classes_are_taken(tmp_path):
    path = write(tmp_path / "names.csv", "".join(f"{i},/m/{i},name {i}\n" for i in range(527)))
    assert audioset_classes.read(path, False).names[526] == "name 526"
