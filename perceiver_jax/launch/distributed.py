"""The flags of commands that run as one process on each of many hosts, and how the processes find each other."""

import os
import socket
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags

from perceiver_jax.errors import Code, Failure
from perceiver_jax.system import processes
from perceiver_jax.system.processes import Joined, Processes
from perceiver_jax.system.signals import StopFlag

flags.disclaim_key_flags()  # they are the flags of the command that defines them

PLACE = ("coordinator", "num_processes", "process_id")
PATIENCE = ("arrival_seconds", "lost_seconds", "shutdown_seconds")
LATER = 2  # times ours, at which JAX itself ends processes: our own watch says more


def define_flags() -> None:
    """Adds them."""
    flags.DEFINE_bool("distributed", False, "This is one of several processes, on one host or many, that share the work.")
    flags.DEFINE_string("coordinator", None, "HOST:PORT of process 0; default: as Slurm, Kubernetes, Open MPI or a TPU say.")
    flags.DEFINE_integer("num_processes", None, "How many processes there are; default: likewise.", lower_bound=1)
    flags.DEFINE_integer("process_id", None, "Which of them this is, from 0; default: likewise.", lower_bound=0)
    flags.DEFINE_float("arrival_seconds", 300, "How long processes wait for each other at the start.", lower_bound=1)
    flags.DEFINE_float("lost_seconds", 30, "Silence after which a process counts as lost, and all end.", lower_bound=3)
    flags.DEFINE_float("shutdown_seconds", 10, "How long a process that is done waits for JAX to end.", lower_bound=1)


def joined(stop: StopFlag) -> Processes:
    """The processes that the flags name, once all have come; without --distributed this one alone.

    From here on they end together. JAX must not have used a device before.
    Raises Failure(CONFIG) for flags that do not fit. Where one does not come in time, exits with Code.WATCHDOG.
    """
    given = {name: flags.FLAGS[name].value for name in PLACE + PATIENCE}
    if not flags.FLAGS["distributed"].value:
        useless = [name for name in given if flags.FLAGS[name].present]
        if useless:
            raise Failure(Code.CONFIG, f"--{useless[0]} says nothing without --distributed", hint="--distributed")
        return processes.enter(Processes(0, 1, stop))
    import jax
    from jax._src import distributed

    coordinator, count, index, local_devices = _place(given)
    jax.config.update("jax_enable_preemption_service", False)  # it would take SIGTERM: `StopFlag` answers it
    late = _Late(given["arrival_seconds"], index, count, coordinator)
    distributed.global_state.initialize(
        coordinator,
        count,
        index,
        local_devices,
        cluster_detection_method="deactivate",
        initialization_timeout=int(LATER * given["arrival_seconds"]),
        heartbeat_timeout_seconds=int(LATER * given["lost_seconds"]),
        shutdown_timeout_seconds=int(given["shutdown_seconds"]),
    )
    late.cancel()
    _keep_stdout()
    return processes.enter(Joined(distributed.global_state.client, index, count, stop, given["lost_seconds"]))


def _place(given: Mapping[str, Any]) -> tuple[str, int, int, Sequence[int] | None]:
    """The coordinator, how many processes there are, which this is, and its devices, where not all: given or found."""
    from jax._src import clusters

    found, reason = [given[name] for name in PLACE] + [None], ""
    if None in found[:3]:
        detect = clusters.ClusterEnv.auto_detect_unset_distributed_params
        try:
            found = detect(*found, None, int(given["arrival_seconds"]))
        except Exception as error:  # noqa: BLE001 each kind of cluster has its own
            reason = str(error).partition("\n")[0]
    missing = [f"--{name}" for name, value in zip(PLACE, found, strict=False) if value is None]
    if missing:
        hint = "--coordinator HOST:PORT --num_processes N --process_id 0 to N - 1"
        what, found = "--distributed: no cluster is known here", reason or f"no {', '.join(missing)}"
        raise Failure(Code.CONFIG, what, found=found, hint=hint)
    _check(*found[:3])
    return tuple(found)


def _check(coordinator: str, count: int, index: int) -> None:
    host, colon, port = coordinator.rpartition(":")
    if not (host and colon and port.isdecimal() and 0 < int(port) < 2**16):
        raise Failure(
            Code.CONFIG, f"--coordinator {coordinator}", expected="HOST:PORT", hint="--coordinator localhost:12355"
        )
    if index >= count:
        raise Failure(Code.CONFIG, f"--process_id {index}", expected=f"0 to {count - 1}, with --num_processes {count}")
    if index == 0:  # gRPC says less, and ends the process
        try:
            with socket.socket() as tried:
                tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                tried.bind(("", int(port)))
        except OSError as error:
            what, hint = f"--coordinator {coordinator}: process 0 cannot listen on port {port}", "another port"
            raise Failure(Code.CONFIG, what, found=os.strerror(error.errno).lower(), hint=hint) from None


def _keep_stdout() -> None:
    """Leaves stdout to results: gloo prints to it, from C++, and writes to stderr from here on."""
    if sys.stdout is not None and sys.stdout.fileno() == 1:
        sys.stdout.flush()
        kept = os.dup(1)
        os.dup2(2, 1)
        given = {"encoding": sys.stdout.encoding, "errors": sys.stdout.errors}
        sys.stdout = open(kept, "w", buffering=1 if os.isatty(kept) else -1, **given)  # noqa: SIM115 until the end


class _Late(threading.Timer):
    """Ends this process where the others have not come in time: JAX would abort, with a trace of its own."""

    def __init__(self, seconds: float, index: int, count: int, coordinator: str):
        super().__init__(seconds, self._end)
        who = "some others" if index == 0 else "process 0, or some others,"
        self._failure = Failure(
            Code.WATCHDOG,
            f"process {index} of {count}: {who} did not come within {seconds:.0f} s",
            f"at {coordinator}",
            hint="look at the logs of the others; the name and port must be reachable from every host (--arrival_seconds)",
        )
        self.daemon = True
        self.start()

    def _end(self) -> None:
        print(self._failure, file=sys.stderr, flush=True)
        os._exit(int(Code.WATCHDOG))
