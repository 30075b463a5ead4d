"""Times the proposals of the samplers that do not use Optuna, and measures how concurrent trainings affect the search.

    python benchmarks/proposals.py [--told 50 100 1000] [--at-once 4 8] [--seeds 10] [--table FILE]

Times are medians of eight proposals, in wall-clock and processor time, after the sampler was told `--told` results of random
networks. The first proposal, which prices the space, is listed separately. For `--at-once`, the model searches NAS-Bench-Macro
while this number of networks is in training, and is compared with the sequential search: differences of b and U, which
`yardstick.py` defines, after 50 evaluations.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import time
from collections.abc import Iterator
from itertools import count

import search_quality as quality
from yardstick import BUDGETS, GOALS, Yardstick, yardstick

from dcdnas.core.budget import Budget, parse_budgets
from dcdnas.core.trial import Score, Trial
from dcdnas.cost import notations
from dcdnas.engine.direct import DirectStudy
from dcdnas.engine.job import derived_seed
from dcdnas.engine.samplers import Search, samplers
from dcdnas.errors import DataError
from dcdnas.networks import identity
from dcdnas.space.library import load_space
from dcdnas.space.pricing.cost import Priced, draws_within, priced
from dcdnas.space.pricing.ladder import static_ladder
from dcdnas.space.search_space import SearchSpace
from dcdnas.tables import tables

SPACES = {"nas-bench-macro": "60MFLOPs", "fashion-quick": "2MFLOPs", "mobilenetv2-imagenet": "300MFLOPs"}
PROPOSALS, STARTS, EVALUATIONS = 8, 10, 50


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--told", nargs="*", type=int, default=[50, 100, 1000])
    parser.add_argument("--at-once", nargs="*", type=int, default=[4, 8])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--table", help="file of NAS-Bench-Macro; default: the fetched one")
    given = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for name, budget in SPACES.items() if given.told else ():
        times(name, parse_budgets([budget], notations()), given.told)
    try:
        measure = yardstick(tables["nas-bench-macro"](given.table))
    except DataError as error:
        print(f"The searches are left out: {error}")
        return
    for budget in BUDGETS["nas-bench-macro"][:2] if given.at_once else ():
        at_once(measure, parse_budgets([budget], notations()), given.at_once, given.seeds)


def times(name: str, budgets: tuple[Budget, ...], told: list[int]) -> None:
    """Prints a line for each sampler and number of results."""
    space, rng = load_space(name), random.Random(0)
    trials = [
        ended(drawn, number, 0.97 - 0.1 * (drawn.cost["flops"] / 5e5) ** -0.3 + rng.gauss(0, 0.006))
        for number, drawn in zip(range(max(told) + PROPOSALS), different(space, budgets, rng), strict=False)
    ]
    for sampler in (s for s in samplers if s != "gp" and samplers[s].direct):
        for known in told:
            study = study_of(sampler, space, budgets)
            study.remember(trials[:known])
            first, *taken = (asked(study, trial) for trial in trials[known : known + PROPOSALS])
            wall, cpu = (statistics.median(column) for column in zip(*taken, strict=True))
            print(f"{name:21} {sampler:10} {known:5} results: {wall:4.0f} ms, {cpu:4.0f} ms processor; first {first[0]:5.0f} ms")


def asked(study: DirectStudy, told: Trial) -> tuple[float, float]:
    """Wall and processor milliseconds of a proposal; afterwards the sampler is told `told` as the result of what it proposed."""
    since, worked = time.perf_counter(), time.process_time()
    found = study.ask()
    taken = 1e3 * (time.perf_counter() - since), 1e3 * (time.process_time() - worked)
    if found is not None:
        study.tell(found[0], told)
    return taken


def at_once(measure: Yardstick, budgets: tuple[Budget, ...], several: list[int], seeds: int) -> None:
    """Prints a line for each number of concurrent trainings."""
    found = {n: [searched(measure, budgets, n, seed) for seed in range(seeds)] for n in (1, *several)}
    for n in several:
        gains = {m: [mine[m] - alone[m] for mine, alone in zip(found[n], found[1], strict=True)] for m in ("b", "U")}
        said = "; ".join(f"{m} {quality.interval(values, 3)}" for m, values in gains.items())
        print(f"{budgets[0]}, {n} concurrent trainings against one, {seeds} seeds: {said}")


def searched(measure: Yardstick, budgets: tuple[Budget, ...], several: int, seed: int) -> dict[str, float]:
    """Searches with `several` concurrent trainings, which end in the order of their start; returns how the result is judged."""
    space = load_space("nas-bench-macro")
    study, running, trials = study_of("model", space, budgets, seed), [], []
    ladder = static_ladder(space, budgets)
    names = {identity(p.architecture) for p in ladder}
    drawn = (d for d in different(space, budgets, random.Random(seed)) if identity(d.architecture) not in names)
    starts = [*ladder, *(next(drawn) for _ in range(STARTS - len(ladder)))]
    for number in count():
        if number < EVALUATIONS:
            proposed = study.ask_fixed(starts[number].decisions) if number < len(starts) else study.ask()
            assert proposed is not None
            running.append((number, *proposed))
        if len(running) == several or number >= EVALUATIONS:
            first, ticket, decisions = running.pop(0)
            network, chosen = priced(space, decisions), derived_seed(seed, first)
            readings = measure.table.readings(network.architecture)
            trials.append(ended(network, first, readings[chosen % len(readings)]))
            study.tell(ticket, trials[-1])
        if len(trials) == EVALUATIONS:
            return measure.judged(trials, budgets[0].at_most)
    raise AssertionError


def study_of(sampler: str, space: SearchSpace, budgets: tuple[Budget, ...], seed: int = 0) -> DirectStudy:
    """A study with a sampler that has not been told any result."""
    made = samplers[sampler].direct
    assert made is not None
    return DirectStudy(made(Search(space, budgets, GOALS, seed)))


def different(space: SearchSpace, budgets: tuple[Budget, ...], rng: random.Random) -> Iterator[Priced]:
    """Yields random networks within the budgets without repetition."""
    seen = set()
    for drawn in draws_within(space, budgets, rng):
        name = identity(drawn.architecture)
        if name not in seen:
            seen.add(name)
            yield drawn


def ended(network: Priced, number: int, accuracy: float) -> Trial:
    """A finished trial of a network with this accuracy."""
    deployed = identity(network.architecture)
    score = Score({"accuracy": accuracy}, 1, 0.0)
    return Trial(number, "finished", network.architecture, network.decisions, network.cost, score, deployed=deployed)


if __name__ == "__main__":
    main()
