"""Compares rules that choose which networks a search should confirm, that is train again on fresh seeds.

    dcdnas data fetch nas-bench-macro
    python benchmarks/confirming.py [--networks 24 50 100] [--draws 100] [--tables NAME ...] [--table FILE]

Different networks within the budget are drawn at random from a table, and one training of each is shown to the rules. Each rule
chooses three networks, which are judged by the accuracy of their other trainings: the mean of the three, and the first one. The
rule `front` chooses the most accurate networks of the front of accuracy and multiply-adds, `accuracy` and `loss` choose the best
readings, on the front or not, and `believed` chooses the networks that `dcdnas search` would confirm. All rules choose from the
same draws. The output gives means and differences to `front` with 95 % bootstrap intervals over the draws. `fashion-quick` stands
for the 40 networks of that space in `readings.jsonl`, an example of a space with many decisions, only few of whose networks were
trained; these are also judged by their trainings of 15 epochs.
"""

from __future__ import annotations

import argparse
import random
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from readings import LONG_SEED
from result_lines import rows_of
from search_quality import interval
from yardstick import BUDGETS, GOALS, outcomes_of, yardstick

from dcdnas.core.budget import parse_budgets
from dcdnas.core.pareto import front
from dcdnas.core.trial import Score, Trial
from dcdnas.cost import notations
from dcdnas.engine.confirm import to_confirm
from dcdnas.engine.samplers import Search
from dcdnas.networks import identity
from dcdnas.space.library import load_space
from dcdnas.space.pricing.cost import Priced, draws_within, priced
from dcdnas.space.search_space import SearchSpace
from dcdnas.tables import tables

TOP = 3
READINGS = Path(__file__).with_name("readings.jsonl")
Values = Mapping[str, float]


class Known(NamedTuple):
    """A network, as a trial without a result, the final readings of each of its trainings, and the accuracy to judge it by.

    Without such an accuracy it is judged by its trainings that the rules do not see.
    """

    trial: Trial
    ends: Sequence[Values]
    judged: float | None = None


class Source(NamedTuple):
    """Networks that were trained more than once."""

    space: SearchSpace
    budget: str
    networks: Sequence[Known]


def by_reading(name: str) -> Callable[[Source, Sequence[Trial]], list[Trial]]:
    """Returns the rule that chooses the best readings of this name: the lowest losses, or the highest accuracies."""
    sign = -1 if name == "loss" else 1
    return lambda _, trials: sorted(trials, key=lambda t: -sign * t.score.values[name] if t.score else 0.0)[:TOP]


def of_the_front(_: Source, trials: Sequence[Trial]) -> list[Trial]:
    """Chooses the most accurate networks of the front."""
    return sorted(front(trials, (), GOALS), key=lambda t: -GOALS.gain(t))[:TOP]


def believed(source: Source, trials: Sequence[Trial]) -> list[Trial]:
    """Chooses the networks that a search would confirm."""
    return to_confirm(Search(source.space, (), GOALS), trials, TOP)


WAYS = {"front": of_the_front, "accuracy": by_reading("accuracy"), "loss": by_reading("loss"), "believed": believed}


def main() -> None:
    """Prints a table for each source."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", type=int, default=[24, 50, 100])
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--tables", nargs="+", default=[*BUDGETS, "fashion-quick"])
    parser.add_argument("--table", help="file of NAS-Bench-Macro; default: the fetched one")
    given = parser.parse_args()
    print("| networks | seen | chosen by | mean of three | the first |\n| --- | ---: | --- | --- | --- |")
    for name in given.tables:
        for source in sources(name, given.table):
            for count in given.networks:
                if count < len(source.networks):
                    show(source, count, given.draws)


def sources(name: str, file: str | None) -> Iterator[Source]:
    """Yields one source for each budget of a table."""
    space = load_space(name)
    if name == "fashion-quick":
        known = read_before(space, "1MFLOPs")
        yield Source(space, "1MFLOPs", [network._replace(judged=None) for network in known])
        yield Source(space, "1MFLOPs, judged after 15 epochs", known)
        return
    table = tables[name](file if name == "nas-bench-macro" else None)
    every: dict[str, Known] = {}
    for outcome in outcomes_of(space)[0]:
        architecture = space.architecture(outcome)
        if identity(architecture) not in every:
            ends = [curve[-1] for curve in table.curves(architecture)]
            every[identity(architecture)] = Known(a_trial(priced(space, outcome)), ends)
    for budget in BUDGETS[name]:
        most = yardstick(table).bound(budget)
        yield Source(space, budget, [known for known in every.values() if known.trial.cost["flops"] <= most])


def read_before(space: SearchSpace, budget: str) -> list[Known]:
    """The networks that `readings.py` trained, each with its re-estimated readings of both seeds, and after its long training."""
    ends: dict[str, list[Values]] = {}
    longer: dict[str, float] = {}
    for line in rows_of(READINGS):
        last = {name: values[-1] for name, values in line["readings"]["fresh"].items()}
        if line["seed"] == LONG_SEED:
            longer[line["network"]] = last["accuracy"]
        elif line["recipe"] == "own":
            ends.setdefault(line["network"], []).append(last)
    draws = islice(draws_within(space, parse_budgets([budget], notations()), random.Random(0)), len(ends))
    digests = [(drawn, drawn.architecture.digest) for drawn in draws]
    return [Known(a_trial(drawn), ends[digest], longer[digest]) for drawn, digest in digests]


def a_trial(found: Priced) -> Trial:
    """A finished trial of a network, without its result."""
    deployed = identity(found.architecture)
    return Trial(0, "finished", found.architecture, found.decisions, found.cost, deployed=deployed)


def drawn(source: Source, count: int, seed: int) -> tuple[list[Trial], list[float]]:
    """Draws different networks, each with one training that the rules see, and the accuracies of their other trainings."""
    rng = random.Random(seed)
    trials, others = [], []
    for number, known in enumerate(rng.sample(source.networks, count)):
        seen = rng.randrange(len(known.ends))
        trials.append(replace(known.trial, number=number, score=Score(known.ends[seen], 1, 0.0)))
        unseen = statistics.fmean(end["accuracy"] for n, end in enumerate(known.ends) if n != seen)
        others.append(100 * (unseen if known.judged is None else known.judged))
    return trials, others


def show(source: Source, count: int, draws: int) -> None:
    """Prints a line for each rule."""
    found: dict[str, list[tuple[float, float]]] = {}
    for trials, others in (drawn(source, count, seed) for seed in range(draws)):
        for way, choose in WAYS.items():
            if way != "loss" or all(t.score and "loss" in t.score.values for t in trials):
                true = [others[t.number] for t in choose(source, trials)]
                found.setdefault(way, []).append((statistics.fmean(true), true[0]))
    for way in found:
        cells = []
        for column in range(2):
            mine, its = ([pair[column] for pair in found[name]] for name in (way, "front"))
            gain = "" if way == "front" else " " + interval([a - b for a, b in zip(mine, its, strict=True)], 2)
            cells.append(f"{statistics.fmean(mine):.2f}{gain}")
        print(f"| {source.space.name}, {source.budget} | {count} | {way} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
