"""Measures the project's speed figures, each a ratio of two timings in the same run, and reports which have fallen.

    python benchmarks/figures.py [--only NAME ...] [--rounds 9]     print them, and store them in benchmarks/history/
    python benchmarks/figures.py --check                            print them, and fail if one has fallen since

A figure says how many times as long the reference takes, so higher is better. Both are run one after the other in each round and
timed in processor seconds, on which other load has little influence. The output gives the median of the rounds' ratios, their
quartiles, the number of rounds and the machine. A figure has fallen if its median is below the stored median by more than
`ALLOWED` and both spreads (half the interquartile range) together. Figures of another processor are not compared.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

HISTORY = Path(__file__).with_name("history")
ALLOWED = 0.03
"""Fraction by which a figure may fall in addition to the spreads."""

Turn = Callable[[], float]
"""Runs one side of a figure once; returns its processor time in seconds."""


class Figure(NamedTuple):
    """Median and quartiles of one ratio, and the number of rounds."""

    median: float
    low: float
    high: float
    rounds: int

    @staticmethod
    def of(ratios: Sequence[float]) -> Figure:
        """The median and the quartiles of at least two rounds."""
        low, median, high = statistics.quantiles(ratios, n=4, method="inclusive")
        return Figure(median, low, high, len(ratios))

    @property
    def spread(self) -> float:
        """Half the interquartile range."""
        return (self.high - self.low) / 2


def has_fallen(now: Figure, kept: Figure) -> bool:
    """Whether a figure is below the stored one by more than `ALLOWED` and both spreads together."""
    return now.median < kept.median * (1 - ALLOWED) - now.spread - kept.spread


def by(call: Callable[[], object], times: int = 1) -> Turn:
    """A turn that repeats a call `times` times in this process."""

    def turn() -> float:
        before = time.process_time()
        for _ in range(times):
            call()
        return time.process_time() - before

    return turn


def step(operator: str) -> tuple[Turn, Turn]:
    """A training step of the proxy network with an operator everywhere, in torch alone and with the compiled kernels.

    The process keeps freed memory, as in a search. Otherwise torch, which allocates many maps, would spend time on the allocator
    that no training of a search spends.
    """
    import torch
    import torch.nn.functional as F
    from kernels import network_of

    from dcdnas.kernels import SWITCH
    from dcdnas.networks import build_network
    from dcdnas.training.allocator import keep_freed_memory

    torch.set_num_threads(1)
    keep_freed_memory()
    network = build_network(network_of(operator)).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    x = torch.randn(128, 1, 28, 28).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, 10, (128,))

    def trained(switch: str) -> None:
        os.environ[SWITCH] = switch
        network.zero_grad()
        F.cross_entropy(network(x), labels).backward()  # type: ignore[no-untyped-call]

    return by(lambda: trained("off"), 2), by(lambda: trained("on"), 2)


def exported(operator: str) -> tuple[Turn, Turn]:
    """One image through the proxy network's exported file in onnxruntime: static, and with an operator everywhere.

    The figure is the static network's time as a fraction of the dynamic network's.
    """
    import numpy as np
    import onnxruntime
    from kernels import network_of

    from dcdnas.export import Model, export_model

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    image = np.random.default_rng(0).standard_normal((1, 1, 28, 28), np.float32)

    def run_of(name: str) -> Turn:
        with tempfile.TemporaryDirectory() as folder:
            export_model(Model(network_of(name)), Path(folder) / name, ["onnx"])
            path = str(Path(folder) / name / "model-batch1.onnx")
            session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        return by(lambda: session.run(None, {"images": image}), 50)

    return run_of("static"), run_of(operator)


def starting(*arguments: str) -> tuple[Turn, Turn]:
    """`import torch` in a fresh process, and a command."""

    def turn(*command: str) -> Turn:
        def run() -> float:
            before = os.times()
            subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
            after = os.times()
            return after.children_user + after.children_system - before.children_user - before.children_system

        return run

    return turn("-c", "import torch"), turn("-m", "dcdnas", *arguments)


FIGURES: Mapping[str, Callable[[], tuple[Turn, Turn]]] = {
    "step of a search, static: torch / compiled kernels": lambda: step("static"),
    "step of a search, dcd: torch / compiled kernels": lambda: step("dcd"),
    "step of a search, odconv: torch / compiled kernels": lambda: step("odconv"),
    "exported for one image: static / dcd": lambda: exported("dcd"),
    "exported for one image: static / odconv": lambda: exported("odconv"),
    "starting: import torch / dcdnas --help": lambda: starting("--help"),
    "starting: import torch / dcdnas list operators": lambda: starting("list", "operators"),
}


def ratios(turns: tuple[Turn, Turn], rounds: int) -> list[float]:
    """The first turn's time over the second's in each round; they alternate in going first, and a warm-up round is discarded."""
    found = []
    for number in range(rounds + 1):
        times = {which: turns[which]() for which in ((0, 1) if number % 2 else (1, 0))}
        if number:
            found.append(times[0] / times[1])
    return found


def processor() -> str:
    """Name of the processor, if the system reports it."""
    told = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").exists() else ""
    names = [line.partition(":")[2].strip() for line in told.splitlines() if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def kept_of(machine: str, folder: Path = HISTORY) -> dict[str, Figure]:
    """The latest stored figures of a processor."""
    found: dict[str, Figure] = {}
    for path in sorted(folder.glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["machine"] == machine:
            found |= {name: Figure(**figure) for name, figure in record["figures"].items()}
    return found


def keep(machine: str, figures: Mapping[str, Figure], folder: Path = HISTORY) -> Path:
    """Stores figures as the latest ones of a processor; returns the file."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{time.strftime('%Y-%m-%d-%H%M%S', time.gmtime())}.json"
    record = {"machine": machine, "figures": {name: figure._asdict() for name, figure in figures.items()}}
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return path


def measured(names: Sequence[str], rounds: int) -> Iterator[tuple[str, Figure]]:
    """Yields each figure as soon as it is measured."""
    for name, turns in FIGURES.items():
        if not names or any(part in name for part in names):
            yield name, Figure.of(ratios(turns(), rounds))


def main() -> None:
    """Prints the figures, and stores them or compares them with the stored ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="NAME", help="measure only figures with one of these in their names"
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--check", action="store_true", help="store nothing, and fail if a figure has fallen")
    given = parser.parse_args()
    machine, found, fallen = processor(), {}, []
    kept = kept_of(machine)
    print("| figure | ratio (quartiles) | n | stored |\n| --- | --- | --- | --- |")
    for name, figure in measured(given.only, given.rounds):
        found[name], before = figure, kept.get(name)
        was = "" if before is None else f"{before.median:.2f} ({before.low:.2f}-{before.high:.2f})"
        print(f"| {name} | {figure.median:.2f} ({figure.low:.2f}-{figure.high:.2f}) | {figure.rounds} | {was} |", flush=True)
        if before is not None and has_fallen(figure, before):
            fallen.append(name)
    print(f"\n{machine}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}")
    if given.check:
        sys.exit(f"These figures have fallen by more than their spread: {'; '.join(fallen)}" if fallen else 0)
    print(f"stored in {keep(machine, found)}")


if __name__ == "__main__":
    main()
