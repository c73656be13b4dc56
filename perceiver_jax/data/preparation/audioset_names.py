"""What people call the files of AudioSet's clips."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from perceiver_jax.data.preparation.audioset_segments import SPLITS, Segment
from perceiver_jax.errors import Code, Failure
from perceiver_jax.readers.recordings import FILMS, SOUNDS

# What a file is of its video: it begins at the clip's start; it is the clip or the whole video, as its length will show; it
# must be the whole video, of which several clips are listed.
START, EITHER, WHOLE = "start", "either", "whole"

Match = Callable[[str], tuple[list[tuple[Segment, str]], bool]]
"""From a path below the folder, without its suffix, to its clips, what it is of each, and whether its video is listed."""

_TIME = r"(\d+(?:\.\d+)?)(ms|s)?"
_NAME = rf"([A-Za-z0-9_-]{{11}})(?:[_-]{_TIME}(?:[_-]{_TIME})?)?(?:\.[A-Za-z]\w*)?"
# As they come; with YouTube's Y in front; and as yt-dlp calls whole videos, `title [id]`.
_NAMES = (re.compile(_NAME), re.compile(f"Y{_NAME}"), re.compile(r".*\[([A-Za-z0-9_-]{11})\]()()"))
PLACEHOLDERS = "{id}, {start}, {end} in seconds, {start_ms}, {end_ms}, {split}"


def by_names(segments: Mapping[str, list[Segment]]) -> Match:
    """Tells the clips of files by the namings in use."""
    videos: dict[str, Segment | list[Segment]] = {}  # no list where there is one: of two million, nearly all
    for segment in _all(segments):
        if segment.video not in videos:
            videos[segment.video] = segment
        else:
            before = videos[segment.video]
            videos[segment.video] = [*before, segment] if isinstance(before, list) else [before, segment]

    def match(stem: str) -> tuple[list[tuple[Segment, str]], bool]:
        listed = False
        for pattern in _NAMES:
            parsed = pattern.fullmatch(stem.rpartition("/")[2])
            if not parsed or parsed[1] not in videos:
                continue
            listed, of_video = True, videos[parsed[1]]
            of_video = of_video if isinstance(of_video, list) else [of_video]
            if not parsed[2]:
                part = EITHER if len(of_video) == 1 else WHOLE
                return [(segment, part) for segment in of_video], True
            starts = _starts(parsed[2], parsed[3])
            clips = [(one, START) for start in starts for one in of_video if one.start == start]
            if clips:
                return clips[:1], True
        return [], listed

    return match


def by_template(segments: Mapping[str, list[Segment]], template: str) -> Match:
    """Tells the clips of files by a name with placeholders; raises Failure(CONFIG) for a template that is none."""
    plain, dot, suffix = template.rpartition(".")
    plain = plain if dot and f".{suffix.lower()}" in SOUNDS + FILMS else template
    names: dict[str, list[Segment]] = {}
    for split, of_split in segments.items():
        for segment in of_split:
            names.setdefault(_filled(plain, segment, split), []).append(segment)
    one, other = (Segment("-" * 11, start, 9000, (), 0) for start in (0, 1000))
    has_start = _filled(plain, one, SPLITS[0]) != _filled(plain, other, SPLITS[0])

    def match(stem: str) -> tuple[list[tuple[Segment, str]], bool]:
        known = [name for name in (stem, stem.rpartition("/")[2]) if name in names]
        found = names[known[0]] if known else []
        part = START if has_start else EITHER if len(found) == 1 else WHOLE
        return [(segment, part) for segment in found], bool(found)

    return match


def called(segment: Segment, split: str, template: str | None) -> list[str]:
    """Names that a file of a clip might have, without its suffix."""
    if template is not None:
        return [_filled(template, segment, split)]
    video = segment.video
    return list(dict.fromkeys([video, f"Y{video}", f"{video}_{segment.start / 1000:g}", segment.key]))


class _Seconds(float):
    """A time, that shows whole seconds as such: `30`, and with the format 06d `000030`."""

    def __format__(self, form: str) -> str:
        return format(int(self), form) if form.endswith("d") else format(float(self), form or "g")


def _filled(template: str, segment: Segment, split: str) -> str:
    values: dict[str, Any] = {"id": segment.video, "start_ms": segment.start, "end_ms": segment.end, "split": split}
    values |= {"start": _Seconds(segment.start / 1000), "end": _Seconds(segment.end / 1000)}
    try:
        name = template.format(**values)
    except (KeyError, IndexError, ValueError, AttributeError, TypeError):
        name = ""
    if segment.video not in name:
        example = "{id}_{start:.3f}, or {split}/Y{id}_{start_ms}_{end_ms}"
        raise Failure(Code.CONFIG, f"--template {template}", expected=f"{PLACEHOLDERS}; {{id}} among them", hint=example)
    return name.removeprefix("./")


def _all(segments: Mapping[str, list[Segment]]) -> Iterator[Segment]:
    return (segment for of_split in segments.values() for segment in of_split)


def _starts(number: str, unit: str | None) -> list[int]:
    """What a number in a name may be, in ms."""
    seconds = [] if unit == "ms" else [round(float(number) * 1000)]
    return seconds + ([int(number)] if number.isdigit() and unit != "s" else [])
