"""How much of what AudioSet's lists name is there: in all and by class, with reasons. Clips vanish; never in silence.

The whole report is `coverage.json` beside the shards; the screen shows what is remarkable.
"""

import collections
import dataclasses
import json
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from perceiver_jax.data import example_index
from perceiver_jax.data.example_index import STREAMS
from perceiver_jax.data.preparation.audioset_classes import Classes
from perceiver_jax.data.preparation.audioset_clips import File, Found, is_sound
from perceiver_jax.data.preparation.audioset_names import called
from perceiver_jax.data.preparation.audioset_segments import Lists
from perceiver_jax.data.preparation.items import Clip, ClipFile, Item, Unit
from perceiver_jax.data.preparation.listing import Listing
from perceiver_jax.data.preparation.shard import ShardRecord
from perceiver_jax.errors import Code, Failure, printable, some
from perceiver_jax.system import disk

COVERAGE = "coverage.json"
NO_FILE, NO_LABEL, DUPLICATE = "no-file", "no-known-label", "duplicate"
MAX_FILES = 4  # of one clip that are opened
SHOWN = 10


@dataclasses.dataclass
class Coverage:
    """What the lists name, and of it what the folder has not."""

    classes: Classes
    asked: dict[str, int]  # by split, clips that are to be prepared
    counts: dict[str, list[int]]  # by split, listed clips of each class
    missing: dict[str, list[str]]  # by split, keys of clips without a file
    expected: dict[str, list[str]]  # by split, what a file of the first missing clip might be called
    hint: str  # where files have other names
    unknown: Mapping[str, int]  # labels of no class, and how often they are listed
    left_out: Mapping[str, Mapping[str, Sequence[str]]]  # by reason and split, keys of listed clips
    notes: list[str]

    @property
    def listed(self) -> dict[str, int]:
        """By split, all clips of the lists."""
        return {split: count + sum(len(of[split]) for of in self.left_out.values()) for split, count in self.asked.items()}

    def check(self, listing: Listing, max_missing: float) -> list[str]:
        """Lines on what is there and what is remarkable; raises Failure(DATA) where more of a split is missing than may."""
        lines = self.notes + self._of_lists()
        for split, asked in self.asked.items():
            missing = len(self.missing[split])
            lines.append(f"{split}: {asked - missing:,} of {asked:,} clips, {missing / max(1, asked):.1%} missing")
            found = {label for item in listing.items[split] for label in item.label}
            lines += self._absent(split, found)
        for split, asked in self.asked.items():
            missing = len(self.missing[split])
            if not listing.items[split] or missing > max_missing * asked:
                raise self._too_few(split, listing)
        return lines

    def _too_few(self, split: str, listing: Listing) -> Failure:
        missing = self.missing[split]
        what = f"{len(missing):,} of {self.asked[split]:,} clips of {split} have no file"
        if not missing:
            return Failure(Code.DATA, f"no clip of {split} is left", hint="--segments without that list")
        found = "; ".join(self.notes) or "no file that could be one"
        *others, last = self.expected[split]
        names = f"{', '.join(others)} or {last}" if others else last
        expected = f"files called {names}, for example"
        hint = f"{self.hint}, or --max_missing with the portion that may be missing"
        return Failure(Code.DATA, what, f"first {missing[0]}", found=found, expected=expected, hint=hint)

    def finish(
        self, units: Sequence[Unit], records: Mapping[str, ShardRecord], folder: Path, report: Callable[[str], None]
    ) -> None:
        """Writes the report and the index of every split; reports what was lost and which streams are absent."""
        splits, prepared = {}, {}
        for split, listed in self.listed.items():
            of_split = [(unit, records[unit.shard]) for unit in units if unit.split == split]
            examples = [example for pair in of_split for example in _examples(*pair)]
            example_index.write(folder, split, examples)
            prepared[split] = collections.Counter(label for _, labels in examples for label in labels)
            lost = {NO_FILE: self.missing[split]} | {reason: of[split] for reason, of in self.left_out.items()}
            reasons = collections.Counter({reason: len(keys) for reason, keys in lost.items() if keys})
            reasons.update(code for _, record in of_split for _, code, _ in record.bad)
            absent = {f"no-{name}": sum(name not in streams for streams, _ in examples) for name in STREAMS}
            report(f"{split}: {len(examples):,} of {listed:,} clips prepared; {_counts(reasons)}; {_counts(absent)}")
            for line in self._absent(split, prepared[split].keys()):
                report(line)
            splits[split] = {"listed": listed, "prepared": len(examples), "missing": dict(sorted(reasons.items()))}
            splits[split] |= {"absent": absent, "without_file": self.missing[split]}
        classes = [
            {"mid": mid, "name": name}
            | {split: {"listed": self.counts[split][i], "prepared": prepared[split][i]} for split in splits}
            for i, (mid, name) in enumerate(zip(*self.classes, strict=True))
        ]
        left_out = {reason: self._left_out(reason) for reason in self.left_out}
        whole = {"splits": splits, "classes": classes, "unknown_labels": self.unknown, "left_out": left_out}
        disk.write_atomically(folder / COVERAGE, (json.dumps(whole, indent=1) + "\n").encode())

    def _of_lists(self) -> list[str]:
        """Lines on labels and rows that were left out."""
        lines = []
        if self.unknown:
            total = sum(self.unknown.values())
            lines.append(f"{total:,} labels are of no class in --labels: {printable(some(sorted(self.unknown), SHOWN))}")
        for reason, text in ((NO_LABEL, "clips without a known label"), (DUPLICATE, "clips listed twice")):
            if keys := self._left_out(reason):
                lines.append(f"left out {len(keys):,} {text}: {some(sorted(keys), SHOWN)}")
        return lines

    def _left_out(self, reason: str) -> list[str]:
        """The keys of all splits."""
        return [key for keys in self.left_out[reason].values() for key in keys]

    def _absent(self, split: str, found: Collection[int]) -> list[str]:
        """A line on the classes without a clip, if there are any."""
        names = [name for number, name in enumerate(self.classes.names) if number not in found]
        shown = printable(some(names, SHOWN, f"... (all in {COVERAGE})"), 1000)
        return (
            [f"warning: {split} has no clip of {len(names):,} of {len(self.classes.names):,} classes: {shown}"]
            if names
            else []
        )


def list_clips(lists: Lists, found: Found, classes: Classes, template: str | None) -> tuple[Listing, Coverage]:
    """The listed clips that have a file, and what there is to say about all. Empties `lists` and `found`: they are large."""
    asked = {split: len(segments) for split, segments in lists.segments.items()}
    listing = Listing(asked, ignored=found.ignored)
    missing: dict[str, list[str]] = {split: [] for split in asked}
    counts = {split: [0] * len(classes.mids) for split in asked}
    expected: dict[str, list[str]] = {}
    several = []
    for split, segments in lists.duplicates.items():
        for label in (label for segment in segments for label in segment.labels):
            counts[split][label] += 1
    for split, segments in lists.segments.items():
        segments.reverse()
        while segments:
            segment = segments.pop()
            key = segment.key
            for label in segment.labels:
                counts[split][label] += 1
            if segment not in found.files:
                missing[split].append(key)
                expected.setdefault(split, called(segment, split, template))
                continue
            files = found.files.pop(segment)
            if len({is_sound(file) for file in files}) < len(files):
                several.append(f"{key} ({files[0].name})")
            folder = files[0].folder
            of_clip = tuple(ClipFile(_name(one, folder), *one[2:]) for one in files[:MAX_FILES])
            clip = Clip(segment.start, segment.end, of_clip)
            listing.items[split].append(Item(key, segment.labels, folder, 0, 0, 0, clip))
    notes = [*lists.notes, *found.notes]
    if several:
        shown = some(sorted(several), SHOWN)
        notes.append(f"{len(several):,} clips have several files of sound or of film; the first that fits is taken: {shown}")
    left_out = {
        reason: {split: [segment.key for segment in segments] for split, segments in of.items()}
        for reason, of in ((NO_LABEL, lists.unlabelled), (DUPLICATE, lists.duplicates))
    }
    hint = "--template for other names" if template is None else "another --template"
    return listing, Coverage(classes, asked, counts, missing, expected, hint, lists.unknown, left_out, notes)


def _name(file: File, folder: str) -> str:
    """A file's path from a folder."""
    return file.name if file.folder == folder else os.path.relpath(os.path.join(file.folder, file.name), folder)


def _examples(unit: Unit, record: ShardRecord) -> list[tuple[list[str], tuple[int, ...]]]:
    """The streams and labels of the examples of a shard, in their order."""
    bad = {key for key, *_ in record.bad}
    lacking = {
        name: {key for code, keys in record.warnings.items() if code == f"no-{name}" for key in keys} for name in STREAMS
    }
    return [
        ([name for name in STREAMS if item.key not in lacking[name]], item.label)
        for item in unit.items
        if item.key not in bad
    ]


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items())) or "none missing"
