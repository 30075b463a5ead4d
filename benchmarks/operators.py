"""Measures speed and memory of the operators on one thread, against the static convolution and optionally the published code.

`deploy` is the deployed layer in eval mode: the BatchNorm after it is folded into its parameters, and everything is precomputed
that `Network.deploy` precomputes. `train` is a forward and a backward pass. All layers of a row take turns, so that other load
slows them alike. Times are processor time (on CUDA: events), given as medians with quartiles; ratios are medians of the rounds'
ratios. Freed memory stays in the process, as in our trainings (`--system-allocator`: as the C library handles it). Memory is the
peak of live tensors without input and parameters. `limit` says whether arithmetic or memory traffic limits the executed form at
the rates of this machine, which are measured first, and what share of that limit is reached. A share far below 100 % means that
calls and small operations cost more than either.
The speed-up over the published layer is listed beside a ceiling that no dynamic layer can exceed: the published layer's time over
the static layer's.

    OMP_NUM_THREADS=1 python benchmarks/operators.py [--published DIR] [-o FOLDER] [--quick] [--operators dcd odconv]
        [--batches 1 16 64] [--shapes mbv2] [--rounds 7] [--layout nchw|nhwc] [--device cpu|cuda] [--full]

By default, the operators whose speed has a target (DCD and ODConv) run at all batch sizes and the others at batch 16, and batches
whose maps have more than 32 M elements are skipped (`--full`: nothing is skipped); about ten minutes. `--quick`: five shapes,
batch 1 and 16, 3 rounds. DIR holds clones of the published code from github.com, of which any may be missing: DIR/dcd
(liyunsheng13/dcd), DIR/ODConv (OSVAI/ODConv), DIR/dyconv (kaijieshi7/Dynamic-convolution-Pytorch), DIR/condconv
(d-li14/condconv.pytorch), DIR/drconv (shallowtoil/DRConv-PyTorch), DIR/KernelWarehouse (OSVAI/KernelWarehouse). The other
operators have no published code that runs on a CPU.
FOLDER receives operators.json and figures of it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import platform
import statistics
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import clock
import torch
from operator_layers import AIMED, QUICK, SHAPES, VARIANTS, Candidates, Published, candidates
from torch import Tensor, nn

from dcdnas.core.geometry import ConvGeometry
from dcdnas.errors import GeometryError
from dcdnas.operators import operators
from dcdnas.training.allocator import keep_freed_memory

LARGEST = 32_000_000
ROW_SECONDS = 2.0


@dataclass
class Row:
    """One layer at one shape, batch and mode; times in milliseconds, memory in MiB."""

    shape: str
    layer: str
    batch: int
    mode: str
    form: str
    rounds: int
    median: float
    low: float
    high: float
    static_ratio: float
    memory: float
    limit: str
    share: float
    published_ratio: float | None = None
    """The published layer's time over ours."""
    slot_ratio: float | None = None
    """The same ratio in mode `deploy`, with the time of the BatchNorm that the published networks run after the layer."""
    ceiling: float | None = None
    published_memory: float | None = None


class Bench:
    """Measures rows according to the command-line options."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.device = options, torch.device(options.device)
        self.layout = torch.channels_last if options.layout == "nhwc" else torch.contiguous_format
        self.rates = clock.machine_rates(self.device)

    def rows(self) -> Iterator[Row]:
        """Yields the rows of every operator at every shape that it supports."""
        published = Published(self.options.published)
        for shape, g in SHAPES.items():
            if not any(part in shape for part in self.options.shapes):
                continue
            for name in self.options.operators:
                for settings in VARIANTS.get(name, [{}]):
                    try:
                        found = candidates(name, g, settings, published)
                    except GeometryError:
                        continue
                    layer = " ".join([name, *(f"{k}={v}" for k, v in settings.items())])
                    for batch in self.batches(name, g):
                        yield from (self.row(shape, layer, g, found, batch, mode) for mode in ("deploy", "train"))

    def batches(self, name: str, g: ConvGeometry) -> list[int]:
        """The requested batch sizes, without those that take long and show little unless `--full` is given."""
        maps = g.in_channels * g.height * g.width + g.out_channels * g.out_pixels
        wanted: list[int] = self.options.batches
        if self.options.full:
            return wanted
        return [b for b in wanted if b * maps <= LARGEST and (name in AIMED or b == 16 or len(wanted) == 1)]

    def row(self, shape: str, layer: str, g: ConvGeometry, found: Candidates, batch: int, mode: str) -> Row:
        """Measures all layers of a row in turns."""
        training, device = mode == "train", self.device
        x = torch.randn(batch, g.in_channels, g.height, g.width, device=device).to(memory_format=self.layout)
        layers = {"ours": found.ours, "static": found.static} if training else {}
        layers = layers or {"ours": found.deployed, "static": found.deployed_static}
        if found.published is not None and not (training and batch == 1):  # some need more than one value per channel
            layers["theirs"] = found.published
        calls = {}
        for name, module in layers.items():
            layout = torch.contiguous_format if name == "theirs" else self.layout  # the published layers need it
            module.to(device, memory_format=layout).train(training)
            calls[name] = caller(module, x.to(memory_format=layout, copy=True).requires_grad_(training), training)
        if not training and found.published is not None:
            calls["norm"] = caller(found.norm.to(device), found.deployed_static(x), False)
        times = clock.turns(calls, self.options.rounds, self.options.row_seconds, device)
        form = found.ours.executed_form(g, found.ours._settings(), training)
        limit, least = self.bound(found, g, form, batch, training)
        median = statistics.median(times["ours"])
        low, _, high = statistics.quantiles(times["ours"], n=4)
        row = Row(
            *(shape, layer, batch, mode, form, len(times["ours"]), median, low, high),
            clock.ratio(times["ours"], times["static"]),
            *(clock.peak(calls["ours"]), limit, least / median),
        )
        if "theirs" in times:
            row.published_ratio = clock.ratio(times["theirs"], times["ours"])
            row.ceiling = clock.ratio(times["theirs"], times["static"])
            row.published_memory = clock.peak(calls["theirs"])
        if "norm" in times:
            slot = [a + b for a, b in zip(times["theirs"], times["norm"], strict=True)]
            row.slot_ratio = clock.ratio(slot, times["ours"])
        return row

    def bound(self, found: Candidates, g: ConvGeometry, form: str, batch: int, training: bool) -> tuple[str, float]:
        """What limits a form, and the milliseconds at that limit; a training step counts as three forward passes."""
        settings = found.ours._settings()
        multiply_adds = batch * found.ours.multiply_adds(g, settings, form)
        maps = g.in_channels * g.height * g.width + g.out_channels * g.out_pixels
        weights = sum(p.numel() for p in found.ours.parameters())
        moved = 4 * (batch * (maps + 2 * found.ours.traffic(g, settings, form)) + weights)
        passes = 3 if training else 1
        arithmetic, memory = passes * multiply_adds / self.rates[0], passes * moved / self.rates[1]
        return ("arithmetic", arithmetic) if arithmetic > memory else ("bytes", memory)


def caller(layer: nn.Module, x: Tensor, training: bool) -> Callable[[], Any]:
    """Returns the call of one repetition: a forward pass in inference mode, or a forward and a backward pass in training."""

    def deploy() -> None:
        with torch.inference_mode():
            layer(x)

    def train() -> None:
        x.grad = None
        layer.zero_grad(set_to_none=True)
        layer(x).sum().backward()

    return train if training else deploy


def geometric(values: list[float]) -> float:
    return math.exp(statistics.fmean(math.log(v) for v in values))


def line(r: Row) -> str:
    theirs = f" | published/ours {r.published_ratio:5.2f}, published/static {r.ceiling:5.2f}" if r.published_ratio else ""
    theirs += f", with its norm {r.slot_ratio:5.2f}" if r.slot_ratio else ""
    memory = f" | {r.memory:7.1f} MiB" + (f" of theirs {r.published_memory:7.1f}" if r.published_memory else "")
    spent = f"{r.median:8.3f} ms [{r.low:.3f}, {r.high:.3f}] n={r.rounds} {r.static_ratio:5.2f}x static"
    row = f"{r.shape:24} {r.layer:20} b{r.batch:<3} {r.mode:6} {r.form:10} {spent}"
    return f"{row}{theirs}{memory} | {r.limit} {100 * r.share:.0f}%"


def summary(found: list[Row]) -> str:
    """Geometric means over the shapes, as a table in Markdown."""
    head = (
        "layer",
        "mode",
        "batch",
        "shapes",
        "ours/static",
        "published/ours",
        "worst",
        "published/static",
        "with its norm",
        "memory",
    )
    lines = [" | ".join(head), " | ".join("---" for _ in head)]
    for layer, mode, batch in sorted(dict.fromkeys((r.layer, r.mode, r.batch) for r in found)):
        group = [r for r in found if (r.layer, r.mode, r.batch) == (layer, mode, batch)]
        faster, slot = [r.published_ratio for r in group if r.published_ratio], [r.slot_ratio for r in group if r.slot_ratio]
        ceiling = [r.ceiling for r in group if r.ceiling]
        memory = [r.memory / r.published_memory for r in group if r.published_memory]
        cells = [layer, mode, str(batch), str(len(group)), f"{geometric([r.static_ratio for r in group]):.2f}"]
        cells += [f"{geometric(faster):.2f}", f"{min(faster):.2f}", f"{geometric(ceiling):.2f}"] if faster else [""] * 3
        cells += [f"{geometric(slot):.2f}" if slot else "", f"{geometric(memory):.2f}, {max(memory):.2f}" if memory else ""]
        lines.append(" | ".join(cells))
    return "\n".join(f"| {text} |" for text in lines)


def pictures(found: list[Row], folder: Path) -> None:
    """Draws a figure each of the time over the static layer's, of the speed-up over the published layer, and of the limit."""
    from matplotlib.figure import Figure

    labels = {
        "static_ratio": "time over that of the static layer (lower is better)",
        "published_ratio": "time of the published layer over ours (higher is better)",
        "share": "share of the limit by arithmetic or memory traffic",
    }
    for value, label in labels.items():
        shown = [row for row in found if getattr(row, value)]
        if not shown:
            continue
        modes, batches = sorted({r.mode for r in shown}), sorted({r.batch for r in shown})
        shapes, layers = (list(dict.fromkeys(getattr(r, key) for r in shown)) for key in ("shape", "layer"))
        figure = Figure(figsize=(5 * len(batches) + 2, 4 * len(modes) + 1), layout="constrained")
        axes = figure.subplots(len(modes), len(batches), sharex=True, sharey=True, squeeze=False)
        for (i, mode), (j, batch), layer in itertools.product(enumerate(modes), enumerate(batches), layers):
            group = [r for r in shown if (r.mode, r.batch, r.layer) == (mode, batch, layer)]
            places = [shapes.index(r.shape) + 0.8 * layers.index(layer) / len(layers) for r in group]
            axes[i, j].bar(places, [getattr(r, value) for r in group], width=0.8 / len(layers), label=layer)
            axes[i, j].set(title=f"{mode}, batch {batch}", yscale="log")
            axes[i, j].set_xticks([k + 0.4 for k in range(len(shapes))], shapes, rotation=90)
        figure.supylabel(label)
        figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside right upper")
        figure.savefig(folder / f"operators-{value.removesuffix('_ratio')}.svg")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operators", nargs="+", default=[n for n in operators if n != "static"])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 16, 64])
    parser.add_argument("--shapes", nargs="+", default=[""], help="measure only shapes with one of these in their names")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--row-seconds", type=float, default=ROW_SECONDS, help="wall seconds after which a row ends")
    parser.add_argument("--published", type=Path)
    parser.add_argument("--layout", choices=["nchw", "nhwc"], default="nchw")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--system-allocator", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("-o", dest="folder", type=Path)
    options = parser.parse_args()
    if options.quick:
        options.batches, options.rounds, options.shapes = [1, 16], 3, list(QUICK)
    return options


def main() -> None:
    options = arguments()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    kept = not options.system_allocator and keep_freed_memory()
    bench = Bench(options)
    print(f"torch {torch.__version__}, {platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f},")
    print(f"{options.device}, one thread, {options.layout}, freed memory {'kept' if kept else 'returned'};")
    print(
        f"peaks: {bench.rates[0] / 1e6:.1f} G multiply-adds/s, {bench.rates[1] / 1e6:.1f} GB/s copied (read and written)",
        flush=True,
    )
    found = []
    for row in bench.rows():
        found.append(row)
        print(line(row), flush=True)
    print("\nGeometric means over the shapes; `worst` is the smallest published/ours; memory is ours/published: mean, maximum.\n")
    print(summary(found))
    if options.folder:
        options.folder.mkdir(parents=True, exist_ok=True)
        (options.folder / "operators.json").write_text(json.dumps([asdict(r) for r in found], indent=1), encoding="utf-8")
        pictures(found, options.folder)


if __name__ == "__main__":
    main()
