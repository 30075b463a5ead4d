"""A driver in a process of its own, to be stopped, interrupted and killed by the tests: FOLDER EXECUTOR TRAINING [TRIALS]."""

from __future__ import annotations

import sys
from pathlib import Path

import trainings

from dcdnas.engine.execution import Execution
from dcdnas.engine.progress import Progress
from dcdnas.engine.run import search
from dcdnas.errors import DcdnasError


def say(progress: Progress) -> None:
    """One line an event."""
    print(progress.ended, progress.confirmed, flush=True)


def main(folder: str, executor: str, training: str) -> int:
    """Searches; returns the exit code of the command line."""
    execution = Execution(executor=executor, jobs=2, train=getattr(trainings, training))  # type: ignore[arg-type]
    try:
        print("ended:", search(Path(folder), execution, say))
    except DcdnasError as error:
        print("error:", error)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
