"""Measures the overhead of a search as it grows from 20 to 20,000 trainings that do nothing, and that of Ray with many workers.

    python benchmarks/scaling.py -o FOLDER [--sizes 20 200 2000 20000] [--sampler random] [--workers 1 4 16] [--picture FILE]

One search under the executor `inline` is extended from size to size, each time in a new process. For the trials added by a size
the output gives the processor time of a trial (between consecutive ends: it is proposed, priced, compared with the budget,
written, run, told to the sampler, and written again; median and quartiles), the peak memory of the process, the size of `run.db`,
and the processor time for another process to open the run, for resuming the search and for the dashboard (medians of three).
Then it measures Ray Tune with each number of simulated CPUs: the driver's processor time per trial in a separate search of
`--ray-trials` trials, as a mean, because a driver requests several trials at once. Results that the folder already has are not
measured again. `--picture` draws all results. The defaults take a few minutes of one core.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_AUTH_MODE", "disabled")
os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])

import ending
from dashboard import memory

SPACE, BUDGET = "fashion-quick", "2MFLOPs"
Found = dict[str, Any]


def config_of(trials: int, sampler: str) -> Any:
    """The configuration of a search with `trials` trainings."""
    from dcdnas.core.budget import parse_budgets
    from dcdnas.core.task import TrainingTask
    from dcdnas.core.yaml_lines import read_yaml
    from dcdnas.cost import notations
    from dcdnas.engine.config import SearchConfig
    from dcdnas.space.library import find_space

    return SearchConfig(
        space=read_yaml(find_space(SPACE)).data, budgets=parse_budgets([BUDGET], notations()), trials=trials,
        task=TrainingTask(epochs=1), sampler=sampler, confirm=0,
    )  # fmt: skip


def grown(folder: Path, trials: int, sampler: str, executor: Any, workers: int) -> Found:
    """Starts or extends a search to `trials` trials; returns the processor milliseconds between consecutive ends, and memory."""
    from dcdnas.engine.execution import Execution
    from dcdnas.engine.prepare import extend, prepare
    from dcdnas.engine.progress import Progress
    from dcdnas.engine.run import search

    ends: list[float] = []
    ended = -1

    def observe(progress: Progress) -> None:
        nonlocal ended
        if progress.ended > ended:
            ended = progress.ended
            ends.append(time.process_time())

    if folder.exists():
        extend(folder, trials)
    else:
        prepare(folder, config_of(trials, sampler))
    search(folder, Execution(executor=executor, jobs=workers, train=ending.at_once), observe)
    each = [1e3 * (b - a) for a, b in pairwise(ends)]
    low, median, high = statistics.quantiles(each, n=4)
    return {"ms": median, "low": low, "high": high, "mean": statistics.fmean(each), "n": len(each), "memory": memory()}


def opened(folder: Path) -> Found:
    """Processor seconds to open the run for its search and for the dashboard."""
    from dcdnas.dashboard.live_run import LiveRun
    from dcdnas.engine.config import SearchConfig
    from dcdnas.engine.loop import SearchLoop
    from dcdnas.engine.store import Store

    config = SearchConfig.to_go_on(folder / "search.yaml")
    space = config.build_space()

    def to_go_on() -> None:
        with closing(Store(folder, "w")) as store:
            SearchLoop(config, space, store, time.monotonic() + 3600)

    return {"search": seconds(to_go_on), "dashboard": seconds(lambda: LiveRun(folder))}


def seconds(call: Callable[[], object], times: int = 3) -> float:
    """Median processor seconds of a call, after a warm-up call."""
    found = []
    for turn in range(times + 1):
        began = time.process_time()
        call()
        if turn:
            found.append(time.process_time() - began)
    return statistics.median(found)


def apart(*words: object) -> Found:
    """Runs a part of the measurement in a separate process; returns its results."""
    command = [sys.executable, __file__, "--part", *(str(word) for word in words)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: Found = json.loads(done.stdout.splitlines()[-1])
    return found


def part(kind: str, folder: str, *others: str) -> Found:
    """Runs a part of the measurement in this process."""
    if kind == "opened":
        return opened(Path(folder))
    trials, sampler, executor, workers = others
    return grown(Path(folder), int(trials), sampler, executor, int(workers))


def measured(given: argparse.Namespace) -> Found:
    """Measures everything that was requested and is not in the folder yet; prints and returns all results."""
    kept = given.output / "scaling.json"
    found: Found = json.loads(kept.read_text()) if kept.exists() else {}

    def keep(key: str, values: Found) -> None:
        found[key] = {**values, "load": round(os.getloadavg()[0], 1)}
        kept.write_text(json.dumps(found, indent=1) + "\n")

    for size in sorted(given.sizes):
        run, key = given.output / given.sampler, f"{given.sampler} {size}"
        if key not in found:
            values = apart("grown", run, size, given.sampler, "inline", 1)
            keep(key, {**values, "bytes": (run / "run.db").stat().st_size, "open": apart("opened", run)})
        values = found[key]
        opening = " | ".join(f"{values['open'][name]:.2f}" for name in ("search", "dashboard"))
        print(
            f"| {size:,} | {values['n']:,} | {values['ms']:.1f} ({values['low']:.1f}-{values['high']:.1f}) | "
            f"{values['memory']:.0f} | {values['bytes'] / 1e6:.2f} | {opening} | {values['load']} |",
            flush=True,
        )
    for workers in given.workers:
        key = f"ray {workers}"
        if key not in found:
            keep(key, apart("grown", given.output / f"ray-{workers}", given.ray_trials, given.sampler, "ray", workers))
        values = found[key]
        print(f"Ray, {workers} CPUs: {values['mean']:.1f} ms a trial; n = {values['n']}, load {values['load']}", flush=True)
    return found


def draw(found: Found, given: argparse.Namespace) -> None:
    """Draws the figure, with a panel for each measured quantity."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams.update({"svg.hashsalt": "scaling", "svg.fonttype": "none", "font.size": 9})
    sizes = sorted(given.sizes)
    rows = [found[f"{given.sampler} {size}"] for size in sizes]
    figure = Figure(figsize=(11, 2.6), layout="constrained")
    ms, room, file, opening, ray = figure.subplots(1, 5)
    ms.fill_between(sizes, [r["low"] for r in rows], [r["high"] for r in rows], alpha=0.25, linewidth=0)
    ms.plot(sizes, [r["ms"] for r in rows], marker="o")
    room.plot(sizes, [r["memory"] for r in rows], marker="o")
    file.plot(sizes, [r["bytes"] / 1e6 for r in rows], marker="o")
    for name, marker in (("search", "o"), ("dashboard", "s")):
        opening.plot(sizes, [r["open"][name] for r in rows], marker=marker, label=name)
    opening.legend(frameon=False)
    ray.plot(given.workers, [found[f"ray {workers}"]["mean"] for workers in given.workers], marker="o")
    titles = ("processor ms a trial", "memory, MB", "run.db, MB", "opening, processor s", "Ray: driver's ms a trial")
    for axes, title in zip((ms, room, file, opening, ray), titles, strict=True):
        axes.set_title(title, fontsize=9)
        axes.set_xlabel("trials" if axes is not ray else "CPUs")
        axes.set_xscale("log", base=2 if axes is ray else 10)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3)
    for axes in (file, opening):
        axes.set_yscale("log")
    for axes in (ms, room, ray):
        axes.set_ylim(bottom=0)
    ray.set_xticks(given.workers, [str(workers) for workers in given.workers])
    figure.savefig(given.picture, metadata={"Date": None})


def main() -> None:
    """Measures, prints and draws."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=[20, 200, 2_000, 10_000])
    parser.add_argument("--sampler", default="random")
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 4, 16])
    parser.add_argument("--ray-trials", type=int, default=100)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--part", nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.part:
        print(json.dumps(part(*given.part)))
        return
    if not given.output:
        parser.error("-o FOLDER is required: the folder for the results.")
    given.output.mkdir(parents=True, exist_ok=True)
    print("| trials | n | processor ms a trial | memory, MB | run.db, MB | opening: search, s | dashboard, s | load |")
    print("| ---: | ---: |" + " --- |" + " ---: |" * 5)
    found = measured(given)
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    if given.picture:
        draw(found, given)


if __name__ == "__main__":
    main()
