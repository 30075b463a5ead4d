"""The layers that `operators.py` compares: shapes, settings, our layers in training and deployed, and published layers."""

from __future__ import annotations

import copy
import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dcdnas.core.geometry import ConvGeometry
from dcdnas.operators import Operator, operators

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
"""Layers of MobileNetV2 and ResNet-18 at 224 pixels, and of networks for 28-pixel images."""

QUICK = tuple(SHAPES)[2::3]
"""The five shapes of `--quick`."""

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "dcd": [{}, {"variant": "code"}],
    "odconv": [{"num_kernels": 1}, {"num_kernels": 4}],
    "dyconv": [{}, {"num_kernels": 6, "mixing": "channel", "act": "sigmoid", "reduction": "none"}],
    "kernel-warehouse": [{}, {"budget": 0.5}],
}
"""Settings to compare, DyNet's among them; an operator that is not listed here is compared with its default settings."""

AIMED = ("dcd", "odconv")
"""Operators whose speed has a target."""


class Published:
    """Builds layers of the published code from clones below one folder; a missing clone gives no layers."""

    def __init__(self, root: Path | None) -> None:
        self.root = root

    def layer(self, name: str, g: ConvGeometry, settings: dict[str, Any]) -> nn.Module | None:
        """The published layer that corresponds to an operator, or None if none runs on a CPU at this geometry."""
        build = {
            "dcd": self._dcd,
            "odconv": self._odconv,
            "dyconv": self._dyconv,
            "condconv": self._condconv,
            "drconv": self._drconv,
            "kernel-warehouse": self._kernel_warehouse,
        }
        layer: nn.Module | None = build[name](g, settings) if name in build else None
        return layer

    def _dcd(self, g: ConvGeometry, settings: dict[str, Any]) -> nn.Module | None:
        one = self._module("dcd/models/imagenet/mobilenetv2_dcd.py")
        basic = self._module("dcd/models/imagenet/resnet_dcd.py")
        if one is None or basic is None or g.groups > 1:
            return None
        pointwise = g.kernel_size == 1
        return (
            one.DYModule(g.in_channels, g.out_channels, fc_squeeze=16)
            if pointwise
            else basic.conv_basic_dy(g.in_channels, g.out_channels, g.stride)
        )

    def _odconv(self, g: ConvGeometry, settings: dict[str, Any]) -> nn.Module | None:
        file = self._module("ODConv/modules/odconv.py")
        arguments = (g.in_channels, g.out_channels, g.kernel_size, g.stride, g.padding, 1, g.groups)
        return file and file.ODConv2d(*arguments, kernel_num=settings.get("num_kernels", 1))

    def _dyconv(self, g: ConvGeometry, settings: dict[str, Any]) -> nn.Module | None:
        file = None if settings else self._module("dyconv/dynamic_conv.py")
        rest = {"stride": g.stride, "padding": g.padding, "groups": g.groups, "bias": False}
        return file and file.Dynamic_conv2d(g.in_channels, g.out_channels, g.kernel_size, **rest)

    def _condconv(self, g: ConvGeometry, settings: dict[str, Any]) -> nn.Module | None:
        file = self._module("condconv/condconv.py")
        rest = {"stride": g.stride, "padding": g.padding, "groups": g.groups, "bias": False, "num_experts": 8}
        return file and Routed(
            file.route_func(g.in_channels, 8), file.CondConv2d(g.in_channels, g.out_channels, g.kernel_size, **rest)
        )

    def _drconv(self, g: ConvGeometry, settings: dict[str, Any]) -> nn.Module | None:
        file = self._module("drconv/drconv.py") if g.groups == 1 else None
        return file and file.DRConv2d(g.in_channels, g.out_channels, g.kernel_size, stride=g.stride, padding=g.padding)

    def _kernel_warehouse(self, g: ConvGeometry, settings: dict[str, Any]) -> nn.Module | None:
        """A layer with as many parts as ours; None if its cells do not fit the parts exactly, which a budget below 1 requires."""
        file = self._module("KernelWarehouse/modules/kernel_warehouse.py")
        own = operators["kernel-warehouse"].resolve(g, **settings)
        ratios = {f"cell_{side}plane_ratio": 1 / int(own[f"{side}_parts"]) for side in ("in", "out")}
        try:
            return file and Warehoused(file.Warehouse_Manager(cell_num_ratio=own["budget"], **ratios), g)
        except AssertionError:
            return None

    def _module(self, file: str) -> Any:
        """A Python file of a clone as a module, loaded once; None if the clone is missing."""
        if self.root is None or not (self.root / file).exists():
            return None
        name = f"published_{Path(file).stem}"
        if name not in sys.modules:
            spec = importlib.util.spec_from_file_location(name, self.root / file)
            assert spec is not None
            assert spec.loader is not None
            sys.modules[name] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(sys.modules[name])
        return sys.modules[name]


class Routed(nn.Module):
    """CondConv's two published modules, the router and the convolution, as one layer."""

    def __init__(self, route: nn.Module, conv: nn.Module) -> None:
        super().__init__()
        self.route, self.conv = route, conv

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x, self.route(x))
        return y


class Warehoused(nn.Module):
    """KernelWarehouse's published layer with its own warehouse."""

    def __init__(self, manager: Any, g: ConvGeometry) -> None:
        super().__init__()
        self.manager = manager
        arguments = (g.in_channels, g.out_channels, g.kernel_size, g.stride, g.padding, 1, g.groups, False)
        self.conv = manager.reserve(*arguments)
        manager.store()
        manager.allocate(self)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return y


@dataclass(frozen=True)
class Candidates:
    """The layers that take turns in a row: ours, the static layer, and the published layer if there is one.

    The deployed layers, ours and the static one, have a BatchNorm folded into their parameters, as `Network.deploy` does. The
    published code has no such step: its layer runs in eval mode, and `norm` is the BatchNorm that its networks run after it.
    """

    ours: Operator
    static: Operator
    published: nn.Module | None
    deployed: nn.Module
    deployed_static: nn.Module
    norm: nn.Module


def candidates(name: str, g: ConvGeometry, settings: dict[str, Any], published: Published) -> Candidates:
    """Builds all layers of a row.

    Raises:
        GeometryError: when the operator does not support the geometry.
    """
    ours, static, norm = operators[name].at(g, **settings), operators["static"].at(g), nn.BatchNorm2d(g.out_channels)
    with torch.no_grad():
        norm.running_mean.normal_(std=0.1)  # type: ignore[union-attr]
        norm.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    theirs = published.layer(name, g, settings)
    return Candidates(ours, static, theirs, deployed(ours, norm), deployed(static, norm), norm.eval())


def deployed(operator: Operator, norm: nn.BatchNorm2d) -> nn.Module:
    """A copy for inference with the BatchNorm folded into it, or after it if the operator cannot fold it."""
    layer = copy.deepcopy(operator).eval().requires_grad_(False)
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()  # type: ignore[operator]
    took = layer.fold(scale, norm.bias - norm.running_mean * scale)  # type: ignore[operator]
    layer.deploy()
    return layer.requires_grad_(False) if took else nn.Sequential(layer, copy.deepcopy(norm).eval())
