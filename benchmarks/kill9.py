"""Kills a running search with SIGKILL at random moments, resumes it each time, completes it, and checks that nothing was lost.

    python benchmarks/kill9.py [--executor local] [--kills 5] [--trials 40] [--seed N]

Each session is a separate process that searches until it is killed, at a random moment within `--within` seconds of its first
event. The trials that had ended before a session are compared, number by number, with the database after it. The last session
runs to the end. The exit status is 1 if a finished trial changed or disappeared, if the final number of trials is not exactly the
requested one, or if a trial is left running.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from dcdnas.core.trial import Trial

HERE = Path(__file__).parent


def main() -> int:
    """Kills and resumes the search, compares its trials, and prints a table; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--executor", choices=["local", "ray"], default="local")
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--within", type=float, default=10.0, help="maximum seconds between the first event and a kill")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**6)
    parser.add_argument("--session", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.session:
        return session(Path(given.session), given.executor)
    rng = random.Random(given.seed)
    print(f"{given.executor} executor, {given.trials} trainings of 1.5 s, {given.kills} kills, seed {given.seed}")
    print("killed after | ended so far | unchanged  | left running")
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "run"
        prepared(folder, given.trials)
        wrong = 0
        kept: dict[int, Trial] = {}
        for number in range(given.kills + 1):
            moment = rng.uniform(0, given.within) if number < given.kills else None
            seconds = run_and_kill(folder, given.executor, moment)
            trials = memory_of(folder)
            equal = sum(trials.get(n) == t for n, t in kept.items())
            wrong += len(kept) - equal
            running = sum(t.state == "running" for t in trials.values())
            said = f"{seconds:8.1f} s  " if moment is not None else "not killed  "
            kept = {n: t for n, t in trials.items() if t.state in ("finished", "stopped")}
            print(f"{said} | {len(kept):12} | {equal:10} | {running:12}", flush=True)
    print(f"ended in total: {len(kept)} of {given.trials}; changed or lost: {wrong}; left running at the end: {running}")
    return int(bool(wrong or running or len(kept) != given.trials))


def session(folder: Path, executor: str) -> int:
    """Runs one driver, in a process that may be killed."""
    import ending

    from dcdnas.engine.execution import Execution
    from dcdnas.engine.run import search

    execution = Execution(executor=executor, jobs=2, train=ending.in_a_moment)
    search(folder, execution, lambda progress: print(progress.ended, flush=True))
    return 0


def prepared(folder: Path, trials: int) -> None:
    """Prepares a run for `search`."""
    from dcdnas.core.budget import parse_budgets
    from dcdnas.core.task import TrainingTask
    from dcdnas.core.yaml_lines import read_yaml
    from dcdnas.cost import notations
    from dcdnas.engine.config import SearchConfig
    from dcdnas.engine.prepare import prepare
    from dcdnas.space.library import find_space

    space = read_yaml(find_space("fashion-quick")).data
    prepare(
        folder,
        SearchConfig(
            space=space, budgets=parse_budgets(["2MFLOPs"], notations()), trials=trials, task=TrainingTask(epochs=3), confirm=0
        ),
    )


def run_and_kill(folder: Path, executor: str, moment: float | None) -> float:
    """Runs a session, and kills it `moment` seconds after its first event; returns the seconds from that event to its end."""
    paths = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    environment = {"RAY_AUTH_MODE": "disabled", **os.environ, "PYTHONPATH": paths}
    command = [sys.executable, __file__, "--session", str(folder), "--executor", executor]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        start = time.monotonic()
        if moment is not None:
            time.sleep(moment)
            process.send_signal(signal.SIGKILL)
        process.stdout.read()
        process.wait()
    return time.monotonic() - start


def memory_of(folder: Path) -> dict[int, Trial]:
    """All trials by number, learning curves included."""
    from dcdnas.engine.store import Store

    with closing(Store(folder)) as store:
        return {t.number: t for t in store.trials()}


if __name__ == "__main__":
    sys.exit(main())
