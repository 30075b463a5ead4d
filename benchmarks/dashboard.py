"""Measures the dashboard's speed and memory on a run of ten thousand trials and on a folder of three hundred runs.

    python benchmarks/dashboard.py [--trials 10000] [--runs 300] [--folder DIR]

Of the large run it measures reading, the first page, the page's data, an update, and memory; of the folder, whose runs have forty
trials each, the list of runs at the first request and at later ones.
The runs are synthetic: real networks of a real space with invented results. They are made once in the folder and then reused.
Each timing is the median of several, with the minimum, the maximum, and the processor time, which depends less on other load.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "dashboard"))


def main() -> None:
    """Makes the synthetic run if the folder does not have it, then measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "dcdnas-benchmark-runs")
    given = parser.parse_args()
    folder = given.folder / f"invented-{given.trials}"
    if not folder.exists():
        from synthetic import make_run

        print(f"Making the synthetic run {folder}, which takes minutes ...", flush=True)
        make_run(folder, given.trials, "mobilenetv2-imagenet", 300e6, epochs=20, asked=10 * given.trials)
    measure(folder)
    measure_report(folder)
    measure_list(given.folder / f"list-of-{given.runs}", given.runs)


def measure_report(folder: Path) -> None:
    """Prints how long it takes to write the report of one run, and how large the report is."""
    from dcdnas.pages.single_file import ROWS, report
    from dcdnas.results import load_run

    run = load_run(folder)
    text = timed("the report in one file", lambda: report(run), 3)
    size, rows = len(str(text).encode()) / 1e6, min(ROWS, len(run.trials))
    print(f"    {size:.2f} MB with {rows:,} trials in the table and {len(run.front())} on the front")


def measure_list(folder: Path, runs: int) -> None:
    """Prints the timings of the page that lists many runs."""
    from dcdnas.dashboard.render import html
    from dcdnas.dashboard.runs import Shelf

    if not folder.exists():
        from synthetic import make_run

        make_run(folder / "run-0", 40)
        for number in range(1, runs):
            shutil.copytree(folder / "run-0", folder / f"run-{number}")
    shelves = [Shelf(folder) for _ in range(5)]

    def page(shelf: Shelf) -> None:
        html("runs.html", lines=shelf.lines(), root=shelf.root, tab="runs")

    fresh = iter(shelves)
    timed(f"page of {runs} runs, the first time", lambda: page(next(fresh)), len(shelves))
    timed(f"page of {runs} runs, again", lambda: page(shelves[0]), 5)


def measure(folder: Path) -> None:
    """Prints the timings of one run."""
    import json

    from dcdnas.dashboard.live_run import LiveRun
    from dcdnas.dashboard.runs import read_line
    from dcdnas.engine.store import Store
    from dcdnas.pages import payload

    before = memory()
    live = timed("read the run", lambda: LiveRun(folder), 3)
    print(f"{'memory of the run':34} {memory() - before:8.0f} MB")
    timed("line in the list of runs", lambda: read_line(folder), 3)
    timed("the page's own data", lambda: page_data(live), 5)
    timed("all trials as JSON", lambda: json.dumps(payload.payload(live)), 5)
    timed("all learning curves", live.curves, 3)
    store = Store(folder, "w")
    last = live.run.trials[-1]

    def update() -> None:
        live.refresh()
        json.dumps(payload.payload(live, live.version - 1))

    def changed() -> None:
        store.add(replace(last, lost=int(time.time_ns() % 1_000_000_000)))

    timed("an update, read and sent", update, 9, changed)
    store.close()


def page_data(live: object) -> None:
    """Computes the data with which the server fills the page of a run, before the page's script requests more."""
    from dcdnas.pages import payload

    payload.facts(live)  # type: ignore[arg-type]
    payload.operators_of(live)  # type: ignore[arg-type]


def timed(what: str, work: Callable[[], object], times: int, before: Callable[[], None] = lambda: None) -> object:
    """Prints the median, minimum and maximum time of several calls; returns the last result."""
    seconds, busy, result = [], [], None
    for _ in range(times):
        before()
        start, used = time.perf_counter(), time.process_time()
        result = work()
        seconds.append(time.perf_counter() - start)
        busy.append(time.process_time() - used)
    wall, least, most, cpu = (1000 * v for v in (statistics.median(seconds), min(seconds), max(seconds), statistics.median(busy)))
    print(f"{what:34} {wall:8.0f} ms   ({least:.0f} to {most:.0f}, n {times}; {cpu:.0f} ms of processor time)", flush=True)
    return result


def memory() -> float:
    """Peak memory of this process so far in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
