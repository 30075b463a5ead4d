"""Measures how often the interval of the area above the static ladder contains the true area, in simulated searches.

    python benchmarks/area_interval.py [--searches 1000]

The true accuracies are those of the table `dynconv-fmnist` within 0.25 MFLOPs: the means of its two seeds, shrunk towards their
mean by the share of their variance that is not noise. A simulated search reads its static ladder, of two rungs below 12 networks
and of all the table's static networks within the budget otherwise, and other networks drawn at random, each with normal noise of
the table's standard deviation between seeds. The output gives, for each number of networks, the share of searches whose interval
contains the true area, and the shares in which the truth is below and above it.
"""

from __future__ import annotations

import argparse

import numpy as np
from dynconv_card import DECISIONS, EPOCHS, costs, frame_of, readings

from dcdnas.core.ladder import Point, area_above, area_with_interval

BUDGET, CHANCE = 250_000, 0.1
NETWORKS = (6, 8, 12, 16, 24, 46)
FEW = 12
"""Searches of fewer networks have a ladder of two rungs."""


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--searches", type=int, default=1000)
    searches = parser.parse_args().searches
    frame = frame_of()
    networks, found = readings(frame, EPOCHS, "accuracy")
    ends, cost = found[:, :, -1], costs(frame, networks)
    within = ends.var(axis=1, ddof=1).mean()
    mean, noise = ends.mean(axis=1), float(within) ** 0.5
    shrunk = 1 - within / ends.shape[1] / mean.var(ddof=1)
    true = (mean.mean() + shrunk * (mean - mean.mean()) - CHANCE) / (1 - CHANCE)
    parts = frame.assign(network=frame[list(DECISIONS)].agg("/".join, axis=1)).drop_duplicates("network").set_index("network")
    operators = [name for name in DECISIONS if name.endswith("operator")]
    static = np.array([all(parts.loc[network, name] == "static" for name in operators) for network in networks])
    fitting = np.flatnonzero(cost <= BUDGET)
    rungs, others = (sorted(fitting[static[fitting] == kind], key=lambda n: cost[n]) for kind in (True, False))
    print(f"{len(rungs)} static and {len(others)} other networks, noise {100 * noise:.2f} points, {searches} searches\n")
    print("| networks | rungs | interval contains the true area, % | truth below, % | truth above, % |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    rng = np.random.default_rng(0)
    for count in NETWORKS:
        ladder = [rungs[0], rungs[-1]] if count < FEW else rungs
        sides = {"below": 0, "above": 0}
        for search in range(searches):
            chosen = [*ladder, *rng.choice(others, count - len(ladder), replace=False)]
            known = [Point(cost[n], true[n], bool(static[n])) for n in chosen]
            read = [p._replace(value=p.value + rng.normal(0, noise / (1 - CHANCE))) for p in known]
            bounds = cost[rungs[0]], BUDGET
            area = area_with_interval(read, *bounds, [noise / (1 - CHANCE)] * count, seed=search)
            truth = area_above(known, *bounds)
            sides["below"] += truth < area.low
            sides["above"] += truth > area.high
        below, above = (100 * n / searches for n in sides.values())
        print(f"| {count} | {len(ladder)} | {100 - below - above:.1f} | {below:.1f} | {above:.1f} |", flush=True)


if __name__ == "__main__":
    main()
