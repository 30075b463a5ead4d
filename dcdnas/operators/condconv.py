"""Conditionally parameterised convolution (CondConv): E expert kernels, summed with weights that a router gives each input.

The paper claims that a sum of experts before the convolution has the capacity of a mixture of E layers at the price of one,
and that it scales a network's capacity without widening it. Not DY-Conv: the router's sigmoids need not sum to one, so there
is no competition between experts and no temperature.

Letters: N batch, C input channels, D output channels, H W map, k kernel size, E experts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from dcdnas.core.dimension import Choice
from dcdnas.core.geometry import ConvGeometry, Setting
from dcdnas.core.reference import Reference
from dcdnas.operators._arguments import Init, check_start
from dcdnas.operators._guide import Guide, check_width, given
from dcdnas.operators._mixture import KernelMixture, start_around_a_mean, static_std
from dcdnas.operators._pool import pooled

__all__ = ["CondConv", "CondLinear", "Router"]


class Router(Guide):
    """r(x) = sigmoid(FC(GAP(x))): the experts' weights; one layer's own, or the guide that a block's layers share.

    Args:
        in_channels: C of the map it looks at: the layer's input, or the block's.
        num_experts: E.
        init: ``static``: every weight is 1/2 for any input; ``published``: the ordinary start of a linear layer.
    """

    def __init__(self, in_channels: int, num_experts: int, init: Init = "static") -> None:
        super().__init__(num_experts)
        self.fc = nn.Linear(in_channels, num_experts)
        if init == "static":
            nn.init.zeros_(self.fc.weight)
            nn.init.zeros_(self.fc.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, E), each in 0..1."""
        return torch.sigmoid(self.fc(pooled(x)))


class CondConv(KernelMixture):
    """y = W(x) * x + b(x), W(x) = sum_e r_e(x) W_e, b(x) = sum_e r_e(x) b_e, r = sigmoid(FC(GAP(x))).

    Args:
        *place: C, D, k and more, as in Conv2d.
        bias: whether each expert has a bias, summed like the kernels.
        num_experts: E.
        guide_channels: E, when the layer has no router and `forward` takes the weights (N, E) of a `Router` that its block
            owns, as published; 0 for a router of its own.
        init: ``static``: the router says 1/2 whatever the input and the experts' sum is a fresh static kernel, so that the
            operator begins as the static convolution; ``published``: E independent kernels and a random router.

    Departures:
        A layer has its own router unless its block has one for all. The published code draws the experts with the fan-in of a
        tensor of five axes, sqrt(D) too small; here each expert is drawn by itself.

    Reference:
        Yang, Bender, Le, Ngiam: CondConv: Conditionally Parameterized Convolutions for Efficient Inference. NeurIPS 2019,
        arXiv 1904.04971.
    """

    REFERENCE = Reference(
        "yang2019condconv",
        "Yang, Brandon and Bender, Gabriel and Le, Quoc V. and Ngiam, Jiquan",
        "CondConv: Conditionally Parameterized Convolutions for Efficient Inference", "NeurIPS", 2019, "1904.04971",
    )  # fmt: skip

    num_experts: int

    PUBLISHED_FORM = "aggregate"

    def __init__(
        self,
        *place: Any,
        num_experts: Annotated[int, Choice(at_least=1, at_most=32)] = 8,
        guide_channels: int = 0,
        init: Init = "static",
        **others: Any,
    ) -> None:
        super().__init__(*place, **others)
        check_start(init)
        self._keep(num_experts=num_experts)
        if guide_channels:
            check_width("CondConv", "num_experts", num_experts, guide_channels)
        self._make_kernels(num_experts)
        self.router = None if guide_channels else Router(self.in_channels, num_experts, init)
        self._initialise(init)

    def _initialise(self, init: Init) -> None:
        if init == "static":
            double = 2 * static_std(self.geometry)
            start_around_a_mean(self.weight, mean_std=double / self.num_experts, spread=double / self.num_experts**0.5)
        else:
            for kernel in self.kernels():
                nn.init.kaiming_uniform_(kernel, a=5**0.5)

    @classmethod
    def guide(cls, channels: int, settings: Mapping[str, Setting]) -> Router:
        """The router that the layers of a block can share.

        Args:
            channels: of the block's input.
            settings: resolved, of those layers.
        """
        return Router(channels, int(settings["num_experts"]))

    @classmethod
    def multiply_adds(cls, geometry: ConvGeometry, settings: Mapping[str, Setting], form: str = "") -> int:
        """The mixture's, and the router's."""
        return cls._mixture_cost(geometry, int(settings["num_experts"]), form) + cls.controlling(geometry, settings)

    @classmethod
    def controlling(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> int:
        """C E for the router."""
        return geometry.in_channels * int(settings["num_experts"])

    def _start_as(self, kernel: Tensor, bias: Tensor | None) -> None:
        """A fresh router weighs each expert by 1/2, so half their sum is the given kernel."""
        self._start_around(kernel, bias, share=2 / self.num_experts, spread=self.num_experts**0.5)

    def _fold(self, scale: Tensor, shift: Tensor) -> bool:
        """Into each kernel and its bias."""
        return self._fold_into_kernels(scale, shift)

    @classmethod
    def guided_multiply_adds(cls, geometry: ConvGeometry, settings: Mapping[str, Setting], form: str, guide_channels: int) -> int:
        """The mixture's alone, with E weights from the block's router.

        Raises:
            GeometryError: when the guide has not E channels.
        """
        experts = int(settings["num_experts"])
        check_width("CondConv", "num_experts", experts, guide_channels)
        return cls._mixture_cost(geometry, experts, form)

    @classmethod
    def classifier(cls, geometry: ConvGeometry, form: str = "", **settings: Setting) -> CondLinear:
        """The operator's form for a network's last layer: experts without bias, as in the published network, and a router.

        Args:
            geometry: of the layer, on a map of one pixel.
            form: the counted form when it is already known.
            **settings: of the operator.
        """
        return CondLinear.at(geometry, form, 0, **settings)

    def guide_from(self, x: Tensor) -> Tensor:
        """The router's weights (N, E) for the layer's input (N, C, H, W)."""
        return given(None, self, self.num_experts, x) if self.router is None else self.router(x)

    def forward(self, x: Tensor, guide: Tensor | None = None) -> Tensor:
        """(N, C, H, W) -> (N, D, H', W'), with the weights (N, E) of `guide` where they are given, else the router's."""
        weights = self.guide_from(x) if guide is None else given(guide, self, self.num_experts, x)
        return self._mixed(x, self._seen("kernel", weights))


class CondLinear(CondConv):
    """y = sum_e r_e(x) W_e x on vectors, r = sigmoid(FC(x)): a 1x1 `CondConv` on a map of one pixel.

    The classifier that the published network ends in.

    Reference: see `CondConv`.
    """

    AXES = 2

    def forward(self, x: Tensor, guide: Tensor | None = None) -> Tensor:
        """(N, C) -> (N, D)."""
        return super().forward(x[:, :, None, None], guide).flatten(1)
