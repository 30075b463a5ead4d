"""The main function of a worker process; imports little, so that the process starts quickly.

The protocol between driver and worker: the worker sends `READY` once it has started, and the driver sends a `Job`. After each
epoch the worker sends an `EpochResult`, and the driver answers whether to continue. At the end the worker sends an `Outcome`.
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


def serve(connection: Connection[Any, Any], train: Train, log: Path, gpus: str = "") -> None:
    """Trains the jobs that arrive, until the process is killed or the driver is gone.

    Args:
        connection: connection to the driver.
        train: training function to run.
        log: file to which the output of this process is written.
        gpus: the GPUs to use, as a value of CUDA_VISIBLE_DEVICES; empty for those of the driver.
    """
    if gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus  # read when torch first uses a GPU, and nothing has used one yet
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
