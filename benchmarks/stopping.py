"""What early stopping saves and costs, on the table `dynconv-fmnist`, where every training is known to its end.

    python benchmarks/stopping.py [--budgets 0.25MFLOPs none] [--networks 24 50] [--seeds 200] [--table FILE]

Networks within the budget are drawn at random, the static ladder first, which is always trained whole, and trained on one of
their two seeds until as many epochs are spent as so many whole trainings take. A rule stops trainings at its rungs; what it saves
goes into more networks. The best network is the one whose whole training read best, by accuracy or by loss; b is its accuracy in
the training that no rule saw. U counts whole trainings only. All contestants draw the same networks in the same order: printed
are differences to training everything whole, with 95 % bootstrap intervals over the draws.

Rules: `search` is `dcdnas search --early-stopping`: before a whole training each network has a short one of one epoch, on a
schedule of its own, which costs that epoch and after which some are stopped, by the loss. `scan` does the same with other shares
and readings. `like` cuts whole trainings at its rungs. These compare with trainings of like cost, by what is left of the reading
when the straight line of readings over the logarithm of cost is taken out; `front` ranks by non-domination of reading and cost.
All let the better part of those that came to the rung go on.
"""

from __future__ import annotations

import argparse
import random
import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from search_quality import interval
from yardstick import BUDGETS, GOALS, Yardstick, outcomes_of, yardstick

import dcdnas.tables
from dcdnas.core.geometry import Cost
from dcdnas.core.pareto import ranks
from dcdnas.core.trial import EpochResult
from dcdnas.engine.halving import ENOUGH, FACTOR, Halving, without_cost
from dcdnas.networks import identity
from dcdnas.space.library import load_space
from dcdnas.tables import Curve, Table

EPOCHS = 8
READINGS = ("accuracy", "loss")


class Network(NamedTuple):
    """One of the table."""

    cost: float
    curves: tuple[Curve, ...]
    scans: tuple[Curve, ...]


class Rule(NamedTuple):
    """When trainings are compared, by what reading and how; and how many of three go on, or of two."""

    kind: str
    reading: str
    rungs: tuple[int, ...]
    factor: int

    @property
    def words(self) -> str:
        """As a line of the table begins."""
        if self.kind == "whole":
            return f"whole | {self.reading} | |"
        return f"{self.kind}, 1/{self.factor} | {self.reading} | {', '.join(map(str, self.rungs))} |"


RULES = (
    *(Rule("whole", reading, (), 1) for reading in READINGS),
    *(Rule("search", reading, (1,), FACTOR) for reading in READINGS),
    *(Rule("scan", "loss", (1,), factor) for factor in (2, 3, 6, 8)),
    Rule("scan", "accuracy", (1,), FACTOR),
    Rule("like", "loss", (4,), 2),
    Rule("like", "loss", (3,), 3),
    Rule("like", "loss", (1, 3), 3),
    Rule("front", "loss", (4,), 3),
    Rule("front", "accuracy", (1, 3), 3),
)


class Stopper:
    """Decides whether a training goes on.

    Args:
        rule: by which it decides.
    """

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._search = Halving(1, GOALS)
        self._rungs: dict[int, list[tuple[float, float]]] = {epoch: [] for epoch in rule.rungs}

    def keep(self, number: int, epoch: int, curve: Curve, cost: float) -> bool:
        """Whether it goes on after an epoch."""
        if self.rule.kind == "search":
            return self._search.keep(number, EpochResult(epoch, curve[epoch - 1], 0.0), Cost({"flops": cost}))
        if epoch not in self._rungs:
            return True
        rung = self._rungs[epoch]
        rung.append((loss_of(self.rule.reading, curve[epoch - 1]), float(np.log(cost))))
        if len(rung) < ENOUGH:
            return True
        read, logs = np.array(rung).T[:, :, np.newaxis]
        rank = ranks(rung if self.rule.kind == "front" else without_cost(read, logs).tolist())
        return sum(r < rank[-1] for r in rank) < len(rung) / self.rule.factor


def loss_of(reading: str, values: Mapping[str, float]) -> float:
    """A reading, the lower the better."""
    return values["loss"] if reading == "loss" else 1 - values["accuracy"]


def main() -> None:
    """Prints a table a budget and number of whole trainings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budgets", nargs="+", default=list(BUDGETS["dynconv-fmnist"]))
    parser.add_argument("--networks", nargs="+", type=int, default=[24, 50])
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--table", help="file; the package's own when left out")
    given = parser.parse_args()
    table = dcdnas.tables.load("dynconv-fmnist", given.table)
    measure, networks = yardstick(table), networks_of(table)
    for budget in given.budgets:
        for count in given.networks:
            most = measure.bound(budget)
            ladder, others = ([network for network in part if network.cost <= most] for part in networks)
            found = {
                rule: [simulated(measure, ladder, others, rule, count, most, seed) for seed in range(given.seeds)]
                for rule in RULES
            }
            within = len(ladder) + len(others)
            show(found, f"{budget}, epochs of {count} whole trainings, {within} networks, {given.seeds} draws")


def networks_of(table: Table) -> tuple[list[Network], list[Network]]:
    """The static ladder of the table, the dearest network first, and all its other networks."""
    space = load_space(table.NAME)
    ladder = [identity(space.architecture(outcome)) for outcome in space.uniform_static()]
    found: dict[str, Network] = {}
    for outcome, cost in zip(*outcomes_of(space), strict=True):
        architecture = space.architecture(outcome)
        found[identity(architecture)] = Network(cost, table.curves(architecture), table.scans(architecture))
    first = sorted((found.pop(name) for name in ladder), key=lambda network: -network.cost)
    return first, list(found.values())


def simulated(
    measure: Yardstick,
    ladder: Sequence[Network],
    others: Sequence[Network],
    rule: Rule,
    count: int,
    most: float,
    seed: int,
) -> dict[str, float]:
    """b and U of one draw, and how many networks were begun and ended."""
    rng, stopper, left = random.Random(seed), Stopper(rule), EPOCHS * count
    whole: list[tuple[Network, Curve]] = []
    begun = 0
    for number, network in enumerate([*ladder, *rng.sample(others, len(others))]):
        seed = rng.randrange(len(network.curves))
        short = network.scans[seed] if rule.kind in ("search", "scan") else ()
        curve = (*short, *network.curves[seed])
        epoch, going = 0, True
        while going and left and epoch < len(curve):
            epoch, left = epoch + 1, left - 1
            going = stopper.keep(number, epoch, curve, network.cost) or number < len(ladder) or epoch == len(curve)
        begun += 1
        if going and epoch == len(curve):
            whole.append((network, network.curves[seed]))
        if not left:
            break
    return {**judged(measure, whole, rule.reading, most), "begun": float(begun), "whole": float(len(whole))}


def judged(measure: Yardstick, whole: Sequence[tuple[Network, Curve]], reading: str, most: float) -> dict[str, float]:
    """b and U of whole trainings."""
    costs, ends = [network.cost for network, _ in whole], [[c[-1]["accuracy"] for c in n.curves] for n, _ in whole]
    found = measure.judge(costs, ends, [curve[-1]["accuracy"] for _, curve in whole], most)
    looked, seen = min(whole, key=lambda pair: loss_of(reading, pair[1][-1]))
    others = [curve[-1]["accuracy"] for curve in looked.curves if curve is not seen]
    return {"b": 100 * statistics.fmean(others), "U": found["U"]}


def show(found: dict[Rule, list[dict[str, float]]], title: str) -> None:
    """Prints a line a rule."""
    print(f"\n{title}\n\n| rule | reading | rungs | begun | whole | b | U |\n| --- | --- | --- | ---: | ---: | ---: | ---: |")
    first = found[RULES[0]]
    for rule, rows in found.items():
        cells = [f"{statistics.fmean(row[name] for row in rows):.0f}" for name in ("begun", "whole")]
        for name, digits in (("b", 2), ("U", 4)):
            if rule is RULES[0]:
                cells.append(f"{statistics.fmean(row[name] for row in rows):.{digits}f}")
            else:
                cells.append(interval([row[name] - its[name] for row, its in zip(rows, first, strict=True)], digits))
        print(f"| {rule.words} {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
