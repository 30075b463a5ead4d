"""Measures the processor time of each part of a proxy training, in torch alone and with the compiled kernels.

    python benchmarks/shares.py [--operator static] [--rounds 3] [--epochs 3] [--give-back]

The trainings are those of `kernels.py`, with and without kernels in turn. The output gives the median seconds of each part, its
share of the training with kernels, and the ratio of the times in torch and with kernels. With `--give-back`, the C library
returns freed memory to the system, which no search does (`dcdnas.training.allocator`).
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from kernels import trained

from dcdnas.training import loop
from dcdnas.training.allocator import keep_freed_memory
from dcdnas.training.optimizer import Precision

PARTS: dict[str, list[tuple[Any, str]]] = {
    "images and augmentation": [(loop, "varied"), (loop, "normalised")],
    "forward and loss": [(loop.Training, "_loss")],
    "backward": [(Precision, "backward")],
    "optimizer": [(Precision, "step")],
    "re-estimation of BatchNorm": [(loop, "reestimate")],
    "evaluation": [(loop, "evaluate")],
}
"""Part of a training -> functions that are timed as this part; loading images for an evaluation counts as evaluation."""


def watch(spent: Counter[str]) -> None:
    """Wraps the functions of every part so that their processor seconds are added to `spent`."""
    inside: list[str] = []

    def timed(function: Callable[..., Any], part: str) -> Callable[..., Any]:
        def run(*given: Any, **others: Any) -> Any:
            if inside:
                return function(*given, **others)
            inside.append(part)
            began = time.thread_time()
            try:
                return function(*given, **others)
            finally:
                spent[part] += time.thread_time() - began  # type: ignore[assignment]
                inside.pop()

        return run

    for part, places in PARTS.items():
        for owner, name in places:
            setattr(owner, name, timed(getattr(owner, name), part))


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operator", default="static")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--give-back", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if not given.give_back:
        keep_freed_memory()
    spent: Counter[str] = Counter()
    watch(spent)
    trained(given.operator, 0, "off", 1)  # warm-up with the one-time work of the process
    found: dict[str, list[dict[str, float]]] = {"off": [], "on": []}
    for seed in range(given.rounds):
        for switch in ("off", "on") if seed % 2 else ("on", "off"):
            spent.clear()
            whole = trained(given.operator, seed, switch, given.epochs)["seconds"]
            found[switch].append({**spent, "the rest": whole - spent.total(), "all": whole})
    print("| part | torch, s | kernels, s | share | torch / kernels |\n| --- | ---: | ---: | ---: | ---: |")
    for part in (*PARTS, "the rest", "all"):
        off, on = ([one[part] for one in found[switch]] for switch in ("off", "on"))
        share = statistics.median(one[part] / one["all"] for one in found["on"])
        ratio = statistics.median(a / b for a, b in zip(off, on, strict=True))
        print(f"| {part} | {statistics.median(off):.2f} | {statistics.median(on):.2f} | {100 * share:.0f} % | {ratio:.2f} |")
    print(f"\n{given.operator}, n = {given.rounds}, torch {torch.__version__}, load {os.getloadavg()[0]:.0f}")


if __name__ == "__main__":
    main()
