"""Conditionally parameterised convolution (CondConv): E expert kernels, summed for each input with the weights of a router.

The paper claims that summing the experts before the convolution gives the capacity of a mixture of E layers at the cost of one
layer, and that this scales a network's capacity without widening it. CondConv differs from DY-Conv in that the router's
sigmoids need not sum to one, so the experts do not compete and there is no temperature.

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
from dcdnas.operators._mixture import CLASSIFIER_STD, KernelMixture, start_each_as_static
from dcdnas.operators._pool import pooled

__all__ = ["CondConv", "CondLinear", "Router"]


class Router(Guide):
    """r(x) = sigmoid(FC(GAP(x))), the experts' weights: the router of one layer, or the guide that the layers of a block share.

    Args:
        in_channels: C of the router's input, which is the layer's input or the block's.
        num_experts: E.
        init: ``static``: every weight is 1/2 for any input; ``published``: PyTorch's default initialisation of a linear layer.
    """

    def __init__(self, in_channels: int, num_experts: int, init: Init = "static") -> None:
        super().__init__(num_experts)
        self.fc = nn.Linear(in_channels, num_experts)
        if init == "static":
            nn.init.zeros_(self.fc.weight)
            nn.init.zeros_(self.fc.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Computes the weights: (N, C, H, W) -> (N, E), each in 0..1."""
        return torch.sigmoid(self.fc(pooled(x)))


class CondConv(KernelMixture):
    """y = W(x) * x + b(x), W(x) = sum_e r_e(x) W_e, b(x) = sum_e r_e(x) b_e, r = sigmoid(FC(GAP(x))).

    Args:
        *place: C, D, k and more, as in Conv2d.
        bias: whether each expert has a bias, summed like the kernels.
        num_experts: E.
        guide_channels: E if the layer has no router and `forward` takes the weights (N, E) of its block's `Router`, as
            published; 0 if the layer has its own router.
        init: ``static``: the router outputs 1/2 for any input, so that the operator is initialised as a static convolution, and
            each expert is initialised as a static kernel; ``published``: as in the published code, with a random router.

    Departures:
        A layer has its own router unless its block has one for all its layers. The published code initialises the experts with
        the fan-in of a five-axis tensor, which makes them a factor sqrt(D) too small; here each expert is initialised separately.

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
            start_each_as_static(self.weight, self.geometry)
        else:
            for kernel in self.kernels():
                nn.init.kaiming_uniform_(kernel, a=5**0.5)

    @classmethod
    def guide(cls, channels: int, settings: Mapping[str, Setting]) -> Router:
        """Builds the router that the layers of a block can share.

        Args:
            channels: of the block's input.
            settings: the resolved settings of these layers.
        """
        return Router(channels, int(settings["num_experts"]))

    @classmethod
    def multiply_adds(cls, geometry: ConvGeometry, settings: Mapping[str, Setting], form: str = "") -> int:
        """Multiply-adds of the mixture and of the router."""
        return cls._mixture_cost(geometry, int(settings["num_experts"]), form) + cls.controlling(geometry, settings)

    @classmethod
    def controlling(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> int:
        """Multiply-adds of the router: C E."""
        return geometry.in_channels * int(settings["num_experts"])

    def _start_as(self, kernel: Tensor, bias: Tensor | None) -> None:
        """Initialises the experts such that half their sum is the given kernel, because a fresh router weights each by 1/2."""
        self._start_around(kernel, bias, share=2 / self.num_experts, spread=self.num_experts**0.5)

    def _fold(self, scale: Tensor, shift: Tensor) -> bool:
        """Folds into each kernel and its bias."""
        return self._fold_into_kernels(scale, shift)

    @classmethod
    def guided_multiply_adds(cls, geometry: ConvGeometry, settings: Mapping[str, Setting], form: str, guide_channels: int) -> int:
        """Multiply-adds of the mixture alone, because the block's router computes the E weights.

        Raises:
            GeometryError: if the guide does not have E channels.
        """
        experts = int(settings["num_experts"])
        check_width("CondConv", "num_experts", experts, guide_channels)
        return cls._mixture_cost(geometry, experts, form)

    @classmethod
    def classifier(cls, geometry: ConvGeometry, form: str = "", **settings: Setting) -> CondLinear:
        """Builds the linear version for a network's last layer: a router, and experts without bias as in the published network.

        Args:
            geometry: of the layer, on a map of one pixel.
            form: the counted form if it is already known.
            **settings: of the operator.
        """
        return CondLinear.at(geometry, form, 0, **settings)

    def guide_from(self, x: Tensor) -> Tensor:
        """Computes the router's weights (N, E) for the layer's input (N, C, H, W)."""
        return given(None, self, self.num_experts, x) if self.router is None else self.router(x)

    def forward(self, x: Tensor, guide: Tensor | None = None) -> Tensor:
        """Maps (N, C, H, W) -> (N, D, H', W'), with the weights (N, E) from `guide` if given, else from the layer's router."""
        weights = self.guide_from(x) if guide is None else given(guide, self, self.num_experts, x)
        return self._mixed(x, self._seen("kernel", weights))


class CondLinear(CondConv):
    """y = sum_e r_e(x) W_e x on vectors, r = sigmoid(FC(x)): a 1x1 `CondConv` on a map of one pixel.

    It is the classifier of the published network.

    Reference: see `CondConv`.
    """

    AXES = 2

    def _initialise(self, init: Init) -> None:
        super()._initialise(init)
        if init == "static":
            nn.init.normal_(self.weight, std=CLASSIFIER_STD)

    def forward(self, x: Tensor, guide: Tensor | None = None) -> Tensor:
        """Maps (N, C) -> (N, D)."""
        return super().forward(x[:, :, None, None], guide).flatten(1)
