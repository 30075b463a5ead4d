"""Times exported networks in onnxruntime: MobileNetV2 with ODConv (one kernel) and with DCD against the static network.

    OMP_NUM_THREADS=1 python benchmarks/exported.py -o FOLDER [--rounds N] [--widths 0.5 1.0] [--networks odconv dcd]
        [--batches 1 8 32]

prints the table of docs/speed.md, which always includes the static network.

Each network is exported as by `dcdnas export --to onnx`: `model.onnx` for any batch size, and `model-batch1.onnx`. Networks that
the folder already has are not exported again. Then all files of a width take turns in one process on one thread: on one image of
224x224 pixels, and `model.onnx` also on the further batch sizes. Times are processor time of the whole batch. Ratios compare with
the static network's file of the same name at the same batch size, and are medians over the rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from clock import clocked, ratio

from dcdnas.core.architecture import Architecture
from dcdnas.export import Model, export_model
from dcdnas.published import architecture

FILES = ("model-batch1.onnx", "model.onnx")
WIDTHS = (0.5, 1.0)
NETWORKS: Mapping[str, Callable[[float], Architecture]] = {
    "static": lambda width: architecture("odconv/base_mobilenetv2", width=width),
    "odconv": lambda width: architecture("odconv/od_mobilenetv2", width=width),
    "dcd": lambda width: architecture("dcd/mobilenetv2_dcd", fc_squeeze=16, width_mult=width),
}


def exported(name: str, width: float, folder: Path) -> float:
    """Exports both files of a network unless the folder has them; returns the processor seconds that the export took."""
    done = folder / "export.json"
    if not done.is_file():
        torch.manual_seed(0)
        began = time.process_time()
        export_model(Model(NETWORKS[name](width)), folder, ["onnx"])
        done.write_text(json.dumps(time.process_time() - began))
    return float(json.loads(done.read_text()))


def opened(path: Path, shape: Sequence[int] = (3, 224, 224), batch: int = 1) -> tuple[Callable[[], Any], int]:
    """A call that runs a model on `batch` images of `shape` on one thread, and the number of nodes that onnxruntime runs."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    options.optimized_model_filepath = str(path.with_suffix(".optimised"))
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    images = np.random.default_rng(0).standard_normal((batch, *shape), np.float32)
    return lambda: session.run(None, {"images": images}), nodes_of(Path(options.optimized_model_filepath))


def nodes_of(path: Path) -> int:
    import onnx

    return len(onnx.load(path).graph.node)


def rows(width: float, names: Sequence[str], folder: Path, rounds: int, batches: Sequence[int]) -> Iterator[str]:
    """Yields the table's rows of one width."""
    seconds = {name: exported(name, width, folder / f"{name}-{width}") for name in names}
    places = [(FILES[0], 1)] * (1 in batches) + [(FILES[1], batch) for batch in batches]
    opens = {(name, place): opened(folder / f"{name}-{width}" / place[0], batch=place[1]) for place in places for name in names}
    spent: dict[tuple[str, tuple[str, int]], list[float]] = {key: [] for key in opens}
    for turn in range(rounds + 1):
        for key, (call, _) in opens.items():
            found = clocked(call, torch.device("cpu"))
            if turn:
                spent[key].append(found)
    for (name, place), times in spent.items():
        static = spent["static", place]
        each = statistics.quantiles((a / b for a, b in zip(times, static, strict=True)), n=4)
        least = f"{opens[name, place][1]} | {min(times):.1f}"
        yield (
            f"| {name} | {width} | {place[0]} | {place[1]} | {least} | {ratio(times, static):.2f} "
            f"({each[0]:.2f}-{each[2]:.2f}) | {min(times) / min(static):.2f} | {seconds[name]:.0f} |"
        )


def main() -> None:
    """Prints the table and the machine."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--widths", type=float, nargs="+", default=WIDTHS)
    parser.add_argument("--batches", type=int, nargs="+", default=[1])
    parser.add_argument("--networks", nargs="+", choices=sorted(NETWORKS), default=list(NETWORKS))
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(
        "| network | width | file | batch | nodes | ms, least | time / static, median (quartiles) | by least times | export, s |"
    )
    print("| --- |" + " ---: |" + " --- |" + " ---: |" * 6)
    names = list(dict.fromkeys(["static", *given.networks]))
    for width in given.widths:
        for row in rows(width, names, given.output, given.rounds, given.batches):
            print(row, flush=True)
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(
        f"\nn = {given.rounds}; onnxruntime {onnxruntime.__version__}, torch {torch.__version__}, {platform.machine()}, ", end=""
    )
    print(f"{os.cpu_count()} cores, load {load}")


if __name__ == "__main__":
    main()
