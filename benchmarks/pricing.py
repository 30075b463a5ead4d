"""Times prices: by table, one network at a time, and measured by fvcore, on the same networks in the same run.

    python benchmarks/pricing.py [SPACE ...] [--networks 20]
    python benchmarks/pricing.py --counters

For each space it prints the time of the first table (nothing cached) and of the table from the cache on disk; the networks per
second that are priced as arrays; the microseconds for one network whose settings are known, for a new one, and for a new one
whose blocks are all known; the milliseconds of fvcore for the whole network; and the largest difference between the results.
`--counters` prints instead the processor milliseconds of fvcore and of the counter of dispatched operations for MobileNetV2 1.0
at 224 pixels. All values are medians of several measurements, with the minimum and the maximum.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

BATCH = 100_000


def main() -> None:
    """Measures each space in new processes, so that nothing is cached in memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spaces", nargs="*", default=["fashion-quick", "mobilenetv2-imagenet", "resnet-imagenet"])
    parser.add_argument("--networks", type=int, default=20, help="number of networks per space that fvcore measures")
    parser.add_argument("--part", choices=["first", "all"], help=argparse.SUPPRESS)
    parser.add_argument("--counters", action="store_true", help="compare the two counters of multiply-adds instead")
    given = parser.parse_args()
    if given.counters:
        counters(9)
        return
    if given.part:
        measure(given.spaces[0], given.networks if given.part == "all" else 0)
        return
    for space in given.spaces:
        with tempfile.TemporaryDirectory() as kept:
            environment = {**os.environ, "DCDNAS_CACHE": kept}
            for part in ("first", "all"):
                command = [sys.executable, __file__, space, "--part", part, "--networks", str(given.networks)]
                subprocess.run(command, env=environment, check=True)


def measure(name: str, networks: int) -> None:
    """Prints the results of one space; without networks, only the time of the table."""
    import torch

    from dcdnas.space.library import load_space
    from dcdnas.space.pricing.table import SpaceTable

    torch.set_num_threads(1)
    space = load_space(name)
    start, worked = time.perf_counter(), time.process_time()
    table = SpaceTable(space)
    seconds, worked = time.perf_counter() - start, time.process_time() - worked
    numbers = sum(metric.size for term in table.terms for metric in term.values)
    print(f"{name}: {space.size:.2g} outcomes, {numbers:,} numbers in {len(table.terms)} terms")
    print(f"  {'table, kept on disk' if networks else 'first table':34} {seconds:10.2f} s, {worked:.2f} s of processor time")
    if networks:
        compare(space, table, networks)


def compare(space: Any, table: Any, networks: int) -> None:
    """Prints the rates of all three ways of pricing, and the largest difference between their results."""
    import numpy as np

    from dcdnas.cost import measure, price
    from dcdnas.cost._price import CATALOGUE
    from dcdnas.networks import build_network

    rows = table.draw(BATCH, np.random.default_rng(0))
    show("as arrays, networks a second", [BATCH / s for s in times(lambda: table.costs(rows), 7)], 1)
    rng = random.Random(0)
    outcomes = [space.decide(lambda _, options: rng.choice(options)) for _ in range(networks)]
    architectures = [space.architecture(o) for o in outcomes]
    CATALOGUE.places.cache_clear()
    prices: list[Any] = []
    show("one, new settings, microseconds", [timed(lambda a=a: prices.append(price(a))) for a in architectures], 1e6)
    CATALOGUE.places.cache_clear()
    show("one, known blocks, microseconds", [timed(lambda a=a: price(a)) for a in architectures], 1e6)
    show("one outcome by table, microseconds", [s for o in outcomes for s in times(lambda o=o: table.cost(o), 3)], 1e6)
    show("one, known settings, microseconds", [s for a in architectures for s in times(lambda a=a: price(a), 3)], 1e6)
    built = [build_network(a) for a in architectures]
    measured: list[Any] = []
    by_fvcore = [timed(lambda n=n: measured.append(measure(n))) for n in built]
    show("fvcore, whole network, milliseconds", by_fvcore, 1e3)
    found = table.costs(table.encode(outcomes)).tolist()
    wrong = max(
        abs(x - y)
        for f, p, m in zip(found, prices, measured, strict=True)
        for x, y in ((f[0], m["flops"]), (p["params"], m["params"]))
    )
    ratio = statistics.median(by_fvcore) * BATCH / statistics.median(times(lambda: table.costs(rows), 3))
    print(f"  {'fvcore / arrays':34} {ratio:10,.0f} times;  largest difference over {networks} networks: {wrong:.0f}")


def counters(repeats: int) -> None:
    """Prints the processor time of counting one network with a trace and without one, measured in turns."""
    import torch

    from dcdnas.cost._dispatch_counter import by_dispatch
    from dcdnas.cost._trace_counter import by_trace
    from dcdnas.operators import counting
    from dcdnas.published import build

    torch.set_num_threads(1)
    taken: dict[str, list[float]] = {}
    network, x = build("odconv/base_mobilenetv2").eval(), torch.zeros(1, 3, 224, 224)
    with torch.no_grad(), counting():
        for _ in range(repeats + 1):
            for counter in (by_trace, by_dispatch):
                start = time.process_time()
                counted = counter(network, x)[""]
                taken.setdefault(f"{counter.__name__}, {counted:,}", []).append(time.process_time() - start)
    for name, seconds in taken.items():
        show(name, seconds[1:], 1e3)


def timed(what: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    what()
    return time.perf_counter() - start


def times(what: Callable[[], object], repeats: int) -> list[float]:
    """Seconds of several calls."""
    return [timed(what) for _ in range(repeats)]


def show(what: str, values: Sequence[float], scale: float) -> None:
    """Prints a line with the median, minimum and maximum."""
    print(f"  {what:34} {scale * statistics.median(values):10,.0f}   ({scale * min(values):,.0f} to {scale * max(values):,.0f})")


if __name__ == "__main__":
    main()
