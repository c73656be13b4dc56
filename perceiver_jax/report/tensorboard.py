"""The numbers of a run as TensorBoard reads them."""

import math
import time
from collections.abc import Mapping
from pathlib import Path

FLUSH_SECONDS = 10.0  # at least, between two syncs of the file: each waits for the disk


class Events:
    """One TensorBoard event file, tags such as `train/loss`.

    Uses the writer beneath tensorboardX's SummaryWriter, whose thread dies at the first fault of the disk: ten records
    later every call waits for it for ever. Two writers within one second would share a file name, hence the suffix.
    """

    def __init__(self, folder: Path, resume_step: int):
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        folder.mkdir(parents=True, exist_ok=True)
        self._writer = EventsWriter(str(folder / "events"), filename_suffix=f".{time.time_ns()}")
        # TensorBoard hides what older files hold from the step of this event on.
        start = SessionLog(status=SessionLog.START)
        self._writer.write_event(Event(wall_time=time.time(), step=resume_step + 1, session_log=start))
        self._flushed = -math.inf

    def write(self, step: int, split: str, numbers: Mapping[str, float]) -> None:
        """The numbers of a split at a step."""
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=f"{split}/{name}", simple_value=value) for name, value in numbers.items()]
        self._writer.write_event(Event(wall_time=time.time(), step=step, summary=Summary(value=values)))
        if time.monotonic() - self._flushed > FLUSH_SECONDS:
            self.sync()

    def sync(self) -> None:
        """Waits until what is written is on the disk."""
        self._writer.flush()
        self._flushed = time.monotonic()

    def close(self) -> None:
        """Ends the file."""
        self._writer.close()
