"""Simulates what early stopping saves and costs, on the table `dynconv-fmnist`, where every training is known to its end.

    python benchmarks/stopping.py [--budgets 0.25MFLOPs none] [--networks 24 50] [--seeds 200] [--table FILE]

The static ladder comes first and is always trained completely. Then networks within the budget are drawn at random. Each network
is trained on one of its two seeds. The total number of epochs is that of `--networks` complete trainings. A rule stops trainings
at its rungs, and the epochs that it saves are spent on more networks. The best network is the one whose complete training had the
best reading, by accuracy or by loss; b is its accuracy in the other training, which no rule saw. U counts complete trainings
only. All rules draw the same networks in the same order. The output gives differences to completing every training, with 95 %
bootstrap intervals over the draws.

The rule `search` is that of `dcdnas search --early-stopping`: each network first has a short training of one epoch on its own
schedule, which costs this epoch, and some networks are stopped after it by their loss. `scan` does the same with other fractions
and readings. `like` stops complete trainings at its rungs. These three compare trainings of similar cost: they rank by the
residual of the reading after a linear regression on the logarithm of cost. `front` ranks by non-domination of reading and cost.
Under every rule, the better fraction of the trainings that have reached the rung continues.
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
    """A network of the table: its cost, the learning curves of its full trainings, and those of its short trainings."""

    cost: float
    curves: tuple[Curve, ...]
    scans: tuple[Curve, ...]


class Rule(NamedTuple):
    """A rule: its kind, the reading it compares, the rungs at which it does so, and the factor; the best 1 / factor continue."""

    kind: str
    reading: str
    rungs: tuple[int, ...]
    factor: int

    @property
    def words(self) -> str:
        """The first cells of the rule's line in the table."""
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
    """Decides by a rule whether a training continues.

    Args:
        rule: the rule.
    """

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._search = Halving(1, GOALS)
        self._rungs: dict[int, list[tuple[float, float]]] = {epoch: [] for epoch in rule.rungs}

    def keep(self, number: int, epoch: int, curve: Curve, cost: float) -> bool:
        """Whether a training continues after an epoch."""
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
    """A reading as a value to minimise: the loss, or the error."""
    return values["loss"] if reading == "loss" else 1 - values["accuracy"]


def main() -> None:
    """Prints a table for each budget and number of complete trainings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budgets", nargs="+", default=list(BUDGETS["dynconv-fmnist"]))
    parser.add_argument("--networks", nargs="+", type=int, default=[24, 50])
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--table", help="file of the table; default: the one that ships")
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
    """The static ladder of the table, starting with the most expensive network, and all its other networks."""
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
    """Simulates a rule on one draw; returns b, U, and how many networks were started and completed."""
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
    """b and U of the completed trainings."""
    costs, ends = [network.cost for network, _ in whole], [[c[-1]["accuracy"] for c in n.curves] for n, _ in whole]
    found = measure.judge(costs, ends, [curve[-1]["accuracy"] for _, curve in whole], most)
    looked, seen = min(whole, key=lambda pair: loss_of(reading, pair[1][-1]))
    others = [curve[-1]["accuracy"] for curve in looked.curves if curve is not seen]
    return {"b": 100 * statistics.fmean(others), "U": found["U"]}


def show(found: dict[Rule, list[dict[str, float]]], title: str) -> None:
    """Prints a line for each rule."""
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
