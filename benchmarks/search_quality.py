"""Compares samplers on a benchmark table, where all networks have been trained and the true accuracies are known.

    dcdnas data fetch nas-bench-macro
    python benchmarks/search_quality.py [--benchmark dynconv-fmnist] [--seeds 20] [--samplers tpe model] [--budgets none]
        [--against tpe] [--show | --best | --third]

Every search runs as in `dcdnas search --executor tabular`: the static ladder, random starts within the budget, then the sampler.
All contestants start with the same networks and readings for a given seed, so differences are paired by seed. Two of the
contestants learn nothing and consider only the price: `dear` draws from 80 to 100 % of the budget, and `spread` draws the
logarithm of the cost uniformly from its upper half.

Searches are judged after 24, 50 and 100 evaluations by b, U and V (defined in `yardstick.py`). The output gives means, and
differences to random search (or to `--against`) with 95 % bootstrap intervals. `--third` compares a sampler after a third of the
evaluations with random search after all of them. Results are stored in `search_quality-BENCHMARK.json` beside this file, one line
per search, and a search whose result is there is not repeated.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import tempfile
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from importlib.metadata import version
from itertools import islice, product
from pathlib import Path
from typing import Any

import numpy as np
from yardstick import BUDGETS, CHANCE, DIGITS, GOALS, Yardstick, extent, outcomes_of, yardstick

from dcdnas.core.budget import Budget, parse_budgets
from dcdnas.core.trial import Trial
from dcdnas.core.yaml_lines import read_yaml
from dcdnas.cost import notations
from dcdnas.engine.config import SearchConfig
from dcdnas.engine.execution import Execution
from dcdnas.engine.executors.tabular import LookUp, Tabular
from dcdnas.engine.job import derived_seed
from dcdnas.engine.loop import SearchLoop
from dcdnas.engine.prepare import make_memory
from dcdnas.engine.samplers import Direct, Known, Sampler, samplers
from dcdnas.engine.store import Store
from dcdnas.engine.table import task_of
from dcdnas.errors import DataError
from dcdnas.networks import identity
from dcdnas.space.library import find_space, load_space
from dcdnas.space.pricing.cost import draws_within
from dcdnas.space.search_space import Decisions
from dcdnas.tables import Table, tables

SIZES = (24, 50, 100)
THIRD = "33"
CONTESTANTS = ("random", "dear", "spread", "tpe", "nsga2", "evolution", "model")
TRIES = 3000


class Null(Direct):
    """Draws at random, and accepts a draw by its cost alone."""

    def propose(self, known: Known) -> Decisions | None:
        """Draws a network of a wanted cost that was not tried yet; None if none is found."""
        rng = random.Random(derived_seed(self.search.seed, f"null {known.asked}"))
        most = self.search.budgets[0].at_most if self.search.budgets else extent(self.search.space.name)[1]
        drawn = draws_within(self.search.space, (self.wanted(rng, most), *self.search.budgets), rng)
        return next((d.decisions for d in islice(drawn, TRIES) if identity(d.architecture) not in known.seen), None)

    @abstractmethod
    def wanted(self, rng: random.Random, most: float) -> Budget:
        """The range of accepted costs, given the multiply-adds that the budget allows."""


class Dear(Null):
    """Draws networks of 80 to 100 % of the budget."""

    def wanted(self, rng: random.Random, most: float) -> Budget:
        """The same range for every draw."""
        return Budget("flops", most, 0.8 * most)


class Spread(Null):
    """Draws networks with the logarithm of the cost uniform in its upper half."""

    def wanted(self, rng: random.Random, most: float) -> Budget:
        """Within 10 % of a cost that is drawn."""
        about = most * (extent(self.search.space.name)[0] / most) ** (rng.random() / 2)
        return Budget("flops", 1.1 * about, 0.9 * about)


def main() -> None:
    """Runs the missing searches, and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--benchmark", default="nas-bench-macro", choices=list(BUDGETS))
    parser.add_argument("--samplers", nargs="+", default=list(CONTESTANTS))
    parser.add_argument("--budgets", nargs="+")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--table", help="file of the benchmark table; default: the fetched or shipped one")
    parser.add_argument("--results", type=Path)
    parser.add_argument("--against", default="random", help="contestant with which the others are compared")
    parser.add_argument("--show", action="store_true", help="run no search, only print the results so far")
    parser.add_argument("--best", action="store_true", help="run no search, print the table's best accuracy within each budget")
    parser.add_argument("--third", action="store_true", help="compare a third of the evaluations with all of random search")
    given = parser.parse_args()
    given.budgets = given.budgets or BUDGETS[given.benchmark]
    given.results = given.results or results_of(given.benchmark)
    if given.best:
        best_there_is(yardstick(tables[given.benchmark](given.table)), given.budgets)
        return
    samplers.add("dear", Sampler(direct=Dear))
    samplers.add("spread", Sampler(direct=Spread))
    found: dict[str, Any] = json.loads(given.results.read_text()) if given.results.exists() else {}
    if given.third:
        judge_thirds(found, given)
        show_thirds(found, given.samplers, given.budgets)
        return
    if not given.show:
        search_missing(found, given)
    print(found.get("machine", ""))
    for measure in DIGITS:
        show(found, measure, given.budgets, given.samplers, given.against)


def results_of(benchmark: str) -> Path:
    """The file with the results of the searches on a benchmark table."""
    return Path(__file__).with_name(f"search_quality-{benchmark}.json")


def best_there_is(measure: Yardstick, budgets: Sequence[str]) -> None:
    """Prints the highest mean reading of a network within each budget, and the standard deviation within a network."""
    space = load_space(measure.table.NAME)
    outcomes, costs = outcomes_of(space)
    readings = [measure.table.readings(space.architecture(outcome)) for outcome in outcomes]
    for budget in budgets:
        best = max(statistics.fmean(read) for read, cost in zip(readings, costs, strict=True) if cost <= measure.bound(budget))
        print(f"{budget}: {100 * best:.2f}")
    print(f"standard deviation within a network: {100 * statistics.fmean(map(statistics.variance, readings)) ** 0.5:.2f}")


def search_missing(found: dict[str, Any], given: argparse.Namespace) -> None:
    """Runs the searches without a result, seed by seed; none if the table is missing."""
    try:
        measure = yardstick(tables[given.benchmark](given.table))
    except DataError as error:
        print(f"No search is run: {error}")
        return
    for seed in range(given.seeds):
        for budget in given.budgets:
            for sampler in given.samplers:
                missing(found, given.results, measure, sampler, budget, seed)


def missing(found: dict[str, Any], path: Path, measure: Yardstick, sampler: str, budget: str, seed: int) -> None:
    """Runs one search unless its result is known, and stores the result."""
    key = f"{budget}/{sampler}/{seed}"
    if key in found:
        return
    found[key] = {}
    for trials in SIZES if sampler == "nsga2" else SIZES[-1:]:  # its population size depends on the length
        trained, milliseconds = searched(measure.table, sampler, budget, trials, seed)
        for size in SIZES if trials == SIZES[-1] and sampler != "nsga2" else (trials,):
            found[key][str(size)] = measure.judged(trained[:size], measure.bound(budget))
        found[key]["ms"] = milliseconds
    found["machine"] = (
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, numpy {np.__version__}, "
        f"optuna {version('optuna')}"
    )
    write(found, path)
    print(key, found[key], flush=True)


def write(found: Mapping[str, Any], path: Path) -> None:
    """Writes the results, one line per search."""
    path.write_text("{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in sorted(found.items())) + "\n}\n")


def judge_thirds(found: dict[str, Any], given: argparse.Namespace) -> None:
    """Also judges the stored searches after a third of their evaluations; each search is repeated for this."""
    measure = yardstick(tables[given.benchmark](given.table))
    for seed, budget, sampler in product(range(given.seeds), given.budgets, given.samplers):
        entry = found.get(f"{budget}/{sampler}/{seed}", {THIRD: None})
        if THIRD not in entry:
            trained, _ = searched(measure.table, sampler, budget, SIZES[-1], seed)
            entry[THIRD] = measure.judged(trained[: int(THIRD)], measure.bound(budget))
            write(found, given.results)


def show_thirds(found: Mapping[str, Any], contestants: Sequence[str], budgets: Sequence[str]) -> None:
    """Prints each contestant's mean after a third of the evaluations, and its difference to random search after all of them."""
    print(f"| budget | sampler | seeds | b at {THIRD} | to random's at {SIZES[-1]} | U at {THIRD} | to random's at {SIZES[-1]} |")
    print("|" + " --- |" * 7)
    for budget, sampler in product(budgets, contestants):
        random_too = [s for s in range(1000) if f"{budget}/random/{s}" in found]
        mine = {s: found[key] for s in random_too if THIRD in found.get(key := f"{budget}/{sampler}/{s}", {})}
        cells = []
        for measure in ("b", "U") if mine else ():
            gains = [entry[THIRD][measure] - found[f"{budget}/random/{s}"][str(SIZES[-1])][measure] for s, entry in mine.items()]
            mean = statistics.fmean(entry[THIRD][measure] for entry in mine.values())
            cells += [f"{mean:.{DIGITS[measure]}f}", interval(gains, DIGITS[measure])]
        if mine:
            print(f"| {budget} | `{sampler}` | {len(mine)} | {' | '.join(cells)} |")


def searched(table: Table, sampler: str, budget: str, trials: int, seed: int) -> tuple[list[Trial], float]:
    """Runs a search; returns its finished trials in order, and the mean processor milliseconds of a proposal."""
    took: list[float] = []
    loop = ran(table, sampler, budget, trials, seed, lambda loop: timed(loop, took))
    return [t for t in loop.trials.values() if t.state == "finished"], 1e3 * statistics.fmean(took or [0.0])


def ran(
    table: Table,
    sampler: str,
    budget: str,
    trials: int,
    seed: int,
    watch: Callable[[SearchLoop], None],
    early_stopping: bool = False,
) -> SearchLoop:
    """Runs a search on a table to its end; returns its loop.

    Args:
        table: benchmark table with the results.
        sampler: name of the sampler.
        budget: budget of multiply-adds, or ``none``.
        trials: number of trainings to complete.
        seed: seed of the search.
        watch: is called with the search before it starts.
        early_stopping: whether a short training precedes each full one.
    """
    config = SearchConfig(
        space=read_yaml(find_space(table.NAME)).data, trials=trials, confirm=0, sampler=sampler, seed=seed,
        budgets=() if budget == "none" else parse_budgets([budget], notations()), starts=trials if sampler == "random" else 10,
        early_stopping=early_stopping, objectives=GOALS.objectives,
    )  # fmt: skip
    space = config.build_space()
    config = replace(config, task=task_of(table, space, early_stopping))
    with tempfile.TemporaryDirectory() as folder:
        make_memory(Path(folder), {"accuracy": (CHANCE, 1.0), "flops": extent(table.NAME)})
        with closing(Store(folder, "w")) as store:
            store._db.execute("PRAGMA synchronous = OFF")
            loop = SearchLoop(config, space, store)
            watch(loop)
            Tabular(Execution(train=LookUp(table)), Path(folder)).run(loop)
    return loop


def timed(loop: SearchLoop, took: list[float]) -> None:
    """Wraps the sampler so that the processor seconds of each proposal are appended to `took`."""
    study: Any = loop._proposer._study
    ask = study.ask

    def asking() -> Any:
        since = time.process_time()
        asked = ask()
        took.append(time.process_time() - since)
        return asked

    study.ask = asking


def show(found: Mapping[str, Any], measure: str, budgets: Sequence[str], contestants: Sequence[str], against: str) -> None:
    """Prints a table: the mean of each contestant, and its difference to `against` on the same seeds, with intervals."""
    digits = DIGITS[measure]
    print(f"\n{measure}, and its difference to {against}\n\n| budget | sampler | seeds | {' | '.join(map(str, SIZES))} | ms |")
    print("|" + " --- |" * (4 + len(SIZES)))
    for budget in budgets:
        for sampler in contestants:
            seeds = [s for s in range(1000) if all(f"{budget}/{c}/{s}" in found for c in (sampler, against))]
            pairs = [(found[f"{budget}/{sampler}/{s}"], found[f"{budget}/{against}/{s}"]) for s in seeds]
            cells = []
            for size in map(str, SIZES) if pairs else ():
                if any(size not in mine for mine, _ in pairs):
                    cells.append("")
                    continue
                mean = statistics.fmean(mine[size][measure] for mine, _ in pairs)
                gains = [mine[size][measure] - its[size][measure] for mine, its in pairs]
                cells.append(f"{mean:.{digits}f}" + (f" {interval(gains, digits)}" if sampler != against else ""))
            if pairs:
                took = statistics.fmean(mine["ms"] for mine, _ in pairs)
                print(f"| {budget} | `{sampler}` | {len(seeds)} | {' | '.join(cells)} | {took:.0f} |")


def interval(values: Sequence[float], digits: int, draws: int = 10_000) -> str:
    """Mean with its 95 % bootstrap percentile interval over the seeds."""
    rng = np.random.default_rng(0)
    low, high = np.quantile(rng.choice(np.asarray(values), (draws, len(values))).mean(1), [0.025, 0.975])
    return f"{statistics.fmean(values):+.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


if __name__ == "__main__":
    main()
