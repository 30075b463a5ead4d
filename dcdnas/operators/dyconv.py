"""Dynamic convolution (DY-Conv): K kernels, averaged for each input with attention weights.

The paper claims that attention over K parallel kernels makes a small network more expressive at almost no extra multiply-adds,
because the kernels are averaged before the convolution instead of the outputs after it, and that the softmax must be nearly
uniform at first (a high temperature) or training fails. DY-Conv differs from CondConv, whose weights are sigmoids that need not
sum to one and have no temperature. DyNet is a setting of this operator: it weights the kernels separately for each output
channel, with sigmoids computed from the pooled input of the block.

Letters: N batch, C input channels, D output channels, H W map, k kernel size, K kernels, r reduction, T temperature.
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
from dcdnas.operators._guide import Guide, given
from dcdnas.operators._mixture import KernelMixture, start_each_as_static
from dcdnas.operators._pool import pooled
from dcdnas.operators._widths import plain, reduced

__all__ = ["DyConv", "Context"]


class Context(Guide):
    """ReLU(FC(GAP(x))), the input of the attention's last layer, shared by the layers of a block; without hidden units GAP(x).

    Args:
        in_channels: C, channels of its input.
        hidden: h; 0 for no hidden layer.
    """

    def __init__(self, in_channels: int, hidden: int) -> None:
        super().__init__(hidden or in_channels)
        self.squeeze = nn.Linear(in_channels, hidden, bias=False) if hidden else None

    def forward(self, x: Tensor) -> Tensor:
        """Computes the hidden units: (N, C, H, W) -> (N, h)."""
        return pooled(x) if self.squeeze is None else torch.relu(self.squeeze(pooled(x)))


class DyConv(KernelMixture):
    """y = W(x) * x + b(x), W(x) = sum_k pi_k(x) W_k, b(x) = sum_k pi_k(x) b_k, pi = softmax(FC(ReLU(FC(GAP(x)))) / T).

    With `mixing` set to ``channel``, pi_k is a vector of D numbers that scale the output channels of kernel k.

    Args:
        *place: C, D, k and more, as in Conv2d.
        bias: whether each kernel has a bias, averaged like the kernels.
        num_kernels: K.
        reduction: r; the attention has C // r + 1 hidden units. ``none``: no hidden layer, pi is computed directly from GAP(x).
        mixing: ``kernel``: one weight for each kernel; ``channel``: one for each output channel of each kernel.
        act: ``softmax`` over the kernels, or ``sigmoid``, whose weights need not sum to one.
        guide_channels: output channels of the block's `Context` if the layer takes its guide; 0 otherwise.
        temperature: the initial T; `anneal` lowers it linearly to 1.
        init: ``static``: the attention is the same for any input, so that the operator is initialised as a static convolution,
            and each kernel is initialised as a static one; ``published``: as in the published code, with a random attention.

    Departures:
        From the paper: C // r + 1 hidden units instead of C / r (and K for an image of 3 channels), as in the implementation
        that the published comparisons used; the trainer decides when annealing ends, instead of after 10 epochs.
        From DyNet: T also divides the logits of its sigmoids, until it reaches 1.

    Reference:
        Chen, Dai, Liu, Chen, Yuan, Liu: Dynamic Convolution: Attention over Convolution Kernels. CVPR 2020, arXiv 1912.03458,
        equation 2. Zhang, Zhang, Wang, Zhong: DyNet: Dynamic Convolution for Accelerating Convolutional Neural Networks.
        arXiv 2004.10694.
    """

    REFERENCE = Reference(
        "chen2020dynamic",
        "Chen, Yinpeng and Dai, Xiyang and Liu, Mengchen and Chen, Dongdong and Yuan, Lu and Liu, Zicheng",
        "Dynamic Convolution: Attention over Convolution Kernels", "CVPR", 2020, "1912.03458",
    )  # fmt: skip

    num_kernels: int
    reduction: float | str
    mixing: str
    act: str
    temperature: Tensor

    PUBLISHED_FORM = "aggregate"

    def __init__(
        self,
        *place: Any,
        num_kernels: Annotated[int, Choice(at_least=2, at_most=16)] = 4,
        reduction: Annotated[float | str, Choice(words=("none",), at_least=1)] = 4,
        mixing: Annotated[str, Choice(words=("kernel", "channel"))] = "kernel",
        act: Annotated[str, Choice(words=("softmax", "sigmoid"))] = "softmax",
        temperature: float = 30.0,
        guide_channels: int = 0,
        init: Init = "static",
        **others: Any,
    ) -> None:
        super().__init__(*place, **others)
        check_start(init, temperature)
        self._keep(num_kernels=num_kernels, reduction=reduction, mixing=mixing, act=act)
        self._make_kernels(num_kernels)
        self.guided = guide_channels > 0
        hidden = 0 if self.guided else hidden_channels(self.in_channels, num_kernels, reduction)
        self.squeeze = nn.Linear(self.in_channels, hidden, bias=False) if hidden else None
        self.excite = nn.Linear(guide_channels or hidden or self.in_channels, outputs(self.geometry, self._settings()))
        self.first_temperature = temperature
        self.register_buffer("temperature", torch.tensor(float(temperature)))
        self._initialise(init)

    def _initialise(self, init: Init) -> None:
        if self.squeeze is not None:
            nn.init.kaiming_normal_(self.squeeze.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.excite.bias)
        if init == "static":
            nn.init.zeros_(self.excite.weight)
            start_each_as_static(self.weight, self.geometry)
        else:
            nn.init.kaiming_normal_(self.excite.weight, mode="fan_out", nonlinearity="relu")
            for kernel in self.kernels():
                nn.init.kaiming_uniform_(kernel, nonlinearity="relu")

    @classmethod
    def resolve(cls, geometry: ConvGeometry, **settings: Setting) -> dict[str, Setting]:
        """Every geometry supports every setting; only whole-number reductions become int."""
        resolved = super().resolve(geometry, **settings)
        return resolved | {"reduction": plain(resolved["reduction"])}

    @classmethod
    def built(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> dict[str, Setting]:
        """The settings with the attention's number of hidden units in place of the reduction."""
        kernels = int(settings["num_kernels"])
        return {**settings, "reduction": 0, "hidden": hidden_channels(geometry.in_channels, kernels, settings["reduction"])}

    @classmethod
    def multiply_adds(cls, geometry: ConvGeometry, settings: Mapping[str, Setting], form: str = "") -> int:
        """Multiply-adds of the mixture and of the attention."""
        return cls._mixture_cost(geometry, int(settings["num_kernels"]), form) + cls.controlling(geometry, settings)

    @classmethod
    def controlling(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> int:
        """Multiply-adds of the attention: h (C + K) with h hidden units, C K without; ``channel`` mixing has D K for K."""
        hidden = hidden_channels(geometry.in_channels, int(settings["num_kernels"]), settings["reduction"])
        made = outputs(geometry, settings)
        return hidden * (geometry.in_channels + made) if hidden else geometry.in_channels * made

    @classmethod
    def guide(cls, channels: int, settings: Mapping[str, Setting]) -> Context:
        """Builds the module whose hidden units the layers of a block can share.

        Args:
            channels: of the block's input.
            settings: the resolved settings of these layers.
        """
        return Context(channels, hidden_channels(channels, int(settings["num_kernels"]), settings["reduction"]))

    @classmethod
    def guided_multiply_adds(cls, geometry: ConvGeometry, settings: Mapping[str, Setting], form: str, guide_channels: int) -> int:
        """Multiply-adds of the mixture and of the attention's last layer."""
        attention = guide_channels * outputs(geometry, settings)
        return cls._mixture_cost(geometry, int(settings["num_kernels"]), form) + attention

    def anneal(self, progress: float) -> None:
        """Lowers T linearly from its initial value to 1 as `progress` goes from 0 to 1."""
        self.temperature.fill_(1.0 + (self.first_temperature - 1.0) * (1.0 - min(max(progress, 0.0), 1.0)))

    def attention(self, x: Tensor, guide: Tensor | None = None) -> Tensor:
        """Computes pi: (N, C, H, W) -> (N, K) or (N, K, D), with sum 1 over the kernels unless `act` is ``sigmoid``."""
        context = self.guide_from(x) if guide is None else given(guide, self, self.excite.in_features, x)
        logits = self.excite(context) / self.temperature
        logits = logits if self.mixing == "kernel" else torch.unflatten(logits, 1, (self.num_kernels, self.out_channels))
        return torch.softmax(logits, 1) if self.act == "softmax" else torch.sigmoid(logits)

    def guide_from(self, x: Tensor) -> Tensor:
        """Computes the hidden units (N, h) from the layer's input (N, C, H, W), or GAP(x) if there is no hidden layer."""
        if self.guided:
            return given(None, self, self.excite.in_features, x)
        return pooled(x) if self.squeeze is None else torch.relu(self.squeeze(pooled(x)))

    def _start_as(self, kernel: Tensor, bias: Tensor | None) -> None:
        """Makes the kernels' mean (or half their sum) the given kernel, as a fresh attention weights each by 1/K (or 1/2)."""
        share, spread = (1.0, 1.0) if self.act == "softmax" else (2 / self.num_kernels, self.num_kernels**0.5)
        self._start_around(kernel, bias, share, spread)

    def _fold(self, scale: Tensor, shift: Tensor) -> bool:
        """Folds into each kernel and its bias."""
        return self._fold_into_kernels(scale, shift)

    def forward(self, x: Tensor, guide: Tensor | None = None) -> Tensor:
        """Maps (N, C, H, W) -> (N, D, H', W'), with the hidden units (N, h) from `guide` if given, else the layer's own."""
        return self._mixed(x, self._seen("kernel", self.attention(x, guide)))

    def extra_repr(self) -> str:
        """The constructor arguments and the temperature, which limits how far the attention can deviate from uniform."""
        return f"{super().extra_repr()}, temperature={self.temperature.item():g}"


def outputs(geometry: ConvGeometry, settings: Mapping[str, Setting]) -> int:
    """Number of weights that the attention computes for each sample: K, or K D."""
    return int(settings["num_kernels"]) * (geometry.out_channels if settings["mixing"] == "channel" else 1)


def hidden_channels(in_channels: int, num_kernels: int, reduction: Setting) -> int:
    """Number of hidden units of the attention: C // r + 1, or K for an image with 3 channels; 0 without a hidden layer."""
    if reduction == "none":
        return 0
    return num_kernels if in_channels == 3 else reduced(in_channels, reduction) + 1
