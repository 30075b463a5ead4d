"""Connects to Ray while the terminal and the signal handlers of this process stay with the search."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray.core.generated.common_pb2 import ActorDiedErrorContext  # type: ignore[attr-defined]

from dcdnas.core.leaving import leave_suddenly
from dcdnas.core.trial import FailureKind
from dcdnas.engine.execution import Execution
from dcdnas.engine.executors.ray._head import HeadLostError
from dcdnas.engine.job import described
from dcdnas.errors import UsageError

_PRINT = "print_to_stdstream"

POLL = 0.5
"""Seconds between two checks on a running Ray call."""

SETTLING = 2.0
"""Seconds within which a cluster notices that a dead worker's machine is gone too."""


@contextmanager
def cluster(execution: Execution) -> Iterator[None]:
    """Provides a Ray cluster: the connected one, the one at the address, or a local one that is shut down after the block.

    Raises:
        UsageError: when there is no cluster at the address, or none can be started here.
    """
    if ray.is_initialized():
        yield
        return
    settings: dict[str, Any] = {"address": execution.address or "local", "log_to_driver": False, "logging_level": "ERROR"}
    if not execution.address:
        settings |= {
            "num_cpus": max(os.cpu_count() or 1, int(execution.jobs * execution.cpus_per_trial)),
            "include_dashboard": False,
        }
    with own_handlers():
        try:
            ray.init(**settings)
        except Exception as error:
            where = f"there is no Ray cluster at {execution.address}" if execution.address else "Ray cannot be started"
            raise UsageError(f"{where}: {described(error)}. `--executor local` searches without Ray.") from None
    try:
        yield
    except HeadLostError:
        leave_suddenly()
        raise
    except BaseException:
        ray.shutdown()
        raise
    ray.shutdown()


@contextmanager
def logged(log: Path) -> Iterator[None]:
    """Redirects Ray's log messages of this process to a file within the block, because the terminal belongs to the search."""
    log.parent.mkdir(parents=True, exist_ok=True)
    logger = logging.getLogger("ray")
    before = logger.handlers, logger.propagate
    file = logging.FileHandler(log, delay=True)
    file.setFormatter(logging.Formatter("%(asctime)s %(name)s: %(message)s"))
    logger.handlers, logger.propagate = [file], False
    # messages of raylets about dead workers are printed to stdout, where JSON may be expected, and no setting turns this off
    printing = getattr(ray._private.worker, _PRINT, None)
    setattr(ray._private.worker, _PRINT, lambda data, **_: logger.warning(" ".join(data["lines"])))
    try:
        yield
    finally:
        setattr(ray._private.worker, _PRINT, printing)
        logger.handlers, logger.propagate = before
        file.close()


@contextmanager
def own_handlers() -> Iterator[None]:
    """Restores the signal handlers after the block: Ray installs its own for SIGTERM, and Tune for SIGUSR1."""
    numbers = [getattr(signal, n) for n in ("SIGTERM", "SIGUSR1") if hasattr(signal, n)]
    before = {n: signal.getsignal(n) for n in numbers}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                if handler is not None:
                    signal.signal(number, handler)


def followed(fit: Callable[[], object], look: Callable[[], None]) -> BaseException | None:
    """Runs a blocking Ray call in a thread and returns the exception that it raised, if any.

    Args:
        fit: the blocking call.
        look: is called every `POLL` seconds and once after the end of `fit`. If it raises, `fit` is left running, because it
            may never return.
    """
    errors: list[BaseException] = []

    def run() -> None:
        try:
            fit()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(POLL)
        look()
    return errors[0] if errors else None


def cause_of_death(worker: str) -> FailureKind | None:
    """Determines why a worker process died, from the cluster's records: loss of its machine, lack of memory, or a crash.

    Args:
        worker: Ray's id of the worker; empty when there was none.

    Returns:
        None when the process is alive, so the code that it ran has only raised an exception.
    """
    until = time.monotonic() + SETTLING
    while True:
        found = ray._private.state.actors(worker) if worker else {}
        if not found:
            return FailureKind.CRASHED
        cause = found["DeathCause"]
        if cause.HasField("oom_context"):
            return FailureKind.OUT_OF_MEMORY
        machines = {node["NodeID"] for node in ray.nodes() if node["Alive"]}  # type: ignore[no-untyped-call]
        lost = found["Address"]["NodeID"] not in machines
        if lost or cause.actor_died_error_context.reason == ActorDiedErrorContext.NODE_DIED:
            return FailureKind.NODE_LOST
        if time.monotonic() > until:
            return FailureKind.CRASHED if found["State"] == "DEAD" else None
        time.sleep(0.1)
