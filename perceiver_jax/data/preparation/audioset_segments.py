"""AudioSet's lists of segments: lines `YTID, start_seconds, end_seconds, "mid,mid"` behind three comments.

A clip is an id and a start: one video may have several. Lists that went through a spreadsheet are read where nothing is
lost: byte order mark, any ends of lines, semicolons or tabs, quotes gone; what was lost is told with its line.
"""

import collections
import dataclasses
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from perceiver_jax.data import label_rows
from perceiver_jax.data.preparation.audioset_classes import MID, Classes, delimiter_of, read_text
from perceiver_jax.data.sources.audioset import LISTED
from perceiver_jax.errors import Code, Failure, printable, some

SPLITS = tuple(LISTED)
ID = re.compile(r"[A-Za-z0-9_-]{11}")
EXPECTED = 'YTID, start_seconds, end_seconds, "mid,mid"'
MAX_SECONDS = 600  # of a segment; more are milliseconds taken for seconds
SHOWN = 5
_HEADINGS = {"ytid", "youtubeid", "videoid", "id"}
_NUMBER = re.compile(r"-?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_ERROR = re.compile(r"#[A-Z/0]+[?!]|#N/A")  # what a spreadsheet makes of an id that begins with a dash
_CHANGED = re.compile(r"[\d.,]+([eE]\+?\d+)?|-?inf|nan|TRUE|FALSE", re.IGNORECASE)  # and of one that looks like a number
# A first line of the list in which each line is an event: its headings, or an id with the start in ms.
_STRONG = re.compile(r'\A((#.*|[ \t]*)\n)*"?(segment_id\b|[A-Za-z0-9_-]{11}_\d+"?[\t,;])')
_LABEL_ENDS = re.compile(r"[,;|]")
_NUM_SEGMENTS = re.compile(r'^"?#.*\bnum_segs\s*=\s*(\d{1,9})\b', re.MULTILINE)


class Segment(NamedTuple):
    """A clip as a list has it."""

    video: str
    start: int  # ms in the video
    end: int
    labels: tuple[int, ...]  # known ones, ascending, none twice
    line: int

    @property
    def key(self) -> str:
        """The clip's name, as in the strongly labelled lists."""
        return f"{self.video}_{self.start}"


@dataclasses.dataclass
class Lists:
    """The segments by split, those that are left out too, and what was remarkable in the lists."""

    segments: dict[str, list[Segment]]
    unlabelled: dict[str, list[Segment]]  # without a known label, left out
    duplicates: dict[str, list[Segment]]  # left out on demand
    unknown: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)  # labels of no class
    notes: list[str] = dataclasses.field(default_factory=list)
    cut_short: bool = False  # a list has fewer lines than it says


def split_of(word: str) -> tuple[str, Path]:
    """The split and the path of a list, given as `PATH` or `SPLIT=PATH`; raises Failure(CONFIG) where none can be told."""
    split, equals, path = word.partition("=")
    if equals and split in SPLITS:
        return split, Path(os.path.expanduser(path))
    name = Path(word).name
    for split in ("unbalanced_train", "balanced_train", "eval"):
        if split in name:
            return split, Path(os.path.expanduser(word))
    hint = f"--segments=SPLIT={path or word}, SPLIT one of {', '.join(SPLITS)}"
    named = equals and re.fullmatch(r"\w+", split)
    where = f"AudioSet has no split {split}" if named else "which split is it? Its name does not say"
    raise Failure(Code.CONFIG, f"--segments {word}", where, hint=hint)


def read(paths: Sequence[tuple[str, Path]], classes: Classes, drop_duplicates: bool, allow_partial: bool) -> Lists:
    """The segments of some lists, each with its split.

    Raises Failure(DATA), with the line, for a list that cannot be read or is wrong, for clips that are listed twice and
    videos in train and eval unless `drop_duplicates`, and for lists cut short unless `allow_partial`.
    """
    splits = [split for split in SPLITS if split in {one for one, _ in paths}]
    lists = Lists(*({split: [] for split in splits} for _ in range(3)))
    numbers = {mid: number for number, mid in enumerate(classes.mids)}
    for split, path in paths:
        lists.segments[split] += _segments(path, split, numbers, lists, allow_partial)
    _remove_leaked(lists, drop_duplicates)
    _remove_repeated(lists, drop_duplicates)
    if not any(lists.segments.values()):
        known = some(classes.mids, SHOWN)
        unknown = some([mid for mid, _ in lists.unknown.most_common(SHOWN + 1)], SHOWN)
        found = f"labels {printable(unknown)}" if unknown else "none"
        raise Failure(Code.DATA, "no listed clip has a label of --labels", found=found, expected=known)
    return lists


def _segments(path: Path, split: str, numbers: Mapping[str, int], lists: Lists, allow_partial: bool) -> Iterator[Segment]:
    """The segments of one list that have a known label."""
    text = read_text(path, "--segments", "the list of segments")
    without_quotes, count, same = [], 0, {}
    for line, fields in _rows(text, path):
        count += 1
        if len(fields) > 4:
            without_quotes.append(line)
        video, start, end = _checked(fields, f"{path} line {line}")
        labels = set()
        for mid in filter(None, map(str.strip, _LABEL_ENDS.split(",".join(fields[3:])))):
            if mid in numbers:
                labels.add(numbers[mid])
            else:
                lists.unknown[mid] += 1
        known = tuple(sorted(labels))
        segment = Segment(video, *(same.setdefault(one, one) for one in (start, end, known)), line)
        if known:
            yield segment
        else:
            lists.unlabelled[split].append(segment)
    if not count:
        raise Failure(Code.DATA, "the list of segments is empty", f"{path}", expected=f"lines {EXPECTED}")
    if without_quotes:
        first = f"first in line {without_quotes[0]}"
        lists.notes.append(f"{path}: {len(without_quotes):,} lines with several labels and no quotes were read, {first}")
    said = _NUM_SEGMENTS.search(text[: 2**16])
    if said and count < int(said[1]):
        lists.cut_short = True
        if not allow_partial:
            hint = "download it again; or --allow_partial, for a subset"
            expected = f"{int(said[1]):,}, as its comment says: num_segs={said[1]}"
            raise Failure(Code.DATA, f"{path} is cut short", found=f"{count:,} lines", expected=expected, hint=hint)


def _rows(text: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line and fields of each segment; labels whose quotes are gone are several fields."""
    if _STRONG.search(text[: 2**16]):
        hint = "the list of the same clips in which a line is a clip: balanced_train_segments.csv and its like"
        found = "the strongly labelled list, in which a line is an event"
        raise Failure(Code.DATA, f"{path}", found=found, expected=f"lines {EXPECTED}", hint=hint)
    delimiter = delimiter_of(text, ID, 0, 4)
    for line, fields in label_rows.lines(text, delimiter, f"{path}", EXPECTED):
        names = [re.sub(r"[\W_]", "", field.lower()) for field in fields]
        if names[0] in _HEADINGS or (fields[0].startswith("#") and not _ERROR.fullmatch(fields[0])):
            continue
        while len(fields) > 4 and not fields[-1]:  # of columns that a spreadsheet had in use
            fields.pop()
        if len(fields) < 4 or (len(fields) > 4 and not all(map(MID.fullmatch, fields[3:]))):
            hint = "the whole line stands in quotes: save the list without them" if "," in fields[0] else ""
            found = f"{len(fields)} field{'s' if len(fields) != 1 else ''}"
            raise Failure(Code.DATA, f"{path} line {line}", found=found, expected=f"4 fields, {EXPECTED}", hint=hint)
        if delimiter != ",":
            fields[1:3] = (field.replace(",", ".") for field in fields[1:3])
        yield line, fields


def _checked(fields: Sequence[str], where: str) -> tuple[str, int, int]:
    """Id, start and end of a segment; raises Failure(DATA) where they are none."""
    video = fields[0]
    if not ID.fullmatch(video):
        changed = _ERROR.fullmatch(video) or _CHANGED.fullmatch(video)
        hint = "a spreadsheet has changed it: download the list again" if changed else ""
        expected = "an id of 11 letters, digits, _ or -"
        raise Failure(Code.DATA, where, found=f"id {printable(video, 40)}", expected=expected, hint=hint)
    times = [float(field) if _NUMBER.fullmatch(field) else math.nan for field in fields[1:3]]
    if not (0 <= times[0] < times[1] < math.inf):  # also where one is no number
        found = printable(f"start {fields[1]}, end {fields[2]}", 60)
        raise Failure(Code.DATA, where, found=found, expected="seconds, start before end")
    start, end = (round(time * 1000) for time in times)
    if end - start > MAX_SECONDS * 1000:
        found, expected = f"a clip of {times[1] - times[0]:,.0f} s", f"seconds, at most {MAX_SECONDS} a clip"
        raise Failure(Code.DATA, where, found=found, expected=expected, hint="start and end in seconds, not in milliseconds")
    return video, start, end


def _remove_leaked(lists: Lists, drop: bool) -> None:
    """Leaves out training clips of videos that are evaluated on; raises Failure(DATA) unless it may."""
    held_out = {segment.video: segment.line for segment in lists.segments["eval"]} if "eval" in lists.segments else {}
    for split in [split for split in lists.segments if split != "eval"]:
        leaked = [segment for segment in lists.segments[split] if segment.video in held_out]
        if leaked and not drop:
            first = leaked[0]
            where = f"{first.video} in {split} line {first.line} and in eval line {held_out[first.video]}"
            hint = "--drop_duplicates leaves them out of train"
            raise Failure(Code.DATA, f"{len(leaked):,} videos are in train and eval", where, hint=hint)
        lists.segments[split] = [segment for segment in lists.segments[split] if segment.video not in held_out]
        lists.duplicates[split] += leaked


def _remove_repeated(lists: Lists, drop: bool) -> None:
    """Leaves of clips that are listed twice the first; raises Failure(DATA) unless it may."""
    videos: set[str] = set()
    several: set[str] = set()  # videos with several clips: of two million, few
    for segments in lists.segments.values():
        for segment in segments:
            (several if segment.video in videos else videos).add(segment.video)
    seen: dict[tuple[str, int], tuple[str, int]] = {}
    for split, segments in lists.segments.items():
        kept = []
        for segment in segments:
            if segment.video not in several:
                kept.append(segment)
                continue
            here = split, segment.line
            first = seen.setdefault((segment.video, segment.start), here)
            if first is here:
                kept.append(segment)
                continue
            if not drop:
                at = f"{segment.video} at {segment.start / 1000:g} s"
                where = f"{split} line {segment.line}, and {first[0]} line {first[1]}"
                raise Failure(Code.DATA, f"the clip {at} is listed twice", where, hint="--drop_duplicates keeps the first")
            lists.duplicates[split].append(segment)
        lists.segments[split] = kept
