"""What each sampler finds on NAS-Bench-Macro, where the networks were trained by somebody else and the truth is known.

    dcdnas data fetch nas-bench-macro
    python benchmarks/search_quality.py [--seeds 20] [--samplers tpe model] [--budgets none] [--against tpe] [--show | --best]

Every search is the one of `dcdnas search --executor tabular`: the static ladder, random starts within the budget, then the
sampler. With one seed all contestants begin with the same networks and readings: differences are paired by seed. Beside the
samplers there are two that learn nothing and look at the price alone: `dear` draws within 80 to 100 % of the budget, `spread`
draws the logarithm of the cost evenly from its upper half.

Judged at 24, 50 and 100 evaluations, by the means of all three trainings of a network, which no search sees:
- b: of the network that looked best within the budget, in per cent;
- U: the area between two staircases over the logarithm of cost (cheapest network to budget), accuracy from chance to 1: of all
  networks that were evaluated, and of the static ladder 00000000, 11111111, 22222222;
- V: the hypervolume of the networks that were evaluated, in the same box.

Printed are means, and differences to random (`--against`) with 95 % intervals by bootstrap over the seeds. Results go to
`search_quality.json` beside this file, search by search: what is there is not searched again.
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
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from importlib.metadata import version
from itertools import islice, product
from pathlib import Path
from typing import Any

import numpy as np

from dcdnas.core.budget import Budget, parse_budgets
from dcdnas.core.objective import Goals
from dcdnas.core.pareto import volume
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
from dcdnas.space.pricing.table import SpaceTable
from dcdnas.space.search_space import Decisions
from dcdnas.tables import Table, tables
from dcdnas.tasks import of_classes

RESULTS = Path(__file__).with_suffix(".json")
SIZES = (24, 50, 100)
DIGITS = {"b": 2, "U": 3, "V": 3}
BUDGETS = ("40MFLOPs", "60MFLOPs", "none")
CONTESTANTS = ("random", "dear", "spread", "tpe", "nsga2", "evolution", "model")
CHEAPEST, DEAREST, CHANCE = 7_713_280, 105_660_928, 0.1
LADDER = ((7_713_280, 0.45363), (53_246_464, 0.91930), (105_660_928, 0.92953))
"""Multiply-adds and mean accuracy of the networks 00000000, 11111111 and 22222222."""

GOALS = Goals(of_classes(10)[:1], ("flops",))
TRIES = 3000


class Null(Direct):
    """Draws at random and keeps a draw by its cost alone."""

    def propose(self, known: Known) -> Decisions | None:
        """A network that was not seen, of the wanted cost where there is one."""
        rng = random.Random(derived_seed(self.search.seed, f"null {known.asked}"))
        most = self.search.budgets[0].at_most if self.search.budgets else DEAREST
        drawn = draws_within(self.search.space, (self.wanted(rng, most), *self.search.budgets), rng)
        return next((d.decisions for d in islice(drawn, TRIES) if identity(d.architecture) not in known.seen), None)

    @abstractmethod
    def wanted(self, rng: random.Random, most: float) -> Budget:
        """The costs that are kept, under a budget."""


class Dear(Null):
    """Between 80 and 100 % of the budget."""

    def wanted(self, rng: random.Random, most: float) -> Budget:
        """The same always."""
        return Budget("flops", most, 0.8 * most)


class Spread(Null):
    """The logarithm of the cost evenly in its upper half."""

    def wanted(self, rng: random.Random, most: float) -> Budget:
        """About a cost that is drawn."""
        about = most * (CHEAPEST / most) ** (rng.random() / 2)
        return Budget("flops", 1.1 * about, 0.9 * about)


def main() -> None:
    """Searches what is missing, and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samplers", nargs="+", default=list(CONTESTANTS))
    parser.add_argument("--budgets", nargs="+", default=list(BUDGETS))
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--table", help="file of the benchmark; the fetched one when left out")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--against", default="random", help="contestant to whom the others' differences are printed")
    parser.add_argument("--show", action="store_true", help="search nothing, print what there is")
    parser.add_argument("--best", action="store_true", help="search nothing, print the best network that the table has")
    given = parser.parse_args()
    if given.best:
        best_there_is(tables["nas-bench-macro"](given.table), given.budgets)
        return
    samplers.add("dear", Sampler(direct=Dear))
    samplers.add("spread", Sampler(direct=Spread))
    found: dict[str, Any] = json.loads(given.results.read_text()) if given.results.exists() else {}
    if not given.show:
        search_missing(found, given)
    print(found.get("machine", ""))
    for measure in DIGITS:
        show(found, measure, given.budgets, given.samplers, given.against)


def best_there_is(table: Table, budgets: Sequence[str]) -> None:
    """Prints the highest mean of a network's readings within each budget, and their deviation within a network."""
    space = load_space("nas-bench-macro")
    priced = SpaceTable(space, ("flops",))
    outcomes = [dict(zip(priced.columns, options, strict=True)) for options in product(*(d.options for d in space.decisions))]
    costs = priced.costs(priced.encode(outcomes))[:, 0].tolist()
    readings = [table.readings(space.architecture(outcome)) for outcome in outcomes]
    for budget in budgets:
        best = max(statistics.fmean(read) for read, cost in zip(readings, costs, strict=True) if cost <= bound(budget))
        print(f"{budget}: {100 * best:.2f}")
    print(f"standard deviation within a network: {100 * statistics.fmean(map(statistics.variance, readings)) ** 0.5:.2f}")


def bound(budget: str) -> float:
    """The multiply-adds that a budget allows."""
    return DEAREST if budget == "none" else parse_budgets([budget], notations())[0].at_most


def search_missing(found: dict[str, Any], given: argparse.Namespace) -> None:
    """Searches what was not searched yet, seed by seed; nothing without the table."""
    try:
        table = tables["nas-bench-macro"](given.table)
    except DataError as error:
        print(f"Nothing is searched: {error}")
        return
    for seed in range(given.seeds):
        for budget in given.budgets:
            for sampler in given.samplers:
                missing(found, given.results, table, sampler, budget, seed)


def missing(found: dict[str, Any], path: Path, table: Table, sampler: str, budget: str, seed: int) -> None:
    """Searches once, unless that was done, and writes it down."""
    key = f"{budget}/{sampler}/{seed}"
    if key in found:
        return
    found[key] = {}
    for trials in SIZES if sampler == "nsga2" else SIZES[-1:]:  # its population is sized by the run
        trained, milliseconds = searched(table, sampler, budget, trials, seed)
        for size in SIZES if trials == SIZES[-1] and sampler != "nsga2" else (trials,):
            found[key][str(size)] = judged(table, trained[:size], bound(budget))
        found[key]["ms"] = milliseconds
    found["machine"] = (
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, numpy {np.__version__}, "
        f"optuna {version('optuna')}"
    )
    path.write_text("{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in sorted(found.items())) + "\n}\n")
    print(key, found[key], flush=True)


def searched(table: Table, sampler: str, budget: str, trials: int, seed: int) -> tuple[list[Trial], float]:
    """The networks that a search evaluated, in order; and milliseconds of the processor that a proposal took."""
    config = SearchConfig(
        space=read_yaml(find_space("nas-bench-macro")).data, trials=trials, confirm=0, sampler=sampler, seed=seed,
        budgets=() if budget == "none" else parse_budgets([budget], notations()), starts=trials if sampler == "random" else 10,
        early_stopping=False, objectives=GOALS.objectives,
    )  # fmt: skip
    space = config.build_space()
    config = replace(config, task=task_of(table, space))
    with tempfile.TemporaryDirectory() as folder:
        make_memory(Path(folder), {"accuracy": (CHANCE, 1.0), "flops": (CHEAPEST, DEAREST)})
        with closing(Store(folder, "w")) as store:
            store._db.execute("PRAGMA synchronous = OFF")
            loop = SearchLoop(config, space, store)
            took = timed(loop)
            Tabular(Execution(train=LookUp(table)), Path(folder)).run(loop)
    return [t for t in loop.trials.values() if t.state == "finished"], 1e3 * statistics.fmean(took or [0.0])


def timed(loop: SearchLoop) -> list[float]:
    """Seconds of the processor that each proposal of the sampler will have taken."""
    study: Any = loop._proposer._study
    took, ask = [], study.ask

    def asking() -> Any:
        since = time.process_time()
        asked = ask()
        took.append(time.process_time() - since)
        return asked

    study.ask = asking
    return took


def judged(table: Table, trials: Sequence[Trial], most: float) -> dict[str, float]:
    """b, U and V of the networks that were evaluated."""
    true = [statistics.fmean(table.readings(t.architecture)) for t in trials]
    return judge([t.cost["flops"] for t in trials], true, [GOALS.gain(t) for t in trials], most)


def judge(costs: Sequence[float], true: Sequence[float], read: Sequence[float], most: float) -> dict[str, float]:
    """b, U and V of networks by their costs, true accuracies and the readings that a search saw, in the order of evaluation."""
    if not costs:
        return {"b": 100 * CHANCE, "U": 0.0, "V": 0.0}
    looked = max(range(len(costs)), key=lambda i: (read[i], -i))
    mine, ladder = staircase(list(zip(costs, true, strict=True)), most), staircase(LADDER, most)
    front = [
        [1 - (a - CHANCE) / (1 - CHANCE), np.log(c / CHEAPEST) / np.log(most / CHEAPEST)]
        for c, a in zip(costs, true, strict=True)
    ]
    area = float(np.maximum(mine - ladder, 0).mean() / (1 - CHANCE))
    return {"b": round(100 * true[looked], 4), "U": round(area, 6), "V": round(volume(front, [1.0, 1.0]), 6)}


def staircase(points: Sequence[tuple[float, float]], most: float, steps: int = 4000) -> np.ndarray[Any, Any]:
    """The best accuracy at or below each of many costs, evenly spread on the logarithmic scale; chance where there is none."""
    at = CHEAPEST * (most / CHEAPEST) ** ((np.arange(steps) + 0.5) / steps)
    cost, accuracy = (np.array(column) for column in zip(*sorted(points), strict=True))
    best = np.concatenate([[CHANCE], np.maximum.accumulate(accuracy)])
    found: np.ndarray[Any, Any] = best[np.searchsorted(cost, at, "right")]
    return found


def show(found: Mapping[str, Any], measure: str, budgets: Sequence[str], contestants: Sequence[str], against: str) -> None:
    """A table: the mean of each contestant, and its difference to one of them on the same seeds with the interval."""
    digits = DIGITS[measure]
    print(f"\n{measure}, and its difference to {against}\n\n| budget | sampler | seeds | {' | '.join(map(str, SIZES))} | ms |")
    print("|" + " --- |" * (4 + len(SIZES)))
    for budget in budgets:
        for sampler in contestants:
            seeds = [s for s in range(1000) if all(f"{budget}/{c}/{s}" in found for c in (sampler, against))]
            pairs = [(found[f"{budget}/{sampler}/{s}"], found[f"{budget}/{against}/{s}"]) for s in seeds]
            cells = []
            for size in map(str, SIZES) if pairs else ():
                mean = statistics.fmean(mine[size][measure] for mine, _ in pairs)
                gains = [mine[size][measure] - its[size][measure] for mine, its in pairs]
                cells.append(f"{mean:.{digits}f}" + (f" {interval(gains, digits)}" if sampler != against else ""))
            if pairs:
                took = statistics.fmean(mine["ms"] for mine, _ in pairs)
                print(f"| {budget} | `{sampler}` | {len(seeds)} | {' | '.join(cells)} | {took:.0f} |")


def interval(values: Sequence[float], digits: int, draws: int = 10_000) -> str:
    """Mean with its 95 % percentile interval by bootstrap over the seeds."""
    rng = np.random.default_rng(0)
    low, high = np.quantile(rng.choice(np.asarray(values), (draws, len(values))).mean(1), [0.025, 0.975])
    return f"{statistics.fmean(values):+.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


if __name__ == "__main__":
    main()
