"""What the commands that prepare data sets share: their flags, and running a plan."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from absl import flags

from perceiver_jax import command
from perceiver_jax.data.preparation import checksums, dataset, findings, items
from perceiver_jax.data.preparation.checksums import Checksum
from perceiver_jax.data.preparation.listing import Listing
from perceiver_jax.data.preparation.parts import Part, share_of
from perceiver_jax.errors import Code, Failure, Stopped
from perceiver_jax.launch import flags as launching
from perceiver_jax.report.progress import Progress, note, say
from perceiver_jax.system.signals import StopFlag
from scripts import all_parts

LOG_SECONDS = 10.0  # between two lines of progress
MEGABYTE = 1_000_000


class _PartParser(flags.ArgumentParser):
    """One of several parts, as `I/N`."""

    syntactic_help = "I/N"

    def parse(self, argument: str) -> Part:
        return Part.parse(argument)

    def flag_type(self) -> str:
        return "part"


flags.disclaim_key_flags()  # they are the flags of the command that defines them


def define_flags(source: str, noun: str, flag: str = "source") -> None:
    """Adds the flags of every such command; `source` says what --source, or `flag`, is, `noun` what is prepared."""
    flags.DEFINE(command.PATH, flag, None, source)
    flags.DEFINE(command.PATH, "data_dir", None, "Directory of prepared data sets: the configs' data.data_dir.")
    flags.DEFINE_integer("num_workers", os.cpu_count(), "Processes that decode and write.", lower_bound=1)
    flags.DEFINE(command.PATH, "checksums", None, f"Output of md5sum or sha256sum for files in --{flag}; checked first.")
    flags.DEFINE_bool("verify", False, "Finally read all that was written and compare it with its checksums.")
    flags.DEFINE_bool("allow_partial", False, "Prepare a subset, recorded as such.")
    flags.DEFINE_integer("max_bad", 0, f"{noun.capitalize()} that may be left out as unreadable.", lower_bound=0)
    flags.DEFINE(_PartParser(), "part", None, "I/N: prepare part I of N, as may other machines, into the same --data_dir.")
    flags.DEFINE_bool("seal", False, "Put together what --part has prepared; refuse if a part is missing.")
    flags.DEFINE_integer("parts", None, "How many parts to prepare, --processes at a time, before --seal.", lower_bound=1)
    launching.define_flags("parts")


def prepare(make_plan: Callable[[Path], dataset.Plan], flag: str = "source") -> None:
    """Prepares what the flags ask for; `make_plan` lists and checks a source, the path that `flag` gives."""
    source = Path(command.require(flag))
    data_dir = Path(command.require("data_dir"))
    check_outside(data_dir, source, flag)
    part, seal = (flags.FLAGS[name].value for name in ("part", "seal"))
    if part is not None and seal:
        raise Failure(Code.CONFIG, "--part and --seal", expected="one of them: --seal once all parts are finished")
    all_parts.check_flags()
    published = _checksums(source) if source.exists() else []  # otherwise `make_plan` reports it
    if part is not None:  # all of them together compare each file
        published = part.share(published, lambda checksum: checksum.size)
    with StopFlag() as stop:
        if flags.FLAGS["parts"].value is not None:
            all_parts.prepare(data_dir, stop)
            published, seal = [], True  # the parts have compared them
        plan = make_plan(source)
        if published:
            _compare(published, stop)
        if part is None:
            _prepare_whole(plan, data_dir, seal, stop)
        else:
            _prepare_part(plan, part, data_dir, stop)


def _prepare_whole(plan: dataset.Plan, data_dir: Path, seal: bool, stop: StopFlag) -> None:
    num_workers, max_bad = (flags.FLAGS[name].value for name in ("num_workers", "max_bad"))
    count = sum(len(unit.items) for unit in plan.units)
    with Progress(count, 0) as progress:
        observe = Observer(progress, stop, count)
        final = dataset.prepare(plan, data_dir, num_workers, max_bad, observe, progress.note, seal)
    _finish_whole(final, data_dir, stop)


def _prepare_part(plan: dataset.Plan, part: Part, data_dir: Path, stop: StopFlag) -> None:
    final, folder = dataset.folders(plan, data_dir)
    mine = share_of(part, plan.units)
    count = sum(len(unit.items) for unit in mine)
    note(f"part {part}: {len(mine):,} of {len(plan.units):,} shards, {count:,} items")
    if not mine:
        note(f"warning: nothing to do: more parts than the {len(plan.units):,} shards")
    with Progress(count, 0) as progress:
        observe = Observer(progress, stop, count)
        records = dataset.prepare_part(plan, part, data_dir, flags.FLAGS["num_workers"].value, observe, progress.note)
    if records is None:
        _finish_whole(final, data_dir, stop)
        return
    if flags.FLAGS["verify"].value:
        sums = {name: record.sha256 for name, record in records.items()}
        _verify(folder, sums, "the same command writes them again", stop)
    bad = sum(len(record.bad) for record in records.values())
    left_out = f", without {bad:,} bad items: --max_bad counts them then" if bad else ""
    say(f"part {part} is ready; --seal in place of --part={part} puts all parts together, once they are{left_out}")


def _finish_whole(final: Path, data_dir: Path, stop: StopFlag) -> None:
    if flags.FLAGS["verify"].value:
        hint = f"restore them from a copy, or remove {final} and prepare again"
        _verify(final, dataset.written(final), hint, stop)
    say(f"{final} is ready: --config.data.data_dir={data_dir}")


def _verify(folder: Path, sums: Mapping[str, str], hint: str, stop: StopFlag) -> None:
    note(f"reading {folder}")
    with Progress(len(sums), 0) as progress:
        dataset.verify(folder, sums, hint, Observer(progress, stop, len(sums)))


def check_outside(data_dir: Path, source: Path, flag: str = "source") -> None:
    """Raises Failure(WORKDIR) for a directory inside the source's folder."""
    # realpath: unlike Path.resolve, it leaves a link to itself to those who would write there.
    if source.is_dir() and Path(os.path.realpath(data_dir)).is_relative_to(os.path.realpath(source)):
        raise Failure(Code.WORKDIR, f"--data_dir {data_dir}", f"is in --{flag}", hint="another --data_dir")


def _checksums(source: Path) -> list[Checksum]:
    """What the list of checksums holds, if one is given; names are below --source, or below the folder that it is in."""
    path = flags.FLAGS["checksums"].value
    root = source if source.is_dir() else source.parent
    return checksums.read(Path(path), root) if path is not None else []


def _compare(published: Sequence[Checksum], stop: StopFlag) -> None:
    """Reads what has checksums; raises Failure(DATA) where they differ, Stopped on request."""
    megabytes = sum(checksum.size for checksum in published) // MEGABYTE
    note(f"comparing {len(published):,} files, {megabytes:,} MB, with their checksums")
    with Progress(megabytes, 0) as progress:
        observe = Observer(progress, stop, megabytes, resumes=False, rate="megabytes_per_second")
        checksums.check(published, lambda done: observe(done // MEGABYTE))


def plan(
    data_set: ModuleType,
    listing: Listing,
    check_complete: Callable[[Listing, bool], list[str]],
    convert: items.Convert,
    description: Mapping[str, Any],
    **settings: Any,
) -> dataset.Plan:
    """The plan of what is listed, by the module of its data set; reports what is there and what is left out.

    Raises Failure(DATA) where it is not the whole data set, unless --allow_partial is given.
    """
    if listing.ignored:
        shown = findings.first(sorted(listing.ignored))
        note(f"ignored {len(listing.ignored):,} files whose names are not those of {data_set.NOUN}: {shown}")
    for line in check_complete(listing, flags.FLAGS["allow_partial"].value):
        note(line)
    units = [
        unit
        for split, found in listing.items.items()
        for unit in items.make_units(data_set.NAME, split, found, data_set.num_shards(split, len(found)))
    ]
    return dataset.Plan(
        name=data_set.NAME,
        version=data_set.VERSION,
        units=units,
        convert=convert,
        preload=data_set.PRELOAD,
        bad=listing.bad,
        ignored=listing.ignored,
        partial=listing.partial,
        features=data_set.features,
        description=description,
        **settings,
    )


class Observer:
    """Called with what is done: moves the bar, reports the rate now and then and at the end, and stops on request."""

    def __init__(
        self, progress: Progress, stop: StopFlag, total: int, resumes: bool = True, rate: str = "examples_per_second"
    ):
        self._progress, self._stop, self._total, self._rate = progress, stop, total, rate
        self._then = "the same command resumes behind the last whole shard" if resumes else "the same command starts over"
        self._before = (time.monotonic(), 0)

    def __call__(self, done: int) -> None:
        """Raises Stopped once a signal has asked for it."""
        if self._stop.should_stop is not None:
            raise Stopped(self._stop.should_stop, done, self._then)
        now, (then, count) = time.monotonic(), self._before
        ends = count < self._total <= done  # once: what is counted may be coarse
        if (now - then < LOG_SECONDS and not ends) or now == then:
            self._progress.update(done, {})
            return
        self._progress.update(done, {self._rate: (done - count) / (now - then)})
        self._before = (now, done)
