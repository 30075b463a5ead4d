"""Analyses the benchmark table `dynconv-fmnist`: noise, how well early readings rank networks, what each operator gains.

    python benchmarks/dynconv_card.py [--table FILE]

Prints the tables of docs/dynconv-fmnist.md from the benchmark table alone; nothing is trained. Intervals are 95 % bootstrap
intervals over the networks (correlations) or over pairs of networks (operators).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from pandas import DataFrame

import dcdnas.tables
from dcdnas.core.rank_correlation import kendall_tau
from dcdnas.space.library import load_space

EPOCHS, SHORTER = 8, (1, 3)
DRAWS = 400
BAND = 1.1
"""Two networks are of similar cost if the more expensive one has at most this multiple of the other one's multiply-adds."""

SLOTS = ("stem", "expand+project", "depthwise")
DECISIONS = tuple(decision.name for decision in load_space("dynconv-fmnist").decisions)
Numbers = NDArray[np.float64]


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", help="file of the table; default: the one that ships")
    frame = frame_of(parser.parse_args().table)
    print_contents(frame)
    print_fidelities(frame)
    print_operators(frame)


def frame_of(path: str | None = None) -> DataFrame:
    """The trainings of the table that ships, or of a file."""
    return DataFrame(dcdnas.tables.load("dynconv-fmnist", path).rows())  # type: ignore[attr-defined]


def readings(frame: DataFrame, epochs: int, name: str) -> tuple[list[str], Numbers]:
    """Networks trained on a schedule of `epochs`, and their readings (networks, seeds, epochs); losses are negated."""
    columns = [f"{name} {epoch}" for epoch in range(1, epochs + 1)]
    named = frame.assign(network=frame[list(DECISIONS)].agg("/".join, axis=1))
    rows = named[named["epochs"] == epochs].sort_values(["network", "seed"])
    networks = list(dict.fromkeys(rows["network"]))
    values = rows[columns].to_numpy(float).reshape(len(networks), -1, epochs)
    return networks, -values if name == "loss" else values


def costs(frame: DataFrame, networks: Sequence[str]) -> Numbers:
    """Multiply-adds of each network."""
    named = dict(zip(frame[list(DECISIONS)].agg("/".join, axis=1), frame["flops"], strict=True))
    return np.array([named[network] for network in networks], float)


def print_contents(frame: DataFrame) -> None:
    """Prints the size of the table and the variation between seeds and between networks."""
    networks, found = readings(frame, EPOCHS, "accuracy")
    ends, cost = 100 * found[:, :, -1], costs(frame, networks)
    within, between = ends.var(axis=1, ddof=1).mean(), ends.mean(axis=1).var(ddof=1)
    print("| | |\n| --- | --- |")
    print(f"| networks | {len(networks)}, with {cost.min():,.0f} to {cost.max():,.0f} multiply-adds |")
    counts = [f"{(frame['epochs'] == epochs).sum():,} of {epochs}" for epochs in (EPOCHS, *SHORTER)]
    print(f"| trainings | {len(frame):,}: {', '.join(counts)} epochs; {found.shape[1]} seeds for each network |")
    print(f"| processor hours | {frame['seconds'].sum() / 3600:.1f} |")
    print(f"| accuracy of a network (mean of its seeds) | {ends.mean(axis=1).min():.1f} to {ends.mean(axis=1).max():.1f} % |")
    print(f"| standard deviation between seeds | {within**0.5:.2f} points |")
    print(f"| standard deviation of networks without noise | {max(between - within / found.shape[1], 0.0) ** 0.5:.2f} points |")
    slope, _ = np.polyfit(np.log2(cost), ends.mean(axis=1), 1)
    print(f"| gain in accuracy for twice the multiply-adds | {slope:+.1f} points |")


def print_fidelities(frame: DataFrame) -> None:
    """Prints how well readings of one seed predict the ranking by the other seed's end: of all pairs, and at similar cost."""
    networks, accuracy = readings(frame, EPOCHS, "accuracy")
    _, loss = readings(frame, EPOCHS, "loss")
    ends, cost = accuracy[:, :, -1], costs(frame, networks)
    print("\n| reading after | by accuracy | by loss | similar cost, by accuracy | similar cost, by loss |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for epoch in range(EPOCHS):
        cells = [ranked(values[:, :, epoch], ends, cost, band) for band in (np.inf, BAND) for values in (accuracy, loss)]
        print(f"| {epoch + 1} of {EPOCHS} epochs | {' | '.join(cells)} |")
    whole = dict(zip(networks, ends, strict=True))
    for epochs in SHORTER:
        short, values = readings(frame, epochs, "accuracy")
        both, price = np.array([whole[network] for network in short]), costs(frame, short)
        read = [found[:, :, -1] for found in (values, readings(frame, epochs, "loss")[1])]
        cells = [ranked(found, both, price, band) for band in (np.inf, BAND) for found in read]
        print(f"| {epochs} of {epochs} epochs, {len(short)} networks | {' | '.join(cells)} |")


def ranked(read: Numbers, ends: Numbers, cost: Numbers, band: float) -> str:
    """Kendall's tau between one seed's readings and the other seed's final accuracies, averaged over both, with its interval."""

    def tau(rows: NDArray[np.int64]) -> float:
        return float(np.mean([banded(read[rows, s], ends[rows, 1 - s], cost[rows], band) for s in range(2)]))

    return with_interval(tau, len(cost))


def banded(read: Numbers, ends: Numbers, cost: Numbers, band: float) -> float:
    """Kendall's tau; with a finite band, over the pairs of networks whose costs differ by at most this factor."""
    if band == np.inf:
        return kendall_tau(list(read), list(ends))
    near = np.abs(np.subtract.outer(np.log(cost), np.log(cost))) <= np.log(band)
    x, y = (np.sign(np.subtract.outer(v, v)) * near for v in (read, ends))
    return float((x * y).sum() / np.sqrt((x * x).sum() * (y * y).sum()))


def print_operators(frame: DataFrame) -> None:
    """Prints the gain of each operator in each place over a static layer there: all else equal, and at equal cost."""
    networks, accuracy = readings(frame, EPOCHS, "accuracy")
    ends, cost = 100 * accuracy[:, :, -1].mean(axis=1), costs(frame, networks)
    slope = float(np.polyfit(np.log2(cost), ends, 1)[0])
    known = {network: (end, np.log2(c)) for network, end, c in zip(networks, ends, cost, strict=True)}
    print("\n| place | operator | pairs | multiply-adds | accuracy, all else equal | at equal multiply-adds |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    for slot in SLOTS:
        pairs = list(pairs_of(networks, slot))
        for operator in dict.fromkeys(sorted(name for name, _, _ in pairs)):
            mine = [(known[a], known[b]) for name, a, b in pairs if name == operator]
            gain, dearer = (np.array([a[i] - b[i] for a, b in mine]) for i in range(2))
            cells = [with_interval(lambda rows, v=v: float(v[rows].mean()), len(v)) for v in (gain, gain - slope * dearer)]
            print(f"| {slot} | {operator} | {len(mine)} | {100 * (2 ** dearer.mean() - 1):+.1f} % | {' | '.join(cells)} |")


def pairs_of(networks: Sequence[str], slot: str) -> Iterator[tuple[str, str, str]]:
    """Yields each operator of a place, a network with it, and the network that differs only by a static layer there."""
    there = set(networks)
    for network in networks:
        decided = dict(zip(DECISIONS, network.split("/"), strict=True))
        settings = [f"{name.rpartition('.')[2]} {decided[name]}" for name in own_settings(slot) if decided[name]]
        static = {**decided, **dict.fromkeys(own_settings(slot), ""), f"{slot}.operator": "static"}
        other = "/".join(static.values())
        if other != network and other in there:
            yield f"`{decided[f'{slot}.operator']}`{''.join(f', {s}' for s in settings)}", network, other


def own_settings(slot: str) -> list[str]:
    """Names of the decisions on the settings of a slot's operators."""
    return [name for name in DECISIONS if name.startswith(f"{slot}.") and name.count(".") == 2]


def with_interval(value: Callable[[NDArray[np.int64]], float], count: int) -> str:
    """The value over all rows with its 95 % bootstrap interval."""
    rng = np.random.default_rng(0)
    low, high = np.quantile([value(rng.integers(count, size=count)) for _ in range(DRAWS)], [0.025, 0.975])
    return f"{value(np.arange(count)):.2f} [{low:.2f}, {high:.2f}]"


if __name__ == "__main__":
    main()
