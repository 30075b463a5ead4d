"""Runs a driver in a separate process, which tests can stop, interrupt and kill: FOLDER EXECUTOR TRAINING JOBS."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trainings

from dcdnas.engine.execution import Execution
from dcdnas.engine.progress import Progress
from dcdnas.engine.run import search
from dcdnas.errors import DcdnasError


def say(progress: Progress) -> None:
    """Prints one line per event."""
    print(progress.ended, progress.confirmed, flush=True)


def main(folder: str, executor: str, training: str, jobs: str) -> int:
    """Runs a search; returns the exit code that the command line would have."""
    execution = Execution(executor=executor, jobs=int(jobs), train=getattr(trainings, training))
    try:
        print("ended:", search(Path(folder), execution, say), flush=True)
    except DcdnasError as error:
        print("error:", error, flush=True)
        return error.exit_code
    return 0


class Driver:
    """A search in a separate process, which leads its own process group.

    The process is forked from this one, so that nothing is imported again. With Ray a new interpreter is started instead, because
    this process may be connected to Ray.
    """

    def __init__(self, folder: Path, executor: str, training: str, jobs: int) -> None:
        out, theirs = os.pipe()
        self.errors = folder / "errors"
        self.pid = os.fork()
        if not self.pid:
            self._run(theirs, str(folder), executor, training, str(jobs))
        os.close(theirs)
        self.lines = os.fdopen(out)
        self.code: int | None = None

    def wait_for(self, ended: int) -> None:
        """Reads the process's lines until `ended` trainings have ended."""
        for line in self.lines:
            if line.split()[0] == str(ended):
                return
        raise AssertionError(f"it ended too soon: {self.errors.read_text()}")

    def end(self) -> tuple[int, str, str]:
        """Waits for the end of the process; returns its exit code, the rest of its output, and its errors."""
        out = self.lines.read()
        if self.code is None:
            self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.code, out, self.errors.read_text()

    def _run(self, out: int, *arguments: str) -> None:
        code = 70
        try:
            os.setsid()
            faulthandler.disable()  # removes the tests' handlers of signals that must end the process
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            os.dup2(out, 1)
            os.dup2(os.open(self.errors, os.O_CREAT | os.O_WRONLY | os.O_TRUNC), 2)
            if arguments[1] == "ray":
                os.execv(sys.executable, [sys.executable, __file__, *arguments])
            sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
            code = main(*arguments)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)


@contextmanager
def driver(folder: Path, training: str, executor: str = "local", jobs: int = 2) -> Iterator[Driver]:
    """A running search, which is killed at the end of the block if it still runs."""
    process = Driver(folder, executor, training, jobs)
    try:
        yield process
    finally:
        if process.code is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.end()
        process.lines.close()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
