"""Measures how clients of the dashboard affect a running search: the search's own processor time with and without them.

    python benchmarks/watching.py [--rounds 12] [--clients 50] [--block 20] [--train] [--counting]

One search runs blocks of trainings. In every second block, `--clients` clients repeatedly request the list of runs, the run's
page and its trials from the dashboard; the order within a round alternates. Search, dashboard and clients are separate processes.
The trainings do nothing, so that the measured time consists only of work that the clients could slow down; with --train they are
real trainings of one epoch. The processor time of a training also depends on other work of the machine, which shares its caches
and memory. With --counting, a process that only counts takes the place of the clients, which shows how much that is. The output
gives the median processor milliseconds per training, and the median and quartiles of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import ending

NAME = "watched"

PAGES = ("/", f"/runs/{NAME}", f"/runs/{NAME}/trials.json")


def main() -> None:
    """Runs the measurement, or the process of the clients."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument(
        "--block", type=int, default=20, help="trainings per block; a round has one block with clients and one without"
    )
    parser.add_argument("--train", action="store_true", help="run real trainings of one epoch")
    parser.add_argument("--counting", action="store_true", help="run a process that only counts, instead of the clients")
    parser.add_argument("--look", metavar="ADDRESS", help="run only the clients of this dashboard, controlled by standard input")
    given = parser.parse_args()
    if given.look:
        Clients(given.look, given.counting).obey(given.clients)
    else:
        print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}")
        with tempfile.TemporaryDirectory() as folder, looking(Path(folder), given) as clients:
            blocks = Blocks(clients, given.block)
            search_in(Path(folder) / NAME, given.block * (1 + 2 * given.rounds), given.train, blocks)
        blocks.show()


class Blocks:
    """Activates the clients in every second block of trainings, and times the blocks.

    Args:
        clients: standard input and output of the clients' process.
        size: number of trainings in a block; the first block is a warm-up and is not counted.
    """

    def __init__(self, clients: tuple[IO[str], IO[str]], size: int) -> None:
        self.commands, self.answers = clients
        self.size, self.ended, self.watched, self.pages = size, 0, False, 0
        self.took: list[tuple[bool, float]] = []
        self.begun = time.process_time()

    def observe(self, progress: Any) -> None:
        """Is called after each event of the search; records a block's time at its end and starts the next block."""
        if progress.ended == self.ended:
            return
        self.ended = progress.ended
        if self.ended % self.size:
            return
        if self.ended > self.size:
            self.took.append((self.watched, 1000 * (time.process_time() - self.begun) / self.size))
        self._turn(len(self.took) % 4 in (1, 2))
        self.begun = time.process_time()

    def _turn(self, watched: bool) -> None:
        """Switches the clients on or off, and waits until they have switched; waiting takes no processor time."""
        if watched != self.watched:
            self.watched = watched
            print("look" if watched else "rest", file=self.commands, flush=True)
            self.pages += int(self.answers.readline())

    def show(self) -> None:
        """Prints the ratio of each round, and the medians."""
        rounds = [dict(self.took[at : at + 2]) for at in range(0, len(self.took) - 1, 2)]
        ratios = [one[True] / one[False] for one in rounds]
        print("ratios of the rounds: " + " ".join(f"{ratio:.3f}" for ratio in ratios))
        low, _, high = statistics.quantiles(ratios, n=4, method="inclusive")
        alone, watched = (statistics.median(one[state] for one in rounds) for state in (False, True))
        print(
            f"{alone:.2f} ms a training alone, {watched:.2f} ms watched, {self.pages:,} pages meanwhile; ratio "
            f"{statistics.median(ratios):.3f} ({low:.3f} to {high:.3f}), n = {len(ratios)} rounds of 2 x {self.size} trainings"
        )


@contextmanager
def looking(runs: Path, given: argparse.Namespace) -> Iterator[tuple[IO[str], IO[str]]]:
    """Starts `dcdnas dashboard` on a folder and the process of idle clients; yields the clients' standard input and output."""
    command = [sys.executable, "-m", "dcdnas", "dashboard", "--runs", str(runs), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
        assert server.stdout is not None
        try:
            address = next(found.group() for line in server.stdout if (found := re.search(r"http://[\d.]+:\d+", line)))
            threading.Thread(target=server.stdout.read, daemon=True).start()
            command = [sys.executable, __file__, "--look", address, "--clients", str(given.clients)]
            command += ["--counting"] if given.counting else []
            with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
                assert process.stdin is not None
                assert process.stdout is not None
                yield process.stdin, process.stdout
                process.stdin.close()
        finally:
            server.terminate()


class Clients:
    """Threads that request one page after the other, or only count, while they are switched on."""

    def __init__(self, address: str, counting: bool) -> None:
        self.port = urlsplit(address).port
        self.act = self._count if counting else self._look
        self.pages = 0

    def obey(self, count: int) -> None:
        """Follows the commands on standard input, and prints after each the number of pages that were answered since the last."""
        over, threads = threading.Event(), []
        for command in sys.stdin:
            if command.strip() == "look":
                over = threading.Event()
                threads = [threading.Thread(target=self.act, args=(over,), daemon=True) for _ in range(count)]
                for thread in threads:
                    thread.start()
            else:
                over.set()
                for thread in threads:
                    thread.join()
            print(self.pages, flush=True)
            self.pages = 0
        over.set()

    def _look(self, over: threading.Event) -> None:
        for page in itertools.cycle(PAGES):
            if over.is_set():
                return
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
            connection.request("GET", page)
            answer = connection.getresponse()
            answer.read()
            connection.close()
            if answer.status != 200:
                raise RuntimeError(f"{page} was answered by {answer.status}")
            self.pages += 1

    @staticmethod
    def _count(over: threading.Event) -> None:
        while not over.is_set():
            sum(range(10_000))


def search_in(run: Path, trials: int, train: bool, blocks: Blocks) -> None:
    """Runs the search in this process."""
    from dcdnas.core.budget import parse_budgets
    from dcdnas.core.task import TrainingTask
    from dcdnas.core.yaml_lines import read_yaml
    from dcdnas.cost import notations
    from dcdnas.engine.config import SearchConfig
    from dcdnas.engine.execution import Execution
    from dcdnas.engine.prepare import prepare
    from dcdnas.engine.run import search
    from dcdnas.space.library import find_space

    config = SearchConfig(
        space=read_yaml(find_space("fashion-quick")).data, budgets=parse_budgets(["2MFLOPs"], notations()), trials=trials,
        task=TrainingTask(epochs=1), sampler="random", confirm=0,
    )  # fmt: skip
    prepare(run, config)
    search(run, Execution(executor="inline", **({} if train else {"train": ending.at_once})), blocks.observe)


if __name__ == "__main__":
    main()
