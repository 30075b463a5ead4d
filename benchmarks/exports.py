"""Exports random architectures of every shipped space to every format, reloads each file, and compares it at batch 1 and 8.

    python benchmarks/exports.py [--networks N] [--spaces NAME,...] [--side PIXELS] [--kept FILE]

prints a line for each network, then counts and failures. Weights are newly initialised. The formats are `config`, `torch`,
`standalone`, `pt2` and `onnx` (for any batch size, and for one image). `--side` reduces larger inputs to this side, which changes
neither the layers of a network nor the operations in a file. Networks that are in the file `--kept` are not exported again.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from result_lines import rows_of

from dcdnas.core.architecture import Architecture
from dcdnas.core.budget import parse_budgets
from dcdnas.cost import notations
from dcdnas.errors import DcdnasError
from dcdnas.export import Model, export_model, save_weights
from dcdnas.networks import build_network
from dcdnas.space.library import load_space, shipped
from dcdnas.space.pricing.cost import draw

FITTED = "2MFLOPs"
"""Budget for the spaces with a fitted width, which need one."""

FORMATS = ("config", "torch", "standalone", "pt2", "onnx")


def exported(architecture: Architecture, format: str, weights: Path, folder: Path) -> tuple[float, str]:
    """Exports to one format; returns the largest relative error of its files, and the reason if the export failed."""
    try:
        written = export_model(Model(architecture), folder / format, [format], weights)
    except (DcdnasError, RuntimeError) as error:
        return 0.0, f"{type(error).__name__}: {error}"
    return max((file.error or 0.0 for file in written), default=0.0), ""


def tried(architecture: Architecture) -> dict[str, tuple[float, str]]:
    """Exports a network to every format; returns each format's result."""
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        weights = save_weights(build_network(architecture), Path(folder) / "weights.safetensors").path
        return {format: exported(architecture, format, weights, Path(folder)) for format in FORMATS}


def networks(name: str, count: int, seed: int, side: int) -> list[Architecture]:
    """Draws architectures from a space, with inputs of at most this side; 0 keeps the space's input size."""
    space, rng = load_space(name), random.Random(f"{name} {seed}")
    if space.fit is not None:
        space = space.filling(parse_budgets([FITTED], notations()))
    drawn = [space.architecture(draw(space, rng)) for _ in range(count)]
    return [replace(a, input=(a.input[0], side, side)) if 0 < side < a.input[1] else a for a in drawn]


def read(kept: Path | None) -> dict[str, dict[str, tuple[float, str]]]:
    """Results of earlier calls, by the digest of the architecture."""
    rows = rows_of(kept) if kept else []
    return {row["digest"]: {format: (error, why) for format, (error, why) in row["results"].items()} for row in rows}


def main() -> None:
    """Prints the result of each network, the totals of each format, and the machine."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--networks", type=int, default=2, help="number of networks per space")
    parser.add_argument("--spaces", default=",".join(shipped()))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--side", type=int, default=0, help="largest side of an input in pixels; 0 keeps that of the space")
    parser.add_argument("--kept", type=Path, help="file with a line of JSON per exported network; new ones are appended")
    given = parser.parse_args()
    known, found = read(given.kept), dict[str, list[tuple[float, str]]]((format, []) for format in FORMATS)
    for name in given.spaces.split(","):
        for number, architecture in enumerate(networks(name, given.networks, given.seed, given.side)):
            began = time.process_time()
            results = known.get(architecture.digest) or tried(architecture)
            if given.kept and architecture.digest not in known:
                with given.kept.open("a", encoding="utf-8") as file:
                    row = {"space": name, "number": number, "digest": architecture.digest, "results": results}
                    file.write(json.dumps(row) + "\n")
            for format, result in results.items():
                found[format].append(result)
            said = ", ".join(f"{f} {'FAILED: ' + why if why else f'{error:.0e}'}" for f, (error, why) in results.items())
            print(f"{name} {number}: {said} ({time.process_time() - began:.0f} s of processor time)", flush=True)
    for format, results in found.items():
        worst = max((error for error, why in results if not why), default=0.0)
        print(f"{format:10} n = {len(results)}, failures {sum(bool(why) for _, why in results)}, largest error {worst:.1e}")
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"torch {torch.__version__}, {platform.machine()}, {os.cpu_count()} cores, load {load}")


if __name__ == "__main__":
    main()
