"""Speed and memory of the operators on one CPU thread, against the static convolution and, where given, the published code.

Shapes of MobileNetV2 and ResNet-18 at 224 and of small-image networks. All layers of a row take turns, so that a busy machine
slows them alike; times are processor time (on CUDA: events), median over the rounds with the middle half as spread. Memory is
the peak of live tensors in a training step. `limit` says whether arithmetic or bytes bound the executed form on this machine,
whose rates are measured first, and `share` how much of that bound is reached.

    OMP_NUM_THREADS=1 python benchmarks/operators.py [--operators dcd odconv] [--batches 1 16] [--rounds 7]
        [--published DIR] [--layout nchw|nhwc] [--json FILE] [--html FILE]

DIR holds clones of the public code: DIR/dcd (github.com/liyunsheng13/dcd), DIR/ODConv (github.com/OSVAI/ODConv).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import platform
import statistics
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from dcdnas.errors import GeometryError
from dcdnas.operators import Operator, operators
from dcdnas.records import ConvGeometry

SHAPES = {
    "mbv2 16->96 @112": ConvGeometry(16, 96, height=112, width=112),
    "mbv2 144->24 @56": ConvGeometry(144, 24, height=56, width=56),
    "mbv2 32->192 @28": ConvGeometry(32, 192, height=28, width=28),
    "mbv2 64->384 @14": ConvGeometry(64, 384, height=14, width=14),
    "mbv2 576->160 @7": ConvGeometry(576, 160, height=7, width=7),
    "mbv2 dw 144 @56": ConvGeometry(144, 144, 3, groups=144, height=56, width=56),
    "mbv2 dw 576/2 @14": ConvGeometry(576, 576, 3, 2, groups=576, height=14, width=14),
    "res18 3x3 64 @56": ConvGeometry(64, 64, 3, height=56, width=56),
    "res18 3x3 128->256/2 @28": ConvGeometry(128, 256, 3, 2, height=28, width=28),
    "res18 3x3 256 @14": ConvGeometry(256, 256, 3, height=14, width=14),
    "res18 3x3 512 @7": ConvGeometry(512, 512, 3, height=7, width=7),
    "small 8->32 @28": ConvGeometry(8, 32, height=28, width=28),
    "small 64->24 @14": ConvGeometry(64, 24, height=14, width=14),
    "small dw 64 @14": ConvGeometry(64, 64, 3, groups=64, height=14, width=14),
    "small 3x3 16 @28": ConvGeometry(16, 16, 3, height=28, width=28),
}

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "dcd": [{}, {"variant": "code"}],
    "odconv": [{"num_kernels": 1}, {"num_kernels": 4}],
}
"""Settings to compare; an operator that is not named here has its defaults."""


@dataclass
class Row:
    """One layer at one shape, batch and mode; times in milliseconds, memory in MiB."""

    shape: str
    layer: str
    batch: int
    mode: str
    form: str
    median: float
    low: float
    high: float
    static_ratio: float
    published_ratio: float | None
    memory: float | None
    published_memory: float | None
    limit: str
    share: float


class Peak(TorchDispatchMode):
    """Bytes of the storages that operations made and that are still alive, and the most there ever were."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self._seen: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(tensor, Tensor):
                self._add(tensor.untyped_storage())
        return out

    def _add(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key not in self._seen:
            self._seen.add(key)
            self.now += size
            self.most = max(self.most, self.now)
            weakref.finalize(storage, self._remove, key, size)

    def _remove(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self.now -= size


def published(root: Path | None, name: str, geometry: ConvGeometry, settings: dict[str, Any]) -> nn.Module | None:
    """The public code's layer that this operator corresponds to, or None where it has none."""
    g = geometry
    if root is None or (name == "dcd" and g.groups > 1) or name not in VARIANTS:
        return None
    if name == "odconv":
        layer = module(root / "ODConv/modules/odconv.py").ODConv2d
        arguments = (g.in_channels, g.out_channels, g.kernel_size, g.stride, g.padding, 1, g.groups)
        return layer(*arguments, kernel_num=settings.get("num_kernels", 1))
    if g.kernel_size == 1:
        return module(root / "dcd/models/imagenet/mobilenetv2_dcd.py").DYModule(g.in_channels, g.out_channels, fc_squeeze=16)
    return module(root / "dcd/models/imagenet/resnet_dcd.py").conv_basic_dy(g.in_channels, g.out_channels, g.stride)


def module(path: Path) -> Any:
    """A Python file as a module, loaded once."""
    name = f"published_{path.stem}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise SystemExit(f"{path}: not found. Clone the public code there.")
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def turns(calls: dict[str, Callable[[], Any]], rounds: int, device: torch.device) -> dict[str, list[float]]:
    """Milliseconds of each call, round by round, after one round that is thrown away."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(rounds + 1):
        for name, call in calls.items():
            spent = clocked(call, device)
            if turn:
                found[name].append(spent)
    return found


def clocked(call: Callable[[], Any], device: torch.device) -> float:
    if device.type == "cuda":
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        call()
        end.record()
        torch.cuda.synchronize()
        return start.elapsed_time(end)
    repeats, started = 0, time.thread_time()
    while not repeats or time.thread_time() - started < 2e-3:
        call()
        repeats += 1
    return (time.thread_time() - started) / repeats * 1e3


def caller(layer: nn.Module, x: Tensor, mode: str) -> Callable[[], Any]:
    """What one repetition does: a forward pass in eval, or forward and backward in training."""

    def deploy() -> None:
        with torch.inference_mode():
            layer(x)

    def train() -> None:
        x.grad = None
        layer.zero_grad(set_to_none=True)
        layer(x).sum().backward()

    return train if mode == "train" else deploy


def machine_rates(device: torch.device) -> tuple[float, float]:
    """Multiply-adds and bytes a millisecond: a large matrix product and a large copy, the best of five."""
    a, b = torch.randn(1024, 1024, device=device), torch.randn(1024, 1024, device=device)
    big, target = torch.randn(1 << 24, device=device), torch.empty(1 << 24, device=device)
    product = min(clocked(lambda: a @ b, device) for _ in range(5))
    copy = min(clocked(lambda: target.copy_(big), device) for _ in range(5))
    return 1024**3 / product, 2 * 4 * (1 << 24) / copy


def bound(
    operator: Operator, geometry: ConvGeometry, form: str, batch: int, mode: str, rates: tuple[float, float]
) -> tuple[str, float]:
    """What limits a form, and the milliseconds that the limit allows; a training step is taken as three forward passes."""
    settings, g = operator._settings(), geometry
    multiply_adds = batch * operator.multiply_adds(g, settings, form)
    maps = g.in_channels * g.height * g.width + g.out_channels * g.out_pixels
    weights = sum(p.numel() for p in operator.parameters())
    moved = 4 * (batch * (maps + 2 * operator.traffic(g, settings, form)) + weights)
    passes = 3 if mode == "train" else 1
    arithmetic, memory = passes * multiply_adds / rates[0], passes * moved / rates[1]
    return ("arithmetic", arithmetic) if arithmetic > memory else ("bytes", memory)


def peak(layer: nn.Module, x: Tensor) -> float:
    with Peak() as memory:
        layer.zero_grad(set_to_none=True)
        layer(x).sum().backward()
    return memory.most / 2**20


def rows(options: argparse.Namespace, rates: tuple[float, float]) -> Iterator[Row]:
    """Every operator at every shape it takes."""
    device = torch.device(options.device)
    layout = torch.channels_last if options.layout == "nhwc" else torch.contiguous_format
    for shape, g in SHAPES.items():
        static = operators["static"].at(g).to(device, memory_format=layout)
        for name in options.operators:
            for settings in VARIANTS.get(name, [{}]):
                try:
                    ours = operators[name].at(g, **settings).to(device, memory_format=layout)
                except GeometryError:
                    continue
                theirs = published(options.published, name, g, settings)
                theirs = None if theirs is None else theirs.to(device)
                layer = " ".join([name, *(f"{k}={v}" for k, v in settings.items())])
                for batch in options.batches:
                    for mode in ("deploy", "train"):
                        yield one(shape, g, layer, (static, ours, theirs), batch, mode, options, rates)


def one(
    shape: str,
    g: ConvGeometry,
    layer: str,
    layers: tuple[nn.Module, Operator, nn.Module | None],
    batch: int,
    mode: str,
    options: argparse.Namespace,
    rates: tuple[float, float],
) -> Row:
    static, ours, theirs = layers
    device = torch.device(options.device)
    layout = torch.channels_last if options.layout == "nhwc" else torch.contiguous_format
    x = torch.randn(batch, g.in_channels, g.height, g.width, device=device).to(memory_format=layout)
    skip = mode == "train" and batch == 1
    calls = {}
    for name, module in (("static", static), ("ours", ours), ("theirs", None if skip else theirs)):
        if module is not None:
            module.train(mode == "train")
            calls[name] = caller(module, x.clone().requires_grad_(mode == "train"), mode)
    times = turns(calls, options.rounds, device)
    median = statistics.median(times["ours"])
    low, _, high = statistics.quantiles(times["ours"], n=4)
    form = ours.executed_form(g, ours._settings(), mode == "train")
    limit, least = bound(ours, g, form, batch, mode, rates)
    training = mode == "train"
    return Row(
        shape,
        layer,
        batch,
        mode,
        form,
        median,
        low,
        high,
        statistics.median(a / b for a, b in zip(times["ours"], times["static"], strict=True)),
        statistics.median(b / a for a, b in zip(times["ours"], times["theirs"], strict=True)) if "theirs" in times else None,
        peak(ours, x.clone().requires_grad_()) if training else None,
        peak(theirs, x.clone().requires_grad_()) if training and "theirs" in times and theirs is not None else None,
        limit,
        least / median,
    )


def geometric(values: list[float]) -> float:
    return math.exp(statistics.fmean(math.log(v) for v in values))


def summary(found: list[Row]) -> None:
    """Geometric means over the shapes."""
    print("\ngeometric means: layer, mode, batch: times the static layer | times faster than the published | memory of theirs")
    for layer, mode, batch in dict.fromkeys((r.layer, r.mode, r.batch) for r in found):
        group = [r for r in found if (r.layer, r.mode, r.batch) == (layer, mode, batch)]
        faster = [r.published_ratio for r in group if r.published_ratio]
        memory = [r.memory / r.published_memory for r in group if r.memory and r.published_memory]
        print(
            f"{layer:24} {mode:6} {batch:3}: {geometric([r.static_ratio for r in group]):5.2f} (n={len(group)})"
            + (f" | {geometric(faster):5.2f}, worst {min(faster):.2f} (n={len(faster)})" if faster else "")
            + (f" | {geometric(memory):5.2f}, most {max(memory):.2f}" if memory else "")
        )


def picture(found: list[Row], path: Path) -> None:
    """Bars of the time against the static layer's, one panel a mode and batch, as a page of its own."""
    import plotly.express as px

    figure = px.bar(
        [asdict(r) for r in found],
        x="shape",
        y="static_ratio",
        color="layer",
        barmode="group",
        facet_row="mode",
        facet_col="batch",
        log_y=True,
        labels={"static_ratio": "times the static layer"},
    )
    figure.write_html(path, include_plotlyjs=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operators", nargs="+", default=[n for n in operators if n != "static"])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 16, 64])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--published", type=Path)
    parser.add_argument("--layout", choices=["nchw", "nhwc"], default="nchw")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--html", type=Path)
    return parser.parse_args()


def main() -> None:
    options = arguments()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    device = torch.device(options.device)
    rates = machine_rates(device)
    print(f"torch {torch.__version__}, {platform.machine()}, {options.device}, one thread, {options.layout},")
    print(f"n = {options.rounds} rounds; matrix product {rates[0] / 1e6:.1f} G multiply-adds/s, copy {rates[1] / 1e6:.1f} GB/s")
    found = []
    for row in rows(options, rates):
        found.append(row)
        extra = f" {row.published_ratio:5.2f}x faster than published" if row.published_ratio else ""
        memory = f" {row.memory:7.1f} MiB" if row.memory is not None else ""
        memory += f" of theirs {row.published_memory:7.1f}" if row.published_memory else ""
        print(
            f"{row.shape:24} {row.layer:22} b{row.batch:<3} {row.mode:6} {row.form:10} {row.median:8.2f} ms "
            f"[{row.low:.2f}, {row.high:.2f}] {row.static_ratio:5.2f}x static{extra}{memory} {row.limit} {100 * row.share:.0f}%",
            flush=True,
        )
    summary(found)
    if options.json:
        options.json.write_text(json.dumps([asdict(r) for r in found], indent=1))
    if options.html:
        picture(found, options.html)


if __name__ == "__main__":
    main()
