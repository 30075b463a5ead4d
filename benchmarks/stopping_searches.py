"""Measures what early stopping saves and costs searches with learning samplers, on the table `dynconv-fmnist`.

    python benchmarks/stopping_searches.py [--budgets 0.25MFLOPs none] [--epochs 192 400] [--samplers tpe model] [--seeds 20]

`stopping.py` measures the same for networks that are drawn at random. Here each search runs as in
`dcdnas search --executor tabular`, once without and once with `--early-stopping`, and starts no further training once `--epochs`
epochs are spent, including those of the short trainings. The searches are judged by b and U (defined in `yardstick.py`) of the
networks with complete trainings. The output gives the number of these networks, the means without early stopping, and the
differences that early stopping makes, paired by seed, with 95 % bootstrap intervals over the seeds.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from search_quality import interval, ran
from yardstick import BUDGETS, yardstick

import dcdnas.tables
from dcdnas.core.trial import ENDED, Ending
from dcdnas.engine.loop import SearchLoop


class Found(NamedTuple):
    """The result of one search: complete and stopped trainings, b and U."""

    whole: int
    stopped: int
    b: float
    U: float


def main() -> None:
    """Prints a line for each budget, number of epochs and sampler."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budgets", nargs="+", default=list(BUDGETS["dynconv-fmnist"]))
    parser.add_argument("--epochs", nargs="+", type=int, default=[192, 400])
    parser.add_argument("--samplers", nargs="+", default=["random", "tpe", "model"])
    parser.add_argument("--seeds", type=int, default=20)
    given = parser.parse_args()
    measure = yardstick(dcdnas.tables.load("dynconv-fmnist"))

    def found(sampler: str, budget: str, epochs: int, seed: int, early_stopping: bool) -> Found:
        loop = ran(measure.table, sampler, budget, epochs, seed, lambda loop: limit(loop, epochs), early_stopping)
        trials = loop.trials.values()
        whole = [trial for trial in trials if trial.state == "finished"]
        judged = measure.judged(whole, measure.bound(budget))
        return Found(len(whole), sum(trial.state == "stopped" for trial in trials), judged["b"], judged["U"])

    print("| budget | epochs | sampler | without it: complete | with it: complete | stopped | *b* | *U* |")
    print("| --- | ---: | --- | ---: | ---: | ---: | --- | --- |")
    for budget in given.budgets:
        for epochs in given.epochs:
            for sampler in given.samplers:
                pairs = [
                    [found(sampler, budget, epochs, seed, with_it) for with_it in (False, True)] for seed in range(given.seeds)
                ]
                print(f"| {budget} | {epochs} | `{sampler}` | {' | '.join(cells(pairs))} |", flush=True)


def limit(loop: SearchLoop, epochs: int) -> None:
    """Stops a search from starting trainings once `epochs` epochs are spent."""

    def observe() -> None:
        ended = (trial for trial in loop.trials.values() if trial.state in ENDED and trial.score)
        if sum(trial.score.epochs for trial in ended if trial.score) >= epochs:
            loop.stop(Ending.STOPPED)

    loop.observe = observe


def cells(pairs: Sequence[Sequence[Found]]) -> list[str]:
    """Cells of a line: counts, then b and U."""
    counts = [[a.whole for a, _ in pairs], [b.whole for _, b in pairs], [b.stopped for _, b in pairs]]
    said = [f"{statistics.fmean(count):.0f}" for count in counts]
    for name, digits in (("b", 2), ("U", 4)):
        without, with_it = ([getattr(one, name) for one in side] for side in zip(*pairs, strict=True))
        gains = [b - a for a, b in zip(without, with_it, strict=True)]
        said.append(f"{statistics.fmean(without):.{digits}f} {interval(gains, digits)}")
    return said


if __name__ == "__main__":
    main()
