"""Times dynamic group convolution, exported for one image, against the static convolution whose multiply-adds it reduces.

    python benchmarks/dynamic_groups.py [--rounds 15]

Dynamic group convolution (Su et al., ECCV 2020, arXiv 2007.04242) divides the output channels of a layer among heads. Each head
reads only the input channels that its gate, computed from the input, rates highest. For this to save multiply-adds, the channels
and their weights have to be gathered for every image; `DynamicGroups` does that. It is compared with a static convolution in
onnxruntime, one image on one thread, in turns, at the layers of MobileNetV2 that are 1x1 and of ResNet-18 that are 3x3, for
images of 224x224 pixels. The output gives, for each share of channels that a head reads, the multiply-adds and the processor time
as multiples of the static layer's (medians of the rounds), and the same of all layers together.
"""

from __future__ import annotations

import argparse
import os
import platform

import onnxruntime
import torch
from clock import ratio, turns
from torch import Tensor, nn

from dcdnas.cost.latency.runtimes._base import Part
from dcdnas.cost.latency.runtimes.onnxruntime import OnnxRuntime
from dcdnas.operators._per_sample import per_sample_conv2d

HEADS, REDUCTION = 4, 16
SHARES = (0.5, 0.25)

LAYERS: dict[str, list[tuple[int, int, int, int, int]]] = {
    "MobileNetV2": [
        (32, 16, 1, 112, 1), (16, 96, 1, 112, 1), (96, 24, 1, 56, 1), (24, 144, 1, 56, 2), (144, 24, 1, 56, 1),
        (144, 32, 1, 28, 1), (32, 192, 1, 28, 3), (192, 32, 1, 28, 2), (192, 64, 1, 14, 1), (64, 384, 1, 14, 4),
        (384, 64, 1, 14, 3), (384, 96, 1, 14, 1), (96, 576, 1, 14, 3), (576, 96, 1, 14, 2), (576, 160, 1, 7, 1),
        (160, 960, 1, 7, 3), (960, 160, 1, 7, 2), (960, 320, 1, 7, 1), (320, 1280, 1, 7, 1),
    ],
    "ResNet-18": [(64, 64, 3, 56, 4), (128, 128, 3, 28, 3), (256, 256, 3, 14, 3), (512, 512, 3, 7, 3)],
}  # fmt: skip
"""Network -> its layers: C, D, k, side of the map, how often the layer occurs."""


class DynamicGroups(nn.Module):
    """y = concat_h W_h[:, S_h] * (g_h[S_h] x[S_h]): S_h are the channels with the largest gates g_h = ReLU(FC(ReLU(FC(GAP(x))))).

    Args:
        channels: C.
        out: D, divisible by `HEADS`.
        size: k, odd.
        share: of the channels that each head reads.
    """

    def __init__(self, channels: int, out: int, size: int, share: float) -> None:
        super().__init__()
        self.size, self.kept, squeezed = size, max(1, round(share * channels)), max(1, channels // REDUCTION)
        self.weight = nn.Parameter(torch.randn(HEADS, channels, out // HEADS * size**2) / channels**0.5)
        self.squeeze = nn.Linear(channels, HEADS * squeezed)
        self.excite = nn.Parameter(torch.randn(HEADS, squeezed, channels))
        self.bias = nn.Parameter(torch.ones(HEADS, 1, channels))

    def forward(self, x: Tensor) -> Tensor:
        """Convolves (1, C, H, W) -> (1, D, H, W)."""
        seen = self.squeeze(x.mean((2, 3))).relu().view(HEADS, 1, -1)
        gates, read = torch.topk((seen @ self.excite + self.bias).relu().flatten(1), self.kept, 1)
        pixels = x[0].index_select(0, read.flatten()).unsqueeze(0)
        rows = read.unsqueeze(2).expand(-1, -1, self.weight.shape[2])
        weight = (self.weight.gather(1, rows) * gates.unsqueeze(2)).view(HEADS, self.kept, -1, self.size, self.size)
        kernel = weight.transpose(1, 2).flatten(0, 1).unsqueeze(0)
        return per_sample_conv2d(pixels, kernel, padding=self.size // 2, groups=HEADS)

    def multiply_adds(self, pixels: int) -> int:
        """Multiply-adds on a map of this many pixels, in closed form."""
        heads, _, weights = self.weight.shape
        return pixels * heads * self.kept * weights + self.squeeze.weight.numel() + self.excite.numel()


def main() -> None:
    """Prints a table for each network, and the machine."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    torch.manual_seed(0)
    torch.set_num_threads(1)
    for network, layers in LAYERS.items():
        print(f"\n| {network} | " + " | ".join(f"{share:g} of the channels: multiply-adds | time" for share in SHARES) + " |")
        print("| --- |" + " ---: |" * 2 * len(SHARES))
        spent, work = [0.0] * (1 + len(SHARES)), [0] * (1 + len(SHARES))
        for channels, out, size, side, count in layers:
            groups = [DynamicGroups(channels, out, size, share).eval() for share in SHARES]
            modules = [nn.Conv2d(channels, out, size, 1, size // 2, bias=False).eval(), *groups]
            parts = [Part(module, torch.randn(1, channels, side, side)) for module in modules]
            found = list(turns(dict(enumerate(OnnxRuntime().calls(parts, 1))), rounds, 60, torch.device("cpu")).values())
            adds = [side**2 * channels * out * size**2, *(layer.multiply_adds(side**2) for layer in groups)]
            cells = [f"{a / adds[0]:.2f} | {ratio(times, found[0]):.2f}" for a, times in zip(adds[1:], found[1:], strict=True)]
            print(f"| {channels} to {out}, {size}x{size} on {side}x{side} | {' | '.join(cells)} |", flush=True)
            spent = [sum_ + count * min(times) for sum_, times in zip(spent, found, strict=True)]
            work = [sum_ + count * a for sum_, a in zip(work, adds, strict=True)]
        cells = [f"{a / work[0]:.2f} | {b / spent[0]:.2f}" for a, b in zip(work[1:], spent[1:], strict=True)]
        print(f"| all | {' | '.join(cells)} |")
    versions = f"onnxruntime {onnxruntime.__version__}, torch {torch.__version__}"
    print(f"\n{versions}, {platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
