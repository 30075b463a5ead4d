"""What a worker process runs; imports little, so that it starts quickly.

Between driver and worker a connection carries: `READY` from the worker when it has started, a `Job` to it, after each epoch a
`EpochResult` from it and whether to go on to it, at the end an `Outcome` from it.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcdnas.core.trial import EpochResult
from dcdnas.engine.executors._deadline import until_deadline
from dcdnas.engine.job import Job, Outcome, failed

if TYPE_CHECKING:
    from dcdnas.engine.proxy_training import Train

READY = "ready"


def serve(connection: Connection[Any, Any], train: Train, log: Path) -> None:
    """Trains what comes in. Ends when it is killed, or when the driver is gone.

    Args:
        connection: to the driver.
        train: what is run.
        log: file that takes what this process prints.
    """
    threading.Thread(target=_end_with_driver, daemon=True).start()
    with log.open("ab", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    connection.send(READY)

    def report(r: EpochResult) -> bool:
        connection.send(r)
        return bool(connection.recv())

    while True:
        try:
            job: Job = connection.recv()
        except (EOFError, OSError):
            return
        try:
            with until_deadline(job):
                outcome = Outcome(train(job, report))
        except BaseException as error:
            outcome = failed(error)
        connection.send(outcome)


def _end_with_driver() -> None:
    driver = multiprocessing.parent_process()
    if driver is not None:
        driver.join()
        os._exit(1)
