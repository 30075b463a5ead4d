"""Dynamic convolution (DY-Conv): K kernels, and for each input their average with attention weights.

The paper claims that attending over K parallel kernels makes a small network more expressive at almost no extra
multiply-adds, because the kernels are averaged before the convolution and not the outputs after it, and that the softmax
must start nearly uniform (a high temperature) or training fails. Not CondConv: there the weights are sigmoids that need not
sum to one and have no temperature.

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
from dcdnas.operators._mixture import KernelMixture, start_around_a_mean, static_std
from dcdnas.operators._pool import pooled
from dcdnas.operators._widths import plain, reduced

__all__ = ["DyConv"]


class DyConv(KernelMixture):
    """y = W(x) * x + b(x), W(x) = sum_k pi_k(x) W_k, b(x) = sum_k pi_k(x) b_k, pi = softmax(FC(ReLU(FC(GAP(x)))) / T).

    Args:
        *place: C, D, k and more, as in Conv2d.
        bias: whether each kernel has a bias, averaged like the kernels.
        num_kernels: K.
        reduction: r; the attention has C // r + 1 hidden units.
        temperature: T at the start; `anneal` brings it down to 1, linearly.
        init: ``static``: the attention is uniform and the kernels' mean is a fresh static kernel, so that the operator begins
            as the static convolution; ``published``: K independent kernels, whose mean is sqrt(K) too small.

    Departures:
        From the paper: C // r + 1 hidden units in place of C / r (and K of them for an image of 3 channels), as in the
        implementation that the published comparisons used; the annealing ends when the trainer says so, not after 10 epochs.

    Reference:
        Chen, Dai, Liu, Chen, Yuan, Liu: Dynamic Convolution: Attention over Convolution Kernels. CVPR 2020, arXiv 1912.03458,
        equation 2.
    """

    REFERENCE = Reference(
        "chen2020dynamic",
        "Chen, Yinpeng and Dai, Xiyang and Liu, Mengchen and Chen, Dongdong and Yuan, Lu and Liu, Zicheng",
        "Dynamic Convolution: Attention over Convolution Kernels", "CVPR", 2020, "1912.03458",
    )  # fmt: skip

    num_kernels: int
    reduction: float
    temperature: Tensor

    PUBLISHED_FORM = "aggregate"

    def __init__(
        self,
        *place: Any,
        num_kernels: Annotated[int, Choice(at_least=2, at_most=16)] = 4,
        reduction: Annotated[float, Choice(at_least=1)] = 4,
        temperature: float = 30.0,
        init: Init = "static",
        **others: Any,
    ) -> None:
        super().__init__(*place, **others)
        check_start(init, temperature)
        self._keep(num_kernels=num_kernels, reduction=reduction)
        self._make_kernels(num_kernels)
        hidden = hidden_channels(self.in_channels, num_kernels, reduction)
        self.squeeze = nn.Linear(self.in_channels, hidden, bias=False)
        self.excite = nn.Linear(hidden, num_kernels)
        self.first_temperature = temperature
        self.register_buffer("temperature", torch.tensor(float(temperature)))
        self._initialise(init)

    def _initialise(self, init: Init) -> None:
        nn.init.kaiming_normal_(self.squeeze.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.excite.bias)
        if init == "static":
            nn.init.zeros_(self.excite.weight)
            std = static_std(self.geometry)
            start_around_a_mean(self.weight, mean_std=std, spread=std)
        else:
            nn.init.kaiming_normal_(self.excite.weight, mode="fan_out", nonlinearity="relu")
            for kernel in self.kernels():
                nn.init.kaiming_uniform_(kernel, nonlinearity="relu")

    @classmethod
    def resolve(cls, geometry: ConvGeometry, **settings: Setting) -> dict[str, Setting]:
        """Every geometry takes every setting."""
        resolved = super().resolve(geometry, **settings)
        return resolved | {"reduction": plain(resolved["reduction"])}

    @classmethod
    def built(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> dict[str, Setting]:
        """The attention's hidden units in place of the reduction."""
        kernels = int(settings["num_kernels"])
        return {**settings, "reduction": 0, "hidden": hidden_channels(geometry.in_channels, kernels, settings["reduction"])}

    @classmethod
    def multiply_adds(cls, geometry: ConvGeometry, settings: Mapping[str, Setting], form: str = "") -> int:
        """The mixture's, and the attention's."""
        return cls._mixture_cost(geometry, int(settings["num_kernels"]), form) + cls.controlling(geometry, settings)

    @classmethod
    def controlling(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> int:
        """h (C + K) for the attention's h hidden units."""
        kernels = int(settings["num_kernels"])
        return hidden_channels(geometry.in_channels, kernels, settings["reduction"]) * (geometry.in_channels + kernels)

    def anneal(self, progress: float) -> None:
        """T falls linearly from its start to 1."""
        self.temperature.fill_(1.0 + (self.first_temperature - 1.0) * (1.0 - min(max(progress, 0.0), 1.0)))

    def attention(self, x: Tensor) -> Tensor:
        """pi: (N, C, H, W) -> (N, K), each row positive with sum 1."""
        logits = self.excite(torch.relu(self.squeeze(pooled(x))))
        return torch.softmax(logits / self.temperature, 1)

    def _start_as(self, kernel: Tensor, bias: Tensor | None) -> None:
        """A fresh attention weighs all kernels alike, so their mean is the given one."""
        self._start_around(kernel, bias, share=1.0, spread=1.0)

    def _fold(self, scale: Tensor, shift: Tensor) -> bool:
        """Into each kernel and its bias."""
        return self._fold_into_kernels(scale, shift)

    def forward(self, x: Tensor, guide: Tensor | None = None) -> Tensor:
        """(N, C, H, W) -> (N, D, H', W')."""
        return self._mixed(x, self._seen("kernel", self.attention(x)))

    def extra_repr(self) -> str:
        """Also the temperature, which decides how far the attention can leave the uniform one."""
        return f"{super().extra_repr()}, temperature={self.temperature.item():g}"


def hidden_channels(in_channels: int, num_kernels: int, reduction: Setting) -> int:
    """Hidden units of the attention: C // r + 1, and K for an image's 3 channels."""
    return num_kernels if in_channels == 3 else reduced(in_channels, reduction) + 1
