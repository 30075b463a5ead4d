"""Measures the error of predicted latencies and how well they rank networks, compared with multiply-adds.

    python benchmarks/latency.py [SPACE ...] [--fit 30] [--unseen 30] [--threads 1] [--runtime torch] [--few] [--ways]

For each space, the latency table is measured, the correction is fitted on some networks, and other, unseen networks are predicted
and measured as a whole. The output gives the duration of the measurements; the mean absolute percentage error and Kendall's tau
on the unseen networks, with tau's 95 % bootstrap interval over the networks; and the same for a line fitted to multiply-adds.

With --runtime onnxruntime, slots and networks are exported, which takes a quarter of a second a slot and some seconds a network.
With --few, only the places of these networks are measured, not all of the space's; the predictions are the same.

With --ways, ways of measuring are compared as well, on the slots of all these networks: slots in turns or each in its own loop,
and the thread's clock or a wall clock. Measurements cached earlier are not used.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Sequence
from typing import Any

SPACES = ["fashion-quick", "mobilenetv2-imagenet"]


def main() -> None:
    """Measures each space, starting from an empty cache."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spaces", nargs="*", default=SPACES)
    parser.add_argument("--fit", type=int, default=30, help="number of networks to which the correction is fitted")
    parser.add_argument("--unseen", type=int, default=30, help="number of networks that are predicted")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runtime", default="torch")
    parser.add_argument("--few", action="store_true", help="measure only the places of these networks")
    parser.add_argument("--ways", action="store_true", help="also compare ways of measuring")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as kept:
        os.environ["DCDNAS_CACHE"] = kept
        import torch

        torch.set_num_threads(1)
        print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, torch {torch.__version__}")
        for space in given.spaces:
            measure(space, given.fit, given.unseen, given.threads, given.runtime, given.few)
            if given.ways:
                ways(space, given.fit + given.unseen)


def measure(name: str, fit: int, unseen: int, threads: int, runtime: str, few: bool) -> None:
    """Prints the results of one space."""
    from dcdnas.cost import price
    from dcdnas.cost.latency.device import this_device
    from dcdnas.cost.latency.fit import Whole, corrected
    from dcdnas.cost.latency.kept import KeptTimes
    from dcdnas.cost.latency.measuring import measured_table, whole
    from dcdnas.space.library import load_space
    from dcdnas.space.pricing.latency import drawn, places_needed

    space, device = load_space(name), this_device(threads=threads, runtime=runtime)
    networks = drawn(space, fit + unseen)
    start, worked = time.perf_counter(), time.process_time()
    table = measured_table((not few and places_needed(space)) or (), networks, device, name)
    seconds, worked = time.perf_counter() - start, time.process_time() - worked
    kept, rows, flops = KeptTimes(device), [], []
    for a in networks:
        timing = kept.get(a)
        assert timing is not None
        rows.append(whole(a, table.slots, timing))
        flops.append(price(a)["flops"])
    by_flops = [Whole(f, 1, row.measured) for f, row in zip(flops, rows, strict=True)]
    print(f"{name} on {device}: {len(table.slots):,} places and {len(networks)} networks")
    print(f"  measured in {seconds:.0f} s, {worked:.0f} s of processor time; load {os.getloadavg()[0]:.1f}")
    true = [row.measured for row in rows[fit:]]
    print(f"  networks take {min(true) / 1e6:.2f} to {max(true) / 1e6:.2f} ms; fitted on {fit}, predicted {unseen} unseen")
    for what, found in (("latency table", rows), ("multiply-adds", by_flops)):
        c = corrected(found[:fit], name)
        show(what, [c.of(row.slots, row.count) for row in found[fit:]], true)
        print(f"  {'':26} factor {c.factor:.4g}, per slot {c.per_slot:.0f} ns")


def show(what: str, predicted: Sequence[float], true: Sequence[float]) -> None:
    """Prints a line with the errors and the rank correlation of a prediction."""
    from dcdnas.core.rank_correlation import kendall_interval, kendall_tau
    from dcdnas.cost.latency.fit import percentage_error

    low, high = kendall_interval(predicted, true)
    worst = max(abs(p / t - 1) for p, t in zip(predicted, true, strict=True))
    print(
        f"  {what:26} error {100 * percentage_error(predicted, true):5.1f} % on average, {100 * worst:.0f} % at most; "
        f"Kendall's tau {kendall_tau(predicted, true):.2f} ({low:.2f} to {high:.2f})"
    )


def ways(name: str, number: int) -> None:
    """Prints the prediction error of each way of measuring; each network is predicted by a fit to the others."""
    from dcdnas.cost.latency.device import this_device
    from dcdnas.cost.latency.fit import Whole, corrected
    from dcdnas.cost.latency.measuring import BLOCKS, CHUNKS, places_in, ready
    from dcdnas.cost.latency.timing import by, clock_of, timings
    from dcdnas.space.library import load_space
    from dcdnas.space.pricing.latency import drawn

    space, device = load_space(name), this_device()
    networks = drawn(space, number)
    places = list(dict.fromkeys(place for a in networks for place in places_in(a)))
    print(f"{name}, ways to measure: {len(places)} places and {number} networks, load {os.getloadavg()[0]:.1f}")
    for clock_name, clock in (("thread's clock", clock_of(device)), ("wall clock", by(time.perf_counter))):
        found: dict[Any, float] = {}
        for kind, items in (("slots", places), ("networks", networks)):
            for i in range(0, len(items), CHUNKS[kind]):
                chunk: list[Any] = list(items[i : i + CHUNKS[kind]])
                parts = [ready(item, device) for item in chunk]
                found |= {item: t.median for item, t in zip(chunk, timings(parts, device, BLOCKS[kind], clock), strict=True)}
                if kind == "slots":
                    alone = (timings([part], device, BLOCKS[kind], clock)[0].median for part in parts)
                    found |= {(item, "alone"): median for item, median in zip(chunk, alone, strict=True)}
        for way in ("in turns", "alone in a loop"):
            keys = {p: p if way == "in turns" else (p, "alone") for p in places}
            rows = [Whole(sum(found[keys[p]] for p in places_in(a)), len(places_in(a)), found[a]) for a in networks]
            c, times = corrected(rows, name), sorted(row.measured / row.slots for row in rows)
            print(
                f"  {clock_name + ', slots ' + way:38} network / sum of its slots {times[len(times) // 2]:.2f} (median); error "
                f"{100 * (c.error or 0):.1f} %, Kendall's tau {c.order or 0:.2f}"
            )


if __name__ == "__main__":
    main()
