"""Measures how long it takes to open a run of 20,000 trials: to list it, to show it on the dashboard, and to resume its search.

    python benchmarks/opening.py [--trials 20000] [--folder DIR]

After resuming, it also times the next proposals of the samplers. The run is synthetic: real networks of a real space with
invented results, over 20 epochs each. It is made once in the folder (minutes) and then reused. Each line gives the median of
several measurements, with the minimum, the maximum, and the processor time.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "dashboard"))

from dashboard import memory, timed


def main() -> None:
    """Makes the synthetic run if the folder does not have it, then opens it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=20_000)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "dcdnas-benchmark-runs")
    given = parser.parse_args()
    folder = given.folder / f"opened-{given.trials}"
    if not folder.exists():
        from synthetic import make_run

        print(f"Making the synthetic run {folder}, which takes minutes ...", flush=True)
        make_run(folder, given.trials, "mobilenetv2-imagenet", 300e6, epochs=20, asked=10 * given.trials)
    print(f"{given.trials:,} trials, {(folder / 'run.db').stat().st_size / 1e6:.0f} MB, load {os.getloadavg()[0]:.1f}")
    measure(folder)


def measure(folder: Path) -> None:
    """Prints the timings."""
    from dcdnas.dashboard.live_run import LiveRun
    from dcdnas.dashboard.runs import read_line
    from dcdnas.engine.config import SearchConfig
    from dcdnas.engine.direct import DirectStudy
    from dcdnas.engine.loop import SearchLoop
    from dcdnas.engine.samplers import Search
    from dcdnas.engine.samplers.model import Model
    from dcdnas.engine.store import Store
    from dcdnas.pages import payload

    timed("line in the list of runs", lambda: read_line(folder), 3)
    live = timed("the dashboard's run", lambda: LiveRun(folder), 3)
    timed("the page's own data", lambda: (payload.facts(live), payload.operators_of(live)), 3)  # type: ignore[arg-type]
    config = SearchConfig.to_go_on(folder / "search.yaml")
    space = config.build_space()
    with closing(Store(folder, "w")) as store:
        loop = timed("the search, to resume it", lambda: SearchLoop(config, space, store, time.monotonic() + 3600), 3)
        timed("its sampler's next proposal", loop._proposer._study.ask, 1)  # type: ignore[attr-defined]
        study = DirectStudy(Model(Search(space, config.budgets, config.goals, config.seed)))
        study.remember(store.trials(curves=False))
        timed("first proposal of `model`", study.ask, 1)
        timed("next proposals of `model`", study.ask, 4)
    print(f"{'peak memory':34} {memory():8.0f} MB")


if __name__ == "__main__":
    main()
