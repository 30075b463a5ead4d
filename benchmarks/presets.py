"""Compares parameters and multiply-adds of every preset of a published network with those of the released code.

    python benchmarks/presets.py            prints the table of docs/presets.md

*Released* is what fvcore counted in the released code at batch 1 and 224x224 (convolutions, linear layers, matrix products; the
page lists the revisions). The released code executes one fixed form, and fvcore does not count its element-wise products.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dcdnas.cost import price
from dcdnas.published import architecture, sources

RELEASED: Mapping[str, tuple[int, int]] = {
    "condconv/cond_mobilenetv2": (22_877_496, 322_913_152),
    "dcd/mobilenetv2_dcd fc_squeeze=16": (5_720_028, 398_388_084),
    "dcd/mobilenetv2_dcd fc_squeeze=16 width_mult=0.5": (2_664_300, 131_834_676),
    "dcd/resnet18_dcd": (14_703_332, 1_883_045_531),
    "dcd/resnet50_dcd": (29_835_056, 4_372_631_098),
    "ddf/ddf_resnet50": (16_843_748, 2_254_415_872),
    "dyconv/dy_resnet18": (45_475_008, 1_859_016_268),
    "kernel-warehouse/kw1d2x_mobilenetv2": (2_654_396, 372_473_648),
    "kernel-warehouse/kw1d2x_mobilenetv2 width_mult=0.5": (1_466_888, 144_789_312),
    "kernel-warehouse/kw_mobilenetv2": (5_168_146, 459_030_312),
    "kernel-warehouse/kw_mobilenetv2 cell_num_ratio=4 sharing_range=layer": (11_379_382, 414_406_772),
    "kernel-warehouse/kw_mobilenetv2 width_mult=0.5": (2_854_522, 150_968_564),
    "kernel-warehouse/kw_mobilenetv2 width_mult=0.5 cell_num_ratio=4 sharing_range=layer": (4_648_587, 147_383_798),
    "kernel-warehouse/kw_resnet18": (11_932_148, 2_199_216_128),
    "kernel-warehouse/kw_resnet18 cell_num_ratio=0.25 cell_inplane_ratio=0.5 cell_outplane_ratio=0.5": (4_031_768, 2_199_658_496),
    "kernel-warehouse/kw_resnet18 cell_num_ratio=0.5 cell_inplane_ratio=0.5 cell_outplane_ratio=0.5": (7_431_044, 2_585_144_576),
    "kernel-warehouse/kw_resnet18 cell_num_ratio=2": (23_242_127, 2_584_269_632),
    "kernel-warehouse/kw_resnet18 cell_num_ratio=4": (45_862_085, 3_354_376_640),
    "kernel-warehouse/kw_resnet50": (28_052_310, 6_126_992_096),
    "kernel-warehouse/kw_resnet50 cell_num_ratio=0.5 cell_inplane_ratio=0.5 cell_outplane_ratio=0.5 "
    "nonlocal_basis_ratio=0.0625": (17_638_264, 8_167_645_248),
    "kernel-warehouse/kw_resnet50 cell_num_ratio=4": (102_015_144, 12_236_627_888),
    "odconv/base_mobilenetv2": (3_504_872, 300_774_272),
    "odconv/base_mobilenetv2 width=0.5": (1_968_680, 97_131_840),
    "odconv/base_resnet18": (11_689_512, 1_814_073_344),
    "odconv/base_resnet50": (25_557_032, 4_089_184_256),
    "odconv/od_mobilenetv2": (4_940_185, 302_181_232),
    "odconv/od_mobilenetv2 n=4": (11_512_149, 302_186_304),
    "odconv/od_resnet18": (11_943_944, 1_814_319_792),
    "odconv/od_resnet18 n=4": (44_901_640, 1_814_321_008),
    "odconv/od_resnet18 n=4 r=0.25": (45_538_536, 1_814_956_816),
    "torchvision/mobilenet_v3_large": (5_483_032, 216_589_760),
    "torchvision/mobilenet_v3_small": (2_542_856, 56_510_400),
    "torchvision/shufflenet_v2_x0_5": (1_366_792, 40_476_448),
    "torchvision/shufflenet_v2_x1_0": (2_278_604, 144_907_992),
    "torchvision/shufflenet_v2_x1_5": (3_503_624, 295_759_392),
    "torchvision/shufflenet_v2_x2_0": (7_393_996, 583_253_464),
}
"""Parameters and multiply-adds counted in the released code."""


def rows() -> Iterator[tuple[str, int, int | None, int, int | None]]:
    """Yields name with settings, our and their parameters, our and their multiply-adds: of every preset and all `RELEASED`."""
    named = {f"{source}/{name}" for source, found in sources.items() for name in found.presets}
    for text in sorted(named - {"dcd/mobilenetv2_dcd"} | set(RELEASED)):
        name, *assignments = text.split()
        settings: dict[str, Any] = {key: read(value) for key, value in (a.split("=") for a in assignments)}
        cost = price(architecture(name, **settings))
        params, flops = RELEASED.get(text, (None, None))
        yield text, int(cost["params"]), params, int(cost["flops"]), flops


def read(value: str) -> int | float | str:
    """Parses the value of a setting from its text."""
    try:
        return int(value) if value.isdecimal() else float(value)
    except ValueError:
        return value


def table() -> str:
    """The rows as Markdown."""
    head = "| preset | parameters | released | multiply-adds, counted form | released | difference |"
    return "\n".join([head, "| --- |" + " ---: |" * 5, *map(line, rows())])


def line(row: tuple[str, int, int | None, int, int | None]) -> str:
    """One row of the table."""
    name, params, theirs, flops, executed = row
    shown = ["" if value is None else f"{value:,}" for value in (theirs, executed)]
    difference = "" if executed is None else f"{100 * (flops / executed - 1):+.1f} %"
    return f"| `{name}` | {params:,} | {shown[0]} | {flops:,} | {shown[1]} | {difference} |"


if __name__ == "__main__":
    print(table())
