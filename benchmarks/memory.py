"""Compares our peak memory of activations with that of torch's allocator on the CPU, and times its computation.

    python benchmarks/memory.py [--networks 20] [--space mobilenetv2-imagenet]

For some published networks it prints our peak, the allocator's maximum at the end of an operation, and its maximum at any time,
which includes the workspace of the convolutions. For random networks of a space it checks that price and measurement agree, and
prints the processor milliseconds of a price whose layers are new (nothing cached on disk), of a new network of known layers, of a
known network, and of the measurement: medians, with the minimum and the maximum.
"""

from __future__ import annotations

import argparse
import copy
import os
import platform
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

PRESETS = ("odconv/od_mobilenetv2", "dcd/mobilenetv2_dcd", "dyconv/dy_resnet18", "ddf/ddf_resnet50")


def main() -> None:
    """Prints the machine, then both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=20)
    parser.add_argument("--space", default="mobilenetv2-imagenet")
    parser.add_argument("--presets", nargs="*", default=PRESETS)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as kept:
        os.environ["DCDNAS_CACHE"] = kept
        import torch

        torch.set_num_threads(1)
        machine = platform.processor() or platform.machine()
        print(f"{machine}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, torch {torch.__version__}")
        allocators(given.presets)
        prices(given.space, given.networks)


def allocators(presets: Sequence[str]) -> None:
    """Prints our peaks and the allocator's, for static networks and the presets."""
    from dcdnas.core.architecture import Architecture
    from dcdnas.cost import price
    from dcdnas.networks import build_network
    from dcdnas.published import architecture

    networks = {
        "static MobileNetV2": Architecture("mobilenetv2", {}, {}, (3, 224, 224), 1000),
        "static ResNet-18": Architecture("resnet", {"block": "basic"}, {}, (3, 224, 224), 1000),
        **{name: architecture(name) for name in presets},
    }
    print(f"{'network':28} {'ours':>12} {'at ends':>12} {'any time':>12} {'kernels':>12}   bytes")
    for name, found in networks.items():
        cost = price(found, ("activations", "kernel-memory"))
        ends, always = allocated(build_network(found), found.input)
        print(f"{name:28} {cost['activations']:12,.0f} {ends:12,} {always:12,} {cost['kernel-memory']:12,.0f}", flush=True)


def allocated(network: Any, shape: tuple[int, ...]) -> tuple[int, int]:
    """The allocator's maximum bytes at the end of an operation and at any time, including the input but not the weights."""
    import torch

    from dcdnas.networks import deployed
    from dcdnas.operators._product import counting

    ready, x = deployed(copy.deepcopy(network)), torch.zeros(1, *shape)
    with torch.no_grad(), counting():
        ready(x)
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profiler:
            ready(x)
    events = profiler.profiler.kineto_results.events()  # type: ignore[union-attr]
    spans = sorted((e.start_ns(), e.start_ns() + e.duration_ns()) for e in events if e.name().startswith(("aten::", "dcdnas::")))
    moments = [(e.start_ns(), False, e.nbytes()) for e in events if e.name() == "[memory]"]
    last = 0
    for _, end in spans:
        if end > last:
            moments.append((end, True, 0))
            last = end
    now = at_ends = always = x.numel() * x.element_size()
    for _, is_end, size in sorted(moments):
        now += size
        always, at_ends = max(always, now), max(at_ends, now if is_end else 0)
    return at_ends, always


def prices(name: str, count: int) -> None:
    """Prints the processor time of prices and measurements, and their largest difference."""
    from dcdnas.core.architecture import Architecture
    from dcdnas.cost import measure, price
    from dcdnas.cost._skeleton import skeleton
    from dcdnas.networks import build_network
    from dcdnas.space.library import load_space
    from dcdnas.space.pricing.cost import draw

    space, rng = load_space(name), random.Random(0)
    found = [space.architecture(draw(space, rng)) for _ in range(count)]
    print(f"{count} networks of {name}, milliseconds of processor time")
    show("price, layers first seen", [timed(lambda a=a: price(a, ("activations",))) for a in found])
    fresh = [Architecture.from_dict(a.to_dict()) for a in found]
    skeleton.cache_clear()
    show("price, layers known", [timed(lambda a=a: price(a, ("activations",))) for a in fresh])
    show("price, network known", [timed(lambda a=a: price(a, ("activations",))) for a in fresh])
    built = [build_network(a) for a in found]
    show("measurement", [timed(lambda n=n: measure(n, ("activations",))) for n in built])
    both = [(price(a, ("activations",)), measure(n, ("activations",))) for a, n in zip(found, built, strict=True)]
    print(f"  largest difference {max(abs(p['activations'] - m['activations']) for p, m in both):.0f} bytes")


def timed(call: Callable[[], object]) -> float:
    """Processor milliseconds of a call."""
    start = time.process_time()
    call()
    return 1e3 * (time.process_time() - start)


def show(what: str, values: Sequence[float]) -> None:
    """Prints the median, minimum, maximum and number of values."""
    print(f"  {what:26} {statistics.median(values):10.3f} ({min(values):.3f} to {max(values):.3f}, n {len(values)})", flush=True)


if __name__ == "__main__":
    sys.exit(main())
